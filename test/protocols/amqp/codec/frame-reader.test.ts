// Frames as amqplib writes them, cut in every way, against what the reader makes of them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BasicProperties,
  IMMEDIATE,
  MANDATORY,
  METHOD_CODECS,
  type MethodName,
  MULTIPLE,
  REQUEUE,
  tableOf,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { defs, frames, publishFrames } from './amqplib.ts';
import { type Entry, OPENING, openReader, TestReader } from './tape-reader.ts';

function method(channel: number, name: MethodName, fields: object = {}): Buffer {
  return defs.encodeMethod(METHOD_CODECS[name].id, channel, fields);
}

const text = (size: number): Buffer =>
  Buffer.from('0123456789abcdef'.repeat(size / 16 + 1)).subarray(0, size);
const HEADERS = { deliveryMode: 2, headers: { a: 'b' }, contentType: 'text/plain' };
const DECODED: BasicProperties = {
  contentType: 'text/plain',
  headers: tableOf({ a: 'b' }),
  deliveryMode: 2,
};

/** What a client sends, part by part, and what each part means. */
const CONVERSATION: readonly (readonly [bytes: Buffer, entries: readonly Entry[]])[] = [
  [Buffer.from(frames.PROTOCOL_HEADER, 'latin1'), [{ op: 'start' }]],
  [
    method(0, 'connection.start-ok', {
      clientProperties: { product: 'test', capabilities: { 'basic.nack': true } },
      mechanism: 'PLAIN',
      response: Buffer.from('\0guest\0guest'),
      locale: 'en_US',
    }),
    [
      {
        op: 'method',
        channel: 0,
        method: {
          name: 'connection.start-ok',
          args: {
            clientProperties: tableOf({ product: 'test', capabilities: { 'basic.nack': true } }),
            mechanism: 'PLAIN',
            response: new Uint8Array(Buffer.from('\0guest\0guest')),
            locale: 'en_US',
          },
        },
      },
    ],
  ],
  [
    method(0, 'connection.tune-ok', { channelMax: 2047, frameMax: 131_072, heartbeat: 60 }),
    [
      {
        op: 'method',
        channel: 0,
        method: {
          name: 'connection.tune-ok',
          args: { channelMax: 2047, frameMax: 131_072, heartbeat: 60 },
        },
      },
    ],
  ],
  [
    method(0, 'connection.open', { virtualHost: '/' }),
    [{ op: 'method', channel: 0, method: { name: 'connection.open', args: { virtualHost: '/' } } }],
  ],
  [
    method(7, 'channel.open'),
    [{ op: 'method', channel: 7, method: { name: 'channel.open', args: {} } }],
  ],
  [frames.HEARTBEAT_BUF, []],
  [
    publishFrames(7, { exchange: 'ex', routingKey: 'key', mandatory: true }, HEADERS, text(40)),
    [
      {
        op: 'publish',
        channel: 7,
        exchange: 'ex',
        routingKey: 'key',
        bits: MANDATORY,
        deliveryMode: 2,
        properties: DECODED,
        body: text(40).toString(),
      },
    ],
  ],
  [
    publishFrames(8, { exchange: '', routingKey: '', immediate: true }, {}, text(0)),
    [
      {
        op: 'publish',
        channel: 8,
        exchange: '',
        routingKey: '',
        bits: IMMEDIATE,
        deliveryMode: 0,
        properties: {},
        body: '',
      },
    ],
  ],
  [
    method(7, 'basic.ack', { deliveryTag: 3, multiple: true }),
    [{ op: 'ack', channel: 7, tag: '3', bits: MULTIPLE }],
  ],
  [
    Buffer.from('0100070000000d003c0050ffffffffffffffff00ce', 'hex'),
    [{ op: 'ack', channel: 7, tag: '18446744073709551615', bits: 0 }],
  ],
  [
    method(7, 'basic.nack', { deliveryTag: 2 ** 40, multiple: false, requeue: true }),
    [{ op: 'nack', channel: 7, tag: String(2 ** 40), bits: REQUEUE }],
  ],
  [
    method(7, 'basic.nack', { deliveryTag: 0, multiple: true, requeue: false }),
    [{ op: 'nack', channel: 7, tag: '0', bits: MULTIPLE }],
  ],
  [
    method(7, 'basic.reject', { deliveryTag: 5, requeue: true }),
    [{ op: 'reject', channel: 7, tag: '5', bits: REQUEUE }],
  ],
  [
    method(7, 'basic.reject', { deliveryTag: 6, requeue: false }),
    [{ op: 'reject', channel: 7, tag: '6', bits: 0 }],
  ],
  [
    publishFrames(7, { exchange: 'ex', routingKey: 'split' }, { priority: 3 }, text(50), 17),
    [
      {
        op: 'publish',
        channel: 7,
        exchange: 'ex',
        routingKey: 'split',
        bits: 0,
        deliveryMode: 0,
        properties: { priority: 3 },
        body: text(50).toString(),
      },
    ],
  ],
  [
    method(7, 'queue.declare', { queue: 'q', durable: true, arguments: { 'x-max-length': 10 } }),
    [
      {
        op: 'method',
        channel: 7,
        method: {
          name: 'queue.declare',
          args: {
            queue: 'q',
            passive: false,
            durable: true,
            exclusive: false,
            autoDelete: false,
            noWait: false,
            arguments: [{ name: 'x-max-length', value: { type: 'byte', value: 10 } }],
          },
        },
      },
    ],
  ],
  [
    method(0, 'connection.close', { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 }),
    [
      {
        op: 'method',
        channel: 0,
        method: {
          name: 'connection.close',
          args: { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 },
        },
      },
    ],
  ],
];

const WHOLE = Buffer.concat(CONVERSATION.map(([bytes]) => bytes));
const MEANT = CONVERSATION.flatMap(([, entries]) => entries);

describe('a conversation', () => {
  it('is understood part by part', () => {
    const reader = new TestReader();
    for (const [bytes, entries] of CONVERSATION) {
      reader.entries.length = 0;
      expect(reader.receive(bytes).entries).toEqual(entries);
    }
    expect(reader.reader.heldBytes).toBe(0);
  });

  it('is understood in one piece, and cut in two at every byte', () => {
    expect(new TestReader().receive(WHOLE).entries).toEqual(MEANT);
    for (let at = 1; at < WHOLE.length; at += 1) {
      const reader = new TestReader().receive(WHOLE.subarray(0, at), WHOLE.subarray(at));
      expect(reader.entries, `cut at ${at}`).toEqual(MEANT);
      expect(reader.reader.heldBytes).toBe(0);
    }
  });

  it('is understood byte by byte, and cut anyhow', () => {
    const bytes = [...WHOLE].map((byte) => Uint8Array.of(byte));
    expect(new TestReader().receive(...bytes).entries).toEqual(MEANT);
    fc.assert(
      fc.property(fc.array(fc.nat(WHOLE.length), { maxLength: 12 }), (places) => {
        const cuts = [0, ...places.sort((a, b) => a - b), WHOLE.length];
        const chunks = cuts.slice(1).map((end, i) => WHOLE.subarray(cuts[i], end));
        expect(new TestReader().receive(...chunks).entries).toEqual(MEANT);
      }),
    );
  });
});

describe('content', () => {
  const publish = (channel: number, key: string, body: Buffer, piece?: number): Buffer =>
    publishFrames(channel, { exchange: 'e', routingKey: key }, {}, body, piece);

  it('of several channels may be interleaved frame by frame', () => {
    const split = (bytes: Buffer): Buffer[] => {
      const found: Buffer[] = [];
      for (let at = 0; at < bytes.length; ) {
        const end = at + 8 + bytes.readUInt32BE(at + 3);
        found.push(bytes.subarray(at, end));
        at = end;
      }
      return found;
    };
    const one = split(publish(1, 'one', text(30), 10));
    const two = split(publish(2, 'two', text(45), 15));
    const mixed = one.flatMap((frame, i) => [frame, two[i]]);
    const { entries, reader } = openReader().receive(Buffer.concat(mixed));
    expect(entries).toMatchObject([
      { op: 'publish', channel: 1, routingKey: 'one', body: text(30).toString() },
      { op: 'publish', channel: 2, routingKey: 'two', body: text(45).toString() },
    ]);
    expect(reader.heldBytes).toBe(0);
  });

  it('may have empty body frames before its end', () => {
    const whole = publish(1, 'k', text(2));
    const bodyAt = whole.length - 10;
    const empty = frames.makeBodyFrame(1, Buffer.alloc(0));
    const bytes = Buffer.concat([whole.subarray(0, bodyAt), empty, empty, whole.subarray(bodyAt)]);
    expect(openReader().receive(bytes).entries).toMatchObject([{ op: 'publish', body: '01' }]);
  });

  it('whose names are not UTF-8 is taken by its bytes', () => {
    const bytes = Buffer.from('0100010000000b003c0028000001ff01fe00ce', 'hex');
    const header = Buffer.from('0200010000000e003c000000000000000000000000ce', 'hex');
    expect(openReader().receive(bytes, header).entries).toMatchObject([
      { op: 'publish', exchange: '\xff', routingKey: '\xfe', bits: 0 },
    ]);
  });

  it('from a server comes with its decoded method', () => {
    const deliver = Buffer.concat([
      method(3, 'basic.deliver', {
        consumerTag: 'c',
        deliveryTag: 9,
        redelivered: true,
        exchange: 'e',
        routingKey: 'k',
      }),
      publish(3, '', text(20), 8).subarray(
        method(3, 'basic.publish', { exchange: 'e', routingKey: '' }).length,
      ),
    ]);
    const expected = {
      op: 'content',
      channel: 3,
      body: text(20).toString(),
      method: {
        name: 'basic.deliver',
        args: {
          consumerTag: 'c',
          deliveryTag: 9,
          redelivered: true,
          exchange: 'e',
          routingKey: 'k',
        },
      },
    };
    for (let at = 0; at < deliver.length; at += 1) {
      const reader = new TestReader({ peer: 'server' });
      reader.receive(deliver.subarray(0, at), deliver.subarray(at));
      expect(reader.entries).toMatchObject([expected]);
    }
  });
});

describe('frame_max', () => {
  const tune = (frameMax: number): Buffer =>
    method(0, 'connection.tune-ok', { channelMax: 0, frameMax, heartbeat: 0 });
  const header = Buffer.from(frames.PROTOCOL_HEADER, 'latin1');

  it('is 8 KiB before tune-ok, then what the client asked for, at most what was offered', () => {
    const limits = [
      [8192, []],
      [4096, [tune(4096)]],
      [131_072, [tune(131_072)]],
      [131_072, [tune(0xffff_ffff)]],
      // Values that the session will refuse change nothing, nor does a second tune-ok.
      [8192, [tune(4095)]],
      [8192, [tune(0)]],
      [4096, [tune(4096), tune(131_072)]],
    ] as const;
    for (const [expected, tunes] of limits) {
      const { reader } = new TestReader().receive(header, ...tunes);
      expect(reader.payloadBytesMax).toBe(expected);
    }
  });

  it('holds for frames in the same chunk as tune-ok', () => {
    const open = method(0, 'connection.open', { virtualHost: '/' });
    const large = publishFrames(1, { exchange: '', routingKey: '' }, {}, text(100_000));
    const reader = new TestReader().receive(Buffer.concat([header, tune(131_072), open, large]));
    expect(reader.entries.at(-1)).toMatchObject({ op: 'publish', body: text(100_000).toString() });
  });

  it('is the largest payload, and one byte more is refused before it comes', () => {
    for (const isWhole of [true, false]) {
      const fits = frames.makeBodyFrame(1, text(131_072));
      const start = publishFrames(1, { exchange: '', routingKey: '' }, {}, text(131_072));
      const good = openReader().receive(start.subarray(0, start.length - fits.length));
      good.receive(...(isWhole ? [fits] : [fits.subarray(0, 9), fits.subarray(9)]));
      expect(good.entries).toMatchObject([{ op: 'publish' }]);
      const tooLarge = frames.makeBodyFrame(1, text(131_073));
      const bad = openReader().receive(isWhole ? tooLarge : tooLarge.subarray(0, 7));
      expect(bad.entries).toMatchObject([
        {
          op: 'fault',
          code: 501,
          text: 'FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}',
          isSyncLost: true,
        },
      ]);
      expect(bad.reader.isOver).toBe(true);
      expect(bad.reader.heldBytes).toBe(0);
    }
  });
});

describe('a closed channel', () => {
  const publish = publishFrames(1, { exchange: 'e', routingKey: 'k' }, {}, text(30), 10);

  it('gives nothing but its close, until close-ok, whatever was begun or comes', () => {
    const reader = openReader();
    reader.receive(publish.subarray(0, publish.length - 5));
    expect(reader.reader.heldBytes).toBeGreaterThan(0);
    reader.reader.closeChannel(1);
    expect(reader.reader.heldBytes).toBe(0);
    reader.receive(
      publish.subarray(publish.length - 5),
      publish.subarray(0, 60),
      publish.subarray(60),
    );
    reader.receive(method(1, 'basic.ack', { deliveryTag: 1 }), method(1, 'channel.open'));
    expect(reader.entries).toEqual([]);
    expect(reader.reader.heldBytes).toBe(0);
    reader.receive(publishFrames(2, { exchange: 'e', routingKey: 'other' }, {}, text(3)));
    const close = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
    reader.receive(method(1, 'channel.close', close), method(1, 'channel.close-ok'));
    reader.receive(method(1, 'channel.open'), publish);
    expect(reader.entries).toMatchObject([
      { op: 'publish', channel: 2 },
      { op: 'method', channel: 1, method: { name: 'channel.close' } },
      { op: 'method', channel: 1, method: { name: 'channel.close-ok' } },
      { op: 'method', channel: 1, method: { name: 'channel.open' } },
      { op: 'publish', channel: 1 },
    ]);
  });
});

describe('a closed connection', () => {
  it('gives nothing but its close', () => {
    const reader = openReader();
    const publish = publishFrames(1, { exchange: 'e', routingKey: 'k' }, {}, text(30), 10);
    reader.receive(publish.subarray(0, 70));
    reader.reader.closeConnection();
    expect(reader.reader.heldBytes).toBe(0);
    reader.receive(publish.subarray(70), publish, method(1, 'channel.open'), frames.HEARTBEAT_BUF);
    expect(reader.entries).toEqual([]);
    reader.receive(method(0, 'connection.close-ok'));
    expect(reader.entries).toMatchObject([{ method: { name: 'connection.close-ok' } }]);
    reader.reader.end();
    expect(reader.receive(method(0, 'connection.close-ok')).entries).toHaveLength(1);
  });
});

describe('the protocol header', () => {
  const headers = [
    ['AMQP\x00\x00\x09\x01', undefined],
    ['AMQP\x01\x01\x00\x09', undefined],
    ['AMQP\x00\x01\x00\x00', 'AMQP 1.0'],
    ['AMQP\x03\x01\x00\x00', 'AMQP 1.0'],
    ['AMQP\x01\x01\x08\x00', 'AMQP, another version'],
    ['AMQP\x00\x00\x09\x02', 'AMQP, another version'],
    ['AMQP1100', 'AMQP, another version'],
    ['HELLO', 'unknown'],
    ['\x16\x03\x01\x00', 'TLS'],
    ['GET / HTTP/1.1\r\n', 'HTTP'],
    ['SSH-2.0-x', 'SSH'],
    ['\x00\x00\x00\x10\x00\x12\x00\x03', 'Kafka'],
    ['\x00\x00\x01\x10\x00\x00\x00\xc8{"code"', 'RocketMQ Remoting'],
    ['\x00\x00\x00\x10\xff\xff\x00\x00', 'unknown'],
  ] as const;

  it.each(headers)('%j', (header, seen) => {
    const bytes = Buffer.from(header, 'latin1');
    const expected =
      seen === undefined
        ? [{ op: 'start' }]
        : [{ op: 'wrong protocol', seen, answer: 'AMQP\x00\x00\x09\x01' }];
    for (let at = 0; at < bytes.length; at += 1) {
      const reader = new TestReader().receive(bytes.subarray(0, at), bytes.subarray(at));
      expect(reader.entries).toEqual(expected);
      expect(reader.reader.isOver).toBe(seen !== undefined);
      // Nothing behind a wrong header is looked at.
      const more = reader.receive(OPENING.subarray(8)).entries.length;
      expect(more).toBe(seen === undefined ? 3 : 1);
    }
  });
});
