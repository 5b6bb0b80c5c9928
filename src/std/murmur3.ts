// MurmurHash3, x86, 128 bits (Austin Appleby, public domain): fast and even, and no protection against who
// wants two texts to meet. Answers four words into an array that the caller has.

function rotl(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function mixed(h: number): number {
  let x = h;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** Up to four bytes at `at`, below `end`. */
function rest(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let i = Math.min(4, end - at) - 1; i >= 0; i -= 1) value = (value << 8) | bytes[at + i]!;
  return value;
}

/** Hashes bytes[start, end) into into[0..3]. */
export function murmur3x128(
  bytes: Uint8Array,
  start: number,
  end: number,
  seed: number,
  into: Int32Array,
): void {
  let h1 = seed | 0;
  let h2 = h1;
  let h3 = h1;
  let h4 = h1;
  let at = start;
  for (; at + 16 <= end; at += 16) {
    h1 ^= Math.imul(rotl(Math.imul(word(bytes, at), C1), 15), C2);
    h1 = (Math.imul((rotl(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotl(Math.imul(word(bytes, at + 4), C2), 16), C3);
    h2 = (Math.imul((rotl(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotl(Math.imul(word(bytes, at + 8), C3), 17), C4);
    h3 = (Math.imul((rotl(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotl(Math.imul(word(bytes, at + 12), C4), 18), C1);
    h4 = (Math.imul((rotl(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  if (end > at + 12) h4 ^= Math.imul(rotl(Math.imul(rest(bytes, at + 12, end), C4), 18), C1);
  if (end > at + 8) h3 ^= Math.imul(rotl(Math.imul(rest(bytes, at + 8, end), C3), 17), C4);
  if (end > at + 4) h2 ^= Math.imul(rotl(Math.imul(rest(bytes, at + 4, end), C2), 16), C3);
  if (end > at) h1 ^= Math.imul(rotl(Math.imul(rest(bytes, at, end), C1), 15), C2);
  const length = end - start;
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = mixed(h1);
  h2 = mixed(h2);
  h3 = mixed(h3);
  h4 = mixed(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  into[0] = h1;
  into[1] = h2 + h1;
  into[2] = h3 + h1;
  into[3] = h4 + h1;
}
