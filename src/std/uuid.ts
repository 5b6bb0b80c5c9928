// UUIDs as 16 bytes: the canonical text with dashes, and the 22-character base64url text that Kafka
// prints for topic and cluster ids. Randomness comes from the caller.
import { fromHex, toHex, writeU32 } from './byte-ops.ts';

export const UUID_BYTES = 16;
export const ZERO_UUID: Uint8Array = new Uint8Array(UUID_BYTES);

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Canonical lower-case text of the 16 bytes at `at`. */
export function formatUuid(bytes: Uint8Array, at = 0): string {
  const hex = toHex(bytes.subarray(at, at + UUID_BYTES));
  const cuts = [0, 8, 12, 16, 20, 32];
  return cuts
    .slice(1)
    .map((cut, i) => hex.slice(cuts[i], cut))
    .join('-');
}

/** The 16 bytes of a canonical text, or undefined if it is none. */
export function parseUuid(text: string): Uint8Array | undefined {
  const isCanonical = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
  return isCanonical ? fromHex(text.replaceAll('-', '')) : undefined;
}

/** Kafka's text form: base64url without padding, 22 characters. */
export function formatUuidBase64(bytes: Uint8Array, at = 0): string {
  let text = '';
  for (let bit = 0; bit < 132; bit += 6) {
    const byte = at + (bit >> 3);
    const high = bytes[byte]!;
    const low = (bit >> 3) + 1 < UUID_BYTES ? bytes[byte + 1]! : 0;
    text += BASE64URL[(((high << 8) | low) >> (10 - (bit & 7))) & 0x3f];
  }
  return text;
}

/** The 16 bytes of Kafka's text form, or undefined if it is none. */
export function parseUuidBase64(text: string): Uint8Array | undefined {
  if (text.length !== 22) return undefined;
  const out = new Uint8Array(UUID_BYTES + 1);
  for (let i = 0; i < 22; i += 1) {
    const value = BASE64URL.indexOf(text[i]!);
    if (value < 0) return undefined;
    const bit = i * 6;
    const pair = value << (10 - (bit & 7));
    out[bit >> 3]! |= pair >> 8;
    if ((bit >> 3) + 1 <= UUID_BYTES) out[(bit >> 3) + 1]! |= pair & 0xff;
  }
  // The last character carries two bits of data; the four below them must be zero.
  return out[UUID_BYTES] === 0 ? out.subarray(0, UUID_BYTES) : undefined;
}

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
