// Small things about text in bytes: is it UTF-8, and decimal digits both ways, without strings for the usual sizes.
import { BytesError, type ByteWriter, readUtf8 } from '../../../std/bytes.ts';

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
/** More digits may be beyond 2^53. */
const EXACT_DIGITS_MAX = 15;
const U64_DIGITS_MAX = 20;
const U64_END = 1n << 64n;

export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && bytes[at]! < 0x80) at += 1;
  if (at === end) return true;
  try {
    readUtf8(bytes, at, end);
    return true;
  } catch (error) {
    if (error instanceof BytesError) return false;
    throw error;
  }
}

/** Digits of an integer in [0, 2^53 - 1]. */
export function digitsOf(value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
  return digits;
}

/** Appends an integer in [0, 2^53 - 1] as decimal digits. */
export function writeDigits(writer: ByteWriter, value: number): void {
  const digits = digitsOf(value);
  const at = writer.reserve(digits);
  const { bytes } = writer;
  let rest = value;
  for (let i = at + digits - 1; i >= at; i -= 1) {
    bytes[i] = DIGIT_0 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

/** The integer that bytes[start, end) are the decimal digits of: a bigint from 10^15 on; undefined: they are not. */
export function readDigits(
  bytes: Uint8Array,
  start: number,
  end: number,
): number | bigint | undefined {
  const digits = end - start;
  if (digits < 1 || digits > U64_DIGITS_MAX) return undefined;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = bytes[at]!;
    if (digit < DIGIT_0 || digit > DIGIT_9) return undefined;
    value = value * 10 + digit - DIGIT_0;
  }
  if (digits <= EXACT_DIGITS_MAX) return value;
  const exact = BigInt(readUtf8(bytes, start, end));
  return exact < U64_END ? exact : undefined;
}

/** Below this size a loop is faster than a view and `set`. */
const LOOP_BYTES_MAX = 48;

/** Appends bytes[start, end). */
export function writeRange(
  writer: ByteWriter,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const at = writer.reserve(end - start);
  const to = writer.bytes;
  if (end - start > LOOP_BYTES_MAX) to.set(bytes.subarray(start, end), at);
  else for (let i = start; i < end; i += 1) to[at + i - start] = bytes[i]!;
}
