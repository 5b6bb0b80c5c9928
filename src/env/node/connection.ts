// One TCP connection. Bytes and file ranges leave in the order they were queued: bytes go to the
// socket at once unless a range is being sent, then they wait here. Received bytes are lent.
// Invariants: every `done` is called exactly once, also after a failure, and before onClose; no
// handler is called from inside a method call; after onClose nothing is.
import type { Socket } from 'node:net';
import type { Address, Connection, ConnectionEvents, DiskFile } from '../environment.ts';
import type { NetCounters } from './counters.ts';
import { FileRange, type RangeContext } from './file-range.ts';
import type { NativeCalls } from './native.ts';

/** How long an ended connection may take to say goodbye before it is closed anyway. */
const LINGER_MS = 1000;
/** Without progress for so long, an ended connection that still has output is destroyed. */
const END_STALL_MS = 15_000;

type Done = (() => void) | undefined;

interface Queued {
  readonly bytes?: Uint8Array;
  readonly file?: { readonly file: DiskFile; readonly position: number; readonly length: number };
  readonly done: Done;
}

export interface ConnectionParts {
  readonly id: number;
  readonly socket: Socket;
  readonly local: Address;
  readonly remote: Address;
  readonly native: NativeCalls;
  readonly counters: NetCounters;
  /** False while a connect is under way. */
  readonly isOpen: boolean;
}

export class NodeConnection implements Connection {
  readonly id: number;
  readonly remote: Address;
  readonly socket: Socket;
  readonly #native: NativeCalls;
  readonly #counters: NetCounters;
  #local: Address;
  #events: ConnectionEvents | undefined;
  #isOpen: boolean;
  #isEnding = false;
  #isPaused = false;
  #isClosed = false;
  #isReleased = false;
  #error: Error | undefined;
  /** Callbacks of the writes that the socket has, oldest first; `undefined` keeps the places. */
  #taken: Done[] = [];
  #takenAt = 0;
  /** What waits behind the running range. */
  #queue: Queued[] = [];
  #queuedSize = 0;
  #range: FileRange | undefined;
  #rangeDone: Done;
  #isBacklogged = false;
  readonly #onTaken = (): void => this.#writeTaken();
  readonly #onEnd = (): void => this.end();

  constructor(parts: ConnectionParts) {
    this.id = parts.id;
    this.socket = parts.socket;
    this.#local = parts.local;
    this.remote = parts.remote;
    this.#native = parts.native;
    this.#counters = parts.counters;
    this.#isOpen = parts.isOpen;
    const { socket } = this;
    socket.on('error', (error: Error) => {
      this.#error ??= error;
    });
    socket.on('close', () => this.#closed());
    // Sockets are half-open ones, so that what is queued here still leaves after the peer's end.
    socket.on('end', this.#onEnd);
  }

  get local(): Address {
    return this.#local;
  }

  get queuedBytes(): number {
    return this.socket.writableLength + this.#queuedSize + (this.#range?.leftBytes ?? 0);
  }

  start(events: ConnectionEvents): void {
    if (this.#events !== undefined) throw new Error(`connection ${this.id} was started twice`);
    this.#events = events;
    if (this.#isClosed) setImmediate(() => this.#tellClose());
    else if (this.#isOpen && !this.#isPaused) this.socket.resume();
  }

  /** The connect of an outgoing connection succeeded. */
  opened(local: Address): void {
    this.#local = local;
    this.#isOpen = true;
    this.#events?.onOpen?.();
    if (this.#events !== undefined && !this.#isPaused) this.socket.resume();
    if (this.#range !== undefined && !this.#range.isStarted && this.#isIdle) this.#range.run();
  }

  /** Bytes arrived; `view` is valid until this returns. */
  received(view: Uint8Array): void {
    this.#counters.bytesIn += view.length;
    if (!this.#isEnding && !this.socket.destroyed) this.#events?.onBytes(view);
  }

  write(bytes: Uint8Array, done?: () => void): void {
    if (this.#isClosed || this.#isEnding || this.socket.destroyed) {
      if (done !== undefined) process.nextTick(done);
    } else if (this.#range !== undefined) {
      this.#queuedSize += bytes.length;
      this.#queue.push({ bytes, done });
    } else this.#writeNow(bytes, done);
  }

  #writeNow(bytes: Uint8Array, done: Done): void {
    this.#counters.socketWrites += 1;
    this.#counters.bytesOut += bytes.length;
    this.#taken.push(done);
    this.socket.write(bytes, this.#onTaken);
    if (this.socket.writableLength > 0) this.#isBacklogged = true;
  }

  sendFile(file: DiskFile, position: number, length: number, done: () => void): void {
    if (this.#isClosed || this.#isEnding || this.socket.destroyed) {
      process.nextTick(done);
      return;
    }
    const queued: Queued = { file: { file, position, length }, done };
    if (this.#range !== undefined) {
      this.#queuedSize += length;
      this.#queue.push(queued);
    } else this.#startRange(queued);
  }

  #startRange({ file: range, done }: Queued): void {
    const context: RangeContext = {
      socket: this.socket,
      native: this.#native,
      counters: this.#counters,
      write: (bytes, taken) => this.#writeNow(bytes, taken),
      finish: (error) => this.#rangeFinished(error),
    };
    this.#range = new FileRange(context, range!.file, range!.position, range!.length);
    this.#rangeDone = done;
    this.#isBacklogged = true;
    // Before the connect or behind unsent bytes the range waits for the last write's callback.
    if (this.#isIdle && this.#isOpen) this.#range.run();
  }

  get #isIdle(): boolean {
    return this.#takenAt === this.#taken.length;
  }

  #writeTaken(): void {
    if (this.#isClosed) return;
    const done = this.#taken[this.#takenAt];
    this.#takenAt += 1;
    if (this.#takenAt === this.#taken.length) {
      this.#taken.length = 0;
      this.#takenAt = 0;
    }
    done?.();
    if (!this.#isIdle || this.#isClosed) return;
    // A range that waits for the bytes before it has not begun; one that runs goes on by `done`.
    if (this.#range !== undefined && !this.#range.isStarted) this.#range.run();
    else this.#maybeDrained();
  }

  #rangeFinished(error: Error | undefined): void {
    if (error !== undefined) this.fail(error);
    // The range keeps its place until the tick, so that what is written now stays behind it, and
    // a thousand short ranges need no stack.
    else process.nextTick(() => this.#afterRange());
  }

  #afterRange(): void {
    if (this.#isClosed) return;
    const done = this.#rangeDone;
    this.#range = undefined;
    this.#rangeDone = undefined;
    while (this.#range === undefined) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#queuedSize -= next.bytes?.length ?? next.file!.length;
      if (next.bytes !== undefined) this.#writeNow(next.bytes, next.done);
      else this.#startRange(next);
    }
    done?.();
    if (this.#range === undefined && this.#isEnding) this.#endNow();
    this.#maybeDrained();
  }

  #maybeDrained(): void {
    if (!this.#isBacklogged || this.socket.destroyed) return;
    if (this.#range !== undefined || !this.#isIdle) return;
    this.#isBacklogged = false;
    this.#events?.onDrain?.();
  }

  pauseReading(): void {
    this.#isPaused = true;
    this.socket.pause();
  }

  resumeReading(): void {
    this.#isPaused = false;
    if (this.#events !== undefined && this.#isOpen && !this.#isClosed) this.socket.resume();
  }

  end(): void {
    if (this.#isEnding || this.#isClosed) return;
    this.#isEnding = true;
    this.#watchEnd();
    if (this.#range === undefined) this.#endNow();
  }

  /** A peer that takes nothing more of what is queued for it does not keep the connection. */
  #watchEnd(): void {
    let before = this.queuedBytes;
    const watch = setInterval(() => {
      const now = this.queuedBytes;
      if (now > 0 && now === before) this.socket.destroy();
      before = now;
    }, END_STALL_MS);
    watch.unref();
    this.socket.once('close', () => clearInterval(watch));
  }

  #endNow(): void {
    const { socket } = this;
    // Reading goes on, into nothing: unread bytes would turn the goodbye into a reset, and the
    // peer could lose what we sent last.
    socket.resume();
    socket.end(() => {
      const linger = setTimeout(() => socket.destroy(), LINGER_MS);
      linger.unref();
      socket.once('close', () => clearTimeout(linger));
    });
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Fails the connection: onClose gets the error. */
  fail(error: Error): void {
    this.#error ??= error;
    this.socket.destroy();
  }

  /** Lets go of the socket for good, without events: its descriptor lives on elsewhere. */
  release(): void {
    this.#isReleased = true;
    this.socket.destroy();
  }

  /** Gives away the socket, paused, with what has been read of it. Only its end is still counted here. */
  detach(read: Uint8Array): Socket {
    const { socket } = this;
    if (this.#taken.length > 0) throw new Error(`connection ${this.id} has output`);
    this.#isReleased = true;
    this.#events = undefined;
    socket.off('end', this.#onEnd);
    socket.removeAllListeners('data');
    socket.pause();
    if (read.length > 0) socket.unshift(read);
    return socket;
  }

  #closed(): void {
    this.#isClosed = true;
    this.#counters.closed += 1;
    const waiting: Done[] = [
      ...this.#taken.slice(this.#takenAt),
      this.#rangeDone,
      ...this.#queue.map(({ done }) => done),
    ];
    this.#taken = [];
    this.#takenAt = 0;
    this.#queue = [];
    this.#queuedSize = 0;
    this.#range = undefined;
    for (const done of waiting) done?.();
    this.#tellClose();
  }

  #tellClose(): void {
    if (!this.#isReleased) this.#events?.onClose(this.#error);
  }
}
