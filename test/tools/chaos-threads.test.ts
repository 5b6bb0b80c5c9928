// The bookkeeper of chaos:threads must find what it is there for; and the run itself, in short.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Journal, journalMemory, KIND, Ledger, OUTCOME } from '../../tools/chaos/thread-ledger.mjs';

type Entry = readonly [kind: number, thread: number, extra: number, number: number];

/** Thread 0 and 3 are nobody's victims. Lives in the order in which they end. */
function faultsOf(
  ...lives: (readonly [thread: number, life: number, isDead: boolean, entries: readonly Entry[]])[]
): string[] {
  const ledger = new Ledger([0, 3]);
  for (const [thread, life, isDead, entries] of lives) {
    const memory = journalMemory(100);
    const journal = new Journal(memory);
    for (const entry of entries) journal.add(...entry);
    ledger.close(thread, life, memory, isDead);
  }
  const report = ledger.report();
  expect(report.faults).toBe(report.examples.length);
  return report.examples;
}

const sent = (to: number, ...numbers: number[]) =>
  numbers.map((number) => [KIND.sent, to, 0, number] as const);
const took = (from: number, life: number, ...numbers: number[]) =>
  numbers.map((number) => [KIND.took, from, life, number] as const);
const asked = (to: number, number: number) => [KIND.asked, to, 0, number] as const;
const settled = (to: number, number: number, outcome: number) =>
  [KIND.settled, to, outcome, number] as const;
const answered = (from: number, life: number, ...numbers: number[]) =>
  numbers.map((number) => [KIND.answered, from, life, number] as const);

describe('the ledger of threads', () => {
  test('finds nothing where a victim lost what was under way to it, and what it had not shown', () => {
    expect(
      faultsOf(
        [1, 1, true, [...sent(0, 1, 2, 3), ...took(0, 1, 1, 2), asked(0, 1)]],
        [1, 2, false, [...sent(0, 1), ...took(0, 1, 5, 6)]],
        [
          0,
          1,
          false,
          [
            ...sent(1, 1, 2, 3, 4, 5, 6),
            ...took(1, 1, 1, 2, 3, 4),
            ...took(1, 2, 1),
            asked(1, 1),
            settled(1, 1, OUTCOME.lost),
            asked(1, 2),
            settled(1, 2, OUTCOME.refused),
          ],
        ],
      ),
    ).toEqual([]);
  });

  test.each([
    ['a gap within a life', [1, 1, true, took(0, 1, 1, 3)], sent(1, 1, 2, 3), 'tell 3 after 1'],
    ['one that comes twice', [1, 1, true, took(0, 1, 1, 1)], sent(1, 1), 'tell 1 after 1'],
    ['an order that is not kept', [1, 1, true, took(0, 1, 2, 1)], sent(1, 1, 2), 'tell 1 after 2'],
    ['one that nobody sent', [1, 1, true, took(0, 1, 1, 2)], sent(1, 1), 'tell 2 of 1'],
    ['one of nobody', [1, 1, true, took(2, 9, 1)], [], 'nobody lived who sent this'],
    [
      'a loss between survivors',
      [3, 1, false, took(0, 1, 2)],
      sent(3, 1, 2),
      'it begins with tell 2',
    ],
    ['what never arrived', [3, 1, false, took(0, 1, 1)], sent(3, 1, 2), '2 sent, 1 arrived'],
    ['an ask that never ended', [1, 1, true, []], [asked(1, 1)], 'ask 1/1 never ended'],
    [
      'an ask that ended twice',
      [1, 1, true, answered(0, 1, 1)],
      [asked(1, 1), settled(1, 1, OUTCOME.ok), settled(1, 1, OUTCOME.lost)],
      'ask 1/1 settled twice',
    ],
    [
      'an answer of nobody',
      [1, 1, true, []],
      [asked(1, 1), settled(1, 1, OUTCOME.ok)],
      'answered by nobody',
    ],
    [
      'a refusal that was none',
      [1, 1, true, answered(0, 1, 1)],
      [asked(1, 1), settled(1, 1, OUTCOME.refused)],
      'refused and handled',
    ],
    [
      'an ask that timed out',
      [1, 1, true, []],
      [asked(1, 1), settled(1, 1, OUTCOME.timeout)],
      'ended as timeout',
    ],
    [
      'an ask handled twice',
      [1, 1, true, answered(0, 1, 1, 1)],
      [asked(1, 1), settled(1, 1, 1)],
      'ask 1 after 1',
    ],
    ['a wrong body', [1, 1, true, [[KIND.wrong, 0, 1, 7]]], [], 'the body of tell 7 is wrong'],
  ] as const)('finds %s', (_what, [thread, life, isDead, entries], own, fault) => {
    const faults = faultsOf([thread, life, isDead, entries], [0, 1, false, own]);
    expect(
      faults.some((text) => text.includes(fault)),
      faults.join('; '),
    ).toBe(true);
  });

  test('finds a message that comes to two lives', () => {
    const main = [0, 1, false, sent(1, 1, 2)] as const;
    const faults = faultsOf([1, 1, true, took(0, 1, 1, 2)], [1, 2, false, took(0, 1, 2)], main);
    expect(faults).toEqual(['0.1 to 1: tell 2 came again to life 2']);
  });
});

test('threads that die all the time lose nobody: five seconds of chaos', {
  timeout: 120_000,
}, async () => {
  const tool = fileURLToPath(new URL('../../tools/chaos/threads.mjs', import.meta.url));
  const report = await new Promise<Record<string, number>>((resolve, reject) => {
    execFile(process.execPath, [tool, '--seconds', '5', '--json'], (error, stdout, stderr) => {
      if (stdout === '') reject(new Error(stderr, { cause: error }));
      else resolve(JSON.parse(stdout));
    });
  });
  expect(report['examples']).toEqual([]);
  expect(report['faults']).toBe(0);
  expect(report['deaths']).toBeGreaterThan(2);
  expect(report['handled']).toBeGreaterThan(100);
  expect(report['ok']).toBeGreaterThan(10);
});
