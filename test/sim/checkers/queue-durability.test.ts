import { describe, expect, test } from 'vitest';
import type { PromisedDurability, Reign } from '../../../src/sim/checkers/durability.ts';
import { checkQueues } from '../../../src/sim/checkers/queue.ts';
import {
  asOwed,
  checkQueueDurability,
  countGone,
} from '../../../src/sim/checkers/queue-durability.ts';
import {
  emptyQueueHistory,
  type Publish,
  type QueueEvent,
  type QueueHistory,
} from '../../../src/sim/checkers/queue-history.ts';

const MODES = ['sync', 'replicated', 'async', 'memory'] as const;
const promises = new Map<string, PromisedDurability>(MODES.map((mode) => [mode, mode]));

function publish(queue: string, over: Partial<Publish> = {}): Publish {
  const to = { exchange: '', key: queue, queues: [queue], streams: [], bodyHash: 1 };
  const facts = { id: 1, lane: 'a', order: 1, isMandatory: false, isReturned: false, ...to };
  return { ...facts, beganMs: 50_000, endedMs: 50_010, outcome: 'confirmed', ...over };
}

function reign(epoch: number, fromMs: number, over: Partial<Reign> = {}): Reign {
  return { epoch, node: epoch, lifeMs: 0, fromMs, cleanMs: 49_000, ...over };
}

/** What came out of the publish's queue, and what became of it there. */
function told(one: Publish, came: 'nothing' | 'back' | 'settled'): QueueHistory {
  const history = emptyQueueHistory();
  history.publishes.push(one);
  for (const name of MODES) history.queues.push({ name, isDurable: true, exchanges: [] });
  const { id, bodyHash, exchange, key } = one;
  const at = { atMs: 51_000, consumer: 'c' };
  const seen = { id, bodyHash, exchange, key, isRedelivered: false };
  const events: QueueEvent[] = [
    { kind: 'consumes', ...at, queue: one.queues[0]!, prefetch: 0, isAutomatic: false },
  ];
  if (came !== 'nothing') events.push({ kind: 'delivered', ...at, delivery: 1, ...seen });
  const how = came === 'back' ? 'requeued' : 'acknowledged';
  if (came !== 'nothing') events.push({ kind: 'settled', atMs: 51_100, delivery: 1, how });
  events.push({ kind: 'disturbed', atMs: 99_000 });
  history.events.push(...events);
  return history;
}

function judge(one: Publish, reigns: readonly Reign[], came: 'nothing' | 'back' | 'settled') {
  const history = told(one, came);
  const witnessed = { promises, reigns: new Map(MODES.map((mode) => [mode, reigns])) };
  const found = checkQueueDurability(history, witnessed).map(({ check }) => check);
  return [...found, ...checkQueues(asOwed(history, witnessed)).map(({ check }) => check)];
}

/** Not seen to have committed all since the answer; or seen so. */
const FIRST = reign(1, 1_000, { untilMs: 50_500 });
const CLEAN = reign(1, 1_000, { cleanMs: 50_020, untilMs: 50_500 });
/** It was over before the publish. */
const OVER = reign(1, 1_000, { untilMs: 49_900 });
/** Seen after the confirm, and not there at the look before it. */
const FRESH = reign(2, 50_020, { sinceMs: 50_005, cleanMs: -1, untilMs: 50_500 });
const LATER = reign(2, 50_600, { sinceMs: 50_550, lifeMs: 500 });
const YOUNG = reign(2, 50_600, { sinceMs: 50_550, lifeMs: 50_520 });
const LAST = reign(3, 99_000, { sinceMs: 98_990, lifeMs: 500 });

describe('a message that was confirmed and never came is', () => {
  test.each<[string, Publish, readonly Reign[], string | undefined]>([
    ['wrong: sync', publish('sync'), [FIRST, YOUNG], 'sync'],
    ['right: sync, transient', publish('sync', { isTransient: true }), [FIRST, LATER], undefined],
    ['wrong: transient, committed', publish('sync', { isTransient: true }), [CLEAN], 'async'],
    ['right: async, not committed', publish('async'), [FIRST, LATER], undefined],
    ['wrong: async, committed', publish('async'), [CLEAN, LATER], 'async'],
    ['wrong: async, nobody else led', publish('async'), [OVER, LATER], 'async'],
    ['right: async, who was seen late', publish('async'), [OVER, FRESH, LAST], undefined],
    ['right: replicated, a young leader', publish('replicated'), [FIRST, YOUNG], undefined],
    ['wrong: replicated, an old one', publish('replicated'), [FIRST, LATER], 'replicated'],
    [
      'right: replicated, transient, an old one',
      publish('replicated', { isTransient: true }),
      [FIRST, LATER],
      undefined,
    ],
    ['right: memory, a process after it', publish('memory'), [FIRST, YOUNG], undefined],
    ['wrong: memory, the same', publish('memory'), [FIRST, LATER], 'memory'],
    [
      'wrong: memory, transient, the same',
      publish('memory', { isTransient: true }),
      [FIRST, LATER],
      'memory',
    ],
    ['right: not confirmed', publish('sync', { outcome: 'unknown' }), [FIRST], undefined],
  ])('%s', (_, one, reigns, wrong) => {
    // Of what nothing may go both say so.
    const lost = wrong === 'sync' ? ['queue/lost'] : [];
    const expected = wrong === undefined ? [] : [`queue-durability/${wrong}`, ...lost];
    expect(judge(one, reigns, 'nothing')).toEqual(expected);
    expect(judge(one, reigns, 'settled')).toEqual([]);
  });
});

describe('a message that came, was given back and never came again is', () => {
  test.each<[string, Publish, readonly Reign[], readonly string[]]>([
    ['wrong: sync', publish('sync'), [FIRST, YOUNG], ['queue/stuck']],
    ['wrong: async, it was committed', publish('async'), [FIRST, YOUNG], ['queue/stuck']],
    ['wrong: transient', publish('sync', { isTransient: true }), [FIRST, YOUNG], ['queue/stuck']],
    ['right: memory, another process', publish('memory'), [FIRST, YOUNG], []],
    ['wrong: memory, the same', publish('memory'), [FIRST, LATER], ['queue/stuck']],
  ])('%s', (_, one, reigns, expected) => {
    expect(judge(one, reigns, 'back')).toEqual(expected);
  });
});

test('what is gone is counted by queue, right or wrong, and not before the end', () => {
  const history = told(publish('async', { queues: ['async', 'sync'] }), 'nothing');
  expect(countGone(history)).toBe(2);
  expect(countGone(told(publish('async', { queues: ['async', 'sync'] }), 'settled'))).toBe(1);
  history.events.pop();
  expect(countGone(history)).toBe(0);
});
