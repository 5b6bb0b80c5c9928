// Random messages of each protocol, published and read in another: what the reader is given is what the publisher said,
// or the difference is a row of the table in docs/reference/mapping.md; and each row of the table occurs.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROCKET_LIMITS } from '../../../src/protocols/rocketmq/grpc/limits.ts';
import { md5Hex } from '../../../src/protocols/rocketmq/grpc/md5.ts';
import { sendable } from '../../../src/protocols/rocketmq/grpc/messages-in.ts';
import { messageOf } from '../../../src/protocols/rocketmq/grpc/messages-out.ts';
import { Refusal } from '../../../src/protocols/rocketmq/grpc/refusal.ts';
import { encodeBatch, RecordReader } from '../../../src/records/records.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { runs } from '../../setup/runs.ts';
import { decodeProperties } from '../amqp/codec/all-properties.ts';
import { deliveredOf, encoded, framesOf, recordOf } from '../amqp/mapping/through.ts';
import { amqpMessage, kafkaRecord, rocketMessage, sentOf } from './arbitrary.ts';
import { LOSSES, lossOf, type Protocol, type Reading, rowOf } from './losses.ts';
import {
  type AmqpMessage,
  type KafkaRecord,
  ofAmqp,
  ofKafka,
  ofRocket,
  type RocketMessage,
} from './messages.ts';
import { bytesOf, type Difference, differences, isUtf8, type Neutral } from './neutral.ts';

/** When a message comes that does not say when it was made. */
const ARRIVAL_MS = 1_650_000_000_000;

// ---- Publishing: what is said, and the record that is made of it ----------------------------------------

interface Published {
  readonly said: Neutral;
  readonly record: KafkaRecord;
}

function publishedByAmqp(message: AmqpMessage): Published {
  const { exchange, routingKey, body } = message;
  const properties = encoded(message.properties);
  const { seen } = recordOf(
    framesOf({ exchange, routingKey: bytesOf(routingKey), properties, body }),
  );
  const headers = seen.headers.map(([name, value]) => ({
    name,
    value: value === null ? null : bytesOf(value),
  }));
  const timestampMs = seen.timestampMs < 0 ? ARRIVAL_MS : seen.timestampMs;
  return { said: ofAmqp(message), record: { ...seen, headers, timestampMs } };
}

function publishedByKafka(record: KafkaRecord): Published {
  return { said: ofKafka(record), record };
}

function publishedByRocket(message: RocketMessage): Published {
  const unpack = (bytes: Uint8Array) => new Uint8Array(gunzipSync(bytes));
  const rules = { limits: ROCKET_LIMITS, wallMs: ARRIVAL_MS * 2, unpack, md5Hex };
  const made = sendable(sentOf(message), rules);
  if (made instanceof Refusal) throw new Error(made.text);
  const born = message.born === undefined ? { timestampMs: ARRIVAL_MS } : {};
  return { said: ofRocket(message), record: { ...made.record, ...born } };
}

// ---- Reading: what a reader of each protocol is given ---------------------------------------------------

interface Place extends Reading {
  /** -1: of a queue. */
  readonly offset: number;
}

function stored(record: KafkaRecord): RecordReader {
  const batch = encodeBatch([record], crc32c);
  const reader = new RecordReader();
  expect(reader.open(batch, 0, batch.length)).toBe('ok');
  expect(reader.next()).toBe(true);
  return reader;
}

function readByAmqp(record: KafkaRecord, { frameBytesMax, offset }: Place): Neutral {
  const got = deliveredOf(stored(record), frameBytesMax, offset);
  const properties = decodeProperties(got.properties, 0, got.properties.length);
  const exchange = Buffer.from(got.exchange, 'latin1').toString();
  return ofAmqp({ exchange, routingKey: got.routingKey, properties, body: got.body });
}

function readByKafka(record: KafkaRecord): Neutral {
  const reader = stored(record);
  const { timestampMs } = reader;
  return ofKafka({
    key: reader.key(),
    value: reader.value(),
    headers: reader.headers(),
    timestampMs,
  });
}

function readByRocket(record: KafkaRecord, { offset }: Place): Neutral {
  const reader = stored(record);
  const message = messageOf({
    md5Hex,
    record: {
      lease: { logId: 7, offset: Math.max(0, offset), epoch: 1, number: 1 },
      timestampMs: reader.timestampMs,
      key: reader.key(),
      value: reader.value(),
      headers: reader.headers(),
      deliveryCount: 1,
    },
    topic: { resourceNamespace: '', name: 't' },
    queueId: 0,
    receiptHandle: 'h',
    leaseMs: 1_000,
  });
  const { body, userProperties, systemProperties: system } = message;
  const { messageGroup, tag, traceContext, bornTimestamp, deliveryTimestamp } = system!;
  return ofRocket({
    body: body!,
    isPacked: system!.bodyEncoding !== 1,
    messageId: system!.messageId!,
    group: messageGroup,
    tag,
    keys: system!.keys as readonly string[],
    bornHost: system!.bornHost!,
    born: bornTimestamp as RocketMessage['born'],
    due: deliveryTimestamp as RocketMessage['due'],
    trace: traceContext,
    properties: userProperties as ReadonlyMap<string, string>,
  });
}

// ---- Every way --------------------------------------------------------------------------------------

const PUBLISHED: { readonly [P in Protocol]: fc.Arbitrary<Published> } = {
  AMQP: amqpMessage.map(publishedByAmqp),
  Kafka: kafkaRecord.map(publishedByKafka),
  RocketMQ: rocketMessage.map(publishedByRocket),
};
const READ = { AMQP: readByAmqp, Kafka: readByKafka, RocketMQ: readByRocket };
const WAYS = (Object.keys(PUBLISHED) as Protocol[]).flatMap((from) =>
  (Object.keys(READ) as Protocol[]).flatMap((to) => (from === to ? [] : [{ from, to }])),
);
const place: fc.Arbitrary<Place> = fc.record({
  frameBytesMax: fc.constantFrom(0, 4_096),
  offset: fc.constantFrom(-1, 0, 17, 2 ** 40),
});

interface Judged {
  readonly rows: readonly string[];
  readonly defects: readonly Difference[];
}

function judge(way: (typeof WAYS)[number], { said, record }: Published, at: Place): Judged {
  const seen = READ[way.to](record, at);
  const rows: string[] = [];
  const defects: Difference[] = [];
  for (const difference of differences(said, seen)) {
    const loss = lossOf(difference, way, said, seen, at);
    if (loss === undefined) defects.push(difference);
    else rows.push(loss.what);
  }
  return { rows, defects };
}

describe.each(WAYS)('from $from to $to', (way) => {
  it('a reader is given what was said, but for what the table has', () => {
    fc.assert(
      fc.property(PUBLISHED[way.from], place, (published, at) => {
        expect(judge(way, published, at).defects).toEqual([]);
      }),
      { numRuns: runs(2_000, 300) },
    );
  });

  it('each row of the table occurs', () => {
    const sample = fc.sample(fc.tuple(PUBLISHED[way.from], place), { numRuns: 1_000, seed: 1 });
    const seen = new Set(sample.flatMap(([published, at]) => judge(way, published, at).rows));
    const listed = LOSSES.filter(({ from, to }) => from.includes(way.from) && to.includes(way.to));
    expect([...seen].sort()).toEqual(listed.map(({ what }) => what).sort());
  });

  it('anything else that was otherwise would be found', () => {
    const at = { frameBytesMax: 0, offset: -1 };
    fc.assert(
      fc.property(PUBLISHED[way.from], fc.nat(), ({ said, record }, pick) => {
        // These say something of the key, and of headers with other names.
        fc.pre(!said.headers.some(({ name }) => /^amqp\.(routing-key|header\.)/.test(name)));
        const seen = READ[way.to](record, at);
        for (const wrong of mutations(said, seen, pick)) {
          const all = differences(said, wrong);
          expect(all.every((each) => lossOf(each, way, said, wrong, at) !== undefined)).toBe(false);
        }
      }),
      { numRuns: runs(500, 100) },
    );
  });
});

/** Everybody can show it. */
function isHarmless({ name, value, type }: Neutral['headers'][number]): boolean {
  const isPlain = value !== null && isUtf8(value) && isUtf8(name) && type === undefined;
  return isPlain && !name.startsWith('amqp.') && !/^([A-Z_]+|x-stream-offset|n{256})$/.test(name);
}

function mutations(said: Neutral, seen: Neutral, pick: number): Neutral[] {
  const { headers } = seen;
  const at = pick % Math.max(1, headers.length);
  const others = headers.filter((_, i) => i !== at);
  const wrong: Neutral[] = [
    { ...seen, body: `${seen.body ?? ''}!` },
    { ...seen, key: `${seen.key ?? ''}!` },
    { ...seen, headers: [...headers, { name: 'new', value: 'v' }] },
  ];
  const header = headers[at];
  const isKnown = header !== undefined && isHarmless(header);
  // Of several with one name some protocols show one: the table speaks of all of them.
  if (isKnown && said.headers.filter(({ name }) => name === header.name).length === 1) {
    wrong.push({ ...seen, headers: others });
    wrong.push({ ...seen, headers: [...others, { ...header, value: `${header.value}!` }] });
    wrong.push({ ...seen, headers: [...headers, header] });
  }
  return wrong;
}

it('the table in the documents is the one that is tested', () => {
  const path = new URL('../../../docs/reference/mapping.md', import.meta.url);
  const [, section = ''] = readFileSync(path, 'utf8').split('## What does not come through\n');
  const rows = section.split('\n## ')[0]!.split('\n');
  const cells = rows.filter((row) => row.startsWith('| ')).slice(2);
  const documented = cells.map((row) => row.slice(2).split(' | ').slice(0, 3).join(' | '));
  expect(documented).toEqual(LOSSES.map(rowOf));
});
