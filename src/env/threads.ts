// Worker threads as the actor runtime needs them: a thread is started with shared memory and a
// doorbell, ends with a cause, and may take over a connection. Thread 0 is the one that starts the others.
import type { Connection } from './environment.ts';

/** Why a thread ended. `stopped` was asked for; everything else was not. */
export interface ThreadExit {
  readonly cause: 'stopped' | 'threw' | 'exited' | 'out-of-memory' | 'stalled' | 'boot-failed';
  readonly message: string;
}

/** How a control call fails. Codes are never renamed. */
export type ThreadControlCode =
  /** The thread ended, before the call or during it. */
  | 'THREAD_CONTROL_LOST'
  /** No answer in time: the thread is blocked, or takes longer. What was asked may still be done there. */
  | 'THREAD_CONTROL_TIMEOUT'
  /** The same is under way for somebody else. */
  | 'THREAD_CONTROL_BUSY'
  /** The thread refused, or could not. */
  | 'THREAD_CONTROL_FAILED'
  /** The thread has nothing of this name. */
  | 'THREAD_CONTROL_UNKNOWN';

export interface ThreadControlError extends Error {
  readonly code: ThreadControlCode;
}

export interface ControlOptions {
  /** In milliseconds: who does not answer within it is not waited for. */
  readonly timeoutMs: number;
}

/** What a thread answers beside what every thread does: structured-clonable values, or promises of them. */
export type ControlService = Readonly<Record<string, (argument: unknown) => unknown>>;

/** The thread as its machine sees it. */
export interface ThreadFacts {
  readonly heapUsedBytes: number;
  readonly heapLimitBytes: number;
  /** Of array buffers and other memory outside the heap. */
  readonly externalBytes: number;
  /** How often the loop came round, which counts what woke the thread. Absent on a Node that does not count it. */
  readonly loopCount?: number;
  /** Counters of the thread's side of `Threads`, by name. */
  readonly counters: Readonly<Record<string, number>>;
}

/**
 * Rare and slow questions to a thread, outside the rings and never on a message's path. Every call ends: with
 * its answer, with the thread, or with its timeout. All reject with ThreadControlError.
 */
export interface ThreadControl {
  /** Asks the service that the thread serves. */
  call(name: string, argument: unknown, options: ControlOptions): Promise<unknown>;
  facts(options: ControlOptions): Promise<ThreadFacts>;
  /** A V8 CPU profile over `durationMs` (1 to 600,000) as the JSON of a .cpuprofile file. The timeout is on top. */
  cpuProfile(durationMs: number, options: ControlOptions): Promise<string>;
  /**
   * A V8 heap snapshot (.heapsnapshot) in pieces, at the pace of the reader. The thread stands still until the
   * first; the timeout is that of each piece. Ending the iteration early ends the snapshot.
   */
  heapSnapshot(options: ControlOptions): AsyncGenerator<Uint8Array, void, undefined>;
}

/** Rings the bell of another thread: cheap to call, at most one pending ring per peer is needed. */
export interface Doorbell {
  ring(): void;
}

/** What the worker side is given at boot. */
export interface ThreadBoot {
  /** 1..n for workers, 0 for the main thread. */
  readonly index: number;
  /** Counts the starts of this index within the process, from 1. */
  readonly incarnation: number;
  /** Structured-clonable data from the starter: rings (SharedArrayBuffer), configuration, seeds. */
  readonly data: unknown;
}

export interface ThreadHandle {
  readonly index: number;
  readonly incarnation: number;
  /** Resolves when the worker called `ready`, rejects with the module and the stack when its boot failed. */
  readonly ready: Promise<void>;
  onExit(handle: (exit: ThreadExit) => void): void;
  /** Structured-clone control messages; never on a message's path. */
  post(message: unknown): void;
  onMessage(handle: (message: unknown) => void): void;
  /** Ends the thread; the exit event follows with this cause and message. */
  stop(cause?: 'stopped' | 'stalled' | 'boot-failed', message?: string): void;
  readonly control: ThreadControl;
  /** Fraction of the time since the last call in which the loop was busy, in [0, 1]. Read from outside. */
  utilization(): number;
}

/** What a thread may use at most; beyond it the thread ends with `out-of-memory`. */
export interface ThreadLimits {
  readonly heapMegabytesMax?: number;
}

export interface ThreadStart extends ThreadLimits {
  /** The application's module, where the entry is not: what the words of a failed boot name. */
  readonly loads?: URL;
}

export interface Threads {
  readonly boot: ThreadBoot;
  /** True if connections can be handed to another thread (dup of the descriptor). */
  readonly canHandOver: boolean;
  /** Main thread only. `entry` is a module URL; TypeScript where the application has a loader for it. */
  start(entry: URL, index: number, data: unknown, options?: ThreadStart): ThreadHandle;
  /** Worker only: tells the starter that this thread is up. */
  ready(): void;
  /** Worker only: the control channel to the starter. */
  post(message: unknown): void;
  onMessage(handle: (message: unknown) => void): void;
  /** Control calls of this thread to itself. */
  readonly control: ThreadControl;
  /** What this thread answers to `call`, its own and its starter's; a later service replaces it. */
  serveControl(service: ControlService): void;
  /** A doorbell to the peer thread, and the handler of our own bell. One direct channel per pair of threads. */
  doorbell(peer: number): Doorbell;
  onBell(handle: (peer: number) => void): void;
  /**
   * Gives a connection to another thread, which receives it through onConnection, not yet started.
   * `head` is what was already read of it (a handshake): the peer must send nothing more until it is
   * answered. A thread that ends before it has taken the connection gives it back: it arrives here.
   * Throws where `canHandOver` is false.
   */
  handOver(connection: Connection, thread: number, tag: string, head?: Uint8Array): void;
  /** Every handler hears of every connection and takes those with its own tags. */
  onConnection(handle: (connection: Connection, tag: string, head: Uint8Array) => void): void;
}
