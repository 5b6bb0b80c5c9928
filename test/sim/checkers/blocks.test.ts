import { describe, expect, test } from 'vitest';
import { type BlockEvent, checkBlocks, type Period } from '../../../src/sim/checkers/blocks.ts';
import type { Publish } from '../../../src/sim/checkers/queue-history.ts';

type Told = readonly [BlockEvent['kind'], number, string?];

const SHORTAGES: readonly Period[] = [[10_000, 20_000]];
const EVERYWHERE: readonly Period[] = [[12_000, 18_000]];

function judge(told: readonly Told[], publishes: readonly Publish[] = []): string[] {
  const events = told.map(([kind, atMs, connection = 'a']) => ({ kind, atMs, connection }));
  const unkept = new Set(['memory']);
  const facts = { shortages: SHORTAGES, everywhere: EVERYWHERE, unkept, endMs: 100_000 };
  return checkBlocks({ events, publishes, ...facts }).map(({ check }) => check);
}

describe('what publishers are told', () => {
  test.each<[string, readonly Told[], readonly string[]]>([
    [
      'begins and ends',
      [
        ['blocked', 11_000],
        ['unblocked', 21_000],
      ],
      [],
    ],
    [
      'ends with the connection',
      [
        ['blocked', 11_000],
        ['ended', 12_000],
        ['ended', 13_000],
        ['blocked', 14_000],
        ['unblocked', 15_000],
      ],
      [],
    ],
    [
      'is of one connection',
      [
        ['blocked', 11_000],
        ['blocked', 11_000, 'b'],
        ['unblocked', 15_000],
        ['unblocked', 15_000, 'b'],
      ],
      [],
    ],
    [
      'may come late',
      [
        ['blocked', 45_000],
        ['unblocked', 46_000],
      ],
      [],
    ],
    [
      'is not said twice',
      [
        ['blocked', 11_000],
        ['blocked', 12_000],
        ['unblocked', 13_000],
      ],
      ['blocks/blocked-twice'],
    ],
    ['does not end twice', [['unblocked', 11_000]], ['blocks/blocked-twice']],
    [
      'has a reason',
      [
        ['blocked', 9_000],
        ['unblocked', 11_000],
      ],
      ['blocks/unfounded'],
    ],
    [
      'had one not long ago',
      [
        ['blocked', 51_000],
        ['unblocked', 52_000],
      ],
      ['blocks/unfounded'],
    ],
    ['comes to an end', [['blocked', 11_000]], ['blocks/left']],
  ])('%s', (_, told, expected) => {
    expect(judge(told)).toEqual(expected);
  });
});

function publish(beganMs: number, endedMs: number, over: Partial<Publish> = {}): Publish {
  const to = { exchange: '', key: 'q', queues: ['q'], streams: [], bodyHash: 1 };
  const facts = { id: 1, lane: 'a', order: 1, isMandatory: false, isReturned: false, ...to };
  return { ...facts, beganMs, endedMs, outcome: 'confirmed', ...over };
}

describe('what is published while no disk has room', () => {
  test.each<[string, Publish, readonly string[]]>([
    ['is not confirmed', publish(14_000, 15_000), ['blocks/taken']],
    ['may be on its way when a leader sees it', publish(12_500, 13_500), []],
    ['is confirmed afterwards', publish(14_000, 19_000), []],
    ['is refused', publish(14_000, 15_000, { outcome: 'unknown' }), []],
    ['may need no disk', publish(14_000, 15_000, { queues: ['memory'] }), []],
    [
      'may need one among others',
      publish(14_000, 15_000, { queues: ['memory', 'q'] }),
      ['blocks/taken'],
    ],
    ['may have no destination', publish(14_000, 15_000, { queues: [] }), []],
  ])('%s', (_, one, expected) => {
    expect(judge([], [one])).toEqual(expected);
  });
});
