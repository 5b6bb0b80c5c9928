import { kafkaCluster } from '../../../src/sim/scenarios/kafka-cluster.ts';
import { find, story } from './find.ts';

find([
  {
    bug: 'raft-forget-vote',
    what: 'a node of the metadata group that has forgotten its vote when it starts again',
    scenario: story('power-cut-of-all'),
    from: 1,
    foundBy: /^group\/vote$/,
  },
  {
    bug: 'raft-commit-older-terms',
    what: 'a leader of the metadata group that counts for an entry of an older term',
    scenario: story('half-heard-controller'),
    from: 1,
    foundBy: /^group\/old-term$/,
  },
  {
    bug: 'raft-vote-for-behind',
    what: 'a vote in the metadata group for who lacks what is committed',
    scenario: story('behind-at-election'),
    from: 2,
    // The core of a leader may be the first to see that a follower has more than it.
    foundBy: /^(group\/lacks-committed|node-failed)$/,
  },
  {
    bug: 'raft-trust-old-terms',
    what: 'a node of the metadata group that obeys a leader of an older term',
    scenario: story('words-of-a-former-leader'),
    from: 5,
    foundBy: /^group\/(committed|few-disks)$/,
  },
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
