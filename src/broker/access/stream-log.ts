// One log of a stream as the consumers of this shard read it, from whoever leads it, or from this node's replica: finds where they begin, fetches
// what they ask for, and tells them when there is more. All that are at the end wait with one question. When the
// leader or its epoch changes, everybody asks anew: what is committed is the same there.
import type { FetchedInput, FetchSlice, LocatedInput, OffsetQuery } from '../../cluster/ports.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import type { Call, Calls } from './calls.ts';
import { readFileSlice } from './file-slices.ts';
import type { HostRef } from './host-calls.ts';
import { LeaderPlace, type PlacePort } from './leader-place.ts';
import type { StreamCursor } from './stream-cursor.ts';

/** A question that waits for the log to grow is given up after one to two of these, and asked again. */
const AWAIT_MS = 60_000;
/** Of what cannot be read is told so often at most. */
const WARN_EVERY_MS = 10_000;

/** Rules taken away by a simulation. */
export interface ReadFaults {
  /** Who loses a leader goes on with what was read already. */
  readonly stepBack?: true;
}

export interface StreamLogPort extends PlacePort {
  readonly faults: ReadFaults | undefined;
  readonly calls: Calls;
  /** Of what is read from files. */
  readonly memory: BufferPool;
  nowMs(): number;
  /** Calls in a turn of the shard's actor, after so long. */
  later(delayMs: number, work: () => void): void;
  /** Calls in a turn of the shard's actor. */
  soon(work: () => void): void;
  warn(text: string, details: Record<string, unknown>): void;
  /** Nobody reads it any more. */
  idle(log: StreamLog): void;
}

export class StreamLog {
  readonly logId: number;
  readonly place: LeaderPlace;
  readonly #port: StreamLogPort;
  readonly #cursors = new Set<StreamCursor>();
  /** What a cursor has asked and not heard: one question at a time. */
  readonly #open = new Map<StreamCursor, CursorCall>();
  /** At the end of what is committed. */
  readonly #waiting = new Set<StreamCursor>();
  /** Those that have nobody to ask, or were not answered as they should be. */
  readonly #resting = new Set<StreamCursor>();
  #tail: TailCall | undefined;
  #isRestDue = false;
  #isLookDue = false;
  #unreadBatches = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(logId: number, port: StreamLogPort) {
    this.logId = logId;
    this.#port = port;
    this.place = new LeaderPlace(logId, port);
  }

  // ---- Consumers ----------------------------------------------------------------------------------

  add(cursor: StreamCursor): void {
    this.#cursors.add(cursor);
    const { from } = cursor;
    if (from.kind === 'first') this.#place(cursor, 0);
    else if (from.kind === 'offset') this.#place(cursor, from.offset);
    else this.#seek(cursor);
  }

  remove(cursor: StreamCursor): void {
    this.#cursors.delete(cursor);
    this.#waiting.delete(cursor);
    this.#resting.delete(cursor);
    const call = this.#open.get(cursor);
    if (call !== undefined) this.#port.calls.forget(call.token);
    this.#open.delete(cursor);
    if (this.#cursors.size > 0) return;
    this.#forgetTail();
    this.#port.idle(this);
  }

  /** What there is from `next` on: `fetched` or `unfed` follows, perhaps at once. */
  fetch(cursor: StreamCursor): void {
    const { readHost: host, isReadFromReplica } = this.place;
    if (host === undefined) {
      this.#rest(cursor);
      return;
    }
    const call = new CursorCall(this, cursor, host);
    this.#open.set(cursor, call);
    const { calls } = this.#port;
    const { next, fetchBytes } = cursor;
    call.token = calls.fetch(call, this.logId, next, fetchBytes, isReadFromReplica);
  }

  /** It is asked again in a moment, or when there is a leader. */
  #rest(cursor: StreamCursor): void {
    this.#resting.add(cursor);
    if (cursor.next >= 0) cursor.owner.unfed(cursor);
    if (this.#isRestDue || this.place.host === undefined) return;
    this.#isRestDue = true;
    this.#port.later(this.place.nextRetryMs(), () => {
      this.#isRestDue = false;
      if (this.place.host !== undefined) this.#askAgain(this.#resting);
    });
  }

  /** What was fetched had nothing of use in it. */
  rest(cursor: StreamCursor): void {
    this.#rest(cursor);
  }

  #askAgain(cursors: Set<StreamCursor>): void {
    const all = [...cursors];
    cursors.clear();
    for (const cursor of all) {
      if (!this.#cursors.has(cursor)) continue;
      if (cursor.next < 0) this.#seek(cursor);
      else cursor.owner.hungry(cursor);
    }
  }

  /** The leader or its epoch is another one, or the log is gone. */
  moved(): void {
    const open = [...this.#open];
    this.#open.clear();
    for (const [cursor, call] of open) {
      this.#port.calls.forget(call.token);
      this.#resting.add(cursor);
      if (cursor.next >= 0) cursor.owner.unfed(cursor);
    }
    if (this.#port.faults?.stepBack === true) {
      for (const cursor of this.#cursors) if (cursor.next > 0) cursor.next -= 1;
    }
    this.#forgetTail();
    for (const cursor of this.#waiting) this.#resting.add(cursor);
    this.#waiting.clear();
    if (this.place.isGone) for (const { owner } of [...this.#cursors]) owner.ended('deleted');
    else if (this.place.host !== undefined || this.place.isOut) this.#askAgain(this.#resting);
  }

  // ---- Where a consumer begins ----------------------------------------------------------------------

  #place(cursor: StreamCursor, next: number): void {
    cursor.next = next;
    cursor.owner.placed(cursor);
  }

  #seek(cursor: StreamCursor): void {
    this.#locate(cursor, { kind: 'latest' }, (endOffset) => {
      const { from } = cursor;
      if (from.kind === 'time') this.#seekTime(cursor, from.timestampMs, endOffset);
      else if (from.kind === 'last' && endOffset > 0) {
        cursor.isFromBatch = true;
        this.#place(cursor, endOffset - 1);
      } else this.#place(cursor, endOffset);
    });
  }

  /** What is stored meanwhile is not older: without a record of that age the end of before is right. */
  #seekTime(cursor: StreamCursor, timestampMs: number, endOffset: number): void {
    this.#locate(cursor, { kind: 'at-time', timestampMs }, (offset) => {
      this.#place(cursor, offset < 0 ? endOffset : offset);
    });
  }

  #locate(cursor: StreamCursor, query: OffsetQuery, found: (offset: number) => void): void {
    const { host } = this.place;
    if (host === undefined) {
      if (this.place.isOut) cursor.owner.ended('unreachable');
      else this.#rest(cursor);
      return;
    }
    const call = new CursorCall(this, cursor, host, found);
    this.#open.set(cursor, call);
    call.token = this.#port.calls.locate(call, this.logId, query);
  }

  // ---- Answers ------------------------------------------------------------------------------------

  locatedInput(call: CursorCall, { result, offset }: LocatedInput): void {
    this.#open.delete(call.cursor);
    if (result !== 'ok') {
      this.#rest(call.cursor);
      return;
    }
    this.place.succeeded();
    call.found?.(offset);
  }

  lost(call: CursorCall): void {
    this.#open.delete(call.cursor);
    this.#rest(call.cursor);
  }

  fetchedInput(call: CursorCall, input: FetchedInput): void {
    const { cursor } = call;
    const { result, slices, release, startOffset } = input;
    if (result === 'ok' && slices.length > 0) {
      this.place.succeeded();
      this.#read(call, slices, release);
      return;
    }
    release();
    this.#open.delete(cursor);
    const isOutside = result === 'offset-out-of-range';
    if (isOutside && cursor.next < startOffset) {
      cursor.next = startOffset;
      cursor.owner.unfed(cursor);
      cursor.owner.hungry(cursor);
    } else if (result === 'ok' || (isOutside && startOffset >= 0)) this.#wait(cursor);
    else {
      this.place.readFailed();
      this.#rest(cursor);
    }
  }

  /** A range of a file is read into memory first. Until then the question counts as open. */
  #read(call: CursorCall, slices: readonly FetchSlice[], release: () => void): void {
    const { cursor } = call;
    const [slice] = slices;
    if (slice?.kind !== 'file') {
      this.#open.delete(cursor);
      const memory = slices.flatMap((each) => (each.kind === 'memory' ? [each.bytes] : []));
      cursor.owner.fetched(cursor, memory, release);
      return;
    }
    const { memory } = this.#port;
    readFileSlice(slice, memory, release, (bytes) => {
      this.#port.soon(() => this.#readFrom(call, bytes));
    });
  }

  #readFrom(call: CursorCall, bytes: Uint8Array | undefined): void {
    const { cursor } = call;
    const giveBack = (): void => {
      if (bytes !== undefined) this.#port.memory.give(bytes);
    };
    if (this.#open.get(cursor) !== call) {
      giveBack();
      return;
    }
    this.#open.delete(cursor);
    if (bytes !== undefined) cursor.owner.fetched(cursor, [bytes], giveBack);
    else this.#rest(cursor);
  }

  // ---- The end of the log ---------------------------------------------------------------------------

  #wait(cursor: StreamCursor): void {
    this.#waiting.add(cursor);
    cursor.owner.unfed(cursor);
    if (this.#tail === undefined || cursor.next < this.#tail.offset) this.#watch();
  }

  /** One question for all: until the log is beyond the first of them. */
  #watch(): void {
    this.#forgetTail();
    const { readHost: host, isReadFromReplica } = this.place;
    if (this.#waiting.size === 0 || host === undefined) return;
    let offset = Number.POSITIVE_INFINITY;
    for (const { next } of this.#waiting) offset = Math.min(offset, next);
    const tail = new TailCall(this, host, offset);
    this.#tail = tail;
    tail.token = this.#port.calls.awaitBeyond(tail, this.logId, offset, isReadFromReplica);
    this.#lookLater();
  }

  #forgetTail(): void {
    if (this.#tail !== undefined) this.#port.calls.forget(this.#tail.token);
    this.#tail = undefined;
  }

  /** It has grown, or nobody can tell. */
  told(tail: TailCall): void {
    if (this.#tail !== tail) return;
    this.#tail = undefined;
    const first = [...this.#waiting].filter(({ next }) => next <= tail.offset);
    for (const cursor of first) this.#waiting.delete(cursor);
    this.#watch();
    for (const cursor of first) cursor.owner.hungry(cursor);
  }

  tailLost(tail: TailCall): void {
    if (this.#tail !== tail) return;
    this.#tail = undefined;
    for (const cursor of [...this.#waiting]) {
      this.#waiting.delete(cursor);
      this.#rest(cursor);
    }
  }

  /** An answer that found no room on its way does not come: nobody waits for ever. */
  #lookLater(): void {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    this.#port.later(AWAIT_MS, () => {
      this.#isLookDue = false;
      const tail = this.#tail;
      if (tail === undefined) return;
      if (tail.isOld) {
        this.#port.calls.forget(tail.token);
        this.told(tail);
        return;
      }
      tail.isOld = true;
      this.#lookLater();
    });
  }

  // ---- What cannot be read ---------------------------------------------------------------------------

  /** Each consumer meets the same batches: one line now and then is enough. */
  warnUnread(from: number, to: number, why: string): void {
    this.#unreadBatches += 1;
    const nowMs = this.#port.nowMs();
    if (nowMs - this.#warnedMs < WARN_EVERY_MS) return;
    this.#warnedMs = nowMs;
    const { logId } = this;
    const details = { logId, from, to, why, batches: this.#unreadBatches };
    this.#port.warn('messages of a stream cannot be read here and are passed over', details);
    this.#unreadBatches = 0;
  }
}

/** The question of one cursor. */
class CursorCall implements Call {
  readonly host: HostRef;
  readonly cursor: StreamCursor;
  readonly found: ((offset: number) => void) | undefined;
  token = 0;
  readonly #log: StreamLog;

  constructor(
    log: StreamLog,
    cursor: StreamCursor,
    host: HostRef,
    found?: (offset: number) => void,
  ) {
    this.#log = log;
    this.cursor = cursor;
    this.host = host;
    this.found = found;
  }

  fetched(input: FetchedInput): void {
    this.#log.fetchedInput(this, input);
  }

  located(input: LocatedInput): void {
    this.#log.locatedInput(this, input);
  }

  lost(): void {
    this.#log.lost(this);
  }
}

/** The question of all that are at the end. */
class TailCall implements Call {
  readonly host: HostRef;
  readonly offset: number;
  token = 0;
  isOld = false;
  readonly #log: StreamLog;

  constructor(log: StreamLog, host: HostRef, offset: number) {
    this.#log = log;
    this.host = host;
    this.offset = offset;
  }

  advanced(): void {
    this.#log.told(this);
  }

  lost(): void {
    this.#log.tailLost(this);
  }
}
