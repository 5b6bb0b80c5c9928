// Replicas that left this node: the log goes on elsewhere, and what it has here goes. The log stays in the store, empty,
// so that it may come back under the same id; it is forgotten with the order to delete it. Begun again at every start
// and with every image until it is done: the order is the metadata itself, at least as new as the registration of this
// process.
import { messageOf } from '../../std/errors.ts';
import { startOver } from './catch-up.ts';
import type { LogHostConfig } from './log-host-config.ts';
import { Machine } from './machine.ts';

const RETRY_MS = 1_000;

type Later = (delayMs: number, fire: () => void) => void;

export class Departures {
  readonly #config: Pick<LogHostConfig, 'store' | 'log' | 'behaviorOf' | 'directory' | 'faults'>;
  readonly #later: Later;
  readonly #isOver: (logId: number) => void;
  readonly #leaving = new Set<number>();
  readonly #times = new Map<number, number>();

  /** `isOver`: the log may be hosted here again. */
  constructor(config: LogHostConfig, later: Later, isOver: (logId: number) => void) {
    this.#config = config;
    this.#later = later;
    this.#isOver = isOver;
  }

  has(logId: number): boolean {
    return this.#leaving.has(logId);
  }

  /** How often the log has left since this thread began. */
  times(logId: number): number {
    return this.#times.get(logId) ?? 0;
  }

  /** `settled`: when nothing that hosted the log touches the store any more. */
  begin(logId: number, kind: string, settled: Promise<void> = Promise.resolve()): void {
    const stored = this.#config.store.log(logId);
    if (stored === undefined || this.#leaving.has(logId)) return;
    if (stored.endSeq === 0 && !stored.needsRepair) return;
    this.#leaving.add(logId);
    this.#times.set(logId, this.times(logId) + 1);
    this.#run(logId, kind, settled);
  }

  #run(logId: number, kind: string, settled: Promise<void>): void {
    const { log } = this.#config;
    settled
      .catch(() => undefined)
      .then(() => this.#empty(logId, kind))
      .then(() => {
        log.info('a replica left this node', { logId });
        this.#ended(logId);
      })
      .catch((error: unknown) => {
        log.warn('what a replica left here is not gone yet', { logId, why: messageOf(error) });
        this.#later(RETRY_MS, () => this.#run(logId, kind, Promise.resolve()));
      });
  }

  async #empty(logId: number, kind: string): Promise<void> {
    const { store, behaviorOf, faults } = this.#config;
    const behavior = behaviorOf(kind);
    const stored = store.log(logId);
    // Deleted meanwhile; or this process is on its way out.
    if (stored === undefined || store.failure !== undefined) return;
    if (behavior === undefined) throw new Error(`nobody here knows the kind ${kind}`);
    await startOver({ stored, machine: new Machine(behavior, stored, faults) });
  }

  #ended(logId: number): void {
    this.#leaving.delete(logId);
    if (this.#config.directory.spec(logId) !== undefined) this.#isOver(logId);
  }
}
