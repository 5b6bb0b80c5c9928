// The reading end of a stream: the owner's handle, and the hidden child in whose turns the owner's code gets the bytes.
// A chunk is handled when that code has returned, or its promise has resolved; only then does the writer get credit.
// Nothing is kept here: what waits, waits in the mailbox, and is bounded by the window.
import { messageOf } from '../../std/errors.ts';
import { type Actor, actor, type Context } from '../actor.ts';
import { ActorError } from '../errors.ts';
import type { Ref } from '../ref.ts';
import { DEFAULT_SUPERVISION } from '../supervise.ts';
import {
  chunkCost,
  chunksMax,
  type StreamAddress,
  type StreamEnd,
  type StreamReaderOps,
  StreamReaderProtocol,
  type StreamWriterOps,
  StreamWriterProtocol,
  WINDOW_BYTES_MAX,
} from './protocols.ts';
import type { StreamSeat } from './stream-table.ts';

export interface AcceptOptions {
  /** What may be under way or wait. Default: 256 KiB; from 4 KiB to 16 MiB. */
  readonly windowBytes?: number;
}

export interface StreamReader {
  /**
   * Gets the bytes in order, in pieces of any size below 64 KiB. The view is lent until it returns, or until its first
   * `await`; the next piece comes when its promise has resolved. What it throws ends the stream for both sides.
   */
  onBytes(view: Uint8Array): void | Promise<void>;
  /** The last call, once: nothing comes behind it. */
  onEnd?(end: StreamEnd): void;
}

/** How an actor reads a stream. */
export interface IncomingStream {
  /** Resolves once, when the stream is over, with the same as `onEnd`. Never rejects. */
  readonly done: Promise<StreamEnd>;
  /** Ends it for both sides; no byte comes behind it. */
  cancel(detail: string): void;
}

const WINDOW_BYTES = 256 * 1024;
const WINDOW_BYTES_MIN = 4 * 1024;
/** Credit goes back in shares of the window: enough to keep the writer busy, not a message for each chunk. */
const CREDIT_SHARE = 4;
const NOTHING = {};
/** There is no way to it, or another life is where it was. */
const NO_WRITER: StreamEnd = { reason: 'unreachable', detail: 'the writer cannot be found' };

export class ReadingEnd implements IncomingStream {
  readonly done: Promise<StreamEnd>;
  readonly #seat: StreamSeat;
  readonly #reader: StreamReader;
  readonly #address: StreamAddress;
  readonly #windowBytes: number;
  #resolveDone!: (end: StreamEnd) => void;
  #ctx: Context<StreamReaderOps> | undefined;
  #writer: Ref<StreamWriterOps> | undefined;
  #chunks = 0;
  #handledCost = 0;
  #toldCost = 0;
  #isAttached = false;
  #isWaitingForRoom = false;
  /** How the writer ended, while what it had sent before still waits. */
  #cause: StreamEnd | undefined;
  #end: StreamEnd | undefined;

  constructor(
    seat: StreamSeat,
    address: StreamAddress,
    reader: StreamReader,
    { windowBytes = WINDOW_BYTES }: AcceptOptions,
  ) {
    if (!(windowBytes >= WINDOW_BYTES_MIN && windowBytes <= WINDOW_BYTES_MAX)) {
      throw new ActorError('ACTOR_MISUSE', `${windowBytes} bytes are no window of a stream`);
    }
    this.#seat = seat;
    this.#address = address;
    this.#reader = reader;
    this.#windowBytes = windowBytes;
    seat.peer = address;
    this.done = new Promise((resolve) => {
      this.#resolveDone = resolve;
    });
  }

  cancel(detail: string): void {
    this.#over({ reason: 'cancelled', detail });
  }

  started(ctx: Context<StreamReaderOps>): void {
    this.#ctx = ctx;
    const writer = ctx.ref(StreamWriterProtocol, this.#address);
    this.#writer = writer;
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') {
        this.#cause = { reason: signal.cause, detail: 'the writer is gone' };
        ctx.self.tell('gone', this.#cause);
      } else if (signal.type === 'stopping') this.#stopping();
    });
    ctx.watch(writer);
    this.#say();
    // Given up before it began: the writer shall hear it.
    if (this.#end !== undefined) this.#close(this.#end);
  }

  chunk(sequence: number, body: Uint8Array): void | Promise<void> {
    if (this.#end !== undefined) return;
    if (sequence !== this.#chunks) {
      this.#over({ reason: 'unreachable', detail: 'bytes were lost on the way' });
      return;
    }
    this.#chunks = (this.#chunks + 1) >>> 0;
    const cost = chunkCost(body.length);
    try {
      const work = this.#reader.onBytes(body);
      if (work instanceof Promise) {
        return work.then(
          () => this.#handled(cost),
          (error: unknown) => this.#failed(error),
        );
      }
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#handled(cost);
  }

  ended(chunks: number, end: StreamEnd): void {
    const isWhole = chunks === this.#chunks || end.reason !== 'complete';
    const lost: StreamEnd = { reason: 'unreachable', detail: 'bytes were lost on the way' };
    this.#over(isWhole ? end : lost);
  }

  room(): void {
    this.#isWaitingForRoom = false;
    this.#say();
  }

  /** The way, or the writer: who knows that it is dead knows better. */
  gone(end: StreamEnd): void {
    this.#over(this.#cause ?? end);
  }

  #handled(cost: number): void {
    if (this.#end !== undefined) return;
    this.#handledCost += cost;
    this.#say();
  }

  #failed(error: unknown): void {
    this.#ctx?.log.error('a reader of a stream failed', { error });
    this.#over({ reason: 'failed', detail: messageOf(error) });
  }

  /** What the writer is to know: that we read, how far we are. Without room for it, the newest waits. */
  #say(): void {
    const ctx = this.#ctx;
    const writer = this.#writer;
    if (ctx === undefined || writer === undefined || this.#isWaitingForRoom) return;
    if (!this.#isAttached) {
      const attach = { reader: ctx.self.id, windowBytes: this.#windowBytes };
      this.#isAttached = this.#isTaken(writer.offer('attach', attach));
    }
    const untold = this.#handledCost - this.#toldCost;
    if (!this.#isAttached || untold < this.#windowBytes / CREDIT_SHARE) return;
    if (this.#isTaken(writer.offer('credit', this.#handledCost)))
      this.#toldCost = this.#handledCost;
  }

  #isTaken(admission: 'accepted' | 'full' | 'gone'): boolean {
    if (admission === 'accepted') return true;
    const ctx = this.#ctx!;
    // A moment later: the watch may know better.
    if (admission === 'gone') ctx.pipe(Promise.resolve(), 'gone', () => NO_WRITER);
    else {
      this.#isWaitingForRoom = true;
      ctx.pipe(this.#writer!.ready(), 'room', () => NOTHING);
    }
    return false;
  }

  #stopping(): void {
    this.#over({ reason: 'stopped', detail: 'the reading actor stopped' });
    this.#seat.leave();
  }

  #close(end: StreamEnd): void {
    const ctx = this.#ctx;
    if (ctx === undefined) return;
    this.#writer?.tell('closed', { reader: ctx.self.id, end });
    ctx.stop();
  }

  #over(end: StreamEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#close(end);
    try {
      this.#reader.onEnd?.(end);
    } catch (error) {
      this.#ctx?.log.error('onEnd of a stream failed', { error });
    }
    this.#resolveDone(end);
  }
}

/** A mailbox that holds what a window allows, and the end. */
export function streamReaderActor(windowBytes = WINDOW_BYTES): Actor<StreamReaderOps, ReadingEnd> {
  return actor(
    StreamReaderProtocol,
    (ctx, end: ReadingEnd) => {
      end.started(ctx);
      return {
        chunk: ({ sequence, body }) => end.chunk(sequence, body),
        end: ({ chunks, end: word }) => end.ended(chunks, word),
        gone: (word) => end.gone(word),
        room: () => end.room(),
      };
    },
    {
      mailbox: { capacity: chunksMax(windowBytes) + 8, overflow: 'reject' },
      supervision: { ...DEFAULT_SUPERVISION, decide: () => 'stop' },
    },
  );
}
