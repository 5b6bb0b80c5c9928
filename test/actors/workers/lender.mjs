// The worker of the tests of lent memory: sends bodies to the receiver on thread 0, and answers large ones.
import { actor } from '../../../dist/actors/index.js';
import { joinThreadGroup } from '../../../dist/actors/threads/member.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';
import { Lender, Receiver } from './lending.mjs';

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const member = joinThreadGroup(createNodeEnvironment({ log: quiet }), {
  protocols: [Receiver, Lender],
});
const receiver = member.system.wellKnown(Receiver, { thread: 0, slot: 11 });
let sent = 0;
const next = (size) => {
  sent += 1;
  return new Uint8Array(size).fill(sent);
};

const LenderActor = actor(Lender, (ctx) => ({
  /** Answers how many were accepted before the first that was not. */
  send({ size, count, isLent }) {
    for (let done = 0; done < count; done += 1) {
      if (receiver.offer(isLent === 1 ? 'lend' : 'take', next(size)) !== 'accepted') return done;
    }
    return count;
  },
  async sendAll({ size, count }) {
    for (let done = 0; done < count; done += 1) {
      const body = next(size);
      while (receiver.offer('lend', body) !== 'accepted') await receiver.ready();
    }
  },
  question: (size) => receiver.ask('lendAsk', next(size), { timeoutMs: 10_000 }),
  usedBytes: () => member.hub.slab.usedBytes,
  large: (size) => new Uint8Array(size).fill(5),
  hoard: () => void ctx.retain(),
  die: () => process.exit(7),
}));
member.system.spawnWellKnown(10, 'lender', LenderActor, undefined);
member.ready();
