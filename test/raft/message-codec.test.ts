// Raft messages and stored pieces as bytes: everything survives, a few messages have fixed bytes (nodes
// of two versions talk), and whatever is malformed is refused as a value.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  configurationOf,
  decodeConfiguration,
  decodeMessage,
  type Entry,
  encodeConfiguration,
  encodeMessage,
  peerOf,
  type RaftMessage,
  readEntry,
  readHardState,
  writeEntry,
  writeHardState,
} from '../../src/raft/index.ts';
import { ByteReader, ByteWriter, toHex } from '../../src/std/bytes.ts';
import { fromHex } from '../setup/hex.ts';

const index = fc.nat({ max: Number.MAX_SAFE_INTEGER - 1000 });
const peer = fc
  .tuple(fc.integer({ min: 1, max: 2 ** 21 - 1 }), fc.nat(2 ** 32 - 1))
  .map(([n, i]) => {
    return peerOf(n, i);
  });
const peers = fc.array(peer, { maxLength: 4 });
const configuration = fc.record({
  voters: peers,
  outgoing: peers,
  learners: peers,
  witnesses: peers,
});
const data = fc.uint8Array({ maxLength: 40 });
const envelope = { from: peer, to: peer, term: index };
const kind = fc.constantFrom<Entry['kind']>('noop', 'command', 'config', 'withheld');

const run = fc
  .tuple(index, fc.array(fc.record({ term: index, kind, data }), { maxLength: 4 }))
  .map(([prevIndex, list]) => {
    const entries = list.map((entry, i) => ({ index: prevIndex + 1 + i, ...entry }));
    return { prevIndex, entries };
  });

const chunk = fc
  .record({
    kind: fc.constant('snapshot-chunk' as const),
    ...envelope,
    snapshotIndex: index,
    snapshotTerm: index,
    configuration,
    checksum: fc.nat(2 ** 32 - 1),
    offset: fc.nat(1000),
    data,
  })
  .map((fields) => ({ ...fields, totalBytes: fields.offset + fields.data.length }));

function fields<K extends RaftMessage['kind'], T extends object>(
  name: K,
  model: { [F in keyof T]: fc.Arbitrary<T[F]> },
) {
  return fc.record({ kind: fc.constant(name), ...envelope, ...model });
}

const message: fc.Arbitrary<RaftMessage> = fc.oneof(
  fields('vote-request', {
    isPreVote: fc.boolean(),
    isTransfer: fc.boolean(),
    lastIndex: index,
    lastTerm: index,
  }),
  fields('vote-response', { isPreVote: fc.boolean(), isGranted: fc.boolean() }),
  fc
    .tuple(run, fields('append-request', { prevTerm: index, commit: index }))
    .map(([entries, rest]) => ({ ...rest, ...entries })),
  fields('append-response', {
    isRejected: fc.boolean(),
    index,
    hintIndex: index,
    hintTerm: index,
  }),
  fields('heartbeat', { commit: index, readSeq: index }),
  fields('heartbeat-response', { readSeq: index }),
  chunk,
  fields('snapshot-response', { snapshotIndex: index, snapshotTerm: index, offset: fc.nat(99) }),
  fields('timeout-now', {}),
  fields('witness-snapshot', { snapshotIndex: index, snapshotTerm: index, configuration }),
) as fc.Arbitrary<RaftMessage>;

describe('messages', () => {
  test('survive their bytes', () => {
    fc.assert(
      fc.property(message, (one) => {
        expect(decodeMessage(encodeMessage(one))).toEqual(one);
      }),
      { numRuns: 400 },
    );
  });

  test('cut anywhere, or with a rest, are refused as a value', () => {
    fc.assert(
      fc.property(message, (one) => {
        const bytes = encodeMessage(one);
        for (let size = 0; size < bytes.length; size += 1) {
          expect(decodeMessage(bytes.subarray(0, size))).toBeUndefined();
        }
        expect(decodeMessage(new Uint8Array([...bytes, 0]))).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.nat(12), fc.uint8Array({ maxLength: 90 }), (code, rest) => {
        decodeMessage(new Uint8Array([1, code, ...rest]));
      }),
      { numRuns: 500 },
    );
  });

  test('keep their bytes from version to version', () => {
    const base = { from: peerOf(1, 2), to: peerOf(3, 4), term: 5 };
    const samples: [RaftMessage, string][] = [
      [{ kind: 'timeout-now', ...base }, '0108' + '0000000100000002' + '0000000300000004'],
      [
        { kind: 'heartbeat', ...base, commit: 6, readSeq: 7 },
        '0104' + '0000000100000002' + '0000000300000004',
      ],
    ];
    const bodies = ['', '00000000000000060000000000000007'];
    samples.forEach(([one, head], i) => {
      const hex = `${head}0000000000000005${bodies[i]}`;
      expect(toHex(encodeMessage(one))).toBe(hex);
      expect(decodeMessage(fromHex(hex)!)).toEqual(one);
    });
  });

  test('an append whose entries do not follow each other is refused', () => {
    const data = new Uint8Array(0);
    const entries = [{ index: 9, term: 1, kind: 'noop' as const, data }];
    const base = { from: peerOf(1, 1), to: peerOf(2, 1), term: 1, prevTerm: 1, commit: 0 };
    const bytes = encodeMessage({ kind: 'append-request', ...base, prevIndex: 3, entries });
    expect(decodeMessage(bytes)).toBeUndefined();
  });
});

describe('stored pieces', () => {
  test('configurations, entries and hard states survive', () => {
    fc.assert(
      fc.property(configuration, index, data, (config, number, bytes) => {
        expect(decodeConfiguration(encodeConfiguration(config))).toEqual(config);
        const out = new ByteWriter();
        const entry = { index: number, term: 3, kind: 'command' as const, data: bytes };
        const hardState = { term: number, vote: peerOf(1, 9), commit: 2 };
        writeEntry(out, entry);
        writeHardState(out, hardState);
        const input = new ByteReader(out.toBytes());
        expect(readEntry(input)).toEqual(entry);
        expect(readHardState(input)).toEqual(hardState);
      }),
    );
  });

  test('a configuration without witnesses keeps the bytes that it had before there were any', () => {
    const [a, b] = [peerOf(1, 1), peerOf(2, 1)];
    const lists = '0001' + '0000000100000001' + '0000' + '0001' + '0000000200000001';
    expect(toHex(encodeConfiguration(configurationOf([a], [b])))).toBe(lists);
    const witnessed = `8${lists.slice(1)}0001${'0000000200000001'}`;
    expect(toHex(encodeConfiguration(configurationOf([a], [b], [], [b])))).toBe(witnessed);
  });

  test('a peer is a node and an incarnation, in range', () => {
    for (const [node, incarnation] of [
      [0, 1],
      [2 ** 21, 1],
      [1, 2 ** 32],
      [1.5, 1],
    ]) {
      expect(() => peerOf(node, incarnation)).toThrow(RangeError);
    }
  });
});
