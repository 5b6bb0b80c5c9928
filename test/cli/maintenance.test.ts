// What `status --maintenance` makes of the counters of nodes.
import { expect, test } from 'vitest';
import { maintenanceLines } from '../../src/cli/maintenance.ts';

const MIB = 1024 * 1024;
const COUNTERS = {
  'compaction.waiting': 4,
  'compaction.running': 1,
  'compaction.passes': 8,
  'compaction.passesCut': 2,
  'compaction.passMs': 2_000,
  'compaction.bytesIn': 96 * MIB,
  'compaction.bytesOut': 24 * MIB,
  'compaction.recordsGone': 70_000,
  'needless.passes': 0,
  'needless.passesCut': 3,
  'needless.passMs': 0,
  'needless.bytesIn': 0,
  'needless.bytesOut': 0,
  'needless.recordsGone': 0,
  'storage.segmentsRewritten': 17,
  'storage.rewriteFreedBytes': 72 * MIB,
  'storage.scrubPasses': 5,
  'storage.scrubBytes': 512,
  'storage.scrubLogs': 40,
  'storage.scrubLogsLeft': 12,
  'storage.damagedSegments': 6,
  'storage.segmentsRepaired': 9,
};

const cellsOf = (lines: readonly string[]): string[][] => lines.map((line) => line.split(/\s{2,}/));

test('each figure stands below its name, and a node that does not answer is named', () => {
  const nodes = [
    { node: 1, counters: COUNTERS },
    { node: 2, counters: undefined },
  ];
  expect(cellsOf(maintenanceLines(nodes))).toEqual([
    ['NODE', 'WAITING', 'RUNNING', 'REWRITTEN', 'FREED', 'SCRUB', 'DAMAGED', 'REPAIRED'],
    ['1', '4', '1', '17', '72.0 MiB', '28 of 40 logs', '6', '9'],
    ['2', 'does not answer'],
    ['NODE', 'WORK', 'PASSES', 'CUT', 'PER PASS', 'READ', 'WRITTEN', 'RECORDS GONE'],
    ['1', 'compaction', '8', '2', '250 ms', '96.0 MiB', '24.0 MiB', '70000'],
    ['1', 'rewriting', '0', '3', '-', '0 B', '0 B', '0'],
    ['1', 'scrub', '5', '-', '-', '512 B', '-', '-'],
  ]);
});

test('between scrubs it is idle, and what a node does not count is not told as 0', () => {
  const idle = { ...COUNTERS, 'storage.scrubLogs': 0, 'storage.scrubLogsLeft': 0 };
  expect(cellsOf(maintenanceLines([{ node: 1, counters: idle }]))[1]).toContain('idle');
  expect(cellsOf(maintenanceLines([{ node: 3, counters: {} }]))).toMatchObject({
    1: ['3', '-', '-', '-', '-', '-', '-', '-'],
    3: ['3', 'compaction', '-', '-', '-', '-', '-', '-'],
  });
});
