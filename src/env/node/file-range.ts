// Sends a range of a file down a socket whose own queue is empty: sendfile(2) where it pays, else
// read and write. Not a queue: the connection runs one range at a time and nothing beside it.
// The socket's descriptor is looked up again before every call, because after a close the next
// connection gets the same number at once.
import type { Socket } from 'node:net';
import type { DiskFile } from '../environment.ts';
import type { NetCounters } from './counters.ts';
import { EAGAIN, type NativeCalls } from './native.ts';

/** Below this a read and a write cost less than sendfile (measured break-even). */
const SENDFILE_FROM_BYTES = 64 * 1024;

/** What the socket would not take at once goes through Node's queue in pieces of this size. */
const REMAINDER_BYTES = 16 * 1024;

/** Longest sendfile call: 0.1 to 0.3 ms of the loop when the pages are cached. */
const STEP_BYTES = 512 * 1024;

/** Bytes sent in one turn before other connections get theirs. */
const TURN_BYTES = 4 * STEP_BYTES;

const COPY_BYTES = 256 * 1024;

interface SocketInternals {
  readonly _handle?: { readonly fd?: number; readonly writeQueueSize?: number } | null;
}

/** The descriptor behind a plain TCP socket, or -1. */
export function socketFd(socket: Socket): number {
  return (socket as unknown as SocketInternals)._handle?.fd ?? -1;
}

export interface RangeContext {
  readonly socket: Socket;
  readonly native: NativeCalls;
  readonly counters: NetCounters;
  /** Writes bytes to the socket in order and calls back when the system has them. */
  write(bytes: Uint8Array, taken: () => void): void;
  /** The range is sent, or cannot be: then the connection must go. */
  finish(error?: Error): void;
}

export class FileRange {
  readonly #context: RangeContext;
  readonly #file: DiskFile;
  #position: number;
  #left: number;
  #usesSendfile: boolean;
  #scratch: Uint8Array | undefined;
  #isStarted = false;

  constructor(context: RangeContext, file: DiskFile, position: number, length: number) {
    this.#context = context;
    this.#file = file;
    this.#position = position;
    this.#left = length;
    this.#usesSendfile =
      context.native.sendfile !== undefined && length >= SENDFILE_FROM_BYTES && file.fd >= 0;
  }

  /** Bytes of the range not yet given to the socket. */
  get leftBytes(): number {
    return this.#left;
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Goes on sending; called once at the start with the socket's queue empty. */
  run(): void {
    this.#isStarted = true;
    if (this.#context.socket.destroyed) return;
    if (this.#left === 0) this.#context.finish();
    else if (this.#usesSendfile) this.#runSendfile();
    else this.#copyPiece(COPY_BYTES);
  }

  #advance(count: number): void {
    this.#position += count;
    this.#left -= count;
  }

  #shortfall(): void {
    this.#context.finish(
      new Error(`${this.#file.path} ends at ${this.#position}, ${this.#left} bytes too early`),
    );
  }

  /** `isWarm`: the next step was read a moment ago and is not probed again. */
  #runSendfile(isWarm = false): void {
    const { native, socket, counters } = this.#context;
    for (let turn = 0; turn < TURN_BYTES && this.#left > 0; turn += STEP_BYTES) {
      const count = Math.min(this.#left, STEP_BYTES);
      if (!isWarm && !this.#isCached(count)) {
        this.#warmUp(count);
        return;
      }
      isWarm = false;
      const fd = socketFd(socket);
      const handle = (socket as unknown as SocketInternals)._handle;
      if (this.#file.fd < 0) {
        // Closed under us: the read of the other way reports it.
        this.#usesSendfile = false;
        this.#copyPiece(COPY_BYTES);
        return;
      }
      if (fd < 0 || (handle?.writeQueueSize ?? 0) > 0) break;
      const moved = native.sendfile!(fd, this.#file.fd, this.#position, count);
      counters.sendfileCalls += 1;
      if (moved > 0) {
        counters.sendfileBytes += moved;
        counters.bytesOut += moved;
        this.#advance(moved);
        if (moved === count) continue;
      }
      if (moved === 0) this.#shortfall();
      else if (moved > 0 || moved === -EAGAIN) this.#copyPiece(REMAINDER_BYTES);
      else {
        // EINVAL and the like: this file or socket cannot; a broken socket fails again in the copy.
        this.#usesSendfile = false;
        this.#copyPiece(COPY_BYTES);
      }
      return;
    }
    if (this.#left === 0) this.#context.finish();
    else setImmediate(() => this.run());
  }

  /** Whether sending [position, +count) would wait for the disk, judged by its first and last byte. */
  #isCached(count: number): boolean {
    const probe = this.#context.native.preadNowait;
    if (probe === undefined) return true;
    const byte = this.#buffer(1);
    return (
      probe(this.#file.fd, byte, this.#position) !== -EAGAIN &&
      probe(this.#file.fd, byte, this.#position + count - 1) !== -EAGAIN
    );
  }

  /** Reads the range in the thread pool, only to bring it into the page cache. */
  #warmUp(count: number): void {
    this.#file.read(new Uint8Array(count), this.#position, (error, got) => {
      if (error !== undefined) this.#context.finish(error);
      else if (got < count) this.#shortfall();
      else if (!this.#context.socket.destroyed) this.#runSendfile(true);
    });
  }

  #buffer(size: number): Uint8Array {
    if (this.#scratch === undefined || this.#scratch.length < size) {
      this.#scratch = new Uint8Array(Math.max(size, REMAINDER_BYTES));
    }
    return this.#scratch.subarray(0, size);
  }

  /** Reads up to `sizeMax` bytes, writes them and goes on when the system has taken them. */
  #copyPiece(sizeMax: number): void {
    const size = Math.min(sizeMax, this.#left);
    if (size === 0) {
      this.#context.finish();
      return;
    }
    const into = this.#buffer(size);
    const cached = this.#file.fd < 0 ? undefined : this.#context.native.preadNowait;
    if (cached?.(this.#file.fd, into, this.#position) === size) {
      this.#send(into);
      return;
    }
    this.#file.read(into, this.#position, (error, got) => {
      if (this.#context.socket.destroyed) return;
      if (error !== undefined) this.#context.finish(error);
      else if (got < size) this.#shortfall();
      else this.#send(into);
    });
  }

  #send(bytes: Uint8Array): void {
    this.#advance(bytes.length);
    this.#context.counters.copiedBytes += bytes.length;
    this.#context.write(bytes, () => this.run());
  }
}
