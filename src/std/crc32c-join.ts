// The CRC-32C of two pieces of bytes from the sums of both: what is summed in parts is checked with one sum over all
// of it. Adding zero bytes is linear, so what n of them do to a sum is put together from what powers of two of them do.
/** `zeros[k]`: entry b at [256 j + b] is what 2^k zero bytes make of a sum whose byte j is b and whose others are 0. */
const zeros: Int32Array[] = [];

function oneZero(sum: number): number {
  let value = sum;
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  return value;
}

function added(table: Int32Array, sum: number): number {
  return (
    table[sum & 0xff]! ^
    table[0x100 + ((sum >>> 8) & 0xff)]! ^
    table[0x200 + ((sum >>> 16) & 0xff)]! ^
    table[0x300 + (sum >>> 24)]!
  );
}

function zerosOf(power: number): Int32Array {
  for (let k = zeros.length; k <= power; k += 1) {
    const half = zeros[k - 1];
    const table = new Int32Array(4 * 256);
    for (let i = 0; i < table.length; i += 1) {
      const sum = (i & 0xff) << (8 * (i >>> 8));
      table[i] = half === undefined ? oneZero(sum) : added(half, added(half, sum));
    }
    zeros.push(table);
  }
  return zeros[power]!;
}

/** Tables of lengths that come again, each at its length modulo this; a length that was there once only has none. */
const KEPT = 64;
const keptLength = new Float64Array(KEPT);
const seenLength = new Float64Array(KEPT);
const kept: Int32Array[] = [];

function ofPowers(length: number, sum: number): number {
  let value = sum;
  for (let power = 0, left = length; left > 0; power += 1, left = Math.floor(left / 2)) {
    if (left % 2 === 1) value = added(zeros[power] ?? zerosOf(power), value);
  }
  return value;
}

function withZeros(length: number, sum: number): number {
  const slot = length % KEPT;
  if (keptLength[slot] === length && length > 0) return added(kept[slot]!, sum);
  if (seenLength[slot] !== length) {
    seenLength[slot] = length;
    return ofPowers(length, sum);
  }
  const table = new Int32Array(4 * 256);
  for (let i = 0; i < table.length; i += 1) {
    table[i] = ofPowers(length, (i & 0xff) << (8 * (i >>> 8)));
  }
  kept[slot] = table;
  keptLength[slot] = length;
  return added(table, sum);
}

/**
 * The CRC-32C of the bytes whose sum is `first` and, behind them, of `secondLength` bytes whose sum is `second`.
 *
 * @example
 * joinCrc32c(crc32c(bytes, 0, 5), crc32c(bytes, 5, 9), 4) === crc32c(bytes, 0, 9);
 */
export function joinCrc32c(first: number, second: number, secondLength: number): number {
  if (first === 0) return second;
  return (withZeros(secondLength, first) ^ second) >>> 0;
}
