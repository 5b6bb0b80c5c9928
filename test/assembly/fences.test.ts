import { expect, test } from 'vitest';
import { Fences } from '../../src/assembly/fences.ts';
import { localShards } from '../../src/assembly/local-shards.ts';
import { nodeStarter } from '../../src/assembly/node.ts';
import type { MetadataCommand } from '../../src/cluster/metadata/index.ts';
import { encodeCommand } from '../../src/cluster/metadata/index.ts';
import { MetadataReplica } from '../../src/cluster/metadata-shell/metadata-replica.ts';
import { inWorld } from '../../src/sim/runner.ts';

function registration(node: number, bootCounter: number): MetadataCommand {
  return {
    kind: 'register-node',
    node,
    incarnation: 1,
    previousIncarnation: 0,
    bootCounter,
    hasFailedSync: false,
    osBootId: 'boot',
    pid: 7,
    rack: undefined,
    endpoints: [],
    firstShardThread: 0,
    shardIncarnations: [1],
  };
}

test('a node that was live is lost with its fence: not a new life, nor oneself, nor who leads the metadata', () => {
  const replica = new MetadataReplica(1);
  const lost: number[] = [];
  const fences = new Fences(replica, { nodeLost: (node) => lost.push(node) });
  let index = 0;
  const apply = (...commands: MetadataCommand[]): number[] => {
    for (const command of commands) {
      index += 1;
      expect(replica.apply(encodeCommand(command), index)).toBeUndefined();
    }
    replica.publish();
    fences.look();
    return lost.splice(0);
  };
  const fence = (node: number) => ({ kind: 'fence-node', node, incarnation: 1 }) as const;
  const unfence = (node: number) => ({ kind: 'unfence-node', node, incarnation: 1 }) as const;
  const ids = [1, 2, 3];
  replica.setController(3);
  expect(apply(...ids.map((id) => registration(id, 1)))).toEqual([]);
  expect(apply(...ids.map(unfence))).toEqual([]);
  expect(apply(fence(2))).toEqual([2]);
  expect(apply(fence(1), fence(3))).toEqual([]);
  expect(apply(...ids.map(unfence))).toEqual([]);
  // It restarted before it was missed: it is fenced until it is heard, and its links are new.
  expect(apply(registration(2, 2))).toEqual([]);
  expect(apply(unfence(2))).toEqual([]);
  // Absent and back between two looks.
  expect(apply(fence(2), unfence(2))).toEqual([]);
  expect(apply(fence(2))).toEqual([2]);
});

test('links to a node that vanished without a word end with its fence, long before the system gives up', async () => {
  await inWorld(5, { buggify: false }, async (world) => {
    const ids = ['n1', 'n2', 'n3'];
    const nodes = ids.map((id, index) => ({
      id: index + 1,
      host: world.node(id).host,
      linkPort: 7_001,
      kafkaPort: 9_092,
      amqpPort: 5_672,
      rocketmqPort: 0,
      httpPort: 0,
    }));
    const start = nodeStarter({ makeShards: localShards });
    const linksTo = (from: string, to: string): number =>
      world.network.openBetween(world.node(from).process!, world.node(to).host);
    for (const id of ids) {
      const { environment } = world.node(id).start();
      const config = {
        clusterId: 'c',
        nodeId: world.node(id).number,
        nodes,
        dataRoot: environment.disk.root,
        shards: 0,
        host: world.node(id).host,
        isFounding: true,
        token: 'secret',
      };
      start(environment, config).catch((error: unknown) => world.fail('start', String(error)));
    }
    await world.advance(8_000);
    expect(linksTo('n1', 'n3')).toBeGreaterThan(0);
    expect(linksTo('n2', 'n3')).toBeGreaterThan(0);
    world.node('n3').powerCut();
    await world.advance(20);
    const hanging = linksTo('n1', 'n3') + linksTo('n2', 'n3');
    expect(hanging).toBeGreaterThan(0);
    // Time enough for the fence (a session of 1 s), not for the simulated system to give up.
    await world.advance(3_500);
    expect(linksTo('n1', 'n3') + linksTo('n2', 'n3')).toBe(0);
    expect(world.failure).toBeUndefined();
  });
});
