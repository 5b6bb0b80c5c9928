import { describe, expect, it } from 'vitest';
import {
  ApiVersions,
  DeleteTopics,
  Fetch,
  FindCoordinator,
  ITEMS_MAX,
  JoinGroup,
  KafkaCodec,
  KafkaCodecError,
  Metadata,
  Produce,
  WireWriter,
} from '../../../../src/protocols/kafka/codec/index.ts';
import { concatBytes, encodeUtf8, readI32, toHex } from '../../../../src/std/bytes.ts';
import { ZERO_UUID } from '../../../../src/std/uuid.ts';
import { fromHex } from '../../../setup/hex.ts';

const codec = new KafkaCodec();
const spaced = (hex: string): Uint8Array => fromHex(hex.replaceAll(' ', ''));

/** Hand-written bytes behind the size that they have. */
const framed = (hex: string): string => (hex.length / 2).toString(16).padStart(8, '0') + hex;

function response(write: (writer: WireWriter) => void): string {
  const writer = new WireWriter();
  write(writer);
  return toHex(writer.finish());
}

describe('request headers', () => {
  it('of flexible versions have tagged fields behind an old-style client id', () => {
    // ApiVersions v3: key, version, correlation id, "abc", no tags | compact "lib", compact "1", no
    // tags
    const frame = spaced('0012 0003 00000007 0003616263 00 046c6962 0231 00');
    const header = codec.readRequestHeader(frame, 0, frame.length);
    expect(header).toMatchObject({
      kind: 'request',
      version: 3,
      correlationId: 7,
      clientId: 'abc',
      bodyAt: 14,
    });
    const body = codec.decodeRequest(ApiVersions, 3, frame, 14, frame.length);
    expect(body).toEqual({ clientSoftwareName: 'lib', clientSoftwareVersion: '1' });
    const writer = new WireWriter();
    codec.encodeRequest(ApiVersions, 3, 7, 'abc', body, writer);
    expect(toHex(writer.finish())).toBe(framed(toHex(frame)));
  });

  it('of a version or key without a schema still give the correlation id', () => {
    const future = spaced('0012 0063 00000007 ffff');
    expect(codec.readRequestHeader(future, 0, future.length)).toEqual({
      kind: 'unsupported',
      apiKey: 18,
      version: 99,
      correlationId: 7,
    });
    for (const hex of [
      '0400 0000 00000001',
      'ffff 0000 00000001',
      '0001 0003 00000001',
      '0000 ffff 00000001',
    ]) {
      expect(codec.readRequestHeader(spaced(hex), 0, 8).kind).toBe('unsupported');
    }
  });

  it('cut at any byte are typed errors', () => {
    const frame = spaced('0012 0003 00000007 0003616263 02 0501ff 0900');
    for (let end = 0; end < frame.length; end += 1) {
      expect(() => codec.readRequestHeader(frame, 0, end)).toThrow(KafkaCodecError);
    }
    expect(codec.readRequestHeader(frame, 0, frame.length)).toMatchObject({ bodyAt: frame.length });
  });
});

describe('golden bytes of flexible versions', () => {
  it('FindCoordinator v4 request: an array of compact strings', () => {
    const writer = new WireWriter();
    codec.encodeRequest(
      FindCoordinator,
      4,
      1,
      null,
      { keyType: 0, coordinatorKeys: ['g1'] },
      writer,
    );
    expect(toHex(writer.finish())).toBe(
      framed('000a0004' + '00000001' + 'ffff' + '00' + '00' + '02' + '036731' + '00'),
    );
  });

  it('FindCoordinator v4 response: header with tags', () => {
    expect(
      response((writer) =>
        codec.encodeResponse(
          FindCoordinator,
          4,
          1,
          {
            coordinators: [
              { key: 'g1', nodeId: 2, host: 'h', port: 9092, errorCode: 0, errorMessage: null },
            ],
          },
          writer,
        ),
      ),
    ).toBe(
      framed(
        '00000001' +
          '00' +
          '00000000' +
          '02' +
          '036731' +
          '00000002' +
          '0268' +
          '00002384' +
          '0000' +
          '00' +
          '00' +
          '00',
      ),
    );
  });

  it('ApiVersions v3 response: old header, features as tags, defaults left out', () => {
    expect(
      response((writer) =>
        codec.encodeResponse(
          ApiVersions,
          3,
          9,
          {
            errorCode: 0,
            apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }],
          },
          writer,
        ),
      ),
    ).toBe(framed('00000009' + '0000' + '02' + '001200000004' + '00' + '00000000' + '00'));
    expect(
      response((writer) =>
        codec.encodeResponse(
          ApiVersions,
          4,
          9,
          {
            errorCode: 0,
            apiKeys: [],
            finalizedFeaturesEpoch: 5,
            finalizedFeatures: [{ name: 'f', maxVersionLevel: 1, minVersionLevel: 1 }],
          },
          writer,
        ),
      ),
    ).toBe(
      framed(
        '00000009' +
          '0000' +
          '01' +
          '00000000' +
          '02' +
          '01' +
          '08' +
          '0000000000000005' +
          '02' +
          '08' +
          '02' +
          '0266' +
          '0001' +
          '0001' +
          '00',
      ),
    );
  });

  it('Metadata v12 request: topic ids and a null name', () => {
    const id = 'aa'.repeat(16);
    const frame = spaced(`03 ${id} 00 00 ${'00'.repeat(16)} 0274 00 01 00 00`);
    expect(codec.decodeRequest(Metadata, 12, frame, 0, frame.length)).toEqual({
      topics: [
        { topicId: fromHex(id), name: null },
        { topicId: ZERO_UUID, name: 't' },
      ],
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
    expect(codec.decodeRequest(Metadata, 12, spaced('00 01 00 00'), 0, 4).topics).toBe(null);
  });

  it('Fetch v16 response: the current leader as a tag, before nothing else', () => {
    expect(
      response((writer) =>
        codec.encodeResponse(
          Fetch,
          16,
          1,
          {
            responses: [
              {
                topicId: ZERO_UUID,
                partitions: [
                  {
                    partitionIndex: 0,
                    errorCode: 6,
                    highWatermark: -1,
                    currentLeader: { leaderId: 2, leaderEpoch: 5 },
                    records: null,
                  },
                ],
              },
            ],
            nodeEndpoints: [{ nodeId: 2, host: 'h', port: 1, rack: null }],
          },
          writer,
        ),
      ),
    ).toBe(
      framed(
        '00000001' +
          '00' +
          '00000000' +
          '0000' +
          '00000000' +
          '02' +
          '00'.repeat(16) +
          '02' +
          '00000000' +
          '0006' +
          'ff'.repeat(8) +
          'ff'.repeat(8) +
          'ff'.repeat(8) +
          '00' +
          'ffffffff' +
          '00' +
          '01' +
          '01' +
          '09' +
          '00000002' +
          '00000005' +
          '00' +
          '00' +
          '01' +
          '00' +
          '0d' +
          '02' +
          '00000002' +
          '0268' +
          '00000001' +
          '00' +
          '00',
      ),
    );
  });
});

describe('tagged fields', () => {
  it('that nobody knows are skipped, known ones around them are read', () => {
    // Fetch v12 request with tags 0 (cluster id "c"), 7 (unknown, 3 bytes)
    const body = concatBytes([
      spaced('ffffffff 000001f4 00000001 00000001 00 00000000 ffffffff 01 01 01'),
      spaced('02 00 02 0263 07 03 aabbcc'),
    ]);
    expect(codec.decodeRequest(Fetch, 12, body, 0, body.length)).toMatchObject({
      clusterId: 'c',
      maxWaitMs: 500,
      topics: [],
    });
  });

  it('whose size is a lie are refused', () => {
    const head = spaced('ffffffff 000001f4 00000001 00000001 00 00000000 ffffffff 01 01 01');
    for (const tags of [
      '01 00 03 0263aa',
      '01 00 01 0263',
      '01 07 7f aa',
      'ffffffff0f',
      '01 07 ffffffff0f',
    ]) {
      const body = concatBytes([head, spaced(tags)]);
      expect(() => codec.decodeRequest(Fetch, 12, body, 0, body.length)).toThrow(KafkaCodecError);
    }
  });
});

describe('bad input', () => {
  it('an array that claims 2^31 - 1 entries costs nothing and is refused', () => {
    const claim = spaced('7fffffff 00000000');
    expect(() => codec.decodeRequest(Metadata, 1, claim, 0, claim.length)).toThrow(
      /more items than there are bytes/,
    );
    const compact = spaced('ffffffff0f 00 00 00');
    expect(() => codec.decodeRequest(Metadata, 9, compact, 0, compact.length)).toThrow(
      /more items than there are bytes/,
    );
  });

  it('more items than any real message has are refused even where the bytes are there', () => {
    const count = ITEMS_MAX + 1;
    const body = new Uint8Array(4 + count * 2);
    body.set([count >>> 24, count >>> 16, count >>> 8, count]);
    expect(() => codec.decodeRequest(Metadata, 1, body, 0, body.length)).toThrow(
      /too many array items/,
    );
  });

  it('negative sizes and nulls where none may be are refused', () => {
    // DeleteTopics v1: names, timeout
    for (const hex of [
      'fffffffe 00000000',
      'ffffffff 00000000',
      '00000001 fffe 00000000',
      '00000001 ffff 00000000',
    ]) {
      const body = spaced(hex);
      expect(() => codec.decodeRequest(DeleteTopics, 1, body, 0, body.length)).toThrow(
        KafkaCodecError,
      );
    }
  });

  it('text that is not UTF-8 and offsets beyond 2^53 are refused', () => {
    const text = spaced('00000001 0001ff 00000000');
    expect(() => codec.decodeRequest(DeleteTopics, 1, text, 0, text.length)).toThrow(
      KafkaCodecError,
    );
    const fetch = spaced(
      'ffffffff 00000000 00000000 00000000 00 00000001 000174 00000001' +
        '00000000 7fffffffffffffff 00000000',
    );
    expect(() => codec.decodeRequest(Fetch, 4, fetch, 0, fetch.length)).toThrow(KafkaCodecError);
  });

  it('values that do not fit are refused when encoding, as are fields that were forgotten', () => {
    const writer = new WireWriter();
    const part = codec.responsePart(JoinGroup, 5);
    const good = { errorCode: 0, protocolName: 'p', leader: '', memberId: '', members: [] };
    part.write(writer, good);
    for (const bad of [
      { errorCode: 40_000 },
      { errorCode: undefined },
      { leader: undefined },
      { leader: 5 },
      { members: 'x' },
      { generationId: 0.5 },
      { leader: 'x'.repeat(40_000) },
    ]) {
      expect(() => part.write(writer, { ...good, ...bad })).toThrow(KafkaCodecError);
    }
  });
});

describe('absent fields', () => {
  it('are their defaults, and null is empty where a version has no null', () => {
    const writer = new WireWriter();
    codec.requestPart(Metadata, 0).write(writer, { topics: null });
    expect(toHex(writer.finish())).toBe('00000000');
    expect(codec.decodeRequest(Metadata, 0, writer.finish(), 0, 4)).toMatchObject({
      topics: [],
      allowAutoTopicCreation: true,
    });
  });
});

describe('records sent beside the writer', () => {
  it('count in the sizes, and segments give the order to send', () => {
    const batches = [encodeUtf8('first batch'), encodeUtf8('2nd')];
    const body = (
      records: (at: number) => Uint8Array | { length: number; ref: number } | null,
    ) => ({
      responses: [
        {
          topic: 't',
          partitions: [0, 1, 2].map((at) => ({
            partitionIndex: at,
            errorCode: 0,
            highWatermark: 9,
            records: at < 2 ? records(at) : null,
          })),
        },
      ],
    });
    for (const version of [4, 11, 12]) {
      const inline = new WireWriter();
      codec.encodeResponse(
        Fetch,
        version,
        5,
        body((at) => batches[at]!),
        inline,
      );
      codec.encodeResponse(
        Fetch,
        version,
        6,
        body((at) => batches[at]!),
        inline,
      );
      const beside = new WireWriter(8);
      codec.encodeResponse(
        Fetch,
        version,
        5,
        body((at) => ({ length: batches[at]!.length, ref: at })),
        beside,
      );
      codec.encodeResponse(
        Fetch,
        version,
        6,
        body((at) => ({ length: batches[at]!.length, ref: at })),
        beside,
      );
      const segments = beside.segments();
      expect(segments.map((s) => (s instanceof Uint8Array ? 'bytes' : s.ref))).toEqual([
        'bytes',
        0,
        'bytes',
        1,
        'bytes',
        0,
        'bytes',
        1,
        'bytes',
      ]);
      const sent = concatBytes(
        segments.map((s) => (s instanceof Uint8Array ? s : batches[s.ref as number]!)),
      );
      expect(toHex(sent)).toBe(toHex(inline.finish()));
      expect(beside.size + beside.cutBytes).toBe(sent.length);
      expect(readI32(sent, 0) * 2 + 8).toBe(sent.length);
      beside.reset();
      expect([beside.segments(), beside.cutBytes]).toEqual([[], 0]);
    }
  });

  it('leave no trace of a frame that could not be encoded', () => {
    const writer = new WireWriter();
    codec.encodeResponse(FindCoordinator, 4, 1, { coordinators: [] }, writer);
    const before = toHex(writer.finish());
    const partition = {
      partitionIndex: 0,
      errorCode: 0,
      highWatermark: 0,
      records: { length: 9, ref: 0 },
    };
    const responses = [
      { topic: 't', partitions: [partition, { ...partition, errorCode: 99_999 }] },
    ];
    expect(() => codec.encodeResponse(Fetch, 11, 2, { responses }, writer)).toThrow(
      KafkaCodecError,
    );
    expect([toHex(writer.finish()), writer.cutBytes, writer.cuts]).toEqual([before, 0, []]);
  });

  it('may be referred to in a produce request as well', () => {
    const writer = new WireWriter();
    codec.encodeRequest(
      Produce,
      9,
      1,
      'c',
      {
        acks: 1,
        timeoutMs: 5,
        topicData: [
          { name: 't', partitionData: [{ index: 0, records: { length: 70_000, ref: 'big' } }] },
        ],
      },
      writer,
    );
    expect(readI32(writer.bytes, 0)).toBe(writer.size - 4 + 70_000);
    expect(writer.segments()[1]).toEqual({ length: 70_000, ref: 'big' });
  });
});
