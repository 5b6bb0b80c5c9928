import { durableActors } from '../../../src/sim/scenarios/durable-actors.ts';
import { LOSSES, replay } from './replay.ts';

replay(durableActors, [
  [
    1_075,
    'an epoch that began in the millisecond of the frame before counted time twice, and a timer rang early',
    LOSSES,
  ],
]);
