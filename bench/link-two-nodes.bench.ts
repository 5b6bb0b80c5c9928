// How many messages of 128 bytes a second go from one system to another over a link on this machine? Both systems
// share the thread, so the figure includes what both do.
import { actor, ask, createSystem, protocol, tell } from '../dist/actors/index.js';
import { Links } from '../dist/actors/links/links.js';
import { bytes, none, u32 } from '../dist/codec/index.js';
import type { Listener } from '../dist/env/environment.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';
import { sendAll } from './lib/one-way.ts';

const MESSAGES = 500_000;
const SLOT = 1;
const HOST = '127.0.0.1';

const Sink = protocol('sink', 1, { take: tell(bytes), taken: ask(none, u32) });
const env = createNodeEnvironment({ logLevel: 'warn' });
const identity = { clusterId: 'bench', token: 'bench' };
const make = (node: number) => {
  const system = createSystem(env, { name: `n${node}`, node, protocols: [Sink] });
  return { system, links: new Links(system, identity) };
};
const [from, to] = [make(1), make(2)];
const listeners: Listener[] = [];
for (const [one, other] of [[from, to] as const, [to, from] as const]) {
  const listener = await env.net.listen({ host: HOST, port: 0 }, (connection) =>
    one.links.accept(connection),
  );
  listeners.push(listener);
  other.links.setAddress(one.system.place.node, listener.address);
}
to.system.spawnWellKnown(
  SLOT,
  'sink',
  actor(Sink, (_ctx, _args: undefined) => {
    let taken = 0;
    return {
      take(body) {
        if (body.length === 127) taken += 1;
      },
      taken: () => taken,
    };
  }),
  undefined,
);
const sink = from.system.wellKnown(Sink, { node: 2, thread: 0, slot: SLOT });
// One size byte and 127 bytes: a payload of 128.
const body = new Uint8Array(127).fill(7);
let expected = 0;

await run({
  name: 'link-two-nodes',
  unit: 'msg',
  floor: 700_000,
  async round() {
    expected += MESSAGES;
    const ms = await timed(() => sendAll(sink, body, MESSAGES, expected, env.runQueue));
    return { count: MESSAGES, ms };
  },
  async close() {
    for (const { links, system } of [from, to]) {
      links.close();
      await system.shutdown({ timeoutMs: 1_000 });
    }
    for (const listener of listeners) listener.close();
  },
});
