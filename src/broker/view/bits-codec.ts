// The bytes of a set of offsets, equal for equal sets: its containers in order, each as runs when these
// are few and as a bitmap otherwise.
//
//   varint containers | per container: varint index, varint kind
//     kind 0: full
//     kind 1: 2,048 words of 32 bits, little endian, offset i at bit i % 32 of word i / 32
//     kind n + 2: n + 1 runs, each varint clear offsets before it, varint offsets in it
import type { BitSet } from '../../std/bitset.ts';
import type { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { CONTAINER_OFFSETS, type OffsetBits } from './offset-bits.ts';

const FULL = 0;
const BITMAP = 1;
const RUNS_FROM = 2;
const WORDS = CONTAINER_OFFSETS / 32;
/** A run takes two to six bytes, a bitmap 8,192. */
const RUNS_MAX = 1_024;

export function putBits(out: ByteWriter, set: OffsetBits): void {
  const indices = set.indices();
  out.varU53(indices.length);
  for (const index of indices) {
    out.varU53(index);
    const { bits } = set.container(index);
    if (bits === undefined) {
      out.varU53(FULL);
      continue;
    }
    const runs = countRuns(bits);
    if (runs <= RUNS_MAX) putRuns(out, bits, runs);
    else putBitmap(out, bits);
  }
}

function countRuns(bits: BitSet): number {
  let count = 0;
  for (let at = bits.nextSet(0); at >= 0; at = bits.nextSet(at)) {
    count += 1;
    if (count > RUNS_MAX) return count;
    at = bits.nextClear(at);
  }
  return count;
}

function putRuns(out: ByteWriter, bits: BitSet, count: number): void {
  out.varU53(RUNS_FROM + count - 1);
  let end = 0;
  for (let at = bits.nextSet(0); at >= 0; at = bits.nextSet(end)) {
    out.varU53(at - end);
    end = bits.nextClear(at);
    out.varU53(end - at);
  }
}

function putBitmap(out: ByteWriter, bits: BitSet): void {
  out.varU53(BITMAP);
  for (let i = 0; i < WORDS; i += 1) out.u32le(bits.words[i]!);
}

/** Throws RangeError or BytesError for bytes that are no such set. */
export function getBits(from: ByteReader, into: OffsetBits): void {
  const containers = from.varU53();
  for (let i = 0; i < containers; i += 1) {
    const base = from.varU53() * CONTAINER_OFFSETS;
    const kind = from.varU53();
    if (kind === FULL) into.addRange(base, base + CONTAINER_OFFSETS);
    else if (kind === BITMAP) getBitmap(from, base, into);
    else getRuns(from, base, kind - RUNS_FROM + 1, into);
  }
}

function getBitmap(from: ByteReader, base: number, into: OffsetBits): void {
  for (let i = 0; i < WORDS; i += 1) {
    for (let word = from.u32le() | 0; word !== 0; word &= word - 1) {
      into.add(base + i * 32 + 31 - Math.clz32(word & -word));
    }
  }
}

function getRuns(from: ByteReader, base: number, count: number, into: OffsetBits): void {
  let end = 0;
  for (let run = 0; run < count; run += 1) {
    const start = end + from.varU53();
    end = start + from.varU53();
    if (end > CONTAINER_OFFSETS) throw new RangeError('a run leaves its container');
    into.addRange(base + start, base + end);
  }
}
