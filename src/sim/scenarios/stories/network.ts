// Stories of links: cut, cut in one direction, flapping, slow.
import { kafkaCluster } from '../kafka-cluster.ts';
import { cut, down, expects, often, type Story } from './story.ts';

export const NETWORK_STORIES: readonly Story[] = [
  {
    name: 'alone-then-dead',
    after: 'Kafka 0.8, Jepsen 2013',
    what: 'a leader is cut off from its followers, and dies there',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [cut(['a-b', 'a-c'], 0, 8_000), down('kill', ['a'], 4_000, 6_000)],
    expects: expects('serves', 5_000, 9_000),
  },
  {
    name: 'leader-unheard',
    after: 'KIP-996',
    what: 'a leader hears everybody and is heard by nobody',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [cut(['a>b', 'a>c'], 0, 15_000)],
    expects: expects('serves', 8_000, 15_000),
  },
  {
    name: 'leader-deaf',
    after: 'OSDI 2018, simplex partitions',
    what: 'a leader is heard by everybody and hears nobody',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [cut(['b>a', 'c>a'], 0, 15_000)],
    expects: expects('serves', 8_000, 15_000),
  },
  {
    name: 'flapping-link',
    after: 'KIP-996, scenario A; etcd #14893',
    what: 'a link to who leads the group comes and goes: he stays',
    over: kafkaCluster,
    cast: 'controller',
    deeds: often(12, 700, cut(['a-b'], 0, 350)),
    expects: [...expects('same-controller', 0, 8_400), ...expects('serves', 0, 8_400)],
  },
];
