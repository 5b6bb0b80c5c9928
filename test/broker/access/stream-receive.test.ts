// How much one wish for messages reads: work is counted, not timed. The log answers at once.
import { expect, it } from 'vitest';
import type { Calls } from '../../../src/broker/access/calls.ts';
import type { StreamMessage } from '../../../src/broker/access/stream-api.ts';
import { type ReceivePort, StreamReceive } from '../../../src/broker/access/stream-receive.ts';
import type { ViewLine } from '../../../src/broker/access/view-lines.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import { stampBatch } from '../../../src/records/batch.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

/** A log of single records of one size, which gives at least one batch, as logs do. */
function receive(count: number, valueBytes: number) {
  const batches = Array.from({ length: count }, (_, offset) => {
    const value = new Uint8Array(valueBytes).fill(offset);
    const bytes = encodeBatch([{ timestampMs: 1, key: null, value }], crc32c);
    stampBatch(bytes, 0, offset, 1);
    return bytes;
  });
  const asked: number[] = [];
  const calls = {
    fetch(call: Parameters<Calls['fetch']>[0], _logId: number, offset: number, maxBytes: number) {
      asked.push(maxBytes);
      const slices: { kind: 'memory'; bytes: Uint8Array }[] = [];
      let size = 0;
      for (const bytes of batches.slice(offset)) {
        if (size > 0 && size + bytes.length > maxBytes) break;
        slices.push({ kind: 'memory', bytes });
        size += bytes.length;
      }
      const facts = { token: 0, committedOffset: count, startOffset: 0, endOffset: count };
      call.fetched?.({ ...facts, result: 'ok', leaderEpoch: 1, slices, release: () => undefined });
      return 0;
    },
  };
  const line = {
    receive: (_options: object, done: Parameters<ViewLine['receive']>[1]) => {
      const runs = new Runs();
      runs.push(0, count, 1);
      done({ result: 'ok', epoch: 1, runs });
    },
  };
  const port = {
    calls,
    unpack: undefined,
    leaderHost: () => ({}),
    line: () => line,
    nowMs: () => 0,
    soon: (work: () => void) => work(),
    warn: () => undefined,
    say: () => undefined,
  } as unknown as ReceivePort;
  let got: readonly StreamMessage[] = [];
  const limits = { messagesMax: count, bytesMax: 64 << 20, leaseMs: 1, waitMs: 0 };
  new StreamReceive({ group: 'g', logIds: [1], ...limits }, port, (_result, messages) => {
    got = messages;
  }).start(0);
  expect(got.map(({ offset }) => offset)).toEqual(Array.from({ length: count }, (_, i) => i));
  expect(got.every(({ value }, i) => value?.length === valueBytes && value[0] === i)).toBe(true);
  return asked;
}

it('a few small records cost one small read', () => {
  expect(receive(32, 1_024)).toEqual([64 * 1024]);
});

it('more of them cost reads that grow, to a bound', () => {
  const asked = receive(200, 32 * 1024);
  expect(asked.slice(0, 5)).toEqual([1, 2, 4, 8, 16].map((n) => n * 64 * 1024));
  expect(Math.max(...asked)).toBe(1024 * 1024);
  expect(asked.length).toBeLessThan(14);
});

it('one that is larger than any read comes whole', () => {
  expect(receive(1, 3 << 20)).toEqual([64 * 1024]);
});

it('goes on waiting when all that came is none of the group’s, whatever the receives of before say late', () => {
  const value = new Uint8Array(1);
  const bytes = encodeBatch([{ timestampMs: 1, key: null, value }], crc32c);
  stampBatch(bytes, 0, 0, 1);
  const calls = {
    fetch(call: Parameters<Calls['fetch']>[0]) {
      const facts = { token: 0, committedOffset: 1, startOffset: 0, endOffset: 1 };
      const slices = [{ kind: 'memory' as const, bytes }];
      call.fetched?.({ ...facts, result: 'ok', leaderEpoch: 1, slices, release: () => undefined });
      return 0;
    },
  };
  /** Receives that wait, in the order in which they were asked, with their logs. */
  const waiting: { logId: number; end: (count: number) => void }[] = [];
  const line = (_group: string, logId: number) => ({
    receive({ waitMs }: { readonly waitMs: number }, done: Parameters<ViewLine['receive']>[1]) {
      const end = (count: number) => {
        const runs = new Runs();
        if (count > 0) runs.push(0, count, 1);
        done({ result: 'ok', epoch: 1, runs });
      };
      if (waitMs === 0) end(0);
      else waiting.push({ logId, end });
      // The leader is asked to let it go, and answers later.
      return { cancel: () => undefined };
    },
  });
  let isWanted = false;
  const port = {
    calls,
    unpack: undefined,
    leaderHost: () => ({}),
    line,
    nowMs: () => 0,
    soon: (work: () => void) => work(),
    warn: () => undefined,
    say: () => undefined,
  } as unknown as ReceivePort;
  const ends: number[] = [];
  const wish = { group: 'g', logIds: [1, 2], messagesMax: 1, bytesMax: 1_000, leaseMs: 1 };
  const accepts = () => isWanted;
  new StreamReceive({ ...wish, waitMs: 1_000, accepts }, port, (_result, messages) => {
    ends.push(messages.length);
  }).start(0);
  expect(waiting.map(({ logId }) => logId)).toEqual([1, 2]);
  waiting[0]!.end(1);
  expect(waiting.map(({ logId }) => logId)).toEqual([1, 2, 1, 2]);
  waiting[1]!.end(0);
  expect(ends).toEqual([]);
  isWanted = true;
  waiting[3]!.end(1);
  waiting[2]!.end(0);
  expect(ends).toEqual([1]);
});
