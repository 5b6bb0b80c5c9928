// The publisher of the demonstration over a broker that is played by the test: what is refused, returned, or
// unknown is published again, and nothing counts as confirmed that was not.
import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
// @ts-expect-error: a plain script without types.
import * as scripts from '../../tools/demo/publisher.mjs';

interface Message {
  readonly id: string;
  readonly key: string;
  readonly body: Buffer;
}
interface Publisher {
  readonly confirmedCount: number;
  readonly counts: Readonly<Record<'nacked' | 'returned' | 'unknown', number>>;
  run(): Promise<void>;
  stop(): Promise<void>;
}
type Answer = (error: Error | null) => void;
/** One publish that waits for the broker's word. */
interface Open {
  readonly id: string;
  readonly answer: Answer;
  readonly channel: FakeChannel;
}

class FakeChannel extends EventEmitter {
  readonly #taken: (open: Open) => void;
  readonly #unanswered: Answer[] = [];

  constructor(taken: (open: Open) => void) {
    super();
    this.#taken = taken;
    // As amqplib does, whatever was answered.
    this.on('close', () => {
      for (const answer of this.#unanswered) answer(new Error('channel closed'));
    });
  }

  publish(_: string, key: string, __: Buffer, options: { messageId: string }, answer: Answer) {
    expect(key).toBe('city.town.NL.07');
    this.#unanswered.push(answer);
    this.#taken({ id: options.messageId, answer, channel: this });
  }
}

class FakeConnection extends EventEmitter {
  readonly channel: FakeChannel;

  constructor(taken: (open: Open) => void) {
    super();
    this.channel = new FakeChannel(taken);
  }

  createConfirmChannel = async () => this.channel;

  /** Its channel first, as amqplib does. */
  end() {
    this.channel.emit('close');
    this.emit('close');
  }

  async close() {
    this.emit('close');
  }
}

function play(count: number) {
  const open: Open[] = [];
  const confirmed: string[] = [];
  const connections: FakeConnection[] = [];
  const messages: Message[] = Array.from({ length: count }, (_, i) => ({
    id: `${i}`,
    key: 'city.town.NL.07',
    body: Buffer.from(`${i}`),
  }));
  const publisher = new scripts.Publisher({
    exchange: 'cities',
    messages,
    events: {
      publishing: () => undefined,
      confirmed: ({ id }: Message) => confirmed.push(id),
      trouble: () => undefined,
    },
    dial: async () => {
      const connection = new FakeConnection((each) => open.push(each));
      connections.push(connection);
      return connection;
    },
  }) as Publisher;
  /** Waits for at least `some` open publishes and takes them all. */
  const take = async (some: number): Promise<Open[]> => {
    await expect.poll(() => open.length).toBeGreaterThanOrEqual(some);
    return open.splice(0);
  };
  return { publisher, confirmed, connections, take, open };
}

const idsOf = (list: readonly Open[]) => list.map(({ id }) => Number(id));
const upTo = (end: number, from = 0) => Array.from({ length: end - from }, (_, i) => from + i);
const WINDOW = 500;

test('no more than a window is open, and all are confirmed', async () => {
  const { publisher, confirmed, take } = play(700);
  const done = publisher.run();
  const first = await take(WINDOW);
  expect(idsOf(first)).toEqual(upTo(WINDOW));
  for (const { answer } of first) answer(null);
  const rest = await take(200);
  expect(idsOf(rest)).toEqual(upTo(700, WINDOW));
  for (const { answer } of rest) answer(null);
  await done;
  expect(confirmed).toHaveLength(700);
  expect(publisher.counts).toEqual({ nacked: 0, returned: 0, unknown: 0 });
});

test('after a nack all that is open is answered first; one tries the door; then all go again in order', async () => {
  const { publisher, confirmed, take, open } = play(600);
  const done = publisher.run();
  const first = await take(WINDOW);
  const nacked = new Set([3, 4, 250]);
  for (const { id, answer } of first.slice(0, -1)) {
    answer(nacked.has(Number(id)) ? new Error('nacked') : null);
  }
  // Three were confirmed before the first nack, and made room; nothing goes after it.
  const early = open.splice(0);
  expect(idsOf(early)).toEqual([500, 501, 502]);
  for (const { answer } of [...early, first.at(-1)!]) answer(null);
  for (let tries = 0; tries < 2; tries += 1) {
    const probe = await take(1);
    expect(idsOf(probe)).toEqual([3]);
    probe[0]!.answer(tries === 0 ? new Error('nacked') : null);
  }
  const rest = await take(2);
  expect(idsOf(rest)).toEqual([4, 250, ...upTo(600, 503)]);
  for (const { answer } of rest) answer(null);
  await done;
  expect(new Set(confirmed).size).toBe(600);
  expect(confirmed).toHaveLength(600);
  expect(publisher.counts).toEqual({ nacked: 4, returned: 0, unknown: 0 });
});

test('what is returned is not confirmed, although it is acknowledged', async () => {
  const { publisher, confirmed, take } = play(2);
  const done = publisher.run();
  const [first, second] = await take(2);
  first!.channel.emit('return', { properties: { messageId: '0' } });
  first!.answer(null);
  second!.answer(null);
  expect(confirmed).toEqual(['1']);
  const [again] = await take(1);
  again!.answer(null);
  await done;
  expect(confirmed).toEqual(['1', '0']);
  expect(publisher.counts).toEqual({ nacked: 0, returned: 1, unknown: 0 });
});

test('what is open when a connection or a channel ends goes over the next, and late answers count for nothing', async () => {
  const { publisher, confirmed, connections, take } = play(5);
  const done = publisher.run();
  const first = await take(5);
  first[1]!.answer(null);
  connections[0]!.end();
  const second = await take(4);
  expect(idsOf(second)).toEqual([0, 2, 3, 4]);
  first[0]!.answer(null);
  expect(confirmed).toEqual(['1']);
  connections[1]!.channel.emit('close');
  const third = await take(4);
  expect(idsOf(third)).toEqual([0, 2, 3, 4]);
  for (const { answer } of third) answer(null);
  await done;
  expect(confirmed.sort()).toEqual(['0', '1', '2', '3', '4']);
  expect(publisher.counts).toEqual({ nacked: 0, returned: 0, unknown: 8 });
});
