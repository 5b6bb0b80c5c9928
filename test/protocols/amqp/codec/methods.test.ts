// Every row of the method table against amqplib, whose own table comes from RabbitMQ's machine-readable definition.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AmqpError,
  type FieldTable,
  METHOD_CODECS,
  METHODS,
  type MethodCodec,
  type MethodInput,
  type MethodName,
  methodCodecById,
  writeMethod,
} from '../../../../src/protocols/amqp/codec/index.ts';
import type { ArgKind } from '../../../../src/protocols/amqp/codec/method-rows.ts';
import { ByteWriter, toHex } from '../../../../src/std/bytes.ts';
import { defs } from './amqplib.ts';

const names = Object.keys(METHODS) as MethodName[];
const SAMPLE_TABLE = {
  'x-message-ttl': { '!': 'int32', value: 60_000 },
  nested: { a: [true, null, 'ü'] },
};
const SAMPLE_FIELDS: FieldTable = [
  { name: 'x-message-ttl', value: { type: 'signedint', value: 60_000 } },
  {
    name: 'nested',
    value: {
      type: 'table',
      value: [
        {
          name: 'a',
          value: {
            type: 'array',
            value: [
              { type: 'bool', value: true },
              { type: 'void' },
              { type: 'longstr', value: 'ü' },
            ],
          },
        },
      ],
    },
  },
];

/** Our value and amqplib's for an argument. */
const VALUES: Readonly<Record<ArgKind, readonly (readonly [ours: unknown, theirs: unknown])[]>> = {
  bit: [
    [true, true],
    [false, false],
  ],
  octet: [[0xfe, 0xfe]],
  short: [[0xfffe, 0xfffe]],
  long: [[0xffff_fffe, 0xffff_fffe]],
  longlong: [[2 ** 40 + 7, 2 ** 40 + 7]],
  shortstr: [
    ['naïve', 'naïve'],
    ['', ''],
    ['x'.repeat(255), 'x'.repeat(255)],
  ],
  longstr: [[Uint8Array.of(0, 1, 255), Buffer.from([0, 1, 255])]],
  table: [
    [SAMPLE_FIELDS, SAMPLE_TABLE],
    [[], {}],
  ],
};

/** The nth combination of arguments, for us and for amqplib, whose names are taken by position. */
function argsOf(name: MethodName, turn: number): { ours: object; theirs: object } {
  const codec = METHOD_CODECS[name];
  const ours: Record<string, unknown> = {};
  const theirs: Record<string, unknown> = {};
  const { args } = defs.info(codec.id);
  Object.entries(METHODS[name].args).forEach(([argName, arg], i) => {
    if (arg.isReserved) return;
    // Bits take all their combinations, others walk through their samples.
    const values = VALUES[arg.kind as ArgKind];
    const [our, their] = values[(arg.kind === 'bit' ? turn >> i : turn) % values.length];
    ours[argName] = our;
    theirs[args[i].name] = their;
  });
  return { ours, theirs };
}

/** What decoding is compared with: no arrays of other realms, no Buffers. */
const plain = (codec: MethodCodec, bytes: Uint8Array): unknown =>
  codec.decode(bytes, 11, bytes.length - 1).args;

describe('the table of methods', () => {
  it('has the methods and arguments of RabbitMQ, in order', () => {
    const theirs = Object.entries(defs).filter(([name]) => name !== 'BasicProperties');
    const ids = theirs.map(([, id]) => id).filter((id) => typeof id === 'number' && id > 0xffff);
    expect(ids.sort()).toEqual(names.map((name) => METHOD_CODECS[name].id).sort());
    for (const name of names) {
      const codec = METHOD_CODECS[name];
      const { args } = defs.info(codec.id);
      const kinds = Object.values(METHODS[name].args).map((arg) => arg.kind);
      expect([name, kinds]).toEqual([name, args.map((arg) => arg.type)]);
    }
  });

  it.each(names)('%s is written and read as amqplib does', (name) => {
    const codec = METHOD_CODECS[name] as unknown as MethodCodec;
    for (let turn = 0; turn < 64; turn += 1) {
      const { ours, theirs } = argsOf(name, turn);
      const expected = defs.encodeMethod(codec.id, 515, theirs);
      const writer = new ByteWriter(1);
      writeMethod(writer, 515, name, ours as MethodInput<typeof name>);
      expect(toHex(writer.finish())).toBe(toHex(expected));
      expect(plain(codec, expected)).toEqual(ours);
    }
  });

  it('finds methods by their ids', () => {
    for (const codec of Object.values(METHOD_CODECS)) {
      expect(methodCodecById(codec.id)).toBe(codec);
      expect(codec.id).toBe(codec.classId * 65536 + codec.methodId);
    }
    expect(methodCodecById(0x003c03e7)).toBe(undefined);
  });

  it('leaves bits and tables out, and nothing else', () => {
    const writer = new ByteWriter();
    writeMethod(writer, 1, 'queue.declare', { queue: 'q' });
    const expected = defs.encodeMethod(METHOD_CODECS['queue.declare'].id, 1, { queue: 'q' });
    expect(toHex(writer.finish())).toBe(toHex(expected));
  });
});

describe('arguments that are not what they should be', () => {
  const declare = METHOD_CODECS['queue.declare'];

  it('are refused with what was read, as RabbitMQ does', () => {
    // ticket, "a", bits, a table that claims 9 bytes and has 3.
    const cut = Buffer.from('000001610000000009016156', 'hex');
    expect(() => declare.decode(cut, 0, cut.length)).toThrow(
      'cannot decode <<0,0,1,97,0,0,0,0,9,1,97,86>>',
    );
    const badText = Buffer.from('000001ff0000000000', 'hex');
    expect(() => declare.decode(badText, 0, badText.length)).toThrow('Malformed UTF-8 in shortstr');
  });

  it('are refused at every cut and with every byte too many', () => {
    for (const name of names) {
      const codec = METHOD_CODECS[name] as unknown as MethodCodec;
      const whole = defs.encodeMethod(codec.id, 1, argsOf(name, 5).theirs);
      const args = new Uint8Array(whole.subarray(11, -1));
      for (let end = 0; end < args.length; end += 1) {
        expect(() => codec.decode(args, 0, end), `${name} cut at ${end}`).toThrow(AmqpError);
      }
      const longer = Uint8Array.of(...args, 0);
      expect(() => codec.decode(longer, 0, longer.length), name).toThrow(AmqpError);
    }
  });

  it('are never anything but a protocol error', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.values(METHOD_CODECS) as unknown as MethodCodec[])),
        fc.uint8Array({ maxLength: 60 }),
        (codec, bytes) => {
          try {
            codec.decode(bytes, 0, bytes.length);
          } catch (error) {
            expect(error).toBeInstanceOf(AmqpError);
            expect((error as AmqpError).replyCode).toBe(501);
            expect((error as AmqpError).method.classId).toBe(codec.classId);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('that cannot be written leave the writer as it was', () => {
    const writer = new ByteWriter();
    writeMethod(writer, 1, 'channel.open', {});
    const before = toHex(writer.finish());
    const bad: (() => void)[] = [
      () => writeMethod(writer, 1, 'basic.consume-ok', { consumerTag: 'x'.repeat(256) }),
      () => writeMethod(writer, 1, 'queue.purge-ok', { messageCount: 2 ** 32 }),
      () => writeMethod(writer, 1, 'queue.purge-ok', { messageCount: -1 }),
      () => writeMethod(writer, 1, 'queue.purge-ok', { messageCount: 0.5 }),
      () => writeMethod(writer, 1, 'basic.ack', { deliveryTag: 2 ** 53 }),
      // @ts-expect-error: an argument is missing.
      () => writeMethod(writer, 1, 'queue.purge-ok', {}),
      // @ts-expect-error: not bytes.
      () => writeMethod(writer, 1, 'connection.secure', { challenge: 'text' }),
    ];
    for (const write of bad) {
      expect(write).toThrow(/^does not fit/);
      expect(toHex(writer.finish())).toBe(before);
    }
  });
});
