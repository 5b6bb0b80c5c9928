// Disks that lie about the past: nodes are put back to earlier states of theirs, as by a backup, between what else
// the retention scenario does to them. What was acknowledged since must be nobody's loss.
import type { FaultKind } from '../faults/policy.ts';
import type { Scenario } from '../scenario.ts';
import { kafkaRetention } from './kafka-retention.ts';
import { CLUSTER_FAULTS } from './simulated-cluster.ts';

/** Few kinds: a node is damaged only while all others are whole, and must get to be whole again. */
const KINDS: readonly FaultKind[] = [
  'kill',
  'power-cut',
  'kill-all',
  'pause',
  'reset',
  'clog',
  'disk-slow',
  'wipe',
  'rollback',
];

export const damagedDisks: Scenario = {
  ...kafkaRetention,
  name: 'damaged-disks',
  faults: { ...CLUSTER_FAULTS, kinds: KINDS, meanMs: [1_500, 6_000], downMs: [100, 2_000] },
};
