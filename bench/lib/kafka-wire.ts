// A Kafka client of few words, for benches and for tests of bad input: it encodes by hand what it needs
// and shares no code with the server. Layouts are those of the protocol guide: Produce 7, Fetch 4,
// ListOffsets 1, Metadata 1, CreateTopics 2, and record batches of magic 2.
import { Socket } from 'node:net';

export const Key = { produce: 0, fetch: 1, listOffsets: 2, metadata: 3, apiVersions: 18 } as const;
export const CREATE_TOPICS_KEY = 19;

export class WireWriter {
  #bytes = Buffer.alloc(1024);
  #size = 0;

  #room(count: number): number {
    const at = this.#size;
    this.#size += count;
    if (this.#size > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(this.#size, this.#bytes.length * 2));
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    return at;
  }

  // The room is made first: it may replace the bytes.
  i8(value: number): this {
    const at = this.#room(1);
    this.#bytes.writeInt8(value, at);
    return this;
  }

  i16(value: number): this {
    const at = this.#room(2);
    this.#bytes.writeInt16BE(value, at);
    return this;
  }

  i32(value: number): this {
    const at = this.#room(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }

  i64(value: number): this {
    const at = this.#room(8);
    this.#bytes.writeBigInt64BE(BigInt(value), at);
    return this;
  }

  varint(value: number): this {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 0x7f) {
      const at = this.#room(1);
      this.#bytes[at] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    const last = this.#room(1);
    this.#bytes[last] = rest;
    return this;
  }

  string(value: string | null): this {
    if (value === null) return this.i16(-1);
    const text = Buffer.from(value);
    return this.i16(text.length).raw(text);
  }

  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  take(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#size));
  }
}

export class WireReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  #step(count: number): number {
    const at = this.#at;
    this.#at += count;
    return at;
  }

  i8(): number {
    return this.#bytes.readInt8(this.#step(1));
  }

  i16(): number {
    return this.#bytes.readInt16BE(this.#step(2));
  }

  i32(): number {
    return this.#bytes.readInt32BE(this.#step(4));
  }

  i64(): number {
    return Number(this.#bytes.readBigInt64BE(this.#step(8)));
  }

  string(): string {
    const size = this.i16();
    return size < 0 ? '' : this.#bytes.toString('utf8', this.#step(size), this.#at);
  }

  array<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.i32(); left > 0; left -= 1) items.push(read());
    return items;
  }
}

/** A whole request with its size field. */
export function frame(key: number, version: number, correlationId: number, body: Buffer): Buffer {
  const header = new WireWriter().i16(key).i16(version).i32(correlationId).string('wire').take();
  const size = new WireWriter().i32(header.length + body.length).take();
  return Buffer.concat([size, header, body]);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit += 1) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) | 0;
}

/** One record batch; values only. */
export function recordBatch(values: readonly Uint8Array[], timestampMs = Date.now()): Buffer {
  const tail = new WireWriter();
  tail
    .i16(0)
    .i32(values.length - 1)
    .i64(timestampMs)
    .i64(timestampMs);
  tail.i64(-1).i16(-1).i32(-1).i32(values.length);
  values.forEach((value, index) => {
    const record = new WireWriter().i8(0).varint(0).varint(index).varint(-1);
    const bytes = record.varint(value.length).raw(value).varint(0).take();
    tail.varint(bytes.length).raw(bytes);
  });
  const checked = tail.take();
  const head = new WireWriter()
    .i64(0)
    .i32(checked.length + 9)
    .i32(-1)
    .i8(2);
  return Buffer.concat([head.i32(crc32c(checked)).take(), checked]);
}

export interface ProduceTo {
  readonly topic: string;
  readonly partition: number;
  readonly acks: number;
  readonly timeoutMs: number;
}

export function produceBody(to: ProduceTo, batch: Buffer): Buffer {
  const body = new WireWriter().string(null).i16(to.acks).i32(to.timeoutMs);
  body.i32(1).string(to.topic).i32(1).i32(to.partition).i32(batch.length);
  return body.raw(batch).take();
}

export function fetchBody(topic: string, partition: number, offset: number, bytesMax: number) {
  const body = new WireWriter().i32(-1).i32(500).i32(1).i32(bytesMax).i8(0);
  return body.i32(1).string(topic).i32(1).i32(partition).i64(offset).i32(bytesMax).take();
}

export interface Produced {
  readonly errorCode: number;
  readonly baseOffset: number;
}

export function readProduced(reader: WireReader): Produced {
  const topics = reader.array(() => {
    reader.string();
    return reader.array(() => {
      reader.i32();
      const produced = { errorCode: reader.i16(), baseOffset: reader.i64() };
      reader.i64();
      reader.i64();
      return produced;
    });
  });
  return topics[0]![0]!;
}

export interface WirePartition {
  readonly index: number;
  readonly errorCode: number;
  /** -1: none. */
  readonly leader: number;
  readonly isrCount: number;
}

export interface WireMetadata {
  readonly brokers: ReadonlyMap<number, { readonly host: string; readonly port: number }>;
  readonly topics: readonly {
    readonly errorCode: number;
    readonly name: string;
    readonly partitions: readonly WirePartition[];
  }[];
}

function readMetadata(reader: WireReader): WireMetadata {
  const brokers = new Map<number, { readonly host: string; readonly port: number }>();
  reader.array(() => {
    const id = reader.i32();
    brokers.set(id, { host: reader.string(), port: reader.i32() });
    reader.string();
  });
  reader.i32();
  const topics = reader.array(() => {
    const head = { errorCode: reader.i16(), name: reader.string() };
    reader.i8();
    const partitions = reader.array(() => {
      const errorCode = reader.i16();
      const index = reader.i32();
      const leader = reader.i32();
      reader.array(() => reader.i32());
      return { errorCode, index, leader, isrCount: reader.array(() => reader.i32()).length };
    });
    return { ...head, partitions };
  });
  return { brokers, topics };
}

/** One connection; answers are matched by their order, as the protocol promises it. */
export class WireClient {
  readonly socket: Socket;
  readonly #waiting: { resolve(body: Buffer): void; reject(error: Error): void }[] = [];
  #received: Buffer = Buffer.alloc(0);
  #correlationId = 0;
  #end: Error | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  /** @throws Error if it is not open after `timeoutMs`. */
  static connect(address: string, timeoutMs = 2_000): Promise<WireClient> {
    const at = address.lastIndexOf(':');
    const socket = new Socket();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(new Error('connect timed out')), timeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.connect(Number(address.slice(at + 1)), address.slice(0, at), () => {
        clearTimeout(timer);
        resolve(new WireClient(socket));
      });
    });
  }

  close(): void {
    this.socket.destroy();
  }

  /** @throws Error if the connection ends or nothing comes within `timeoutMs`. */
  async ask(key: number, version: number, body: Buffer, timeoutMs = 10_000): Promise<WireReader> {
    if (this.#end !== undefined) throw this.#end;
    this.#correlationId += 1;
    const id = this.#correlationId;
    const answer = new Promise<Buffer>((resolve, reject) =>
      this.#waiting.push({ resolve, reject }),
    );
    this.socket.write(frame(key, version, id, body));
    const timer = setTimeout(
      () => this.#fail(new Error(`no answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      const reader = new WireReader(await answer);
      if (reader.i32() !== id) throw new Error('an answer with another correlation id');
      return reader;
    } finally {
      clearTimeout(timer);
    }
  }

  async metadata(topics: readonly string[], timeoutMs?: number): Promise<WireMetadata> {
    const body = new WireWriter().i32(topics.length);
    for (const topic of topics) body.string(topic);
    return readMetadata(await this.ask(Key.metadata, 1, body.take(), timeoutMs));
  }

  /** The error code. */
  async createTopic(
    name: string,
    partitions: number,
    replicas: number,
    timeoutMs = 10_000,
    configs: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const entries = Object.entries(configs);
    const body = new WireWriter().i32(1).string(name).i32(partitions).i16(replicas).i32(0);
    body.i32(entries.length);
    for (const [key, value] of entries) body.string(key).string(value);
    body.i32(timeoutMs).i8(0);
    const reader = await this.ask(CREATE_TOPICS_KEY, 2, body.take(), timeoutMs + 2_000);
    reader.i32();
    reader.i32();
    reader.string();
    return reader.i16();
  }

  /** The error codes, in the order of the names as the server answers them. */
  async createTopics(
    names: readonly string[],
    partitions: number,
    replicas: number,
    timeoutMs: number,
  ): Promise<readonly number[]> {
    const body = new WireWriter().i32(names.length);
    for (const name of names) body.string(name).i32(partitions).i16(replicas).i32(0).i32(0);
    body.i32(timeoutMs).i8(0);
    const reader = await this.ask(CREATE_TOPICS_KEY, 2, body.take(), timeoutMs + 2_000);
    reader.i32();
    return reader.array(() => {
      reader.string();
      const code = reader.i16();
      reader.string();
      return code;
    });
  }

  async produce(to: ProduceTo, batch: Buffer, timeoutMs?: number): Promise<Produced> {
    return readProduced(await this.ask(Key.produce, 7, produceBody(to, batch), timeoutMs));
  }

  /** The next offset of a partition, as consumers see it. */
  async endOffset(topic: string, partition: number, timeoutMs?: number): Promise<number> {
    const body = new WireWriter().i32(-1).i32(1).string(topic).i32(1).i32(partition).i64(-1);
    const reader = await this.ask(Key.listOffsets, 1, body.take(), timeoutMs);
    const found = reader.array(() => {
      reader.string();
      return reader.array(() => {
        reader.i32();
        const errorCode = reader.i16();
        reader.i64();
        return { errorCode, offset: reader.i64() };
      });
    });
    const { errorCode, offset } = found[0]![0]!;
    if (errorCode !== 0) throw new Error(`ListOffsets answered ${errorCode}`);
    return offset;
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4) {
      const size = this.#received.readInt32BE(0);
      if (this.#received.length < 4 + size) return;
      this.#waiting.shift()?.resolve(this.#received.subarray(4, 4 + size));
      this.#received = this.#received.subarray(4 + size);
    }
  }

  #fail(error: Error): void {
    this.#end ??= error;
    this.socket.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#end);
  }
}
