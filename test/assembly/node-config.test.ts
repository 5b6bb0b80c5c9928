// What a node is refused to be started with, before it touches its folder.
import { expect, test } from 'vitest';
import { localShards } from '../../src/assembly/local-shards.ts';
import { nodeStarter } from '../../src/assembly/node.ts';
import { type NodeConfig, refuseConfig, refuseFounding } from '../../src/assembly/node-config.ts';
import type { Environment } from '../../src/env/environment.ts';

const ports = { linkPort: 1, kafkaPort: 2, amqpPort: 3, rocketmqPort: 4, httpPort: 5 };
const config: NodeConfig = {
  clusterId: 'c',
  nodeId: 1,
  nodes: [{ id: 1, host: 'h', ...ports }],
  dataRoot: undefined,
  shards: 0,
  host: 'localhost',
  token: 't',
};

test.each([
  ['compactionBytesPerSecond', 0],
  ['compactionBytesPerSecond', 65_535],
  ['compactionBytesPerSecond', Number.NaN],
  ['scrubBytesPerSecond', 65_535],
  ['scrubBytesPerSecond', 2 ** 41],
  ['scrubIntervalMs', -1],
  ['diskFreeMinBytes', 0.5],
  ['queueReplicas', 0],
  ['shards', 65],
] as const)('%s of %s', async (name, value) => {
  const start = nodeStarter({ makeShards: localShards });
  const env = new Proxy({} as Environment, {
    get: () => {
      throw new Error('the environment was touched');
    },
  });
  await expect(start(env, { ...config, [name]: value })).rejects.toMatchObject({
    code: 'NODE_CONFIG_INVALID',
    message: expect.stringMatching(`^${name} is a whole number from \\d+ to \\d+, not `) as string,
  });
});

test('a node that is not in its own list', () => {
  expect(refuseConfig({ ...config, nodeId: 2 })).toBe('node 2 is not in the list of nodes');
  expect(refuseConfig(config)).toBeUndefined();
  const all = { scrubIntervalMs: 0, scrubBytesPerSecond: 65_536, compactionBytesPerSecond: 65_536 };
  expect(
    refuseConfig({ ...config, ...all, queueReplicas: 3, diskFreeMinBytes: 0 }),
  ).toBeUndefined();
});

test('two that vote do not found a cluster, and go on where their configuration still says so', () => {
  const [one] = config.nodes;
  const two = { ...config, isFounding: true, nodes: [one!, { ...one!, id: 2 }] };
  expect(refuseFounding(two)).toMatch(/two nodes that vote/);
  expect(refuseFounding({ ...two, isFounding: false })).toBeUndefined();
  expect(refuseConfig(two)).toBeUndefined();
});
