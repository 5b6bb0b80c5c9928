// SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): 64 bits of a message under a
// key of 128 bits, that nobody without the key can tell. 64-bit words are two halves of 32.

/** v[to] += v[of], both 64 bits. */
function add(v: Int32Array, to: number, of: number): void {
  const low = (v[to]! >>> 0) + (v[of]! >>> 0);
  v[to + 1] = v[to + 1]! + v[of + 1]! + (low > 0xffff_ffff ? 1 : 0);
  v[to] = low;
}

/** v[to] = (v[to] rotated left by `count`, below 32) ^ v[by]. */
function rotateXor(v: Int32Array, to: number, count: number, by: number): void {
  const low = v[to]!;
  const high = v[to + 1]!;
  v[to] = ((low << count) | (high >>> (32 - count))) ^ v[by]!;
  v[to + 1] = ((high << count) | (low >>> (32 - count))) ^ v[by + 1]!;
}

/** v[at] rotated by 32: its halves change places. */
function swap(v: Int32Array, at: number): void {
  const low = v[at]!;
  v[at] = v[at + 1]!;
  v[at + 1] = low;
}

// Where a word's low half is; the high half follows.
const V0 = 0;
const V1 = 2;
const V2 = 4;
const V3 = 6;

function round(v: Int32Array): void {
  add(v, V0, V1);
  add(v, V2, V3);
  rotateXor(v, V1, 13, V0);
  rotateXor(v, V3, 16, V2);
  swap(v, V0);
  add(v, V2, V1);
  add(v, V0, V3);
  rotateXor(v, V1, 17, V2);
  rotateXor(v, V3, 21, V0);
  swap(v, V2);
}

function compress(v: Int32Array, low: number, high: number): void {
  v[V3] = v[V3]! ^ low;
  v[V3 + 1] = v[V3 + 1]! ^ high;
  round(v);
  round(v);
  v[V0] = v[V0]! ^ low;
  v[V0 + 1] = v[V0 + 1]! ^ high;
}

function u32le(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** The hash as 8 bytes, little endian. `key` has 16 bytes. */
export function sipHash24(key: Uint8Array, message: Uint8Array): Uint8Array {
  const [k0, k1, k2, k3] = [u32le(key, 0), u32le(key, 4), u32le(key, 8), u32le(key, 12)];
  // "somepseudorandomlygeneratedbytes", low half first.
  const v = Int32Array.of(
    k0 ^ 0x70736575,
    k1 ^ 0x736f6d65,
    k2 ^ 0x6e646f6d,
    k3 ^ 0x646f7261,
    k0 ^ 0x6e657261,
    k1 ^ 0x6c796765,
    k2 ^ 0x79746573,
    k3 ^ 0x74656462,
  );
  const whole = message.length & ~7;
  for (let at = 0; at < whole; at += 8) compress(v, u32le(message, at), u32le(message, at + 4));
  const last = new Uint8Array(8);
  last.set(message.subarray(whole));
  last[7] = message.length & 0xff;
  compress(v, u32le(last, 0), u32le(last, 4));
  v[V2] = v[V2]! ^ 0xff;
  for (let i = 0; i < 4; i += 1) round(v);
  const hash = new Uint8Array(8);
  const view = new DataView(hash.buffer);
  view.setInt32(0, v[V0]! ^ v[V1]! ^ v[V2]! ^ v[V3]!, true);
  view.setInt32(4, v[V0 + 1]! ^ v[V1 + 1]! ^ v[V2 + 1]! ^ v[V3 + 1]!, true);
  return hash;
}
