// The writing end of a stream: the owner's handle, and the hidden child that hears the reader. At most one piece that
// the owner wrote waits here, by reference; what is under way is bounded by the reader's window. The end is the first
// one that either side comes to, and it is told once.
import { type Actor, actor, type Context } from '../actor.ts';
import { ActorError } from '../errors.ts';
import { type Ref, type RefId, sameId } from '../ref.ts';
import { DEFAULT_SUPERVISION } from '../supervise.ts';
import {
  CHUNK_BYTES,
  chunkCost,
  type StreamAddress,
  type StreamEnd,
  type StreamReaderOps,
  StreamReaderProtocol,
  type StreamWriterOps,
  StreamWriterProtocol,
  WINDOW_BYTES_MAX,
} from './protocols.ts';
import type { StreamSeat } from './stream-table.ts';

export interface OpenOptions {
  /** How long nobody may come to read. Default: 10 s. */
  readonly claimTimeoutMs?: number;
}

const CLAIM_TIMEOUT_MS = 10_000;

/** How an actor writes a stream. Its methods are for the turns of the actor that opened it. */
export interface OutgoingStream {
  /** To be sent to who shall read, in any message (`streamAddress`). */
  readonly address: StreamAddress;
  /** Resolves once, when the stream is over: `complete` means that the reader has handled all of it. Never rejects. */
  readonly done: Promise<StreamEnd>;
  /**
   * Takes all of `bytes`, or nothing. They must not change any more: on one thread the reader sees these very bytes.
   * `full` is a moment: `ready` tells when it has passed. `ended` is final, and `done` says why.
   */
  write(bytes: Uint8Array): 'accepted' | 'full' | 'ended';
  /** Resolves when a write is taken again, or the stream is over. */
  ready(): Promise<void>;
  /** Nothing follows. What was written is delivered; wait for `done` before the actor stops. */
  finish(): void;
  /** Ends it for both sides; what was not sent yet is dropped. */
  abort(detail: string): void;
}

const NOTHING = {};
/** There is no way to it, or another life is where it was. */
const NO_READER: StreamEnd = { reason: 'unreachable', detail: 'the reader cannot be found' };

export class WritingEnd implements OutgoingStream {
  readonly done: Promise<StreamEnd>;
  address: StreamAddress;
  readonly #seat: StreamSeat;
  #resolveDone!: (end: StreamEnd) => void;
  #ctx: Context<StreamWriterOps> | undefined;
  #reader: Ref<StreamReaderOps> | undefined;
  #windowBytes = 0;
  #sentCost = 0;
  #handledCost = 0;
  #chunks = 0;
  /** What was written and not sent: bytes from `#pendingAt` on. */
  #pending: Uint8Array | undefined;
  #pendingAt = 0;
  /** The word that follows what is pending. */
  #lastWord: StreamEnd | undefined;
  #isLastWordSent = false;
  #isWaitingForRoom = false;
  /** How the reader ended, while what it had said before still waits. */
  #cause: StreamEnd | undefined;
  #end: StreamEnd | undefined;
  #waiters: (() => void)[] = [];

  constructor(seat: StreamSeat, address: StreamAddress) {
    this.#seat = seat;
    this.address = address;
    this.done = new Promise((resolve) => {
      this.#resolveDone = resolve;
    });
  }

  write(bytes: Uint8Array): 'accepted' | 'full' | 'ended' {
    if (this.#end !== undefined || this.#lastWord !== undefined) return 'ended';
    if (this.#pending !== undefined) return 'full';
    if (bytes.length === 0) return 'accepted';
    this.#pending = bytes;
    this.#pendingAt = 0;
    this.#pump();
    return 'accepted';
  }

  ready(): Promise<void> {
    if (this.#pending === undefined || this.#end !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  finish(): void {
    if (this.#end !== undefined || this.#lastWord !== undefined) return;
    this.#lastWord = { reason: 'complete', detail: '' };
    this.#pump();
  }

  abort(detail: string): void {
    if (this.#end !== undefined) return;
    this.#pending = undefined;
    const end: StreamEnd = { reason: 'aborted', detail };
    if (!this.#isLastWordSent) this.#lastWord = end;
    this.#ended(end);
    this.#pump();
    if (this.#reader === undefined) this.#ctx?.stop();
  }

  // ---- The child ----------------------------------------------------------------------------------

  started(ctx: Context<StreamWriterOps>, claimTimeoutMs: number): void {
    this.#ctx = ctx;
    ctx.schedule('unclaimed', claimTimeoutMs, 'unclaimed', NOTHING);
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') {
        this.#cause = { reason: signal.cause, detail: 'the reader is gone' };
        ctx.self.tell('gone', this.#cause);
      } else if (signal.type === 'stopping') this.#stopping();
    });
    // Given up before it began.
    if (this.#end !== undefined) ctx.stop();
  }

  attach(reader: RefId, windowBytes: number): void {
    const ctx = this.#ctx!;
    const ref = ctx.ref(StreamReaderProtocol, reader);
    if (this.#reader !== undefined || this.#end !== undefined) {
      const end: StreamEnd = { reason: 'aborted', detail: 'the stream has a reader already' };
      ref.tell('end', { chunks: 0, end });
      return;
    }
    ctx.cancel('unclaimed');
    this.#reader = ref;
    this.#windowBytes = Math.min(windowBytes, WINDOW_BYTES_MAX);
    this.#seat.peer = reader;
    ctx.watch(ref);
    this.#pump();
  }

  credit(handledCost: number): void {
    if (handledCost > this.#sentCost || handledCost < this.#handledCost) {
      this.abort('the reader gives credit for what it was not sent');
      return;
    }
    this.#handledCost = handledCost;
    this.#pump();
  }

  room(): void {
    this.#isWaitingForRoom = false;
    this.#pump();
  }

  /** The way, or the reader: who knows that it is dead knows better. */
  lost(end: StreamEnd): void {
    this.#gone(this.#cause ?? end);
  }

  #gone(end: StreamEnd): void {
    this.#ended(end);
    this.#ctx?.stop();
  }

  /** The reader's last word. One that came too late to read has nothing to say. */
  closed(reader: RefId, end: StreamEnd): void {
    if (this.#reader !== undefined && sameId(this.#reader.id, reader)) this.#gone(end);
  }

  unclaimed(): void {
    if (this.#reader === undefined)
      this.#gone({ reason: 'unclaimed', detail: 'nobody came to read' });
  }

  /** The owner stops, or this end is done. */
  #stopping(): void {
    const wasOver = this.#end !== undefined;
    const end: StreamEnd = { reason: 'stopped', detail: 'the writing actor stopped' };
    this.#ended(end);
    if (!wasOver) this.#reader?.tell('end', { chunks: this.#chunks, end });
    this.#seat.leave();
  }

  #ended(end: StreamEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#pending = undefined;
    this.#resolveDone(end);
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Sends what the window and the way allow, then the last word. */
  #pump(): void {
    const reader = this.#reader;
    if (reader === undefined || this.#isWaitingForRoom) return;
    while (this.#pending !== undefined) {
      if (this.#sentCost - this.#handledCost >= this.#windowBytes) return;
      const body = this.#pending.subarray(this.#pendingAt, this.#pendingAt + CHUNK_BYTES);
      if (!this.#isTaken(reader.offer('chunk', { sequence: this.#chunks, body }))) return;
      this.#chunks = (this.#chunks + 1) >>> 0;
      this.#sentCost += chunkCost(body.length);
      this.#pendingAt += body.length;
      if (this.#pendingAt < this.#pending.length) continue;
      this.#pending = undefined;
      this.#wake();
    }
    const end = this.#lastWord;
    if (end === undefined || this.#isLastWordSent) return;
    this.#isLastWordSent = this.#isTaken(reader.offer('end', { chunks: this.#chunks, end }));
  }

  /** Without room there is a next time. A reader that is gone ends the stream, behind what it has said. */
  #isTaken(admission: 'accepted' | 'full' | 'gone'): boolean {
    if (admission === 'accepted') return true;
    const ctx = this.#ctx;
    if (ctx === undefined) return false;
    // A moment later: the watch may know better.
    if (admission === 'gone') ctx.pipe(Promise.resolve(), 'gone', () => NO_READER);
    else {
      this.#isWaitingForRoom = true;
      ctx.pipe(this.#reader!.ready(), 'room', () => NOTHING);
    }
    return false;
  }
}

export interface WriterArgs {
  readonly end: WritingEnd;
  readonly claimTimeoutMs: number;
}

export const StreamWriterActor: Actor<StreamWriterOps, WriterArgs> = actor(
  StreamWriterProtocol,
  (ctx, { end, claimTimeoutMs }: WriterArgs) => {
    end.started(ctx, claimTimeoutMs);
    return {
      attach: ({ reader, windowBytes }) => end.attach(reader, windowBytes),
      credit: (handledCost) => end.credit(handledCost),
      closed: ({ reader, end: word }) => end.closed(reader, word),
      gone: (word) => end.lost(word),
      room: () => end.room(),
      unclaimed: () => end.unclaimed(),
    };
  },
  { supervision: { ...DEFAULT_SUPERVISION, decide: () => 'stop' } },
);

export function writerArgs(end: WritingEnd, options: OpenOptions): WriterArgs {
  const { claimTimeoutMs = CLAIM_TIMEOUT_MS } = options;
  if (claimTimeoutMs > 0) return { end, claimTimeoutMs };
  throw new ActorError('ACTOR_MISUSE', `${claimTimeoutMs} ms are no time to come and read`);
}
