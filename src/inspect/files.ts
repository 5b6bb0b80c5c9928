// Any file of a data folder as lines of fields, each checked as a start would check it. What a file is, its
// name says; what is wrong with it is a line, not an error. The formats are those of docs/internals/storage-format.md.
import type { Disk, DiskFile } from '../env/environment.ts';
import {
  BATCH_CRC_FROM,
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  CRC_AT,
  codecOf,
  readBatchHeader,
} from '../records/batch.ts';
import { readU32 } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import { messageOf } from '../std/errors.ts';
import { decodeUtf8 } from '../std/utf8.ts';
import { decodeCheckpoint } from '../storage/checkpoint.ts';
import { BLOCK_BYTES } from '../storage/frame-format.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../storage/segment.ts';
import { decodeRecord, decodeViewFile } from '../storage/snapshot-record.ts';
import { SparseIndex } from '../storage/sparse-index.ts';
import { decodeMarks, decodeSuperblock } from '../storage/store-files.ts';
import { walLines } from './wal-lines.ts';

/** One thing in a file: its kind, and what it says. */
export interface FileLine {
  readonly what: string;
  readonly [field: string]: unknown;
}

/** Reads of one file beside each other: `at(position, length)` is lent until the next call. */
export interface FileBytes {
  readonly size: number;
  at(position: number, length: number): Uint8Array;
}

const TEXT_FILES = new Set([
  'LOCK',
  'node.json',
  'actors.json',
  'cluster.json',
  'dev.json',
  'dev.lock',
]);
const WHOLE_BYTES_MAX = 256 << 20;

/** @throws DiskError if it cannot be opened. */
export function* fileLines(disk: Disk, path: string, crc32c: Crc32c): Generator<FileLine> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const file = disk.open(path, { mode: 'read' });
  try {
    const bytes = readerOf(file);
    yield { what: 'file', name, bytes: bytes.size };
    try {
      yield* linesOf(name, bytes, crc32c);
    } catch (error) {
      yield { what: 'damage', because: messageOf(error) };
    }
  } finally {
    file.close();
  }
}

function* linesOf(name: string, bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  if (name === 'store.super')
    yield { what: 'superblock', ...decodeSuperblock(whole(bytes), crc32c, name) };
  else if (name === 'store.marks') yield* marksLines(bytes, crc32c);
  else if (/^ckpt\.[ab]$/.test(name)) yield* checkpointLines(bytes, crc32c);
  else if (name.endsWith('.wal')) yield* walLines(bytes, crc32c);
  else if (name.endsWith('.seg')) yield* segmentLines(bytes, crc32c);
  else if (name.endsWith('.idx')) yield* indexLines(bytes, crc32c);
  else if (name.endsWith('.view')) yield* viewLines(bytes, crc32c);
  else if (TEXT_FILES.has(name)) yield { what: 'text', text: decodeUtf8(whole(bytes)) };
  else yield { what: 'unknown', because: 'no file of a data folder has this name' };
}

function* marksLines(bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  for (const slot of [0, 1]) {
    const marks = decodeMarks(bytes.at(slot * BLOCK_BYTES, BLOCK_BYTES), crc32c);
    yield marks === undefined ? { what: 'empty-slot', slot } : { what: 'marks', slot, ...marks };
  }
}

function* checkpointLines(bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const checkpoint = bytes.size === 0 ? undefined : decodeCheckpoint(whole(bytes), crc32c, 'ckpt');
  if (checkpoint === undefined) {
    yield { what: bytes.size === 0 ? 'empty-slot' : 'damage', because: 'no sound checkpoint' };
    return;
  }
  const { sequence, replayLsn, capturedLsn, entries } = checkpoint;
  yield { what: 'checkpoint', sequence, replayLsn, capturedLsn, logs: entries.length };
  for (const { mark, anchor, ...entry } of entries) {
    yield { what: 'log', ...entry, ...mark, anchorSeq: anchor.seq, anchorEpoch: anchor.epoch };
  }
}

function* segmentLines(bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const name = decodeSegmentHeader(bytes.at(0, SEGMENT_HEADER_BYTES), crc32c, 'segment');
  if (name === undefined) {
    yield { what: 'damage', because: 'the header fails its check' };
    return;
  }
  yield { what: 'segment', ...name };
  for (let at = SEGMENT_HEADER_BYTES; at < bytes.size; ) {
    const batch = batchAt(bytes, at, crc32c);
    if (batch === undefined) {
      yield { what: 'damage', position: at, because: 'no record batch', left: bytes.size - at };
      return;
    }
    yield { position: at, ...batch };
    at += batch.size;
  }
}

/** The batch at a place of the file, or undefined if there is none. */
function batchAt(
  bytes: FileBytes,
  at: number,
  crc32c: Crc32c,
): (FileLine & { size: number }) | undefined {
  const head = bytes.at(at, BATCH_HEADER_BYTES);
  if (head.length < BATCH_HEADER_BYTES) return undefined;
  const header = readBatchHeader(head, 0);
  const { size } = header;
  if (header.magic !== BATCH_MAGIC || size < BATCH_HEADER_BYTES || at + size > bytes.size) {
    return undefined;
  }
  const batch = bytes.at(at, size);
  return {
    what: 'batch',
    size,
    baseOffset: header.baseOffset,
    lastOffset: header.lastOffset,
    records: header.recordCount,
    epoch: header.leaderEpoch,
    maxTimestampMs: header.maxTimestampMs,
    codec: codecOf(header.attributes) ?? 'unknown',
    sound: crc32c(batch, BATCH_CRC_FROM, size) === readU32(batch, CRC_AT),
  };
}

function* indexLines(bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const found = SparseIndex.read(whole(bytes), crc32c);
  if (found === undefined) {
    yield { what: 'damage', because: 'fails its check: it will be rebuilt' };
    return;
  }
  const { name, index } = found;
  const { coveredBytes, nextOffset, maxTimestampMs, maxTimestampOffset, count } = index;
  yield {
    what: 'index',
    ...name,
    entries: count,
    coveredBytes,
    nextOffset,
    maxTimestampMs,
    maxTimestampOffset,
  };
  for (const entry of index.entries()) yield { what: 'entry', ...entry };
}

function* viewLines(bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const all = whole(bytes);
  const found = decodeViewFile(all, undefined, crc32c);
  if (found === undefined) {
    yield { what: 'damage', because: 'fails its check' };
    return;
  }
  const { state, ...record } = decodeRecord(found, 'view');
  yield { what: 'state', ...record, stateBytes: state.length };
}

function whole(bytes: FileBytes): Uint8Array {
  if (bytes.size > WHOLE_BYTES_MAX) throw new RangeError(`${bytes.size} bytes are no such file`);
  return bytes.at(0, bytes.size);
}

function readerOf(file: DiskFile): FileBytes {
  const size = file.size();
  return {
    size,
    at(position, length) {
      const into = new Uint8Array(Math.max(0, Math.min(length, size - position)));
      return into.subarray(0, file.readSync(into, position));
    },
  };
}
