// Bytes for everything of Raft that leaves memory: messages, entries, hard state, configurations
// and snapshot headers. Big endian, indexes and peers as u64 below 2^53. No checksums here: links
// and files bring their own. Malformed bytes throw BytesError from the inner functions;
// decodeMessage turns that into undefined.
//
//   message   version u8 | kind u8 | from u64 | to u64 | term u64 | body of the kind
//   entry     index u64 | term u64 | kind u8 | size u32 | data
//   config    3 x (count u16 | peers u64) [| count u16 | peers u64]: voters, outgoing, learners, witnesses. The last
//             list is there when the highest bit of the first count is set; a reader that does not know it fails.
import { ByteReader, BytesError, ByteWriter } from '../std/bytes.ts';
import type { RaftMessage } from './message.ts';
import type { Configuration, Entry, EntryKind, HardState, PeerId } from './types.ts';

const VERSION = 1;

const MESSAGE_KINDS = [
  'vote-request',
  'vote-response',
  'append-request',
  'append-response',
  'heartbeat',
  'heartbeat-response',
  'snapshot-chunk',
  'snapshot-response',
  'timeout-now',
  'witness-snapshot',
] as const satisfies readonly RaftMessage['kind'][];

const ENTRY_KINDS = [
  'noop',
  'command',
  'config',
  'withheld',
] as const satisfies readonly EntryKind[];

const HAS_WITNESSES = 0x8000;

function malformed(what: string, value: number): BytesError {
  return new BytesError('BYTES_TRUNCATED', `raft: unknown ${what}`, { value });
}

function writePeers(out: ByteWriter, peers: readonly PeerId[], flags = 0): void {
  out.u16(peers.length | flags);
  for (const peer of peers) out.u64(peer);
}

function readPeers(input: ByteReader, count = input.u16()): PeerId[] {
  const peers: PeerId[] = [];
  for (let i = 0; i < count; i += 1) peers.push(input.u64());
  return peers;
}

export function writeConfiguration(out: ByteWriter, configuration: Configuration): void {
  const { voters, outgoing, learners, witnesses } = configuration;
  writePeers(out, voters, witnesses.length > 0 ? HAS_WITNESSES : 0);
  writePeers(out, outgoing);
  writePeers(out, learners);
  if (witnesses.length > 0) writePeers(out, witnesses);
}

export function readConfiguration(input: ByteReader): Configuration {
  const head = input.u16();
  const voters = readPeers(input, head & ~HAS_WITNESSES);
  const outgoing = readPeers(input);
  const learners = readPeers(input);
  const witnesses = (head & HAS_WITNESSES) === 0 ? [] : readPeers(input);
  return { voters, outgoing, learners, witnesses };
}

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const out = new ByteWriter(64);
  writeConfiguration(out, configuration);
  return out.toBytes();
}

/** Throws BytesError. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  return readConfiguration(new ByteReader(bytes));
}

export function writeEntry(out: ByteWriter, entry: Entry): void {
  out.u64(entry.index);
  out.u64(entry.term);
  out.u8(ENTRY_KINDS.indexOf(entry.kind));
  out.u32(entry.data.byteLength);
  out.raw(entry.data);
}

/** Copies the data, so that the entry may be kept. Throws BytesError. */
export function readEntry(input: ByteReader): Entry {
  const index = input.u64();
  const term = input.u64();
  const code = input.u8();
  const kind = ENTRY_KINDS[code];
  if (kind === undefined) throw malformed('entry kind', code);
  return { index, term, kind, data: input.copy(input.u32()) };
}

export function writeHardState(out: ByteWriter, hardState: HardState): void {
  out.u64(hardState.term);
  out.u64(hardState.vote);
  out.u64(hardState.commit);
}

/** Throws BytesError. */
export function readHardState(input: ByteReader): HardState {
  return { term: input.u64(), vote: input.u64(), commit: input.u64() };
}

export function encodeMessage(message: RaftMessage): Uint8Array {
  const out = new ByteWriter(128);
  writeMessage(out, message);
  return out.toBytes();
}

function writeMessage(out: ByteWriter, message: RaftMessage): void {
  out.u8(VERSION);
  out.u8(MESSAGE_KINDS.indexOf(message.kind));
  out.u64(message.from);
  out.u64(message.to);
  out.u64(message.term);
  writeBody(out, message);
}

function writeBody(out: ByteWriter, message: RaftMessage): void {
  switch (message.kind) {
    case 'vote-request':
      out.u8((message.isPreVote ? 1 : 0) | (message.isTransfer ? 2 : 0));
      out.u64(message.lastIndex);
      out.u64(message.lastTerm);
      return;
    case 'vote-response':
      out.u8((message.isPreVote ? 1 : 0) | (message.isGranted ? 2 : 0));
      return;
    case 'append-request':
      out.u64(message.prevIndex);
      out.u64(message.prevTerm);
      out.u64(message.commit);
      out.u32(message.entries.length);
      for (const entry of message.entries) writeEntry(out, entry);
      return;
    case 'append-response':
      out.u8(message.isRejected ? 1 : 0);
      out.u64(message.index);
      out.u64(message.hintIndex);
      out.u64(message.hintTerm);
      return;
    case 'heartbeat':
      out.u64(message.commit);
      out.u64(message.readSeq);
      return;
    case 'heartbeat-response':
      out.u64(message.readSeq);
      return;
    case 'snapshot-chunk':
      out.u64(message.snapshotIndex);
      out.u64(message.snapshotTerm);
      writeConfiguration(out, message.configuration);
      out.u32(message.checksum);
      out.u32(message.totalBytes);
      out.u32(message.offset);
      out.u32(message.data.byteLength);
      out.raw(message.data);
      return;
    case 'snapshot-response':
      out.u64(message.snapshotIndex);
      out.u64(message.snapshotTerm);
      out.u32(message.offset);
      return;
    case 'witness-snapshot':
      out.u64(message.snapshotIndex);
      out.u64(message.snapshotTerm);
      writeConfiguration(out, message.configuration);
      return;
    case 'timeout-now':
      return;
  }
}

/** The message, or undefined if the bytes are malformed, cut short or of another version. */
export function decodeMessage(bytes: Uint8Array): RaftMessage | undefined {
  try {
    const input = new ByteReader(bytes);
    const message = readMessage(input);
    return input.remaining === 0 ? message : undefined;
  } catch (thrown) {
    if (thrown instanceof BytesError) return undefined;
    throw thrown;
  }
}

function readMessage(input: ByteReader): RaftMessage {
  const version = input.u8();
  if (version !== VERSION) throw malformed('version', version);
  const code = input.u8();
  const kind = MESSAGE_KINDS[code];
  if (kind === undefined) throw malformed('message kind', code);
  const envelope = { from: input.u64(), to: input.u64(), term: input.u64() };
  switch (kind) {
    case 'vote-request': {
      const flags = input.u8();
      const isPreVote = (flags & 1) !== 0;
      const isTransfer = (flags & 2) !== 0;
      const lastIndex = input.u64();
      return { kind, ...envelope, isPreVote, isTransfer, lastIndex, lastTerm: input.u64() };
    }
    case 'vote-response': {
      const flags = input.u8();
      return { kind, ...envelope, isPreVote: (flags & 1) !== 0, isGranted: (flags & 2) !== 0 };
    }
    case 'append-request': {
      const prevIndex = input.u64();
      const prevTerm = input.u64();
      const commit = input.u64();
      return { kind, ...envelope, prevIndex, prevTerm, commit, entries: readRun(input, prevIndex) };
    }
    case 'append-response': {
      const isRejected = input.u8() !== 0;
      const index = input.u64();
      const hintIndex = input.u64();
      return { kind, ...envelope, isRejected, index, hintIndex, hintTerm: input.u64() };
    }
    case 'heartbeat': {
      const commit = input.u64();
      return { kind, ...envelope, commit, readSeq: input.u64() };
    }
    case 'heartbeat-response':
      return { kind, ...envelope, readSeq: input.u64() };
    case 'snapshot-chunk':
      return { kind, ...envelope, ...readChunk(input) };
    case 'snapshot-response': {
      const snapshotIndex = input.u64();
      const snapshotTerm = input.u64();
      return { kind, ...envelope, snapshotIndex, snapshotTerm, offset: input.u32() };
    }
    case 'witness-snapshot': {
      const snapshotIndex = input.u64();
      const snapshotTerm = input.u64();
      const configuration = readConfiguration(input);
      return { kind, ...envelope, snapshotIndex, snapshotTerm, configuration };
    }
    case 'timeout-now':
      return { kind, ...envelope };
  }
}

/** Entries must follow prevIndex without a gap. The count is believed only as far as bytes go. */
function readRun(input: ByteReader, prevIndex: number): Entry[] {
  const count = input.u32();
  const entries: Entry[] = [];
  for (let i = 0; i < count; i += 1) {
    const entry = readEntry(input);
    if (entry.index !== prevIndex + 1 + i) throw malformed('entry index', entry.index);
    entries.push(entry);
  }
  return entries;
}

function readChunk(input: ByteReader) {
  const snapshotIndex = input.u64();
  const snapshotTerm = input.u64();
  const configuration = readConfiguration(input);
  const checksum = input.u32();
  const totalBytes = input.u32();
  const offset = input.u32();
  const data = input.copy(input.u32());
  if (offset + data.byteLength > totalBytes) throw malformed('chunk offset', offset);
  return { snapshotIndex, snapshotTerm, configuration, checksum, totalBytes, offset, data };
}
