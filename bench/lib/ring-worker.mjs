// The receiving thread of ring-two-threads and ask-two-threads: counts what arrives.
import { actor } from '../../dist/actors/index.js';
import { joinThreadGroup } from '../../dist/actors/threads/member.js';
import { createNodeEnvironment } from '../../dist/env/node/environment.js';
import { Sink } from '../../dist-bench/lib/ring-sink.js';

const PAGE_BYTES = 4096;
const env = createNodeEnvironment({ logLevel: 'warn' });
const member = joinThreadGroup(env, { protocols: [Sink] });
member.system.spawnWellKnown(
  1,
  'sink',
  actor(Sink, () => {
    let taken = 0;
    const take = (body) => {
      let right = 0;
      for (let at = 0; at < body.length; at += PAGE_BYTES) right += body[at] === 7 ? 1 : 0;
      if (right === Math.ceil(body.length / PAGE_BYTES)) taken += 1;
    };
    return { take, lend: take, taken: () => taken };
  }),
  undefined,
);
member.ready();
