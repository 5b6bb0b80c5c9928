// A file of the write-ahead log, group by group, until the first that does not continue it: behind it lie
// groups of an earlier use of the file, or nothing. Recovery itself is storage's (wal-scan); this one shows.
import { BATCH_CRC_FROM, CRC_AT, readBatchHeader } from '../records/batch.ts';
import { readU32, readU64le } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import { unknownVersion } from '../storage/errors.ts';
import {
  BLOCK_BYTES,
  batchLengthOf,
  CARRIED,
  FRAME_HEADER_BYTES,
  FRAME_VERSION,
  FrameCodec,
  FrameFields,
  frameSize,
  HAS_BATCH,
  IN_FILE,
  NEW_SALT,
  SEAL,
  TYPE_COMMITS,
  TYPE_DATA,
  TYPE_DELETE,
  TYPE_GROUP,
  TYPE_INSTALL,
  TYPE_STATE,
  TYPE_TRUNCATE,
} from '../storage/frame-format.ts';
import { decodeRecord } from '../storage/snapshot-record.ts';
import { decodeWalFileHeader } from '../storage/wal-files.ts';
import type { FileBytes, FileLine } from './files.ts';

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [TYPE_GROUP]: 'group',
  [TYPE_DATA]: 'data',
  [TYPE_TRUNCATE]: 'truncate',
  [TYPE_STATE]: 'state',
  [TYPE_DELETE]: 'delete',
  [TYPE_COMMITS]: 'commits',
  [TYPE_INSTALL]: 'install',
};
const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [HAS_BATCH, 'batch'],
  [CARRIED, 'carried'],
  [SEAL, 'seal'],
  [NEW_SALT, 'new-salt'],
  [IN_FILE, 'in-file'],
];

export function* walLines(file: string, bytes: FileBytes, crc32c: Crc32c): Generator<FileLine> {
  const header = decodeWalFileHeader(bytes.at(0, BLOCK_BYTES), crc32c, file);
  if (typeof header === 'string') {
    yield { what: header === 'blank' ? 'unused' : 'damage', because: `the header is ${header}` };
    return;
  }
  yield { what: 'wal-file', ...header };
  const codec = new FrameCodec(crc32c);
  const group = new FrameFields();
  let at = BLOCK_BYTES;
  while (at + BLOCK_BYTES <= bytes.size) {
    const lsn = header.firstLsn + at - BLOCK_BYTES;
    const head = bytes.at(at, FRAME_HEADER_BYTES);
    const isNext =
      codec.readHeader(head, 0, group) && group.type === TYPE_GROUP && group.lsn === lsn;
    if (!isNext) {
      refuseUnknown(codec, head, 0, lsn);
      break;
    }
    const length = FRAME_HEADER_BYTES + group.payloadLength;
    const { chain: frames, salt, flags, seq: durableLsn } = group;
    yield { what: 'group', lsn, bytes: length, frames, durableLsn, salt, flags: flagsOf(flags) };
    yield* frameLines(bytes.at(at, length), lsn, frames, codec);
    at += length;
  }
  yield { what: 'end', lsn: header.firstLsn + at - BLOCK_BYTES, left: bytes.size - at };
}

function* frameLines(
  bytes: Uint8Array,
  lsn: number,
  count: number,
  codec: FrameCodec,
): Generator<FileLine> {
  const frame = new FrameFields();
  let at = FRAME_HEADER_BYTES;
  for (let i = 0; i < count; i += 1) {
    if (!codec.readHeader(bytes, at, frame) || frame.lsn !== lsn + at) {
      refuseUnknown(codec, bytes, at, lsn + at);
      yield { what: 'damage', lsn: lsn + at, because: 'no frame where the group has one' };
      return;
    }
    const from = at + FRAME_HEADER_BYTES;
    yield frameLine(frame, bytes.subarray(from, from + frame.payloadLength), codec);
    at += frameSize(frame.payloadLength);
  }
}

/** A state record without the state, of which there is the size. */
export function recordFields(record: Uint8Array, name: string): Record<string, unknown> {
  const { state, ...fields } = decodeRecord(record, name);
  return { ...fields, stateBytes: state.length };
}

/** Throws `STORAGE_NEWER_FORMAT` for what is no end and no damage, but a frame of another version. */
function refuseUnknown(codec: FrameCodec, bytes: Uint8Array, at: number, lsn: number): void {
  const version = codec.unknownVersionAt(bytes, at, lsn);
  if (version !== undefined)
    throw unknownVersion(`the frame at LSN ${lsn}`, version, FRAME_VERSION);
}

function frameLine(frame: FrameFields, payload: Uint8Array, codec: FrameCodec): FileLine {
  const { type, flags, lsn, logId, seq, epoch, logTimeMs, chain } = frame;
  if (TYPE_NAMES[type] === undefined) {
    return { what: 'unknown-version', lsn, because: `frames of type ${type} are not known here` };
  }
  const base = {
    what: TYPE_NAMES[type],
    lsn,
    logId,
    seq,
    epoch,
    logTimeMs,
    chain,
    flags: flagsOf(flags),
  };
  if (type === TYPE_COMMITS) {
    const commits: Record<string, number> = {};
    for (let at = 0; at + 16 <= payload.length; at += 16) {
      commits[readU64le(payload, at)] = readU64le(payload, at + 8);
    }
    return { ...base, commits, sound: isSound(frame, payload, 0, codec) };
  }
  const batchBytes = type === TYPE_DATA ? batchLengthOf(payload, 0, flags) : 0;
  const sizes = { batchBytes, otherBytes: payload.length - batchBytes };
  const sound = isSound(frame, payload, batchBytes, codec);
  const hasRecord = (type === TYPE_STATE || type === TYPE_INSTALL) && payload.length > 0;
  if (hasRecord && sound) {
    return { ...base, record: recordFields(payload, `the frame at LSN ${lsn}`), sound };
  }
  if (batchBytes === 0 || !sound) return { ...base, ...sizes, sound };
  const { baseOffset, lastOffset } = readBatchHeader(payload, 0);
  return { ...base, ...sizes, baseOffset, lastOffset, sound };
}

function isSound(
  { type, payloadCrc }: FrameFields,
  payload: Uint8Array,
  batchBytes: number,
  codec: FrameCodec,
): boolean {
  if (type !== TYPE_DATA) return codec.crc32c(payload, 0, payload.length) === payloadCrc;
  if (batchBytes < 0 || batchBytes > payload.length) return false;
  const batch = batchBytes <= BATCH_CRC_FROM ? undefined : payload.subarray(0, batchBytes);
  if (codec.payloadCrc(payload.subarray(batchBytes), batch) !== payloadCrc) return false;
  if (batch === undefined) return batchBytes === 0;
  return codec.crc32c(batch, BATCH_CRC_FROM, batchBytes) === readU32(batch, CRC_AT);
}

function flagsOf(flags: number): string {
  return FLAG_NAMES.flatMap(([bit, name]) => ((flags & bit) === 0 ? [] : [name])).join('+');
}
