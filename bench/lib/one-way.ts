// Sends messages to a counting actor as fast as it takes them, and waits until all of them have arrived.
import type { AskOp, Ref } from '../../dist/actors/index.js';
import type { Ask, Tell } from '../../dist/actors/protocol.js';
import type { RunQueue } from '../../dist/env/environment.js';

/** What a sender hands over per turn: rings and links show what they have once per turn. */
const BATCH = 1000;

export type CountingOps = {
  readonly take: Tell<Uint8Array>;
  readonly taken: Ask<undefined, number>;
};

/** `expected`: what must have arrived in all when these have. */
export async function sendAll(
  sink: Ref<CountingOps>,
  body: Uint8Array,
  count: number,
  expected: number,
  runQueue: RunQueue,
  op: 'take' | 'lend' = 'take',
): Promise<void> {
  // A sink that lends is asked for by those who have one.
  const take = op as 'take';
  const taken: AskOp<CountingOps> = 'taken';
  for (let sent = 0; sent < count; ) {
    for (let i = 0; i < BATCH && sent < count; i += 1) {
      while (sink.offer(take, body) !== 'accepted') await sink.ready();
      sent += 1;
    }
    await new Promise<void>((resolve) => runQueue.soon(resolve));
  }
  for (let arrived = 0; arrived < expected; ) {
    // A question too may find the way full.
    await sink.ready();
    arrived = await sink.ask(taken, undefined, { timeoutMs: 10_000 });
  }
}
