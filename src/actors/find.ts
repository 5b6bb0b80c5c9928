// Finding an actor by its protocol and name, on every thread of the node at once: a thread that stands still
// holds up nobody longer than the look-up lasts.
import type { Ops, Protocol } from './protocol.ts';
import type { Ref } from './ref.ts';
import { RUNTIME_SLOT, RuntimeProtocol } from './runtime-actor.ts';
import type { System } from './system.ts';

const LOOK_UP_TIMEOUT_MS = 5_000;

/** The one at the top of this thread, else of the lowest other thread that has one. */
export async function findOn<P extends Ops>(
  system: System,
  protocol: Protocol<P>,
  name: string,
): Promise<Ref<P> | undefined> {
  const request = { protocol: protocol.name, name };
  const here = system.findHere(request);
  if (here !== undefined) return system.ref(protocol, here);
  const asks = Array.from({ length: system.threadCount }, (_, thread) => {
    if (thread === system.place.thread) return undefined;
    return system
      .wellKnown(RuntimeProtocol, { thread, slot: RUNTIME_SLOT })
      .ask('find', request, { timeoutMs: LOOK_UP_TIMEOUT_MS })
      .catch(() => undefined);
  });
  const found = (await Promise.all(asks)).find((id) => id !== undefined);
  return found === undefined ? undefined : system.ref(protocol, found);
}
