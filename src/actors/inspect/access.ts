// How a system is looked at from outside: who can see its threads though they do not answer, which other nodes
// there are, and the doors that are open. Costs nothing until somebody looks: the server is loaded
// with the first door.
import { ActorError } from '../errors.ts';
import type { System } from '../system.ts';
import type { InspectionDoor, InspectOptions } from './door.ts';
import type { Inspection, ThreadGlimpse } from './looks.ts';
import { lookAtAll } from './looks.ts';

export class InspectionAccess {
  /** Set by who starts threads. */
  glimpse: (thread: number) => ThreadGlimpse | undefined = () => undefined;
  /** Set by links: other nodes, in order. */
  knownNodes: () => readonly number[] = () => [];
  readonly #doors = new Set<InspectionDoor>();
  #isClosed = false;

  look(system: System, timeoutMs?: number): Promise<Inspection> {
    return lookAtAll(system, timeoutMs);
  }

  async open(system: System, options: InspectOptions): Promise<InspectionDoor> {
    const { openDoor } = await import('./door.ts');
    const door = await openDoor(system, options);
    if (this.#isClosed) {
      door.close();
      throw new ActorError('ACTOR_STOPPED', 'the system has shut down');
    }
    this.#doors.add(door);
    const close = (): void => {
      this.#doors.delete(door);
      door.close();
    };
    return { address: door.address, url: door.url, close };
  }

  close(): void {
    this.#isClosed = true;
    for (const door of this.#doors) door.close();
    this.#doors.clear();
  }
}
