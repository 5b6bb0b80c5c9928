// A client connection of AMQP 0-9-1 with as little work of its own as possible: one channel, frames by
// hand, answers as positions in what was received. Encoding is written from the protocol's specification
// (sections 2.3 and 4.2), apart from the server's codec, so that a mistake there is not shared.
import { connect as connectTcp, type Socket } from 'node:net';

const METHOD = 1;
const HEADER = 2;
const BODY = 3;
const FRAME_END = 0xce;
/** Type u8, channel u16, size u32 in front of a payload. */
const FRAME_HEADER_BYTES = 7;
const CHANNEL = 1;

/** Class in the upper 16 bits, method in the lower. */
export const Method = {
  start: 0x000a_000a,
  startOk: 0x000a_000b,
  tune: 0x000a_001e,
  tuneOk: 0x000a_001f,
  open: 0x000a_0028,
  openOk: 0x000a_0029,
  connectionClose: 0x000a_0032,
  channelOpen: 0x0014_000a,
  channelOpenOk: 0x0014_000b,
  channelClose: 0x0014_0028,
  queueDeclare: 0x0032_000a,
  queueDeclareOk: 0x0032_000b,
  queueBind: 0x0032_0014,
  queueBindOk: 0x0032_0015,
  queueDelete: 0x0032_0028,
  queueDeleteOk: 0x0032_0029,
  queueUnbind: 0x0032_0032,
  queueUnbindOk: 0x0032_0033,
  confirmSelect: 0x0055_000a,
  confirmSelectOk: 0x0055_000b,
  qos: 0x003c_000a,
  qosOk: 0x003c_000b,
  consume: 0x003c_0014,
  consumeOk: 0x003c_0015,
  publish: 0x003c_0028,
  deliver: 0x003c_003c,
  ack: 0x003c_0050,
  nack: 0x003c_0078,
} as const;

function frame(type: number, channel: number, payload: Buffer): Buffer {
  const out = Buffer.alloc(FRAME_HEADER_BYTES + payload.length + 1);
  out[0] = type;
  out.writeUInt16BE(channel, 1);
  out.writeUInt32BE(payload.length, 3);
  payload.copy(out, FRAME_HEADER_BYTES);
  out[out.length - 1] = FRAME_END;
  return out;
}

function method(id: number, ...args: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(id);
  return frame(METHOD, id >>> 16 === 10 ? 0 : CHANNEL, Buffer.concat([head, ...args]));
}

const u8 = (value: number): Buffer => Buffer.of(value);
const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 255);
const u32 = (value: number): Buffer =>
  Buffer.of(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255);
const short = (text: string): Buffer =>
  Buffer.concat([u8(text.length), Buffer.from(text, 'latin1')]);
const long = (text: string): Buffer =>
  Buffer.concat([u32(text.length), Buffer.from(text, 'latin1')]);
const EMPTY_TABLE = u32(0);

function textTable(name: string, value: string): Buffer {
  return long(Buffer.concat([short(name), Buffer.from('S'), long(value)]).toString('latin1'));
}

/** One message to a queue by the exchange without a name: method, header and body. */
export function publishFrames(queue: string, bodyBytes: number, isPersistent: boolean): Buffer {
  const size = Buffer.alloc(8);
  size.writeUInt32BE(bodyBytes, 4);
  // Of the properties only delivery-mode: bit 12 of the flags.
  const header = [u16(60), u16(0), size, u16(1 << 12), u8(isPersistent ? 2 : 1)];
  return Buffer.concat([
    method(Method.publish, u16(0), short(''), short(queue), u8(0)),
    frame(HEADER, CHANNEL, Buffer.concat(header)),
    frame(BODY, CHANNEL, Buffer.alloc(bodyBytes, 0x61)),
  ]);
}

/** Everything on the channel up to this delivery tag (below 2^32). */
export function ackThrough(tag: number): Buffer {
  return method(Method.ack, u32(0), u32(tag), u8(1));
}

/** `at` is where the arguments of a method begin. */
export type OnMethod = (id: number, bytes: Buffer, at: number) => void;

export class AmqpWire {
  readonly socket: Socket;
  /** Called for each method on the channel; contents are passed over. */
  onMethod: OnMethod = () => undefined;
  /** After all frames of what was received at once. */
  onRead: () => void = () => undefined;
  #rest: Buffer = Buffer.alloc(0);
  #waiting: { id: number; resolve: () => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('error', (error) => this.#failed(error));
    socket.on('close', () => this.#failed(new Error('the server closed the connection')));
  }

  /** `url`: `amqp://HOST:PORT`. Logs in as guest and opens a channel. */
  static async connect(url: string): Promise<AmqpWire> {
    const { hostname, port } = new URL(url);
    const wire = new AmqpWire(connectTcp({ host: hostname, port: Number(port) }));
    await wire.call(Buffer.from('AMQP\0\0\x09\x01', 'latin1'), Method.start);
    const login = [EMPTY_TABLE, short('PLAIN'), long('\0guest\0guest'), short('en_US')];
    await wire.call(method(Method.startOk, ...login), Method.tune);
    wire.socket.write(method(Method.tuneOk, u16(2047), u32(131_072), u16(0)));
    await wire.call(method(Method.open, short('/'), short(''), u8(0)), Method.openOk);
    await wire.call(method(Method.channelOpen, short('')), Method.channelOpenOk);
    return wire;
  }

  confirmSelect(): Promise<void> {
    return this.call(method(Method.confirmSelect, u8(0)), Method.confirmSelectOk);
  }

  declareQueue(
    name: string,
    isDurable: boolean,
    type: 'classic' | 'quorum' | 'stream' = 'classic',
  ): Promise<void> {
    const table = type === 'classic' ? EMPTY_TABLE : textTable('x-queue-type', type);
    const args = [u16(0), short(name), u8(isDurable ? 2 : 0), table];
    return this.call(method(Method.queueDeclare, ...args), Method.queueDeclareOk);
  }

  declareExclusive(name: string): Promise<void> {
    const args = [u16(0), short(name), u8(4), EMPTY_TABLE];
    return this.call(method(Method.queueDeclare, ...args), Method.queueDeclareOk);
  }

  deleteQueue(name: string): Promise<void> {
    return this.call(method(Method.queueDelete, u16(0), short(name), u8(0)), Method.queueDeleteOk);
  }

  bind(queue: string, exchange: string, key: string): Promise<void> {
    const args = [u16(0), short(queue), short(exchange), short(key), u8(0), EMPTY_TABLE];
    return this.call(method(Method.queueBind, ...args), Method.queueBindOk);
  }

  unbind(queue: string, exchange: string, key: string): Promise<void> {
    const args = [u16(0), short(queue), short(exchange), short(key), EMPTY_TABLE];
    return this.call(method(Method.queueUnbind, ...args), Method.queueUnbindOk);
  }

  /** Consumers of one channel have different tags. */
  async consume(
    queue: string,
    prefetch: number,
    isAutoAcknowledged: boolean,
    tag = 'bench',
  ): Promise<void> {
    await this.call(method(Method.qos, u32(0), u16(prefetch), u8(0)), Method.qosOk);
    const args = [u16(0), short(queue), short(tag), u8(isAutoAcknowledged ? 2 : 0), EMPTY_TABLE];
    await this.call(method(Method.consume, ...args), Method.consumeOk);
  }

  /** Sends a method and waits for its answer. */
  call(bytes: Buffer, answer: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { id: answer, resolve, reject };
      this.socket.write(bytes);
    });
  }

  close(): void {
    this.socket.removeAllListeners('close');
    this.socket.destroy();
  }

  #received(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + bytes.readUInt32BE(at + 3) + 1;
      if (end > bytes.length) break;
      if (bytes[at] === METHOD) {
        const id = bytes.readUInt32BE(at + FRAME_HEADER_BYTES);
        this.#method(id, bytes, at + FRAME_HEADER_BYTES + 4);
      }
      at = end;
    }
    this.#rest = bytes.subarray(at);
    this.onRead();
  }

  #method(id: number, bytes: Buffer, at: number): void {
    if (id === Method.connectionClose || id === Method.channelClose) {
      const text = bytes.toString('latin1', at + 3, at + 3 + bytes[at + 2]!);
      this.#failed(new Error(`the server closed: ${text}`));
    } else if (id === this.#waiting?.id) {
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      resolve();
    } else this.onMethod(id, bytes, at);
  }

  #failed(error: Error): void {
    if (this.#waiting === undefined) throw error;
    this.#waiting.reject(error);
    this.#waiting = undefined;
  }
}
