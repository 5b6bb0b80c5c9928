// The receiving thread of ring-two-threads: counts what arrives.
import { actor, ask, protocol, tell } from '../../dist/actors/index.js';
import { joinThreadGroup } from '../../dist/actors/threads/member.js';
import { bytes, none, u32 } from '../../dist/codec/index.js';
import { createNodeEnvironment } from '../../dist/env/node/environment.js';

const Sink = protocol('sink', 1, { take: tell(bytes), taken: ask(none, u32) });
const env = createNodeEnvironment({ logLevel: 'warn' });
const member = joinThreadGroup(env, { protocols: [Sink] });
member.system.spawnWellKnown(
  1,
  'sink',
  actor(Sink, () => {
    let taken = 0;
    return {
      take(body) {
        if (body.length === 63) taken += 1;
      },
      taken: () => taken,
    };
  }),
  undefined,
);
member.ready();
