// Batches are written to segments beside the loop. Whatever becomes of the log while such a write is under
// way, nothing is lost, nothing that does not belong there counts, and readers see no difference.
import { describe, expect, it } from 'vitest';
import { stampBatch } from '../../src/records/batch.ts';
import { equalBytes } from '../../src/std/bytes.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import type {
  Donation,
  OpenedShardStore,
  ShardStoreOptions,
  StoredLog,
} from '../../src/storage/api.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  appendBatch,
  batchAt,
  eventsOf,
  NO_EVENTS,
  openOn,
  RAW,
  readAll,
  World,
} from './support/store-kit.ts';

interface Scene {
  readonly world: World;
  readonly disk: FaultDisk;
  readonly store: OpenedShardStore['store'];
  readonly log: StoredLog;
  /** What readers are to see. */
  readonly bytes: Uint8Array;
}

/** A log of 20 committed frames, whose first batches are on their way to a segment. */
async function underWay(options: Partial<ShardStoreOptions> = {}): Promise<Scene> {
  const world = new World();
  const disk = world.newDisk();
  const { store } = await openOn(world, disk, { segmentBytesMax: 6 * 1024, ...options });
  const log = store.createLog(5, { durability: 'sync' });
  for (let i = 0; i < 20; i += 1) appendBatch(log, 700);
  store.startGroup();
  await world.advance(5);
  log.setCommitted(20);
  const bytes = readAll(log);
  store.startGroup();
  expect(disk.paths().some((path) => path.endsWith('.seg'))).toBe(true);
  expect(log.settledOffset).toBe(0);
  return { world, disk, store, log, bytes };
}

async function afterCut(
  { world, disk, store }: Pick<Scene, 'world' | 'disk' | 'store'>,
  seed: number,
): Promise<OpenedShardStore> {
  store.abandon();
  world.clear();
  const later = (ms: number, fire: () => void): unknown => world.at(world.nowMs + ms, fire);
  return openOn(
    world,
    seed === 0 ? disk.kill(later) : disk.powerCut(new SeededRandom(seed), later),
  );
}

async function donationOf(
  frames: number,
  fill: number,
): Promise<{ donor: StoredLog; donation: Donation }> {
  const world = new World();
  const { store } = await openOn(world, world.newDisk());
  const donor = store.createLog(5, { durability: 'sync' });
  for (let i = 0; i < frames; i += 1) appendBatch(donor, 700, { fill });
  store.startGroup();
  await world.advance(5);
  donor.setCommitted(frames);
  donor.putState(frames, eventsOf('state'));
  await world.advance(50);
  return { donor, donation: (await world.drive(donor.donate()))! };
}

function copied(donation: Donation): Uint8Array[] {
  return donation.ranges.map((range) => {
    const piece = new Uint8Array(range.length);
    range.file.readSync(piece, range.position);
    return piece;
  });
}

/** The log is the donor's, takes more, and is the same after a power cut. */
async function expectLogOf(donor: StoredLog, scene: Omit<Scene, 'bytes'>): Promise<void> {
  const { world, disk, store, log } = scene;
  const all = readAll(donor);
  await world.advance(20_000);
  expect([log.endSeq, log.endOffset, log.settledOffset]).toEqual([
    donor.endSeq,
    donor.endOffset,
    donor.endOffset,
  ]);
  expect(equalBytes(readAll(log), all)).toBe(true);
  const files = disk.paths().filter((path) => path.endsWith('.seg'));
  expect(log.segmentBytes).toBe(all.length + 64 * files.length);
  appendBatch(log, 700);
  store.startGroup();
  await world.advance(5);
  log.setCommitted(log.endSeq);
  await world.advance(20_000);
  expect(log.settledOffset).toBe(log.endOffset);
  const longer = readAll(log);
  const { recovered } = await afterCut(scene, 3);
  expect(recovered[0]!.needsRepair).toBe(false);
  expect(equalBytes(readAll(recovered[0]!.log), longer)).toBe(true);
}

describe('while a tail is written to its segment', () => {
  it('reads give the same bytes before, in the middle and after', async () => {
    const { world, disk, log, bytes } = await underWay();
    expect(equalBytes(readAll(log), bytes)).toBe(true);
    await world.advance(0.15);
    expect(log.settledOffset).toBeGreaterThan(0);
    expect(log.settledOffset).toBeLessThan(20);
    expect(equalBytes(readAll(log), bytes)).toBe(true);
    await world.advance(20_000);
    expect(log.settledOffset).toBe(20);
    expect(equalBytes(readAll(log), bytes)).toBe(true);
    const files = disk.paths().filter((path) => path.endsWith('.seg'));
    expect(files.length).toBeGreaterThan(2);
    expect(log.segmentBytes).toBe(bytes.length + 64 * files.length);
  });

  it('one write at a time runs for each log, whatever asks for it', async () => {
    const { world, disk, store, log, bytes } = await underWay();
    let writes = 0;
    disk.onCall = (call, path) => {
      if (call === 'write' && path.endsWith('.seg')) writes += 1;
      return undefined;
    };
    const checkpoint = store.checkpoint();
    for (let i = 0; i < 5; i += 1) store.startGroup();
    await Promise.resolve();
    expect(writes).toBe(0);
    await world.drive(checkpoint);
    expect(log.settledOffset).toBe(20);
    expect(equalBytes(readAll(log), bytes)).toBe(true);
  });

  it.each([0, 1, 2, 3, 4, 5])('a stop or a power cut (%s) leaves all of it', async (seed) => {
    for (const waitMs of [0, 0.05, 0.15, 0.25, 1]) {
      const scene = await underWay();
      const checkpoint = scene.store.checkpoint();
      checkpoint.catch(() => undefined);
      await scene.world.advance(waitMs);
      const { recovered } = await afterCut(scene, seed);
      expect(recovered[0]!.needsRepair).toBe(false);
      expect(equalBytes(readAll(recovered[0]!.log), scene.bytes)).toBe(true);
    }
  });

  it('a log that is deleted leaves no file', async () => {
    const { world, disk, store } = await underWay();
    store.deleteLog(5);
    await world.advance(1000);
    expect(disk.paths().filter((path) => path.includes('/logs/'))).toEqual([]);
    expect(store.failure).toBeUndefined();
  });

  it.each([1, 3, 6, 8, 19, 20])(
    'the log may start later, at %i, and keeps what is behind',
    async (start) => {
      for (const waitMs of [0, 0.05, 0.15, 0.25]) {
        const scene = await underWay();
        const { world, disk, log } = scene;
        const wanted = readAll(log, start);
        await world.advance(waitMs);
        log.setStartOffset(start);
        expect(equalBytes(readAll(log), wanted)).toBe(true);
        await world.advance(20_000);
        expect(log.settledOffset).toBe(20);
        expect(equalBytes(readAll(log), wanted)).toBe(true);
        if (start === 20) expect(disk.paths().some((path) => path.endsWith('.seg'))).toBe(false);
        const { recovered } = await afterCut(scene, 2);
        expect(equalBytes(readAll(recovered[0]!.log, start), wanted)).toBe(true);
      }
    },
  );

  it('a start in the middle of what is being written leaves it counting', async () => {
    const { world, store, log } = await underWay();
    // The first write has seven batches: its segment is full then.
    for (let start = 1; start <= 6; start += 1) log.setStartOffset(start);
    await world.advance(20_000);
    expect(log.settledOffset).toBe(20);
    expect(store.counters.settledBatches).toBe(20);
  });

  it('memory that is needed meanwhile may be used again', async () => {
    const { world, store, log } = await underWay({ slabBytesMax: 2 << 20 });
    const other = store.createLog(6, { durability: 'sync' });
    let refused = 0;
    store.onRoom = () => undefined;
    for (let i = 0; i < 60; ) {
      try {
        appendBatch(other, 60_000, { fill: i });
        appendBatch(log, 6_000, { fill: i });
        i += 1;
      } catch {
        refused += 1;
      }
      store.startGroup();
      await world.advance(0.05);
      log.setCommitted(log.durableSeq);
      other.setCommitted(other.durableSeq);
    }
    await world.advance(5);
    log.setCommitted(log.durableSeq);
    other.setCommitted(other.durableSeq);
    expect(refused).toBeGreaterThan(0);
    const [frames, others] = [readAll(log), readAll(other)];
    await world.advance(20_000);
    expect([log.settledOffset, other.settledOffset]).toEqual([log.endOffset, other.endOffset]);
    expect(equalBytes(readAll(log), frames)).toBe(true);
    expect(equalBytes(readAll(other), others)).toBe(true);
  });

  it('many logs that are written in turn keep their frames in memory until each has settled', async () => {
    const world = new World();
    const disk = world.newDisk();
    // Tails that settle for their length alone would be twice what memory there is.
    const { store } = await openOn(world, disk, {
      slabBytesMax: 8 << 20,
      settleBytes: 512 << 10,
      walFileBytesMin: 16 << 20,
      segmentBytesMax: 16 << 20,
    });
    const batch = batchAt(0, 1, 2_000);
    let readBack = 0;
    disk.onCall = (call, path) => {
      if (call === 'read' && path.endsWith('.wal')) readBack += 1;
      return undefined;
    };
    const logs = Array.from({ length: 32 }, (_, i) =>
      store.createLog(10 + i, { durability: 'sync' }),
    );
    const append = (log: StoredLog): void => {
      stampBatch(batch, 0, log.endOffset, 1);
      log.append(1, 1, NO_EVENTS, batch, true);
    };
    // Frames are committed while those before them are on their way to a segment: no log is ever done.
    store.onDurable = (changed) => {
      for (const log of changed) {
        log.setCommitted(log.durableSeq);
        append(log);
      }
      world.at(world.nowMs, () => store.startGroup());
    };
    for (const log of logs) append(log);
    store.startGroup();
    await world.advance(30);
    expect([readBack, store.counters.refusedFull]).toEqual([0, 0]);
    expect(store.slabBytes).toBeLessThanOrEqual(6 << 20);
    for (const log of logs) expect(log.settledOffset).toBeGreaterThan(100);
  });

  it('a checkpoint syncs the folder that many logs share once', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    // 40 folders, two above them, and the one of all.
    for (let i = 0; i < 40; i += 1) {
      const log = store.createLog(5 + 128 * i, { durability: 'sync' });
      appendBatch(log, 100);
    }
    store.startGroup();
    await world.advance(5);
    for (const log of store.logs()) log.setCommitted(1);
    let synced: string[] = [];
    disk.onCall = (call, path) => {
      if (call === 'sync' && path.includes('/logs') && !path.endsWith('.seg')) synced.push(path);
      return undefined;
    };
    await world.drive(store.checkpoint());
    expect([synced.length, new Set(synced).size]).toEqual([43, 43]);
    synced = [];
    await world.drive(store.checkpoint());
    expect(synced).toEqual([]);
    const { recovered } = await afterCut({ world, disk, store }, 7);
    expect(recovered.map(({ log }) => log.settledOffset)).toEqual(Array(40).fill(1));
  });

  it('a catch-up from the settled end makes it the log of the donor', async () => {
    for (const waitMs of [0, 0.05, 0.15]) {
      const scene = await underWay();
      const { world, log } = scene;
      const { donor, donation } = await donationOf(40, 0);
      await world.advance(waitMs);
      const from = log.settledOffset;
      const install = log.beginInstall({ kind: 'settled' }, RAW);
      install.adopt(readAll(donor, from));
      await world.drive(install.commit(donation.snapshot));
      await expectLogOf(donor, scene);
    }
  });

  it('a catch-up from scratch makes it the log of the donor, also if that is shorter', async () => {
    for (let waitMs = 0; waitMs < 2; waitMs += 0.07) {
      const world = new World();
      const disk = world.newDisk();
      const { store } = await openOn(world, disk, { segmentBytesMax: 2 * 1024 });
      const log = store.createLog(5, { durability: 'sync' });
      for (let i = 0; i < 20; i += 1) appendBatch(log, 700);
      store.startGroup();
      await world.advance(5);
      const { donor, donation } = await donationOf(10, 7);
      const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
      for (const piece of copied(donation)) install.adopt(piece);
      log.setCommitted(20);
      const committing = install.commit(donation.snapshot);
      await world.advance(waitMs);
      store.startGroup();
      await world.drive(committing);
      await expectLogOf(donor, { world, disk, store, log });
    }
  });

  it('a catch-up that is given up leaves the log as it was', async () => {
    for (const waitMs of [0, 0.05, 0.15]) {
      const scene = await underWay();
      const { world, log, bytes } = scene;
      const install = log.beginInstall({ kind: 'settled' }, RAW);
      await world.advance(waitMs);
      install.abort();
      await world.advance(20_000);
      expect(log.settledOffset).toBe(20);
      expect(equalBytes(readAll(log), bytes)).toBe(true);
      const { recovered } = await afterCut(scene, 4);
      expect(equalBytes(readAll(recovered[0]!.log), bytes)).toBe(true);
    }
  });

  it('a full disk stops it, and it goes on within a second when there is room', async () => {
    const { world, disk, store, log, bytes } = await underWay();
    disk.onCall = (call, path) =>
      call === 'write' && path.endsWith('.seg') ? 'ENOSPC' : undefined;
    await world.advance(5_000);
    const stuckAt = log.settledOffset;
    expect(stuckAt).toBeLessThan(20);
    expect(equalBytes(readAll(log), bytes)).toBe(true);
    disk.onCall = () => undefined;
    await world.advance(1_100);
    expect(log.settledOffset).toBe(20);
    expect(store.failure).toBeUndefined();
    expect(equalBytes(readAll(log), bytes)).toBe(true);
  });

  it('a failed write fences the store', async () => {
    const { world, disk, store } = await underWay();
    disk.onCall = (call, path) => (call === 'write' && path.endsWith('.seg') ? 'EIO' : undefined);
    await world.advance(5_000);
    expect(store.failure).toMatchObject({ code: 'STORAGE_IO' });
  });
});
