// Record values of the workload: u32 id, then bytes that follow from it. So a reader knows the id without
// asking, and a checker can tell whether the body is the one that was sent.
import { readU32, writeU32 } from '../../std/bytes.ts';
import { fnv1a32, mix32 } from '../../std/hash.ts';

const ID_BYTES = 4;

/** The value for `id`, of at least four bytes. */
export function bodyOf(id: number, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(ID_BYTES, size));
  writeU32(bytes, 0, id);
  for (let i = ID_BYTES; i < bytes.length; i += 1) bytes[i] = mix32(id * 31 + i) & 0xff;
  return bytes;
}

/** What a poll records of a value; an id of -1 is a value that this workload never wrote. */
export function readBody(value: Uint8Array | null): {
  readonly id: number;
  readonly bodyHash: number;
} {
  if (value === null || value.length < ID_BYTES) return { id: -1, bodyHash: 0 };
  return { id: readU32(value, 0), bodyHash: fnv1a32(value) };
}
