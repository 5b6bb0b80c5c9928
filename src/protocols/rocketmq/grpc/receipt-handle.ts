// Receipt handles: what a client shows when it is done with a message. Opaque to it, and to us a lease that a
// leader of this cluster gave: base64url of
//
//   version u8 (1) | log id u64 | offset u64 | epoch u32 | lease number u64 | check 8
//
// The check is SipHash-2-4 under a key of the cluster, over these bytes and the group, so that neither a
// changed handle nor that of another group is taken for one of ours. Whether the lease still holds is the
// broker's to say.
import { ByteReader, BytesError, ByteWriter, encodeUtf8 } from '../../../std/bytes.ts';
import type { Lease } from './ports.ts';
import { sipHash24 } from './siphash.ts';

const VERSION = 1;
const LEASE_BYTES = 1 + 8 + 8 + 4 + 8;
const CHECK_BYTES = 8;
const HANDLE_CHARS = Math.ceil(((LEASE_BYTES + CHECK_BYTES) * 4) / 3);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Bytes of the key that all nodes of a cluster share. */
export const HANDLE_KEY_BYTES = 16;

function base64url(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let count = 0;
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xffff;
    count += 8;
    while (count >= 6) {
      count -= 6;
      text += ALPHABET[(bits >>> count) & 63];
    }
  }
  return count === 0 ? text : text + ALPHABET[(bits << (6 - count)) & 63];
}

/** Undefined unless `text` is what `base64url` makes of `size` bytes. */
function fromBase64url(text: string, size: number): Uint8Array | undefined {
  const bytes = new Uint8Array(size);
  let at = 0;
  let bits = 0;
  let count = 0;
  for (const char of text) {
    const value = ALPHABET.indexOf(char);
    if (value < 0) return undefined;
    bits = ((bits << 6) | value) & 0xffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = bits >>> count;
  }
  return at === size && (bits & ((1 << count) - 1)) === 0 ? bytes : undefined;
}

function checkOf(key: Uint8Array, lease: Uint8Array, group: string): Uint8Array {
  const writer = new ByteWriter(LEASE_BYTES + group.length);
  writer.raw(lease);
  writer.raw(encodeUtf8(group));
  return sipHash24(key, writer.finish());
}

/** Takes as long for every pair, so that nobody can feel his way to a check. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let i = 0; i < CHECK_BYTES; i += 1) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

export function receiptHandle(key: Uint8Array, lease: Lease, group: string): string {
  const writer = new ByteWriter(LEASE_BYTES + CHECK_BYTES);
  writer.u8(VERSION);
  writer.u64(lease.logId);
  writer.u64(lease.offset);
  writer.u32(lease.epoch);
  writer.u64(lease.number);
  writer.raw(checkOf(key, writer.finish(), group));
  return base64url(writer.finish());
}

/** The lease that a handle stands for; undefined if this cluster never gave it to this group. */
export function leaseOfHandle(key: Uint8Array, handle: string, group: string): Lease | undefined {
  if (handle.length !== HANDLE_CHARS) return undefined;
  const bytes = fromBase64url(handle, LEASE_BYTES + CHECK_BYTES);
  if (bytes === undefined || bytes[0] !== VERSION) return undefined;
  const lease = bytes.subarray(0, LEASE_BYTES);
  if (!isSame(bytes.subarray(LEASE_BYTES), checkOf(key, lease, group))) return undefined;
  const reader = new ByteReader(lease, 1);
  try {
    const logId = reader.u64();
    return { logId, offset: reader.u64(), epoch: reader.u32(), number: reader.u64() };
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}
