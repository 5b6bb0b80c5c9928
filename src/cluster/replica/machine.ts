// The state of one log on this replica: the behavior's state, the epoch table in offsets, and how far
// both are applied. A follower applies committed frames only, so it never undoes; the leader applies
// at append (the tip) and is rebuilt from snapshot and committed frames when it steps down.
import type { AnyDurableBehavior, FrameView } from '../../actors/durable/behavior.ts';
import { baseOffset as baseOffsetOf, lastOffset } from '../../records/batch.ts';
import { OffsetEpochTable } from '../../replication/offset-epoch-table.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { FrameHeader, StateAtSeq, StoredLog } from '../../storage/api.ts';
import { behaviorEvents, decodeHostEvent } from './host-events.ts';

const APPLY_BYTES_MAX = 1024 * 1024;

export class Machine {
  readonly behavior: AnyDurableBehavior;
  /** Replicated state after `appliedSeq`. */
  state: unknown;
  appliedSeq = 0;
  appliedOffset = 0;
  startOffset = 0;
  epochs: OffsetEpochTable = new OffsetEpochTable();
  readonly #stored: StoredLog;

  constructor(behavior: AnyDurableBehavior, stored: StoredLog) {
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
    if (saved === undefined) {
      this.state = this.behavior.initial();
      this.appliedSeq = 0;
      this.appliedOffset = 0;
      this.startOffset = 0;
      this.epochs = new OffsetEpochTable();
      return;
    }
    const read = new ByteReader(saved.bytes);
    this.appliedSeq = saved.seq;
    this.appliedOffset = read.u64();
    this.startOffset = read.u64();
    this.epochs = OffsetEpochTable.fromBytes(read.sized());
    this.state = this.behavior.restore(read.view(saved.bytes.length - read.at));
  }

  /** Canonical bytes of everything a replica needs at `appliedSeq`. */
  snapshot(): Uint8Array {
    return this.#encode(this.appliedOffset, this.startOffset, this.epochs, this.state);
  }

  /** The snapshot of a log without frames. */
  initialSnapshot(): Uint8Array {
    return this.#encode(0, 0, new OffsetEpochTable(), this.behavior.initial());
  }

  #encode(offset: number, start: number, epochs: OffsetEpochTable, state: unknown): Uint8Array {
    const out = new ByteWriter(256);
    out.u64(offset);
    out.u64(start);
    out.sized(epochs.toBytes());
    out.raw(this.behavior.snapshot(state));
    return out.toBytes();
  }

  stateHash(): number {
    return fnv1a32(this.snapshot());
  }

  /** Applies the next frame. Throws what the behavior throws: the caller quarantines the log. */
  apply(header: FrameHeader, events: Uint8Array, batch: Uint8Array | undefined): void {
    const baseOffset = batch === undefined ? this.appliedOffset : baseOffsetOf(batch, 0);
    const nextOffset = batch === undefined ? this.appliedOffset : lastOffset(batch, 0) + 1;
    const own = decodeHostEvent(events);
    if (own?.kind === 'epoch-begin') {
      this.epochs.begin(own.epoch, this.appliedOffset);
      if (own.skewMs !== 0) this.behavior.skewed?.(this.state, own.skewMs);
    }
    if (own?.kind === 'log-start' && own.offset > this.startOffset) {
      this.startOffset = own.offset;
      this.epochs.pruneBelow(own.offset);
      this.#stored.setStartOffset(own.offset);
    }
    if (own === undefined) {
      const frame: FrameView = {
        seq: header.seq,
        epoch: header.epoch,
        logTimeMs: header.logTimeMs,
        events: behaviorEvents(events),
        batch,
        baseOffset,
        nextOffset,
      };
      this.behavior.apply(this.state, frame);
    }
    this.appliedSeq = header.seq;
    this.appliedOffset = nextOffset;
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
