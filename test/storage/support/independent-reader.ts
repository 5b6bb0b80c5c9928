// Reads a shard's folder from docs/internals/storage-format.md alone: no code of src/storage, no checksum of
// ours. What it finds is what any other program could find after a power cut, without repairing anything.

/** CRC-32C, reflected polynomial 0x82f63b78 (RFC 3720, B.4), a bit at a time in a table of its own. */
const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let sum = index;
  for (let bit = 0; bit < 8; bit += 1) sum = (sum & 1) === 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
  return sum >>> 0;
});

function sumOf(bytes: Uint8Array): number {
  let sum = 0xffff_ffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ TABLE[(sum ^ byte) & 0xff]!;
  return (sum ^ 0xffff_ffff) >>> 0;
}

export interface FoundFrame {
  readonly seq: number;
  readonly chain: number;
  readonly batch: FoundBatch | undefined;
}

export interface FoundBatch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  /** The batch's own CRC field: it names the content. */
  readonly crc: number;
}

export interface FoundLog {
  /** Frames of the write-ahead log that a start would apply. */
  readonly frames: Map<number, FoundFrame>;
  /** The frame below them, which a checkpoint or a state knows. */
  baseSeq: number;
  baseChain: number | undefined;
  /** By base offset: in segments, below the settled offset of the checkpoint. */
  readonly settled: Map<number, FoundBatch>;
  settledOffset: number;
}

export interface Findings {
  readonly logs: ReadonlyMap<number, FoundLog>;
  readonly replayLsn: number;
  /** Checkpoint slots that pass their check. */
  readonly soundSlots: number;
  /** Groups that a start needs and that a later group knows to be durable: damage in them is no tear. */
  readonly vouched: readonly {
    readonly path: string;
    readonly at: number;
    readonly size: number;
  }[];
}

interface Files {
  paths(): string[];
  contents(path: string): Uint8Array;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function u64(view: DataView, at: number, isLittle: boolean): number {
  return Number(view.getBigUint64(at, isLittle));
}

/** What is in the folder `directory` of these files. */
export function readFolder(files: Files, directory: string): Findings {
  const logs = new Map<number, FoundLog>();
  const logOf = (id: number): FoundLog => {
    let log = logs.get(id);
    if (log === undefined) {
      log = {
        frames: new Map(),
        baseSeq: 0,
        baseChain: undefined,
        settled: new Map(),
        settledOffset: 0,
      };
      logs.set(id, log);
    }
    return log;
  };
  const inside = (suffix: RegExp): string[] =>
    files.paths().filter((path) => path.startsWith(`${directory}/`) && suffix.test(path));
  const slots = inside(/\/ckpt\.[ab]$/).flatMap((path) => checkpointIn(files.contents(path)) ?? []);
  const checkpoint = slots.sort((a, b) => b.sequence - a.sequence)[0];
  for (const entry of checkpoint?.entries ?? []) {
    const log = logOf(entry.logId);
    log.baseSeq = entry.anchorSeq;
    log.baseChain = entry.anchorChain;
    log.settledOffset = entry.settledOffset;
    readSegments(
      files,
      inside(new RegExp(`/logs/[0-9a-f]{2}/${entry.logId}/.*\\.seg$`)),
      entry,
      log,
    );
  }
  const replayLsn = checkpoint?.replayLsn ?? 0;
  const groups = [...walGroups(files, inside(/\/wal\/.*\.wal$/))];
  for (const { frames } of groups) {
    for (const frame of frames) if (frame.lsn >= replayLsn) applyFrame(frame, logOf);
  }
  const durableLsn = Math.max(0, ...groups.map((group) => group.durableLsn));
  const vouched = groups.filter(({ lsn, size }) => lsn >= replayLsn && lsn + size <= durableLsn);
  return { logs, replayLsn, soundSlots: slots.length, vouched };
}

// ---- checkpoints: big endian ----------------------------------------------------------------------

interface Entry {
  readonly logId: number;
  readonly settledOffset: number;
  readonly generationMin: number;
  readonly generation: number;
  readonly segmentBase: number;
  readonly segmentLength: number;
  readonly anchorSeq: number;
  readonly anchorChain: number;
}

interface Checkpoint {
  readonly sequence: number;
  readonly replayLsn: number;
  readonly entries: readonly Entry[];
}

function checkpointIn(bytes: Uint8Array): Checkpoint | undefined {
  if (bytes.length < 48) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(0) !== 0x43424350 || view.getUint32(44) !== sumOf(bytes.subarray(0, 44))) {
    return undefined;
  }
  const count = view.getUint32(32);
  const body = bytes.subarray(48, 48 + view.getUint32(36));
  if (body.length !== count * 112 || sumOf(body) !== view.getUint32(40)) return undefined;
  const of = viewOf(body);
  const entries = Array.from({ length: count }, (_, i): Entry => {
    const at = i * 112;
    return {
      logId: u64(of, at, false),
      settledOffset: u64(of, at + 36, false),
      generationMin: of.getUint32(at + 44),
      generation: of.getUint32(at + 48),
      segmentBase: u64(of, at + 52, false),
      segmentLength: u64(of, at + 60, false),
      anchorSeq: u64(of, at + 68, false),
      anchorChain: of.getUint32(at + 88),
    };
  });
  return { sequence: u64(view, 8, false), replayLsn: u64(view, 16, false), entries };
}

/** A file with a state: magic, sum of the rest, seq, record; big endian. */
export function isSoundView(bytes: Uint8Array): boolean {
  return bytes.length > 16 && viewOf(bytes).getUint32(4) === sumOf(bytes.subarray(8));
}

// ---- segments -------------------------------------------------------------------------------------

interface SegmentName {
  readonly path: string;
  readonly base: number;
  readonly generation: number;
  /** 0: never rewritten. */
  readonly revision: number;
  readonly end: number;
}

/** A rewritten file stands for every older one whose base lies in its offsets. */
function segmentsOf(paths: readonly string[], entry: Entry): SegmentName[] {
  const names = paths.flatMap((path): SegmentName[] => {
    const name = /\/(\d{16})-(\d+)(-(\d+)-(\d{16})(-part)?)?\.seg$/.exec(path);
    if (name === null) return [];
    const [, base, generation, , revision, end] = name.map(Number);
    const isOurs = generation! >= entry.generationMin && generation! <= entry.generation;
    if (!isOurs || base! >= entry.settledOffset) return [];
    const rewritten = name[3] === undefined ? [0, 0] : [revision!, end!];
    return [
      { path, base: base!, generation: generation!, revision: rewritten[0]!, end: rewritten[1]! },
    ];
  });
  return names.filter(
    ({ base, revision }) =>
      !names.some((by) => by.revision > revision && by.base <= base && base < by.end),
  );
}

function readSegments(files: Files, paths: readonly string[], entry: Entry, log: FoundLog): void {
  for (const { path, base, generation, revision } of segmentsOf(paths, entry)) {
    const bytes = files.contents(path);
    const isOpen = revision === 0 && base === entry.segmentBase && generation === entry.generation;
    const end = isOpen && entry.segmentLength > 0 ? entry.segmentLength : bytes.length;
    for (let at = 64; at < end; ) {
      const batch = batchIn(bytes, at);
      // What was removed may be back, and not whole: who wants something of it looks for that.
      if (batch === undefined || at + batch.size > end) break;
      // A sealed file may go on behind what the checkpoint counts: the log has it in the WAL too.
      if (batch.baseOffset < entry.settledOffset) log.settled.set(batch.baseOffset, batch);
      at += batch.size;
    }
  }
}

/** A v2 record batch (big endian) whose CRC is right. */
function batchIn(bytes: Uint8Array, at: number): (FoundBatch & { size: number }) | undefined {
  if (at + 61 > bytes.length) return undefined;
  const view = viewOf(bytes);
  const size = view.getInt32(at + 8) + 12;
  if (size < 61 || at + size > bytes.length || bytes[at + 16] !== 2) return undefined;
  const crc = view.getUint32(at + 17);
  if (sumOf(bytes.subarray(at + 21, at + size)) !== crc) return undefined;
  const baseOffset = u64(view, at, false);
  return { baseOffset, nextOffset: baseOffset + view.getInt32(at + 23) + 1, crc, size };
}

// ---- the write-ahead log: little endian -------------------------------------------------------------

interface WalFrame {
  readonly type: number;
  readonly logId: number;
  readonly seq: number;
  readonly chain: number;
  readonly batch: FoundBatch | undefined;
}

const GROUP = 1;
const DATA = 2;
const TRUNCATE = 3;
const DELETE = 5;

interface WalGroup {
  readonly path: string;
  readonly at: number;
  readonly size: number;
  readonly lsn: number;
  /** What was durable when it was issued. */
  readonly durableLsn: number;
  readonly frames: readonly (WalFrame & { readonly lsn: number })[];
}

function* walGroups(files: Files, paths: readonly string[]): Generator<WalGroup> {
  const sorted = paths
    .flatMap((path) => {
      const bytes = files.contents(path);
      if (bytes.length < 4096) return [];
      const view = viewOf(bytes);
      const isSound =
        view.getUint32(0, true) === 0x4c574243 &&
        view.getUint32(60, true) === sumOf(bytes.subarray(0, 60));
      return isSound ? [{ path, bytes, firstLsn: u64(view, 8, true) }] : [];
    })
    .sort((a, b) => a.firstLsn - b.firstLsn);
  for (const { path, bytes, firstLsn } of sorted) {
    for (let at = 4096; at + 4096 <= bytes.length; ) {
      const lsn = firstLsn + at - 4096;
      const group = groupIn(bytes, at, lsn);
      if (group === undefined) break;
      yield { path, at, lsn, ...group };
      at += group.size;
    }
  }
}

function groupIn(
  bytes: Uint8Array,
  at: number,
  lsn: number,
): Pick<WalGroup, 'size' | 'durableLsn' | 'frames'> | undefined {
  const head = headerIn(bytes, at);
  if (head === undefined || head.type !== GROUP || head.lsn !== lsn) return undefined;
  const size = 64 + head.payloadLength;
  if (at + size > bytes.length) return undefined;
  const frames: (WalFrame & { lsn: number })[] = [];
  let from = at + 64;
  for (let i = 0; i < head.chain; i += 1) {
    const frame = headerIn(bytes, from);
    if (frame === undefined || frame.lsn !== lsn + from - at || frame.salt !== head.salt) {
      return undefined;
    }
    const payload = bytes.subarray(from + 64, from + 64 + frame.payloadLength);
    const hasBatch = frame.type === DATA && (frame.flags & 1) !== 0;
    const batch = hasBatch ? batchIn(payload, 0) : undefined;
    if (hasBatch && batch === undefined) return undefined;
    const rest = payload.subarray(batch?.size ?? 0);
    const summed =
      batch === undefined ? rest : Uint8Array.from([...rest, ...payload.subarray(0, 21)]);
    if (sumOf(summed) !== frame.payloadCrc) return undefined;
    const { type, logId, seq, chain } = frame;
    frames.push({ type, logId, seq, chain, batch, lsn: frame.lsn });
    from += Math.ceil((64 + frame.payloadLength) / 8) * 8;
  }
  return { size, durableLsn: head.seq, frames };
}

function headerIn(bytes: Uint8Array, at: number) {
  if (at + 64 > bytes.length) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(at, true) !== 0x46574243 || bytes[at + 4] !== 1) return undefined;
  if (view.getUint32(at + 60, true) !== sumOf(bytes.subarray(at, at + 60))) return undefined;
  return {
    type: bytes[at + 5]!,
    flags: view.getUint16(at + 6, true),
    lsn: u64(view, at + 8, true),
    logId: u64(view, at + 16, true),
    seq: u64(view, at + 24, true),
    payloadLength: view.getUint32(at + 44, true),
    payloadCrc: view.getUint32(at + 48, true),
    chain: view.getUint32(at + 52, true),
    salt: view.getUint32(at + 56, true),
  };
}

function applyFrame(frame: WalFrame, logOf: (id: number) => FoundLog): void {
  const { type, logId, seq, chain, batch } = frame;
  if (type === DATA) logOf(logId).frames.set(seq, { seq, chain, batch });
  else if (type === TRUNCATE || type === DELETE) {
    const { frames } = logOf(logId);
    for (const known of [...frames.keys()]) {
      if (type === DELETE || known > seq) frames.delete(known);
    }
  }
}

// ---- the other files ---------------------------------------------------------------------------------

/** `store.super`, big endian; undefined if its sum is wrong. */
export function superblockIn(bytes: Uint8Array) {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== 0x43425342 || view.getUint32(4) !== sumOf(bytes.subarray(8))) {
    return undefined;
  }
  // The length is a varint; names of 128 bytes and more are not read here.
  const length = bytes[32]!;
  return {
    major: view.getUint16(8),
    minor: view.getUint16(10),
    compatible: view.getUint32(12),
    readOnlyCompatible: view.getUint32(16),
    incompatible: view.getUint32(20),
    nodeId: view.getInt32(24),
    shard: view.getInt32(28),
    clusterId: new TextDecoder().decode(bytes.subarray(33, 33 + length)),
  };
}

/** The slot of `store.marks` that counts, big endian. */
export function marksIn(bytes: Uint8Array) {
  const slots = [0, 4096].flatMap((at) => {
    const slot = bytes.subarray(at, at + 32);
    const view = viewOf(slot);
    const isSound =
      view.getUint32(0) === 0x43424d4b && view.getUint32(4) === sumOf(slot.subarray(8));
    if (!isSound) return [];
    const flags = view.getUint32(24);
    return [{ sequence: u64(view, 8, false), starts: u64(view, 16, false), flags }];
  });
  return slots.sort((a, b) => b.sequence - a.sequence)[0];
}

/** A sparse index, little endian; undefined if its sum or its size is wrong. */
export function indexIn(bytes: Uint8Array) {
  const view = viewOf(bytes);
  const summed = Uint8Array.from([...bytes.subarray(0, 64), ...bytes.subarray(68)]);
  if (view.getUint32(0, true) !== 0x49534243 || view.getUint32(64, true) !== sumOf(summed)) {
    return undefined;
  }
  const count = view.getUint32(28, true);
  if (bytes.length !== 68 + 24 * count) return undefined;
  return {
    logId: u64(view, 8, true),
    baseOffset: u64(view, 16, true),
    generation: view.getUint32(24, true),
    coveredBytes: u64(view, 32, true),
    nextOffset: u64(view, 40, true),
    maxTimestampMs: u64(view, 48, true),
    maxTimestampOffset: u64(view, 56, true),
    entries: Array.from({ length: count }, (_, i) => ({
      offset: u64(view, 68 + 24 * i, true),
      position: u64(view, 76 + 24 * i, true),
    })),
  };
}

/** A record index, little endian; undefined if any of its sums is wrong. */
export function recordIndexIn(bytes: Uint8Array) {
  const view = viewOf(bytes);
  const directoryAt = u64(view, 40, true);
  const directoryEnd = directoryAt + view.getUint32(48, true);
  const isSound =
    view.getUint32(0, true) === 0x58524243 &&
    view.getUint32(64, true) === sumOf(bytes.subarray(0, 64)) &&
    view.getUint32(60, true) === sumOf(bytes.subarray(directoryAt, directoryEnd)) &&
    directoryEnd === bytes.length;
  if (!isSound) return undefined;
  const entries: { hash: number; offset: number; timeMs: number }[] = [];
  let at = directoryAt;
  for (let run = 0; run < view.getUint32(52, true); run += 1) {
    const position = u64(view, at + 32, true);
    const count = view.getUint32(at + 40, true);
    const blocks = view.getUint32(at + 44, true);
    for (let block = 0; block < blocks; block += 1) {
      const from = position + 4096 * block;
      const end = Math.min(from + 4096, position + 16 * count);
      const line = at + 48 + 16 * block;
      if (view.getUint32(line + 4, true) !== sumOf(bytes.subarray(from, end))) return undefined;
      for (let entry = from; entry < end; entry += 16) {
        const timeMs = u64(view, at + 16, true) + 1000 * view.getUint32(entry + 4, true);
        const hash = view.getUint32(entry, true);
        entries.push({ hash, timeMs, offset: u64(view, entry + 8, true) });
      }
    }
    at += 48 + 16 * blocks;
  }
  return {
    version: view.getUint32(4, true),
    logId: u64(view, 8, true),
    baseOffset: u64(view, 16, true),
    generation: view.getUint32(24, true),
    revision: view.getUint32(28, true),
    segmentBytes: u64(view, 32, true),
    unread: view.getUint32(56, true),
    entries,
  };
}

/** The header of a segment, little endian; undefined if its sum is wrong. */
export function segmentHeaderIn(bytes: Uint8Array) {
  const view = viewOf(bytes);
  const isSound =
    view.getUint32(0, true) === 0x47534243 &&
    view.getUint32(60, true) === sumOf(bytes.subarray(0, 60));
  if (!isSound) return undefined;
  return {
    version: view.getUint32(4, true),
    logId: u64(view, 8, true),
    baseOffset: u64(view, 16, true),
    generation: view.getUint32(24, true),
    revision: view.getUint32(28, true),
    endOffset: u64(view, 32, true),
    flags: view.getUint32(40, true),
  };
}

/** A file with a state: whose, and the record in it. */
export function viewIn(bytes: Uint8Array) {
  if (viewOf(bytes).getUint32(0) !== 0x43425657 || !isSoundView(bytes)) return undefined;
  const record = viewOf(bytes.subarray(16));
  return {
    seq: u64(viewOf(bytes), 8, false),
    version: record.getUint8(0),
    epoch: record.getInt32(1),
    epochFirstSeq: u64(record, 5, false),
    chain: record.getUint32(13),
    logTimeMs: u64(record, 17, false),
    endOffset: u64(record, 25, false),
    startOffset: u64(record, 33, false),
    state: bytes.subarray(16 + 49),
  };
}
