import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { checkBatch } from '../../src/records/batch.ts';
import { decodeRecords, encodeBatch } from '../../src/records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';

// kafkajs has no public encoder; its internal modules are the other party of this conversation.
const require = createRequire(import.meta.url);
const root = require.resolve('kafkajs').replace(/index\.js$/, 'src/');
const RecordBatch = require(`${root}protocol/recordBatch/v0/index.js`).RecordBatch;
const decodeBatch = require(`${root}protocol/recordBatch/v0/decoder.js`);
const KafkaRecord = require(`${root}protocol/recordBatch/record/v0/index.js`);
const Decoder = require(`${root}protocol/decoder.js`);

describe('with kafkajs', () => {
  it('we read the batch it makes', async () => {
    const records = [
      KafkaRecord({
        offsetDelta: 0,
        timestampDelta: 0,
        key: 'a',
        value: 'one',
        headers: { h: 'v' },
      }),
      KafkaRecord({ offsetDelta: 1, timestampDelta: 7, key: null, value: null, headers: {} }),
    ];
    const encoded = await RecordBatch({
      firstTimestamp: 1_700_000_000_000,
      maxTimestamp: 1_700_000_000_007,
      lastOffsetDelta: 1,
      producerId: -1,
      producerEpoch: 0,
      firstSequence: 0,
      records,
    });
    const bytes = new Uint8Array(encoded.buffer);
    expect(checkBatch(bytes, 0, bytes.length, crc32c)).toBe('ok');
    const decoded = decodeRecords(bytes, 0, bytes.length);
    if (decoded.kind !== 'ok') throw new Error(decoded.fault);
    const [first, second] = decoded.records;
    expect([decodeUtf8(first!.key!), decodeUtf8(first!.value!), first!.timestampMs]).toEqual([
      'a',
      'one',
      1_700_000_000_000,
    ]);
    expect(first!.headers.map((h) => [h.name, decodeUtf8(h.value!)])).toEqual([['h', 'v']]);
    expect([second!.key, second!.value, second!.offset, second!.timestampMs]).toEqual([
      null,
      null,
      1,
      1_700_000_000_007,
    ]);
  });

  it('it reads the batch we make', async () => {
    const bytes = encodeBatch(
      [
        {
          timestampMs: 1_700_000_000_000,
          key: encodeUtf8('a'),
          value: encodeUtf8('ü'),
          headers: [{ name: 'h', value: encodeUtf8('v') }],
        },
        { timestampMs: 1_600_000_000_000, key: null, value: encodeUtf8('two') },
      ],
      crc32c,
      { baseOffset: 5_000_000_000, leaderEpoch: 4 },
    );
    const batch = await decodeBatch(new Decoder(Buffer.from(bytes)));
    expect(batch).toMatchObject({
      firstOffset: '5000000000',
      partitionLeaderEpoch: 4,
      lastOffsetDelta: 1,
      maxTimestamp: '1700000000000',
    });
    expect(
      batch.records.map((r: { offset: string; timestamp: string; value: Buffer }) => [
        r.offset,
        r.timestamp,
        r.value.toString(),
      ]),
    ).toEqual([
      ['5000000000', '1700000000000', 'ü'],
      ['5000000001', '1600000000000', 'two'],
    ]);
    expect(batch.records[0].headers.h.toString()).toBe('v');
  });
});
