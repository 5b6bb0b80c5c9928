// Stories of disks and clocks: full, stalled, slow, failing once; times that jump or go wrong.
import { durableActors } from '../durable-actors.ts';
import { kafkaCluster } from '../kafka-cluster.ts';
import { disk, expects, type Story } from './story.ts';

const DAY_MS = 86_400_000;

export const DEVICE_STORIES: readonly Story[] = [
  {
    name: 'stalled-controller',
    after: 'etcd #15247',
    what: 'the disk of who leads the group stands still for 10 s',
    over: kafkaCluster,
    cast: 'controller',
    deeds: [disk('disk-stall', ['a'], 0, 10_000)],
  },
  {
    name: 'full-everywhere',
    after: 'Redpanda, disks that fill together',
    what: 'no disk has any room for 4 s, and then all have',
    over: kafkaCluster,
    cast: 'any',
    deeds: [disk('disk-full', ['a', 'b', 'c'], 0, 4_000)],
  },
  {
    name: 'failed-sync',
    after: 'FAST 2017; fsync errors of PostgreSQL',
    what: 'a sync of the leader fails once',
    over: kafkaCluster,
    cast: 'leader',
    deeds: [{ deed: 'sync-error', whom: ['a'], atMs: 500 }],
    expects: expects('serves', 500, 6_000),
  },
  {
    name: 'clock-back',
    after: 'etcd #15247, leases by the clock',
    what: 'a clock goes back a day, and forth again: nobody is elected for it',
    over: durableActors,
    cast: 'controller',
    deeds: [
      { deed: 'clock-jump', whom: ['a'], byMs: -DAY_MS, atMs: 500 },
      { deed: 'clock-jump', whom: ['a'], byMs: DAY_MS, atMs: 5_000 },
    ],
    expects: [...expects('same-controller', 0, 7_000), ...expects('serves', 500, 7_000)],
  },
];
