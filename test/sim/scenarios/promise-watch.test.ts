// What a watch of changing promises takes for the weakest, over nodes that a test has made.
import { expect, test } from 'vitest';
import type { Durability } from '../../../src/cluster/ports.ts';
import { checkQueueDurability } from '../../../src/sim/checkers/queue-durability.ts';
import { emptyQueueHistory } from '../../../src/sim/checkers/queue-history.ts';
import { PromiseWatch } from '../../../src/sim/scenarios/promise-watch.ts';
import type { World } from '../../../src/sim/world.ts';

function watching(...looks: readonly [atMs: number, ...seen: Durability[]][]) {
  const world = { nowMs: 0 };
  let seen: readonly Durability[] = [];
  const watch = new PromiseWatch(world as unknown as World, () => seen);
  for (const [atMs, ...all] of looks) {
    world.nowMs = atMs;
    seen = all;
    watch.look();
  }
  return watch;
}

test('the weakest that any node took it for, from the look before it was seen to the one when it was over', () => {
  const watch = watching(
    [10],
    [20, 'sync'],
    [30, 'sync', 'async'],
    [40, 'async', 'async'],
    [50],
    [60, 'sync', 'replicated'],
    [70, 'sync', 'sync'],
  );
  expect(watch.changes).toBe(3);
  // Nobody was up at 50: what was known before holds.
  const weakest = [5, 15, 19, 20, 35, 45, 59, 60].map((fromMs) => watch.weakest(fromMs, fromMs));
  expect(weakest).toEqual(['sync', 'sync', 'sync', 'async', 'async', 'async', 'async', 'async']);
  expect(watch.weakest(61, 61)).toBe('replicated');
  expect(watch.weakest(70, 70)).toBe('replicated');
  expect(watch.weakest(71, 900)).toBe('sync');
  expect(watch.weakest(0, 900)).toBe('async');
});

test('a queue is judged by what it promised while a message was published, not before or after', () => {
  const watch = watching([10, 'sync'], [20, 'async'], [30, 'sync']);
  const check = (beganMs: number, endedMs: number) => {
    const history = emptyQueueHistory();
    const to = { exchange: '', key: 'q', queues: ['q'], streams: [], bodyHash: 1 };
    const facts = { id: 1, lane: 'a', order: 1, isMandatory: false, isReturned: false };
    history.publishes.push({ ...facts, ...to, beganMs, endedMs, outcome: 'confirmed' });
    history.events.push({ kind: 'disturbed', atMs: 99 });
    // Who led was killed at once, and had nothing committed.
    const lifeMs = 0;
    const died = { epoch: 1, node: 1, lifeMs, fromMs: 0, cleanMs: -1, untilMs: endedMs + 1 };
    const next = { epoch: 2, node: 2, lifeMs, fromMs: endedMs + 2, cleanMs: -1 };
    const witnessed = {
      promises: new Map(),
      reigns: new Map([['q', [died, next]]]),
      changing: new Map([['q', watch.weakest.bind(watch)]]),
    };
    return checkQueueDurability(history, witnessed).map((found) => found.check);
  };
  expect(check(2, 9)).toEqual(['queue-durability/sync']);
  expect(check(2, 10)).toEqual([]);
  expect(check(25, 26)).toEqual([]);
  expect(check(31, 32)).toEqual(['queue-durability/sync']);
});
