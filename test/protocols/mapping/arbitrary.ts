// Random messages of each protocol, with a liking for what the others cannot say.
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { FieldTable, FieldValue } from '../../../src/protocols/amqp/codec/index.ts';
import type { DecodedOf } from '../../../src/protocols/rocketmq/grpc/proto/index.ts';
import type { Message } from '../../../src/protocols/rocketmq/grpc/schema/definition.ts';
import {
  DigestType,
  Encoding,
  MessageType,
} from '../../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { ROCKET_FIELDS, ROCKET_SECRETS } from './losses.ts';
import type { AmqpMessage, KafkaRecord, RocketMessage } from './messages.ts';
import { textOf } from './neutral.ts';

/** Some of these are unlikely to be drawn, and all of them are special to somebody. */
const SPECIAL_NAMES = [
  ...ROCKET_FIELDS,
  ...ROCKET_SECRETS,
  'KEYS',
  'amqp.type',
  'amqp.exchange',
  'amqp.routing-key',
  'amqp.priority',
  'amqp.timestamp',
  'amqp.nothing',
  'amqp.header.x',
  'amqp.header.amqp.x',
  'x-stream-offset',
  'n'.repeat(256),
];
const text = fc.string({ unit: 'grapheme', maxLength: 10 });
const bytes = fc.uint8Array({ maxLength: 20 });
const notText = bytes.map((some) => Uint8Array.of(0xff, ...some));
const digits = fc.constantFrom('7', '007', '99', '1700000000000', 'x');
const large = fc.constant('v'.repeat(5_000));
const headerText = fc.oneof(
  { weight: 8, arbitrary: text },
  { weight: 2, arbitrary: digits },
  { weight: 1, arbitrary: large },
);
const utf8 = (value: string): Uint8Array => new TextEncoder().encode(value);
const rarely = <T>(some: fc.Arbitrary<T>) => fc.option(some, { freq: 2, nil: undefined });

// ---- Kafka ------------------------------------------------------------------------------------------

const kafkaName = fc.oneof(text, fc.constantFrom('a', 'b', ...SPECIAL_NAMES));
const kafkaHeader = fc.record({
  name: kafkaName,
  value: fc.oneof(
    { weight: 6, arbitrary: headerText.map(utf8) },
    { weight: 1, arbitrary: notText },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
});

export const kafkaRecord: fc.Arbitrary<KafkaRecord> = fc.record({
  key: fc.option(
    fc.oneof(
      { weight: 4, arbitrary: text.map(utf8) },
      { weight: 1, arbitrary: notText },
      { weight: 1, arbitrary: fc.constant(utf8('k'.repeat(256))) },
    ),
  ),
  value: fc.option(bytes, { freq: 6 }),
  timestampMs: fc.oneof(fc.nat(), fc.constantFrom(-1, 1_700_000_000_123)),
  headers: fc.array(kafkaHeader, { maxLength: 6 }),
});

// ---- AMQP -------------------------------------------------------------------------------------------

const amqpText = fc.oneof({ weight: 6, arbitrary: text }, { weight: 1, arbitrary: notText });
const amqpName = fc.oneof(
  { weight: 4, arbitrary: text },
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', ...SPECIAL_NAMES.slice(0, -1)) },
  { weight: 1, arbitrary: notText },
);
const { value: amqpValue } = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  table: fc.array(fc.record({ name: amqpName, value: tie('value') }), { maxLength: 3 }),
  value: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    fc.record({ type: fc.constant('longstr' as const), value: amqpText }),
    fc.record({ type: fc.constant('longstr' as const), value: headerText }),
    fc.record({ type: fc.constant('longstr' as const), value: text }),
    fc.record({ type: fc.constant('signedint' as const), value: fc.integer() }),
    fc.record({ type: fc.constant('binary' as const), value: bytes }),
    fc.record({ type: fc.constant('bool' as const), value: fc.boolean() }),
    fc.record({ type: fc.constant('void' as const) }),
    fc.record({ type: fc.constant('array' as const), value: fc.array(tie('value')) }),
    fc.record({ type: fc.constant('table' as const), value: tie('table') }),
  ),
}));

export const amqpMessage: fc.Arbitrary<AmqpMessage> = fc.record({
  exchange: fc.oneof(text, fc.constant('')),
  routingKey: fc.oneof(
    { weight: 6, arbitrary: text.map((each) => textOf(utf8(each))) },
    { weight: 1, arbitrary: notText.map(textOf) },
  ),
  body: bytes,
  properties: fc.record(
    {
      contentType: amqpText,
      contentEncoding: text,
      headers: fc.array(fc.record({ name: amqpName, value: amqpValue }), { maxLength: 6 }),
      deliveryMode: fc.nat(255),
      priority: fc.nat(255),
      correlationId: amqpText,
      replyTo: text,
      expiration: text,
      messageId: text,
      timestamp: fc.oneof(fc.nat(), fc.bigInt(0n, 2n ** 64n - 1n)),
      type: text,
      userId: text,
      appId: text,
      clusterId: text,
    },
    { requiredKeys: [] },
  ),
});

// ---- RocketMQ ---------------------------------------------------------------------------------------

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what clients may not send.
const isWord = (each: string): boolean => each.trim() !== '' && !/[\x00-\x1f\x7f-\x9f|]/.test(each);
const word = text.filter(isWord);
const time = fc.record({ seconds: fc.nat(), nanos: fc.constantFrom(0, 5_000_000, 1_234_567) });
const rocketName = fc.oneof(
  { weight: 4, arbitrary: word },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...SPECIAL_NAMES.filter((each) => /^[a-z]/.test(each))),
  },
);
const rocketValue = headerText.filter((each) => each === '' || isWord(each));

export const rocketMessage: fc.Arbitrary<RocketMessage> = fc.record({
  body: fc.uint8Array({ minLength: 1, maxLength: 20 }),
  isPacked: fc.boolean(),
  messageId: fc.stringMatching(/^[0-9A-F]{34}$/),
  group: rarely(word),
  tag: rarely(word),
  keys: fc.array(word, { maxLength: 3 }),
  bornHost: fc.constantFrom('', 'host-1'),
  born: rarely(time),
  due: rarely(time),
  trace: rarely(word),
  properties: fc
    .array(fc.tuple(rocketName, rocketValue), { maxLength: 5 })
    .map((entries) => new Map(entries))
    // More is refused.
    .filter((properties) => [...properties.values()].join('').length < 12_000),
});

/** As its client sends it. */
export function sentOf(message: RocketMessage): DecodedOf<typeof Message> {
  const { body, isPacked, group, tag, keys, bornHost, born, due, trace, properties } = message;
  let messageType: number = MessageType.NORMAL;
  if (group !== undefined) messageType = MessageType.FIFO;
  else if (due !== undefined) messageType = MessageType.DELAY;
  const sent = {
    topic: { resourceNamespace: '', name: 't' },
    userProperties: properties,
    body: isPacked ? new Uint8Array(gzipSync(body)) : body,
    systemProperties: {
      tag,
      keys,
      messageId: message.messageId,
      bodyDigest: { type: DigestType.DIGEST_TYPE_UNSPECIFIED, checksum: '' },
      bodyEncoding: isPacked ? Encoding.GZIP : Encoding.IDENTITY,
      messageType,
      bornTimestamp: born,
      bornHost,
      deliveryTimestamp: due,
      messageGroup: group,
      traceContext: trace,
      queueId: 0,
    },
  };
  return sent as unknown as DecodedOf<typeof Message>;
}
