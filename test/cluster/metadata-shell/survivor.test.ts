// Who may be elected for an offline log at the price of loss.
import { expect, it } from 'vitest';
import { survivorOf } from '../../../src/cluster/metadata-shell/survivor.ts';
import type { LogStatus } from '../../../src/cluster/ports.ts';

const LOG = 7;
const status = (role: LogStatus['role'], logId = LOG): LogStatus => ({
  logId,
  role,
  epoch: 4,
  lastEpoch: 3,
  startOffset: 0,
  committedOffset: 10,
  endOffset: 12,
  endSeq: 14,
  uncleanFrom: -1,
  lostFrom: -1,
  lostCommittedTo: -1,
  lostTo: -1,
  committedSeq: 11,
});

it('a replica is a survivor by its last epoch and its end', () => {
  const answer = [status('follower', 6), status('follower')];
  expect(survivorOf(2, LOG, answer)).toEqual({ node: 2, lastEpoch: 3, endSeq: 14 });
  expect(survivorOf(2, LOG, [status('starting')])).toBeDefined();
});

it('a replica that has failed is none, and neither is a node that has none', () => {
  expect(survivorOf(2, LOG, [status('failed')])).toBeUndefined();
  expect(survivorOf(2, LOG, [status('leader', 6)])).toBeUndefined();
});
