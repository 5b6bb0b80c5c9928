// The consumers of one shard at one log, against a leader that answers when the test says so.
import { expect, test } from 'vitest';
import type { Call } from '../../../src/broker/access/calls.ts';
import { type GivenRuns, type LinePort, ViewLine } from '../../../src/broker/access/view-lines.ts';
import { encodeQueueAnswer, type QueueAnswer } from '../../../src/broker/view/answers.ts';
import { decodeQueueCommand, type QueueCommand } from '../../../src/broker/view/commands.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import type { LogResult } from '../../../src/cluster/ports.ts';

const OWNER = { node: 1, incarnation: 1, session: 0 };
const WISH = { credit: 10, waitMs: 1_000, leaseMs: 1_000 };

/** What was said to the leader, and the calls that wait for its answers. */
function leader() {
  const said: QueueCommand[] = [];
  const calls: Call[] = [];
  const later: (() => void)[] = [];
  const port = {
    later: (_ms: number, work: () => void) => later.push(work),
    calls: {
      command(call: Call, _logId: number, body: Uint8Array) {
        said.push(decodeQueueCommand(body, new Runs(), 100));
        calls.push(call);
      },
    },
    leaderHost: () => ({}),
    owner: () => OWNER,
    ownerIsStale: () => undefined,
  } as unknown as LinePort;
  const answer = (at: number, body: QueueAnswer | undefined, result: LogResult = 'ok') => {
    const bytes = body === undefined ? new Uint8Array(0) : encodeQueueAnswer(body);
    calls[at]?.answered?.({ token: 0, result, body: bytes });
  };
  return { said, later, answer, line: new ViewLine(undefined, 1, port) };
}

function deliveries(...numbers: readonly number[]): QueueAnswer {
  const runs = new Runs();
  for (const number of numbers) runs.push(number, 1, number);
  return { kind: 'deliveries', outcome: 'ok', epoch: 1, ready: 0, runs };
}

test('a receive that was cancelled and fails late leaves the next one of its consumer alone', () => {
  const { said, answer, line } = leader();
  const given: GivenRuns[] = [];
  const first = line.receive(WISH, (runs) => given.push(runs));
  answer(0, { kind: 'attached', outcome: 'ok', epoch: 1, seen: 0 });
  first.cancel();
  answer(2, deliveries());
  expect(given.map(({ result, runs }) => [result, runs.total])).toEqual([['ok', 0]]);
  line.receive(WISH, (runs) => given.push(runs));
  expect(said.map(({ kind }) => kind)).toEqual(['attach', 'receive', 'receive', 'receive']);
  // The way to the leader was lost for the first question, which nobody waits for any more.
  answer(1, undefined, 'timed-out');
  expect(said.map(({ kind }) => kind)).not.toContain('detach');
  answer(3, deliveries(1, 2));
  expect(given.map(({ runs }) => runs.total)).toEqual([0, 2]);
  expect(line.busy).toBe(0);
});

test('a receive that was held and sent on goes to the next leader, which knows no consumer yet', () => {
  const { said, later, answer, line } = leader();
  const given: GivenRuns[] = [];
  line.receive(WISH, (runs) => given.push(runs));
  answer(0, undefined, 'not-leader');
  later.shift()!();
  answer(1, { kind: 'attached', outcome: 'ok', epoch: 1, seen: 0 });
  answer(2, undefined, 'not-leader');
  expect(given).toEqual([]);
  later.shift()!();
  expect(said.map(({ kind }) => kind)).toEqual(['attach', 'attach', 'receive', 'detach', 'attach']);
  answer(4, { kind: 'attached', outcome: 'ok', epoch: 2, seen: 0 });
  answer(5, deliveries(1));
  expect(given.map(({ result, runs }) => [result, runs.total])).toEqual([['ok', 1]]);
});

test('a receive that is sent on and on ends, and so does one that is cancelled meanwhile', () => {
  const { said, later, answer, line } = leader();
  const given: GivenRuns[] = [];
  line.receive(WISH, (runs) => given.push(runs));
  for (let at = 0; given.length === 0; at += 1) {
    answer(at, undefined, 'not-leader');
    later.shift()?.();
  }
  expect(given[0]!.result).toBe('not-leader');
  const asked = said.length;
  const receive = line.receive(WISH, (runs) => given.push(runs));
  answer(asked, undefined, 'not-leader');
  receive.cancel();
  later.shift()!();
  expect(given.map(({ result }) => result)).toEqual(['not-leader', 'ok']);
  expect(said).toHaveLength(asked + 1);
});
