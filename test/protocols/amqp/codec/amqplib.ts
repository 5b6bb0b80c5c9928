// The encoders and parsers that amqplib is made of, as a second opinion on ours. They are not part of its public
// offer, so they are reached by path.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface AmqplibMethod {
  readonly classId: number;
  readonly methodId: number;
  readonly args: readonly { readonly type: string; readonly name: string }[];
}

export interface AmqplibFrame {
  readonly type: number;
  readonly channel: number;
  readonly size: number;
  readonly payload: Buffer;
  readonly rest: Buffer;
}

interface Defs {
  encodeMethod(id: number, channel: number, fields: object): Buffer;
  encodeProperties(id: number, channel: number, size: number, fields: object): Buffer;
  decode(id: number, bytes: Buffer): Record<string, unknown>;
  info(id: number): AmqplibMethod;
  readonly BasicProperties: number;
  readonly constants: Readonly<Record<string, number>>;
}

interface Frames {
  makeBodyFrame(channel: number, payload: Buffer): Buffer;
  parseFrame(bytes: Buffer): AmqplibFrame | false;
  decodeFrame(frame: AmqplibFrame): Record<string, unknown>;
  readonly PROTOCOL_HEADER: string;
  readonly HEARTBEAT_BUF: Buffer;
}

interface TableCodec {
  encodeTable(buffer: Buffer, table: object, offset: number): number;
  decodeFields(slice: Buffer): Record<string, unknown>;
}

const require = createRequire(import.meta.url);
const lib = join(dirname(require.resolve('amqplib')), 'lib');
export const defs: Defs = require(join(lib, 'defs.js'));
export const frames: Frames = require(join(lib, 'frame.js'));
export const tableCodec: TableCodec = require(join(lib, 'codec.js'));

/** All frames of some bytes, as amqplib cuts them. */
export function framesOf(bytes: Uint8Array): AmqplibFrame[] {
  const found: AmqplibFrame[] = [];
  let rest: Buffer = Buffer.from(bytes);
  while (rest.length > 0) {
    const frame = frames.parseFrame(rest);
    if (frame === false) throw new Error('bytes behind the last frame');
    found.push(frame);
    rest = frame.rest;
  }
  return found;
}

/** A whole publish as amqplib sends it, the body in pieces. */
export function publishFrames(
  channel: number,
  fields: object,
  properties: object,
  body: Uint8Array,
  pieceBytes: number = body.length,
): Buffer {
  const parts = [
    defs.encodeMethod(0x003c0028, channel, fields),
    defs.encodeProperties(defs.BasicProperties, channel, body.length, properties),
  ];
  for (let at = 0; at < body.length; at += pieceBytes) {
    parts.push(frames.makeBodyFrame(channel, Buffer.from(body.subarray(at, at + pieceBytes))));
  }
  return Buffer.concat(parts);
}
