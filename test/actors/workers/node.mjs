// A worker of a node in the placement and hand-over tests: actors may be spawned here by name, and
// links that the main thread accepted arrive here.
import { actor, ask, protocol, tell } from '../../../dist/actors/index.js';
import { Links } from '../../../dist/actors/links/links.js';
import { joinThreadGroup } from '../../../dist/actors/threads/member.js';
import { none, record, u32, utf8 } from '../../../dist/codec/index.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';

const Child = protocol('child', 1, {
  boom: tell(none),
  where: ask(none, record({ thread: u32, label: utf8 })),
});

const ignore = () => undefined;
const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const env = createNodeEnvironment({ log: quiet });
const ChildActor = actor(
  Child,
  (_ctx, label) => ({
    boom: () => {
      throw new Error('boom from afar');
    },
    where: () => ({ thread: env.threads.boot.index, label }),
  }),
  {
    args: utf8,
    supervision: {
      decide: () => 'stop',
      maxRestarts: 0,
      windowMs: 1,
      backoff: { minMs: 1, maxMs: 1, jitter: 0 },
    },
  },
);
const member = joinThreadGroup(env, { protocols: [Child], manifest: { ChildActor } });
member.system.spawnWellKnown(3, 'resident', ChildActor, 'resident');
if (member.app?.identity !== undefined) {
  const links = new Links(member.system, member.app.identity);
  for (const { node, address } of member.app.addresses) links.setAddress(node, address);
  links.takeHandedOver();
  member.onStop(() => links.close());
}
member.ready();
