// Messages on their way to a peer: what stands in the method, the properties as they came, and the body, all as
// positions in bytes that somebody else owns. One `OutgoingMessage` is filled again for each message; it appends
// itself to a writer as a whole: method frame, header frame, and body frames no larger than frame_max.
import { assert } from '../../../std/assert.ts';
import { type ByteWriter, EMPTY_BYTES, writeU16, writeU32, writeU64 } from '../../../std/bytes.ts';
import {
  CONTENT_HEADER_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  METHOD_ID_BYTES,
} from './frame.ts';
import { METHOD_CODECS } from './method-codec.ts';
import { BASIC_CLASS } from './methods.ts';

const SHORTSTR_BYTES_MAX = 0xff;
/** Below this size a loop is faster than a view and `set`. */
const LOOP_BYTES_MAX = 48;

const PUBLISH = METHOD_CODECS['basic.publish'].id;
const RETURN = METHOD_CODECS['basic.return'].id;
const DELIVER = METHOD_CODECS['basic.deliver'].id;
const GET_OK = METHOD_CODECS['basic.get-ok'].id;

/** bytes[at, at + size), lent. */
class ByteSlice {
  bytes: Uint8Array = EMPTY_BYTES;
  at = 0;
  size = 0;

  set(bytes: Uint8Array, at = 0, size: number = bytes.length - at): void {
    this.bytes = bytes;
    this.at = at;
    this.size = size;
  }
}

export class OutgoingMessage {
  channel = 0;
  /** The receiver's negotiated frame_max, bytes; 0: bodies are not split. */
  frameBytesMax = 0;
  readonly exchange = new ByteSlice();
  readonly routingKey = new ByteSlice();
  /** Flags and values as in a header frame, which cannot be split, whatever frame_max is. */
  readonly properties = new ByteSlice();
  readonly body = new ByteSlice();
  /** Of deliver and get-ok. */
  deliveryTag = 0;
  redelivered = false;
  /** Of deliver. */
  readonly consumerTag = new ByteSlice();
  /** Of get-ok: what is left in the queue. */
  messageCount = 0;
  /** Of return. */
  replyCode = 0;
  readonly replyText = new ByteSlice();
  /** Of publish: MANDATORY, IMMEDIATE. */
  publishBits = 0;

  #bytes: Uint8Array = EMPTY_BYTES;
  #at = 0;

  writeDeliver(writer: ByteWriter): void {
    this.#begin(writer, DELIVER, 1 + this.consumerTag.size + 8 + 1);
    this.#shortstr(this.consumerTag);
    this.#tag();
    this.#shortstr(this.exchange);
    this.#shortstr(this.routingKey);
    this.#content();
  }

  writeGetOk(writer: ByteWriter): void {
    this.#begin(writer, GET_OK, 8 + 1 + 4);
    this.#tag();
    this.#shortstr(this.exchange);
    this.#shortstr(this.routingKey);
    this.#u32(this.messageCount);
    this.#content();
  }

  writeReturn(writer: ByteWriter): void {
    this.#begin(writer, RETURN, 2 + 1 + this.replyText.size);
    this.#u16(this.replyCode);
    this.#shortstr(this.replyText);
    this.#shortstr(this.exchange);
    this.#shortstr(this.routingKey);
    this.#content();
  }

  /** For clients. */
  writePublish(writer: ByteWriter): void {
    this.#begin(writer, PUBLISH, 2 + 1);
    this.#u16(0);
    this.#shortstr(this.exchange);
    this.#shortstr(this.routingKey);
    this.#u8(this.publishBits);
    this.#content();
  }

  /** Bytes of the message frames besides the method frame. */
  get #contentSize(): number {
    const { frameBytesMax, body } = this;
    const headerSize = FRAME_OVERHEAD_BYTES + CONTENT_HEADER_BYTES + this.properties.size;
    if (body.size === 0) return headerSize;
    const frames = frameBytesMax === 0 ? 1 : Math.ceil(body.size / this.#pieceMax);
    return headerSize + body.size + frames * FRAME_OVERHEAD_BYTES;
  }

  get #pieceMax(): number {
    return this.frameBytesMax - FRAME_OVERHEAD_BYTES;
  }

  /** Makes room for all frames and begins the first. `ownSize`: arguments besides exchange and routing key. */
  #begin(writer: ByteWriter, id: number, ownSize: number): void {
    this.#check();
    const names = 1 + this.exchange.size + 1 + this.routingKey.size;
    const payload = METHOD_ID_BYTES + ownSize + names;
    this.#at = writer.reserve(FRAME_OVERHEAD_BYTES + payload + this.#contentSize);
    this.#bytes = writer.bytes;
    this.#frameHead(FRAME_METHOD, payload);
    this.#u32(id);
  }

  /** Before anything is written: what follows cannot fail. */
  #check(): void {
    assert(this.frameBytesMax === 0 || this.#pieceMax > 0, 'OutgoingMessage: frame_max too small');
    assert(Number.isSafeInteger(this.deliveryTag), 'OutgoingMessage: a delivery tag beyond 2^53');
    const largest = Math.max(
      this.exchange.size,
      this.routingKey.size,
      this.consumerTag.size,
      this.replyText.size,
    );
    assert(largest <= SHORTSTR_BYTES_MAX, 'OutgoingMessage: a name beyond 255 bytes');
  }

  /** Ends the method frame and writes the others. */
  #content(): void {
    this.#u8(FRAME_END);
    const { body, properties } = this;
    this.#frameHead(FRAME_HEADER, CONTENT_HEADER_BYTES + properties.size);
    this.#u32(BASIC_CLASS * 0x1_0000);
    this.#u64(body.size);
    this.#copy(properties.bytes, properties.at, properties.size);
    this.#u8(FRAME_END);
    const pieceMax = this.frameBytesMax === 0 ? body.size : this.#pieceMax;
    for (let done = 0; done < body.size; ) {
      const size = Math.min(pieceMax, body.size - done);
      this.#frameHead(FRAME_BODY, size);
      this.#copy(body.bytes, body.at + done, size);
      this.#u8(FRAME_END);
      done += size;
    }
    this.#bytes = EMPTY_BYTES;
  }

  #frameHead(type: number, size: number): void {
    this.#u8(type);
    this.#u16(this.channel);
    this.#u32(size);
  }

  #tag(): void {
    this.#u64(this.deliveryTag);
    this.#u8(this.redelivered ? 1 : 0);
  }

  #shortstr(text: ByteSlice): void {
    this.#u8(text.size);
    this.#copy(text.bytes, text.at, text.size);
  }

  #copy(from: Uint8Array, fromAt: number, size: number): void {
    const to = this.#bytes;
    const at = this.#at;
    if (size > LOOP_BYTES_MAX) to.set(from.subarray(fromAt, fromAt + size), at);
    else for (let i = 0; i < size; i += 1) to[at + i] = from[fromAt + i]!;
    this.#at = at + size;
  }

  #u8(value: number): void {
    this.#bytes[this.#at] = value;
    this.#at += 1;
  }

  #u16(value: number): void {
    writeU16(this.#bytes, this.#at, value);
    this.#at += 2;
  }

  #u32(value: number): void {
    writeU32(this.#bytes, this.#at, value);
    this.#at += 4;
  }

  #u64(value: number): void {
    writeU64(this.#bytes, this.#at, value);
    this.#at += 8;
  }
}
