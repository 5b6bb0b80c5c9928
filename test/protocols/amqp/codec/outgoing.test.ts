import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MANDATORY,
  METHOD_CODECS,
  type MethodInput,
  type MethodName,
  MULTIPLE,
  OutgoingMessage,
  PROTOCOL_HEADER,
  REQUEUE,
  writeAck,
  writeHeartbeat,
  writeMethod,
  writeNack,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { ByteWriter, concatBytes, encodeUtf8, toHex } from '../../../../src/std/bytes.ts';
import { encodeProperties } from './all-properties.ts';
import { defs, frames, framesOf } from './amqplib.ts';
import { openReader, TestReader } from './tape-reader.ts';

interface Parts {
  readonly exchange: string;
  readonly routingKey: string;
  readonly consumerTag: string;
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly messageCount: number;
  readonly body: Uint8Array;
  readonly frameBytesMax: number;
}

const PARTS: Parts = {
  exchange: 'ex',
  routingKey: 'a.b',
  consumerTag: 'ctag',
  deliveryTag: 2 ** 40 + 1,
  redelivered: true,
  messageCount: 7,
  body: Uint8Array.from({ length: 10_000 }, (_, i) => i * 7),
  frameBytesMax: 4096,
};

const properties = new ByteWriter();
encodeProperties(properties, { deliveryMode: 2, messageId: 'm' });

/** Slices in the middle of other bytes, as they lie in a store. */
function outgoing(parts: Partial<Parts> = {}): OutgoingMessage {
  const all = { ...PARTS, ...parts };
  const message = new OutgoingMessage();
  const { exchange, routingKey, consumerTag } = all;
  const names = encodeUtf8(`<${exchange}${routingKey}${consumerTag}>`);
  message.channel = 515;
  message.frameBytesMax = all.frameBytesMax;
  message.exchange.set(names, 1, exchange.length);
  message.routingKey.set(names, 1 + exchange.length, routingKey.length);
  message.consumerTag.set(names, 1 + exchange.length + routingKey.length, consumerTag.length);
  message.properties.set(properties.finish());
  message.body.set(concatBytes([names, all.body, names]), names.length, all.body.length);
  message.deliveryTag = all.deliveryTag;
  message.redelivered = all.redelivered;
  message.messageCount = all.messageCount;
  message.replyCode = 312;
  message.replyText.set(encodeUtf8('NO_ROUTE'));
  message.publishBits = MANDATORY;
  return message;
}

const NAMES = { exchange: 'ex', routingKey: 'a.b' };
const METHODS_WRITTEN: readonly (readonly [
  MethodName,
  (message: OutgoingMessage, writer: ByteWriter) => void,
  object,
])[] = [
  [
    'basic.deliver',
    (message, writer) => message.writeDeliver(writer),
    { ...NAMES, consumerTag: 'ctag', deliveryTag: 2 ** 40 + 1, redelivered: true },
  ],
  [
    'basic.get-ok',
    (message, writer) => message.writeGetOk(writer),
    { ...NAMES, deliveryTag: 2 ** 40 + 1, redelivered: true, messageCount: 7 },
  ],
  [
    'basic.return',
    (message, writer) => message.writeReturn(writer),
    { ...NAMES, replyCode: 312, replyText: 'NO_ROUTE' },
  ],
  [
    'basic.publish',
    (message, writer) => message.writePublish(writer),
    { ...NAMES, mandatory: true },
  ],
];

describe('an outgoing message', () => {
  it.each(METHODS_WRITTEN)('%s is what the table and amqplib write', (name, write, args) => {
    const writer = new ByteWriter(1);
    write(outgoing(), writer);
    const [method, header, ...bodies] = framesOf(writer.finish());
    const expected = new ByteWriter();
    writeMethod(expected, 515, name, args as MethodInput<typeof name>);
    expect(toHex(method.payload)).toBe(toHex(framesOf(expected.finish())[0].payload));
    expect(method.channel).toBe(515);
    const theirs = { deliveryMode: 2, messageId: 'm' };
    const headerBytes = defs.encodeProperties(defs.BasicProperties, 515, 10_000, theirs);
    expect(toHex(header.payload)).toBe(toHex(framesOf(headerBytes)[0].payload));
    expect(Buffer.concat(bodies.map((each) => each.payload))).toEqual(Buffer.from(PARTS.body));
    expect(bodies.map((each) => each.size)).toEqual([4088, 4088, 1824]);
  });

  it('is split at frame_max, whatever the sizes, and comes back whole', () => {
    const tag = fc.nat(2 ** 31 - 1);
    fc.assert(
      fc.property(
        fc.nat(300),
        fc.integer({ min: 9, max: 60 }),
        tag,
        (size, frameBytesMax, deliveryTag) => {
          const body = Uint8Array.from({ length: size }, (_, i) => i * 3);
          const writer = new ByteWriter(1);
          const message = outgoing({
            body,
            frameBytesMax,
            deliveryTag,
            redelivered: size % 2 === 1,
          });
          message.writeDeliver(writer);
          message.writeDeliver(writer);
          const pieces = framesOf(writer.finish()).filter((each) => each.type === 3);
          expect(pieces.length).toBe(2 * Math.ceil(size / (frameBytesMax - 8)));
          for (const piece of pieces) expect(piece.size + 8).toBeLessThanOrEqual(frameBytesMax);
          const { entries } = new TestReader({ peer: 'server' }).receive(writer.finish());
          const delivered = {
            op: 'content',
            channel: 515,
            method: { name: 'basic.deliver', args: { deliveryTag, redelivered: size % 2 === 1 } },
            properties: { deliveryMode: 2, messageId: 'm' },
            body: Buffer.from(body).toString('latin1'),
          };
          expect(entries).toMatchObject([delivered, delivered]);
        },
      ),
    );
  });

  it('without a frame_max has one body frame, and an empty one none', () => {
    for (const [size, count] of [
      [0, 2],
      [200_000, 3],
    ]) {
      const writer = new ByteWriter(1);
      outgoing({ body: new Uint8Array(size), frameBytesMax: 0 }).writePublish(writer);
      expect(framesOf(writer.finish())).toHaveLength(count);
      expect(openReader().receive(writer.finish()).entries).toMatchObject(
        size === 0 ? [{ op: 'publish', body: '' }] : [{ op: 'fault', code: 501 }],
      );
    }
  });

  it('that cannot be written leaves the writer as it was', () => {
    const writer = new ByteWriter();
    writeHeartbeat(writer);
    for (const parts of [
      { exchange: 'x'.repeat(256) },
      { routingKey: 'x'.repeat(256) },
      { consumerTag: 'x'.repeat(256) },
      { deliveryTag: 2 ** 53 },
      { frameBytesMax: 8 },
    ]) {
      expect(() => outgoing(parts).writeDeliver(writer)).toThrow('OutgoingMessage');
      expect(writer.size).toBe(8);
    }
  });
});

describe('what is written besides', () => {
  it('acknowledgements are what the table and amqplib write', () => {
    const writer = new ByteWriter(1);
    writeAck(writer, 3, 2 ** 52, MULTIPLE);
    writeAck(writer, 3, 1, 0);
    writeNack(writer, 3, 5, MULTIPLE | REQUEUE);
    writeNack(writer, 3, 5, MULTIPLE);
    const ack = METHOD_CODECS['basic.ack'].id;
    const nack = METHOD_CODECS['basic.nack'].id;
    const expected = Buffer.concat([
      defs.encodeMethod(ack, 3, { deliveryTag: 2 ** 52, multiple: true }),
      defs.encodeMethod(ack, 3, { deliveryTag: 1, multiple: false }),
      defs.encodeMethod(nack, 3, { deliveryTag: 5, multiple: true, requeue: true }),
      defs.encodeMethod(nack, 3, { deliveryTag: 5, multiple: true, requeue: false }),
    ]);
    expect(toHex(writer.finish())).toBe(toHex(expected));
    const read = new TestReader({ peer: 'server' }).receive(writer.finish());
    expect(read.entries.map((entry) => [entry.op, 'bits' in entry && entry.bits])).toEqual([
      ['ack', MULTIPLE],
      ['ack', 0],
      ['nack', MULTIPLE | REQUEUE],
      ['nack', MULTIPLE],
    ]);
  });

  it('heartbeats and the protocol header are amqplib’s', () => {
    const writer = new ByteWriter(1);
    writer.raw(PROTOCOL_HEADER);
    writeHeartbeat(writer);
    expect(Buffer.from(writer.finish()).toString('latin1')).toBe(
      frames.PROTOCOL_HEADER + frames.HEARTBEAT_BUF.toString('latin1'),
    );
  });
});
