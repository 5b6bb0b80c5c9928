// A worker of the stream tests: it reads what it is told to, and sums it up.
import { actor, ask, protocol, streamAddress, tell } from '../../../dist/actors/index.js';
import { joinThreadGroup } from '../../../dist/actors/threads/member.js';
import { none, record, u32, utf8 } from '../../../dist/codec/index.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';

const Taker = protocol('taker', 1, {
  take: tell(streamAddress),
  give: ask(u32, streamAddress),
  outcome: ask(none, record({ bytes: u32, sum: u32, reason: utf8 })),
  die: tell(none),
});
const ignore = () => undefined;
const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const member = joinThreadGroup(createNodeEnvironment({ log: quiet }), { protocols: [Taker] });
const TakerActor = actor(Taker, (ctx) => {
  let bytes = 0;
  let sum = 0;
  const outcome = [];
  let reason = '';
  const answer = () => {
    if (reason === '') return;
    for (const later of outcome.splice(0)) later.ok({ bytes, sum, reason });
  };
  return {
    take(address) {
      bytes = 0;
      sum = 0;
      reason = '';
      ctx.acceptStream(address, {
        onBytes(view) {
          bytes += view.length;
          for (let at = 0; at < view.length; at += 1) sum = (sum * 31 + view[at]) >>> 0;
        },
        onEnd(end) {
          ({ reason } = end);
          answer();
        },
      });
    },
    give(length) {
      const out = ctx.openStream();
      const write = async () => {
        for (let at = 0; at < length; at += 100_000) {
          const piece = new Uint8Array(Math.min(100_000, length - at)).fill(at / 100_000);
          while (out.write(piece) === 'full') await out.ready();
        }
        out.finish();
      };
      void write();
      return out.address;
    },
    outcome() {
      const later = ctx.later();
      outcome.push(later);
      answer();
      return later;
    },
    die: () => process.exit(3),
  };
});
member.system.spawnWellKnown(1, 'taker', TakerActor, undefined);
member.ready();
