// AMQP 0-9-1 by hand, for what no client library would say: frames as bytes, and the methods that come back.
import { Socket } from 'node:net';

const HEADER = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
const START_OK = '000a000b0000000005504c41494e0000000c00677565737400677565737405656e5f5553';
const TUNE_OK = '000a001f07ff000200000000';
const OPEN_VHOST = '000a0028012f0000';
const FRAME_END = 0xce;
const FRAME_HEAD_BYTES = 7;
const ANSWER_MS = 5_000;

/** Content of frames, by kind. */
export const METHOD = 1;
export const HEADERS = 2;
export const BODY = 3;

export interface Answer {
  readonly channel: number;
  readonly classId: number;
  readonly methodId: number;
  readonly args: Buffer;
}

export function shortString(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt8(type, 0);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([FRAME_END])]);
}

export class RawAmqp {
  readonly #socket = new Socket();
  #received = Buffer.alloc(0);
  readonly #answers: Answer[] = [];
  #wake: () => void = () => undefined;
  isClosed = false;

  /** To the end of the handshake. */
  static async open(address: string): Promise<RawAmqp> {
    const raw = new RawAmqp();
    const at = address.lastIndexOf(':');
    raw.#socket.on('data', (chunk) => raw.#take(chunk));
    raw.#socket.on('error', () => undefined);
    raw.#socket.on('close', () => {
      raw.isClosed = true;
      raw.#wake();
    });
    await new Promise<void>((resolve) => {
      raw.#socket.connect(Number(address.slice(at + 1)), address.slice(0, at), resolve);
    });
    raw.#socket.write(HEADER);
    for (const method of [START_OK, TUNE_OK, OPEN_VHOST]) raw.method(0, method);
    await raw.answer(10, 41);
    return raw;
  }

  /** Class, method and arguments in hex, and more arguments. */
  method(channel: number, hex: string, ...more: readonly Uint8Array[]): void {
    this.send(frame(METHOD, channel, Buffer.concat([Buffer.from(hex, 'hex'), ...more])));
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  async openChannel(channel: number): Promise<void> {
    this.method(channel, '0014000a00');
    await this.answer(20, 11);
  }

  /** Waits for a method, and forgets what came before it. */
  async answer(classId: number, methodId: number): Promise<Answer> {
    const endMs = performance.now() + ANSWER_MS;
    for (;;) {
      const at = this.#answers.findIndex((a) => a.classId === classId && a.methodId === methodId);
      if (at >= 0) return this.#answers.splice(0, at + 1).at(-1)!;
      if (this.isClosed || performance.now() > endMs) {
        const came = this.#answers.map((a) => `${a.classId}.${a.methodId}`).join(' ');
        throw new Error(`no ${classId}.${methodId}; there was: ${came}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** The code and text of `connection.close` (10.50) or `channel.close` (20.40). */
  async refusal(of: 'connection' | 'channel'): Promise<{ code: number; text: string }> {
    const { args } = of === 'connection' ? await this.answer(10, 50) : await this.answer(20, 40);
    return { code: args.readUInt16BE(0), text: args.subarray(3, 3 + args[2]!).toString() };
  }

  end(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length > FRAME_HEAD_BYTES) {
      const size = this.#received.readUInt32BE(3);
      if (this.#received.length < FRAME_HEAD_BYTES + size + 1) break;
      const payload = this.#received.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + size);
      if (this.#received[0] === METHOD) {
        this.#answers.push({
          channel: this.#received.readUInt16BE(1),
          classId: payload.readUInt16BE(0),
          methodId: payload.readUInt16BE(2),
          args: Buffer.from(payload.subarray(4)),
        });
      }
      this.#received = this.#received.subarray(FRAME_HEAD_BYTES + size + 1);
    }
    this.#wake();
  }
}
