import { describe, expect, test } from 'vitest';
import {
  asPromised,
  checkDurability,
  countGone,
  type PromisedDurability,
  type Reign,
} from '../../../src/sim/checkers/durability.ts';
import {
  emptyHistory,
  type KafkaHistory,
  type Poll,
  type Send,
} from '../../../src/sim/checkers/kafka-history.ts';
import { checkKafkaLog } from '../../../src/sim/checkers/kafka-log.ts';

const MODES = ['sync', 'replicated', 'async', 'memory'] as const;
const promises = new Map<string, PromisedDurability>(MODES.map((mode) => [mode, mode]));

function send(topic: string, over: Partial<Send> = {}): Send {
  const base = {
    producer: 'p',
    topic,
    partition: 0,
    id: 1,
    bodyHash: 1,
    acks: -1,
    order: 0,
  } as const;
  const told = {
    attempts: 1,
    outcome: 'acknowledged',
    offset: 0,
    beganMs: 50_000,
    endedMs: 50_010,
    answeredBy: 1,
  } as const;
  return { ...base, ...told, ...over };
}

const reign = (epoch: number, fromMs: number, lifeMs = 0, cleanMs = 49_000): Reign => ({
  epoch,
  node: epoch,
  lifeMs,
  fromMs,
  cleanMs,
});

/** Checks for one send that is gone, or that is read back at the end. */
function judge(one: Send, reigns: readonly Reign[], isKept = false): string[] {
  const history: KafkaHistory = emptyHistory();
  history.sends.push(one);
  const place = { topic: one.topic, partition: 0, session: 1, consumer: 'r' };
  if (isKept) history.finalPolls.push({ ...place, offsets: [0], ids: [one.id], bodyHashes: [1] });
  const found = checkDurability(history, {
    promises,
    reigns: new Map([[`${one.topic}-0`, reigns]]),
  });
  return found.map(({ check }) => check);
}

/** Who answered: the last that was seen of him had something uncommitted; or he had committed everything since. */
const FIRST = reign(1, 1_000);
const CLEAN = reign(1, 1_000, 0, 50_020);
/** Somebody leads right after the answer; his process ran before the send, or began after it. */
const OTHER = reign(2, 51_000, 500);
const YOUNG = reign(2, 51_000, 50_500);
/** He never committed all that he had. */
const IDLE = reign(2, 51_000, 500, -1);
const LATE = reign(3, 99_000, 98_000);

describe('a send that was answered and is gone is', () => {
  test.each<[string, Send, readonly Reign[], boolean]>([
    ['never right: sync, acks=all', send('sync'), [FIRST, YOUNG], false],
    ['right: sync, acks=1, another leader', send('sync', { acks: 1 }), [FIRST, OTHER], true],
    ['wrong: sync, acks=1, committed', send('sync', { acks: 1 }), [CLEAN, OTHER], false],
    ['right: replicated, a young leader', send('replicated'), [FIRST, YOUNG], true],
    ['wrong: replicated, committed', send('replicated'), [CLEAN, YOUNG], false],
    ['wrong: replicated, one who had received it', send('replicated'), [FIRST, OTHER], false],
    ['wrong: replicated, a young one after that', send('replicated'), [FIRST, OTHER, LATE], false],
    ['right: replicated, one who decided nothing', send('replicated'), [FIRST, IDLE, LATE], true],
    ['right: replicated, acks=1, any other', send('replicated', { acks: 1 }), [FIRST, OTHER], true],
    ['right: async, not committed', send('async'), [FIRST, OTHER], true],
    ['wrong: async, committed', send('async'), [CLEAN, OTHER], false],
    ['wrong: async, answered by nobody who led', send('async', { answeredBy: 3 }), [FIRST], false],
    ['right: memory, a process after it', send('memory'), [FIRST, LATE], true],
    ['wrong: memory, the same process', send('memory'), [FIRST, OTHER], false],
    ['right: not answered', send('sync', { outcome: 'unknown' }), [FIRST], true],
  ])('%s', (_, one, reigns, isRight) => {
    expect(judge(one, reigns)).toEqual(isRight ? [] : [`durability/${one.topic}`]);
    expect(judge(one, reigns, true)).toEqual([]);
  });
});

test('what is gone is counted by durability, right or wrong', () => {
  const history = emptyHistory();
  history.sends.push(send('async'), send('async', { id: 2 }), send('sync', { id: 3 }));
  expect([...countGone(history, promises)]).toEqual([
    ['async', 2],
    ['sync', 1],
  ]);
});

test('what stands in another log is not kept', () => {
  const history = emptyHistory();
  history.sends.push(send('sync'));
  const place = { topic: 'async', partition: 0, session: 1, consumer: 'r' };
  history.finalPolls.push({ ...place, offsets: [0], ids: [1], bodyHashes: [1] });
  const found = checkDurability(history, { promises, reigns: new Map() });
  expect(found.map(({ check }) => check)).toEqual(['durability/sync']);
});

/** What somebody was given of the log in memory: [offset, id, body]. */
function ofMemory(session: number, ...records: [number, number, number][]): Poll {
  const place = { topic: 'memory', partition: 0, session, consumer: 'r' };
  return {
    ...place,
    offsets: records.map(([offset]) => offset),
    ids: records.map(([, id]) => id),
    bodyHashes: records.map(([, , body]) => body),
  };
}

describe('a log in memory', () => {
  const SENDS = [1, 2].map((id) => send('memory', { id, offset: id, order: id, bodyHash: id }));

  test.each<[string, Poll[], string[]]>([
    ['has a life after another', [ofMemory(1, [1, 1, 1]), ofMemory(2, [0, 2, 2])], []],
    ['alters nothing', [ofMemory(1, [1, 1, 7])], ['durability/memory-altered']],
    ['has nothing that nobody sent', [ofMemory(1, [1, 9, 9])], ['durability/memory-altered']],
    ['goes on', [ofMemory(1, [2, 2, 2], [2, 2, 2])], ['durability/memory-order']],
    ['goes on', [ofMemory(1, [2, 2, 2]), ofMemory(1, [1, 1, 1])], ['durability/memory-order']],
  ])('%s, in any life', (_, polls, expected) => {
    const history: KafkaHistory = { ...emptyHistory(), sends: SENDS, polls };
    const young = new Map([['memory-0', [FIRST, LATE]]]);
    const found = checkDurability(history, { promises, reigns: young });
    expect(found.map(({ check }) => check)).toEqual(expected);
  });

  test.each<[string, Poll, string[]]>([
    ['is right', ofMemory(1, [1, 1, 1], [2, 2, 2]), []],
    ['may have lost what was first', ofMemory(1, [2, 2, 2]), []],
    ['alters nothing', ofMemory(1, [1, 1, 7], [2, 2, 2]), ['altered']],
    ['keeps the order', ofMemory(1, [1, 2, 2], [2, 1, 1]), ['inconsistent-offset', 'reorder']],
  ])('%s in the life that is read back', (_, poll, expected) => {
    const history: KafkaHistory = { ...emptyHistory(), sends: SENDS, finalPolls: [poll] };
    const found = checkKafkaLog(asPromised(history, promises));
    expect(new Set(found.map(({ check }) => check.replace('kafka-log/', '')))).toEqual(
      new Set(expected),
    );
  });
});

test('the checker of logs sees no more promised than there was', () => {
  const history = emptyHistory();
  for (const [i, mode] of MODES.entries()) history.sends.push(send(mode, { id: i }));
  const judged = asPromised(history, promises);
  expect(judged.sends.map(({ topic, acks }) => [topic, acks])).toEqual([
    ['sync', -1],
    ['replicated', 1],
    ['async', 1],
    ['memory', 1],
  ]);
});
