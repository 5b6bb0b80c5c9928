// Seeds that failed once, each with what it found and the kinds of faults there were then: a kind more in a
// policy changes what a seed means. They stay.
import { expect, test } from 'vitest';
import { CRASH_KINDS, LOSS_KINDS } from '../../src/sim/faults/policy.ts';
import { runSeed } from '../../src/sim/runner.ts';
import { amqpCluster } from '../../src/sim/scenarios/amqp-cluster.ts';
import { durableActors } from '../../src/sim/scenarios/durable-actors.ts';
import { kafkaCluster } from '../../src/sim/scenarios/kafka-cluster.ts';
import { rocketmqCluster } from '../../src/sim/scenarios/rocketmq-cluster.ts';

test.each([
  [
    1_920_010_809,
    'groups stood still while the wall clock of a new leader was behind the log: nothing came due',
    CRASH_KINDS,
  ],
  [
    7_101,
    'a node that came back under a lower incarnation was in no in-sync set any more',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
  [
    7_014,
    'a failed write was held against every later life of its node: two of them left group logs without a leader',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
  [
    424_264,
    'a node whose metadata store had failed told a second reason, which hid the first',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
  [
    60_043,
    'a leader withdrew a change of its set by a proposal that could only be refused, again and again without a pause',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
])(
  'seed %i: %s',
  async (seed, _found, kinds) => {
    const scenario = { ...kafkaCluster, faults: { ...kafkaCluster.faults, kinds } };
    const { failure } = await runSeed(seed, scenario, {});
    expect(failure).toBeUndefined();
  },
  120_000,
);

test.each([
  [
    5,
    'queues that were read by turns on one shard took the messages of each other for unreadable',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
  [
    40_009,
    'a follower of a log that nobody writes to stayed out of the in-sync set: its leader was not ticked any more',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
  [
    1_013,
    'a proposal to show a follower as in sync got lost and was not repeated: nothing else went on in its log',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
])(
  'AMQP seed %i: %s',
  async (seed, _found, kinds) => {
    const scenario = { ...amqpCluster, faults: { ...amqpCluster.faults, kinds } };
    const { failure } = await runSeed(seed, scenario, {});
    expect(failure).toBeUndefined();
  },
  120_000,
);

test.each([
  [
    1_006,
    'a leader that was cut off gave to groups what its successor knew to be done with',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
  [
    5_015,
    'frames that were read back went out without the chain before them, and a sound replica was shut',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
])(
  'RocketMQ seed %i: %s',
  async (seed, _found, kinds) => {
    const scenario = { ...rocketmqCluster, faults: { ...rocketmqCluster.faults, kinds } };
    const { failure } = await runSeed(seed, scenario, {});
    expect(failure).toBeUndefined();
  },
  240_000,
);

test.each([
  [
    1_075,
    'an epoch that began in the millisecond of the frame before counted time twice, and a timer rang early',
    [...CRASH_KINDS, ...LOSS_KINDS],
  ],
])(
  'durable actors seed %i: %s',
  async (seed, _found, kinds) => {
    const scenario = { ...durableActors, faults: { ...durableActors.faults, kinds } };
    const { failure } = await runSeed(seed, scenario, {});
    expect(failure).toBeUndefined();
  },
  240_000,
);
