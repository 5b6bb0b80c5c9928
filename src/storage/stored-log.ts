// One log of the shard: frames from behind the anchor to the end in a table (their bytes in slabs or only
// in the WAL), batches below the settled offset in segments, states in the WAL or view files.
// settled <= min(committed, durable) <= end, and nothing at or below the committed seq is ever cut.
import { BATCH_CRC_FROM, baseOffset, batchSize, CRC_AT, lastOffset } from '../records/batch.ts';
import { assert } from '../std/assert.ts';
import { readU32 } from '../std/bytes.ts';
import type {
  AppendRefusal,
  Donation,
  DonationFacts,
  EpochStart,
  FrameHeader,
  FrameVisitor,
  Install,
  InstallStart,
  Loan,
  LogDurability,
  ReadResult,
  ReplicaAppendResult,
  Rewrite,
  RewriteKind,
  SealedSegment,
  SegmentLookup,
  SegmentRepair,
  StateAtSeq,
  StoredLog,
  TimestampPlace,
} from './api.ts';
import { donate, lend } from './donation.ts';
import {
  CARRIED,
  FRAME_HEADER_BYTES,
  FrameFields,
  frameSize,
  HAS_BATCH,
  TYPE_DATA,
  TYPE_TRUNCATE,
} from './frame-format.ts';
import { type Anchor, COLD, FrameTable } from './frame-table.ts';
import { beginInstall } from './install.ts';
import { framesFrom, residentFrames } from './log-frames.ts';
import type { LogHost } from './log-host.ts';
import { maxTimestamp, offsetForTimestamp, readLog } from './log-reads.ts';
import { LogSnapshots } from './log-snapshots.ts';
import { beginRewrite, sealedSegments } from './rewrite.ts';
import type { Segment } from './segment.ts';
import { beginLookup } from './segment-lookup.ts';
import { beginRepair } from './segment-repair.ts';
import {
  NO_MARK,
  SEGMENT_BYTES_MAX,
  type SegmentLimits,
  SegmentSet,
  type SettledMark,
} from './segment-set.ts';
import type { SettleFlight } from './settle.ts';
import type { GroupMember } from './wal-writer.ts';

/** A log whose commit has not moved for this long counts as stuck when the budget is used up. */
const STUCK_AFTER_MS = 1000;

export class StoredLogCore implements StoredLog, GroupMember {
  readonly logId: number;
  readonly durability: LogDurability;
  readonly host: LogHost;
  readonly table = new FrameTable();
  readonly epochs: EpochStart[] = [];
  readonly snapshots: LogSnapshots;
  readonly #fields = new FrameFields();
  needsRepair = false;
  usesReserve = false;
  durableSeq = 0;
  committedSeq = 0;
  startOffset = 0;
  lastLogTimeMs = 0;
  /** Every frame up to here is settled or carries no batch; its memory is released. */
  settledSeq = 0;
  settledOffset = 0;
  generationMin = 1;
  /** What the last checkpoint counts as settled, and what the next one will. */
  mark: SettledMark = NO_MARK;
  isMarkDirty = false;
  /** What the two checkpoints in the slots say; nothing is known of the older one that a start found. */
  checkpointed: SettledMark = NO_MARK;
  checkpointedBefore: SettledMark = NO_MARK;
  #segments: SegmentSet | undefined;
  readonly segmentLimits: SegmentLimits;
  /** Bytes of committed frames that are not settled, and when the oldest of them is due. */
  tailBytes = 0;
  settleDueMs = 0;
  /** The write of batches that is under way. */
  settleFlight: SettleFlight | undefined;
  isNoteQueued = false;
  isMemoryQueued = false;
  isDeleted = false;
  /** A catch-up is being received; being made the log (appends wait); settling stands still for it. */
  isInstallOpen = false;
  isInstalling = false;
  isSettleFrozen = false;
  /** One rewriting at a time. */
  isRewriting = false;
  groupId = 0;
  #uncommittedBytes = 0;
  #commitMovedMs = 0;
  /** Of the last cut: where it is logged, and the first of the frames that are back if that gets lost. */
  #cutLsn = Number.NEGATIVE_INFINITY;
  #cutFramesLsn = Number.POSITIVE_INFINITY;

  constructor(host: LogHost, logId: number, durability: LogDurability) {
    this.host = host;
    this.logId = logId;
    this.durability = durability;
    this.segmentLimits = {
      bytesMax: host.options.segmentBytesMax,
      ageMs: Number.POSITIVE_INFINITY,
    };
    this.snapshots = new LogSnapshots(this);
  }

  get folder(): string {
    const low = (this.logId % 256).toString(16).padStart(2, '0');
    return `${this.host.options.directory}/logs/${low}/${this.logId}`;
  }

  get isMemory(): boolean {
    return this.durability === 'memory';
  }

  get endSeq(): number {
    return this.table.endSeq;
  }

  get firstSeq(): number {
    return this.table.firstSeq;
  }

  get endOffset(): number {
    return this.table.offsetAt(this.table.endSeq)!;
  }

  get chain(): number {
    return this.table.chainAt(this.table.endSeq)!;
  }

  get lastEpoch(): number {
    return this.table.epochAt(this.table.endSeq)!;
  }

  get snapshotSeq(): number {
    return this.snapshots.newestSeq;
  }

  get segments(): SegmentSet {
    this.#segments ??= new SegmentSet(
      this.host,
      {
        folder: this.folder,
        logId: this.logId,
        limits: this.segmentLimits,
        startOffset: this.startOffset,
      },
      this.mark,
    );
    return this.#segments;
  }

  /** Undefined while nothing needed the segments in this run. */
  get loadedSegments(): SegmentSet | undefined {
    return this.#segments;
  }

  /** They are loaded again when somebody asks. Not while anything of them is not in the last checkpoint. */
  forgetSegments(): void {
    const segments = this.#segments;
    if (segments === undefined || this.isMarkDirty || this.settleFlight !== undefined) return;
    if (this.isInstallOpen || this.isRewriting || segments.isFolderDirty) return;
    const isUsed = ({ isDirty, pins, isDamaged }: Segment) => isDirty || pins > 0 || isDamaged;
    if (!segments.list.some(isUsed)) this.#segments = undefined;
  }

  get damagedSegments(): number {
    let count = 0;
    for (const { isDamaged } of this.#segments?.list ?? []) if (isDamaged) count += 1;
    return count;
  }

  get segmentBytes(): number {
    return this.segments.bytes;
  }

  get segmentBytesMax(): number {
    return this.segmentLimits.bytesMax;
  }

  get hasSealedSegments(): boolean {
    return (this.#segments?.list.length ?? 0) > 1;
  }

  // ---- appending ------------------------------------------------------------------------------

  #refusal(hasBatch: boolean, isReplica: boolean): AppendRefusal | undefined {
    const { host } = this;
    if (host.isStopped || this.isDeleted) return 'failed';
    if (this.needsRepair || this.isInstalling) return 'damaged';
    // Without a batch a frame is small, and may be what lets the others commit: the begin of an epoch.
    if (!hasBatch) return undefined;
    if (!this.isMemory && !this.usesReserve && host.space.refuses(isReplica)) {
      host.counters.refusedNoSpace += 1;
      return 'no-space';
    }
    const { uncommittedBytesMax } = host.options;
    if (host.uncommittedBytes <= uncommittedBytesMax || this.#uncommittedBytes === 0) {
      return undefined;
    }
    const stuckMs = host.env.clock.monotonicMs() - this.#commitMovedMs;
    const isFarOver = host.uncommittedBytes > 2 * uncommittedBytesMax;
    if (stuckMs < STUCK_AFTER_MS && !isFarOver) return undefined;
    host.counters.refusedPinned += 1;
    host.wantRoom();
    return 'pinned';
  }

  append(
    epoch: number,
    logTimeMs: number,
    events: Uint8Array,
    batch: Uint8Array | undefined,
    awaited: boolean,
  ): number | AppendRefusal {
    const refusal = this.#refusal(batch !== undefined, false);
    if (refusal !== undefined) return refusal;
    assert(epoch >= this.lastEpoch, 'StoredLog: epochs never go back');
    assert(logTimeMs >= this.lastLogTimeMs, 'StoredLog: log time never goes back');
    const payloadCrc = this.host.codec.payloadCrc(events, batch);
    const seq = this.endSeq + 1;
    const chain = this.host.codec.chain(this.chain, seq, epoch, logTimeMs, payloadCrc);
    return this.#put(seq, epoch, logTimeMs, chain, payloadCrc, events, batch, awaited);
  }

  appendReplica(
    header: FrameHeader,
    events: Uint8Array,
    batch: Uint8Array | undefined,
    awaited: boolean,
  ): ReplicaAppendResult {
    const refusal = this.#refusal(batch !== undefined, true);
    if (refusal !== undefined) return refusal;
    const { seq, epoch, logTimeMs, chain } = header;
    if (seq !== this.endSeq + 1) return 'gap';
    const { codec } = this.host;
    const payloadCrc = codec.payloadCrc(events, batch);
    if (payloadCrc !== header.payloadCrc || !this.#isSoundBatch(batch)) return 'corrupt';
    if (codec.chain(this.chain, seq, epoch, logTimeMs, payloadCrc) !== chain) {
      return 'chain-mismatch';
    }
    const taken = this.#put(seq, epoch, logTimeMs, chain, payloadCrc, events, batch, awaited);
    return typeof taken === 'number' ? 'ok' : taken;
  }

  #isSoundBatch(batch: Uint8Array | undefined): boolean {
    if (batch === undefined) return true;
    return (
      batch.length > BATCH_CRC_FROM &&
      batchSize(batch, 0) === batch.length &&
      this.host.codec.crc32c(batch, BATCH_CRC_FROM, batch.length) === readU32(batch, CRC_AT)
    );
  }

  #put(
    seq: number,
    epoch: number,
    logTimeMs: number,
    chain: number,
    payloadCrc: number,
    events: Uint8Array,
    batch: Uint8Array | undefined,
    awaited: boolean,
  ): number | 'full' {
    const { host, table } = this;
    const batchLength = batch?.length ?? 0;
    const payloadLength = batchLength + events.length;
    let nextOffset = this.endOffset;
    if (batch !== undefined) {
      assert(baseOffset(batch, 0) >= nextOffset, 'StoredLog: a batch begins at or above the end');
      nextOffset = lastOffset(batch, 0) + 1;
    }
    const place = this.isMemory ? host.memoryTail : host.wal;
    const hasRoom = this.isMemory
      ? host.memoryTail.reserve(frameSize(payloadLength))
      : host.wal.reserve(payloadLength, false);
    if (!hasRoom) {
      host.counters.refusedFull += 1;
      host.wantRoom();
      return 'full';
    }
    const { chunk, at } = place;
    const fields = this.#fields;
    fields.type = TYPE_DATA;
    fields.flags = batch === undefined ? 0 : HAS_BATCH;
    fields.lsn = this.isMemory ? 0 : host.wal.lsn;
    fields.logId = this.logId;
    fields.seq = seq;
    fields.logTimeMs = logTimeMs;
    fields.epoch = epoch;
    fields.payloadLength = payloadLength;
    fields.payloadCrc = payloadCrc;
    fields.chain = chain;
    fields.salt = host.walFiles.salt;
    if (batch !== undefined) chunk.bytes.set(batch, at + FRAME_HEADER_BYTES);
    if (events.length > 0) chunk.bytes.set(events, at + FRAME_HEADER_BYTES + batchLength);
    host.codec.writeHeader(chunk.bytes, at, fields);
    chunk.holds += 1;
    const slot = table.extendTo(seq);
    table.lsn[slot] = fields.lsn;
    table.nextOffset[slot] = nextOffset;
    table.logTimeMs[slot] = logTimeMs;
    table.chain[slot] = chain;
    table.epoch[slot] = epoch;
    table.payloadLength[slot] = payloadLength;
    table.batchLength[slot] = batchLength;
    table.chunk[slot] = chunk.id;
    table.at[slot] = at;
    this.lastLogTimeMs = logTimeMs;
    this.noteEpoch(epoch, seq);
    this.#countUncommitted(frameSize(payloadLength));
    if (this.isMemory) {
      this.durableSeq = seq;
      host.memoryAppended(this);
    } else host.wal.added(this, awaited);
    return seq;
  }

  #countUncommitted(bytes: number): void {
    if (this.#uncommittedBytes === 0) this.#commitMovedMs = this.host.env.clock.monotonicMs();
    this.#uncommittedBytes += bytes;
    this.host.uncommittedBytes += bytes;
  }

  #discountUncommitted(bytes: number): void {
    this.#uncommittedBytes -= bytes;
    this.host.uncommittedBytes -= bytes;
  }

  noteEpoch(epoch: number, seq: number): void {
    const last = this.epochs[this.epochs.length - 1];
    if (last === undefined || last.epoch !== epoch) this.epochs.push({ epoch, firstSeq: seq });
  }

  /** Recovery found frames that nobody knows to be committed. */
  recountUncommitted(): void {
    let bytes = 0;
    for (let seq = this.committedSeq + 1; seq <= this.endSeq; seq += 1) {
      bytes += frameSize(this.table.payloadLength[this.table.slot(seq)]!);
    }
    if (bytes > 0) this.#countUncommitted(bytes);
  }

  groupDurable(lsn: number): boolean {
    const { table } = this;
    let seq = this.durableSeq;
    while (seq < table.endSeq && table.lsn[table.slot(seq + 1)]! < lsn) seq += 1;
    const isMoved = seq !== this.durableSeq;
    this.durableSeq = seq;
    this.snapshots.becameDurable(lsn);
    if (isMoved && seq <= this.committedSeq) this.host.committedMoved(this);
    return isMoved;
  }

  setCommitted(seq: number): void {
    const { table } = this;
    const to = Math.min(seq, table.endSeq);
    if (to <= this.committedSeq) return;
    let bytes = 0;
    for (let at = this.committedSeq + 1; at <= to; at += 1) {
      bytes += frameSize(table.payloadLength[table.slot(at)]!);
    }
    this.committedSeq = to;
    this.tailBytes += bytes;
    this.#discountUncommitted(bytes);
    // With the next frame it begins anew.
    if (this.#uncommittedBytes > 0) this.#commitMovedMs = this.host.env.clock.monotonicMs();
    this.host.committedMoved(this);
  }

  truncate(toSeq: number): 'ok' | 'below-committed' {
    if (toSeq < this.committedSeq) return 'below-committed';
    const { host, table } = this;
    if (toSeq >= table.endSeq || host.isStopped) return 'ok';
    let bytes = 0;
    let framesLsn = this.keptLsn;
    for (let seq = toSeq + 1; seq <= table.endSeq; seq += 1) {
      const slot = table.slot(seq);
      bytes += frameSize(table.payloadLength[slot]!);
      framesLsn = Math.min(framesLsn, table.lsn[slot]!);
      this.makeCold(seq);
    }
    this.#discountUncommitted(bytes);
    table.cut(toSeq);
    this.durableSeq = Math.min(this.durableSeq, toSeq);
    this.lastLogTimeMs = table.logTimeAt(toSeq)!;
    while (this.epochs.length > 0 && this.epochs[this.epochs.length - 1]!.firstSeq > toSeq) {
      this.epochs.pop();
    }
    if (!this.isMemory) this.#cutLsn = this.writeMark(TYPE_TRUNCATE, toSeq);
    this.#cutFramesLsn = framesLsn;
    return 'ok';
  }

  /**
   * Frames that were cut are needed until the cut is durable: without it the log goes on with them. Infinity: none.
   */
  get keptLsn(): number {
    const isDurable = this.#cutLsn < this.host.wal.durableLsn;
    return isDurable ? Number.POSITIVE_INFINITY : this.#cutFramesLsn;
  }

  /** A frame that says something about the log and has no payload. */
  writeMark(type: number, seq: number, flags = 0): number {
    const { host } = this;
    host.wal.reserve(0, true);
    const fields = this.#fields;
    fields.type = type;
    fields.flags = flags;
    fields.lsn = host.wal.lsn;
    fields.logId = this.logId;
    fields.seq = seq;
    fields.logTimeMs = fields.epoch = 0;
    fields.payloadLength = fields.payloadCrc = fields.chain = 0;
    fields.salt = host.walFiles.salt;
    host.codec.writeHeader(host.wal.chunk.bytes, host.wal.at, fields);
    host.wal.added(this, false, (flags & CARRIED) !== 0);
    return fields.lsn;
  }

  /** Gives up the memory of a frame; its bytes are in the WAL, in a segment, or not wanted any more. */
  makeCold(seq: number): void {
    const { table, host } = this;
    const slot = table.slot(seq);
    const id = table.chunk[slot]!;
    if (id === COLD) return;
    table.chunk[slot] = COLD;
    host.slabs.release(host.slabs.get(id));
  }

  releaseMemory(): void {
    for (let seq = this.table.firstSeq; seq <= this.endSeq; seq += 1) this.makeCold(seq);
    this.#discountUncommitted(this.#uncommittedBytes);
    this.tailBytes = 0;
  }

  /** Forgets frames up to `seq`, which nothing needs any more. */
  trimTo(seq: number): void {
    const { table } = this;
    if (seq <= table.anchor.seq || seq > table.endSeq) return;
    const anchor = this.anchorAt(seq);
    for (let old = table.firstSeq; old <= seq; old += 1) this.makeCold(old);
    table.trim(anchor);
    const { epochs } = this;
    while (epochs.length > 1 && epochs[1]!.firstSeq <= seq) epochs.shift();
  }

  anchorAt(seq: number): Anchor {
    const { table } = this;
    if (seq === table.anchor.seq) return table.anchor;
    let epochFirstSeq = 0;
    for (const entry of this.epochs) if (entry.firstSeq <= seq) epochFirstSeq = entry.firstSeq;
    return {
      seq,
      epoch: table.epochAt(seq)!,
      epochFirstSeq,
      chain: table.chainAt(seq)!,
      nextOffset: table.offsetAt(seq)!,
      logTimeMs: table.logTimeAt(seq)!,
    };
  }

  /** Makes the log what it is at `anchor`, with nothing behind it: a finished install, or a recovery. */
  resetTo(anchor: Anchor): void {
    this.releaseMemory();
    if (this.settleFlight !== undefined) this.settleFlight.isVoid = true;
    this.table.reset(anchor);
    this.epochs.length = 0;
    if (anchor.epochFirstSeq > 0) {
      this.epochs.push({ epoch: anchor.epoch, firstSeq: anchor.epochFirstSeq });
    }
    this.lastLogTimeMs = anchor.logTimeMs;
    this.durableSeq = this.committedSeq = this.settledSeq = anchor.seq;
    this.settledOffset = anchor.nextOffset;
  }

  // ---- reading --------------------------------------------------------------------------------

  epochEntries(): readonly EpochStart[] {
    return this.epochs;
  }

  epochAt(seq: number): number | undefined {
    return this.table.epochAt(seq);
  }

  chainAt(seq: number): number | undefined {
    return this.table.chainAt(seq);
  }

  offsetAt(seq: number): number | undefined {
    return this.table.offsetAt(seq);
  }

  frames(fromSeq: number, maxBytes: number, visit: FrameVisitor): number | 'cold' | 'gone' {
    return residentFrames(this, fromSeq, maxBytes, visit);
  }

  framesFrom(fromSeq: number, maxBytes: number, visit: FrameVisitor): Promise<number | 'gone'> {
    return framesFrom(this, fromSeq, maxBytes, visit);
  }

  read(offset: number, maxBytes: number, endOffset: number): ReadResult {
    return readLog(this, offset, maxBytes, endOffset);
  }

  offsetForTimestamp(timestampMs: number): TimestampPlace | undefined {
    return offsetForTimestamp(this, timestampMs);
  }

  maxTimestamp(): TimestampPlace | undefined {
    return maxTimestamp(this);
  }

  // ---- snapshots and catch-up -----------------------------------------------------------------

  putState(seq: number, bytes: Uint8Array): void {
    this.snapshots.put(seq, bytes);
  }

  state(): StateAtSeq | undefined {
    return this.snapshots.read();
  }

  setStartOffset(offset: number): void {
    if (offset <= this.startOffset) return;
    this.startOffset = Math.min(offset, this.endOffset);
    this.isMarkDirty = true;
    // What is being written stays if something of it is wanted: the start of a busy queue moves all the time.
    const flight = this.settleFlight;
    const settlingOffset = Math.max(this.settledOffset, flight?.endOffset ?? 0);
    if (this.startOffset >= settlingOffset) {
      if (flight !== undefined) flight.isVoid = true;
      this.segments.removeAll();
    } else this.segments.removeBelow(this.startOffset, this.settledOffset);
  }

  limitSegments(bytesMax: number, ageMs: number): void {
    this.segmentLimits.bytesMax = Math.min(bytesMax, SEGMENT_BYTES_MAX);
    this.segmentLimits.ageMs = ageMs;
  }

  sealedSegments(): readonly SealedSegment[] {
    return sealedSegments(this);
  }

  beginRewrite(fromOffset: number, endOffset: number, kind: RewriteKind = {}): Rewrite | undefined {
    return beginRewrite(this, fromOffset, endOffset, kind);
  }

  beginLookup(baseOffset: number): SegmentLookup | undefined {
    return beginLookup(this, baseOffset);
  }

  donate(): Promise<Donation | undefined> {
    return donate(this);
  }

  lend(fromOffset: number, toOffset: number): Promise<Loan | undefined> {
    return lend(this, fromOffset, toOffset);
  }

  beginRepair(index: number): Promise<SegmentRepair | undefined> {
    return beginRepair(this, index);
  }

  beginInstall(from: InstallStart, facts: DonationFacts): Install {
    return beginInstall(this, from, facts);
  }
}
