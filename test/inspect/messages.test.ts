// Of a read that is damaged in its middle, what lies before is shown, and then that the rest is damaged.
import { expect, test } from 'vitest';
import type { Environment } from '../../src/env/environment.ts';
import { messagesOf } from '../../src/inspect/messages.ts';
import type { FoundLog } from '../../src/inspect/stopped-folder.ts';
import { stampBatch } from '../../src/records/batch.ts';
import { encodeBatch } from '../../src/records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';

const BATCHES = ['a', 'b', 'c', 'd'].map((text, offset) => {
  const batch = encodeBatch([{ timestampMs: 1, key: null, value: encodeUtf8(text) }], crc32c);
  stampBatch(batch, 0, offset, 1);
  return batch;
});

function shown(bytes: Uint8Array): (string | undefined)[] {
  const read = {
    kind: 'file',
    file: {
      readSync: (into: Uint8Array, at: number) => {
        into.set(bytes.subarray(at));
        return into.length;
      },
    },
    position: 0,
    length: bytes.length,
    baseOffset: 0,
    nextOffset: 4,
    isSound: () => true,
    release: () => undefined,
  };
  const stored = {
    startOffset: 0,
    endOffset: 4,
    committedSeq: 4,
    settledOffset: 4,
    offsetAt: () => 4,
    read: () => read,
  };
  const found = { stored, record: undefined } as unknown as FoundLog;
  const env = { crc32c } as unknown as Environment;
  return [...messagesOf(env, found, undefined)].map(({ record: { offset, value, note } }) =>
    note === undefined ? decodeUtf8(value!) : `${offset}: ${note}`,
  );
}

test('whole', () => {
  expect(shown(Buffer.concat(BATCHES))).toEqual(['a', 'b', 'c', 'd']);
});

test('damaged in the middle', () => {
  const bytes = Buffer.concat(BATCHES);
  const at = BATCHES[0]!.length + BATCHES[1]!.length + BATCHES[2]!.length - 2;
  bytes[at] = bytes[at]! ^ 4;
  expect(shown(bytes)).toEqual(['a', 'b', '2: the bytes from here on are damaged']);
});
