// Write-ahead logs that rot below what they acknowledged, while their node is down: the replica is counted no more, has
// its logs anew from their leaders, and what was acknowledged is nobody's loss.
import type { Scenario } from '../scenario.ts';
import { kafkaRetention } from './kafka-retention.ts';
import { rotWal } from './rotten-wal.ts';
import { CLUSTER_FAULTS } from './simulated-cluster.ts';

export const damagedWal: Scenario = {
  ...kafkaRetention,
  name: 'damaged-wal',
  faults: {
    ...CLUSTER_FAULTS,
    kinds: ['kill', 'power-cut', 'pause', 'reset', 'clog', 'disk-slow', 'rot-at-rest'],
    meanMs: [1_500, 6_000],
    downMs: [100, 2_000],
    rotsAtRest: rotWal,
  },
  bugs: [],
};
