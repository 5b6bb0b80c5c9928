// Packed batches are looked into here, plain ones where they are appended: each record once.
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { createUnpack } from '../../../src/env/node/unpack.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { keylessCode } from '../../../src/protocols/kafka/unpacked.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

const value = new Uint8Array(20);
const keyed = { timestampMs: 1, key: new Uint8Array(2), value };
const keyless = { timestampMs: 1, key: null, value };

function packed(records: readonly (typeof keyed | typeof keyless)[]): Uint8Array {
  const compress = (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes));
  return encodeBatch(records, crc32c, { compression: { codec: 'gzip', compress } }).slice();
}

it('finds a record without a key in a packed batch, and one that nobody here can unpack', () => {
  const unpack = createUnpack();
  expect(keylessCode(packed([keyed, keyed]), unpack)).toBeUndefined();
  expect(keylessCode(packed([keyed, keyless]), unpack)).toBe(E.INVALID_RECORD);
  expect(keylessCode(packed([keyed]), undefined)).toBe(E.UNSUPPORTED_COMPRESSION_TYPE);
  expect(keylessCode(packed([keyed]), () => undefined)).toBe(E.UNSUPPORTED_COMPRESSION_TYPE);
});

it('leaves plain batches to the log', () => {
  expect(keylessCode(encodeBatch([keyless], crc32c).slice(), createUnpack())).toBeUndefined();
});
