// What consumers of a stream saw is judged: everything right is right, and each way to be wrong has its name.
import { expect, test } from 'vitest';
import type { Publish } from '../../../src/sim/checkers/queue-history.ts';
import {
  checkStreamReaders,
  STREAM_ANOMALIES,
  type StreamDelivery,
  type StreamHistory,
  type StreamSession,
} from '../../../src/sim/checkers/stream-readers.ts';

const LOGS = 3;
/** In logs 2, 1 and 0. */
const KEYS = ['job', 'log', 'diary'];
const COUNT = 60;

function publish(id: number): Publish {
  return {
    id,
    lane: `c${id % 2}.1/x`,
    order: id,
    exchange: 'x',
    key: KEYS[id % 3]!,
    bodyHash: id * 7,
    queues: [],
    streams: id === 59 ? [] : ['s'],
    isMandatory: false,
    outcome: id % 10 === 9 ? 'unknown' : 'confirmed',
    isReturned: false,
  };
}

const PUBLISHES = Array.from({ length: COUNT }, (_, id) => publish(id));

function delivery(id: number, over: Partial<StreamDelivery> = {}): StreamDelivery {
  const { bodyHash, exchange, key } = publish(id);
  const offset = Math.floor(id / 3);
  return { id, offset, bodyHash, exchange, key, isRedelivered: false, ...over };
}

function session(deliveries: readonly StreamDelivery[], from?: number): StreamSession {
  const name = `session from ${from}`;
  return { name, from, prefetch: 5, deliveries: [...deliveries], outMax: 5 };
}

const ids = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);
const all = (from: number, to: number) => ids(from, to).map((id) => delivery(id));

/** The final session has everything, in the order of its ids; these are the others. */
function found(sessions: readonly StreamSession[], final = session(all(0, 59), 0)): string[] {
  const history: StreamHistory = {
    stream: 's',
    logs: LOGS,
    sessions: [...sessions, final],
    final,
  };
  const names = checkStreamReaders(history, PUBLISHES).map(({ check }) => check.slice(7));
  for (const name of names) expect(STREAM_ANOMALIES).toContain(name);
  return [...new Set(names)].sort();
}

test('sessions from anywhere, in any mixture of the logs, are right', () => {
  expect(found([])).toEqual([]);
  const mixed = [...ids(0, 20).map((i) => 3 * i), ...ids(0, 19).map((i) => 3 * i + 1)];
  const others = ids(0, 19).map((i) => 3 * i + 2);
  expect(
    found([
      session(
        [...mixed, ...others].map((id) => delivery(id)),
        0,
      ),
    ]),
  ).toEqual([]);
  expect(found([session(all(30, 50), 10), session(all(31, 40)), session([], 4)])).toEqual([]);
  // What nobody knows of may be there or not.
  const without = session(
    all(0, 59).filter(({ id }) => id !== 58),
    0,
  );
  expect(found([], { ...without })).toEqual(['lost']);
});

test.each<[string, readonly string[], StreamSession]>([
  [
    'a message is left out',
    ['gap'],
    session(
      all(0, 30).filter(({ id }) => id !== 12),
      0,
    ),
  ],
  ['it begins too late', ['gap'], session(all(33, 40), 10)],
  ['it begins too early', ['repeat'], session(all(27, 40), 10)],
  ['a message comes again', ['repeat'], session([...all(0, 30), delivery(12)], 0)],
  ['two change places', ['gap', 'repeat'], session([delivery(3), delivery(0), ...all(6, 8)], 0)],
  ['one is marked', ['marked'], session([delivery(0, { isRedelivered: true })], 0)],
  [
    'one is of nobody',
    ['conflict', 'phantom', 'vanished'],
    session([delivery(0), delivery(1), { ...delivery(2, { id: 99 }) }], 0),
  ],
  ['a body is another one', ['altered'], session([delivery(0, { bodyHash: 1 })], 0)],
  ['an exchange is another one', ['altered'], session([delivery(0, { exchange: 'y' })], 0)],
  ['too many are out', ['prefetch'], { ...session(all(0, 9), 0), outMax: 6 }],
])('when %s', (_name, names, wrong) => {
  expect(found([wrong])).toEqual(names);
});

test('what is seen in two places, or two in one, is found', () => {
  const moved = all(0, 59).map((each) => (each.id === 3 ? delivery(6, { offset: 1 }) : each));
  expect(found([session(moved, 0)])).toEqual(['conflict', 'duplicate']);
});

test('a lane that stands in the wrong order is found', () => {
  // 0 and 6 are of one lane and in one log.
  const swap = new Map([
    [0, 6],
    [6, 0],
  ]);
  const swapped = all(0, 59).map((each) =>
    swap.has(each.id) ? delivery(swap.get(each.id)!, { offset: each.offset }) : each,
  );
  expect(found([], session(swapped, 0))).toEqual(['reorder']);
});

test('what was confirmed, or seen by anybody, has to be there in the end', () => {
  const shorter = session(all(0, 56), 0);
  expect(found([], shorter)).toEqual(['lost']);
  const seen = session([delivery(57)], 19);
  const withoutLast = session(all(0, 57), 0);
  expect(found([{ ...seen }], withoutLast)).toEqual(['lost', 'vanished']);
});
