import { expect, test } from 'vitest';
import { destinationsOf, statusOf } from '../../src/admin/overview.ts';
import type { AdminPorts } from '../../src/admin/ports.ts';
import type { LogStatus } from '../../src/cluster/ports.ts';

test('a partition tells what its leader says, and which of its replicas are quarantined', async () => {
  const log = (logId: number) => ({
    logId,
    partition: logId - 7,
    leader: 1,
    epoch: 4,
    replicas: [1, 2],
    isr: [1],
    durability: 'async',
  });
  const status: LogStatus = {
    logId: 7,
    role: 'leader',
    epoch: 4,
    lastEpoch: 4,
    startOffset: 1,
    committedOffset: 5,
    endOffset: 6,
    endSeq: 9,
    uncleanFrom: -1,
    lostFrom: -1,
    lostCommittedTo: -1,
    lostTo: -1,
    committedSeq: 8,
  };
  const ports = {
    view: { destinations: () => [{ name: 'd', isInternal: false, logs: [log(7), log(8)] }] },
    replicaStatus: () =>
      Promise.resolve({ leaders: new Map([[7, status]]), failed: new Map([[8, [2]]]) }),
  } as unknown as AdminPorts;
  const [destination] = await destinationsOf(ports);
  expect(destination?.durability).toBe('async');
  expect(destination?.partitions).toMatchObject([
    { partition: 0, failed: [], startOffset: 1, highWatermark: 5, logEndOffset: 6 },
    { partition: 1, failed: [2], highWatermark: -1 },
  ]);
});

test('a node whose disk is too full for publishes says so, and is degraded', () => {
  const view = {
    clusterId: 'c',
    nodeId: 1,
    controllerId: 1,
    nodes: () => [],
    destinations: () => [],
  };
  const disk = { freeBytes: 7, isShort: true };
  const ports = {
    version: 'v',
    view,
    uptimeMs: () => 1,
    disk: () => disk,
  } as unknown as AdminPorts;
  const short = { health: 'degraded', diskFreeBytes: 7, isDiskShort: true };
  expect(statusOf(ports)).toMatchObject(short);
  disk.isShort = false;
  expect(statusOf(ports)).toMatchObject({ health: 'ok', isDiskShort: false });
});
