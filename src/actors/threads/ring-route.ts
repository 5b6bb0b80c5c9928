// The way to one other thread of this node: encodes records straight into the ring, large payloads into
// the slab. The route outlives the incarnations of its peer: rings are attached when the peer starts
// and detached when it dies. Invariant: replies and signals are never refused while the peer lives;
// when the ring is full they wait here, in order, and users hear `full` until they are gone.

import { writeU32le } from '../../std/byte-ops.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import { abortable } from '../actor-ref.ts';
import type { Codec } from '../protocol.ts';
import {
  FLAG_OUT_OF_BAND,
  KIND_ASK,
  KIND_TELL,
  RECORD_HEADER_BYTES,
  writeRecordHeader,
} from '../record.ts';
import type { Place, RefId } from '../ref.ts';
import { isOfThreadIncarnation } from '../ref.ts';
import type { Route, RouteAdmission } from '../route.ts';
import { encodeExact } from '../strict.ts';
import { RingReader, RingWriter } from './ring.ts';
import type { SlabPool } from './slab-pool.ts';
import { SLAB_UNIT_BYTES, SlabReader } from './slab-pool.ts';

/** What crosses when a peer starts: shared memory only, so it is cheap to post. */
export interface RingPair {
  readonly incarnation: number;
  /** From the peer to this thread. */
  readonly incoming: SharedArrayBuffer;
  /** From this thread to the peer. */
  readonly outgoing: SharedArrayBuffer;
  /** The peer's slab, which this thread may read. */
  readonly slab: SharedArrayBuffer;
  /** The word of the peer's bell, if it blocks when it is idle. */
  readonly bell?: SharedArrayBuffer | undefined;
}

export interface RingCounters {
  bells: number;
  /** Bells rung because a published record was not taken for 100 ms. */
  safetyBells: number;
  recordsSent: number;
  recordsReceived: number;
  bytesSent: number;
  outOfBandBytes: number;
  /** Records refused because a ring was full. */
  full: number;
  /** Bytes of the peers' slabs that messages and retains of this thread hold now. */
  heldBytes: number;
}

export interface RouteOwner {
  readonly place: Place;
  readonly slab: SlabPool;
  readonly counters: RingCounters;
  /** Something was written: publish at the end of this turn. */
  wrote(): void;
  /** The peer sleeps, and there is something to see. */
  ring(thread: number): void;
}

const SLAB_REF_BYTES = 8;
/** From this size on a lent payload goes through the slab: that saves the copy out of the ring. */
const LENT_BYTES_MIN = 32 * 1024;
/** So much of the slab is shown before the turn ends: the peer reads it while it is warm, and both work at once. */
const SHOWN_EARLY_BYTES = 256 * 1024;
const FLAGS_AT = 7;

export class RingRoute implements Route {
  readonly thread: number;
  threadIncarnation = 0;
  reader: RingReader | undefined;
  writer: RingWriter | undefined;
  peerSlab: SlabReader | undefined;
  readonly #owner: RouteOwner;
  /** Whole records that may not be refused and found no room. */
  readonly #waiting = new RingQueue<Uint8Array>();
  #roomWaiters: (() => void)[] = [];
  /** Who waits for a part of the slab, which turns of this thread alone do not bring. */
  #slabWaiters: (() => void)[] = [];
  /** The last refusal was for lack of slab: only a release can help. */
  #wantsSlab = false;
  /** Written to the slab since the tail was shown. */
  #unshownBytes = 0;

  constructor(owner: RouteOwner, thread: number) {
    this.#owner = owner;
    this.thread = thread;
  }

  attach(pair: RingPair): void {
    this.threadIncarnation = pair.incarnation;
    this.reader = new RingReader(pair.incoming);
    this.writer = new RingWriter(pair.outgoing);
    this.peerSlab = new SlabReader(pair.slab);
    this.#unshownBytes = 0;
    this.#wakeWaiters();
  }

  /** The peer is dead: answers how many of the user records sent to it were never taken. */
  detach(): number {
    let lost = 0;
    this.writer?.eachUntaken((at) => {
      const kind = this.writer!.view.getUint8(at + 6);
      if (kind === KIND_TELL) lost += 1;
    });
    // What the peer held ended with it.
    this.#owner.slab.reclaim(this.thread);
    this.#wantsSlab = false;
    this.#waiting.clear();
    this.reader = undefined;
    this.writer = undefined;
    this.peerSlab = undefined;
    this.#wakeWaiters();
    return lost;
  }

  send(
    kind: number,
    code: number,
    target: RefId,
    fromSlot: number,
    fromGeneration: number,
    codec: Codec<unknown> | undefined,
    value: unknown,
    isLent = false,
  ): RouteAdmission {
    const { writer } = this;
    const isUser = kind <= KIND_ASK;
    if (!this.#names(target, isUser)) return 'gone';
    if (writer === undefined) return target.generation === 0 ? 'unreachable' : 'gone';
    const payload = codec === undefined ? 0 : codec.size(value);
    // Also a reply: one that never fits would hold up everything behind it.
    const payloadMax = this.#slabLimit(isLent);
    if (payload >>> 0 !== payload || payload > payloadMax) {
      throw new RangeError(`${payload} bytes are more than the ${payloadMax} of a message here`);
    }
    if (this.#waiting.size > 0) {
      if (isUser) return this.#refuse();
      return this.#wait(kind, code, target, fromSlot, fromGeneration, codec, value);
    }
    const length = RECORD_HEADER_BYTES + payload;
    if (length > writer.size >>> 2 || (isLent && payload >= LENT_BYTES_MIN)) {
      if (!isUser) return this.#wait(kind, code, target, fromSlot, fromGeneration, codec, value);
      const limit = this.#slabLimit(isLent);
      return this.#sendOutOfBand(
        kind,
        code,
        target,
        fromSlot,
        fromGeneration,
        codec!,
        value,
        limit,
      );
    }
    const at = writer.reserve(length);
    if (at < 0) {
      if (isUser) return this.#refuse();
      return this.#wait(kind, code, target, fromSlot, fromGeneration, codec, value);
    }
    if (codec !== undefined) {
      const end = codec.encode(value, writer.bytes, at + RECORD_HEADER_BYTES);
      if (end !== at + length) throw new RangeError('the codec announced another size');
    }
    this.#header(writer.view, at, length, kind, code, 0, target, fromSlot, fromGeneration);
    writer.commit();
    this.#count(length);
    return 'accepted';
  }

  /** True while records or senders wait for room. */
  get wantsRoom(): boolean {
    return this.#waiting.size > 0 || this.#roomWaiters.length > 0 || this.isShortOfSlab;
  }

  /** True while senders wait for the peer to release something. */
  get isShortOfSlab(): boolean {
    return this.#slabWaiters.length > 0;
  }

  /** The peer took records, or `isReleased` slab: what waits may go, and who waits may try again. */
  roomMade(isReleased = !this.#owner.slab.isWanting): void {
    const { writer } = this;
    if (writer === undefined) return;
    if (isReleased) {
      this.#wantsSlab = false;
      this.#slabWaiters = wake(this.#slabWaiters);
    }
    for (let record = this.#waiting.peek(); record !== undefined; record = this.#waiting.peek()) {
      if (!this.#emit(record)) {
        writer.wantRoom();
        return;
      }
      this.#waiting.shift();
    }
    this.#roomWaiters = wake(this.#roomWaiters);
  }

  /** End of the turn: the tail is shown. True if the peer's bell must ring. */
  publish(): boolean {
    if (this.writer === undefined) return false;
    if (this.#waiting.size > 0) this.roomMade();
    this.#unshownBytes = 0;
    return this.writer.publish();
  }

  ready(signal?: AbortSignal): Promise<void> {
    const { writer } = this;
    if (writer !== undefined && this.#waiting.size === 0) {
      if (this.#wantsSlab) {
        // The turn sees to it that this is tried again, should a bell get lost.
        this.#owner.wrote();
        return abortable(new Promise((resolve) => this.#slabWaiters.push(resolve)), signal);
      }
      if (writer.usedBytes <= writer.size >>> 1) return Promise.resolve();
      writer.wantRoom();
      // The peer may have taken everything before it could see the wish.
      if (writer.usedBytes === 0) return Promise.resolve();
    }
    return abortable(new Promise((resolve) => this.#roomWaiters.push(resolve)), signal);
  }

  #names(target: RefId, isUser: boolean): boolean {
    const { place } = this.#owner;
    if (target.incarnation !== 0 && target.incarnation !== place.incarnation) return false;
    // A reply slot's generation counts its uses, not the starts of its thread.
    return !isUser || isOfThreadIncarnation(target.generation, this.threadIncarnation);
  }

  #refuse(): RouteAdmission {
    this.#wantsSlab = false;
    this.#owner.counters.full += 1;
    this.writer!.wantRoom();
    return 'full';
  }

  #wait(
    kind: number,
    code: number,
    target: RefId,
    fromSlot: number,
    fromGeneration: number,
    codec: Codec<unknown> | undefined,
    value: unknown,
  ): RouteAdmission {
    const payload = codec === undefined ? undefined : encodeExact(codec, value);
    const record = new Uint8Array(RECORD_HEADER_BYTES + (payload?.length ?? 0));
    if (payload !== undefined) record.set(payload, RECORD_HEADER_BYTES);
    const view = new DataView(record.buffer);
    this.#header(view, 0, record.length, kind, code, 0, target, fromSlot, fromGeneration);
    this.#push(record);
    return 'accepted';
  }

  #sendOutOfBand(
    kind: number,
    code: number,
    target: RefId,
    fromSlot: number,
    fromGeneration: number,
    codec: Codec<unknown>,
    value: unknown,
    limit: number,
  ): RouteAdmission {
    const { slab } = this.#owner;
    const size = codec.size(value);
    const position = this.#takeSlab(size, limit);
    if (position < 0) {
      this.#owner.counters.full += 1;
      this.#wantsSlab = true;
      return 'full';
    }
    this.#wantsSlab = false;
    let end = -1;
    try {
      end = codec.encode(value, slab.bytes, position);
    } finally {
      if (end !== position + size) slab.give(position);
    }
    if (end !== position + size) throw new RangeError('the codec announced another size');
    const record = new Uint8Array(RECORD_HEADER_BYTES + SLAB_REF_BYTES);
    const view = new DataView(record.buffer);
    this.#header(view, 0, record.length, kind, code, 0, target, fromSlot, fromGeneration);
    this.#lend(record, position, size);
    this.#push(record);
    return 'accepted';
  }

  /**
   * Where the slab ends for a payload: the last quarter is for what the peer copies out at once. So replies
   * get through while its actors hold what was lent to them, for as long as they like.
   */
  #slabLimit(isLent: boolean): number {
    const size = this.#owner.slab.bytes.length;
    if (!isLent) return size;
    // Whole units: what is handed out ends with one, and what is longer than the rest would be refused for ever.
    const units = Math.floor((size - (size >>> 2)) / SLAB_UNIT_BYTES);
    return Math.max(1, units) * SLAB_UNIT_BYTES;
  }

  /** Room in the slab, or -1: then a bell will say that a peer has released some. */
  #takeSlab(size: number, limit: number): number {
    const { slab } = this.#owner;
    const position = slab.take(size, this.thread, limit);
    if (position >= 0) return position;
    slab.wantRoom();
    return slab.take(size, this.thread, limit);
  }

  /** Makes `record` point to a payload in the slab. */
  #lend(record: Uint8Array, position: number, length: number): void {
    record[FLAGS_AT] = FLAG_OUT_OF_BAND;
    writeU32le(record, 0, RECORD_HEADER_BYTES + SLAB_REF_BYTES);
    writeU32le(record, RECORD_HEADER_BYTES, position);
    writeU32le(record, RECORD_HEADER_BYTES + 4, length);
    this.#owner.counters.outOfBandBytes += length;
    this.#unshownBytes += length;
  }

  /** Sends a whole record that may not be refused: now, or when there is room. */
  #push(record: Uint8Array): void {
    if (this.#waiting.size === 0 && this.#emit(record)) return;
    this.#waiting.push(record);
    this.writer!.wantRoom();
    this.#owner.wrote();
  }

  #emit(whole: Uint8Array): boolean {
    const writer = this.writer!;
    let record = whole;
    if (whole.length > writer.size >>> 2) {
      const size = whole.length - RECORD_HEADER_BYTES;
      const at = writer.reserve(RECORD_HEADER_BYTES + SLAB_REF_BYTES);
      if (at < 0) return false;
      const position = this.#takeSlab(size, this.#owner.slab.bytes.length);
      if (position < 0) return false;
      this.#owner.slab.bytes.set(whole.subarray(RECORD_HEADER_BYTES), position);
      record = whole.slice(0, RECORD_HEADER_BYTES + SLAB_REF_BYTES);
      this.#lend(record, position, size);
    }
    const at = writer.reserve(record.length);
    if (at < 0) return false;
    writer.bytes.set(record, at);
    writer.commit();
    this.#count(record.length);
    return true;
  }

  #count(length: number): void {
    const { counters } = this.#owner;
    counters.recordsSent += 1;
    counters.bytesSent += length;
    this.#owner.wrote();
    if (this.#unshownBytes < SHOWN_EARLY_BYTES) return;
    this.#unshownBytes = 0;
    if (this.writer!.publish()) this.#owner.ring(this.thread);
  }

  #header(
    view: DataView,
    at: number,
    length: number,
    kind: number,
    code: number,
    flags: number,
    target: RefId,
    fromSlot: number,
    fromGeneration: number,
  ): void {
    const { place } = this.#owner;
    writeRecordHeader(view, at, length, kind, code, flags, target, place, fromSlot, fromGeneration);
  }

  #wakeWaiters(): void {
    this.#slabWaiters = wake(this.#slabWaiters);
    this.#roomWaiters = wake(this.#roomWaiters);
  }
}

/** Answers the list of those who wait then. */
function wake(waiters: (() => void)[]): (() => void)[] {
  if (waiters.length === 0) return waiters;
  for (const resolve of waiters) resolve();
  return [];
}
