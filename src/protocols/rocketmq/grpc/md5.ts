// MD5 (RFC 1321), because RocketMQ clients compare the bodies they receive with it, and with nothing that all
// of them write the same way. It protects against accidents, not against people.

/** Rotations of the four rounds. */
const ROTATIONS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
].map((row) => Int32Array.from(row));
/** floor(2^32 * abs(sin(i + 1))). */
const CONSTANTS = Int32Array.from({ length: 64 }, (_none, i) =>
  Math.floor(2 ** 32 * Math.abs(Math.sin(i + 1))),
);
/** Which word of the block step i takes. */
const WORDS = Uint8Array.from({ length: 64 }, (_none, i) => {
  const [a, b] = [
    [1, 0],
    [5, 1],
    [3, 5],
    [7, 0],
  ][i >>> 4]!;
  return (a! * i + b!) & 15;
});
const BLOCK_BYTES = 64;

function block(state: Int32Array, words: Int32Array): void {
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  for (let i = 0; i < 64; i += 1) {
    let mixed: number;
    if (i < 16) mixed = (b & c) | (~b & d);
    else if (i < 32) mixed = (b & d) | (c & ~d);
    else if (i < 48) mixed = b ^ c ^ d;
    else mixed = c ^ (b | ~d);
    const sum = (a + mixed + CONSTANTS[i]! + words[WORDS[i]!]!) | 0;
    const count = ROTATIONS[i >>> 4]![i & 3]!;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << count) | (sum >>> (32 - count)))) | 0;
  }
  state[0] = state[0]! + a;
  state[1] = state[1]! + b;
  state[2] = state[2]! + c;
  state[3] = state[3]! + d;
}

function loadWords(words: Int32Array, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i += 1, at += 4) {
    words[i] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  }
}

/** The digest as upper-case hex, the form in which clients compare it. */
export function md5Hex(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of md5(bytes)) hex += byte.toString(16).padStart(2, '0');
  return hex.toUpperCase();
}

/** The 16 bytes of the digest. */
export function md5(bytes: Uint8Array): Uint8Array {
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  const words = new Int32Array(16);
  const whole = bytes.length - (bytes.length % BLOCK_BYTES);
  for (let at = 0; at < whole; at += BLOCK_BYTES) {
    loadWords(words, bytes, at);
    block(state, words);
  }
  // A one bit, zeros, and the size in bits as 64 bits, in one block or two.
  const rest = bytes.length - whole;
  const tail = new Uint8Array(rest < 56 ? BLOCK_BYTES : 2 * BLOCK_BYTES);
  tail.set(bytes.subarray(whole));
  tail[rest] = 0x80;
  const size = new DataView(tail.buffer, tail.length - 8);
  size.setUint32(0, bytes.length << 3, true);
  size.setUint32(4, Math.floor(bytes.length / 2 ** 29), true);
  for (let at = 0; at < tail.length; at += BLOCK_BYTES) {
    loadWords(words, tail, at);
    block(state, words);
  }
  return new Uint8Array(state.buffer);
}
