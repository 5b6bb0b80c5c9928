// States and catch-up: two generations, damaged ones, view files, donations, and installs that are all or
// nothing however they end.
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../src/std/bytes.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import type { Donation, ShardStore, ShardStoreOptions, StoredLog } from '../../src/storage/api.ts';
import {
  allFrames,
  appendBatch,
  batchAt,
  eventsOf,
  fingerprints,
  openOn,
  RAW,
  readAll,
  World,
} from './support/store-kit.ts';

/** Settles when it must. */
const LAZY = { settleAgeMs: 1e9, settleBytes: 1 << 30 };

async function committedLog(
  world: World,
  frames: number,
  options: Partial<ShardStoreOptions> = {},
): Promise<{ log: StoredLog; disk: ReturnType<World['newDisk']>; store: ShardStore }> {
  const disk = world.newDisk();
  const { store } = await openOn(world, disk, options);
  const log = store.createLog(5, { durability: 'sync' });
  for (let i = 0; i < frames; i += 1) appendBatch(log, 700);
  store.startGroup();
  await world.advance(5);
  log.setCommitted(frames);
  return { log, disk, store };
}

/** Copies all ranges of a donation, in pieces that cut batches anywhere. */
function pieces(donation: Donation, size: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (const range of donation.ranges) {
    for (let at = 0; at < range.length; at += size) {
      const piece = new Uint8Array(Math.min(size, range.length - at));
      range.file.readSync(piece, range.position + at);
      out.push(piece);
    }
  }
  return out;
}

function adoptAll(install: ReturnType<StoredLog['beginInstall']>, parts: Uint8Array[]): void {
  let left = new Uint8Array(0);
  for (const part of parts) {
    const bytes = new Uint8Array(left.length + part.length);
    bytes.set(left);
    bytes.set(part, left.length);
    const taken = install.adopt(bytes);
    if (taken === 'corrupt') throw new Error('corrupt');
    left = bytes.slice(taken);
  }
  expect(left.length).toBe(0);
}

describe('a donation', () => {
  it('has the state that is the newest when it is made', async () => {
    const world = new World();
    const { log, store } = await committedLog(world, 40, LAZY);
    log.putState(20, eventsOf('older'));
    await world.advance(50);
    log.putState(40, eventsOf('newer'));
    // It is written while what is donated settles.
    log.append(1, log.lastLogTimeMs, eventsOf('waits'), undefined, true);
    store.startGroup();
    expect(log.snapshotSeq).toBe(20);
    const donation = (await world.drive(log.donate()))!;
    // What the newer one does not need may have gone from the segments meanwhile.
    expect(log.snapshotSeq).toBe(40);
    expect(donation.snapshot.seq).toBe(40);
    donation.release();
  });
});

describe('states', () => {
  it.each([
    ['a WAL frame', 100],
    ['a view file', 50_000],
  ])('come back from %s, with the frames behind them', async (_, size) => {
    const world = new World();
    const { log, disk } = await committedLog(world, 20);
    const state = new Uint8Array(size).fill(9);
    log.putState(12, state);
    expect(log.snapshotSeq).toBe(0);
    await world.advance(50);
    expect([log.snapshotSeq, log.state()?.seq]).toEqual([12, 12]);
    world.clear();
    const { recovered } = await openOn(
      world,
      disk.kill((ms, fire) => world.at(world.nowMs + ms, fire)),
    );
    const found = recovered[0]!.log;
    expect(found.state()?.seq).toBe(12);
    expect(equalBytes(found.state()!.bytes, state)).toBe(true);
    expect((await allFrames(world, found, 13)).length).toBe(8);
  });

  it.each([
    ['a WAL frame', 100],
    ['a view file', 50_000],
  ])('fall back to the one before when %s rots, whose frames are still there', async (_, size) => {
    const world = new World();
    const { log, disk } = await committedLog(world, 20);
    log.putState(6, eventsOf('old'));
    await world.advance(50);
    log.putState(15, new Uint8Array(size).fill(0xab));
    await world.advance(50);
    expect(log.state()?.seq).toBe(15);
    for (const path of disk.paths()) {
      const bytes = disk.contents(path);
      const at = indexOfRun(bytes, 0xab, 90);
      if (at >= 0) disk.flipBit(path, at + 20);
    }
    expect(log.state()).toEqual({ seq: 6, bytes: eventsOf('old') });
    expect(log.firstSeq).toBeLessThanOrEqual(7);
    expect((await allFrames(world, log, 7)).length).toBe(14);
  });

  it('let the frames before the older one go at a checkpoint', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(5, { durability: 'sync' });
    for (let i = 0; i < 20; i += 1) appendBatch(log, 700);
    store.startGroup();
    await world.advance(5);
    log.setCommitted(20);
    log.putState(10, eventsOf('ten'));
    await world.advance(50);
    await world.drive(store.checkpoint());
    expect(log.firstSeq).toBe(1);
    log.putState(18, eventsOf('eighteen'));
    await world.advance(50);
    await world.drive(store.checkpoint());
    expect(log.firstSeq).toBe(11);
    expect(log.epochEntries()).toEqual([{ epoch: 1, firstSeq: 1 }]);
    expect(log.frames(10, 100, () => true)).toBe('gone');
  });
});

function indexOfRun(bytes: Uint8Array, value: number, length: number): number {
  let run = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    run = bytes[at] === value ? run + 1 : 0;
    if (run === length) return at - length + 1;
  }
  return -1;
}

describe('catch-up', () => {
  it('makes a replica equal to its donor, from scratch and from where it stood', async () => {
    for (const kind of ['scratch', 'settled'] as const) {
      const world = new World();
      const { log: donor } = await committedLog(world, 60);
      donor.putState(50, eventsOf('at fifty'));
      await world.advance(50);
      const donation = (await world.drive(donor.donate()))!;
      expect(donation.snapshot.endOffset).toBe(50);
      const disk = world.newDisk();
      const { store } = await openOn(world, disk);
      const log = store.createLog(5, { durability: 'sync' });
      if (kind === 'settled') {
        for (const frame of (await allFrames(world, donor)).slice(0, 8)) {
          expect(log.appendReplica(frame, eventsOf(frame.events), frame.batch, true)).toBe('ok');
        }
        store.startGroup();
        await world.advance(5);
        log.setCommitted(8);
        await world.advance(20_000);
        expect(log.settledOffset).toBe(8);
      }
      const install = log.beginInstall(
        kind === 'settled' ? { kind } : { kind, startOffset: donation.snapshot.startOffset },
        donation.facts,
      );
      let parts = pieces(donation, 1000);
      if (kind === 'settled') {
        const read = readAll(donor).subarray(readAll(log).length);
        const { length } = parts.reduce((sum, part) => ({ length: sum.length + part.length }), {
          length: 0,
        });
        parts = [read.slice(0, length - readAll(log).length)];
      }
      adoptAll(install, parts);
      const endBefore = log.endSeq;
      const committing = install.commit(donation.snapshot);
      expect(log.endSeq).toBe(endBefore);
      await world.drive(committing);
      donation.release();
      expect([log.endSeq, log.durableSeq, log.committedSeq]).toEqual([50, 50, 50]);
      expect([log.chain, log.endOffset, log.lastEpoch]).toEqual([donor.chainAt(50), 50, 1]);
      expect(log.state()).toEqual({ seq: 50, bytes: eventsOf('at fifty') });
      for (const frame of await allFrames(world, donor, 51)) {
        expect(log.appendReplica(frame, eventsOf(frame.events), frame.batch, true)).toBe('ok');
      }
      store.startGroup();
      await world.advance(5);
      log.setCommitted(60);
      await world.advance(20_000);
      const all = readAll(donor);
      expect(equalBytes(readAll(log), all)).toBe(true);
      store.abandon();
      world.clear();
      const again = await openOn(
        world,
        disk.powerCut(new SeededRandom(3), (ms, fire) => world.at(world.nowMs + ms, fire)),
      );
      const found = again.recovered[0]!.log;
      expect(again.recovered[0]!.needsRepair).toBe(false);
      expect([found.endSeq, found.chain]).toEqual([60, donor.chain]);
      expect(equalBytes(readAll(found), all)).toBe(true);
      expect(found.state()?.seq).toBe(50);
    }
  });

  it('refuses batches that are damaged or out of order', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(5, { durability: 'sync' });
    const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
    const batch = batchAt(0, 3, 100);
    expect(install.adopt(batch.subarray(0, 50))).toBe(0);
    expect(install.adopt(batch)).toBe(batch.length);
    expect(install.nextOffset).toBe(3);
    expect(install.adopt(batchAt(2, 1, 100))).toBe('corrupt');
    const rotten = batchAt(3, 1, 100);
    rotten[80]! ^= 4;
    expect(install.adopt(rotten)).toBe('corrupt');
    install.abort();
    expect([log.endSeq, log.segmentBytes]).toEqual([0, 0]);
  });

  it('repairs a quarantined log', async () => {
    const world = new World();
    const { log: donor } = await committedLog(world, 10);
    donor.putState(10, eventsOf('ten'));
    await world.advance(50);
    const donation = (await world.drive(donor.donate()))!;
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(5, { durability: 'sync' });
    Object.assign(log, { needsRepair: true });
    const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
    adoptAll(install, pieces(donation, 5000));
    await world.drive(install.commit(donation.snapshot));
    expect(log.needsRepair).toBe(false);
    expect(appendBatch(log, 10)).toBe(11);
  });

  it('is the old log or the new one after a power cut at any moment of an install', async () => {
    const seen = { old: 0, installed: 0 };
    for (let cutAt = 0; cutAt < 40; cutAt += 1) {
      const world = new World();
      const { log: donor } = await committedLog(world, 40);
      donor.putState(40, cutAt % 2 === 0 ? eventsOf('forty') : new Uint8Array(20_000));
      await world.advance(50);
      const donation = (await world.drive(donor.donate()))!;
      const parts = pieces(donation, 4000);
      const disk = world.newDisk();
      const { store } = await openOn(world, disk);
      const log = store.createLog(5, { durability: 'sync' });
      for (let i = 0; i < 5; i += 1) appendBatch(log, 333, { fill: 77 });
      store.startGroup();
      await world.advance(5);
      log.setCommitted(3);
      await world.drive(store.checkpoint());
      const old = fingerprints(await allFrames(world, log));
      const oldBytes = readAll(log);
      const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
      adoptAll(install, parts);
      let isDone = false;
      install.commit(donation.snapshot).then(
        () => {
          isDone = true;
        },
        () => undefined,
      );
      for (let step = 0; step < cutAt; step += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        world.step();
      }
      await new Promise((resolve) => setImmediate(resolve));
      world.clear();
      const next = disk.powerCut(new SeededRandom(cutAt), (ms, fire) =>
        world.at(world.nowMs + ms, fire),
      );
      const { recovered } = await openOn(world, next);
      const found = recovered[0]!.log;
      expect(recovered[0]!.needsRepair).toBe(false);
      if (found.endSeq === 5) {
        expect(isDone).toBe(false);
        expect(fingerprints(await allFrames(world, found))).toEqual(old);
        expect(equalBytes(readAll(found), oldBytes)).toBe(true);
        seen.old += 1;
      } else {
        expect([found.endSeq, found.chain, found.endOffset]).toEqual([40, donor.chain, 40]);
        expect(equalBytes(readAll(found), readAll(donor))).toBe(true);
        expect(found.state()?.seq).toBe(40);
        seen.installed += 1;
      }
    }
    expect(seen.old).toBeGreaterThan(1);
    expect(seen.installed).toBeGreaterThan(3);
  });

  it.each([
    ['a write error that left all of it', 'EIO'],
    ['a store that is abandoned meanwhile', undefined],
  ])('has its segments when its frame is on the device after %s', async (_, errno) => {
    const world = new World();
    const { log: donor } = await committedLog(world, 40);
    donor.putState(40, eventsOf('forty'));
    await world.advance(50);
    const donation = (await world.drive(donor.donate()))!;
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(5, { durability: 'sync' });
    for (let i = 0; i < 5; i += 1) appendBatch(log, 333, { fill: 77 });
    store.startGroup();
    await world.advance(5);
    log.setCommitted(5);
    await world.advance(20_000);
    const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
    adoptAll(install, pieces(donation, 4000));
    let writes = 0;
    disk.tornBytes = (length) => length;
    disk.onCall = (call, path) => {
      if (call !== 'write' || !path.endsWith('.wal')) return undefined;
      writes += 1;
      if (errno === undefined) store.abandon();
      return errno;
    };
    await expect(world.drive(install.commit(donation.snapshot))).rejects.toThrow();
    expect(writes).toBe(1);
    disk.onCall = () => undefined;
    world.clear();
    const next = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    const { recovered } = await openOn(world, next);
    const found = recovered[0]!.log;
    expect([found.endSeq, found.endOffset]).toEqual([40, 40]);
    expect(equalBytes(readAll(found), readAll(donor))).toBe(true);
  });
});
