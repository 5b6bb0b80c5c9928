// The checker of planned moves against histories made by hand.
import { expect, test } from 'vitest';
import type { Reign } from '../../../src/sim/checkers/durability.ts';
import {
  emptyHistory,
  type KafkaHistory,
  type Send,
} from '../../../src/sim/checkers/kafka-history.ts';
import { checkMoves } from '../../../src/sim/checkers/moves.ts';

const LOG = 't-0';

function send(id: number, over: Partial<Send> = {}): Send {
  const what = { producer: 'p', topic: 't', partition: 0, bodyHash: id, order: id, attempts: 1 };
  const how = { outcome: 'acknowledged', offset: id, acks: 1, answeredBy: 1 } as const;
  return { ...what, ...how, id, beganMs: 10 * id, endedMs: 10 * id + 5, ...over };
}

function history(sends: readonly Send[], kept: readonly number[]): KafkaHistory {
  const poll = { consumer: 'r', topic: 't', partition: 0, session: 1, offsets: kept };
  const finalPolls = [{ ...poll, ids: kept, bodyHashes: kept }];
  return { ...emptyHistory(), sends: [...sends], finalPolls };
}

function reign(epoch: number, node: number, sinceMs: number, untilMs: number): Reign {
  return { epoch, node, lifeMs: 0, fromMs: sinceMs + 1, cleanMs: -1, sinceMs, untilMs };
}

/** Node 1 leads until 100, node 2 until 200. */
const REIGNS = new Map([[LOG, [reign(1, 1, 0, 100), reign(2, 2, 99, 200)]]]);
const planned = (...epochs: number[]) => new Map([[LOG, new Set(epochs)]]);

test('what was answered before a planned move must be there, at either level', () => {
  const sends = [send(1), send(2), send(3, { acks: -1 }), send(12, { answeredBy: 2 })];
  const seen = history(sends, [2]);
  const { violations, covered } = checkMoves(seen, { reigns: REIGNS, planned: planned(1) });
  expect(violations.map(({ message }) => message.match(/id \d+/)?.[0])).toEqual(['id 1', 'id 3']);
  expect(covered).toBe(2);
});

test('of an epoch that ended otherwise, or that nobody saw, nothing is said', () => {
  const sends = [send(1), send(2, { answeredBy: 3 }), send(3, { outcome: 'unknown' })];
  const none = checkMoves(history(sends, []), { reigns: REIGNS, planned: planned() });
  expect(none).toEqual({ violations: [], covered: 0 });
  const other = checkMoves(history(sends, []), { reigns: REIGNS, planned: planned(2) });
  expect(other).toEqual({ violations: [], covered: 0 });
});

test('where two epochs come into question both must have ended as planned', () => {
  const twice = new Map([[LOG, [reign(1, 1, 0, 30), reign(2, 1, 20, 200)]]]);
  const seen = history([send(2, { endedMs: 30 })], []);
  expect(checkMoves(seen, { reigns: twice, planned: planned(1) }).violations).toEqual([]);
  expect(checkMoves(seen, { reigns: twice, planned: planned(1, 2) }).violations).toHaveLength(1);
});
