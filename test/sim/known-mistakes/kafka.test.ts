import { kafkaCluster } from '../../../src/sim/scenarios/kafka-cluster.ts';
import { kafkaCompaction } from '../../../src/sim/scenarios/kafka-compaction.ts';
import { kafkaMoves } from '../../../src/sim/scenarios/kafka-moves.ts';
import { kafkaReassign } from '../../../src/sim/scenarios/kafka-reassign.ts';
import { kafkaReplicaReads } from '../../../src/sim/scenarios/kafka-replica-reads.ts';
import { kafkaRetention } from '../../../src/sim/scenarios/kafka-retention.ts';
import { find } from './find.ts';

find([
  {
    bug: 'ack-before-sync',
    what: 'an acknowledgement before the sync',
    scenario: kafkaCluster,
    from: 1_000,
    foundBy: /^replicas\/acknowledged$/,
  },
  {
    bug: 'hw-from-stale-epoch',
    what: 'a committed seq that is taken over before the logs were compared',
    scenario: kafkaCluster,
    from: 1_000,
    foundBy: /^replicas\//,
  },
  {
    bug: 'truncate-below-hw',
    what: 'a cut below what is committed',
    scenario: kafkaCluster,
    from: 1_000,
    foundBy: /^replicas\/(quarantined|alarm)$/,
  },
  {
    bug: 'same-epoch-after-restart',
    what: 'a restarted leader that goes on in its old epoch',
    scenario: kafkaCluster,
    from: 300,
    foundBy: /^replicas\//,
  },
  {
    bug: 'leave-before-change',
    what: 'a replica that deletes what it has before the set has changed',
    scenario: kafkaReassign,
    from: 4,
    foundBy: /^replicas\//,
  },
  {
    bug: 'move-without-end',
    what: 'a planned move to a replica that has not all that was answered',
    scenario: kafkaMoves,
    from: 1,
    foundBy: /^moves\/lost$/,
  },
  {
    bug: 'start-before-commit',
    what: 'a log that starts where its leader says before that is committed',
    scenario: kafkaRetention,
    from: 101,
    foundBy: /^replicas\/start-undone$/,
  },
  {
    bug: 'replica-reads-to-its-end',
    what: 'a replica that gives readers what is not committed',
    scenario: kafkaReplicaReads,
    from: 1,
    foundBy: /^replica-reads\/beyond$/,
  },
  {
    bug: 'tombstones-go-at-once',
    what: 'a deletion that goes with its first compaction',
    scenario: kafkaCompaction,
    from: 2,
    foundBy: /^compacted\/tombstone-early$/,
  },
  {
    bug: 'compaction-drops-newest',
    what: 'a compaction that drops the newest record of a key',
    scenario: kafkaCompaction,
    from: 1,
    foundBy: /^compacted\/lost$/,
  },
]);
