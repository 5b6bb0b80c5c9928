// Each rule of the checker of compacted partitions, broken once, and a history that breaks none.
import { expect, test } from 'vitest';
import {
  checkCompacted,
  type KeyedSend,
  type ReadRecord,
  type WholeRead,
} from '../../../src/sim/checkers/compacted.ts';

const RULES = { deleteRetentionMs: 1_000, perKeyMax: 2, judgedMin: 0 };

function sent(id: number, key: string, offset: number, more: Partial<KeyedSend> = {}): KeyedSend {
  return {
    partition: 0,
    id,
    key,
    isTombstone: false,
    outcome: 'acknowledged',
    offset,
    mayBeTwice: false,
    beganMs: 10 * id - 5,
    endedMs: 10 * id,
    ...more,
  };
}

const SENDS = [
  sent(1, 'a', 0),
  sent(2, 'b', 1),
  sent(3, 'a', 2),
  sent(4, 'b', 3, { isTombstone: true }),
];

function read(records: readonly ReadRecord[], more: Partial<WholeRead> = {}): WholeRead {
  const times = { beganMs: 500, endedMs: 600 };
  const what = { partition: 0, end: 100, records, isOfOneLeader: true, isFinal: false };
  return { ...what, ...times, ...more };
}

const A = { offset: 2, key: 'a', id: 3 };
const OLD_A = { offset: 0, key: 'a', id: 1 };
const OLD_B = { offset: 1, key: 'b', id: 2 };
const NO_B = { offset: 3, key: 'b', id: -1 };
const LATE = { beganMs: 5_000, endedMs: 5_100 };

/** Three of one key. */
const KEPT = [OLD_A, { ...OLD_A, offset: 1 }, A, NO_B];

function rules(reads: readonly WholeRead[], sends: readonly KeyedSend[] = SENDS): string[] {
  return checkCompacted(sends, reads, RULES).map(({ check }) => check.replace('compacted/', ''));
}

test('what compaction may show is fine, more of it or less', () => {
  const all = [read([OLD_A, OLD_B, A, NO_B]), read([A, NO_B]), read([A], LATE)];
  expect(rules(all)).toEqual([]);
  // What was sent later may hide all of it.
  expect(
    rules([read([{ offset: 9, key: 'a', id: 9 }, NO_B].reverse())], [...SENDS, sent(9, 'a', 9)]),
  ).toEqual([]);
  // Sent while it was read, it may have hidden what it wrote over.
  const meanwhile = sent(50, 'a', 60, { beganMs: 550, endedMs: 700 });
  expect(rules([read([NO_B])], [...SENDS, meanwhile])).toEqual([]);
  // A leader that leads no more knows less than there is; at rest none may.
  expect(rules([read([OLD_A], { end: 2 })])).toEqual([]);
  expect(rules([read([OLD_A], { end: 2, isFinal: true })])).not.toEqual([]);
  // Made anew when all was over: nothing of it is compacted yet.
  expect(rules([read(KEPT, { isFinal: true })])).toEqual([]);
  // A key with a send whose end is unknown is judged by nothing but order.
  expect(rules([read([NO_B])], [...SENDS, sent(8, 'a', 0, { outcome: 'unknown' })])).toEqual([]);
});

test('a send that began when a read was over excuses nothing in it', () => {
  const later = { beganMs: 601, outcome: 'unknown', offset: undefined } as const;
  expect(rules([read([OLD_A, NO_B])], [...SENDS, sent(90, 'a', 0, later)])).toEqual(['lost']);
  const twice = sent(90, 'a', 90, { beganMs: 601, endedMs: 700, mayBeTwice: true });
  expect(rules([read([OLD_A, NO_B])], [...SENDS, twice])).toEqual(['lost']);
});

test('reads that judge too few keys are told, and each key that is judged counts', () => {
  const judgedMin = (count: number, sends = SENDS, of = read([A, NO_B])) =>
    checkCompacted(sends, [of, of], { ...RULES, judgedMin: count }).map(({ check }) => check);
  expect(judgedMin(4)).toEqual([]);
  expect(judgedMin(5)).toEqual(['compacted/idle']);
  expect(judgedMin(2, [...SENDS, sent(8, 'a', 0, { outcome: 'unknown' })])).toEqual([]);
  expect(judgedMin(3, [...SENDS, sent(8, 'a', 0, { outcome: 'unknown' })])).toEqual([
    'compacted/idle',
  ]);
  expect(judgedMin(1, SENDS, read([A, NO_B], { isOfOneLeader: false }))).toEqual([
    'compacted/idle',
  ]);
});

test.each<[string, WholeRead[]]>([
  ['lost', [read([OLD_A, NO_B])]],
  ['tombstone-early', [read([A])]],
  ['back', [read([OLD_B, A], LATE)]],
  ['order', [read([NO_B, A])]],
  [
    'order',
    [
      read([A, NO_B]),
      read([{ ...OLD_A, offset: 2 }, A, NO_B].slice(0, 1), { isOfOneLeader: false }),
    ],
  ],
  ['invented', [read([{ offset: 0, key: 'a', id: 77 }, A, NO_B])]],
  ['invented', [read([{ offset: 0, key: 'b', id: 1 }, A, NO_B])]],
  ['kept', [read([...KEPT, { ...NO_B, offset: 5 }], { isFinal: true })]],
])('%s is told', (rule, reads) => {
  expect(rules(reads)).toEqual([rule]);
});
