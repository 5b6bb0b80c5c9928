import { expect, test } from 'vitest';
import type { QueueEvent, QueueHistory } from '../../../src/sim/checkers/queue-history.ts';
import {
  checkQuorumQueues,
  countHeardReturns,
  isSpent,
  type LeaderChanges,
} from '../../../src/sim/checkers/quorum-queue.ts';

const LIMIT = 2;

/** Events a second apart. */
function historyOf(...events: readonly object[]): QueueHistory {
  const placed = events.map((event, i) => ({ ...event, atMs: (i + 1) * 1_000 }));
  const queue = { name: 'q', isDurable: true, exchanges: [], deliveryLimit: LIMIT };
  return { queues: [queue], publishes: [], events: placed as unknown as QueueEvent[] };
}

const consumes = (consumer: string) => ({ kind: 'consumes', consumer, queue: 'q' });
const came = (consumer: string, delivery: number, count?: number) => {
  const told = count === undefined ? {} : { count };
  return { kind: 'delivered', consumer, delivery, id: 7, isRedelivered: delivery > 1, ...told };
};
const back = (delivery: number) => ({ kind: 'settled', delivery, how: 'requeued' });
const synced = (consumer: string, asked: number) => ({ kind: 'synced', consumer, asked });
const calm = { kind: 'calm' };

const found = (history: QueueHistory, changes: LeaderChanges = new Map()) =>
  checkQuorumQueues(history, changes).map(({ check }) => check);

/** Given back in a calm, heard, and come again as told. */
const twice = (count: number | undefined, first?: number) =>
  historyOf(calm, consumes('a'), came('a', 1, first), back(1), synced('a', 4), came('a', 2, count));

test('counts that grow are right, and were looked at', () => {
  expect(found(twice(1))).toEqual([]);
  expect(found(twice(2, 1))).toEqual([]);
  expect(countHeardReturns(twice(1), new Map())).toBe(1);
});

test('a return that was heard and is not counted is found, unless another replica began to lead', () => {
  expect(found(twice(undefined))).toEqual(['quorum-queue/uncounted']);
  expect(found(twice(1, 1))).toEqual(['quorum-queue/uncounted']);
  const changes = new Map([['q', [4_000]]]);
  expect(found(twice(undefined), changes)).toEqual([]);
  expect(countHeardReturns(twice(1), changes)).toBe(0);
  const unheard = historyOf(calm, consumes('a'), came('a', 1), back(1), came('a', 2));
  expect(found(unheard)).toEqual([]);
});

test('a message that comes again after its last time, or more often than it may, is found', () => {
  expect(found(twice(2, 2))).toEqual(['quorum-queue/undropped']);
  expect(found(historyOf(consumes('a'), came('a', 1, 3)))).toEqual(['quorum-queue/overrun']);
});

test('a count that falls is found, where whoever is told of it began later', () => {
  const falls = (...between: object[]) =>
    historyOf(consumes('a'), consumes('b'), came('a', 1, 2), ...between);
  expect(found(falls(consumes('c'), came('c', 2, 1)))).toEqual(['quorum-queue/count-fell']);
  // That may have been on its way for long.
  expect(found(falls(came('b', 2, 1)))).toEqual([]);
  // Nobody says that it never came back.
  expect(found(falls(consumes('c'), came('c', 2)))).toEqual([]);
});

test('what may be gone is what was told so', () => {
  expect(isSpent(6, 6)).toBe(true);
  expect(isSpent(3, 6)).toBe(true);
  expect(isSpent(2, 6)).toBe(false);
  expect(isSpent(undefined, 6)).toBe(false);
  expect(isSpent(9, undefined)).toBe(false);
  expect(isSpent(9, -1)).toBe(false);
});
