// Records for people come out of bytes that are what was appended, or not at all.
import { expect, test } from 'vitest';
import type { LogClient } from '../../../src/broker/access/log-client.ts';
import { createRecordAccess } from '../../../src/broker/access/record-access.ts';
import type { FetchedInput, MetadataView } from '../../../src/cluster/ports.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

const batch = encodeBatch([{ timestampMs: 1, key: null, value: encodeUtf8('a') }], crc32c);

async function read(isSound: boolean) {
  let released = 0;
  const slice = {
    kind: 'file',
    file: {
      readSync: (into: Uint8Array, at: number) => {
        into.set(batch.subarray(at));
        return into.length;
      },
    },
    position: 0,
    length: batch.length,
    isSound: () => isSound,
  };
  const answer = {
    token: 0,
    result: 'ok',
    committedOffset: 1,
    startOffset: 0,
    endOffset: 1,
    leaderEpoch: 1,
    slices: [slice],
    release: () => {
      released += 1;
    },
  } as unknown as FetchedInput;
  const access = createRecordAccess({
    view: { destination: () => ({ logs: [{ logId: 1 }] }) } as unknown as MetadataView,
    client: { fetch: () => Promise.resolve(answer) } as unknown as LogClient,
    crc32c,
    unpack: () => undefined,
    monotonicMs: () => 0,
    nowMs: () => 0,
    below: () => 0,
    sleep: () => Promise.resolve(),
  });
  const outcome = await access.read('d', new Map([[0, 0]]), { recordsMax: 10, waitMs: 0 });
  expect(released).toBe(1);
  return outcome;
}

test('a range of a file is read, and decoded', async () => {
  const outcome = await read(true);
  if (outcome.kind !== 'ok') throw new Error(outcome.kind);
  expect(outcome.value.records.map(({ value }) => decodeUtf8(value!))).toEqual(['a']);
});

test('one that is not what was appended fails the read', async () => {
  expect(await read(false)).toEqual({ kind: 'failed', result: 'storage-error' });
});

test('eight searches go on at once; who asks for more is told to come back', async () => {
  const answers: ((fails: boolean) => void)[] = [];
  const found = { result: 'ok', offsets: [], edge: 0, isComplete: true, unread: 0 };
  const find = () =>
    new Promise((resolve, reject) => {
      answers.push((fails) => (fails ? reject(new Error('gone')) : resolve(found)));
    });
  const access = createRecordAccess({
    view: { destination: () => ({ logs: [{ logId: 1 }] }) } as unknown as MetadataView,
    client: { find } as unknown as LogClient,
    crc32c,
    unpack: () => undefined,
    monotonicMs: () => 0,
    nowMs: () => 0,
    below: () => 0,
    sleep: () => Promise.resolve(),
  });
  const search = () =>
    access.find('d', {
      lookup: { kind: 'key', value: encodeUtf8('k') },
      from: new Map([[0, undefined]]),
      ...{ sinceMs: undefined, untilMs: undefined, isNewestFirst: true },
      ...{ recordsMax: 1, timeoutMs: 1_000 },
    });
  const throttled = { kind: 'failed', result: 'throttled' };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const running = Array.from({ length: 8 }, search);
  expect(await search()).toEqual(throttled);
  await turn();
  expect(answers).toHaveLength(8);
  answers[0]!(false);
  expect(await running[0]).toMatchObject({ kind: 'ok' });
  answers[1]!(true);
  await expect(running[1]).rejects.toThrow('gone');
  running.push(search(), search());
  expect(await search()).toEqual(throttled);
  await turn();
  for (const answer of answers.slice(2)) answer(false);
  await Promise.allSettled(running);
  expect(answers).toHaveLength(10);
});
