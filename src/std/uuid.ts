// UUIDs as 16 bytes (RFC 9562). Randomness comes from the caller.
import { writeU32 } from './byte-ops.ts';

export const UUID_BYTES = 16;
export const ZERO_UUID: Uint8Array = new Uint8Array(UUID_BYTES);

/** A version 4 UUID from four uniform 32-bit draws. */
export function uuidFromDraws(a: number, b: number, c: number, d: number): Uint8Array {
  const out = new Uint8Array(UUID_BYTES);
  writeU32(out, 0, a);
  writeU32(out, 4, b);
  writeU32(out, 8, c);
  writeU32(out, 12, d);
  out[6] = (out[6]! & 0x0f) | 0x40;
  out[8] = (out[8]! & 0x3f) | 0x80;
  return out;
}
