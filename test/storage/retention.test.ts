// What lies below a log start leaves the disk in whole segments, and comes back after no power cut; segments are cut
// by size, by time and when they are mostly dead; what is offered to replicas begins at the start.
import { describe, expect, it } from 'vitest';
import { recordPlace } from '../../src/cluster/replica/timestamp-search.ts';
import { equalBytes } from '../../src/std/bytes.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import type { OpenedShardStore, ShardStoreOptions, StoredLog } from '../../src/storage/api.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  appendBatch,
  batchAt,
  bytesOf,
  eventsOf,
  openOn,
  readAll,
  World,
} from './support/store-kit.ts';

interface Scene {
  readonly world: World;
  readonly disk: FaultDisk;
  readonly store: OpenedShardStore['store'];
  readonly log: StoredLog;
}

async function sceneOf(options: Partial<ShardStoreOptions> = {}): Promise<Scene> {
  const world = new World();
  const disk = world.newDisk();
  const { store } = await openOn(world, disk, options);
  return { world, disk, store, log: store.createLog(5, { durability: 'sync' }) };
}

/** Durable, committed and settled. */
async function fill({ world, store, log }: Scene, count: number, size = 700): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    appendBatch(log, size);
    store.startGroup();
    await world.advance(5);
    log.setCommitted(log.endSeq);
  }
  await world.advance(20_000);
  expect(log.settledOffset).toBe(log.endOffset);
}

function segmentsOf(disk: FaultDisk): string[] {
  return disk.paths().filter((path) => path.endsWith('.seg'));
}

describe('a log start', () => {
  it('that keeps up leaves nothing to settle, however much goes by', async () => {
    // No checkpoint comes, which would settle what is left.
    const { world, store, log } = await sceneOf({
      settleBytes: 16 * 1024,
      checkpointBytes: 1 << 26,
    });
    for (let i = 0; i < 400; i += 1) {
      appendBatch(log, 700);
      store.startGroup();
      await world.advance(5);
      log.setCommitted(log.endSeq);
      // Behind the commit, as the frame that says so is applied then; the newest eight are still wanted.
      log.setStartOffset(log.endOffset - 8);
      store.startGroup();
    }
    expect(store.counters.settledBytes).toBe(0);
    // What is in front of it settles with its time.
    await world.advance(20_000);
    expect(log.settledOffset).toBe(log.endOffset);
    expect(store.counters.settledBatches).toBe(8);
  });

  it('takes whole segments with it, and counts them', async () => {
    const scene = await sceneOf();
    await fill(scene, 100);
    const { log, disk, store } = scene;
    const before = segmentsOf(disk).length;
    expect(before).toBeGreaterThan(2);
    const bytes = log.segmentBytes;
    log.setStartOffset(60);
    const gone = before - segmentsOf(disk).length;
    expect(gone).toBeGreaterThan(0);
    expect(store.counters.segmentsRemoved).toBe(gone);
    expect(store.counters.segmentBytesRemoved).toBe(bytes - log.segmentBytes);
    expect(log.read(59, 1, 100).kind).toBe('out-of-range');
    expect(equalBytes(bytesOf(log.read(60, 1, 100)), batchAt(60, 1, 700))).toBe(true);
    log.setStartOffset(100);
    expect(segmentsOf(disk)).toEqual([]);
  });

  it('leaves a segment that somebody reads until he has finished', async () => {
    const scene = await sceneOf();
    await fill(scene, 100);
    const { log } = scene;
    const read = log.read(0, 1, 100);
    if (read.kind !== 'file') throw new Error(read.kind);
    log.setStartOffset(90);
    const bytes = new Uint8Array(read.length);
    expect(read.file.readSync(bytes, read.position)).toBe(read.length);
    expect(equalBytes(bytes, batchAt(0, 1, 700))).toBe(true);
    const before = segmentsOf(scene.disk).length;
    read.release();
    expect(segmentsOf(scene.disk).length).toBe(before - 1);
  });

  it('fences the store where a segment cannot be removed, and not who read it last', async () => {
    const scene = await sceneOf();
    await fill(scene, 100);
    const { log, disk, store } = scene;
    const read = log.read(0, 1, 100);
    if (read.kind !== 'file') throw new Error(read.kind);
    log.setStartOffset(90);
    disk.onCall = (call, path) => (call === 'open' && path.endsWith('.seg') ? 'EIO' : undefined);
    expect(store.failure).toBeUndefined();
    read.release();
    expect(store.failure).toMatchObject({ code: 'STORAGE_IO' });
    expect(store.failure?.message).toContain('removing');
  });

  it('at the end of a log leaves no segment, even where a power cut brings one back', async () => {
    const scene = await sceneOf();
    await fill(scene, 20);
    const { world, disk, store, log } = scene;
    const [path] = segmentsOf(disk);
    const torn = disk.contents(path!).slice(0, 1000);
    log.setStartOffset(20);
    await world.drive(store.checkpoint());
    store.abandon();
    world.clear();
    const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    copy.replaceFile(path!, torn);
    const { recovered } = await openOn(world, copy);
    // Whoever asks for its segments first looks into the folder.
    expect(recovered[0]!.log.segmentBytes).toBe(0);
    expect(segmentsOf(copy)).toEqual([]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'stands after a power cut (%s), or the one before does',
    async (seed) => {
      for (const start of [10, 60, 100]) {
        const scene = await sceneOf();
        await fill(scene, 100);
        const { world, disk, store, log } = scene;
        await world.drive(store.checkpoint());
        const all = readAll(log);
        log.setStartOffset(start);
        if (seed % 2 === 0) await world.drive(store.checkpoint());
        store.abandon();
        world.clear();
        const later = (ms: number, fire: () => void): unknown => world.at(world.nowMs + ms, fire);
        const { recovered } = await openOn(world, disk.powerCut(new SeededRandom(seed), later));
        const found = recovered[0]!;
        expect(found.needsRepair).toBe(false);
        const { log: after } = found;
        if (seed % 2 === 0) expect(after.startOffset).toBe(start);
        // The owner moves it again when it replays the frame that moved it.
        after.setStartOffset(start);
        expect(after.startOffset).toBe(start);
        const kept = readAll(after);
        expect(equalBytes(kept, all.subarray(all.length - kept.length))).toBe(true);
        expect(kept.length).toBe(((100 - start) * all.length) / 100);
      }
    },
  );
});

describe('times', () => {
  it.each(['the tail', 'segments'])(
    'of what is below the start are no answer, in %s',
    async (where) => {
      const scene = await sceneOf({ settleAgeMs: 1_000_000, settleBytes: 1 << 20 });
      const { log, store, world } = scene;
      for (const [at, timeMs] of [9_000, 2_000, 5_000, 3_000].entries()) {
        log.append(1, 1, eventsOf('e'), batchAt(at * 2, 2, 100, 0, timeMs), true);
      }
      store.startGroup();
      await world.advance(5);
      log.setCommitted(4);
      if (where === 'segments') await world.drive(store.checkpoint());
      expect(log.settledOffset).toBe(where === 'segments' ? 8 : 0);
      expect(log.maxTimestamp()).toEqual({ baseOffset: 0, maxTimestampMs: 9_000 });
      expect(log.offsetForTimestamp(1)?.baseOffset).toBe(0);
      log.setStartOffset(3);
      expect(log.maxTimestamp()).toEqual({ baseOffset: 4, maxTimestampMs: 5_000 });
      expect(log.offsetForTimestamp(1)?.baseOffset).toBe(2);
      expect(log.offsetForTimestamp(6_000)).toBeUndefined();
      // The batch that the start cuts is answered from the start on.
      const place = { baseOffset: 2, maxTimestampMs: 2_000 };
      expect(recordPlace(log, place, 8, () => true)).toEqual({ offset: 3, timestampMs: 2_000 });
    },
  );
});

describe('segments', () => {
  it('have the size that the log asks for, from the next batch on', async () => {
    const scene = await sceneOf();
    await fill(scene, 20);
    const { log, disk } = scene;
    const before = segmentsOf(disk).length;
    log.limitSegments(2_000, Number.POSITIVE_INFINITY);
    await fill(scene, 20);
    // Two batches fit; the last one there was before may have had room for none of them.
    expect(segmentsOf(disk).length - before).toBe(10);
  });

  it('end with their time, counted in log time', async () => {
    const scene = await sceneOf({ settleAgeMs: 10 });
    const { log, disk, store, world } = scene;
    log.limitSegments(1_000_000, 1_000);
    for (const timeMs of [10_000, 10_500, 11_000, 11_001, 12_001, 12_002]) {
      log.append(1, timeMs, eventsOf('e'), batchAt(log.endOffset, 1, 100), true);
      store.startGroup();
      await world.advance(5);
      log.setCommitted(log.endSeq);
      await world.advance(50);
    }
    const bases = segmentsOf(disk).map((path) => Number(/(\d+)-\d+\.seg$/.exec(path)![1]));
    expect(bases.sort((a, b) => a - b)).toEqual([0, 3, 5]);
  });

  it('that are mostly dead take no more, so that their room comes back however slowly the log grows', async () => {
    const scene = await sceneOf({ segmentBytesMax: 1 << 30, walFileBytesMax: 1 << 20 });
    await fill(scene, 40, 20_000);
    const { log, disk } = scene;
    expect(segmentsOf(disk).length).toBe(1);
    log.setStartOffset(19);
    await fill(scene, 1, 20_000);
    expect(segmentsOf(disk).length).toBe(1);
    log.setStartOffset(25);
    await fill(scene, 1, 20_000);
    expect(segmentsOf(disk).length).toBe(2);
    log.setStartOffset(41);
    expect(segmentsOf(disk).length).toBe(1);
    expect(log.segmentBytes).toBeLessThan(25_000);
    expect(readAll(log).length).toBe(batchAt(41, 1, 20_000).length);
  });
});

describe('what is offered to a replica', () => {
  async function copyTo(donor: StoredLog, scene: Scene): Promise<StoredLog> {
    const donation = (await scene.world.drive(donor.donate()))!;
    const { log } = scene;
    const install = log.beginInstall(
      {
        kind: 'scratch',
        startOffset: donation.snapshot.startOffset,
      },
      donation.facts,
    );
    for (const range of donation.ranges) {
      const bytes = new Uint8Array(range.length);
      range.file.readSync(bytes, range.position);
      expect(install.adopt(bytes)).toBe(range.length);
    }
    await scene.world.drive(install.commit(donation.snapshot));
    donation.release();
    return log;
  }

  it('begins at the start, also where that lies inside a segment and a batch', async () => {
    const donor = await sceneOf();
    for (let i = 0; i < 30; i += 1) {
      const { log } = donor;
      log.append(1, 1, eventsOf('e'), batchAt(log.endOffset, 3, 300), true);
    }
    await fill(donor, 1);
    donor.log.putState(donor.log.endSeq, eventsOf('state'));
    await donor.world.advance(50);
    donor.log.setStartOffset(40);
    const copy = await copyTo(donor.log, await sceneOf());
    expect([copy.startOffset, copy.endOffset]).toEqual([40, 91]);
    expect(copy.read(39, 1, 91).kind).toBe('out-of-range');
    expect(equalBytes(readAll(copy), readAll(donor.log))).toBe(true);
    expect(copy.read(40, 1, 91)).toMatchObject({ baseOffset: 39 });
  });

  it('is nothing but the state where the log starts behind it', async () => {
    const donor = await sceneOf();
    await fill(donor, 20);
    donor.log.putState(20, eventsOf('state'));
    await donor.world.advance(50);
    await fill(donor, 20);
    donor.log.setStartOffset(35);
    const copy = await copyTo(donor.log, await sceneOf());
    expect([copy.startOffset, copy.endOffset, copy.endSeq]).toEqual([20, 20, 20]);
  });
});
