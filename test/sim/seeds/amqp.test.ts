import { amqpCluster } from '../../../src/sim/scenarios/amqp-cluster.ts';
import { LOSSES, replay } from './replay.ts';

replay(amqpCluster, [
  [
    5,
    'queues that were read by turns on one shard took the messages of each other for unreadable',
    LOSSES,
  ],
  [
    40_009,
    'a follower of a log that nobody writes to stayed out of the in-sync set: its leader was not ticked any more',
    LOSSES,
  ],
  [
    1_013,
    'a proposal to show a follower as in sync got lost and was not repeated: nothing else went on in its log',
    LOSSES,
  ],
  [
    774_303,
    'a reader that holds four messages at most had no time to come to the end of a stream, and what is there was lost',
    LOSSES,
  ],
]);
