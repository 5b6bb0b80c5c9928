import { kafkaCluster } from '../../../src/sim/scenarios/kafka-cluster.ts';
import { find } from './find.ts';

find([
  {
    bug: 'raft-count-unwritten',
    what: 'a leader of the metadata group that counts its own entries before they are durable',
    scenario: kafkaCluster,
    from: 1_000,
    foundBy: /^group\/few-disks$/,
  },
  {
    bug: 'raft-ack-before-durable',
    what: 'a vote in the metadata group that leaves before it is durable',
    scenario: kafkaCluster,
    from: 1_000,
    // The core asserts it itself, before any checker can see what comes of it.
    foundBy: /^node-failed$/,
  },
]);
