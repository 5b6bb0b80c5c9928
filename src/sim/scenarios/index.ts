// All scenarios the command line knows. The first is what runs when none is named.
import type { Scenario } from '../scenario.ts';
import { amqpAccess } from './amqp-access.ts';
import { amqpCluster, amqpHeld, amqpKinds, amqpMirrors, amqpNormalMode } from './amqp-cluster.ts';
import { amqpDurability } from './amqp-durability.ts';
import { damagedDisks } from './damaged-disks.ts';
import { damagedWal } from './damaged-wal.ts';
import { durableActors } from './durable-actors.ts';
import { kafkaCluster } from './kafka-cluster.ts';
import { kafkaCompaction } from './kafka-compaction.ts';
import { kafkaDurability } from './kafka-durability.ts';
import { kafkaJoin } from './kafka-join.ts';
import { kafkaMoves } from './kafka-moves.ts';
import { kafkaReassign } from './kafka-reassign.ts';
import { kafkaReplicaReads } from './kafka-replica-reads.ts';
import { kafkaRetention } from './kafka-retention.ts';
import { quorumLog } from './quorum-log.ts';
import { rocketmqCluster } from './rocketmq-cluster.ts';
import { stories } from './stories/index.ts';

export const scenarios: readonly Scenario[] = [
  kafkaCluster,
  kafkaRetention,
  kafkaReassign,
  kafkaReplicaReads,
  kafkaMoves,
  kafkaJoin,
  kafkaCompaction,
  damagedDisks,
  damagedWal,
  kafkaDurability,
  amqpCluster,
  amqpNormalMode,
  amqpHeld,
  amqpKinds,
  amqpMirrors,
  amqpDurability,
  amqpAccess,
  rocketmqCluster,
  durableActors,
  quorumLog,
  ...stories,
];
