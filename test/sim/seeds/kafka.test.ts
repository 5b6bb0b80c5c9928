import { kafkaCluster } from '../../../src/sim/scenarios/kafka-cluster.ts';
import { CRASHES, LOSSES, replay } from './replay.ts';

replay(kafkaCluster, [
  [
    1_040,
    'a newcomer to the metadata followed a leader that was none any more, and who asked it never voted again',
    LOSSES,
  ],
  [
    1_920_010_809,
    'groups stood still while the wall clock of a new leader was behind the log: nothing came due',
    CRASHES,
  ],
  [7_101, 'a node that came back under a lower incarnation was in no in-sync set any more', LOSSES],
  [
    7_014,
    'a failed write was held against every later life of its node: two of them left group logs without a leader',
    LOSSES,
  ],
  [
    424_264,
    'a node whose metadata store had failed told a second reason, which hid the first',
    LOSSES,
  ],
  [
    60_043,
    'a leader withdrew a change of its set by a proposal that could only be refused, again and again without a pause',
    LOSSES,
  ],
]);
