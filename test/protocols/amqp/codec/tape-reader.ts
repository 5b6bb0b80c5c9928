// Tapes as plain objects, so that tests can compare what different cuts of the same bytes give.
import {
  ACK_BITS,
  type BasicProperties,
  BODY_AT,
  BODY_SIZE,
  DELIVERY_MODE,
  ENTRY_INTS,
  EXCHANGE_AT,
  EXCHANGE_SIZE,
  FrameReader,
  type Method,
  OP_ACK,
  OP_CONTENT,
  OP_FAULT,
  OP_METHOD,
  OP_NACK,
  OP_PUBLISH,
  OP_REJECT,
  OP_START,
  PROPERTIES_AT,
  PROPERTIES_SIZE,
  PUBLISH_BITS,
  type ReaderOptions,
  ROUTING_KEY_AT,
  ROUTING_KEY_SIZE,
  SOURCE,
  Tape,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { decodeProperties } from './all-properties.ts';

export interface Message {
  readonly channel: number;
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly bits?: number;
  readonly method?: Method;
  readonly deliveryMode: number;
  readonly properties: BasicProperties;
  readonly body: string;
}

export type Entry =
  | { readonly op: 'start' }
  | ({ readonly op: 'publish' | 'content' } & Message)
  | {
      readonly op: 'ack' | 'nack' | 'reject';
      readonly channel: number;
      readonly tag: string;
      readonly bits: number;
    }
  | { readonly op: 'method'; readonly channel: number; readonly method: Method }
  | {
      readonly op: 'fault';
      readonly channel: number;
      readonly code: number;
      readonly text: string;
      readonly ids: readonly [number, number];
      readonly isSyncLost: boolean;
    }
  | { readonly op: 'wrong protocol'; readonly seen: string; readonly answer: string };

function latin1(bytes: Uint8Array, at: number, size: number): string {
  return Buffer.from(bytes.subarray(at, at + size)).toString('latin1');
}

function messageAt(tape: Tape, at: number): Message {
  const { ints } = tape;
  const bytes = tape.bytesOf(ints[at + SOURCE]);
  const propertiesAt = ints[at + PROPERTIES_AT];
  return {
    channel: ints[at + 1],
    deliveryMode: ints[at + DELIVERY_MODE],
    properties: decodeProperties(bytes, propertiesAt, propertiesAt + ints[at + PROPERTIES_SIZE]),
    body: latin1(bytes, ints[at + BODY_AT], ints[at + BODY_SIZE]),
  };
}

function entryAt(tape: Tape, at: number): Entry {
  const { ints } = tape;
  const op = ints[at];
  const channel = ints[at + 1];
  switch (op) {
    case OP_START:
      return { op: 'start' };
    case OP_PUBLISH: {
      const bytes = tape.bytesOf(ints[at + SOURCE]);
      return {
        op: 'publish',
        ...messageAt(tape, at),
        exchange: latin1(bytes, ints[at + EXCHANGE_AT], ints[at + EXCHANGE_SIZE]),
        routingKey: latin1(bytes, ints[at + ROUTING_KEY_AT], ints[at + ROUTING_KEY_SIZE]),
        bits: ints[at + PUBLISH_BITS],
      };
    }
    case OP_CONTENT:
      return { op: 'content', ...messageAt(tape, at), method: tape.methodAt(at) };
    case OP_ACK:
    case OP_NACK:
    case OP_REJECT: {
      const name = op === OP_ACK ? 'ack' : op === OP_NACK ? 'nack' : 'reject';
      return { op: name, channel, tag: tape.deliveryTagTextAt(at), bits: ints[at + ACK_BITS] };
    }
    case OP_METHOD:
      return { op: 'method', channel, method: tape.methodAt(at) };
    case OP_FAULT: {
      const { error, isSyncLost } = tape.faultAt(at);
      const { replyCode: code, replyText: text, method } = error;
      return {
        op: 'fault',
        channel,
        code,
        text,
        ids: [method.classId, method.methodId],
        isSyncLost,
      };
    }
    default: {
      const { seen, answer } = tape.wrongProtocolAt(at);
      return { op: 'wrong protocol', seen, answer: latin1(answer, 0, answer.length) };
    }
  }
}

export function entriesOf(tape: Tape): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < tape.size; at += ENTRY_INTS[tape.ints[at]]) entries.push(entryAt(tape, at));
  return entries;
}

/** A reader with its own tape, and what it has read. */
export class TestReader {
  readonly tape = new Tape();
  readonly reader: FrameReader;
  readonly entries: Entry[] = [];

  constructor(options?: ReaderOptions) {
    this.reader = new FrameReader(this.tape, options);
  }

  /** Receives each chunk as a view into a larger Buffer that is overwritten afterwards: bytes are lent. */
  receive(...chunks: readonly Uint8Array[]): this {
    for (const chunk of chunks) {
      const lent = Buffer.alloc(chunk.length + 5, 0xaa);
      lent.set(chunk, 3);
      this.reader.receive(lent.subarray(3, 3 + chunk.length));
      this.entries.push(...entriesOf(this.tape));
      this.tape.release();
      lent.fill(0xbb);
    }
    return this;
  }
}

const HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');
/** connection.tune-ok with frame_max 131072, then connection.open of `/`. */
const TUNED = Buffer.from('0100000000000c000a001f0000000200000000ce', 'hex');
const OPENED = Buffer.from('01000000000008000a0028012f0000ce', 'hex');

/** What a client has sent when its channels may be used. */
export const OPENING = Buffer.concat([HEADER, TUNED, OPENED]);

/** A server's reader whose client may use channels; what led there is not among its entries. */
export function openReader(options?: ReaderOptions): TestReader {
  const reader = new TestReader(options).receive(OPENING);
  if (reader.entries.length !== 3) throw new Error('the opening was not understood');
  reader.entries.length = 0;
  return reader;
}
