// The epoch tables, the offset index and the ring under them, against the obvious slow versions.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EpochTable } from '../../src/replication/epoch-table.ts';
import { OffsetEpochTable } from '../../src/replication/offset-epoch-table.ts';
import { SeqRing } from '../../src/replication/seq-ring.ts';

/** Epoch of each frame: a log of at most 30 frames with ascending epochs. */
const epochsOfFrames = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 30 }).map((steps) => {
  let epoch = 1;
  return steps.map((step) => {
    epoch += step;
    return epoch;
  });
});

function tableOf(epochs: readonly number[]): EpochTable {
  const table = new EpochTable();
  epochs.forEach((epoch, i) => {
    table.append(epoch, i + 1);
  });
  return table;
}

describe('EpochTable', () => {
  test('answers as a scan of the frames would, also after a cut', () => {
    fc.assert(
      fc.property(epochsOfFrames, fc.nat(30), (epochs, cut) => {
        const table = tableOf(epochs);
        table.truncateAfter(cut);
        const rest = epochs.slice(0, cut);
        rest.forEach((epoch, i) => {
          expect(table.epochAt(i + 1)).toBe(epoch);
          expect(table.endOf(epoch, rest.length)).toBe(rest.lastIndexOf(epoch) + 1);
          expect(table.startOf(epoch)).toBe(rest.indexOf(epoch) + 1);
        });
        expect(table.latestEpoch).toBe(rest.at(-1) ?? 0);
        expect(table.endOf(99, rest.length)).toBe(-1);
      }),
    );
  });

  test('F17: the common end of two logs is their longest common prefix', () => {
    // Each epoch has one writer: both logs are grown from one history by cutting and going on.
    fc.assert(
      fc.property(
        epochsOfFrames,
        fc.nat(30),
        fc.nat(5),
        fc.nat(5),
        (history, forkAt, ours, theirs) => {
          const prefix = history.slice(0, forkAt);
          const last = prefix.at(-1) ?? 0;
          const a = [...prefix, ...new Array<number>(ours).fill(last + 1)];
          const b = [...prefix, ...new Array<number>(theirs).fill(last + 2)];
          const common = tableOf(a).commonEnd(tableOf(b).ends(b.length), a.length);
          expect(Math.max(common, 0)).toBe(prefix.length);
        },
      ),
    );
  });

  test('pruning keeps the epoch of the first seq that is still needed', () => {
    const table = tableOf([1, 1, 2, 2, 3]);
    table.pruneBelow(4);
    expect(table.entries()).toEqual([
      { epoch: 2, firstSeq: 3 },
      { epoch: 3, firstSeq: 5 },
    ]);
    expect(table.epochAt(2)).toBe(0);
  });

  test('survives a way through bytes, and refuses bytes that are cut short or too long', () => {
    fc.assert(
      fc.property(epochsOfFrames, (epochs) => {
        const table = tableOf(epochs);
        const bytes = table.toBytes();
        expect(EpochTable.fromBytes(bytes).entries()).toEqual(table.entries());
        expect(() => EpochTable.fromBytes(bytes.subarray(0, bytes.length - 1))).toThrow();
        expect(() => EpochTable.fromBytes(new Uint8Array([...bytes, 0]))).toThrow();
      }),
    );
  });

  test('an epoch that goes back is a broken invariant', () => {
    expect(() => tableOf([2, 1])).toThrow(/went back/);
  });
});

describe('OffsetEpochTable', () => {
  test('F17: the end of an epoch is the start of the next, the latest ends at the LEO', () => {
    const table = new OffsetEpochTable();
    table.begin(1, 0);
    table.begin(3, 40);
    table.begin(6, 70);
    expect(table.offsetForLeaderEpoch(6, 95)).toEqual({ epoch: 6, endOffset: 95 });
    expect(table.offsetForLeaderEpoch(3, 95)).toEqual({ epoch: 3, endOffset: 70 });
    expect(table.offsetForLeaderEpoch(5, 95)).toEqual({ epoch: 3, endOffset: 70 });
    expect(table.offsetForLeaderEpoch(2, 95)).toEqual({ epoch: 1, endOffset: 40 });
    expect(table.offsetForLeaderEpoch(7, 95)).toEqual({ epoch: -1, endOffset: -1 });
    expect(table.offsetForLeaderEpoch(0, 95)).toEqual({ epoch: 0, endOffset: 0 });
  });

  test('F17: an epoch of events only leaves no entry', () => {
    const table = new OffsetEpochTable();
    table.begin(5, 0);
    // Epoch 6 has seqs 900 to 950 and not one record.
    table.begin(6, 100);
    table.begin(7, 100);
    expect(table.entries()).toEqual([
      { epoch: 5, startOffset: 0 },
      { epoch: 7, startOffset: 100 },
    ]);
    expect(table.offsetForLeaderEpoch(6, 130)).toEqual({ epoch: 5, endOffset: 100 });
  });

  test('the log start moves the start of its epoch and drops older ones', () => {
    const table = new OffsetEpochTable([
      { epoch: 1, startOffset: 0 },
      { epoch: 2, startOffset: 10 },
      { epoch: 3, startOffset: 20 },
    ]);
    table.pruneBelow(15);
    expect(table.entries()).toEqual([
      { epoch: 2, startOffset: 15 },
      { epoch: 3, startOffset: 20 },
    ]);
    expect(table.offsetForLeaderEpoch(1, 30)).toEqual({ epoch: 1, endOffset: 15 });
    expect(table.epochAt(19)).toBe(2);
  });

  test('survives a way through bytes', () => {
    const table = new OffsetEpochTable([
      { epoch: 1, startOffset: 0 },
      { epoch: 9, startOffset: 2 ** 40 },
    ]);
    expect(OffsetEpochTable.fromBytes(table.toBytes()).entries()).toEqual(table.entries());
  });

  test('an empty table knows nothing', () => {
    const table = new OffsetEpochTable();
    expect(table.offsetForLeaderEpoch(0, 5)).toEqual({ epoch: -1, endOffset: -1 });
  });
});

describe('SeqRing', () => {
  test('keeps the newest values only, up to its limit, and starts anywhere', () => {
    const ring = new SeqRing(20);
    const start = 2 ** 40;
    for (let i = 0; i < 50; i += 1) ring.push(start + i, i);
    expect(ring.at(start + 29)).toBe(-1);
    expect(ring.at(start + 30)).toBe(30);
    expect(ring.at(start + 49)).toBe(49);
    expect(ring.at(start + 50)).toBe(-1);
    expect(() => ring.push(start + 52, 0)).toThrow(/contiguous/);
  });
});
