// Any file of a data folder as lines of fields, each checked as a start would check it. What a file is, its
// name says; what is wrong with it is a line, not an error. The formats are those of docs/internals/storage-format.md.
import { decodeNodeFile, NODE_FILE } from '../cluster/node-file.ts';
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
import { errnoOf } from '../storage/errors.ts';
import { BLOCK_BYTES } from '../storage/frame-format.ts';
import {
  blockPlace,
  decodeDirectory,
  decodeIndexHeader,
  ENTRY_BYTES,
  entryHash,
  entryOffset,
  INDEX_HEADER_BYTES,
} from '../storage/record-index/format.ts';
import {
  decodeSegmentHeader,
  parseSegmentFileName,
  SEGMENT_HEADER_BYTES,
} from '../storage/segment.ts';
import { decodeViewFile, seqOfViewFile } from '../storage/snapshot-record.ts';
import { SparseIndex } from '../storage/sparse-index.ts';
import {
  assertFeaturesKnown,
  decodeMarks,
  decodeScrub,
  decodeSuperblock,
  featureNames,
} from '../storage/store-files.ts';
import { recordFields, walLines } from './wal-lines.ts';

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
  'actors.json',
  'cluster.json',
  'dev.json',
  'members.json',
  'server.json',
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
      const isNewer = errnoOf(error) === 'STORAGE_NEWER_FORMAT';
      yield { what: isNewer ? 'unknown-version' : 'damage', because: messageOf(error) };
    }
  } finally {
    file.close();
  }
}

function* linesOf(name: string, bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  if (name === 'store.super') yield* superblockLines(whole(bytes), crc32c);
  else if (name === 'store.marks') yield* marksLines(bytes, crc32c);
  else if (/^ckpt\.[ab]$/.test(name)) yield* checkpointLines(name, bytes, crc32c);
  else if (/\.wal(\.damaged)?$/.test(name)) yield* walLines(name, bytes, crc32c);
  else if (name.endsWith('.seg')) yield* segmentLines(name, bytes, crc32c);
  else if (name.endsWith('.idx')) yield* indexLines(bytes, crc32c);
  else if (name.endsWith('.rix')) yield* recordIndexLines(bytes, crc32c);
  else if (name.endsWith('.view')) yield* viewLines(name, bytes, crc32c);
  else if (name === NODE_FILE) yield* nodeLines(whole(bytes));
  else if (name === 'LOCK' || name === 'dev.lock') {
    yield { what: 'lock', ...membersOf(whole(bytes)) };
  } else if (name === 'scrub') yield scrubLine(whole(bytes));
  else if (TEXT_FILES.has(name)) yield { what: 'text', text: decodeUtf8(whole(bytes)) };
  else if (/\.(seg\.clean|tmp)$/.test(name)) {
    yield { what: 'left-over', because: 'its writing did not end: it counts for nothing' };
  } else yield { what: 'unknown', because: 'no file of a data folder has this name' };
}

function* superblockLines(bytes: Uint8Array, crc32c: Crc32c): Generator<FileLine> {
  const superblock = decodeSuperblock(bytes, crc32c, 'store.super');
  yield { what: 'superblock', ...superblock, features: featureNames(superblock) };
  assertFeaturesKnown(superblock, 'store.super');
}

function scrubLine(bytes: Uint8Array): FileLine {
  const endMs = decodeScrub(bytes);
  if (endMs === undefined) {
    return { what: 'damage', because: 'it is no time: the next start begins to count anew' };
  }
  return { what: 'scrub', endMs, isDamageKnown: endMs === 0 };
}

/** Throws for what is not one JSON object. */
function membersOf(bytes: Uint8Array): Record<string, unknown> {
  const found: unknown = JSON.parse(decodeUtf8(bytes));
  const isObject = typeof found === 'object' && found !== null && !Array.isArray(found);
  if (!isObject) throw new RangeError('it is no JSON object');
  return found as Record<string, unknown>;
}

function* nodeLines(bytes: Uint8Array): Generator<FileLine> {
  const read = decodeNodeFile(bytes);
  if (read.kind === 'ok') yield { what: 'node', ...read.file };
  else if (read.kind === 'unreadable') throw read.cause;
  else yield { what: 'unknown-version', because: `${NODE_FILE} ${read.because}` };
}

function* marksLines(bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  for (const slot of [0, 1]) {
    const marks = decodeMarks(bytes.at(slot * BLOCK_BYTES, BLOCK_BYTES), crc32c);
    yield marks === undefined ? { what: 'empty-slot', slot } : { what: 'marks', slot, ...marks };
  }
}

function* checkpointLines(name: string, bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const checkpoint = bytes.size === 0 ? undefined : decodeCheckpoint(whole(bytes), crc32c, name);
  if (checkpoint === undefined) {
    yield { what: bytes.size === 0 ? 'empty-slot' : 'damage', because: 'no sound checkpoint' };
    return;
  }
  const { sequence, replayLsn, capturedLsn, entries } = checkpoint;
  yield { what: 'checkpoint', sequence, replayLsn, capturedLsn, logs: entries.length };
  for (const { mark, anchor, ...entry } of entries) {
    yield { what: 'log', ...entry, ...mark, anchor };
  }
}

function* segmentLines(file: string, bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const header = decodeSegmentHeader(bytes.at(0, SEGMENT_HEADER_BYTES), crc32c, file);
  if (header === undefined) {
    yield { what: 'damage', because: 'the header fails its check' };
    return;
  }
  const name = parseSegmentFileName(file);
  yield {
    what: 'segment',
    ...header,
    ...(name && header.revision > 0 ? { isDone: name.isDone } : {}),
  };
  // A start goes by the name. A copy may have any.
  const isOther =
    name !== undefined &&
    (name.baseOffset !== header.baseOffset ||
      name.generation !== header.generation ||
      name.revision !== header.revision ||
      name.endOffset !== header.endOffset);
  if (isOther) yield { what: 'damage', because: 'the name does not say what the header says' };
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

function* recordIndexLines(bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const rebuilt = 'it will be rebuilt';
  const header = decodeIndexHeader(bytes.at(0, INDEX_HEADER_BYTES), crc32c);
  if (header === undefined) {
    yield { what: 'damage', because: `the header fails its check: ${rebuilt}` };
    return;
  }
  const { name, unread, directoryAt, directoryBytes } = header;
  yield { what: 'record-index', ...name, runs: header.runs, unread, directoryAt, directoryBytes };
  // Lent until the next read.
  const directory = bytes.at(directoryAt, directoryBytes).slice();
  const isSound = crc32c(directory, 0, directory.length) === header.directorySum;
  const runs = isSound ? decodeDirectory(directory, header.runs) : undefined;
  if (runs === undefined) {
    yield { what: 'damage', because: `the directory fails its check: ${rebuilt}` };
    return;
  }
  for (const run of runs) {
    const { firstOffset, lastOffset, minTimeMs, maxTimeMs, position, entries } = run;
    yield { what: 'run', firstOffset, lastOffset, minTimeMs, maxTimeMs, position, entries };
    for (const [i, sum] of run.blockSums.entries()) {
      const place = blockPlace(run, i);
      const block = bytes.at(place.position, place.length);
      if (block.length < place.length || crc32c(block, 0, block.length) !== sum) {
        const because = `a block of entries fails its check: ${rebuilt}`;
        yield { what: 'damage', position: place.position, because };
        continue;
      }
      for (let at = 0; at < block.length / ENTRY_BYTES; at += 1) {
        yield { what: 'entry', hash: entryHash(block, at), offset: entryOffset(block, at) };
      }
    }
  }
}

function* viewLines(name: string, bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const all = whole(bytes);
  const found = decodeViewFile(all, undefined, crc32c);
  if (found === undefined) {
    yield { what: 'damage', because: 'fails its check' };
    return;
  }
  yield { what: 'state', seq: seqOfViewFile(all), ...recordFields(found, name) };
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
