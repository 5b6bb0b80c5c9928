// A feed against a log that keeps its rules: numbers without a gap, what is refused takes none, what is
// lost is found out by asking again.
import { expect, test } from 'vitest';
import { Feed, FeedBatch } from '../../../src/broker/access/feed.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';

const [STORED, REFUSED, UNKNOWN] = [0, 1, 2];

class World {
  nowMs = 0;
  /** In the order in which they were sent, and not answered. */
  sent: FeedBatch[] = [];
  readonly answers = new Map<number, number>();
  readonly offsets = new Map<number, number>();
  readonly givenUp: number[] = [];
  readonly given: FeedBatch[] = [];
  readonly feed: Feed;
  #flight = 0;

  constructor(batchesInFlightMax = 4) {
    this.feed = new Feed(7, 1_000, {
      batchesInFlightMax,
      nowMs: () => this.nowMs,
      takeBatch: () => new FeedBatch(),
      giveBatch: (batch) => this.given.push(batch),
      send: (_feed, batch) => {
        batch.isSealed = true;
        this.sent.push(batch);
      },
      answer: (flight, outcome, offset) => {
        expect(this.answers.has(flight)).toBe(false);
        this.answers.set(flight, outcome);
        this.offsets.set(flight, offset);
      },
      giveUp: (flight) => this.givenUp.push(flight),
    });
    this.feed.canSend = true;
  }

  /** So many messages of one turn. */
  add(count: number, size = 10): void {
    const body = encodeUtf8('x'.repeat(size));
    for (let i = 0; i < count; i += 1) this.feed.append(1, body, 0, size, this.#flight++);
    this.feed.pump();
  }

  /** Numbers and counts of what is sent. */
  get numbers(): [number, number][] {
    return this.sent.map(({ number, count }) => [number, count]);
  }

  take(): FeedBatch {
    return this.sent.shift()!;
  }

  outcomes(): number[] {
    return [...this.answers].sort(([a], [b]) => a - b).map(([, outcome]) => outcome);
  }
}

test('a turn is a batch; what comes while the window is full waits together', () => {
  const world = new World(2);
  for (const count of [2, 3, 1, 1]) world.add(count);
  expect(world.numbers).toEqual([
    [1, 2],
    [3, 3],
  ]);
  world.feed.settled(world.take(), STORED);
  world.feed.pump();
  expect(world.numbers).toEqual([
    [3, 3],
    [6, 2],
  ]);
  world.feed.settled(world.take(), STORED);
  world.feed.settled(world.take(), STORED);
  expect(world.outcomes()).toEqual(new Array(7).fill(STORED));
  expect([world.feed.bytes, world.feed.isIdle, world.given.length]).toEqual([0, true, 3]);
});

test('a batch is content with its leader when all of its messages are', () => {
  const world = new World();
  const body = encodeUtf8('x');
  const send = (...early: boolean[]) => {
    for (const [i, isEarly] of early.entries()) world.feed.append(1, body, 0, 1, i, isEarly);
    world.feed.pump();
  };
  send(true, true);
  send(true, false, true);
  send(false);
  expect(world.sent.map(({ isEarly }) => isEarly)).toEqual([true, false, false]);
});

test('what was answered early and is not with the next leader leaves no hole: the numbers go on there', () => {
  const world = new World();
  for (const count of [2, 3, 1]) world.add(count);
  const [first, second, third] = [world.take(), world.take(), world.take()];
  world.feed.settled(first, STORED);
  world.feed.settled(second, STORED);
  // The new leader has the first batch only.
  world.feed.gap(third, 3);
  world.feed.pump();
  expect(world.numbers).toEqual([[3, 1]]);
});

test('a batch takes no more than it may, and a large message goes alone', () => {
  const world = new World();
  world.feed.canSend = false;
  world.add(20, 100);
  world.add(1, 5_000);
  world.add(1, 10);
  world.feed.canSend = true;
  world.feed.pump();
  expect(world.sent.map(({ count }) => count)).toEqual([8, 8, 4, 1]);
});

test('no batch is larger than its log takes, whatever stands in front of each message', () => {
  for (const size of [20, 31, 70]) {
    const world = new World(1_000);
    world.feed.canSend = false;
    for (const batchBytesMax of [1_000, 300]) {
      world.feed.batchBytesMax = batchBytesMax;
      world.add(100, size);
      world.feed.canSend = true;
      world.feed.pump();
      world.feed.canSend = false;
      const largest = Math.max(...world.sent.splice(0).map(({ bytes }) => bytes));
      expect(largest).toBeLessThanOrEqual(batchBytesMax);
      expect(largest).toBeGreaterThan(batchBytesMax - 2 * size - 40);
    }
  }
});

test('each message hears where it is, if the log knows that', () => {
  const world = new World();
  for (const count of [2, 1]) world.add(count);
  world.feed.settled(world.take(), STORED, 40);
  world.feed.settled(world.take(), STORED, -1);
  expect([...world.offsets]).toEqual([
    [0, 40],
    [1, 41],
    [2, -1],
  ]);
});

test('those behind a refused batch take its numbers', () => {
  const world = new World();
  for (const count of [1, 2, 3]) world.add(count);
  const [first, second, third] = world.sent.splice(0);
  world.feed.settled(second!, REFUSED);
  world.feed.gap(third!, 2);
  world.add(1);
  world.feed.pump();
  // The first may have been stored: nothing is sent before that is known.
  expect(world.sent).toEqual([]);
  world.feed.again(first!);
  world.feed.pump();
  expect(world.numbers).toEqual([
    [1, 1],
    [2, 3],
    [5, 1],
  ]);
  for (const batch of world.sent.splice(0)) world.feed.settled(batch, STORED);
  expect(world.outcomes()).toEqual([STORED, REFUSED, REFUSED, STORED, STORED, STORED, STORED]);
  world.add(1);
  expect(world.numbers).toEqual([[6, 1]]);
});

test('a refused batch at the head leaves its number to the next', () => {
  const world = new World();
  world.add(2);
  world.add(1);
  world.feed.settled(world.take(), REFUSED);
  world.feed.gap(world.take(), 1);
  world.feed.pump();
  expect(world.numbers).toEqual([[1, 1]]);
});

test('a log that has lost what it had confirmed is asked what it wants', () => {
  const world = new World();
  world.add(5);
  world.feed.settled(world.take(), STORED);
  world.add(1);
  world.add(1);
  world.feed.gap(world.take(), 3);
  world.feed.gap(world.take(), 3);
  world.feed.pump();
  expect(world.numbers).toEqual([
    [3, 1],
    [4, 1],
  ]);
});

test('answers that come out of turn settle only their own', () => {
  const world = new World();
  for (const count of [1, 1, 1]) world.add(count);
  const [first, second, third] = world.sent.splice(0);
  world.feed.settled(third!, STORED);
  world.feed.settled(second!, STORED);
  expect([...world.answers.keys()]).toEqual([2, 1]);
  world.feed.lost(first!);
  world.feed.pump();
  expect(world.numbers).toEqual([[1, 1]]);
  world.feed.settled(world.take(), STORED);
  expect(world.feed.isIdle).toBe(true);
  world.add(1);
  expect(world.numbers).toEqual([[4, 1]]);
});

test('what waits too long is given up; sent numbers stay taken, others never were', () => {
  const world = new World(1);
  world.add(1);
  world.nowMs = 10;
  world.add(1);
  world.nowMs = 20;
  world.feed.giveUpBefore(10);
  expect([world.givenUp, [...world.answers]]).toEqual([[0], [[1, UNKNOWN]]]);
  world.add(1);
  world.feed.giveUpBefore(10);
  expect(world.givenUp).toEqual([0]);
  world.feed.lost(world.take());
  world.feed.pump();
  expect(world.numbers).toEqual([[1, 1]]);
  world.feed.settled(world.take(), STORED);
  world.feed.pump();
  expect(world.numbers).toEqual([[2, 1]]);
});

test('memory that somebody may still read is not used again', () => {
  const world = new World();
  world.add(1);
  const batch = world.take();
  world.feed.lost(batch);
  world.feed.pump();
  world.feed.settled(world.take(), STORED);
  expect(world.given.map(({ isLent }) => isLent)).toEqual([true]);
});

test('when nobody can lead, what waits is refused, of what was sent nobody knows, and nobody waits', () => {
  const world = new World(2);
  for (const count of [2, 1, 3, 4]) world.add(count);
  for (const batch of world.sent.splice(0)) world.feed.lost(batch);
  world.feed.canSend = false;
  world.feed.refuseAll();
  const two = new Array<number>(3).fill(UNKNOWN);
  expect(world.outcomes()).toEqual([...two, ...new Array<number>(7).fill(REFUSED)]);
  // Only what was sent is kept, for as long as it takes.
  expect(world.given.length).toBe(1);
  world.nowMs = 1_000;
  world.feed.giveUpBefore(900);
  world.feed.refuseAll();
  expect([world.givenUp, world.feed.isIdle]).toEqual([[], false]);
  // A leader again: first what has a number, then what comes.
  world.add(1);
  world.feed.canSend = true;
  world.feed.pump();
  expect(world.numbers).toEqual([
    [1, 2],
    [3, 1],
  ]);
  for (const batch of world.sent.splice(0)) world.feed.settled(batch, STORED);
  world.feed.pump();
  expect(world.numbers).toEqual([[4, 1]]);
  world.feed.settled(world.take(), STORED);
  expect(world.outcomes().at(-1)).toBe(STORED);
  expect([world.feed.bytes, world.feed.isIdle]).toEqual([0, true]);
});

test('a log that is out again and again keeps no more than what was sent', () => {
  const world = new World(1);
  for (let life = 0; life < 50; life += 1) {
    for (let turn = 0; turn < 10; turn += 1) world.add(20, 100);
    for (const batch of world.sent.splice(0)) world.feed.lost(batch);
    world.feed.refuseAll();
  }
  const kept = world.feed.bytes;
  expect(kept).toBeLessThan(1_100);
  world.feed.pump();
  world.feed.settled(world.take(), STORED);
  expect([world.feed.bytes, world.feed.isIdle]).toEqual([0, true]);
});

test('a log without a leader for hours keeps no more than what was sent and what still waits', () => {
  const world = new World(1);
  world.add(3, 100);
  world.feed.lost(world.take());
  world.feed.canSend = false;
  for (let minute = 1; minute <= 100; minute += 1) {
    world.nowMs = minute * 60_000;
    world.add(2, 100);
    world.nowMs += 1;
    world.feed.giveUpBefore(minute * 60_000 - 1);
  }
  // Two minutes make one batch: all that were never sent are used again.
  expect(world.given.length).toBe(50);
  expect(world.feed.bytes).toBeLessThan(1_000);
  world.add(2, 100);
  // A leader again: what was sent, and what nobody has given up yet, each with its own flights.
  world.feed.canSend = true;
  world.feed.pump();
  world.feed.settled(world.take(), STORED, 40);
  world.feed.pump();
  expect(world.numbers).toEqual([[4, 2]]);
  world.feed.settled(world.take(), STORED, 43);
  expect([0, 1, 2].map((flight) => world.offsets.get(flight))).toEqual([40, 41, 42]);
  expect([203, 204].map((flight) => world.offsets.get(flight))).toEqual([43, 44]);
  expect(world.outcomes().slice(3, -2)).toEqual(new Array(200).fill(UNKNOWN));
  expect([world.feed.bytes, world.feed.isIdle]).toEqual([0, true]);
});
