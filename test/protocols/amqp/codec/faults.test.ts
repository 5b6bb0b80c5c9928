// What a peer can do wrong, with the numbers and words that RabbitMQ 3.10.8 was seen to answer to the same bytes; where
// it crashes the connection or says nothing, our own (marked).
import { describe, expect, it } from 'vitest';
import { METHOD_CODECS, READER_LIMITS } from '../../../../src/protocols/amqp/codec/index.ts';
import { defs, frames, framesOf, publishFrames } from './amqplib.ts';
import { openReader, TestReader } from './tape-reader.ts';

function frame(type: number, channel: number, payload: Uint8Array | string, end = 206): Buffer {
  const bytes =
    typeof payload === 'string' ? Buffer.from(payload.replaceAll(' ', ''), 'hex') : payload;
  const head = Buffer.alloc(7);
  head[0] = type;
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(bytes.length, 3);
  return Buffer.concat([head, bytes, Buffer.of(end)]);
}

/** A content header of class, weight, size and property bytes. */
function header(
  classId: number,
  weight: number,
  size: bigint | number,
  properties = '0000',
): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(classId, 0);
  head.writeUInt16BE(weight, 2);
  head.writeBigUInt64BE(BigInt(size), 4);
  return frame(2, 1, Buffer.concat([head, Buffer.from(properties, 'hex')]));
}

const PUBLISH = defs.encodeMethod(METHOD_CODECS['basic.publish'].id, 1, {
  exchange: '',
  routingKey: 'q',
});
const PUBLISH_IDS = [60, 40];
const NONE = [0, 0];
const body = (hex: string): Buffer => frame(3, 1, hex);

type Case = readonly [
  name: string,
  bytes: Buffer | readonly Buffer[],
  code: number,
  words: string,
  ids: readonly number[],
];

const CASES: readonly Case[] = [
  [
    'a wrong end',
    frame(1, 1, '003c0028000000017100', 0),
    501,
    'type 1, all octets = <<0,60,0,40,0,0,0,1,113,0>>: {invalid_frame_end_marker,0}',
    NONE,
  ],
  [
    'a wrong end behind text',
    frame(4, 1, Buffer.from('hello world'), 7),
    501,
    'type 4, all octets = <<"hello world">>: {invalid_frame_end_marker,7}',
    NONE,
  ],
  [
    'a frame too large',
    Buffer.from('01000100100000', 'hex'),
    501,
    'type 1, all octets = <<>>: {frame_too_large,1048576,131064}',
    NONE,
  ],
  [
    'an unknown type',
    frame(4, 1, Buffer.from('abc')),
    501,
    'type 4, all octets = <<"abc">>: unknown_frame',
    NONE,
  ],
  [
    'an unknown type on channel 0',
    frame(4, 0, '00'),
    501,
    'type 4, all octets = <<0>>: unknown_frame',
    NONE,
  ],
  [
    'an unknown type with much in it',
    frame(9, 1, '00'.repeat(40)),
    501,
    'type 9, first 16 octets = <<0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0>>: unknown_frame',
    NONE,
  ],
  ['a heartbeat on a channel', frame(8, 1, ''), 505, 'type 8, all octets = <<>>', NONE],
  [
    'a heartbeat with a payload',
    frame(8, 0, '00'),
    501,
    'type 8, all octets = <<0>>: unknown_frame',
    NONE,
  ],
  ['a body on channel 0', frame(3, 0, '010203'), 505, 'type 3, all octets = <<1,2,3>>', NONE],
  [
    'a method of three bytes',
    frame(1, 1, '003c03'),
    501,
    'type 1, all octets = <<0,60,3>>: unknown_frame',
    NONE,
  ],
  [
    'a header without a method',
    header(60, 0, 0),
    505,
    'expected method frame, got non method frame instead',
    NONE,
  ],
  [
    'a body without a method',
    body('01'),
    505,
    'expected method frame, got non method frame instead',
    NONE,
  ],
  [
    'a method instead of a header',
    [PUBLISH, PUBLISH],
    505,
    'expected content header for class 60, got non content header frame instead',
    PUBLISH_IDS,
  ],
  [
    'a body instead of a header',
    [PUBLISH, body('01')],
    505,
    'expected content header for class 60, got non content header frame instead',
    PUBLISH_IDS,
  ],
  [
    'a header of another class',
    [PUBLISH, header(50, 0, 1)],
    505,
    'expected content header for class 60, got one for class 50 instead',
    PUBLISH_IDS,
  ],
  [
    'a header with a weight',
    [PUBLISH, header(60, 1, 1)],
    505,
    'expected content header for class 60, got non content header frame instead',
    PUBLISH_IDS,
  ],
  [
    'a header that is cut',
    [PUBLISH, frame(2, 1, '003c00000000')],
    501,
    'type 2, all octets = <<0,60,0,0,0,0>>: unknown_frame',
    NONE,
  ],
  [
    'a method in a body',
    [PUBLISH, header(60, 0, 5), PUBLISH],
    505,
    'expected content body, got non content body frame instead',
    PUBLISH_IDS,
  ],
  [
    'a header in a body',
    [PUBLISH, header(60, 0, 5), header(60, 0, 5)],
    505,
    'expected content body, got non content body frame instead',
    PUBLISH_IDS,
  ],
  [
    'a body behind a message without one',
    [PUBLISH, header(60, 0, 0), body('')],
    505,
    'expected method frame, got non method frame instead',
    NONE,
  ],
  [
    'arguments with bytes behind them',
    frame(1, 1, '003c0028 0000 00 0161 00 00'),
    501,
    'cannot decode <<0,0,0,1,97,0,0>>',
    PUBLISH_IDS,
  ],
  [
    'arguments that are cut',
    frame(1, 1, '003c0028 0000 00 0561'),
    501,
    'cannot decode <<0,0,0,5,97>>',
    PUBLISH_IDS,
  ],
  [
    'a table that is cut',
    frame(1, 1, '0032000a 0000 0161 00 00000009 016156'),
    501,
    'cannot decode <<0,0,1,97,0,0,0,0,9,1,97,86>>',
    [50, 10],
  ],
  [
    'a method that only servers send',
    frame(1, 1, '0032000b 0161 00000001 00000001'),
    503,
    'unimplemented method',
    [50, 11],
  ],
  [
    'content that only servers send',
    frame(1, 1, '003c003c 0161 0000000000000001 00 00 0161'),
    503,
    'unimplemented method',
    [60, 60],
  ],
  // RabbitMQ 4 says this; 3.10 takes the body.
  [
    'a body beyond its header',
    [PUBLISH, header(60, 0, 2), body('010203')],
    501,
    'content body frame exceeds remaining content size',
    PUBLISH_IDS,
  ],
  [
    'a size beyond any limit',
    [PUBLISH, header(60, 0, 536_870_913)],
    501,
    'content body size 536870913 exceeds maximum allowed size 536870912',
    PUBLISH_IDS,
  ],
  // Malformed UTF-8 has the ids of its method here, and none in RabbitMQ.
  [
    'a name that is not UTF-8',
    frame(1, 1, '0032000a 0000 01ff 00 00000000'),
    501,
    'Malformed UTF-8 in shortstr',
    [50, 10],
  ],
  // From here on RabbitMQ 3.10 closes the socket without a word, or says 541.
  ['an unknown method', frame(1, 1, '003c03e7'), 503, 'unknown method 60.999', [60, 999]],
  ['an unknown class', frame(1, 1, 'ffff000a'), 503, 'unknown method 65535.10', [65_535, 10]],
  [
    'a table with an unknown type',
    frame(1, 1, '0032000a 0000 0161 00 00000003 016155'),
    501,
    'a field of unknown type',
    [50, 10],
  ],
  [
    'properties with more flags',
    [PUBLISH, header(60, 0, 0, '00010000')],
    501,
    'cannot decode <<0,1,0,0>>',
    PUBLISH_IDS,
  ],
  [
    'properties that are cut',
    [PUBLISH, header(60, 0, 0, '80000561')],
    501,
    'cannot decode <<128,0,5,97>>',
    PUBLISH_IDS,
  ],
  [
    'properties that are missing',
    [PUBLISH, header(60, 0, 0, '')],
    501,
    'cannot decode <<>>',
    PUBLISH_IDS,
  ],
  [
    'headers with an unknown type',
    [PUBLISH, header(60, 0, 0, '200000000003016155')],
    501,
    'cannot decode <<32,0,0,0,0,3,1,97,85>>',
    PUBLISH_IDS,
  ],
  [
    'an acknowledgement that is too long',
    frame(1, 1, '003c0050 0000000000000001 00 00'),
    501,
    'cannot decode <<0,0,0,0,0,0,0,1,0,0>>',
    [60, 80],
  ],
];

const NAMES: Readonly<Record<number, string>> = {
  501: 'FRAME_ERROR',
  503: 'COMMAND_INVALID',
  505: 'UNEXPECTED_FRAME',
};

describe('an error of the peer', () => {
  it.each(CASES)('%s', (_name, parts, code, words, ids) => {
    const bytes = Buffer.concat(Array.isArray(parts) ? parts : [parts]);
    for (let at = 0; at < bytes.length; at += 1) {
      const reader = openReader();
      reader.receive(bytes.subarray(0, at), bytes.subarray(at));
      // A message before the error is a message.
      const faults = reader.entries.filter((entry) => entry.op !== 'publish');
      expect(faults, `cut at ${at}`).toEqual([
        {
          op: 'fault',
          channel: bytes.readUInt16BE(1),
          code,
          text: `${NAMES[code]} - ${words}`,
          ids,
          isSyncLost: /end_marker|too_large/.test(words),
        },
      ]);
      // Nothing but the close of the connection is given any more, and nothing is held.
      const before = reader.entries.length;
      const closeOk = frame(1, 0, '000a0033');
      reader.receive(PUBLISH, header(60, 0, 2), body('0102'), closeOk);
      expect(reader.entries.slice(before)).toMatchObject(
        reader.reader.isOver ? [] : [{ op: 'method', method: { name: 'connection.close-ok' } }],
      );
      expect(reader.reader.heldBytes).toBe(0);
    }
  });

  it('a body with a wrong end is not a message', () => {
    const whole = publishFrames(1, { exchange: '', routingKey: 'q' }, {}, Buffer.from('abc'));
    whole[whole.length - 1] = 0;
    for (let at = 0; at <= whole.length; at += 1) {
      const { entries, reader } = openReader().receive(whole.subarray(0, at), whole.subarray(at));
      expect(entries).toMatchObject([{ op: 'fault', code: 501, isSyncLost: true }]);
      expect(reader.isOver).toBe(true);
    }
  });

  it('frames on channels before connection.open are unexpected', () => {
    const start = Buffer.from(frames.PROTOCOL_HEADER, 'latin1');
    for (const bytes of [PUBLISH, header(60, 0, 3), body('01'), frame(1, 1, '0014000a00')]) {
      for (let at = 0; at <= bytes.length; at += 1) {
        const reader = new TestReader().receive(start, bytes.subarray(0, at), bytes.subarray(at));
        expect(reader.entries).toMatchObject([{ op: 'start' }, { op: 'fault', code: 505 }]);
        expect(reader.reader.heldBytes).toBe(0);
      }
    }
  });

  it('methods with content on channel 0 are for the session to refuse', () => {
    const { entries } = openReader().receive(frame(1, 0, '003c0028 0000 00 0161 00'));
    expect(entries).toMatchObject([
      { op: 'method', channel: 0, method: { name: 'basic.publish', args: { routingKey: 'a' } } },
    ]);
  });
});

describe('a publish that seems to lie whole in a chunk', () => {
  const whole = publishFrames(1, { exchange: '', routingKey: 'q' }, {}, Buffer.from('abc'));
  const [method, head, piece] = framesOf(whole).map((each) =>
    frame(each.type, each.channel, each.payload),
  );
  const onChannel = (bytes: Buffer, channel: number): Buffer => {
    const other = Buffer.from(bytes);
    other.writeUInt16BE(channel, 1);
    return other;
  };

  it('is not one with the header or the body of another channel', () => {
    for (const rest of [
      [onChannel(head, 2), onChannel(piece, 2)],
      [head, onChannel(piece, 2)],
    ]) {
      const { entries } = openReader().receive(Buffer.concat([method, ...rest]));
      expect(entries).toMatchObject([
        {
          op: 'fault',
          channel: 2,
          code: 505,
          text: expect.stringMatching(/expected method frame/),
        },
      ]);
    }
    // Two messages, the header and body of one behind the method of the other.
    const two = openReader().receive(
      onChannel(method, 2),
      Buffer.concat([method, onChannel(head, 2), onChannel(piece, 2), head, piece]),
    );
    expect(two.entries).toMatchObject([
      { op: 'publish', channel: 2, body: 'abc' },
      { op: 'publish', channel: 1, body: 'abc' },
    ]);
  });

  it('is not one in the place of a body, nor on a closed channel or connection', () => {
    const { entries } = openReader().receive(Buffer.concat([method, head, whole]));
    expect(entries).toMatchObject([
      { op: 'fault', code: 505, text: expect.stringMatching(/expected content body/) },
    ]);
    const closed = openReader();
    closed.reader.closeChannel(1);
    expect(closed.receive(whole).entries).toEqual([]);
    closed.reader.closeConnection();
    expect(closed.receive(onChannel(method, 2), whole).entries).toEqual([]);
    const early = new TestReader().receive(Buffer.from(frames.PROTOCOL_HEADER, 'latin1'), whole);
    expect(early.entries).toMatchObject([{ op: 'start' }, { op: 'fault', code: 505 }]);
    const server = new TestReader({ peer: 'server' }).receive(whole);
    expect(server.entries).toMatchObject([{ op: 'fault', code: 503 }]);
  });

  it('is not one with a frame beyond frame_max', () => {
    const reader = (): TestReader =>
      openReader({ limits: { ...READER_LIMITS, frameBytesMax: 4096 } });
    const headers = { headers: { a: 'x'.repeat(4090) } };
    const long = publishFrames(1, { exchange: '', routingKey: '' }, headers, Buffer.alloc(0));
    const large = publishFrames(1, { exchange: '', routingKey: '' }, {}, Buffer.alloc(4097));
    for (const bytes of [long, large]) {
      expect(reader().receive(bytes).entries).toMatchObject([
        { op: 'fault', code: 501, text: expect.stringMatching(/frame_too_large/) },
      ]);
    }
  });
});

describe('a message beyond the limit', () => {
  const limits = { ...READER_LIMITS, messageBytesMax: 1000 };

  it('closes its channel at its header, and its body is dropped', () => {
    const large = publishFrames(1, { exchange: '', routingKey: 'q' }, {}, Buffer.alloc(1001), 100);
    const fits = publishFrames(2, { exchange: '', routingKey: 'q' }, {}, Buffer.alloc(1000), 100);
    for (const cut of [0, 30, 45, 200, 700]) {
      const reader = openReader({ limits });
      reader.receive(large.subarray(0, cut), large.subarray(cut), fits);
      expect(reader.entries).toMatchObject([
        {
          op: 'fault',
          channel: 1,
          code: 406,
          text: 'PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000',
          ids: PUBLISH_IDS,
          isSyncLost: false,
        },
        { op: 'publish', channel: 2 },
      ]);
      expect(reader.reader.heldBytes).toBe(0);
      reader.receive(frame(1, 1, '00140029'), frame(1, 1, '0014000a00'));
      expect(reader.entries.slice(2)).toMatchObject([
        { method: { name: 'channel.close-ok' } },
        { method: { name: 'channel.open' } },
      ]);
    }
  });
});
