// The whole offer of the storage room: one shard store (a write-ahead log shared by many logs) and the
// logs in it. Everything about replication is in `seq`, everything clients see is in offsets; both are
// safe integers. Nothing here elects, counts acknowledgements or reads a record: the owner decides what
// is committed, the store keeps it. All calls come from the one thread that owns the shard.
import type { Cancel, Clock, Disk, DiskFile, Log, Random } from '../env/environment.ts';
import type { RecordIndexName } from './record-index/format.ts';

/** The part of an Environment that storage needs; an `Environment` is one. */
export interface StorageEnvironment {
  readonly clock: Clock;
  readonly timers: { at(dueMs: number, fire: () => void): Cancel };
  readonly random: Random;
  readonly disk: Disk;
  readonly log: Log;
  crc32c(bytes: Uint8Array, start: number, end: number, seed?: number): number;
}

/** Who the folder belongs to. A folder with another identity is refused, never adopted. */
export interface StoreIdentity {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly shard: number;
}

export interface ShardStoreOptions {
  /** Folder of this shard, relative to `disk.root`; made if missing. */
  readonly directory: string;
  readonly identity: StoreIdentity;
  /** First size of a WAL file, a multiple of 64 KiB. Default 4 MiB. */
  readonly walFileBytesMin?: number;
  /** Largest size of a WAL file: files double up to it under load. Default 32 MiB. */
  readonly walFileBytesMax?: number;
  /** Most bytes of slabs (memory tails). Beyond it appends answer `full`. Default 64 MiB. */
  readonly slabBytesMax?: number;
  /** A committed tail of one log this long settles to its segment at once. Default 256 KiB. */
  readonly settleBytes?: number;
  /** A committed tail older than this settles. Default 10,000. */
  readonly settleAgeMs?: number;
  /** Longest time between checkpoints while something changed. Default 30,000. */
  readonly checkpointMs?: number;
  /** A checkpoint also starts after this many WAL bytes. Default one WAL file. */
  readonly checkpointBytes?: number;
  /** Uncommitted bytes of the shard beyond which stuck logs answer `pinned`. Default two of the largest WAL files. */
  readonly uncommittedBytesMax?: number;
  /** Frames nobody waits for go out after this time or this many bytes. Defaults 10 and 64 KiB. */
  readonly unawaitedMs?: number;
  readonly unawaitedBytes?: number;
  /** An idle WAL with unsealed groups writes a seal after this time. Default 1,000. */
  readonly sealAfterMs?: number;
  /** A segment is sealed and the next one begun beyond this size. Default 64 MiB, at most 1 GiB. */
  readonly segmentBytesMax?: number;
  /**
   * While fewer bytes of the disk are free, leader appends with a batch answer `no-space`, until a fifth more is
   * free. Default 0: they do only where the WAL would find no more room.
   */
  readonly freeBytesMin?: number;
  /** Segment files kept open. Default 1,024. */
  readonly openFilesMax?: number;
  /** Between two passes that read and check all that has settled. Default seven days; 0: never. */
  readonly scrubIntervalMs?: number;
  /** How fast such a pass reads. Default 8 MiB. */
  readonly scrubBytesPerSecond?: number;
  /**
   * Asked before frames of a log are carried forward in the WAL because its newest snapshot is old.
   * Answers the state at a committed seq, or undefined if there is none (then frames are carried).
   */
  readonly onSnapshotWanted?: (logId: number) => StateAtSeq | undefined;
}

/** State of a durable actor as it was after applying `seq`. */
export interface StateAtSeq {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

export interface OpenedShardStore {
  readonly store: ShardStore;
  readonly recovered: readonly RecoveredLog[];
}

/**
 * A log found on disk. Rebuild its actor from `log.state()`, then `log.framesFrom(stateSeq + 1, ...)` up to
 * `log.endSeq`. `log.committedSeq` is what was known to be committed; more may be.
 */
export interface RecoveredLog {
  readonly log: StoredLog;
  /** True: damaged below the durable end. Reads work where they can, appends answer `damaged`; repair by an install. */
  readonly needsRepair: boolean;
}

/** What durable means for a log: `sync` = in the WAL, O_DSYNC; `memory` = never durable, gone after a restart. */
export type LogDurability = 'sync' | 'memory';

export interface ShardStore {
  /** Makes an empty log (nothing is written before its first frame), or throws if it exists. */
  createLog(logId: number, options: { readonly durability: LogDurability }): StoredLog;
  log(logId: number): StoredLog | undefined;
  logs(): IterableIterator<StoredLog>;
  /** Committed delete: frees memory and files of the log, for ever. Unknown ids are ignored. */
  deleteLog(logId: number): void;
  /**
   * Called once per turn, in its durable phase: starts a WAL write if awaited frames are pending and no write
   * is in flight. Frames nobody waits for ride along, or go out after `unawaitedMs` or `unawaitedBytes`.
   */
  startGroup(): void;
  /** Called after a group became durable with the logs whose `durableSeq` advanced; the array is lent. */
  onDurable: (changed: readonly StoredLog[]) => void;
  /** Called when slab memory, the uncommitted budget or the disk has room again after an append was refused. */
  onRoom: () => void;
  /** Called once: a write or sync failed, the store is fenced. Nothing is retried; every append answers `failed`. */
  onFailure: (error: Error) => void;
  /**
   * Called when a segment of a log was found damaged, once for each. Batches in it are answered `damaged`; all else
   * of the log goes on. See `StoredLog.beginRepair`.
   */
  onDamage: (log: StoredLog) => void;
  readonly failure: Error | undefined;
  /** Bytes of frames that are appended and not durable. */
  readonly unwrittenBytes: number;
  /** Settles, syncs, writes a checkpoint and recycles WAL files. Resolves when done; one runs at a time. */
  checkpoint(): Promise<void>;
  /** Clean stop: writes what is pending, settles all that is committed, checkpoint, clean mark, unlock. */
  close(): Promise<void>;
  /** Drops everything in memory without writing (what a killed process leaves behind), and unlocks. */
  abandon(): void;
  readonly counters: Readonly<StoreCounters>;
  /** The last stop was clean (or the folder is new). */
  readonly cleanStart: boolean;
  /** A write or sync of this folder failed in an earlier run: its logs are lossy until resynced. */
  readonly failedSync: boolean;
  /** The cluster knows of it and calls this data by another name: from now on a crash is judged for itself. */
  forgetFailedSync(): void;
  /** Counts the opens of this folder, from 1. */
  readonly bootCount: number;
  /** Bytes of slabs in use, and bytes of appended frames above the committed seqs. */
  readonly slabBytes: number;
  readonly uncommittedBytes: number;
  /** Batches are refused because the disk is too full, as of the last look: see `lookAtSpace`. */
  readonly isShortOfSpace: boolean;
  /** Asks the disk now; answers the bytes that are free. Without it that is looked at only while something is appended. */
  lookAtSpace(): number;
}

export interface StoreCounters {
  /** WAL writes that carried frames. */
  walGroups: number;
  /** WAL writes that only sealed what was written before them. */
  walSeals: number;
  walFrames: number;
  /** Bytes written to WAL files, padding included. */
  walBytes: number;
  carriedFrames: number;
  walFilesMade: number;
  walFilesRecycled: number;
  settledBytes: number;
  settledBatches: number;
  checkpoints: number;
  snapshotsWritten: number;
  /** Segments that were replaced by rewritten ones, bytes of these, and how much less that was. */
  segmentsRewritten: number;
  rewrittenBytes: number;
  rewriteFreedBytes: number;
  /** Segments below a log start, and their bytes. Those of deleted and installed logs are not counted. */
  segmentsRemoved: number;
  segmentBytesRemoved: number;
  /** Whole passes of the scrub, and the bytes that it read. */
  scrubPasses: number;
  scrubBytes: number;
  /** Logs of the pass that is under way, and those of them that it has not looked at yet; 0 between passes. */
  scrubLogs: number;
  scrubLogsLeft: number;
  /** Segments that are known to be damaged now, and those that were replaced by another replica's batches. */
  damagedSegments: number;
  segmentsRepaired: number;
  /** Appends refused by back-pressure. */
  refusedFull: number;
  refusedPinned: number;
  refusedNoSpace: number;
}

/** Why an append was not taken. All but `failed` and `damaged` pass by themselves: see `ShardStore.onRoom`. */
export type AppendRefusal =
  /** Slab memory is used up. */
  | 'full'
  /** The uncommitted budget of the shard is used up and this log has uncommitted frames. Only with a batch. */
  | 'pinned'
  /** The disk is too full: what is left of it is kept for frames that make room. Only with a batch. */
  | 'no-space'
  /** The store is fenced or closed. */
  | 'failed'
  /** This log is quarantined or in the middle of an install. */
  | 'damaged';

/** The header of a stored frame. Objects handed to visitors are reused for the next frame: copy what you keep. */
export interface FrameHeader {
  readonly seq: number;
  readonly epoch: number;
  /** Log time, milliseconds. */
  readonly logTimeMs: number;
  /** CRC-32C over (chain before, seq, epoch, log time, payload CRC): equal chains = equal histories. */
  readonly chain: number;
  /** CRC-32C over the events, then bytes 0..20 of the batch (which hold the batch's own CRC). */
  readonly payloadCrc: number;
}

export type ReplicaAppendResult =
  | 'ok'
  /** `seq` is not `endSeq + 1`. */
  | 'gap'
  /** The chain does not continue ours: the histories differ. */
  | 'chain-mismatch'
  /** A checksum of the payload is wrong: damaged on the way. */
  | 'corrupt'
  | AppendRefusal;

/** Sees one frame; views are lent until the call returns. Answering false stops the walk after this frame. */
export type FrameVisitor = (
  header: FrameHeader,
  events: Uint8Array,
  batch: Uint8Array | undefined,
) => boolean | undefined;

/** `firstSeq` is the first frame of `epoch`. */
export interface EpochStart {
  readonly epoch: number;
  readonly firstSeq: number;
}

/** Whole batches from memory: views into slabs that stay valid until `release`. */
export interface MemoryRead {
  readonly kind: 'memory';
  readonly slices: readonly Uint8Array[];
  readonly length: number;
  /** Base offset of the first batch (may be below the asked offset) and the offset after the last. */
  readonly baseOffset: number;
  readonly nextOffset: number;
  release(): void;
}

/** Whole batches as a range of a file; the bytes stay as they are and the file open until `release`. */
export interface FileRead {
  readonly kind: 'file';
  readonly file: DiskFile;
  readonly position: number;
  readonly length: number;
  readonly baseOffset: number;
  readonly nextOffset: number;
  /**
   * For who decodes what reading the whole range gave (`count` bytes, or the error): is it what was appended? Where it
   * is not, what holds it counts as damaged from here on. Asked before `release`, once; who sends the range to a client
   * that checks batches itself need not ask.
   */
  isSound(bytes: Uint8Array, count: number, error: Error | undefined): boolean;
  release(): void;
}

export type ReadResult =
  | MemoryRead
  | FileRead
  /** Nothing between `offset` and the limit. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'out-of-range'; readonly startOffset: number; readonly endOffset: number }
  /** The bytes at this offset fail their check, or cannot be read. */
  | { readonly kind: 'damaged' }
  /** No descriptor is free for the segment: the same read may succeed in a moment. */
  | { readonly kind: 'no-descriptors' };

/** The first batch whose largest timestamp is at or after the asked one; decode it to find the record. */
export interface TimestampPlace {
  readonly baseOffset: number;
  readonly maxTimestampMs: number;
}

/** A committed state with all that a replica needs to continue behind it. */
export interface LogSnapshot {
  readonly seq: number;
  /** Epoch of frame `seq`, its chain and its log time. */
  readonly epoch: number;
  readonly chain: number;
  readonly logTimeMs: number;
  /** Offset after the last batch at or below `seq`. */
  readonly endOffset: number;
  readonly startOffset: number;
  /** Seq table of epochs; its last entry is the epoch at `seq`. The offset table is the owner's, inside `state`. */
  readonly epochs: readonly EpochStart[];
  readonly state: Uint8Array;
}

/** Batches back to back in a segment file, from `baseOffset` up to (not including) `endOffset`. */
export interface SegmentRange {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly file: DiskFile;
  readonly position: number;
  readonly length: number;
  /**
   * Is what reading from the start of a batch on gave (`count` bytes, or the error) what was appended? The last batch
   * may be cut off. Where it is not, the segment counts as damaged from here on.
   */
  isSound(bytes: Uint8Array, count: number, error: Error | undefined): boolean;
}

/** What a replica has made of the batches that it gives for a catch-up, as `LoanFacts` has it of a loan. */
export interface DonationFacts {
  /** Batches from here on are as they settled; 0: all are. */
  readonly compactedEnd: number;
  /** From batches below, tombstones may have gone. */
  readonly thinnedEnd: number;
  /** What nobody needs may have gone, of a log that was never compacted by key too. */
  readonly needlessGone: boolean;
}

/** Everything another replica needs up to `snapshot.seq`; pinned until `release`. */
export interface Donation {
  readonly facts: DonationFacts;
  readonly snapshot: LogSnapshot;
  /** Ordered, without overlap, together every batch from the log start to `snapshot.endOffset`. */
  readonly ranges: readonly SegmentRange[];
  release(): void;
}

export type InstallStart =
  | { readonly kind: 'settled' }
  | { readonly kind: 'scratch'; readonly startOffset: number };

/** A catch-up in progress. Until `commit` resolves, the log is what it was; a crash drops what was adopted. */
export interface Install {
  /** Offset the next adopted batch must not be below. */
  readonly nextOffset: number;
  /**
   * Appends whole batches (checked). Answers how many bytes were taken: a batch that is cut off at the end of
   * `bytes` is left for the next call; `corrupt` for a failed check or a batch out of order.
   */
  adopt(bytes: Uint8Array): number | 'corrupt';
  /**
   * Makes snapshot and adopted batches the log, in one step: afterwards endSeq = durableSeq = committedSeq =
   * snapshot.seq. Resolves when durable. Rejects (and leaves the log as it was) if the store failed.
   */
  commit(snapshot: LogSnapshot): Promise<void>;
  abort(): void;
}

/**
 * What a replica has made of the batches that it lends. Replicas compact each for itself, so one may hold records that
 * another has removed, and the tombstones of records that another still holds.
 */
export interface LoanFacts {
  /** Every batch is as it settled. */
  readonly isRaw: boolean;
  /** Tombstones may have gone from them. */
  readonly isThinned: boolean;
  /** What nobody needs may have gone from them. */
  readonly needlessGone: boolean;
  /** From the first of them on up to here compaction was done with everything; 0 if not with the first. */
  readonly doneOffset: number;
  /** Of the lender: what hides a record that is not in the loan lies below. */
  readonly settledOffset: number;
  /** Of the lender: that nobody needs a record which is not in the loan was said at or below this frame. */
  readonly stateSeq: number;
}

/** Settled batches for another replica; pinned until `release`. */
export interface Loan {
  readonly facts: LoanFacts;
  readonly ranges: readonly SegmentRange[];
  release(): void;
}

/** The replacement of one damaged segment by what another replica lends. Nothing waits for it. */
export interface SegmentRepair {
  /** Every batch that ends above `fromOffset` and at or below `toOffset` is needed, in order. */
  readonly fromOffset: number;
  readonly toOffset: number;
  /**
   * Begins with a loan. `behind`: its lender knows of records that are not committed here yet. `compacted-otherwise`:
   * beside what this replica has removed, the loan would bring back what was deleted. `busy`: the log is being
   * rewritten, or the segment is gone. After anything but `ok` another loan may be tried.
   */
  take(facts: LoanFacts): 'ok' | 'behind' | 'compacted-otherwise' | 'busy';
  /** Takes whole batches from the front of `bytes`, checked; answers how many bytes. Rejects as `Rewrite.append`. */
  adopt(bytes: Uint8Array): Promise<number | 'corrupt'>;
  /** `done`: read from now on, and after a restart. Rejects as `Rewrite.commit`. */
  commit(): Promise<'done' | 'void'>;
  /** Gives up the loan that was taken. */
  abort(): void;
}

/** A segment that takes no more. */
export interface SealedSegment {
  readonly baseOffset: number;
  /** It stands for every offset below, from its base on; the next segment begins here or above. */
  readonly endOffset: number;
  /** Of its batches. */
  readonly bytes: number;
  /** Only those of one life of the log are rewritten to one. */
  readonly generation: number;
  /** Both checkpoints count it in full: it may be rewritten. Those before the last such one all are. */
  readonly isCounted: boolean;
  /** Whoever rewrote it was done with it. */
  readonly isDone: boolean;
  /** It is known to be damaged: it is not rewritten before it is repaired. */
  readonly isDamaged: boolean;
}

/** Batches back to back at [position, position + length) of a file that stays until the rewriting is over. */
export interface RewriteSource {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly file: DiskFile;
  readonly position: number;
  readonly length: number;
  /** As of a SegmentRange. */
  isSound(bytes: Uint8Array, count: number, error: Error | undefined): boolean;
}

export interface RewriteKind {
  /** Kept with what becomes of the segments. Default true. */
  readonly isDone?: boolean;
  /**
   * Records go that a stored state says nobody needs: no tombstones, but from logs whose readers know no compaction.
   * Default false.
   */
  readonly dropsNeedless?: boolean;
}

/** A sealed segment, and the file of its record index, for a search; both stay until `release`. */
export interface SegmentLookup {
  /** Of the index. */
  readonly path: string;
  readonly name: RecordIndexName;
  /** Its batches. */
  readonly source: Omit<RewriteSource, 'baseOffset' | 'endOffset'>;
  /** Undefined: there is none. Throws DiskError. */
  openIndex(): DiskFile | undefined;
  /** An empty file for it. Throws DiskError. */
  makeIndex(): DiskFile;
  release(): void;
}

/**
 * Neighbouring segments are replaced by one, in one step that a power cut leaves done or not done. Nobody waits for
 * it: when its sources go meanwhile (the start moves, the log is installed or deleted) it is void.
 */
export interface Rewrite {
  readonly sources: readonly RewriteSource[];
  /** What is appended counts for nothing any more. */
  readonly isVoid: boolean;
  /**
   * Whole batches of the sources in the order of their offsets, as they were or with fewer records; gaps are legal.
   * One call at a time. Rejects with StorageError `STORAGE_FULL` or
   * `STORAGE_NO_DESCRIPTORS` (the log stays as it was), or if the store failed.
   */
  append(bytes: Uint8Array): Promise<void>;
  /** Puts what was appended in the place of the sources. `done`: durable, and read from now on. Rejects as `append`. */
  commit(): Promise<'done' | 'void'>;
  /** The log stays as it was. After `commit`: nothing. */
  abort(): void;
}

export interface StoredLog {
  readonly logId: number;
  readonly durability: LogDurability;
  readonly needsRepair: boolean;
  /** Its batches are taken as long as the WAL has any room: they are few, and let others go on. Default false. */
  usesReserve: boolean;
  /** Last appended, last durable here, last known committed frame; 0 = none (the first frame is 1). */
  readonly endSeq: number;
  readonly durableSeq: number;
  readonly committedSeq: number;
  /** Epoch, chain and log time of the frame at `endSeq`. */
  readonly lastEpoch: number;
  readonly chain: number;
  readonly lastLogTimeMs: number;
  /** Seq of the newest durable state; 0 = none. */
  readonly snapshotSeq: number;
  /** The first seq that `frames` or `framesFrom` can still give. */
  readonly firstSeq: number;
  readonly startOffset: number;
  /** Offset after the last appended batch (LEO). */
  readonly endOffset: number;
  /** Batches below this offset are in segments. */
  readonly settledOffset: number;

  /**
   * Leader append: events (may be empty) and at most one whole v2 record batch, already stamped with base
   * offset (= `endOffset`, or above it: gaps are legal) and epoch. Bytes are copied once. Returns the seq.
   */
  append(
    epoch: number,
    logTimeMs: number,
    events: Uint8Array,
    batch: Uint8Array | undefined,
    awaited: boolean,
  ): number | AppendRefusal;
  /** Follower append of a frame as `frames` gave it. Checks payload, seq and chain. */
  appendReplica(
    header: FrameHeader,
    events: Uint8Array,
    batch: Uint8Array | undefined,
    awaited: boolean,
  ): ReplicaAppendResult;
  /** Raises what is known to be committed (at most `endSeq`; lower values are ignored). */
  setCommitted(seq: number): void;
  /** Cuts every frame above `toSeq`; logged before any later frame. Never below the committed seq. */
  truncate(toSeq: number): 'ok' | 'below-committed';

  /** Epochs with their first seq, ascending, back to the newest snapshot. Owned by the log: do not keep. */
  epochEntries(): readonly EpochStart[];
  /** Epoch of a frame in [firstSeq - 1, endSeq]; undefined outside. */
  epochAt(seq: number): number | undefined;
  chainAt(seq: number): number | undefined;
  /** Offset after the last batch at or below `seq`: HW of a committed seq. Undefined outside [firstSeq - 1, endSeq]. */
  offsetAt(seq: number): number | undefined;

  /**
   * Walks frames from `fromSeq` that are in memory, up to about `maxBytes` of payload (always one). Returns the
   * seq after the last one visited, `cold` if `fromSeq` is only in the WAL files, `gone` if only in snapshots.
   */
  frames(fromSeq: number, maxBytes: number, visit: FrameVisitor): number | 'cold' | 'gone';
  /** As `frames`, reading WAL files where needed. */
  framesFrom(fromSeq: number, maxBytes: number, visit: FrameVisitor): Promise<number | 'gone'>;

  /**
   * Whole batches from the one that holds `offset`, up to `maxBytes` (the first is whole even if larger), only
   * batches that begin below `endOffset` (HW, or LEO for replicas). At most one place per call: memory or file.
   */
  read(offset: number, maxBytes: number, endOffset: number): ReadResult;
  /**
   * Throws StorageError or DiskError if a segment cannot be read that may hold the answer (`STORAGE_DAMAGED`: until it is
   * repaired; `STORAGE_NEWER_FORMAT`); EMFILE or ENFILE passes.
   */
  offsetForTimestamp(timestampMs: number): TimestampPlace | undefined;
  /** As `offsetForTimestamp`: the first batch that holds the largest timestamp of the log; undefined if the log holds no batch. */
  maxTimestamp(): TimestampPlace | undefined;

  /** Stores the state of the durable actor after `seq`, which must be committed and not below the last one. */
  putState(seq: number, bytes: Uint8Array): void;
  /** The newest durable state that passes its check. */
  state(): StateAtSeq | undefined;
  /** Raises the log start; whole segments below it are removed when nobody reads them. */
  setStartOffset(offset: number): void;
  /**
   * From the next batch on: bytes of a segment (or one batch), at most 1 GiB, and ms of log time between its first
   * and its last batch. Without it, those of the store and no limit of time.
   */
  limitSegments(bytesMax: number, ageMs: number): void;
  /** Bytes of segment files. */
  readonly segmentBytes: number;
  /** What a segment may have. */
  readonly segmentBytesMax: number;
  /** More than one segment is known: asks no disk. */
  readonly hasSealedSegments: boolean;

  /** Segments that take no more, in the order of their offsets. None of a log in memory. */
  sealedSegments(): readonly SealedSegment[];
  /**
   * Begins to rewrite the sealed and counted segments within [fromOffset, endOffset). Undefined: there is none, they are
   * not neighbours of one life of the log, one is damaged, or a rewriting of the log is under way. Throws StorageError,
   * `STORAGE_NO_DESCRIPTORS` where they cannot all be open.
   */
  beginRewrite(fromOffset: number, endOffset: number, kind?: RewriteKind): Rewrite | undefined;

  /**
   * Lends the sealed segment that begins at `baseOffset`; undefined: there is none, or it is damaged.
   * Throws StorageError, `STORAGE_NO_DESCRIPTORS` where it cannot be open.
   */
  beginLookup(baseOffset: number): SegmentLookup | undefined;

  /**
   * Settles up to the newest snapshot and offers both; undefined if there is no snapshot. Rejects, with nothing
   * pinned, if it cannot settle now, or its segments cannot be opened or read or one is damaged.
   */
  donate(): Promise<Donation | undefined>;
  /** Settled batches that end above `fromOffset`, up to `toOffset`; undefined if not all of it is here and sound. */
  lend(fromOffset: number, toOffset: number): Promise<Loan | undefined>;
  /** Segments that are known to be damaged. */
  readonly damagedSegments: number;
  /** Prepares to replace one of them, in the order of their offsets; undefined if there are not so many. */
  beginRepair(index: number): Promise<SegmentRepair | undefined>;
  /**
   * Starts to receive a catch-up. `settled`: our segments are a true prefix, adopt from `settledOffset`;
   * `scratch`: adopt from `startOffset`, everything we have goes at the commit. `facts` are of what is adopted.
   */
  beginInstall(from: InstallStart, facts: DonationFacts): Install;
}
