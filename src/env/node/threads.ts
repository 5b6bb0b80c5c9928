// Threads over node:worker_threads. Every pair of threads has one direct MessagePort: an empty message
// is the bell, anything else a connection that changes threads, or the word that one was taken. The
// parent's port keeps a worker alive; doorbell ports never do. No timer runs here, so an idle worker sleeps.
// Invariants: a thread's exit is told once, with its cause, after both `error` and `exit` were heard; a
// connection that a dead thread never took comes back to who gave it.
import { inspect } from 'node:util';
import {
  isMainThread,
  MessageChannel,
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  Worker,
  workerData,
} from 'node:worker_threads';
import type { Address, Connection, Log } from '../environment.ts';
import type {
  ControlService,
  Doorbell,
  ThreadBoot,
  ThreadControl,
  ThreadExit,
  ThreadHandle,
  ThreadStart,
  Threads,
} from '../threads.ts';
import { answerControl, OwnControl, WorkerControl } from './control.ts';
import { ControlTarget } from './control-target.ts';
import type { HandOverSupport } from './hand-over.ts';
import { needsLoader } from './import-module.ts';
import type { NativeGate } from './native-gate.ts';
import { awaitMayEnd, createNativeGate, mayEnd } from './native-gate.ts';
import { variablesOf } from './native-wish.ts';
import { isRing, PortBell } from './port-bell.ts';

export interface NodeThreadsOptions {
  readonly net: HandOverSupport;
  readonly log: Log;
  /** Threads that are started here may load native code. */
  readonly isNative: boolean;
}

export interface ThreadCounters {
  bellsRung: number;
  bellsHeard: number;
  /** Control messages posted. */
  posts: number;
  /** Bytes of arrays inside control messages: message payloads have no business there. */
  postedBytes: number;
  handedOver: number;
  /** Control calls begun here to other threads, or answered here. */
  controlCalls: number;
}

export interface NodeThreads extends Threads {
  readonly counters: ThreadCounters;
}

interface PeerPort {
  readonly peer: number;
  readonly port: MessagePort;
}

/** Compiled: a worker cannot load its very first module as TypeScript. */
const TYPESCRIPT_ENTRY = new URL('./thread-entry.js', import.meta.url);

/** `workerData` of a thread that was started here; the mark tells it from a worker of the embedder. */
interface BootData {
  readonly callboardThread: true;
  readonly index: number;
  readonly incarnation: number;
  readonly data: unknown;
  readonly ports: readonly PeerPort[];
  readonly nativeGate: NativeGate;
  /** What `thread-entry.ts` loads where the entry is TypeScript. */
  readonly entry?: string;
}

type FromWorker = { readonly kind: 'ready' } | { readonly kind: 'post'; readonly body: unknown };
type ToWorker =
  | { readonly kind: 'port'; readonly peer: number; readonly port: MessagePort }
  | { readonly kind: 'control'; readonly port: MessagePort }
  | { readonly kind: 'post'; readonly body: unknown };

interface Moved {
  /** Names the hand-over between the two threads. */
  readonly number: number;
  readonly fd: number;
  readonly remote: Address;
  readonly local: Address;
  readonly tag: string;
  readonly head: Uint8Array;
}

/** The threads as this thread sees them: the starter's side on thread 0, else a worker's. */
export function createNodeThreads(options: NodeThreadsOptions): NodeThreads {
  const boot = workerData as BootData | null;
  if (!isMainThread && boot?.callboardThread === true) return new WorkerSide(options, boot);
  return new StarterSide(options);
}

/** The bell, a connection, or the number of a hand-over that the other side takes from here. */
type OverPort = null | Moved | number;

interface Way {
  readonly port: MessagePort;
  readonly bell: PortBell;
  /** Given to the peer, which has not said that it takes them. */
  readonly untaken: Map<number, Moved>;
}

/** The direct ports to other threads: the same on both sides. */
class Ports {
  readonly counters: ThreadCounters = {
    bellsRung: 0,
    bellsHeard: 0,
    posts: 0,
    postedBytes: 0,
    handedOver: 0,
    controlCalls: 0,
  };
  readonly #net: HandOverSupport;
  readonly #log: Log;
  readonly #ways = new Map<number, Way>();
  #handOvers = 0;
  readonly #onBell: ((peer: number) => void)[] = [];
  readonly #onConnection: ((connection: Connection, tag: string, head: Uint8Array) => void)[] = [];

  constructor({ net, log }: NodeThreadsOptions) {
    this.#net = net;
    this.#log = log;
  }

  get canHandOver(): boolean {
    return this.#net.canRelease;
  }

  set(peer: number, port: MessagePort): void {
    this.drop(peer);
    const way: Way = { port, bell: new PortBell(port), untaken: new Map() };
    this.#ways.set(peer, way);
    port.on('message', (message: OverPort) => this.#heard(peer, way, message));
    // Listening refs the port; a bell is never a reason to stay alive.
    port.unref();
  }

  #heard(peer: number, way: Way, message: OverPort): void {
    if (isRing(message)) {
      this.counters.bellsHeard += 1;
      for (const handle of this.#onBell) handle(peer);
    } else if (typeof message === 'number') {
      way.untaken.delete(message);
    } else {
      // Said before the descriptor is touched: from here on its number may be closed, and mean another.
      way.port.postMessage(message.number);
      this.#arrived(message);
    }
  }

  /** The peer has ended. What it had not taken arrives here, once everybody has heard of the end. */
  drop(peer: number): void {
    const way = this.#ways.get(peer);
    if (way === undefined) return;
    this.#ways.delete(peer);
    for (let last = receiveMessageOnPort(way.port); last !== undefined; ) {
      this.#heard(peer, way, last.message as OverPort);
      last = receiveMessageOnPort(way.port);
    }
    way.port.close();
    for (const moved of way.untaken.values()) setImmediate(() => this.#arrived(moved));
  }

  ring(peer: number): void {
    this.counters.bellsRung += 1;
    this.#ways.get(peer)?.bell.ring();
  }

  onBell(handle: (peer: number) => void): void {
    this.#onBell.push(handle);
  }

  onConnection(handle: (connection: Connection, tag: string, head: Uint8Array) => void): void {
    this.#onConnection.push(handle);
  }

  handOver(connection: Connection, thread: number, tag: string, head: Uint8Array): void {
    const way = this.#ways.get(thread);
    if (way === undefined) {
      this.#log.warn('a connection was meant for a thread that is not there', { thread, tag });
      connection.destroy();
      return;
    }
    this.#handOvers += 1;
    const moved: Moved = { number: this.#handOvers, ...this.#net.release(connection), tag, head };
    way.untaken.set(moved.number, moved);
    way.port.postMessage(moved);
    this.counters.handedOver += 1;
  }

  count(message: unknown): void {
    this.counters.posts += 1;
    this.counters.postedBytes += arrayBytes(message);
  }

  #arrived({ fd, remote, local, tag, head }: Moved): void {
    const connection = this.#net.adopt(fd, remote, local);
    const handle = this.#onConnection[0];
    if (handle === undefined) {
      this.#log.warn('a connection arrived that nobody takes', { tag });
      connection.destroy();
      return;
    }
    for (const each of this.#onConnection) each(connection, tag, head);
  }
}

class StarterSide implements NodeThreads {
  readonly boot: ThreadBoot = { index: 0, incarnation: 1, data: undefined };
  readonly control: ThreadControl;
  readonly #ports: Ports;
  readonly #target: ControlTarget;
  readonly #live = new Map<number, WorkerHandle>();
  readonly #starts = new Map<number, number>();
  /** The end of the process ends its workers, wherever they are. */
  readonly #onProcessExit = (): void => {
    for (const handle of this.#live.values()) handle.awaitMayEnd();
  };
  readonly #isNative: boolean;

  constructor(options: NodeThreadsOptions) {
    this.#ports = new Ports(options);
    this.#isNative = options.isNative;
    this.#target = new ControlTarget(this.#ports.counters);
    this.control = new OwnControl(this.#target);
  }

  serveControl(service: ControlService): void {
    this.#target.serve(service);
  }

  get counters(): ThreadCounters {
    return this.#ports.counters;
  }

  get canHandOver(): boolean {
    return this.#ports.canHandOver;
  }

  start(entry: URL, index: number, data: unknown, options: ThreadStart = {}): ThreadHandle {
    if (index < 1 || this.#live.has(index)) throw new Error(`thread ${index} cannot be started`);
    const incarnation = (this.#starts.get(index) ?? 0) + 1;
    this.#starts.set(index, incarnation);
    const ports: PeerPort[] = [];
    for (const peer of [0, ...this.#live.keys()]) {
      const { port1, port2 } = new MessageChannel();
      ports.push({ peer, port: port1 });
      if (peer === 0) this.#ports.set(index, port2);
      else this.#live.get(peer)!.sendPort(index, port2);
    }
    const boots = needsLoader(entry);
    const nativeGate = createNativeGate();
    const boot: BootData = {
      callboardThread: true,
      index,
      incarnation,
      data,
      ports,
      nativeGate,
      ...(boots ? { entry: entry.href } : {}),
    };
    const { heapMegabytesMax: heap, loads = entry } = options;
    const variables = variablesOf(this.#isNative);
    const worker = new Worker(boots ? TYPESCRIPT_ENTRY : entry, {
      workerData: boot,
      ...(variables === undefined ? {} : { env: variables }),
      transferList: ports.map((each) => each.port),
      name: `callboard-${index}`,
      ...(heap === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: heap } }),
    });
    const start = { loads, index, incarnation, nativeGate };
    const handle = new WorkerHandle(worker, start, this.#ports);
    if (this.#live.size === 0) process.on('exit', this.#onProcessExit);
    this.#live.set(index, handle);
    handle.onExit(() => {
      this.#live.delete(index);
      if (this.#live.size === 0) process.off('exit', this.#onProcessExit);
      this.#ports.drop(index);
    });
    return handle;
  }

  ready(): void {
    throw new Error('only a started thread gets ready');
  }

  post(): void {
    throw new Error('thread 0 has no starter');
  }

  onMessage(): void {
    throw new Error('thread 0 has no starter');
  }

  doorbell(peer: number): Doorbell {
    return { ring: () => this.#ports.ring(peer) };
  }

  onBell(handle: (peer: number) => void): void {
    this.#ports.onBell(handle);
  }

  handOver(connection: Connection, thread: number, tag: string, head = NO_BYTES): void {
    this.#ports.handOver(connection, thread, tag, head);
  }

  onConnection(handle: (connection: Connection, tag: string, head: Uint8Array) => void): void {
    this.#ports.onConnection(handle);
  }
}

/** Which start of which thread, and of what. */
interface Start {
  readonly loads: URL;
  readonly index: number;
  readonly incarnation: number;
  readonly nativeGate: NativeGate;
}

class WorkerHandle implements ThreadHandle {
  readonly index: number;
  readonly incarnation: number;
  readonly ready: Promise<void>;
  readonly control: WorkerControl;
  readonly #loads: URL;
  readonly #nativeGate: NativeGate;
  readonly #worker: Worker;
  readonly #ports: Ports;
  readonly #onExit: ((exit: ThreadExit) => void)[] = [];
  readonly #onMessage: ((message: unknown) => void)[] = [];
  readonly #early: unknown[] = [];
  #settleReady: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #error: Error | undefined;
  #stopped: ThreadExit | undefined;
  #exit: ThreadExit | undefined;
  #sampled: ReturnType<Worker['performance']['eventLoopUtilization']> | undefined;

  constructor(worker: Worker, start: Start, ports: Ports) {
    this.#worker = worker;
    this.#ports = ports;
    this.#loads = start.loads;
    this.#nativeGate = start.nativeGate;
    this.index = start.index;
    this.incarnation = start.incarnation;
    this.control = new WorkerControl((port) => {
      ports.counters.controlCalls += 1;
      worker.postMessage({ kind: 'control', port } satisfies ToWorker, [port]);
    });
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    // Whoever only listens to onExit must not be punished with an unhandled rejection.
    this.ready.catch(() => undefined);
    worker.on('message', (message: FromWorker) => this.#heard(message));
    // Without this handler an error in the worker would end the process.
    worker.on('error', (error) => {
      this.#error = error instanceof Error ? error : new Error(`thrown: ${inspect(error)}`);
    });
    worker.on('exit', (code) => this.#exited(code));
  }

  onExit(handle: (exit: ThreadExit) => void): void {
    if (this.#exit === undefined) this.#onExit.push(handle);
    else handle(this.#exit);
  }

  post(message: unknown): void {
    this.#ports.count(message);
    this.#worker.postMessage({ kind: 'post', body: message } satisfies ToWorker);
  }

  onMessage(handle: (message: unknown) => void): void {
    this.#onMessage.push(handle);
    for (const message of this.#early.splice(0)) handle(message);
  }

  stop(
    cause: 'stopped' | 'stalled' | 'boot-failed' = 'stopped',
    message = `thread ${this.index} was ${cause}`,
  ): void {
    this.#stopped ??= { cause, message };
    this.#end(NATIVE_LOAD_MS_MAX);
  }

  awaitMayEnd(): void {
    awaitMayEnd(this.#nativeGate, NATIVE_LOAD_MS_MAX);
  }

  /** A moment later if the thread loads native code. */
  #end(patienceMs: number): void {
    if (mayEnd(this.#nativeGate) || patienceMs === 0) void this.#worker.terminate();
    else setTimeout(() => this.#end(patienceMs - 1), 1);
  }

  utilization(): number {
    const { performance } = this.#worker;
    const now = performance.eventLoopUtilization();
    const since =
      this.#sampled === undefined ? now : performance.eventLoopUtilization(now, this.#sampled);
    this.#sampled = now;
    return since.utilization;
  }

  sendPort(peer: number, port: MessagePort): void {
    this.#worker.postMessage({ kind: 'port', peer, port } satisfies ToWorker, [port]);
  }

  #heard(message: FromWorker): void {
    if (message.kind === 'ready') {
      this.#settleReady?.resolve();
      this.#settleReady = undefined;
    } else if (this.#onMessage.length === 0) this.#early.push(message.body);
    else for (const handle of this.#onMessage) handle(message.body);
  }

  #exited(code: number): void {
    const exit = this.#describe(code);
    this.#exit = exit;
    this.#settleReady?.reject(new Error(exit.message));
    this.#settleReady = undefined;
    this.control.lost(`thread ${this.index} has ended: ${exit.cause}`);
    for (const handle of this.#onExit) handle(exit);
  }

  #describe(code: number): ThreadExit {
    const error = this.#error as NodeJS.ErrnoException | undefined;
    if (error?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return { cause: 'out-of-memory', message: error.message };
    }
    if (this.#stopped !== undefined) return this.#stopped;
    const how = error?.stack ?? error?.message ?? `it exited with code ${code}`;
    if (this.#settleReady === undefined) {
      return error === undefined
        ? { cause: 'exited', message: `thread ${this.index} exited with code ${code}` }
        : { cause: 'threw', message: how };
    }
    const hint = error instanceof SyntaxError && !how.includes('file:') ? SYNTAX_HINT : '';
    const message = `thread ${this.index} did not boot from ${this.#loads.href}: ${how}${hint}`;
    return { cause: 'boot-failed', message };
  }
}

class WorkerSide implements NodeThreads {
  readonly boot: ThreadBoot;
  readonly control: ThreadControl;
  readonly #ports: Ports;
  readonly #target: ControlTarget;
  readonly #onMessage: ((message: unknown) => void)[] = [];
  readonly #early: unknown[] = [];

  constructor(options: NodeThreadsOptions, boot: BootData) {
    this.boot = { index: boot.index, incarnation: boot.incarnation, data: boot.data };
    this.#ports = new Ports(options);
    const { counters } = this.#ports;
    this.#target = new ControlTarget(counters);
    this.control = new OwnControl(this.#target);
    for (const { peer, port } of boot.ports) this.#ports.set(peer, port);
    // This listener is what keeps an idle worker alive until it is stopped.
    parentPort!.on('message', (message: ToWorker) => {
      if (message.kind === 'port') this.#ports.set(message.peer, message.port);
      else if (message.kind === 'control') {
        counters.controlCalls += 1;
        answerControl(this.#target, message.port);
      } else if (this.#onMessage.length === 0) this.#early.push(message.body);
      else for (const handle of this.#onMessage) handle(message.body);
    });
  }

  get counters(): ThreadCounters {
    return this.#ports.counters;
  }

  get canHandOver(): boolean {
    return this.#ports.canHandOver;
  }

  serveControl(service: ControlService): void {
    this.#target.serve(service);
  }

  start(): ThreadHandle {
    throw new Error('only thread 0 starts threads');
  }

  ready(): void {
    parentPort!.postMessage({ kind: 'ready' } satisfies FromWorker);
  }

  post(message: unknown): void {
    this.#ports.count(message);
    parentPort!.postMessage({ kind: 'post', body: message } satisfies FromWorker);
  }

  onMessage(handle: (message: unknown) => void): void {
    this.#onMessage.push(handle);
    for (const message of this.#early.splice(0)) handle(message);
  }

  doorbell(peer: number): Doorbell {
    return { ring: () => this.#ports.ring(peer) };
  }

  onBell(handle: (peer: number) => void): void {
    this.#ports.onBell(handle);
  }

  handOver(connection: Connection, thread: number, tag: string, head = NO_BYTES): void {
    this.#ports.handOver(connection, thread, tag, head);
  }

  onConnection(handle: (connection: Connection, tag: string, head: Uint8Array) => void): void {
    this.#ports.onConnection(handle);
  }
}

/** What crosses from a worker has lost the place of a syntax error, and with it the module. */
const SYNTAX_HINT =
  '\n  (in that module or in one that it imports: `node --check` on each names the line)';
/** A load that takes longer hangs: then the process is at risk either way. */
const NATIVE_LOAD_MS_MAX = 10_000;
const NO_BYTES = new Uint8Array(0);
const DEPTH_MAX = 8;

/** Bytes of arrays and array buffers in a message; shared memory is not copied and does not count. */
function arrayBytes(value: unknown, depth = 0): number {
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return 0;
  if (value instanceof SharedArrayBuffer) return 0;
  if (value instanceof ArrayBuffer) return value.byteLength;
  if (ArrayBuffer.isView(value)) {
    return value.buffer instanceof SharedArrayBuffer ? 0 : value.byteLength;
  }
  let bytes = 0;
  for (const item of Object.values(value)) bytes += arrayBytes(item, depth + 1);
  return bytes;
}
