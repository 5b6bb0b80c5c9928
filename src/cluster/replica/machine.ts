// The state of one log on this replica: the behavior's state, the epoch table in offsets, how old its records
// are, and how far all that is applied. A follower applies committed frames only, so it never undoes; the leader
// applies at append (the tip) and is rebuilt from snapshot and committed frames when it steps down. Records go
// from the store when the frame that says so is committed: what a leader cuts off its tip may come back.
//
// Snapshot: u8 2 | offset u64 | start u64 | epoch table, sized | extents | leapt ms varint | the behavior's own bytes.
// Version 1 knew no leaps of log time. Without the first byte (an offset begins with 0) it is of the first version,
// which knew no extents either.
import type {
  AnyDurableBehavior,
  FrameView,
  NeededOffsets,
} from '../../actors/durable/behavior.ts';
import { baseOffset as baseOffsetOf, lastOffset } from '../../records/batch.ts';
import { OffsetEpochTable } from '../../replication/offset-epoch-table.ts';
import type { Faults } from '../../replication/types.ts';
import { assert } from '../../std/assert.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { FrameHeader, StateAtSeq, StoredLog } from '../../storage/api.ts';
import { Extents } from './extents.ts';
import { behaviorEvents, decodeHostEvent, startBesideBehavior } from './host-events.ts';

const APPLY_BYTES_MAX = 1024 * 1024;
const SNAPSHOT_VERSION = 2;

export class Machine {
  readonly behavior: AnyDurableBehavior;
  /** Replicated state after `appliedSeq`. */
  state: unknown;
  appliedSeq = 0;
  appliedOffset = 0;
  /** At the tip; what is committed of it is the store's. */
  startOffset = 0;
  epochs: OffsetEpochTable = new OffsetEpochTable();
  /** Empty unless the behavior is one whose records go by age and size. */
  extents: Extents = new Extents();
  /** By how much log time has gone on in all beyond what is known to have passed: changes of leaders' clocks. */
  leaptMs = 0;
  /** Moves of the start that are not committed, in order. */
  #starts: { readonly seq: number; readonly offset: number }[] = [];
  readonly #stored: StoredLog;
  readonly #startsEarly: boolean;

  constructor(behavior: AnyDurableBehavior, stored: StoredLog, faults?: Faults) {
    this.#startsEarly = faults?.startBeforeCommit === true;
    this.behavior = behavior;
    this.#stored = stored;
    this.state = behavior.initial();
    this.#load(stored.state());
  }

  /** Back to the newest snapshot; `applyThrough` then continues from it. */
  reset(): void {
    this.#load(this.#stored.state());
  }

  #load(saved: StateAtSeq | undefined): void {
    this.#starts = [];
    if (saved === undefined) {
      this.state = this.behavior.initial();
      this.appliedSeq = 0;
      this.appliedOffset = 0;
      this.startOffset = 0;
      this.epochs = new OffsetEpochTable();
      this.extents = new Extents();
      this.leaptMs = 0;
      return;
    }
    const { appliedOffset, startOffset, epochs, extents, leaptMs, own } = decode(saved.bytes);
    this.appliedSeq = saved.seq;
    this.appliedOffset = appliedOffset;
    this.startOffset = startOffset;
    this.epochs = epochs;
    this.extents = extents;
    this.leaptMs = leaptMs;
    this.state = this.behavior.restore(own);
    // A state is committed, and may be newer than what the last checkpoint of the store says.
    this.#stored.setStartOffset(this.startOffset);
  }

  /** Canonical bytes of everything a replica needs at `appliedSeq`. */
  snapshot(): Uint8Array {
    return this.#encode(this, this.state);
  }

  /** The snapshot of a log without frames. */
  initialSnapshot(): Uint8Array {
    const epochs = new OffsetEpochTable();
    const extents = new Extents();
    const empty = { appliedOffset: 0, startOffset: 0, epochs, extents, leaptMs: 0 };
    return this.#encode(empty, this.behavior.initial());
  }

  #encode(
    of: Pick<Machine, 'appliedOffset' | 'startOffset' | 'epochs' | 'extents' | 'leaptMs'>,
    state: unknown,
  ): Uint8Array {
    const out = new ByteWriter(256);
    out.u8(SNAPSHOT_VERSION);
    out.u64(of.appliedOffset);
    out.u64(of.startOffset);
    out.sized(of.epochs.toBytes());
    of.extents.put(out);
    out.varU53(of.leaptMs);
    out.raw(this.behavior.snapshot(state));
    return out.toBytes();
  }

  /** Which records the newest state that is stored here needs; undefined: there is none, or the behavior keeps all. */
  storedNeeds(): NeededOffsets | undefined {
    const { behavior } = this;
    const saved = behavior.needed === undefined ? undefined : this.#stored.state();
    if (saved === undefined) return undefined;
    return behavior.needed?.(behavior.restore(decode(saved.bytes).own));
  }

  stateHash(): number {
    return fnv1a32(this.snapshot());
  }

  /** Applies the next frame. Throws what the behavior throws: the caller quarantines the log. */
  apply(header: FrameHeader, events: Uint8Array, batch: Uint8Array | undefined): void {
    const own = decodeHostEvent(events);
    if (own === undefined) {
      this.applyDecided(header, startBesideBehavior(events), behaviorEvents(events), batch);
      return;
    }
    if (own.kind === 'epoch-begin') {
      this.epochs.begin(own.epoch, this.appliedOffset);
      if (own.skewMs !== 0) this.behavior.skewed?.(this.state, own.skewMs);
      if (own.skewMs > 0) {
        this.extents.skew(own.skewMs);
        this.leaptMs += own.skewMs;
      }
    }
    const nextOffset = batch === undefined ? this.appliedOffset : lastOffset(batch, 0) + 1;
    this.#startAndGrow(header, own.kind === 'log-start' ? own.offset : -1, batch, nextOffset);
    this.appliedSeq = header.seq;
    this.appliedOffset = nextOffset;
  }

  /** The next frame, which is the behavior's: its own events, and where it says that the log starts, or -1. */
  applyDecided(
    header: Pick<FrameHeader, 'seq' | 'epoch' | 'logTimeMs'>,
    start: number,
    events: Uint8Array,
    batch: Uint8Array | undefined,
  ): void {
    const baseOffset = batch === undefined ? this.appliedOffset : baseOffsetOf(batch, 0);
    const nextOffset = batch === undefined ? this.appliedOffset : lastOffset(batch, 0) + 1;
    this.#startAndGrow(header, start, batch, nextOffset);
    const frame: FrameView = {
      seq: header.seq,
      epoch: header.epoch,
      logTimeMs: header.logTimeMs,
      events,
      batch,
      baseOffset,
      nextOffset,
    };
    this.behavior.apply(this.state, frame);
    this.appliedSeq = header.seq;
    this.appliedOffset = nextOffset;
  }

  #startAndGrow(
    { seq, logTimeMs }: Pick<FrameHeader, 'seq' | 'logTimeMs'>,
    start: number,
    batch: Uint8Array | undefined,
    nextOffset: number,
  ): void {
    if (start > this.startOffset) this.#startAt(start, seq);
    if (batch !== undefined && this.behavior.isRetained === true) {
      this.extents.add(nextOffset, batch.length, logTimeMs);
    }
  }

  #startAt(offset: number, seq: number): void {
    this.startOffset = offset;
    this.epochs.pruneBelow(offset);
    this.extents.dropBelow(offset);
    if (this.#startsEarly || seq <= this.#stored.committedSeq) this.#stored.setStartOffset(offset);
    else this.#starts.push({ seq, offset });
  }

  /** Frames up to `seq` are committed: records below the starts that they set may go. */
  committed(seq: number): void {
    let offset = -1;
    while (this.#starts.length > 0 && this.#starts[0]!.seq <= seq) {
      offset = this.#starts.shift()!.offset;
    }
    if (offset >= 0) this.#stored.setStartOffset(offset);
  }

  /**
   * Applies stored frames up to `seq` as far as they are in memory.
   * Answers false when the rest must be read from the WAL files (`applyColdThrough`).
   */
  applyThrough(seq: number): boolean {
    while (this.appliedSeq < seq) {
      const next = this.#stored.frames(
        this.appliedSeq + 1,
        APPLY_BYTES_MAX,
        (header, events, batch) => {
          if (header.seq > seq) return false;
          this.apply(header, events, batch);
          return header.seq < seq;
        },
      );
      if (typeof next !== 'number') return false;
    }
    return true;
  }

  async applyColdThrough(seq: number): Promise<void> {
    while (this.appliedSeq < seq) {
      const from = this.appliedSeq + 1;
      const next = await this.#stored.framesFrom(from, APPLY_BYTES_MAX, (header, events, batch) => {
        if (header.seq > seq || header.seq !== this.appliedSeq + 1) return false;
        this.apply(header, events, batch);
        return header.seq < seq;
      });
      if (next === 'gone') this.reset();
      else if (this.appliedSeq < from) throw new Error(`frame ${from} cannot be read back`);
    }
  }
}

/** Throws for bytes that are no snapshot, or of a later version. */
function decode(bytes: Uint8Array): {
  readonly appliedOffset: number;
  readonly startOffset: number;
  readonly epochs: OffsetEpochTable;
  readonly extents: Extents;
  readonly leaptMs: number;
  /** The behavior's. */
  readonly own: Uint8Array;
} {
  const read = new ByteReader(bytes);
  const version = bytes[0]! > 0 ? read.u8() : 0;
  assert(version <= SNAPSHOT_VERSION, `a log's snapshot has version ${version}`);
  const appliedOffset = read.u64();
  const startOffset = read.u64();
  const epochs = OffsetEpochTable.fromBytes(read.sized());
  const extents = version === 0 ? Extents.from(startOffset) : Extents.get(read);
  const leaptMs = version < 2 ? 0 : read.varU53();
  const own = read.view(bytes.length - read.at);
  return { appliedOffset, startOffset, epochs, extents, leaptMs, own };
}
