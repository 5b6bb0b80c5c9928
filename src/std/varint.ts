// Variable-length integers, 7 bits a byte, least significant first, in the ranges of Number.
// Unsigned 32-bit and 53-bit, and the zigzag forms that Kafka records use ("varint", "varlong").
// Readers keep the position in a Cursor so that a value and its end come from one call without an
// object per value.
import { BytesError } from './byte-ops.ts';

/** A moving position. Reused by the caller; readers advance `at`. */
export interface Cursor {
  at: number;
  /** First position that may not be read. */
  end: number;
}

/** What 64 bits take. Longer ones are refused even if they only carry zeros. */
const VARINT_BYTES_MAX = 10;
const TWO_28 = 0x1000_0000;
const TWO_32 = 0x1_0000_0000;

function truncated(bytes: Uint8Array, cursor: Cursor): BytesError {
  return new BytesError('BYTES_TRUNCATED', 'variable-length integer runs past the end', {
    at: cursor.at,
    end: cursor.end,
    size: bytes.length,
  });
}

function tooLong(cursor: Cursor): BytesError {
  return new BytesError('BYTES_BAD_VARINT', 'variable-length integer is too long', {
    at: cursor.at,
  });
}

/** Reads an unsigned varint of at most 32 bits. Throws {@link BytesError}. */
export function readVarU32(bytes: Uint8Array, cursor: Cursor): number {
  let value = 0;
  let at = cursor.at;
  for (let shift = 0; shift < 35; shift += 7) {
    if (at >= cursor.end) throw truncated(bytes, cursor);
    const byte = bytes[at++]!;
    if (shift === 28 && byte > 0x0f) throw tooLong(cursor);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      cursor.at = at;
      return value >>> 0;
    }
  }
  throw tooLong(cursor);
}

/** Reads a zigzag varint of 32 bits. Throws {@link BytesError}. */
export function readVarI32(bytes: Uint8Array, cursor: Cursor): number {
  const raw = readVarU32(bytes, cursor);
  return (raw >>> 1) ^ -(raw & 1);
}

/** Reads an unsigned varint. Throws {@link BytesError}, also for values beyond 2^53 - 1. */
export function readVarU53(bytes: Uint8Array, cursor: Cursor): number {
  const start = cursor.at;
  if (start < cursor.end && bytes[start]! < 0x80) {
    cursor.at = start + 1;
    return bytes[start]!;
  }
  return readTail(bytes, cursor, start, 0, 1);
}

/**
 * Adds the groups of 7 bits from `at` on to `value`, the first weighing `weight`, and moves the
 * cursor behind them. Doubles are exact up to 2^53, and a sum that passes it never comes back
 * below.
 */
function readTail(
  bytes: Uint8Array,
  cursor: Cursor,
  at: number,
  value: number,
  weight: number,
): number {
  const limit = cursor.at + VARINT_BYTES_MAX;
  for (;;) {
    if (at >= cursor.end) throw truncated(bytes, cursor);
    if (at >= limit) throw tooLong(cursor);
    const byte = bytes[at++]!;
    value += (byte & 0x7f) * weight;
    weight *= 0x80;
    if (byte < 0x80) break;
  }
  if (!Number.isSafeInteger(value)) {
    throw new BytesError('BYTES_UNSAFE_INTEGER', 'varint beyond 2^53 - 1', { at: cursor.at });
  }
  cursor.at = at;
  return value;
}

/** Reads a zigzag varlong. Throws {@link BytesError}, also outside the safe integers. */
export function readVarI53(bytes: Uint8Array, cursor: Cursor): number {
  const start = cursor.at;
  // Up to four bytes (27 bits and a sign) stay in int32 arithmetic.
  let raw = 0;
  let at = start;
  for (let shift = 0; shift < 28 && at < cursor.end; shift += 7) {
    const byte = bytes[at++]!;
    raw |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      cursor.at = at;
      return (raw >>> 1) ^ -(raw & 1);
    }
  }
  if (at === start) throw truncated(bytes, cursor);
  // The lowest bit is the sign, so the first byte holds 6 bits of the magnitude.
  const first = bytes[start]!;
  const magnitude = readTail(bytes, cursor, start + 1, (first & 0x7e) >> 1, 0x40);
  return (first & 1) === 0 ? magnitude : -magnitude - 1;
}

/** Bytes that `writeVarU53` takes for an integer in [0, 2^53 - 1]. */
export function varU53Size(value: number): number {
  let size = 1;
  while (value >= TWO_28) {
    value = Math.floor(value / TWO_28);
    size += 4;
  }
  while (value >= 0x80) {
    value >>>= 7;
    size += 1;
  }
  return size;
}

function unsafe(value: number): BytesError {
  return new BytesError('BYTES_UNSAFE_INTEGER', 'no varint of 53 bits', { value });
}

/**
 * Writes an integer in [0, 2^53 - 1] and returns the position behind it. Room: 8 bytes at most. Throws
 * {@link BytesError} beyond that, which no reader would take.
 */
export function writeVarU53(bytes: Uint8Array, at: number, value: number): number {
  if (value > Number.MAX_SAFE_INTEGER) throw unsafe(value);
  while (value >= TWO_32) {
    bytes[at++] = (value % 0x80) | 0x80;
    value = Math.floor(value / 0x80);
  }
  value >>>= 0;
  while (value >= 0x80) {
    bytes[at++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  bytes[at++] = value;
  return at;
}

/** Bytes that `writeVarI53` takes for a safe integer. */
export function varI53Size(value: number): number {
  // The zigzag form may need 54 bits; below 2^52 in size it is a safe integer.
  if (value >= -0x40 && value < 0x40) return 1;
  const magnitude = value < 0 ? -(value + 1) : value;
  return magnitude < 2 ** 52 ? varU53Size(magnitude * 2) : 8;
}

/**
 * Writes a safe integer in zigzag form and returns the position behind it. Room: 8 bytes at most. Throws
 * {@link BytesError} for numbers beyond, which no reader would take.
 */
export function writeVarI53(bytes: Uint8Array, at: number, value: number): number {
  const magnitude = value < 0 ? -(value + 1) : value;
  const sign = value < 0 ? 1 : 0;
  if (magnitude < 2 ** 52) return writeVarU53(bytes, at, magnitude * 2 + sign);
  if (!Number.isSafeInteger(value)) throw unsafe(value);
  // First byte by hand (6 bits of magnitude and the sign), the rest is below 2^47.
  bytes[at] = ((magnitude % 0x40) * 2 + sign) | 0x80;
  return writeVarU53(bytes, at + 1, Math.floor(magnitude / 0x40));
}
