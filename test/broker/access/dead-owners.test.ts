// Leaders that are told who is gone: what has no room for it, as while it hands over, is told again.
import { expect, test } from 'vitest';
import type { Call } from '../../../src/broker/access/calls.ts';
import { Farewells, type FarewellsPort } from '../../../src/broker/access/dead-owners.ts';
import type { LogResult } from '../../../src/cluster/ports.ts';

function told() {
  const calls: Call[] = [];
  const later: (() => void)[] = [];
  const state = { isLedHere: true };
  const port = {
    calls: { command: (call: Call) => calls.push(call) },
    hostHere: () => (state.isLedHere ? {} : undefined),
    later: (_ms: number, work: () => void) => later.push(work),
  } as unknown as FarewellsPort;
  new Farewells(port).tell(7, new Uint8Array(1));
  const answer = (result: LogResult) =>
    calls.at(-1)!.answered!({ token: 0, result, body: new Uint8Array(0) });
  return { calls, later, state, answer };
}

test('until it is heard', () => {
  const { calls, later, answer } = told();
  answer('not-available');
  later.shift()!();
  answer('throttled');
  later.shift()!();
  expect(calls).toHaveLength(3);
  answer('ok');
  expect(later).toEqual([]);
});

test('as long as the log is led here', () => {
  const { calls, later, state, answer } = told();
  answer('not-leader');
  state.isLedHere = false;
  later.shift()!();
  expect(calls).toHaveLength(1);
  expect(later).toEqual([]);
});
