// Small non-cryptographic hashes. FNV-1a for labels and tables, murmur2 exactly as Kafka's default
// partitioner, and a mixer that turns an integer into 32 well-spread bits. None of them resists an
// attacker who picks the keys.
import { encodeUtf8 } from './utf8.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

function fnvStep(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, FNV_PRIME);
}

/** FNV-1a of bytes, or of a text's UTF-8 bytes, as an unsigned 32-bit number. */
export function fnv1a32(input: string | Uint8Array, seed: number = FNV_OFFSET): number {
  let hash = seed;
  if (typeof input !== 'string') {
    for (let i = 0; i < input.length; i += 1) hash = fnvStep(hash, input[i]!);
    return hash >>> 0;
  }
  for (let i = 0; i < input.length; i += 1) {
    const unit = input.charCodeAt(i);
    if (unit >= 0x80) return fnv1a32(encodeUtf8(input), seed);
    hash = fnvStep(hash, unit);
  }
  return hash >>> 0;
}

/** The final mixing step of MurmurHash3: every input bit reaches every output bit. */
export function mix32(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** 32 well-spread bits of a safe integer of either sign. */
export function mix53(value: number): number {
  const high = Math.floor(value / 0x1_0000_0000);
  return mix32((mix32(high) + 0x9e3779b9) ^ (value | 0));
}

/**
 * MurmurHash2 with Kafka's seed, as a signed 32-bit number. Clients pick the partition of a key by
 * `(murmur2(key) & 0x7fffffff) % partitions`.
 */
export function murmur2(bytes: Uint8Array): number {
  const multiplier = 0x5bd1e995;
  let hash = 0x9747b28c ^ bytes.length;
  const whole = bytes.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    word = Math.imul(word, multiplier);
    word = Math.imul(word ^ (word >>> 24), multiplier);
    hash = Math.imul(hash, multiplier) ^ word;
  }
  const rest = bytes.length - whole;
  if (rest >= 3) hash ^= bytes[whole + 2]! << 16;
  if (rest >= 2) hash ^= bytes[whole + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[whole]!, multiplier);
  hash = Math.imul(hash ^ (hash >>> 13), multiplier);
  return hash ^ (hash >>> 15);
}
