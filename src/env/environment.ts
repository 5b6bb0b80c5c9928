// The only door to the impure world. Everything that may take time, differ between runs or fail for
// reasons outside the program enters through one of these interfaces: the real world implements them
// in env/node, the simulator in sim. Pure cores never see an Environment; shells get it passed in.
import type { Threads } from './threads.ts';

/** Cancels what it was returned for. Calling it twice, or after the event, does nothing. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since an arbitrary origin, fractional, never going back. */
  monotonicMs(): number;
  /** Milliseconds since 1970-01-01 UTC. May jump; used as data only, never to measure time. */
  wallMs(): number;
}

export interface Random {
  /** Uniform in [0, 2^32). */
  u32(): number;
  /** Uniform integer in [0, n), n in [1, 2^32]. */
  below(n: number): number;
  /** An independent stream named by `label`: drawing from one never shifts another. */
  fork(label: string): Random;
}

export interface Timers {
  /** Calls `fire` once, at or after `dueMs` of the monotonic clock, in order of (due, creation). */
  at(dueMs: number, fire: () => void): Cancel;
}

export interface RunQueue {
  /** Runs `task` after the events that are ready now, before the thread sleeps. One call per turn, not per message. */
  soon(task: () => void): void;
}

/** From the least to the most silent. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A log whose every line carries `fields`. */
  child(fields: Readonly<Record<string, unknown>>): Log;
  /** What is written now. Absent where the log has no levels of its own. */
  readonly level?: LogLevel;
  /** From here on for this log, those it is a child of, and all of their children. Goes with `level`. */
  setLevel?(level: LogLevel): void;
}

/** Buggify: true only in simulation, where an armed site fires at random. Always false in production. */
export type Buggify = (site: string) => boolean;

// ---- Disk -------------------------------------------------------------------------------------

/** An error of the operating system; `code` is the errno name (ENOSPC, EIO, ENOENT, EEXIST, EACCES ...). */
export interface DiskError extends Error {
  readonly code: string;
}

export interface OpenOptions {
  /** `read`: must exist. `write`: read and write, must exist. `create`: read and write, made if missing. */
  readonly mode: 'read' | 'write' | 'create';
  /** Every completed write is durable (O_DSYNC, or a sync after each write where the system has none). */
  readonly dsync?: boolean;
}

/**
 * One open file. Positions and lengths are bytes. Callbacks fire in a later turn, never inside the call.
 * `bytes` must not change until the callback. Writes and reads are whole: short counts are continued
 * inside; a read that meets the end of the file answers with the smaller count.
 */
export interface DiskFile {
  readonly path: string;
  /** The descriptor where there is a real one (sendfile), else -1. */
  readonly fd: number;
  write(bytes: Uint8Array, position: number, done: (error: DiskError | undefined) => void): void;
  read(
    into: Uint8Array,
    position: number,
    done: (error: DiskError | undefined, count: number) => void,
  ): void;
  /** Small page-cache accesses (up to 64 KB) that may run on the loop. Throw DiskError. */
  writeSync(bytes: Uint8Array, position: number): void;
  readSync(into: Uint8Array, position: number): number;
  /** fdatasync. After an error nothing may be assumed of what was written: never retried. */
  sync(done: (error: DiskError | undefined) => void): void;
  size(): number;
  truncate(size: number): void;
  close(): void;
}

export interface DiskEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** A folder tree. Paths are relative to `root`, with `/` between names. Methods throw or reject with DiskError. */
export interface Disk {
  readonly root: string;
  open(path: string, options: OpenOptions): DiskFile;
  exists(path: string): boolean;
  /** Size in bytes, or undefined if the file does not exist. */
  fileSize(path: string): number | undefined;
  list(path: string): readonly DiskEntry[];
  /** Makes the folder and its parents. */
  makeDirectory(path: string): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  removeTree(path: string): Promise<void>;
  /** Makes creations, renames and removals in the folder durable. */
  syncDirectory(path: string): void;
  /** Whole small file (up to 1 MiB); undefined if missing. */
  readFile(path: string): Uint8Array | undefined;
  /** temp + sync + rename + directory sync: afterwards the old or the new content, never a mixture. */
  replaceFile(path: string, bytes: Uint8Array): void;
  freeBytes(): number;
  /** Takes the folder for this process; undefined if another live process holds it. The text is stored in the lock. */
  lock(path: string, text: string): { release(): void } | undefined;
  /** Who has that lock now, for people: process, machine, text. Undefined if nobody alive does. */
  lockedBy(path: string): string | undefined;
  /** Releases a lock that a dead thread of this process has left. One of another process stays. */
  releaseOwnLock(path: string): void;
}

// ---- Net --------------------------------------------------------------------------------------

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a connection tells its owner. All calls come from the event loop, never from inside a method call. */
export interface ConnectionEvents {
  onOpen?(): void;
  /** The bytes are lent until the call returns; who keeps them copies them. */
  onBytes(view: Uint8Array): void;
  /** The queue of unsent bytes became empty after it had not been. */
  onDrain?(): void;
  /** The last event, once. `error` is absent for an orderly end. */
  onClose(error?: Error): void;
}

export interface Connection {
  readonly id: number;
  readonly local: Address;
  readonly remote: Address;
  /** Sets the handlers and starts reading. Nothing is read before. */
  start(events: ConnectionEvents): void;
  /** Queues bytes in order. They must not change until `done`. After close, `done` is still called. */
  write(bytes: Uint8Array, done?: () => void): void;
  /** Bytes queued here and not yet taken by the system. */
  readonly queuedBytes: number;
  /**
   * Queues a range of a file behind what is queued. The range must stay as it is until `done`;
   * a shortfall destroys the connection. Uses sendfile(2) where the platform can.
   */
  sendFile(file: DiskFile, position: number, length: number, done: () => void): void;
  pauseReading(): void;
  resumeReading(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes at once; unsent bytes are lost. */
  destroy(): void;
}

export interface Listener {
  readonly address: Address;
  /** Stops accepting; existing connections go on. */
  close(): void;
}

export interface Net {
  /** Rejects with a DiskError-like error carrying `code` (EADDRINUSE, EACCES). Port 0 picks a free port. */
  listen(at: Address, accept: (connection: Connection) => void): Promise<Listener>;
  /** Never throws; a failure arrives as onClose(error). */
  connect(to: Address, options: { readonly timeoutMs: number }): Connection;
}

// ---- All of it --------------------------------------------------------------------------------

/** What the machine says of itself; data only. */
export interface MachineFacts {
  readonly pid: number;
  /** Changes with every boot of the operating system: unchanged means that the page cache survived. '' = unknown. */
  readonly osBootId: string;
}

/**
 * Unpacks what a client compressed; `codec` is gzip, snappy, lz4 or zstd. Undefined: this machine cannot.
 *
 * @throws Error if the bytes are not of the codec, or are more than `bytesMax` unpacked.
 */
export type Unpack = (codec: string, bytes: Uint8Array, bytesMax: number) => Uint8Array | undefined;

/**
 * Hands for work that would hold up a loop: pure functions of bytes, known by name to the module that the threads
 * load. Threads start with the first task and end when there is none for a while.
 */
export interface Crew {
  /** What is in shared memory is not copied. Rejects if the work threw, or its thread ended. */
  run(work: string, input: unknown): Promise<unknown>;
  /** Threads alive now. */
  readonly threads: number;
  /** Ends the threads; tasks under way are rejected. */
  close(): Promise<void>;
}

export interface Environment {
  /** Absent where there is no machine (tests): then nothing is assumed to have survived. */
  readonly facts?: MachineFacts;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly runQueue: RunQueue;
  readonly net: Net;
  readonly disk: Disk;
  readonly threads: Threads;
  readonly log: Log;
  readonly buggify: Buggify;
  /** Bytes that nobody outside can predict, for challenges. In a simulation they follow from the seed. */
  unguessable(count: number): Uint8Array;
  /** CRC-32C (Castagnoli) of bytes[start, end), continuing from `seed`: native where a binary loads. */
  crc32c(bytes: Uint8Array, start: number, end: number, seed?: number): number;
  /** Takes its thread's time: only for readers that cannot take what is packed. Absent: nothing is unpacked here. */
  readonly unpack?: Unpack;
  /** Absent: whoever has such work does it itself, on this thread. */
  readonly crew?: Crew;
}
