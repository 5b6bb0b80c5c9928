// The feeds of a shard against hosts that the test plays: who is told that a leader has no room, and until when; and
// that batches are made in memory that served others before.
import { expect, test } from 'vitest';
import type { Call, Calls } from '../../../src/broker/access/calls.ts';
import { Feeds } from '../../../src/broker/access/feeds.ts';
import { Flights } from '../../../src/broker/access/flights.ts';
import { PUBLISH_DEFAULTS, Publishers } from '../../../src/broker/access/publishers.ts';
import { encodeQueueAnswer, type QueueOutcome } from '../../../src/broker/view/answers.ts';
import type { LogResult, LogView } from '../../../src/cluster/ports.ts';
import { BufferPool } from '../../../src/std/buffer-pool.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

const LOG = 7;
const BODY = encodeUtf8('x'.repeat(10));
const KIB = 1024;

class World {
  readonly room: string[] = [];
  readonly outcomes: string[] = [];
  /** Not answered, in the order in which they were sent. */
  readonly calls: { readonly call: Call; readonly token: number }[] = [];
  readonly memory = new BufferPool();
  readonly #later: (() => void)[] = [];
  readonly #publishers = new Publishers(PUBLISH_DEFAULTS);
  readonly #flights = new Flights(this.#publishers);
  readonly #feeds: Feeds;
  readonly #slot: number;
  #token = 0;

  constructor(batchesInFlightMax = 4) {
    const log = { logId: LOG, leader: 1, epoch: 1, replicas: [1] } as unknown as LogView;
    const calls = {
      command: (call: Call) => {
        this.#token += 1;
        this.calls.push({ call, token: this.#token });
        return this.#token;
      },
      forget: (token: number) => {
        const at = this.calls.findIndex((each) => each.token === token);
        if (at >= 0) this.calls.splice(at, 1);
      },
    } as unknown as Calls;
    this.#feeds = new Feeds({
      calls,
      flights: this.#flights,
      publishers: this.#publishers,
      limits: { ...PUBLISH_DEFAULTS, batchesInFlightMax },
      crc32c,
      memory: this.memory,
      view: { nodeId: 1, node: () => undefined },
      log: () => log,
      leaderHost: () => ({}) as never,
      nowMs: () => 0,
      client: () => ({ clientId: 256, incarnation: 1 }),
      later: (_delayMs, work) => void this.#later.push(work),
    });
    this.#slot = this.#publishers.add({
      unroutable: () => undefined,
      resolved: (_ticket, outcome) => void this.outcomes.push(outcome),
      full: () => undefined,
      room: () => undefined,
      blocked: () => void this.room.push('blocked'),
      unblocked: () => void this.room.push('unblocked'),
    });
  }

  /** Batches of a turn each. */
  publish(...counts: number[]): void {
    this.publishBodies(BODY, ...counts);
  }

  publishBodies(body: Uint8Array, ...counts: number[]): void {
    for (const count of counts) {
      const feed = this.#feeds.feed(LOG, { messageBytesMax: 1_000_000, needsKeys: false });
      for (let i = 0; i < count; i += 1) {
        const flight = this.#flights.take(this.#slot, 1, body.length);
        this.#publishers.took(this.#slot, body.length);
        feed.append(1, body, 0, body.length, flight);
        this.#feeds.touched(feed, this.#slot);
      }
      this.#feeds.flush();
    }
  }

  /** The oldest call is answered; what was to be tried again later is. */
  answer(result: LogResult, outcome: QueueOutcome = 'ok', expected = -1): void {
    const { call, token } = this.calls.shift()!;
    const answer = { kind: 'published', outcome, offset: -1, expected } as const;
    const body = encodeQueueAnswer(answer);
    call.answered!({ token, result, body });
  }

  rest(): void {
    for (const work of this.#later.splice(0)) work();
  }
}

test.each<[string, LogResult, QueueOutcome, string]>([
  ['is refused by its host', 'too-large', 'ok', 'refused'],
  ['is no good', 'ok', 'bad-batch', 'refused'],
  ['is too large for the log', 'ok', 'batch-too-large', 'refused'],
  ['is of another life of this shard', 'ok', 'stale-client', 'unknown'],
  ['is stored', 'ok', 'ok', 'stored'],
])('a log is full no more when the batch that found no room %s', (_what, result, outcome, told) => {
  const world = new World();
  world.publish(2);
  world.answer('no-space');
  expect(world.room).toEqual(['blocked']);
  world.rest();
  world.answer(result, outcome);
  expect(world.outcomes).toEqual([told, told]);
  expect(world.room).toEqual(['blocked', 'unblocked']);
  world.publish(1);
  expect([world.calls.length, world.room]).toEqual([1, ['blocked', 'unblocked']]);
});

test('what came before the batch that found no room says nothing of it', () => {
  const world = new World();
  world.publish(1, 1);
  const [first, second] = world.calls.splice(0);
  world.calls.push(second!, first!);
  world.answer('no-space');
  world.answer('ok', 'ok', 2);
  expect([world.outcomes, world.room]).toEqual([['stored'], ['blocked']]);
});

test('a log with nothing under way is not full, whatever numbers its batches took in the end', () => {
  const world = new World();
  world.publish(3, 2);
  const [first, second] = world.calls.splice(0);
  // The second finds no room; the first is refused, so the second takes its number when it goes again.
  world.calls.push(second!, first!);
  world.answer('no-space');
  world.answer('ok', 'bad-batch', 1);
  world.rest();
  expect(world.room).toEqual(['blocked']);
  world.answer('ok', 'ok', 3);
  expect(world.outcomes).toEqual(['refused', 'refused', 'refused', 'stored', 'stored']);
  expect(world.room).toEqual(['blocked', 'unblocked']);
});

test('turns of 2 MB need no memory that the first ones did not have', () => {
  const world = new World();
  const body = new Uint8Array(KIB);
  const turn = (): void => {
    world.publishBodies(body, 2_000);
    while (world.calls.length > 0) world.answer('ok');
  };
  turn();
  const { made } = world.memory;
  expect(made).toBeGreaterThan(0);
  turn();
  // The first batch grew step by step; those of its size are used again at once.
  expect(world.memory.made).toBe(made);
  for (let i = 0; i < 50; i += 1) turn();
  expect(world.memory.made).toBe(made);
  expect(world.outcomes).toEqual(Array.from({ length: 52 * 2_000 }, () => 'stored'));
});

test('memory that a host may still read is not used again', () => {
  const world = new World();
  const body = new Uint8Array(20 * KIB);
  const turn = (): void => {
    world.publishBodies(body, 1);
    world.calls[0]!.call.lost();
    world.calls.shift();
    world.rest();
    // Sent again, and stored: whoever had it before may be reading it.
    world.answer('ok');
  };
  for (let i = 0; i < 10; i += 1) turn();
  expect([world.memory.made, world.memory.idleBytes]).toEqual([10, 0]);
  world.publishBodies(body, 1);
  world.answer('ok');
  expect(world.memory.idleBytes).toBe(32 * KIB);
});
