// Writes as records of a file that only grows, for who embeds the core with a store of its own, and what
// recovery makes of them. Pure: whoever has the disk appends, syncs and reads. A record is there whole or
// not at all, so entries, term, vote and snapshot of one Write cannot come apart.
//
//   record   size of body u32 | CRC-32C of body u32 | body
//   body     flags u8 (1 truncate, 2 hard state, 4 snapshot, 8 replaces the log) | [truncateFrom u64]
//            | [term u64, vote u64, commit u64]
//            | [keepFrom u64, index u64, term u64, configuration, checksum u32, size u32, data]
//            | count u32 | entries
import { ByteReader, BytesError, ByteWriter } from '../std/bytes.ts';
import { crc32c } from '../std/crc32c.ts';
import { BrokerError } from '../std/errors.ts';
import {
  readConfiguration,
  readEntry,
  readHardState,
  writeConfiguration,
  writeEntry,
  writeHardState,
} from './message-codec.ts';
import {
  type Configuration,
  type Entry,
  INITIAL_HARD_STATE,
  type RaftInitial,
  type Snapshot,
  type SnapshotWrite,
  type Write,
} from './types.ts';

const HEAD_BYTES = 8;
const FLAG_TRUNCATE = 1;
const FLAG_HARD_STATE = 2;
const FLAG_SNAPSHOT = 4;
const FLAG_REPLACES_LOG = 8;

/**
 * A record is whole and yet not what was written: the disk lost what may have been promised. Such a peer must
 * not vote from the rest; it comes back with an empty store under a new incarnation.
 */
export class RaftStorageError extends BrokerError {
  readonly code = 'RAFT_STORAGE_CORRUPT';
}

/** One Write as a record to append. It is durable, and `persisted` may be said, when the file is synced. */
export function encodeWrite(write: Write): Uint8Array {
  const { truncateFrom, entries, hardState, snapshot } = write;
  const out = new ByteWriter(256);
  out.u32(0);
  out.u32(0);
  out.u8(
    (truncateFrom === undefined ? 0 : FLAG_TRUNCATE) |
      (hardState === undefined ? 0 : FLAG_HARD_STATE) |
      (snapshot === undefined ? 0 : FLAG_SNAPSHOT) |
      (snapshot?.replacesLog === true ? FLAG_REPLACES_LOG : 0),
  );
  if (truncateFrom !== undefined) out.u64(truncateFrom);
  if (hardState !== undefined) writeHardState(out, hardState);
  if (snapshot !== undefined) writeSnapshot(out, snapshot);
  out.u32(entries.length);
  for (const entry of entries) writeEntry(out, entry);
  const record = out.toBytes();
  const head = new DataView(record.buffer, record.byteOffset, HEAD_BYTES);
  head.setUint32(0, record.byteLength - HEAD_BYTES);
  head.setUint32(4, crc32c(record.subarray(HEAD_BYTES)));
  return record;
}

function writeSnapshot(out: ByteWriter, { snapshot, keepFrom }: SnapshotWrite): void {
  out.u64(keepFrom);
  out.u64(snapshot.index);
  out.u64(snapshot.term);
  writeConfiguration(out, snapshot.configuration);
  out.u32(snapshot.checksum);
  out.u32(snapshot.data.byteLength);
  out.raw(snapshot.data);
}

export interface StoredWrites {
  readonly writes: readonly Write[];
  /** Where the last whole record ends: cut the file here before anything is appended. */
  readonly endBytes: number;
}

/**
 * The records of a file. A last one that was never finished (cut short, or zeros to the end) is left out: its
 * completion was not reported, so nothing was promised on it. Anything else that does not fit its checksum
 * throws {@link RaftStorageError}.
 */
export function decodeWrites(bytes: Uint8Array): StoredWrites {
  const writes: Write[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + HEAD_BYTES <= bytes.byteLength) {
    const size = view.getUint32(at);
    const end = at + HEAD_BYTES + size;
    if (end > bytes.byteLength || bytes.subarray(at).every((byte) => byte === 0)) break;
    const body = bytes.subarray(at + HEAD_BYTES, end);
    if (size === 0 || crc32c(body) !== view.getUint32(at + 4)) throw corrupt(at);
    writes.push(readWrite(body, writes.length + 1, at));
    at = end;
  }
  return { writes, endBytes: at };
}

function corrupt(at: number): RaftStorageError {
  return new RaftStorageError(`the record at byte ${at} is not what was written`, { at });
}

function readWrite(body: Uint8Array, attempt: number, at: number): Write {
  try {
    const input = new ByteReader(body);
    const flags = input.u8();
    const truncateFrom = (flags & FLAG_TRUNCATE) === 0 ? undefined : input.u64();
    const hardState = (flags & FLAG_HARD_STATE) === 0 ? undefined : readHardState(input);
    const replacesLog = (flags & FLAG_REPLACES_LOG) !== 0;
    const snapshot = (flags & FLAG_SNAPSHOT) === 0 ? undefined : readSnapshot(input, replacesLog);
    const count = input.u32();
    const entries: Entry[] = [];
    for (let i = 0; i < count; i += 1) entries.push(readEntry(input));
    return { attempt, truncateFrom, entries, hardState, snapshot };
  } catch (thrown) {
    if (thrown instanceof BytesError) throw corrupt(at);
    throw thrown;
  }
}

function readSnapshot(input: ByteReader, replacesLog: boolean): SnapshotWrite {
  const keepFrom = input.u64();
  const index = input.u64();
  const term = input.u64();
  const configuration = readConfiguration(input);
  const checksum = input.u32();
  const data = input.copy(input.u32());
  return { snapshot: { index, term, configuration, checksum, data }, replacesLog, keepFrom };
}

/**
 * What a peer with these writes, oldest first, knew when it ended. `configuration` is the one that it was founded
 * with, empty for a newcomer. Throws {@link RaftStorageError} if a write in between is missing.
 */
export function recoverFrom(configuration: Configuration, writes: readonly Write[]): RaftInitial {
  let hardState = INITIAL_HARD_STATE;
  let snapshot: Snapshot | undefined;
  let entries: Entry[] = [];
  for (const write of writes) {
    const { truncateFrom } = write;
    if (truncateFrom !== undefined) entries = entries.filter((each) => each.index < truncateFrom);
    for (const entry of write.entries) {
      const last = entries[entries.length - 1]?.index ?? snapshot?.index ?? 0;
      if (entry.index !== last + 1) {
        throw new RaftStorageError(`entry ${entry.index} does not follow ${last}`, { last });
      }
      entries.push(entry);
    }
    hardState = write.hardState ?? hardState;
    if (write.snapshot === undefined) continue;
    const { replacesLog, keepFrom } = write.snapshot;
    snapshot = write.snapshot.snapshot;
    entries = replacesLog ? [] : entries.filter((each) => each.index >= keepFrom);
  }
  const found = { hardState, configuration, entries };
  return snapshot === undefined ? found : { ...found, snapshot };
}
