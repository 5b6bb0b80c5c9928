// Writes as records: there whole or not at all; what is damaged is no unfinished end; recovery is what was written.
import { describe, expect, test } from 'vitest';
import {
  configurationOf,
  decodeWrites,
  encodeWrite,
  NO_PEER,
  peerOf,
  RaftStorageError,
  recoverFrom,
  type Write,
} from '../../src/raft/index.ts';
import { SeededRandom } from '../../src/std/prng.ts';

const configuration = configurationOf([peerOf(1, 1), peerOf(2, 1)], [peerOf(3, 7)]);

function entry(index: number, term: number, text = `e${index}`) {
  return { index, term, kind: 'command' as const, data: new TextEncoder().encode(text) };
}

const snapshot = { index: 3, term: 2, configuration, checksum: 9, data: Uint8Array.of(1, 2) };

const WRITES: readonly Write[] = [
  {
    attempt: 1,
    truncateFrom: undefined,
    entries: [entry(1, 1), entry(2, 1), entry(3, 1)],
    hardState: { term: 1, vote: peerOf(1, 1), commit: 0 },
    snapshot: undefined,
  },
  {
    attempt: 2,
    truncateFrom: 2,
    entries: [entry(2, 2), entry(3, 2), entry(4, 2)],
    hardState: { term: 2, vote: NO_PEER, commit: 1 },
    snapshot: undefined,
  },
  {
    attempt: 3,
    truncateFrom: undefined,
    entries: [],
    hardState: undefined,
    snapshot: { snapshot, replacesLog: false, keepFrom: 3 },
  },
];

function joined(writes: readonly Write[]): Uint8Array {
  return Buffer.concat(writes.map(encodeWrite));
}

describe('records', () => {
  test('come back as they were written', () => {
    const bytes = joined(WRITES);
    expect(decodeWrites(bytes)).toEqual({ writes: WRITES, endBytes: bytes.byteLength });
  });

  test('that were never finished are left out, wherever they end', () => {
    const whole = joined(WRITES.slice(0, 2));
    const last = encodeWrite(WRITES[2]);
    for (let cut = 0; cut < last.byteLength; cut += 1) {
      const torn = Buffer.concat([whole, last.subarray(0, cut)]);
      expect(decodeWrites(torn)).toEqual({
        writes: WRITES.slice(0, 2),
        endBytes: whole.byteLength,
      });
      const zeros = Buffer.concat([whole, new Uint8Array(cut)]);
      expect(decodeWrites(zeros).endBytes).toBe(whole.byteLength);
    }
  });

  test('that are damaged are no unfinished end', () => {
    const bytes = joined(WRITES);
    const first = encodeWrite(WRITES[0]).byteLength;
    // Every bit of the body of the first record and of its checksum; a damaged size may look like an end.
    for (let at = 4; at < first; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const damaged = Uint8Array.from(bytes);
        damaged[at]! ^= 1 << bit;
        expect(() => decodeWrites(damaged), `byte ${at} bit ${bit}`).toThrow(RaftStorageError);
      }
    }
  });

  test('of random bytes never give anything but records or the error', () => {
    const dice = new SeededRandom(7);
    for (let round = 0; round < 300; round += 1) {
      const bytes = Uint8Array.from({ length: dice.below(80) }, () => dice.below(256));
      try {
        expect(decodeWrites(bytes).writes).toEqual([]);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(RaftStorageError);
      }
    }
  });
});

describe('recovery', () => {
  test('knows what was cut, replaced and compacted', () => {
    expect(recoverFrom(configuration, WRITES)).toEqual({
      hardState: { term: 2, vote: NO_PEER, commit: 1 },
      configuration,
      snapshot,
      entries: [entry(3, 2), entry(4, 2)],
    });
  });

  test('of a snapshot that replaced the log has nothing else', () => {
    const installed = { ...WRITES[2], snapshot: { snapshot, replacesLog: true, keepFrom: 4 } };
    const next = { ...WRITES[0], entries: [entry(4, 2)], hardState: undefined };
    const found = recoverFrom(configuration, [WRITES[0], installed, next]);
    expect(found.entries).toEqual([entry(4, 2)]);
    expect(found.snapshot).toEqual(snapshot);
  });

  test('of nothing is a peer without a past', () => {
    const hardState = { term: 0, vote: NO_PEER, commit: 0 };
    expect(recoverFrom(configuration, [])).toEqual({ hardState, configuration, entries: [] });
  });

  test('without a write in between is refused', () => {
    const gap = { ...WRITES[0], entries: [entry(6, 2)] };
    expect(() => recoverFrom(configuration, [WRITES[0], gap])).toThrow(RaftStorageError);
  });
});
