// What fails is counted with the kind of pass that it would have been, and the log is looked at again.
import { expect, test } from 'vitest';
import { Compactions, type CompactionsPort } from '../../../src/cluster/replica/compactions.ts';
import type { HostedLog } from '../../../src/cluster/replica/hosted-log.ts';

const RULES = {
  minDirtyRatio: 0.5,
  deleteRetentionMs: 0,
  minLagMs: 0,
  maxLagMs: Number.POSITIVE_INFINITY,
};

test.each([
  ['by key', RULES, 1, 0],
  ['of what nobody needs', undefined, 0, 1],
] as const)('a failure %s is counted as such', (_name, compaction, byKey, needless) => {
  const fires: (() => void)[] = [];
  let nowMs = 0;
  const warned: string[] = [];
  const port = {
    log: { warn: (text: string) => warned.push(text) },
    nowMs: () => nowMs,
    after: (delayMs: number, fire: () => void) => {
      fires.push(() => {
        nowMs += delayMs;
        fire();
      });
    },
    isShortOfSpace: () => false,
  } as unknown as CompactionsPort;
  const stored = {
    hasSealedSegments: true,
    sealedSegments: () => {
      throw new Error('unreadable');
    },
  };
  const hosted = { logId: 7, compaction, mayHaveGaps: true, stored, machine: {} };
  const compactions = new Compactions(port);
  compactions.touch(hosted as unknown as HostedLog);
  fires.shift()!();
  expect(warned).toEqual(['a log was not compacted']);
  expect(compactions.counters.passesCut).toBe(byKey);
  expect(compactions.needless.counters.passesCut).toBe(needless);
  expect(compactions.waiting).toBe(1);
});
