// What a frame reader found in one chunk of received bytes, as integers: an operation, its channel, and where things
// are. Publishes and acknowledgements, of which there are very many, are nothing else; all other methods are objects
// that an entry points to. One tape serves all connections of a thread: whoever receives bytes obeys the tape before
// the next chunk is read by anybody, because positions are lent with the chunk.
//
// An entry: op | channel | ... of ENTRY_INTS[op] integers. Positions count in `bytesOf(source)`.

import { assert } from '../../../std/assert.ts';
import type { Foreign } from '../../listening/foreign.ts';
import { BufferPool } from './buffer-pool.ts';
import type { AmqpError } from './errors.ts';
import type { Method } from './methods.ts';

/** The protocol header was right: connection.start is awaited. */
export const OP_START = 1;
/** A whole message to be published. */
export const OP_PUBLISH = 2;
export const OP_ACK = 3;
export const OP_NACK = 4;
export const OP_REJECT = 5;
/** Any method without content that is none of the above. */
export const OP_METHOD = 6;
/** A whole message that a server sent: return, deliver or get-ok. Only in readers of clients. */
export const OP_CONTENT = 7;
/** An error of the peer. It is the last entry of its channel, or of the connection. */
export const OP_FAULT = 8;
/** Not this protocol; the last entry. */
export const OP_WRONG_PROTOCOL = 9;

/** Places in every entry. */
const CHANNEL = 1;

/** Places in a publish and a content; `OBJECT` of a content is its decoded method. */
export const SOURCE = 2;
export const PROPERTIES_AT = 3;
export const PROPERTIES_SIZE = 4;
/** 0: none. */
export const DELIVERY_MODE = 5;
export const BODY_AT = 6;
export const BODY_SIZE = 7;
/** Places in a publish. */
export const PUBLISH_BITS = 8;
export const EXCHANGE_AT = 9;
export const EXCHANGE_SIZE = 10;
export const ROUTING_KEY_AT = 11;
export const ROUTING_KEY_SIZE = 12;
/** The place of an object in a content. */
export const CONTENT_OBJECT = 8;

/** Places in an acknowledgement: a delivery tag of 64 bits in two halves, and bits. */
export const TAG_HIGH = 2;
export const TAG_LOW = 3;
export const ACK_BITS = 4;

/** The place of the object in a method, a fault and a wrong protocol. */
const OBJECT = 2;

/** PUBLISH_BITS. */
export const MANDATORY = 1;
export const IMMEDIATE = 2;
/** ACK_BITS. */
export const MULTIPLE = 1;
export const REQUEUE = 2;

const PUBLISH_INTS = 13;
const CONTENT_INTS = 9;
const ACK_INTS = 5;
const OBJECT_INTS = 3;
const START_INTS = 2;

/** Integers of an entry, by op. */
export const ENTRY_INTS: readonly number[] = Object.freeze([
  0,
  START_INTS,
  PUBLISH_INTS,
  ACK_INTS,
  ACK_INTS,
  ACK_INTS,
  OBJECT_INTS,
  CONTENT_INTS,
  OBJECT_INTS,
  OBJECT_INTS,
]);

const INTS_AT_START = 1024;
/** A tape that grew beyond this is not kept: 1 MiB. */
const INTS_KEPT_MAX = 256 * 1024;

/** What was recognised instead of AMQP 0-9-1. */
export interface WrongProtocol {
  readonly seen: 'AMQP 1.0' | 'AMQP, another version' | Foreign;
  /** What the server answers before it closes. */
  readonly answer: Uint8Array;
}

/** An error that the reader found. */
export interface Fault {
  readonly error: AmqpError;
  /** The bytes that follow make no sense: send the close, wait for nothing. */
  readonly isSyncLost: boolean;
}

export class Tape {
  /** Only [0, size) was written. Replaced when it grows. */
  ints: Int32Array = new Int32Array(INTS_AT_START);
  size = 0;
  readonly pool: BufferPool;
  readonly #objects: unknown[] = [];
  /** The chunk, then buffers of the pool. */
  readonly #sources: Uint8Array[] = [];

  constructor(pool: BufferPool = new BufferPool()) {
    this.pool = pool;
  }

  /** Empties the tape for a new chunk. */
  begin(chunk: Uint8Array): void {
    this.release();
    this.#sources.push(chunk);
  }

  /** Forgets everything and gives lent memory back. Positions are invalid from here on. */
  release(): void {
    for (let i = 1; i < this.#sources.length; i += 1) this.pool.give(this.#sources[i]!);
    this.#sources.length = 0;
    this.#objects.length = 0;
    this.size = 0;
    if (this.ints.length > INTS_KEPT_MAX) this.ints = new Int32Array(INTS_AT_START);
  }

  /** The bytes in which the positions of an entry count. */
  bytesOf(source: number): Uint8Array {
    const bytes = this.#sources[source];
    assert(bytes !== undefined, 'Tape: a source that is not there');
    return bytes;
  }

  /** The method of an OP_METHOD at `at`, or of an OP_CONTENT. */
  methodAt(at: number): Method {
    const place = this.ints[at] === OP_CONTENT ? CONTENT_OBJECT : OBJECT;
    return this.#objects[this.ints[at + place]!] as Method;
  }

  /** The fault of an OP_FAULT at `at`. */
  faultAt(at: number): Fault {
    return this.#objects[this.ints[at + OBJECT]!] as Fault;
  }

  /** What an OP_WRONG_PROTOCOL at `at` saw. */
  wrongProtocolAt(at: number): WrongProtocol {
    return this.#objects[this.ints[at + OBJECT]!] as WrongProtocol;
  }

  /** The delivery tag of an acknowledgement, as the nearest number: exact up to 2^53. */
  deliveryTagAt(at: number): number {
    return (this.ints[at + TAG_HIGH]! >>> 0) * 0x1_0000_0000 + (this.ints[at + TAG_LOW]! >>> 0);
  }

  /** Its decimal digits, for error texts; exact. */
  deliveryTagTextAt(at: number): string {
    const high = BigInt(this.ints[at + TAG_HIGH]! >>> 0);
    return String((high << 32n) | BigInt(this.ints[at + TAG_LOW]! >>> 0));
  }

  /** Makes room for an entry, writes its op and channel, and returns where it starts. */
  entry(op: number, channel: number): number {
    const at = this.size;
    const end = at + ENTRY_INTS[op]!;
    if (end > this.ints.length) this.#grow();
    this.ints[at] = op;
    this.ints[at + CHANNEL] = channel;
    this.size = end;
    return at;
  }

  /** Appends an entry that is an op, a channel and an object. */
  objectEntry(op: number, channel: number, object: Method | Fault | WrongProtocol): void {
    const at = this.entry(op, channel);
    this.ints[at + OBJECT] = this.keep(object);
  }

  /** Keeps an object until the tape is released, and returns its place. */
  keep(object: Method | Fault | WrongProtocol): number {
    return this.#objects.push(object) - 1;
  }

  /** Lends a buffer of the pool until the tape is released, and returns its source. */
  lend(buffer: Uint8Array): number {
    return this.#sources.push(buffer) - 1;
  }

  #grow(): void {
    const grown = new Int32Array(this.ints.length * 2);
    grown.set(this.ints.subarray(0, this.size));
    this.ints = grown;
  }
}
