// What rots in settled segments is found by reading it, is served to nobody, and is replaced by the same bytes of
// another replica without the log losing its place.
import { expect, test } from 'vitest';
import { baseOffset, forEachBatch } from '../../src/records/batch.ts';
import type { StoredLog } from '../../src/storage/api.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  fill,
  killed,
  LOG,
  type Replica,
  replica,
  SCRUBBED,
  segmentsOf,
} from './support/replica.ts';
import { appendBatch, bytesOf, eventsOf, openOn, readAll, World } from './support/store-kit.ts';

test('a pass reads every settled byte once, at its rate, and the next comes an interval later', async () => {
  const world = new World();
  const { store, disk } = await replica(world);
  const bytes = segmentsOf(disk).reduce((sum, path) => sum + disk.contents(path).length, 0);
  await world.advance(61_000);
  expect(store.counters).toMatchObject({ scrubPasses: 1, damagedSegments: 0 });
  expect(store.counters.scrubBytes).toBe(bytes);
  await world.advance(58_000);
  expect(store.counters.scrubPasses).toBe(1);
  await world.advance(3_000);
  expect(store.counters.scrubPasses).toBe(2);
});

test('a pass says how many logs it has before it, and nothing between two', async () => {
  const world = new World();
  const { store } = await replica(world);
  expect(store.counters).toMatchObject({ scrubLogs: 0, scrubLogsLeft: 0 });
  while (store.counters.scrubBytes === 0) await world.advance(100);
  expect(store.counters).toMatchObject({ scrubPasses: 0, scrubLogs: 1, scrubLogsLeft: 1 });
  while (store.counters.scrubPasses === 0) await world.advance(100);
  await world.advance(100);
  expect(store.counters).toMatchObject({ scrubLogs: 0, scrubLogsLeft: 0 });
});

test('with 0 nothing is ever read, and nobody waits for it', async () => {
  const world = new World();
  const { store } = await replica(world, 60, { ...SCRUBBED, scrubIntervalMs: 0 });
  await world.advance(600_000);
  expect(store.counters).toMatchObject({ scrubPasses: 0, scrubBytes: 0 });
});

test('the time of the last pass is kept over restarts, however often they come', async () => {
  const world = new World();
  let { store, disk } = await replica(world);
  let passes = 0;
  const fromMs = world.nowMs;
  while (world.nowMs - fromMs < 100_000) {
    await world.advance(7_000);
    await world.drive(store.close());
    passes += store.counters.scrubPasses;
    ({ store } = await openOn(world, disk, SCRUBBED));
  }
  expect(passes).toBe(1);
  disk = killed(world, disk);
  ({ store } = await openOn(world, disk, SCRUBBED));
  await world.advance(5_000);
  expect(store.counters.scrubPasses).toBe(0);
});

test.each(['header', 'first batch', 'middle', 'last byte'] as const)(
  'rot in the %s of a segment is found, served to nobody, and stays so, beside all else of the log',
  async (where) => {
    const world = new World();
    const { store, log, disk, damaged } = await replica(world);
    const paths = segmentsOf(disk);
    const path = paths[1]!;
    const { length } = disk.contents(path);
    const positions = {
      header: 9,
      'first batch': 70,
      middle: length >> 1,
      'last byte': length - 1,
    };
    disk.flipBit(path, positions[where], 4);
    await world.advance(62_000);
    expect(store.counters.damagedSegments).toBe(1);
    expect(damaged).toEqual([log]);
    const base = Number(/(\d{16})-/.exec(path)![1]);
    expect(log.read(base, 1_000, log.endOffset).kind).toBe('damaged');
    // All else goes on: other segments, appends, what settles.
    expect(bytesOf(log.read(0, 1_000, log.endOffset)).length).toBeGreaterThan(0);
    expect(log.needsRepair).toBe(false);
    appendBatch(log, 500);
    store.startGroup();
    await world.advance(10);
    log.setCommitted(log.endSeq);
    await world.drive(store.checkpoint());
    expect(log.settledOffset).toBe(61);
    await world.drive(store.close());
    const again = await openOn(world, disk, SCRUBBED);
    await world.advance(62_000);
    const found = again.recovered[0]!.log;
    expect(again.store.counters).toMatchObject({ damagedSegments: 1 });
    expect(found.read(base, 1_000, found.endOffset).kind).toBe('damaged');
    const next = Number(/(\d{16})-/.exec(paths[2]!)![1]);
    expect(readAll(found, next).length).toBeGreaterThan(1_000 * (60 - next));
  },
);

test('damage that was found is looked for at once after a restart, until it is repaired', async () => {
  const world = new World();
  const { store, disk } = await replica(world);
  disk.flipBit(segmentsOf(disk)[0]!, 500);
  await world.advance(62_000);
  expect(store.counters.damagedSegments).toBe(1);
  await world.drive(store.close());
  const again = await openOn(world, disk, SCRUBBED);
  await world.advance(3_000);
  expect(again.store.counters.damagedSegments).toBe(1);
});

test.each([0, 1, 'last'] as const)(
  'segment %s is replaced from another replica, and stays so',
  async (which) => {
    const world = new World();
    const healthy = await replica(world);
    const { store, log, disk } = await replica(world);
    const whole = readAll(healthy.log);
    const paths = segmentsOf(disk);
    const path = which === 'last' ? paths.at(-1)! : paths[which]!;
    disk.flipBit(path, disk.contents(path).length >> 1, 4);
    await world.advance(62_000);
    expect(log.damagedSegments).toBe(1);
    expect(await fill(world, healthy.log, log)).toBe('done');
    expect(store.counters).toMatchObject({ damagedSegments: 0, segmentsRepaired: 1 });
    expect(readAll(log)).toEqual(whole);
    expect(disk.paths()).not.toContain(path);
    expect(segmentsOf(disk)).toHaveLength(paths.length);
    // The log goes on, and what was repaired may be lent again.
    appendBatch(log, 500);
    store.startGroup();
    await world.advance(10);
    log.setCommitted(log.endSeq);
    await world.drive(store.checkpoint());
    const loan = (await world.drive(log.lend(0, 60)))!;
    expect(loan.facts).toMatchObject({ isRaw: true, isThinned: false, doneOffset: 0 });
    loan.release();
    const more = readAll(log);
    await world.drive(store.close());
    const again = await openOn(world, disk, SCRUBBED);
    expect(readAll(again.recovered[0]!.log)).toEqual(more);
    await world.advance(62_000);
    expect(again.store.counters).toMatchObject({ damagedSegments: 0 });
    expect(again.store.counters.scrubPasses).toBeGreaterThan(0);
  },
);

/** Where a batch of the file ends, the last but one. */
function boundaryIn(bytes: Uint8Array): number {
  const ends = [64];
  forEachBatch(bytes, 64, bytes.length, (at, size) => ends.push(at + size));
  return ends.at(-3)!;
}

test.each([
  'all',
  'part of the header',
  'all batches',
  'two whole batches',
  'half a batch',
] as const)(
  'a checkpoint counts what the last segment lacks: %s. That is damage, and stays so until it is repaired',
  async (what) => {
    const world = new World();
    const healthy = await replica(world);
    let { store, disk } = await replica(world);
    await world.drive(store.close());
    const path = segmentsOf(disk).at(-1)!;
    const bytes = disk.contents(path);
    const boundary = boundaryIn(bytes);
    const left = {
      all: 0,
      'part of the header': 40,
      'all batches': 64,
      'two whole batches': boundary,
      'half a batch': boundary - 300,
    };
    disk.open(path, { mode: 'write' }).truncate(left[what]);
    let log: StoredLog;
    const append = async (): Promise<void> => {
      appendBatch(log, 500);
      store.startGroup();
      await world.advance(10);
      log.setCommitted(log.endSeq);
      for (let i = 0; i < 2; i += 1) await world.drive(store.checkpoint()).catch(() => undefined);
    };
    for (let start = 0; start < 3; start += 1) {
      ({ store } = await openOn(world, disk, SCRUBBED));
      log = store.log(LOG)!;
      if (start === 0) await append();
      // Whoever asks first hears it.
      expect(log.read(59, 1_000, log.endOffset).kind).toBe('damaged');
      expect(store.counters.damagedSegments).toBe(1);
      await append();
      expect(log.settledOffset).toBe(log.endOffset);
      expect(readAll(log, 60).length).toBeGreaterThan(500 * (log.endOffset - 60));
      if (start === 1) disk = killed(world, disk);
      else await world.drive(store.close());
    }
    ({ store } = await openOn(world, disk, SCRUBBED));
    log = store.log(LOG)!;
    await world.advance(62_000);
    expect(store.counters.damagedSegments).toBe(1);
    expect(await fill(world, healthy.log, log)).toBe('done');
    const whole = readAll(healthy.log);
    expect(readAll(log).subarray(0, whole.length)).toEqual(whole);
  },
);

test.each([0, 30, 63])('a sealed segment of %i bytes is no empty one', async (left) => {
  const world = new World();
  const healthy = await replica(world);
  let { store, disk } = await replica(world);
  await world.drive(store.close());
  disk.open(segmentsOf(disk)[1]!, { mode: 'write' }).truncate(left);
  ({ store } = await openOn(world, disk, SCRUBBED));
  await world.advance(62_000);
  expect(store.counters).toMatchObject({ scrubPasses: 1, damagedSegments: 1 });
  const log = store.log(LOG)!;
  expect(await fill(world, healthy.log, log)).toBe('done');
  expect(readAll(log)).toEqual(readAll(healthy.log));
});

test('a kill at any moment of a repair leaves the damaged or the repaired segment, never a hole', async () => {
  for (let cutAt = 1; cutAt < 60; cutAt += 1) {
    const world = new World();
    const healthy = await replica(world, 40);
    const { log, disk } = await replica(world, 40);
    const whole = readAll(healthy.log);
    disk.flipBit(segmentsOf(disk)[0]!, 500);
    await world.advance(62_000);
    expect(log.damagedSegments).toBe(1);
    let ends = 0;
    let next: FaultDisk | undefined;
    disk.onEnd = () => {
      ends += 1;
      if (ends === cutAt) next = killed(world, disk);
    };
    let isDone = false;
    void fill(world, healthy.log, log).then(
      () => {
        isDone = true;
      },
      () => undefined,
    );
    for (let i = 0; i < 200 && !isDone && next === undefined; i += 1) await world.advance(1);
    if (next === undefined) {
      expect(isDone).toBe(true);
      expect(cutAt).toBeGreaterThan(3);
      return;
    }
    const again = await openOn(world, next, SCRUBBED);
    const found = again.recovered[0]!.log;
    await world.advance(3_000);
    if (found.damagedSegments > 0) {
      expect(found.read(0, 1_000, found.endOffset).kind).toBe('damaged');
      expect(await fill(world, healthy.log, found)).toBe('done');
    }
    expect(readAll(found)).toEqual(whole);
  }
  throw new Error('the repair did not end');
});

/** Rewrites as a compaction would: what it keeps is for the test to say. */
async function compacted(
  world: World,
  { log, store }: Replica,
  upTo: number,
  times: number,
  isKept: (base: number) => boolean = () => true,
): Promise<void> {
  await world.drive(store.checkpoint());
  for (let i = 0; i < times; i += 1) {
    for (const { baseOffset: from, endOffset } of log.sealedSegments()) {
      if (from >= upTo) break;
      const rewrite = log.beginRewrite(from, endOffset)!;
      for (const { file, position, length } of rewrite.sources) {
        const bytes = new Uint8Array(length);
        file.readSync(bytes, position);
        const kept: Uint8Array[] = [];
        forEachBatch(bytes, 0, length, (at, size) => {
          if (isKept(baseOffset(bytes, at))) kept.push(bytes.subarray(at, at + size));
        });
        for (const batch of kept) await world.drive(rewrite.append(batch));
      }
      expect(await world.drive(rewrite.commit())).toBe('done');
    }
  }
}

/** Damages the second segment of a replica, and tries to repair it. */
async function repaired(world: World, from: Replica, to: Replica): Promise<string> {
  const path = segmentsOf(to.disk)[1]!;
  to.disk.flipBit(path, 500);
  await world.advance(62_000);
  expect(to.log.damagedSegments).toBe(1);
  const end = await fill(world, from.log, to.log);
  expect(to.log.damagedSegments).toBe(end === 'done' ? 0 : 1);
  return end;
}

/** Compacted once: nothing that hides another has gone. Twice: it may have. */
test.each([
  // Lender, replica: times compacted (up to an offset), and what is said.
  [0, 0, 120, 'done'],
  [1, 0, 120, 'done'],
  [0, 1, 120, 'done'],
  [1, 1, 120, 'done'],
  [2, 2, 120, 'done'],
  [2, 1, 120, 'done'],
  [1, 2, 120, 'done'],
  // The loan may lack a tombstone for what we still have.
  [2, 0, 120, 'compacted-otherwise'],
  // We may lack a tombstone for what the loan still has.
  [0, 2, 120, 'compacted-otherwise'],
  // It is done with what it lends, and not up to where our tombstones have gone.
  [1, 2, 30, 'compacted-otherwise'],
] as const)(
  'lender compacted %i times, replica %i times, up to %i: %s',
  async (lent, own, upTo, end) => {
    const world = new World();
    const from = await replica(world, 120);
    const to = await replica(world, 120);
    await compacted(world, from, upTo, lent);
    await compacted(world, to, 120, own);
    expect(await repaired(world, from, to)).toBe(end);
  },
);

test('a loan that was compacted waits for the records that hide what it lacks', async () => {
  const world = new World();
  const from = await replica(world, 70);
  const to = await replica(world, 60);
  await compacted(world, from, 60, 1, (base) => base % 3 === 0);
  expect(await repaired(world, from, to)).toBe('behind');
  for (let i = 0; i < 10; i += 1) appendBatch(to.log, 1_000);
  to.store.startGroup();
  await world.advance(10);
  to.log.setCommitted(to.log.endSeq);
  expect(await fill(world, from.log, to.log)).toBe('done');
  const bases: number[] = [];
  const all = readAll(to.log);
  forEachBatch(all, 0, all.length, (at) => bases.push(baseOffset(all, at)));
  const [, second, third] = segmentsOf(to.disk).map((path) => Number(/(\d{16})-/.exec(path)![1]));
  expect(bases).toEqual(
    Array.from({ length: 70 }, (_, i) => i).filter(
      (i) => i < second! || i >= third! || i % 3 === 0,
    ),
  );
});

test('a loan that lost what nobody needs waits for the frames that say so', async () => {
  const world = new World();
  const from = await replica(world, 60);
  const to = await replica(world, 60);
  const acknowledge = async ({ log, store }: Replica) => {
    log.append(1, log.lastLogTimeMs + 1, eventsOf('done'), undefined, true);
    store.startGroup();
    await world.advance(10);
    log.setCommitted(log.endSeq);
  };
  await acknowledge(from);
  from.log.putState(from.log.endSeq, eventsOf('state'));
  await world.advance(50);
  await compacted(world, from, 60, 1, (base) => base % 3 === 0);
  expect(await repaired(world, from, to)).toBe('behind');
  await acknowledge(to);
  expect(await fill(world, from.log, to.log)).toBe('done');
});

/** A replica that came by a catch-up, as it is after a restart. */
async function caughtUp(world: World, from: Replica): Promise<Replica> {
  from.log.putState(from.log.endSeq, eventsOf('state'));
  await world.advance(50);
  const donation = (await world.drive(from.log.donate()))!;
  const disk = world.newDisk();
  const first = await openOn(world, disk, SCRUBBED);
  const { startOffset } = donation.snapshot;
  const install = first.store
    .createLog(LOG, { durability: 'sync' })
    .beginInstall({ kind: 'scratch', startOffset }, donation.facts);
  for (const { file, position, length } of donation.ranges) {
    const bytes = new Uint8Array(length);
    file.readSync(bytes, position);
    expect(install.adopt(bytes)).toBe(length);
  }
  await world.drive(install.commit(donation.snapshot));
  donation.release();
  await world.drive(first.store.close());
  const opened = await openOn(world, disk, SCRUBBED);
  const { store } = opened;
  return { disk, opened, store, log: store.log(LOG)!, damaged: [] };
}

/** What was compacted before it came with a catch-up is as if it had been compacted here. */
test.each([
  // Times compacted: the donor up to an offset, what it gave; then what a replica that never was says to a loan of
  // that, and what that says to a loan of the replica.
  [0, 120, 0, 'done', 'done'],
  [1, 120, 0, 'done', 'done'],
  [2, 120, 0, 'compacted-otherwise', 'compacted-otherwise'],
  // The first compaction here finds tombstones that have been told their time.
  [1, 120, 1, 'compacted-otherwise', 'compacted-otherwise'],
  [0, 120, 1, 'done', 'done'],
  // What the donor had never compacted lies in segments of its own.
  [2, 20, 0, 'done', 'done'],
] as const)(
  'donor compacted %i times up to %i, what it gave %i times: %s, %s',
  async (donated, upTo, own, lent, borrowed) => {
    const world = new World();
    const donor = await replica(world, 120);
    await compacted(world, donor, upTo, donated);
    const lender = await caughtUp(world, donor);
    await compacted(world, lender, 120, own);
    expect(await repaired(world, lender, await replica(world, 120))).toBe(lent);
    const borrower = await caughtUp(world, donor);
    await compacted(world, borrower, 120, own);
    expect(await repaired(world, await replica(world, 120), borrower)).toBe(borrowed);
  },
);

test('a replica that is done takes what is not done as not done: its next pass begins there', async () => {
  const world = new World();
  const from = await replica(world);
  const to = await replica(world);
  await compacted(world, to, 60, 1);
  expect(await repaired(world, from, to)).toBe('done');
  const done = to.log.sealedSegments().map(({ isDone }) => isDone);
  expect(done).toEqual([true, false, ...done.slice(2).map(() => true)]);
});

test('what is damaged or not here is not lent', async () => {
  const world = new World();
  const { log, disk } = await replica(world);
  expect(await world.drive(log.lend(0, 61))).toBeUndefined();
  disk.flipBit(segmentsOf(disk)[1]!, 500);
  await world.advance(62_000);
  const second = Number(/(\d{16})-/.exec(segmentsOf(disk)[1]!)![1]);
  expect(await world.drive(log.lend(0, second + 1))).toBeUndefined();
  const loan = await world.drive(log.lend(0, second));
  expect(loan?.ranges).toHaveLength(1);
  loan?.release();
  log.setStartOffset(5);
  expect(await world.drive(log.lend(4, second))).toBeUndefined();
});
