// The replicated half of a queue: which messages of its log are done with. Everything below `floor` is;
// above it one bit each in containers of 65,536 offsets. Beside that only what is sparse: how often a
// message came back, and what publishers have stored. Who holds which message is not in it: leases are
// the leader's (local.ts). Changed by `applyQueueFrame` alone, which never throws for a frame of ours.
import type { FrameView } from '../../actors/durable/behavior.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { getBits, putBits } from './bits-codec.ts';
import { Clients } from './clients.ts';
import { type EventVisitor, visitEvents } from './events.ts';
import { OffsetBits } from './offset-bits.ts';
import { OffsetTable } from './offset-table.ts';

const SNAPSHOT_VERSION = 2;
/** Of a queue that has dropped nothing: older versions read it too. */
const VERSION_WITHOUT_DROPPED = 1;

/** Where a log ends. Views of one log share it, so that a batch costs the same however many there are. */
export interface LogTip {
  /** The offset that the next message gets. */
  endOffset: number;
}

export class QueueState {
  readonly tip: LogTip;
  /** Every message below is acknowledged. */
  floor = 0;
  /** Acknowledged messages at or above the floor. */
  readonly acknowledged = new OffsetBits();
  /** How often a message came back, where that counts and it is not acknowledged. */
  readonly returns = new OffsetTable();
  /** Messages that came back too often. Of a queue alone: no group's view has such a limit. */
  dropped = 0;
  /** Messages below may have been delivered. Raised ahead of deliveries, and never lowered. */
  reservation = 0;
  /** The frame that raised it last. */
  reservationSeq = 0;
  clients = new Clients();
  /** The last frame applied that may have said something about it. Not part of the snapshot. */
  seq = 0;

  constructor(tip: LogTip = { endOffset: 0 }) {
    this.tip = tip;
  }

  get endOffset(): number {
    return this.tip.endOffset;
  }

  /** Messages that are not acknowledged. */
  get messages(): number {
    return this.endOffset - this.floor - this.acknowledged.count;
  }

  isAcknowledged(offset: number): boolean {
    return offset < this.floor || this.acknowledged.has(offset);
  }

  /** Messages of [from, to) that are not acknowledged, or that this state does not know yet. */
  countIn(from: number, to: number): number {
    const start = Math.max(from, this.floor);
    return to <= start ? 0 : to - start - this.acknowledged.countIn(start, to);
  }

  /** Where they are: of each run its first offset and the one behind its last, in order. */
  runsIn(from: number, to: number): number[] {
    const runs: number[] = [];
    for (let at = Math.max(from, this.floor); at < to; ) {
      const first = this.acknowledged.nextClear(at);
      if (first >= to) break;
      const next = this.acknowledged.nextSet(first, to);
      at = next < 0 ? to : next;
      runs.push(first, at);
    }
    return runs;
  }

  acknowledge(from: number, to: number): void {
    const start = Math.max(from, this.floor);
    const end = Math.min(to, this.endOffset);
    if (end <= start) return;
    this.#forgetReturns(start, end);
    if (start > this.floor) {
      if (end - start === 1) this.acknowledged.add(start);
      else this.acknowledged.addRange(start, end);
      return;
    }
    const floor = this.acknowledged.nextClear(end);
    this.acknowledged.deleteRange(this.floor, floor);
    this.floor = floor;
  }

  #forgetReturns(from: number, to: number): void {
    const { returns } = this;
    if (returns.size === 0) return;
    if (to - from <= returns.size) {
      for (let offset = from; offset < to; offset += 1) returns.delete(offset);
      return;
    }
    for (const offset of returns.sortedOffsets()) {
      if (offset >= from && offset < to) returns.delete(offset);
    }
  }
}

export function applyQueueFrame(state: QueueState, frame: FrameView): void {
  if (frame.batch !== undefined) state.tip.endOffset = frame.nextOffset;
  // A batch alone is no decision: whether the frame of the last one was taken is not to be read from it.
  if (frame.events.length > 0) applyQueueEvents(state, frame.events, frame);
}

/** What a frame says of one view. Throws for events of a newer version alone. */
export function applyQueueEvents(
  state: QueueState,
  events: Uint8Array,
  { seq, baseOffset, nextOffset }: Pick<FrameView, 'seq' | 'baseOffset' | 'nextOffset'>,
): void {
  state.seq = seq;
  change.of(state, seq, baseOffset, nextOffset);
  visitEvents(events, change);
}

/** What the events of one frame do to a state. Used anew for each: there are several a message. */
class StateChange implements EventVisitor {
  #state = new QueueState();
  #seq = 0;
  #baseOffset = 0;
  #nextOffset = 0;

  of(state: QueueState, seq: number, baseOffset: number, nextOffset: number): void {
    this.#state = state;
    this.#seq = seq;
    this.#baseOffset = baseOffset;
    this.#nextOffset = nextOffset;
  }

  published(clientId: number, incarnation: number, firstNumber: number): void {
    const count = this.#nextOffset - this.#baseOffset;
    this.#state.clients.stored(clientId, incarnation, firstNumber, count, this.#baseOffset);
  }

  acknowledged(offset: number, count: number): void {
    this.#state.acknowledge(offset, offset + count);
  }

  cameBack(offset: number, count: number): void {
    const state = this.#state;
    for (let at = offset; at < offset + count; at += 1) {
      if (!state.isAcknowledged(at)) state.returns.set(at, state.returns.get(at, 0) + 1);
    }
  }

  dropped(offset: number, count: number): void {
    const state = this.#state;
    for (let at = offset; at < offset + count; at += 1) {
      if (!state.isAcknowledged(at)) state.dropped += 1;
    }
    state.acknowledge(offset, offset + count);
  }

  reserved(offset: number): void {
    const state = this.#state;
    if (offset <= state.reservation) return;
    state.reservation = offset;
    state.reservationSeq = this.#seq;
  }

  purged(below: number, except: (each: (offset: number, count: number) => void) => void): void {
    const state = this.#state;
    let from = state.floor;
    except((offset, count) => {
      state.acknowledge(from, offset);
      from = offset + count;
    });
    state.acknowledge(from, below);
  }
}

const change = new StateChange();

export function snapshotQueue(state: QueueState): Uint8Array {
  const out = new ByteWriter(256);
  const { dropped } = state;
  out.u8(dropped === 0 ? VERSION_WITHOUT_DROPPED : SNAPSHOT_VERSION);
  putQueue(out, state);
  if (dropped > 0) out.varU53(dropped);
  return out.toBytes();
}

/** Canonical: equal states give equal bytes. */
export function putQueue(out: ByteWriter, state: QueueState): void {
  out.varU53(state.floor);
  out.varU53(state.endOffset);
  out.varU53(state.reservation);
  out.varU53(state.reservationSeq);
  state.clients.put(out);
  putBits(out, state.acknowledged);
  out.varU53(state.returns.size);
  let before = 0;
  for (const offset of state.returns.sortedOffsets()) {
    out.varU53(offset - before);
    out.varU53(state.returns.get(offset, 0));
    before = offset;
  }
}

/** Throws BytesError or RangeError for bytes that are no snapshot of ours. */
export function restoreQueue(bytes: Uint8Array): QueueState {
  const from = new ByteReader(bytes);
  const version = from.u8();
  if (version !== SNAPSHOT_VERSION && version !== VERSION_WITHOUT_DROPPED) {
    throw new RangeError(`queue snapshot version ${version}`);
  }
  const state = getQueue(from);
  if (version === SNAPSHOT_VERSION) state.dropped = from.varU53();
  return state;
}

/** Throws BytesError or RangeError. */
export function getQueue(from: ByteReader, tip: LogTip = { endOffset: 0 }): QueueState {
  const state = new QueueState(tip);
  state.floor = from.varU53();
  tip.endOffset = from.varU53();
  state.reservation = from.varU53();
  state.reservationSeq = from.varU53();
  state.clients = Clients.get(from);
  getBits(from, state.acknowledged);
  const count = from.varU53();
  let offset = 0;
  for (let i = 0; i < count; i += 1) {
    offset += from.varU53();
    state.returns.set(offset, from.varU53());
  }
  return state;
}
