import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Part } from '../../../../src/protocols/kafka/codec/compile.ts';
import {
  APIS,
  type Api,
  KafkaCodec,
  KafkaCodecError,
  WireReader,
  WireWriter,
} from '../../../../src/protocols/kafka/codec/index.ts';
import type { Rows } from '../../../../src/protocols/kafka/codec/rows.ts';
import { BytesError } from '../../../../src/std/bytes.ts';
import { anyStruct, expectedStruct } from './arbitrary-messages.ts';

const codec = new KafkaCodec();

/** Every message of every key, with its compiled form for a version. */
const messages = APIS.flatMap((api) => [
  {
    api,
    name: `${api.name} request`,
    rows: api.request,
    part: (v: number) => codec.requestPart(api, v),
  },
  {
    api,
    name: `${api.name} response`,
    rows: api.response,
    part: (v: number) => codec.responsePart(api, v),
  },
]);

const versionsOf = (api: Api): number[] =>
  Array.from({ length: api.versionMax - api.versionMin + 1 }, (_, i) => api.versionMin + i);

function encode(part: Part, value: unknown): Uint8Array {
  const writer = new WireWriter(16);
  part.write(writer, value);
  return writer.toBytes();
}

function anySample(rows: Rows, seed: number): Record<string, unknown> {
  return fc.sample(anyStruct(rows), { numRuns: 1, seed })[0]!;
}

function decodeFault(part: Part, bytes: Uint8Array, end = bytes.length): unknown {
  try {
    part.read(new WireReader(bytes, 0, end));
    return undefined;
  } catch (error) {
    return error;
  }
}

const isTyped = (fault: unknown): boolean =>
  fault instanceof KafkaCodecError || fault instanceof BytesError;

describe.each(messages)('$name', ({ api, rows, part }) => {
  it('round trips in every version, each field as its version has it', () => {
    for (const version of versionsOf(api)) {
      fc.assert(
        fc.property(anyStruct(rows), (value) => {
          const bytes = encode(part(version), value);
          const reader = new WireReader(bytes);
          expect(part(version).read(reader)).toEqual(expectedStruct(rows, value, version));
          expect(reader.at).toBe(bytes.length);
        }),
        { numRuns: 8 },
      );
    }
  });

  it('cut at any byte is a typed error in every version', () => {
    for (const version of versionsOf(api)) {
      const bytes = encode(part(version), anySample(rows, version + 1));
      for (let end = 0; end < bytes.length; end += 1) {
        expect(isTyped(decodeFault(part(version), bytes, end))).toBe(true);
      }
    }
  });

  it('with any four bytes overwritten decodes or is a typed error', () => {
    const patch = fc.constantFrom(
      [0xff, 0xff, 0xff, 0xff],
      [0x7f, 0xff, 0xff, 0xff],
      [0x80, 0, 0, 0],
      [0xff, 0xff, 0xff, 0x0f],
    );
    for (const version of versionsOf(api)) {
      fc.assert(
        fc.property(fc.nat(), patch, fc.nat(), (seed, four, at) => {
          const bytes = encode(part(version), anySample(rows, seed));
          bytes.set(four.slice(0, bytes.length), at % Math.max(1, bytes.length - 3));
          const fault = decodeFault(part(version), bytes);
          expect(fault === undefined || isTyped(fault)).toBe(true);
        }),
        { numRuns: 8 },
      );
    }
  });
});

describe('versions', () => {
  it('outside the table have no schema', () => {
    for (const api of APIS) {
      expect(() => codec.requestPart(api, api.versionMax + 1)).toThrow(KafkaCodecError);
      expect(() => codec.responsePart(api, api.versionMin - 1)).toThrow(KafkaCodecError);
    }
  });

  it('are the ranges that are advertised', () => {
    expect(
      APIS.map(
        (api) => `${api.name} ${api.versionMin}-${api.versionMax} flexible ${api.flexibleFrom}`,
      ),
    ).toEqual([
      'Produce 0-11 flexible 9',
      'Fetch 4-16 flexible 12',
      'ListOffsets 1-9 flexible 6',
      'Metadata 0-13 flexible 9',
      'OffsetCommit 2-9 flexible 8',
      'OffsetFetch 1-9 flexible 6',
      'FindCoordinator 0-6 flexible 3',
      'JoinGroup 0-9 flexible 6',
      'Heartbeat 0-4 flexible 4',
      'LeaveGroup 0-5 flexible 4',
      'SyncGroup 0-5 flexible 4',
      'DescribeGroups 0-6 flexible 5',
      'ListGroups 0-5 flexible 3',
      'ApiVersions 0-4 flexible 3',
      'CreateTopics 2-7 flexible 5',
      'DeleteTopics 1-6 flexible 4',
      'DeleteRecords 0-2 flexible 2',
      'InitProducerId 0-5 flexible 2',
      'OffsetForLeaderEpoch 2-4 flexible 4',
      'DescribeConfigs 1-4 flexible 4',
      'AlterConfigs 0-2 flexible 2',
      'ElectLeaders 0-2 flexible 2',
      'IncrementalAlterConfigs 0-1 flexible 1',
      'AlterPartitionReassignments 0-0 flexible 0',
      'ListPartitionReassignments 0-0 flexible 0',
      'DescribeCluster 0-2 flexible 0',
    ]);
  });
});
