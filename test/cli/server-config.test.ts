import { expect, test } from 'vitest';
import type { NodeConfig } from '../../src/assembly/node-config.ts';
import { nodeConfigText, parseNodeConfig } from '../../src/cli/server-config.ts';

const ports = { linkPort: 1, kafkaPort: 2, amqpPort: 3, rocketmqPort: 4, httpPort: 5 };
const config: NodeConfig = {
  clusterId: 'c',
  nodeId: 1,
  nodes: [{ id: 1, host: 'h', ...ports }],
  dataRoot: undefined,
  shards: 0,
  host: 'localhost',
  token: 't',
  isFounding: false,
};

test('what the launcher hands over is what the node reads', () => {
  expect(parseNodeConfig(nodeConfigText(config), 'it')).toEqual(config);
  const alone = {
    ...config,
    queueReplicas: 1,
    diskFreeMinBytes: 0,
    compactionBytesPerSecond: 1e6,
    scrubIntervalMs: 0,
    scrubBytesPerSecond: 1e6,
  };
  expect(parseNodeConfig(nodeConfigText(alone), 'it')).toEqual(alone);
});

test.each([-1, 1.5, '1', null])('scrubIntervalMs %j is refused by name', (scrubIntervalMs) => {
  const text = JSON.stringify({ ...config, memory: true, scrubIntervalMs });
  expect(() => parseNodeConfig(text, 'it')).toThrow(/it: scrubIntervalMs is missing or wrong/);
});

test.each([-1, 1.5, '1', null])('diskFreeMinBytes %j is refused by name', (diskFreeMinBytes) => {
  const text = JSON.stringify({ ...config, memory: true, diskFreeMinBytes });
  expect(() => parseNodeConfig(text, 'it')).toThrow(/it: diskFreeMinBytes is missing or wrong/);
});

test.each([0, 65, 1.5, '1', null])('queueReplicas %j is refused by name', (queueReplicas) => {
  const text = JSON.stringify({ ...config, memory: true, queueReplicas });
  expect(() => parseNodeConfig(text, 'it')).toThrow(/it: queueReplicas is missing or wrong/);
});

test('a profile is taken by its name, and refused where there is none of that name', () => {
  const textOf = (profile: unknown) => JSON.stringify({ ...config, memory: true, profile });
  expect(parseNodeConfig(textOf('classic-kafka'), 'it').profile).toBe('classic-kafka');
  expect(parseNodeConfig(textOf(undefined), 'it').profile).toBeUndefined();
  for (const wrong of ['classic', '', 4_000]) {
    expect(() => parseNodeConfig(textOf(wrong), 'it')).toThrow(/profile is missing or wrong/);
  }
});
