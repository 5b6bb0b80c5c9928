import { rocketmqCluster } from '../../../src/sim/scenarios/rocketmq-cluster.ts';
import { LOSSES, replay } from './replay.ts';

replay(rocketmqCluster, [
  [
    1_004,
    'a receive that was cancelled failed late, and took what the next one of its consumer had been given',
    LOSSES,
  ],
  [
    1_006,
    'a leader that was cut off gave to groups what its successor knew to be done with',
    LOSSES,
  ],
  [
    5_015,
    'frames that were read back went out without the chain before them, and a sound replica was shut',
    LOSSES,
  ],
]);
