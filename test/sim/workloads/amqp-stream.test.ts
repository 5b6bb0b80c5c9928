// What the stream of the AMQP workload is judged by sees every way in which it can be wrong.
import { expect, test } from 'vitest';
import type { Poll } from '../../../src/sim/checkers/kafka-history.ts';
import { emptyQueueHistory, type Publish } from '../../../src/sim/checkers/queue-history.ts';
import { STREAM } from '../../../src/sim/workloads/amqp-session.ts';
import { checkStream } from '../../../src/sim/workloads/amqp-stream.ts';

const COUNT = 20;
/** Two publishers by turns; every fifth outcome is not known, and message 10 goes elsewhere. */
function publish(id: number): Publish {
  return {
    id,
    lane: `c${id % 2}.1/news`,
    order: Math.floor(id / 2),
    exchange: 'news',
    key: 'audit.one',
    bodyHash: id * 7,
    queues: ['audit'],
    streams: id === 10 ? [] : [STREAM],
    isMandatory: false,
    outcome: id % 5 === 3 ? 'unknown' : 'confirmed',
    isReturned: false,
  };
}

/** What is found when the stream holds messages of these ids. */
function found(ids: readonly number[], hashOf = (id: number) => id * 7): string[] {
  const history = emptyQueueHistory();
  for (let id = 0; id < COUNT; id += 1) history.publishes.push(publish(id));
  const offsets = ids.map((_, at) => at);
  const bodyHashes = ids.map(hashOf);
  const poll: Poll = {
    consumer: 'reader',
    topic: STREAM,
    partition: 0,
    session: 1,
    offsets,
    ids,
    bodyHashes,
  };
  return [...new Set(checkStream(history, [poll]).map(({ check }) => check))];
}

const ALL = Array.from({ length: COUNT }, (_, id) => id).filter((id) => id !== 10);

test('what holds everything once and in order is right, with or without what nobody knows of', () => {
  expect(found(ALL)).toEqual([]);
  expect(found(ALL.filter((id) => id !== 13))).toEqual([]);
  // The order of two publishers is nobody's.
  expect(found([1, 0, ...ALL.slice(2)])).toEqual([]);
});

test('what is missing, twice, out of order, altered or from elsewhere is found', () => {
  for (const id of ALL) {
    const without = ALL.filter((each) => each !== id);
    const isKnown = publish(id).outcome === 'confirmed';
    if (isKnown) expect(found(without)[0]).toMatch(/^kafka-log\/(lost-write|unseen)$/);
    expect(found([...ALL, id])).toContain('kafka-log/duplicate');
    expect(found(ALL, (each) => (each === id ? 1 : each * 7))).toEqual(['kafka-log/altered']);
    if (isKnown && id < COUNT - 2) expect(found([...without, id])).toEqual(['kafka-log/reorder']);
  }
  expect(found([...ALL, 10])).toEqual(['kafka-log/phantom']);
  expect(found([...ALL, 99])).toEqual(['kafka-log/phantom']);
});

test('nothing is said of what was not read', () => {
  const history = emptyQueueHistory();
  expect(checkStream(history, undefined)).toEqual([]);
  expect(checkStream(history, [])[0]?.check).toBe('workload');
});
