// The hottest path of the protocol: a publish of which method, header and only body frame lie one after another in
// the received chunk goes on the tape as positions, without a copy and without an object.
import { readI32, readU16, readU32 } from '../../../std/bytes.ts';
import {
  CONTENT_HEADER_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_HEADER,
  FRAME_OVERHEAD_BYTES,
  type Frame,
  METHOD_ID_BYTES,
} from './frame.ts';
import { BASIC_CLASS } from './methods.ts';
import { scanProperties } from './properties.ts';
import {
  BODY_AT,
  BODY_SIZE,
  DELIVERY_MODE,
  EXCHANGE_AT,
  EXCHANGE_SIZE,
  IMMEDIATE,
  MANDATORY,
  OP_PUBLISH,
  PROPERTIES_AT,
  PROPERTIES_SIZE,
  PUBLISH_BITS,
  ROUTING_KEY_AT,
  ROUTING_KEY_SIZE,
  SOURCE,
  type Tape,
} from './tape.ts';

const PROPERTIES_START = FRAME_HEAD_BYTES + CONTENT_HEADER_BYTES;
/** Where the body size stands in a header frame: behind class and weight. */
const BODY_SIZE_START = FRAME_HEAD_BYTES + 4;
/** Class 60 and weight 0, as they stand there. */
const BASIC_HEADER_START = BASIC_CLASS * 0x1_0000;
/** The other bits are ignored. */
const BITS = MANDATORY | IMMEDIATE;

export class PublishScanner {
  /** Where the arguments are in the bytes that were scanned last. */
  exchangeAt = 0;
  exchangeSize = 0;
  routingKeyAt = 0;
  routingKeySize = 0;
  bits = 0;
  readonly #messageBytesMax: number;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /**
   * Finds the arguments in bytes[at, end): ticket u16 | exchange | routing key | bits u8. False unless they are
   * exactly that. The names need not be UTF-8, as in RabbitMQ: they are looked up by their bytes.
   */
  scanArgs(bytes: Uint8Array, at: number, end: number): boolean {
    const exchangeAt = at + 3;
    if (exchangeAt > end) return false;
    const exchangeSize = bytes[exchangeAt - 1]!;
    const routingKeyAt = exchangeAt + exchangeSize + 1;
    if (routingKeyAt > end) return false;
    const routingKeySize = bytes[routingKeyAt - 1]!;
    const bitsAt = routingKeyAt + routingKeySize;
    if (bitsAt + 1 !== end) return false;
    this.exchangeAt = exchangeAt;
    this.exchangeSize = exchangeSize;
    this.routingKeyAt = routingKeyAt;
    this.routingKeySize = routingKeySize;
    this.bits = bytes[bitsAt]! & BITS;
    return true;
  }

  /**
   * Puts a whole message on the tape; `method` is its method frame. Returns where the frame behind the message
   * starts; 0: it is not as simple as that, and then nothing was done.
   */
  takeWhole(tape: Tape, method: Frame, payloadBytesMax: number): number {
    const { bytes: chunk, channel } = method;
    if (!this.scanArgs(chunk, method.at + METHOD_ID_BYTES, method.end)) return 0;
    const headerAt = method.end + 1;
    const headerEnd = frameEnd(chunk, headerAt, FRAME_HEADER, channel);
    const propertiesAt = headerAt + PROPERTIES_START;
    if (headerEnd < propertiesAt || headerEnd - headerAt > payloadBytesMax) return 0;
    if (readI32(chunk, headerAt + FRAME_HEAD_BYTES) !== BASIC_HEADER_START) return 0;
    if (readI32(chunk, headerAt + BODY_SIZE_START) !== 0) return 0;
    const bodySize = readU32(chunk, headerAt + BODY_SIZE_START + 4);
    if (bodySize > this.#messageBytesMax || bodySize > payloadBytesMax) return 0;
    const deliveryMode = scanProperties(chunk, propertiesAt, headerEnd);
    if (deliveryMode < 0) return 0;
    let next = headerEnd + 1;
    const bodyAt = next + FRAME_HEAD_BYTES;
    if (bodySize > 0) {
      const bodyEnd = frameEnd(chunk, next, FRAME_BODY, channel);
      if (bodyEnd - bodyAt !== bodySize) return 0;
      next = bodyEnd + 1;
    }
    const entry = tape.entry(OP_PUBLISH, channel);
    const { ints } = tape;
    ints[entry + SOURCE] = 0;
    ints[entry + PROPERTIES_AT] = propertiesAt;
    ints[entry + PROPERTIES_SIZE] = headerEnd - propertiesAt;
    ints[entry + DELIVERY_MODE] = deliveryMode;
    ints[entry + BODY_AT] = bodyAt;
    ints[entry + BODY_SIZE] = bodySize;
    ints[entry + PUBLISH_BITS] = this.bits;
    ints[entry + EXCHANGE_AT] = this.exchangeAt;
    ints[entry + EXCHANGE_SIZE] = this.exchangeSize;
    ints[entry + ROUTING_KEY_AT] = this.routingKeyAt;
    ints[entry + ROUTING_KEY_SIZE] = this.routingKeySize;
    return next;
  }
}

/** Where the end octet of the frame at `at` is, if it is whole, right and of that type and channel; else 0. */
function frameEnd(chunk: Uint8Array, at: number, type: number, channel: number): number {
  if (chunk.length - at < FRAME_OVERHEAD_BYTES) return 0;
  if (chunk[at] !== type || readU16(chunk, at + 1) !== channel) return 0;
  const end = at + FRAME_HEAD_BYTES + readU32(chunk, at + 3);
  return end < chunk.length && chunk[end] === FRAME_END ? end : 0;
}
