import zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { createUnpack } from '../../../src/env/node/unpack.ts';

const unpack = createUnpack();
const plain = Uint8Array.from({ length: 5000 }, (_, i) => i % 7);

test('gzip is unpacked to the byte, and never to more than was allowed', () => {
  const squeezed = zlib.gzipSync(plain);
  expect([...(unpack('gzip', squeezed, 5000) ?? [])]).toEqual([...plain]);
  expect(() => unpack('gzip', squeezed, 4999)).toThrow();
  expect(() => unpack('gzip', plain, 5000)).toThrow();
});

test('what zlib does not know is not unpacked', () => {
  expect(unpack('snappy', plain, 5000)).toBeUndefined();
  expect(unpack('lz4', plain, 5000)).toBeUndefined();
});

type Squeeze = (bytes: Uint8Array) => Uint8Array;
const { zstdCompressSync } = zlib as { readonly zstdCompressSync?: Squeeze };

test('zstd is unpacked where this Node has it', () => {
  const squeezed = zstdCompressSync?.(plain);
  expect(unpack('zstd', squeezed ?? plain, 5000)).toEqual(
    squeezed === undefined ? undefined : expect.objectContaining({ length: 5000 }),
  );
});
