// SHA-256 (FIPS 180-4) and HMAC (RFC 2104) in plain JavaScript: for handshakes, whose few bytes are not worth a door
// to native code. Synchronous; about a microsecond per 64 bytes once warm.

export const SHA256_BYTES = 32;
const BLOCK_BYTES = 64;

const { constants: K, initial: INITIAL } = tables();

/** The fractional parts of the cube and square roots of the first primes, as the standard defines them. */
function tables(): { readonly constants: Uint32Array; readonly initial: Uint32Array } {
  const constants = new Uint32Array(64);
  const initial = new Uint32Array(8);
  const fraction = (root: number): number => ((root - Math.floor(root)) * 0x1_0000_0000) >>> 0;
  for (let candidate = 2, found = 0; found < constants.length; candidate += 1) {
    let isPrime = true;
    for (let by = 2; by * by <= candidate && isPrime; by += 1) isPrime = candidate % by !== 0;
    if (!isPrime) continue;
    constants[found] = fraction(Math.cbrt(candidate));
    if (found < initial.length) initial[found] = fraction(Math.sqrt(candidate));
    found += 1;
  }
  return { constants, initial };
}

export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  // A one bit, zeros, and the length in bits as 64 big-endian bits fill the last block.
  const padded = new Uint8Array(Math.ceil((length + 9) / BLOCK_BYTES) * BLOCK_BYTES);
  let at = 0;
  for (const part of parts) {
    padded.set(part, at);
    at += part.length;
  }
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 0x2000_0000));
  view.setUint32(padded.length - 4, (length << 3) >>> 0);
  const state = INITIAL.slice();
  const schedule = new Uint32Array(64);
  for (let block = 0; block < padded.length; block += BLOCK_BYTES) {
    for (let i = 0; i < 16; i += 1) schedule[i] = view.getUint32(block + 4 * i);
    compress(state, schedule);
  }
  const digest = new Uint8Array(SHA256_BYTES);
  const out = new DataView(digest.buffer);
  for (let i = 0; i < 8; i += 1) out.setUint32(4 * i, state[i]!);
  return digest;
}

export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const short = key.length > BLOCK_BYTES ? sha256(key) : key;
  const inner = new Uint8Array(BLOCK_BYTES).fill(0x36);
  const outer = new Uint8Array(BLOCK_BYTES).fill(0x5c);
  for (let i = 0; i < short.length; i += 1) {
    inner[i]! ^= short[i]!;
    outer[i]! ^= short[i]!;
  }
  return sha256(outer, sha256(inner, ...parts));
}

/** Takes as long for any two values of one length: what differs cannot be found by the clock. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i += 1) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

function rotate(x: number, count: number): number {
  return (x >>> count) | (x << (32 - count));
}

function compress(state: Uint32Array, w: Uint32Array): void {
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15]!;
    const y = w[i - 2]!;
    const s0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
    const s1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
    w[i] = w[i - 16]! + s0 + w[i - 7]! + s1;
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  for (let i = 0; i < 64; i += 1) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i]! + w[i]!) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
  state[4]! += e;
  state[5]! += f;
  state[6]! += g;
  state[7]! += h;
}
