// The small parts under consuming: what was given out, records found by offset, what is said about
// messages, and who is who.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeadOwners } from '../../../src/broker/access/dead-owners.ts';
import { FetchedRecords } from '../../../src/broker/access/fetched-records.ts';
import { GivenOut } from '../../../src/broker/access/given-out.ts';
import { Settlements } from '../../../src/broker/access/settlements.ts';
import { ShardIdentity } from '../../../src/broker/access/shard-identity.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import type { MetadataView, NodeView } from '../../../src/cluster/ports.ts';
import { stampBatch } from '../../../src/records/batch.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

function runsOf(...rows: readonly [offset: number, count: number, number: number][]): Runs {
  const runs = new Runs();
  for (const row of rows) runs.push(...row, row[2] % 3, row[2] % 2);
  return runs;
}

describe('what was given out', () => {
  test('comes back in order, without what was given before', () => {
    const row = fc.tuple(fc.nat(1_000), fc.integer({ min: 1, max: 5 }));
    const answer = fc.array(row, { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(fc.tuple(answer, fc.nat(6), fc.nat(20))), (answers) => {
        const given = new GivenOut();
        const wanted: [number, number, number, boolean][] = [];
        let seen = 0;
        for (const [rows, again, taken] of answers) {
          // Some of the leases were heard of before.
          let number = Math.max(1, seen + 1 - again);
          const first = seen + 1;
          const runs = new Runs();
          for (const [offset, count] of rows) {
            runs.push(offset, count, number, number % 3, number % 2);
            for (let i = 0; i < count; i += 1) {
              if (number + i < first) continue;
              wanted.push([offset + i, number + i, number % 3, number % 2 === 1]);
            }
            number += count;
          }
          seen = given.add(runs, seen);
          expect(seen).toBe(Math.max(first - 1, number - 1));
          for (let i = 0; i < taken && given.total > 0; i += 1) {
            const { offset, lease, returns, isRedelivered } = given;
            expect([offset, lease, returns, isRedelivered]).toEqual(wanted.shift());
            given.next();
          }
          expect(given.total).toBe(wanted.length);
        }
      }),
    );
  });

  test('is nothing when it is forgotten', () => {
    const given = new GivenOut();
    given.add(runsOf([5, 3, 1]), 0);
    given.next();
    given.clear();
    expect(given.total).toBe(0);
    expect(given.add(runsOf([9, 1, 1]), 0)).toBe(1);
    expect([given.offset, given.lease]).toEqual([9, 1]);
  });
});

function batchAt(baseOffset: number, values: readonly string[]): Uint8Array {
  const records = values.map((value, i) => ({
    timestampMs: i,
    key: null,
    value: encodeUtf8(value),
  }));
  const batch = encodeBatch(records, crc32c);
  stampBatch(batch, 0, baseOffset, 3);
  return batch;
}

describe('fetched records', () => {
  test('are found by offset, in any order, over slices that hold several batches', () => {
    const batches = [
      batchAt(100, ['a', 'b', 'c']),
      batchAt(103, ['d']),
      batchAt(104, ['e'.repeat(300), 'f']),
    ];
    const two = new Uint8Array(batches[0]!.length + batches[1]!.length + 20);
    two.set(batches[0]!);
    two.set(batches[1]!, batches[0]!.length);
    const records = new FetchedRecords();
    // Behind whole batches there may be a part of one.
    records.take([two, batches[2]!], 100);
    expect([records.first, records.end, records.has(99), records.has(105)]).toEqual([
      100,
      106,
      false,
      true,
    ]);
    const { reader } = records;
    const at = (offset: number) => {
      expect(records.seek(offset)).toBe(true);
      return decodeUtf8(reader.value()!);
    };
    for (const offsets of [
      [100, 101, 102, 103, 104, 105],
      [105, 103, 101, 100, 102, 104],
    ]) {
      const values = offsets.map((offset) => [offset, at(offset).slice(0, 1)]);
      expect(values).toEqual(offsets.map((offset) => [offset, 'abcdef'[offset - 100]]));
    }
    records.clear();
    expect([records.has(100), records.seek(100)]).toEqual([false, false]);
  });

  test('that are damaged are told as such, and those beside them are read', () => {
    const bad = batchAt(10, ['xxxx']);
    bad.fill(0xff, 61);
    const records = new FetchedRecords();
    records.take([bad, batchAt(11, ['good'])], 10);
    const { reader } = records;
    expect(records.seek(10)).toBe(false);
    expect(records.seek(11)).toBe(true);
    expect(decodeUtf8(reader.value()!)).toBe('good');
  });
});

describe('settlements', () => {
  test('are gathered by what is said and about which epoch, neighbours as one run', () => {
    const settlements = new Settlements();
    for (const offset of [1, 2, 3]) settlements.acknowledge(4, offset, offset + 10);
    settlements.return(4, 5, 15, true, true);
    settlements.return(4, 6, 16, true, true);
    settlements.return(4, 7, 17, true, false);
    settlements.return(4, 8, 18, false, false);
    settlements.acknowledge(3, 9, 1);
    const taken = settlements.take();
    expect(taken.map(({ runs }) => [runs.size, runs.total])).toEqual([
      [1, 3],
      [1, 2],
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
    expect(settlements.isEmpty).toBe(true);
  });

  test('that nobody heard are said again, but of the dead only what is not to come back', () => {
    const settlements = new Settlements();
    settlements.acknowledge(4, 1, 11);
    settlements.return(4, 2, 12, true, true);
    settlements.return(4, 3, 13, false, true);
    const taken = settlements.take();
    settlements.acknowledge(4, 2, 12);
    for (const each of taken) settlements.again(each, 5);
    const next = settlements.take();
    expect(next.map(({ isAcknowledged, runs }) => [isAcknowledged, runs.total])).toEqual([
      [true, 2],
      [false, 1],
    ]);
    for (const each of next) settlements.again(each, 4);
    expect(settlements.take().length).toBe(2);
  });
});

/** One node, or two, as the metadata has them. */
class Metadata {
  version = 10;
  readonly nodeId = 1;
  readonly all = new Map<number, { isLive: boolean; shardIncarnations: number[] }>();

  get view(): MetadataView {
    return this as unknown as MetadataView;
  }

  node(id: number): NodeView | undefined {
    const found = this.all.get(id);
    return found === undefined ? undefined : ({ id, ...found } as unknown as NodeView);
  }

  nodes(): NodeView[] {
    return [...this.all.keys()].map((id) => this.node(id)!);
  }

  set(id: number, isLive: boolean, ...shardIncarnations: number[]): void {
    this.version += 1;
    this.all.set(id, { isLive, shardIncarnations });
  }
}

describe('a shard', () => {
  test('is known from its registration on, and consumes while its node is live', () => {
    const metadata = new Metadata();
    const identity = new ShardIdentity(metadata.view, 1, 77);
    expect([identity.client, identity.owner]).toEqual([undefined, undefined]);
    metadata.set(1, true, 5, 6);
    expect(identity.look()).toEqual({ isClientNew: false, isOwnerNew: false });
    metadata.set(1, false, 5, 77);
    expect(identity.look()).toEqual({ isClientNew: true, isOwnerNew: false });
    metadata.set(1, true, 5, 77);
    expect(identity.look()).toEqual({ isClientNew: false, isOwnerNew: true });
    expect([identity.client, identity.owner]).toEqual([
      { clientId: 257, incarnation: 12 },
      { node: 257, incarnation: 13 },
    ]);
    metadata.set(1, false, 5, 77);
    identity.look();
    expect(identity.owner).toBeUndefined();
    metadata.set(1, true, 5, 77);
    identity.look();
    expect([identity.client?.incarnation, identity.owner]).toEqual([
      12,
      { node: 257, incarnation: 15 },
    ]);
  });

  test('that a leader has given up waits for newer metadata', () => {
    const metadata = new Metadata();
    metadata.set(1, true, 77);
    const identity = new ShardIdentity(metadata.view, 0, 77);
    const stale = identity.owner!;
    expect(identity.renewOwner(stale)).toBe(false);
    metadata.version += 5;
    expect(identity.renewOwner({ ...stale })).toBe(false);
    expect(identity.renewOwner(stale)).toBe(true);
    expect(identity.owner).toEqual({ node: 256, incarnation: 16 });
    expect(identity.renewOwner(stale)).toBe(false);
  });

  test('is dead when its node is fenced or gone, or it lives another life: never the one of now', () => {
    const metadata = new Metadata();
    metadata.set(1, true, 1);
    metadata.set(2, true, 1, 2);
    const dead = new DeadOwners(metadata.view);
    expect(dead.look()).toEqual([]);
    metadata.set(2, true, 1, 3);
    const since = metadata.version;
    expect(dead.look()).toEqual([{ node: 513, incarnation: since - 1 }]);
    metadata.set(2, false, 1, 3);
    expect(dead.look()).toEqual([
      { node: 512, incarnation: since + 1 },
      { node: 513, incarnation: since + 1 },
    ]);
    expect(dead.look()).toEqual([]);
    metadata.set(2, true, 1, 3);
    expect(dead.look()).toEqual([]);
    metadata.all.delete(2);
    metadata.version += 1;
    expect(dead.look().map(({ node }) => node)).toEqual([512, 513]);
  });
});
