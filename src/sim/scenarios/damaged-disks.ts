// Disks that do not keep what they were given: settled segments rot, and nodes are put back to earlier states of
// theirs, as by a backup, between what else the retention scenario does to them. The scrub must find what rots, the
// other replicas make it good, and what was acknowledged is nobody's loss.
import type { FaultKind } from '../faults/policy.ts';
import type { Scenario } from '../scenario.ts';
import { kafkaRetention, retentionRun } from './kafka-retention.ts';
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
  'bit-rot',
];
const SCRUB_INTERVAL_MS = 1_000;
/** Nothing is ever scrubbed. */
const NO_SCRUB = 'no-scrub';

export const damagedDisks: Scenario = {
  ...kafkaRetention,
  name: 'damaged-disks',
  faults: {
    ...CLUSTER_FAULTS,
    kinds: KINDS,
    meanMs: [1_500, 6_000],
    downMs: [100, 2_000],
    // What is in the write-ahead log is another matter: see damaged-wal.
    damages: (path) => path.startsWith('shard-') && path.endsWith('.seg'),
  },
  bugs: [NO_SCRUB],
  create: (world, { bug }) =>
    retentionRun(world, { scrubIntervalMs: bug === NO_SCRUB ? 0 : SCRUB_INTERVAL_MS }),
};
