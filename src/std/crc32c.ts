// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78, RFC 3720 appendix B.4) in plain JavaScript.
// The environment offers a native one where a binary loads; this is the fallback, the reference and
// what pure rooms use in tests. Slicing by 8: eight table look-ups for eight bytes.

const POLYNOMIAL = 0x82f63b78;

/** Table k, entry b at [256 k + b]: the effect of byte b followed by k zero bytes. */
const TABLES: Int32Array = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
    tables[byte] = value;
  }
  for (let i = 256; i < tables.length; i += 1) {
    const shorter = tables[i - 256]!;
    tables[i] = (shorter >>> 8) ^ tables[shorter & 0xff]!;
  }
  return tables;
}

/**
 * CRC-32C of bytes[start, end), continuing from `seed` (the result for what came before).
 *
 * @example
 * crc32c(new TextEncoder().encode('123456789')) === 0xe3069283;
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  const tables = TABLES;
  let crc = ~seed;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    const low =
      crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      tables[0x700 + (low & 0xff)]! ^
      tables[0x600 + ((low >>> 8) & 0xff)]! ^
      tables[0x500 + ((low >>> 16) & 0xff)]! ^
      tables[0x400 + (low >>> 24)]! ^
      tables[0x300 + bytes[at + 4]!]! ^
      tables[0x200 + bytes[at + 5]!]! ^
      tables[0x100 + bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!;
  }
  for (; at < end; at += 1) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}

/** The shape shared with the native function of the environment. */
export type Crc32c = (bytes: Uint8Array, start: number, end: number, seed?: number) => number;
