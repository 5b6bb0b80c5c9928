// Stories of processes and power: killed, paused, cut off from power, started anew with less or nothing.
import { kafkaCluster } from '../kafka-cluster.ts';
import { cut, down, expects, type Story } from './story.ts';

export const NODE_STORIES: readonly Story[] = [
  {
    name: 'failovers-in-a-row',
    after: 'KIP-101, KIP-279',
    what: 'leaders change faster than followers hear of it',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [
      down('kill', ['a'], 0, 1_700),
      down('kill', ['b'], 2_000, 1_700),
      down('kill', ['c'], 4_000, 1_700),
    ],
  },
  {
    name: 'power-cut-of-all',
    after: 'NATS JetStream 2.12.1, #7564',
    what: 'everything loses its power at once',
    over: kafkaCluster,
    cast: 'any',
    deeds: [down('power-cut', ['a', 'b', 'c'], 0, 800)],
    rounds: 3,
  },
  {
    name: 'lossy-crash-and-pauses',
    after: 'NATS JetStream 2.12.1, #7567',
    what: 'one node loses its power, and each other stands still in turn when it is back',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [
      down('power-cut', ['a'], 0, 1_200),
      down('pause', ['b'], 1_600, 2_500),
      down('pause', ['c'], 5_000, 2_500),
    ],
  },
  {
    name: 'last-replica',
    after: 'KIP-966',
    what: 'who is left alone loses its power as well, and is the first to come back',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [
      down('kill', ['b'], 0, 9_000),
      down('kill', ['c'], 2_500, 7_500),
      down('power-cut', ['a'], 5_000, 1_500),
    ],
  },
  {
    name: 'behind-and-cut-off',
    after: 'RabbitMQ quorum queues, #14675; etcd #18055',
    what: 'a replica that comes back far behind does not reach its leader, who dies before it has caught up',
    over: kafkaCluster,
    bugs: ['join-without-holding'],
    cast: 'leader',
    deeds: [
      down('kill', ['b'], 0, 4_000),
      cut(['a-b'], 3_000, 4_500),
      down('kill', ['a'], 6_500, 2_500),
    ],
  },
  {
    name: 'both-behind',
    after: 'BookKeeper #2614',
    what: 'both followers come back behind, one after the other, and the leader goes',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [
      down('kill', ['b'], 0, 3_000),
      down('kill', ['c'], 3_600, 2_000),
      down('kill', ['a'], 6_000, 2_000),
    ],
  },
  {
    name: 'wiped-follower',
    after: 'Vanlightly, Raft with a replaced disk',
    what: 'a follower comes back with an empty disk, and no word of what it promised',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [down('wipe', ['b'], 0, 1_500)],
    expects: expects('serves', 1_500, 6_000),
  },
  {
    name: 'paused-leader',
    after: 'etcd 3.6, #20418',
    what: 'a leader stands still until others lead, and goes on',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [down('pause', ['a'], 0, 9_000)],
    // Clients that wait for an answer of his take some seconds to ask others.
    expects: expects('serves', 5_000, 9_000),
  },
];
