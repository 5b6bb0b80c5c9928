// A simulated program whose actors ask each other in a circle, over two nodes, fails its run with the path.
import { expect, test } from 'vitest';
import type { Context } from '../../src/actors/index.ts';
import { actor, ask, createSystem, protocol } from '../../src/actors/index.ts';
import { Links } from '../../src/actors/links/links.ts';
import { none, u32 } from '../../src/codec/index.ts';
import { cycleTracer } from '../../src/sim/ask-cycles.ts';
import { inWorld } from '../../src/sim/runner.ts';
import type { World } from '../../src/sim/world.ts';

const Peer = protocol('peer', 1, { go: ask(none, u32), plain: ask(none, u32) });
const PORT = 4_000;

/** Two nodes, each with a peer; `go` asks `next` of the peer on the other node. */
async function twoNodes(world: World, next: (node: number) => 'go' | 'plain') {
  const tracer = cycleTracer(world);
  const hosts = [1, 2].map((number) => world.node(`n${number}`));
  const systems = await Promise.all(
    hosts.map(async (host) => {
      const { environment: env } = host.start();
      const options = { name: host.id, node: host.number, thread: 0, strict: true, tracer };
      const system = createSystem(env, options);
      const links = new Links(system, { clusterId: 'test', token: 'secret' });
      for (const other of hosts) {
        if (other !== host) links.setAddress(other.number, { host: other.host, port: PORT });
      }
      await env.net.listen({ host: host.host, port: PORT }, (connection) =>
        links.accept(connection),
      );
      const PeerActor = actor(Peer, (ctx: Context<typeof Peer.ops>, _args: undefined) => {
        const id = { node: 3 - host.number, incarnation: 0, thread: 0, slot: 7, generation: 0 };
        const other = ctx.ref(Peer, id);
        return {
          go: async () => (await other.ask(next(host.number), undefined, { timeoutMs: 500 })) + 1,
          plain: () => 1,
        };
      });
      system.spawnWellKnown(7, 'peer', PeerActor, undefined);
      return system;
    }),
  );
  return systems[0]!.wellKnown(Peer, { node: 1, thread: 0, slot: 7 });
}

test('asks in a circle over nodes fail the run with their path', async () => {
  await inWorld(1, {}, async (world) => {
    const peer = await twoNodes(world, (node) => (node === 1 ? 'go' : 'plain'));
    // The run ends with the failure: nothing becomes of the ask.
    peer.ask('go', undefined, { timeoutMs: 2_000 }).catch(() => undefined);
    await world.advance(3_000);
    expect(world.failure).toMatchObject({ check: 'ask-cycle' });
    expect(world.failure?.message).toBe('/peer asks go of /peer asks plain of /peer');
  });
});

test('asks that come to an end do not', async () => {
  await inWorld(1, {}, async (world) => {
    const peer = await twoNodes(world, () => 'plain');
    const answer = peer.ask('go', undefined, { timeoutMs: 2_000 });
    await world.advance(3_000);
    expect(await answer).toBe(2);
    expect(world.failure).toBeUndefined();
  });
});
