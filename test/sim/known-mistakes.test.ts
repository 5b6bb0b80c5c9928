// A simulator is worth what it finds. Each known mistake is switched on in the real nodes and must be found
// within a few seeds, by the invariant that it breaks.
import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import type { Scenario } from '../../src/sim/scenario.ts';
import { amqpCluster, amqpNormalMode } from '../../src/sim/scenarios/amqp-cluster.ts';
import { durableActors } from '../../src/sim/scenarios/durable-actors.ts';
import { kafkaCluster } from '../../src/sim/scenarios/kafka-cluster.ts';
import { kafkaRetention } from '../../src/sim/scenarios/kafka-retention.ts';
import { rocketmqCluster } from '../../src/sim/scenarios/rocketmq-cluster.ts';

const SEEDS_MAX = 3;
const LIMIT_MS = 120_000;

async function firstFailure(
  bug: string,
  from: number,
  scenario: Scenario = kafkaCluster,
): Promise<string> {
  expect(scenario.bugs).toContain(bug);
  for (let seed = from; seed < from + SEEDS_MAX; seed += 1) {
    const { failure } = await runSeed(seed, scenario, { bug });
    if (failure !== undefined) return failure.check;
  }
  return 'nothing found';
}

test(
  'an acknowledgement before the sync is found',
  async () => {
    expect(await firstFailure('ack-before-sync', 1_000)).toBe('replicas/acknowledged');
  },
  LIMIT_MS,
);

test(
  'a committed seq that is taken over before the logs were compared is found',
  async () => {
    expect(await firstFailure('hw-from-stale-epoch', 1_000)).toMatch(/^replicas\//);
  },
  LIMIT_MS,
);

test(
  'a cut below what is committed is found',
  async () => {
    expect(await firstFailure('truncate-below-hw', 1_000)).toBe('replicas/quarantined');
  },
  LIMIT_MS,
);

test(
  'a restarted leader that goes on in its old epoch is found',
  async () => {
    expect(await firstFailure('same-epoch-after-restart', 300)).toMatch(/^replicas\//);
  },
  LIMIT_MS,
);

test(
  'a log that starts where its leader says before that is committed is found',
  async () => {
    const found = await firstFailure('start-before-commit', 101, kafkaRetention);
    expect(found).toBe('replicas/start-undone');
  },
  LIMIT_MS,
);

test(
  'a lease that is forgotten without giving its message back is found',
  async () => {
    expect(await firstFailure('drop-lease', 1_000, amqpCluster)).toMatch(/^queue\/(lost|stuck)$/);
  },
  LIMIT_MS,
);

test(
  'a consumer of a stream that goes on too early is found',
  async () => {
    const found = await firstFailure('stream-reads-again', 1_000, amqpCluster);
    expect(found).toBe('stream/repeat');
  },
  LIMIT_MS,
);

test(
  'a confirm before its message is on the one disk that a queue has is found',
  async () => {
    expect(await firstFailure('ack-before-durable', 2_022, amqpNormalMode)).toBe('queue/lost');
  },
  LIMIT_MS,
);

test(
  'a batch that a stream stores twice is found',
  async () => {
    const found = await firstFailure('stream-stores-again', 1_000, amqpCluster);
    expect(found).toBe('kafka-log/duplicate');
  },
  LIMIT_MS,
);

test(
  'a confirm before its message is committed is found',
  async () => {
    expect(await firstFailure('ack-before-durable', 1_009, amqpCluster)).toBe('queue/lost');
  },
  LIMIT_MS,
);

/** What is wrong whatever happens needs no long chaos. */
const shortly = { ...rocketmqCluster, chaosMs: 8_000 };

test.each([
  ['drop-lease', 'a lease of a group that is forgotten', 1_000, shortly, /^groups\/(lost|stuck)$/],
  [
    'give-twice',
    'a message that is given to two',
    1_000,
    shortly,
    /^groups\/(shared|resurrected)$/,
  ],
  [
    'ack-ignores-holder',
    'an acknowledgement of who has it no more',
    1_000,
    rocketmqCluster,
    /^groups\//,
  ],
  [
    'forget-acknowledged',
    'a snapshot that forgets',
    1_000,
    rocketmqCluster,
    /^groups\/resurrected$/,
  ],
  ['give-early', 'a leader that gives and leads no more', 2_005, rocketmqCluster, /^groups\//],
] as const)(
  '%s: %s is found',
  async (bug, _what, from, scenario, check) => {
    expect(await firstFailure(bug, from, scenario)).toMatch(check);
  },
  2 * LIMIT_MS,
);

test(
  'a durable actor that decides a command again that comes again is found',
  async () => {
    expect(await firstFailure('decide-again', 1_002, durableActors)).toMatch(/^ledger\//);
  },
  LIMIT_MS,
);

test(
  'a new leader whose clock is believed is found by a timer that is early',
  async () => {
    expect(await firstFailure('trust-clocks', 1_002, durableActors)).toBe('ledger/early');
  },
  LIMIT_MS,
);

test(
  'a timer that does twice what it does is found',
  async () => {
    expect(await firstFailure('fire-twice', 1_002, durableActors)).toBe('ledger/twice');
  },
  LIMIT_MS,
);

test(
  'an account that is answered for by a leader that leads no more is found',
  async () => {
    expect(await firstFailure('answer-at-once', 1_006, durableActors)).toBe('ledger/stale');
  },
  LIMIT_MS,
);
