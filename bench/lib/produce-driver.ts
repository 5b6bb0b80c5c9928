// Produces as fast as the cluster takes it, with as little work of its own as possible: every request is
// encoded once, and only its correlation id changes. Each connection has its own partition and keeps a
// fixed number of requests in flight; a request's buffer is reused only after its answer has come, so
// the kernel never holds bytes that change.
import { Socket } from 'node:net';
import { frame, Key, produceBody, recordBatch } from './kafka-wire.ts';

/** Size i32, key i16, version i16: the correlation id is behind them. */
const CORRELATION_AT = 8;
/** Size, correlation id, topic count, topic name, partition count, index. */
const errorAt = (topic: string) => 4 + 4 + 4 + 2 + Buffer.byteLength(topic) + 4 + 4;

export interface Load {
  readonly topic: string;
  readonly acks: 1 | -1;
  readonly recordBytes: number;
  readonly recordsPerBatch: number;
  /** Requests in flight on each connection. */
  readonly window: number;
}

/** Where one connection writes to. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly partition: number;
}

export class ProduceDriver {
  readonly #load: Load;
  readonly #lanes: Lane[] = [];

  constructor(load: Load) {
    this.#load = load;
  }

  async connect(targets: readonly Target[]): Promise<void> {
    for (const target of targets) {
      const lane = new Lane(this.#load, target);
      await lane.open();
      this.#lanes.push(lane);
    }
  }

  /** Requests answered without an error so far. */
  get answered(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.answered, 0);
  }

  /** Of the requests that were answered since the last call, in ms, from the write to the answer. */
  takeLatencies(): number[] {
    return this.#lanes.flatMap((lane) => lane.latencies.splice(0));
  }

  /** Keeps all lanes busy for a time, then waits until everything is answered. */
  async run(ms: number): Promise<{ readonly requests: number; readonly ms: number }> {
    const before = this.answered;
    const startMs = performance.now();
    await Promise.all(this.#lanes.map((lane) => lane.run(startMs + ms)));
    return { requests: this.answered - before, ms: performance.now() - startMs };
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
  }
}

class Lane {
  answered = 0;
  readonly latencies: number[] = [];
  /** When the requests in flight were sent, oldest first. */
  readonly #sentMs: number[] = [];
  readonly #socket = new Socket();
  readonly #target: Target;
  readonly #slots: Buffer[] = [];
  readonly #errorAt: number;
  #correlationId = 0;
  #expectedId = 0;
  #nextSlot = 0;
  #inFlight = 0;
  #untilMs = 0;
  #rest: Buffer = Buffer.alloc(0);
  #idle: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(load: Load, target: Target) {
    this.#target = target;
    this.#errorAt = errorAt(load.topic);
    const value = Buffer.alloc(load.recordBytes);
    for (let i = 0; i < value.length; i += 1) value[i] = 32 + ((i * 7) % 90);
    const batch = recordBatch(Array.from({ length: load.recordsPerBatch }, () => value));
    const to = {
      topic: load.topic,
      partition: target.partition,
      acks: load.acks,
      timeoutMs: 30_000,
    };
    const request = frame(Key.produce, 7, 0, produceBody(to, batch));
    for (let i = 0; i < load.window; i += 1) this.#slots.push(Buffer.from(request));
  }

  open(): Promise<void> {
    const { host, port } = this.#target;
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => this.#receive(chunk));
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')));
    return new Promise((resolve, reject) => {
      this.#socket.once('error', (error) => {
        this.#fail(error);
        reject(error);
      });
      this.#socket.connect(port, host, resolve);
    });
  }

  run(untilMs: number): Promise<void> {
    this.#untilMs = untilMs;
    return new Promise((resolve, reject) => {
      this.#idle = { resolve, reject };
      for (let i = 0; i < this.#slots.length; i += 1) this.#send();
    });
  }

  close(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #send(): void {
    const slot = this.#slots[this.#nextSlot]!;
    this.#nextSlot = (this.#nextSlot + 1) % this.#slots.length;
    this.#correlationId = (this.#correlationId + 1) | 0;
    slot.writeInt32BE(this.#correlationId, CORRELATION_AT);
    this.#inFlight += 1;
    this.#sentMs.push(performance.now());
    this.#socket.write(slot);
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 4) {
      const size = bytes.readInt32BE(at);
      if (bytes.length - at < 4 + size) break;
      this.#answer(bytes, at);
      at += 4 + size;
    }
    this.#rest = bytes.subarray(at);
  }

  #answer(bytes: Buffer, at: number): void {
    this.#expectedId = (this.#expectedId + 1) | 0;
    const errorCode = bytes.readInt16BE(at + this.#errorAt);
    if (bytes.readInt32BE(at + 4) !== this.#expectedId || errorCode !== 0) {
      this.#fail(new Error(`produce was answered with error ${errorCode}`));
      return;
    }
    this.answered += 1;
    this.#inFlight -= 1;
    const nowMs = performance.now();
    this.latencies.push(nowMs - this.#sentMs.shift()!);
    if (nowMs < this.#untilMs) this.#send();
    else if (this.#inFlight === 0) this.#idle?.resolve();
  }

  #fail(error: Error): void {
    this.#idle?.reject(error);
    this.#socket.destroy();
  }
}
