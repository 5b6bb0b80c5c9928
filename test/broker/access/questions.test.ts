// Questions to a leader that hands over: what it held and sent on was not done, and is asked of the next one.
import { expect, test } from 'vitest';
import type { Call } from '../../../src/broker/access/calls.ts';
import { Questions, type QuestionsPort } from '../../../src/broker/access/questions.ts';
import { encodeQueueAnswer } from '../../../src/broker/view/answers.ts';
import type { LogResult } from '../../../src/cluster/ports.ts';

function asked() {
  const calls: Call[] = [];
  const later: (() => void)[] = [];
  const port = {
    calls: { command: (call: Call) => calls.push(call), forget: () => undefined },
    view: { nodeId: 1, node: () => undefined },
    log: () => ({ leader: 1, replicas: [1, 2] }),
    leaderHost: () => ({}),
    nowMs: () => 0,
    later: (_ms: number, work: () => void) => later.push(work),
    soon: (work: () => void) => work(),
  } as unknown as QuestionsPort;
  const answer = (result: LogResult, body: Uint8Array = new Uint8Array(0)) =>
    calls.at(-1)!.answered!({ token: 0, result, body });
  return { calls, later, answer, questions: new Questions(port) };
}

test('a purge that was held and sent on is asked of the next leader', async () => {
  const { calls, later, answer, questions } = asked();
  const purged = questions.purge(1, 1_000);
  answer('not-leader');
  later.at(-1)!();
  expect(calls).toHaveLength(2);
  answer('ok', encodeQueueAnswer({ kind: 'count', outcome: 'ok', count: 3 }));
  expect(await purged).toBe(3);
});

test('a purge that may have happened is not', async () => {
  const { calls, answer, questions } = asked();
  const purged = questions.purge(1, 1_000);
  answer('leader-lost');
  expect(await purged).toBe('leader-lost');
  expect(calls).toHaveLength(1);
});
