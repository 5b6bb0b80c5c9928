// Messages whose frames have not all come: method, header and body pieces of one channel, copied into one buffer of
// the pool until the message is whole and goes on the tape. Messages that lie whole in one chunk never come here.
//
// Buffer:  exchange | routing key | properties | body        (publishes; of other methods only the last two)
//
// Invariant: memory grows with what was received, at most fourfold, never with what a header claims; a claim only
// gets buffers that lay idle.
import { readU16, readU32 } from '../../../std/bytes.ts';
import { bufferBytes } from './buffer-pool.ts';
import { AmqpError, type MethodIds, NO_METHOD, undecodable } from './errors.ts';
import { CONTENT_HEADER_BYTES, type Frame } from './frame.ts';
import { MESSAGE_BYTES_CEILING, type ReaderLimits } from './limits.ts';
import type { MethodCodec } from './method-codec.ts';
import { BASIC_CLASS, type Method } from './methods.ts';
import { scanProperties } from './properties.ts';
import type { PublishScanner } from './publish.ts';
import {
  BODY_AT,
  BODY_SIZE,
  CONTENT_OBJECT,
  DELIVERY_MODE,
  EXCHANGE_AT,
  EXCHANGE_SIZE,
  OP_CONTENT,
  OP_PUBLISH,
  PROPERTIES_AT,
  PROPERTIES_SIZE,
  PUBLISH_BITS,
  ROUTING_KEY_AT,
  ROUTING_KEY_SIZE,
  SOURCE,
  type Tape,
} from './tape.ts';

/** The state of one channel that is not simply waiting for a method. */
interface Partial {
  /** The channel is closed: all but its close is dropped. */
  readonly isClosed: boolean;
  /** The method that the content belongs to. */
  readonly method: MethodIds;
  /** The decoded method; undefined for publishes. */
  readonly object: Method | undefined;
  exchangeSize: number;
  routingKeySize: number;
  bits: number;
  buffer: Uint8Array | undefined;
  /** Bytes in the buffer. */
  size: number;
  propertiesSize: number;
  deliveryMode: number;
  /** -1: the header has not come. */
  bodySize: number;
  bodyReceived: number;
}

/** With the powers of two of the pool: at most four times what has come. */
const GROWTH = 2;

export class ContentAssembly {
  readonly #tape: Tape;
  readonly #limits: ReaderLimits;
  readonly #partials = new Map<number, Partial>();
  /** Memory of unfinished messages. */
  heldBytes = 0;

  constructor(tape: Tape, limits: ReaderLimits) {
    this.#tape = tape;
    this.#limits = limits;
  }

  /** True if the next frame of the channel must be a method, and any method will do. */
  isIdle(channel: number): boolean {
    return this.#partials.size === 0 || !this.#partials.has(channel);
  }

  isClosed(channel: number): boolean {
    return this.#partials.get(channel)?.isClosed === true;
  }

  /** Drops what was begun on a channel, and all that still comes for it, until `reopen`. */
  close(channel: number): void {
    this.#drop(channel);
    this.#partials.set(channel, newPartial(NO_METHOD, undefined, true));
  }

  reopen(channel: number): void {
    if (this.isClosed(channel)) this.#partials.delete(channel);
  }

  /** Gives all memory back. */
  clear(): void {
    for (const channel of [...this.#partials.keys()]) this.#drop(channel);
  }

  /** The error of a method in the place of a header or a body; undefined: a method may come. */
  refuseMethod(channel: number): AmqpError | undefined {
    const partial = this.#partials.get(channel);
    return partial === undefined ? undefined : unexpected(partial);
  }

  /** A basic.publish whose content follows. Its names are copied. */
  beginPublish(
    channel: number,
    method: MethodIds,
    bytes: Uint8Array,
    args: PublishScanner,
  ): AmqpError | undefined {
    const partial = newPartial(method, undefined);
    partial.exchangeSize = args.exchangeSize;
    partial.routingKeySize = args.routingKeySize;
    partial.bits = args.bits;
    this.#partials.set(channel, partial);
    const error = this.#append(partial, bytes, args.exchangeAt, args.exchangeSize, 0);
    return error ?? this.#append(partial, bytes, args.routingKeyAt, args.routingKeySize, 0);
  }

  /** Another method whose content follows. */
  begin(channel: number, codec: MethodCodec, method: Method): void {
    this.#partials.set(channel, newPartial(codec, method));
  }

  /** The payload of a whole header frame. Puts the message on the tape if it has no body. */
  header(frame: Frame): AmqpError | undefined {
    const { channel, bytes, at, end } = frame;
    const partial = this.#partials.get(channel);
    if (partial === undefined) return notAMethod();
    const { method } = partial;
    if (partial.isClosed) return undefined;
    const weight = readU16(bytes, at + 2);
    if (partial.bodySize >= 0 || weight !== 0) return unexpected(partial);
    const classId = readU16(bytes, at);
    if (classId !== BASIC_CLASS) return wrongClass(classId, method);
    const error = this.#refuseSize(bytes, at + 4, method);
    if (error !== undefined) return error;
    const propertiesAt = at + CONTENT_HEADER_BYTES;
    const deliveryMode = scanProperties(bytes, propertiesAt, end);
    if (deliveryMode < 0) return undecodable(bytes, propertiesAt, end, method);
    partial.propertiesSize = end - propertiesAt;
    partial.deliveryMode = deliveryMode;
    partial.bodySize = readU32(bytes, at + 8);
    const full = this.#append(
      partial,
      bytes,
      propertiesAt,
      partial.propertiesSize,
      partial.bodySize,
    );
    if (full === undefined && partial.bodySize === 0) this.#finish(channel, partial);
    return full;
  }

  /** Whether a body frame of `size` bytes may come now. */
  admitBody(channel: number, size: number): AmqpError | undefined {
    const partial = this.#partials.get(channel);
    if (partial === undefined) return notAMethod();
    if (partial.isClosed) return undefined;
    if (partial.bodySize < 0) return unexpected(partial);
    if (size <= partial.bodySize - partial.bodyReceived) return undefined;
    return new AmqpError(
      'FRAME_ERROR',
      'content body frame exceeds remaining content size',
      partial.method,
    );
  }

  /** Some bytes of an admitted body frame. */
  appendBody(channel: number, bytes: Uint8Array, at: number, count: number): AmqpError | undefined {
    const partial = this.#partials.get(channel);
    if (partial === undefined || partial.isClosed) return undefined;
    const left = partial.bodySize - partial.bodyReceived;
    partial.bodyReceived += count;
    return this.#append(partial, bytes, at, count, left - count);
  }

  /** An admitted body frame has come to its right end. Puts the message on the tape if it is whole. */
  endBody(channel: number): void {
    const partial = this.#partials.get(channel);
    if (partial === undefined || partial.isClosed) return;
    if (partial.bodyReceived === partial.bodySize) this.#finish(channel, partial);
  }

  #refuseSize(bytes: Uint8Array, at: number, method: MethodIds): AmqpError | undefined {
    const size = readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
    const { messageBytesMax } = this.#limits;
    if (size <= messageBytesMax) return undefined;
    if (size <= MESSAGE_BYTES_CEILING) {
      const text = `message size ${size} is larger than configured max size ${messageBytesMax}`;
      return new AmqpError('PRECONDITION_FAILED', text, method);
    }
    return new AmqpError(
      'FRAME_ERROR',
      `content body size ${size} exceeds maximum allowed size ${MESSAGE_BYTES_CEILING}`,
      method,
    );
  }

  /** Copies bytes behind what is there. `expected`: how many are known to follow. */
  #append(
    partial: Partial,
    bytes: Uint8Array,
    at: number,
    count: number,
    expected: number,
  ): AmqpError | undefined {
    const size = partial.size + count;
    const { buffer } = partial;
    if (buffer === undefined || size > buffer.length) {
      const error = this.#grow(partial, size, expected);
      if (error !== undefined) return error;
    }
    partial.buffer!.set(bytes.subarray(at, at + count), partial.size);
    partial.size = size;
    return undefined;
  }

  #grow(partial: Partial, size: number, expected: number): AmqpError | undefined {
    const old = partial.buffer;
    const before = old?.length ?? 0;
    const { pool } = this.#tape;
    const leftBytes = this.#limits.heldBytesMax - this.heldBytes + before;
    const whole = size + expected;
    const room = Math.min(whole, Math.max(size, before) * GROWTH);
    if (bufferBytes(room) > leftBytes) {
      const text = `unfinished messages of this connection exceed ${this.#limits.heldBytesMax} bytes`;
      return new AmqpError('RESOURCE_ERROR', text, partial.method);
    }
    const idle = bufferBytes(whole) > leftBytes ? undefined : pool.takeIdle(whole);
    const grown = idle ?? pool.take(room);
    if (old !== undefined) {
      grown.set(old.subarray(0, partial.size));
      pool.give(old);
    }
    partial.buffer = grown;
    this.heldBytes += grown.length - before;
    return undefined;
  }

  #finish(channel: number, partial: Partial): void {
    const tape = this.#tape;
    this.#partials.delete(channel);
    const buffer = partial.buffer!;
    this.heldBytes -= buffer.length;
    const at = tape.entry(partial.object === undefined ? OP_PUBLISH : OP_CONTENT, channel);
    const { ints } = tape;
    const propertiesAt = partial.exchangeSize + partial.routingKeySize;
    ints[at + SOURCE] = tape.lend(buffer);
    ints[at + PROPERTIES_AT] = propertiesAt;
    ints[at + PROPERTIES_SIZE] = partial.propertiesSize;
    ints[at + DELIVERY_MODE] = partial.deliveryMode;
    ints[at + BODY_AT] = propertiesAt + partial.propertiesSize;
    ints[at + BODY_SIZE] = partial.bodySize;
    if (partial.object !== undefined) {
      ints[at + CONTENT_OBJECT] = tape.keep(partial.object);
      return;
    }
    ints[at + PUBLISH_BITS] = partial.bits;
    ints[at + EXCHANGE_AT] = 0;
    ints[at + EXCHANGE_SIZE] = partial.exchangeSize;
    ints[at + ROUTING_KEY_AT] = partial.exchangeSize;
    ints[at + ROUTING_KEY_SIZE] = partial.routingKeySize;
  }

  #drop(channel: number): void {
    const buffer = this.#partials.get(channel)?.buffer;
    this.#partials.delete(channel);
    if (buffer === undefined) return;
    this.heldBytes -= buffer.length;
    this.#tape.pool.give(buffer);
  }
}

function newPartial(method: MethodIds, object: Method | undefined, isClosed = false): Partial {
  return {
    isClosed,
    method,
    object,
    exchangeSize: 0,
    routingKeySize: 0,
    bits: 0,
    buffer: undefined,
    size: 0,
    propertiesSize: 0,
    deliveryMode: 0,
    bodySize: -1,
    bodyReceived: 0,
  };
}

/** A header or body frame where a method is awaited. */
function notAMethod(): AmqpError {
  return new AmqpError('UNEXPECTED_FRAME', 'expected method frame, got non method frame instead');
}

/** Another frame than the header or body that is awaited. */
function unexpected(partial: Partial): AmqpError {
  const text =
    partial.bodySize < 0
      ? `expected content header for class ${BASIC_CLASS}, got non content header frame instead`
      : 'expected content body, got non content body frame instead';
  return new AmqpError('UNEXPECTED_FRAME', text, partial.method);
}

function wrongClass(classId: number, method: MethodIds): AmqpError {
  const text = `expected content header for class ${BASIC_CLASS}, got one for class ${classId} instead`;
  return new AmqpError('UNEXPECTED_FRAME', text, method);
}
