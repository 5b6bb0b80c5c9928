// What lies in the segments of a replica, as the device has it: batches back to back whose CRCs hold. Knows the format
// from its document, and no code that writes or reads it.
import type { Violation } from '../scenario.ts';

export interface SegmentFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

const SEGMENT_HEADER_BYTES = 64;
const BATCH_LENGTH_AT = 8;
const BATCH_PREFIX_BYTES = 12;
const BATCH_CRC_AT = 17;
const BATCH_CRC_FROM = 21;
const BATCH_BYTES_MIN = 61;
/** Castagnoli, reflected. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit += 1) sum = (sum & 1) === 1 ? (sum >>> 1) ^ POLYNOMIAL : sum >>> 1;
  return sum >>> 0;
});

function sumOf(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0xffffffff;
  for (let at = from; at < to; at += 1) sum = TABLE[(sum ^ bytes[at]!) & 0xff]! ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

interface Named extends SegmentFile {
  readonly base: number;
  readonly revision: number;
  /** Of a rewritten one: files of a lower revision that begin below count for nothing. */
  readonly end: number;
}

function named(file: SegmentFile): Named | undefined {
  const match = /\/(\d{16})-\d+(?:-(\d+)-(\d{16})(?:-part)?)?\.seg$/.exec(file.path);
  if (match === null) return undefined;
  const [, base, revision = '0', end = '0'] = match;
  return { ...file, base: Number(base), revision: Number(revision), end: Number(end) };
}

/** The first damage in what counts of a log that starts there. The last file is left out: it may have an open end. */
export function checkSettledBytes(
  files: readonly SegmentFile[],
  startOffset: number,
): Violation | undefined {
  const all = files.flatMap((file) => named(file) ?? []);
  const isHidden = (one: Named) =>
    all.some(
      (other) => other.revision > one.revision && other.base <= one.base && one.base < other.end,
    );
  const counted = all.filter((file) => !isHidden(file)).sort((a, b) => a.base - b.base);
  for (const [i, { path, bytes }] of counted.entries()) {
    const next = counted[i + 1];
    if (next === undefined || next.base <= startOffset) continue;
    const at = firstDamage(bytes);
    if (at < 0) continue;
    return { check: 'settled-bytes/rotten', message: `${path} is damaged at byte ${at}` };
  }
  return undefined;
}

/** -1: there is none. */
function firstDamage(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < SEGMENT_HEADER_BYTES) return 0;
  if (view.getUint32(60, true) !== sumOf(bytes, 0, 60)) return 0;
  let at = SEGMENT_HEADER_BYTES;
  while (at < bytes.length) {
    if (at + BATCH_BYTES_MIN > bytes.length) return at;
    const end = at + BATCH_PREFIX_BYTES + view.getInt32(at + BATCH_LENGTH_AT);
    if (end < at + BATCH_BYTES_MIN || end > bytes.length) return at;
    if (view.getUint32(at + BATCH_CRC_AT) !== sumOf(bytes, at + BATCH_CRC_FROM, end)) return at;
    at = end;
  }
  return -1;
}
