// Segments are replaced by one that holds less: readers see gaps and nothing else, whoever reads the old files
// keeps them, what takes a source away makes the rewriting void, and a start finds one or the other.
import { describe, expect, it } from 'vitest';
import { baseOffset, forEachBatch } from '../../src/records/batch.ts';
import type { Rewrite, ShardStore, StoredLog } from '../../src/storage/api.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import { appendBatch, bytesOf, openOn, RAW, readAll, World } from './support/store-kit.ts';

interface Scene {
  readonly world: World;
  readonly disk: FaultDisk;
  readonly store: ShardStore;
  readonly log: StoredLog;
}

/** 120 batches in about five segments, which two checkpoints count. */
async function sceneOf(): Promise<Scene> {
  const world = new World();
  const disk = world.newDisk();
  const { store } = await openOn(world, disk);
  const log = store.createLog(5, { durability: 'sync' });
  const scene = { world, disk, store, log };
  await fill(scene, 120);
  await world.drive(store.checkpoint());
  await world.drive(store.checkpoint());
  return scene;
}

async function fill({ world, store, log }: Scene, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    appendBatch(log, 700);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(log.endSeq);
  }
  await world.advance(20_000);
}

const later = (world: World) => (ms: number, fire: () => void) => world.at(world.nowMs + ms, fire);

/** Every third batch stays. */
const isKept = (base: number): boolean => base % 3 === 0;

async function rewriteAll({ world }: Scene, rewrite: Rewrite): Promise<void> {
  for (const { file, position, length } of rewrite.sources) {
    const bytes = new Uint8Array(length);
    file.readSync(bytes, position);
    const kept: number[] = [];
    forEachBatch(bytes, 0, length, (at, size) => {
      if (isKept(baseOffset(bytes, at)))
        for (let i = 0; i < size; i += 1) kept.push(bytes[at + i]!);
    });
    await world.drive(rewrite.append(Uint8Array.from(kept)));
  }
}

function begin(log: StoredLog): Rewrite {
  const rewrite = log.beginRewrite(0, log.endOffset);
  if (rewrite === undefined) throw new Error('nothing to rewrite');
  return rewrite;
}

function basesIn(bytes: Uint8Array): number[] {
  const bases: number[] = [];
  forEachBatch(bytes, 0, bytes.length, (at) => bases.push(baseOffset(bytes, at)));
  return bases;
}

const EVERY = Array.from({ length: 120 }, (_, i) => i);

function expected(sealedEnd: number): number[] {
  return EVERY.filter((base) => base >= sealedEnd || isKept(base));
}

function segmentsOf(disk: FaultDisk): string[] {
  return disk.paths().filter((path) => /\.seg|\.clean/.test(path));
}

describe('a rewriting', () => {
  it('leaves gaps, and everything else as it was, also after a start', async () => {
    const scene = await sceneOf();
    const { world, store, log } = scene;
    const sealed = log.sealedSegments();
    expect(sealed.length).toBeGreaterThan(2);
    const end = sealed[sealed.length - 1]!.endOffset;
    const before = log.segmentBytes;
    const rewrite = begin(log);
    await rewriteAll(scene, rewrite);
    expect(basesIn(readAll(log))).toEqual(EVERY);
    expect(await world.drive(rewrite.commit())).toBe('done');
    expect(basesIn(readAll(log))).toEqual(expected(end));
    // In a gap the next batch is the answer.
    const read = log.read(1, 1, log.endOffset);
    expect('baseOffset' in read && read.baseOffset).toBe(3);
    expect(before - log.segmentBytes).toBe(store.counters.rewriteFreedBytes);
    expect(store.counters.segmentsRewritten).toBe(sealed.length);
    expect(log.sealedSegments()).toMatchObject([
      { baseOffset: 0, endOffset: end, isCounted: true, isDone: true },
    ]);
    store.abandon();
    world.clear();
    const { recovered } = await openOn(world, scene.disk.kill(later(world)));
    expect(recovered[0]?.needsRepair).toBe(false);
    expect(basesIn(readAll(recovered[0]!.log))).toEqual(expected(end));
  });

  it('may leave nothing at all, and be done again', async () => {
    const scene = await sceneOf();
    const { world, log, store } = scene;
    const { endOffset: end } = log.sealedSegments().at(-1)!;
    expect(await world.drive(begin(log).commit())).toBe('done');
    expect(basesIn(readAll(log, 5))).toEqual(EVERY.filter((base) => base >= end));
    await fill(scene, 60);
    await world.drive(store.checkpoint());
    await world.drive(store.checkpoint());
    const again = begin(log);
    expect(again.sources.length).toBeGreaterThan(1);
    await rewriteAll(scene, again);
    expect(await world.drive(again.commit())).toBe('done');
    expect(log.offsetForTimestamp(0)?.baseOffset).toBe(basesIn(readAll(log))[0]);
    expect(log.maxTimestamp()?.baseOffset).toBe(179);
  });

  it('leaves the old files to those who read them', async () => {
    const scene = await sceneOf();
    const { world, disk, log } = scene;
    const read = log.read(0, 1, 120);
    if (read.kind !== 'file') throw new Error(read.kind);
    const state = new TextEncoder().encode('state');
    log.putState(log.committedSeq, state);
    scene.store.startGroup();
    await world.advance(50);
    const donation = await world.drive(log.donate());
    const rewrite = begin(log);
    await rewriteAll(scene, rewrite);
    await world.drive(rewrite.commit());
    const files = segmentsOf(disk).length;
    expect(basesIn(bytesOf(read))).toEqual([0]);
    const offered: number[] = [];
    for (const { file, position, length } of donation!.ranges) {
      const bytes = new Uint8Array(length);
      file.readSync(bytes, position);
      offered.push(...basesIn(bytes));
    }
    expect(offered).toEqual(EVERY);
    donation!.release();
    expect(segmentsOf(disk).length).toBeLessThan(files);
    expect(segmentsOf(disk)[0]).toMatch(/0000000000000000-1-1-\d{16}\.seg$/);
  });

  it.each([
    ['the start moves past a source', (log: StoredLog) => log.setStartOffset(60)],
    ['the log is deleted', (log: StoredLog, store: ShardStore) => store.deleteLog(log.logId)],
    ['the store is left', (_log: StoredLog, store: ShardStore) => store.abandon()],
  ])('is void when %s', async (_name, happens) => {
    const scene = await sceneOf();
    const rewrite = begin(scene.log);
    await rewriteAll(scene, rewrite);
    happens(scene.log, scene.store);
    expect(rewrite.isVoid).toBe(true);
    expect(await scene.world.drive(rewrite.commit())).toBe('void');
    expect(scene.log.sealedSegments().some(({ isDone }) => isDone)).toBe(false);
  });

  it('is void when the log is installed anew', async () => {
    const scene = await sceneOf();
    const { world, log } = scene;
    const rewrite = begin(log);
    await rewriteAll(scene, rewrite);
    const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
    await world.drive(
      install.commit({
        seq: 7,
        epoch: 1,
        chain: 3,
        logTimeMs: 9,
        endOffset: 0,
        startOffset: 0,
        epochs: [{ epoch: 1, firstSeq: 1 }],
        state: new Uint8Array(1),
      }),
    );
    expect(await world.drive(rewrite.commit())).toBe('void');
    expect(log.sealedSegments()).toEqual([]);
    expect(log.endOffset).toBe(0);
  });

  it('counts only what both checkpoints count, and one at a time', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, {
      checkpointMs: 1_000_000,
      checkpointBytes: 1 << 30,
    });
    const log = store.createLog(5, { durability: 'sync' });
    await fill({ world, disk, store, log }, 120);
    const counted = () => log.sealedSegments().filter(({ isCounted }) => isCounted).length;
    expect(counted()).toBe(0);
    await world.drive(store.checkpoint());
    expect(counted()).toBe(0);
    expect(log.beginRewrite(0, log.endOffset)).toBeUndefined();
    await world.drive(store.checkpoint());
    expect(counted()).toBeGreaterThan(2);
    const first = begin(log);
    expect(log.beginRewrite(0, log.endOffset)).toBeUndefined();
    first.abort();
    begin(log).abort();
    const memory = store.createLog(6, { durability: 'memory' });
    expect(memory.sealedSegments()).toEqual([]);
  });

  it('ends without harm where there is no room', async () => {
    const scene = await sceneOf();
    const { disk, log, world, store } = scene;
    const before = segmentsOf(disk);
    const rewrite = begin(log);
    disk.spaceBytes = 100;
    await expect(rewriteAll(scene, rewrite)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    rewrite.abort();
    expect(store.failure).toBeUndefined();
    expect(segmentsOf(disk)).toEqual(before);
    disk.spaceBytes = Number.POSITIVE_INFINITY;
    const again = begin(log);
    await rewriteAll(scene, again);
    expect(await world.drive(again.commit())).toBe('done');
  });

  it.each([
    ['the superblock', 'write', 'ENOSPC', (path: string) => path.endsWith('store.super')],
    ['the superblock', 'write', 'EMFILE', (path: string) => path.endsWith('store.super')],
    ['its bytes', 'sync', 'ENOSPC', (path: string) => path.endsWith('.clean')],
    ['its name', 'open', 'EDQUOT', (path: string) => /-1-\d{16}\.seg$/.test(path)],
    ['its name', 'open', 'ENFILE', (path: string) => /-1-\d{16}\.seg$/.test(path)],
  ] as const)(
    'ends without harm where there is no room for %s (%s: %s)',
    async (_what, call, errno, isIt) => {
      const scene = await sceneOf();
      const { disk, log, world, store } = scene;
      const before = segmentsOf(disk);
      const rewrite = begin(log);
      await rewriteAll(scene, rewrite);
      disk.onCall = (each, path) => (each === call && isIt(path) ? errno : undefined);
      await expect(world.drive(rewrite.commit())).rejects.toMatchObject({
        code: /^E[MN]FILE$/.test(errno) ? 'STORAGE_NO_DESCRIPTORS' : 'STORAGE_FULL',
      });
      expect(store.failure).toBeUndefined();
      expect(segmentsOf(disk)).toEqual(before);
      expect(basesIn(readAll(log))).toEqual(EVERY);
      disk.onCall = () => undefined;
      const again = begin(log);
      await rewriteAll(scene, again);
      expect(await world.drive(again.commit())).toBe('done');
    },
  );

  it.each(['ENOSPC', 'EMFILE', 'EIO'])(
    'fences the store where it has its name and the folder cannot be synced (%s)',
    async (errno) => {
      const scene = await sceneOf();
      const { disk, log, world, store } = scene;
      const rewrite = begin(log);
      await rewriteAll(scene, rewrite);
      const folder = segmentsOf(disk)[0]!.replace(/\/[^/]*$/, '');
      disk.onCall = (each, path) => (each === 'sync' && path === folder ? errno : undefined);
      await expect(world.drive(rewrite.commit())).rejects.toMatchObject({ code: /^STORAGE_/ });
      expect(store.failure).toBeDefined();
      world.clear();
      store.abandon();
      // Whichever counts then: it is one of the two.
      const { recovered } = await openOn(world, disk.kill(later(world)));
      const end = 120;
      const found = basesIn(readAll(recovered[0]!.log));
      expect(found.length).toBeLessThan(end);
      expect(found.filter(isKept)).toEqual(EVERY.filter(isKept));
    },
  );

  it.each(['write', 'sync'] as const)('fences the store where a %s fails', async (call) => {
    const scene = await sceneOf();
    const { disk, log, store } = scene;
    const rewrite = begin(log);
    disk.onCall = (each, path) => (each === call && path.endsWith('.clean') ? 'EIO' : undefined);
    const work = rewriteAll(scene, rewrite).then(() => scene.world.drive(rewrite.commit()));
    await expect(work).rejects.toMatchObject({ code: 'STORAGE_IO' });
    expect(store.failure).toBeDefined();
  });
});

describe('the last segment of a run that was killed', () => {
  it('ends where it was cut, when a power cut comes after it was sealed', async () => {
    const world = new World();
    const options = { checkpointMs: 1_000_000, checkpointBytes: 1 << 30 };
    let disk = world.newDisk();
    let { store } = await openOn(world, disk, options);
    let log = store.createLog(5, { durability: 'sync' });
    await fill({ world, disk, store, log }, 20);
    await world.drive(store.checkpoint());
    // Settled, synced by nothing yet that counts it.
    await fill({ world, disk, store, log }, 8);
    const path = segmentsOf(disk)[0]!;
    const file = disk.open(path, { mode: 'write' });
    await world.drive(new Promise<void>((resolve) => file.sync(() => resolve())));
    const long = disk.contents(path).length;
    // Each start finds less to cut: the first cuts, and is killed before it syncs anything.
    for (let start = 0; start < 2; start += 1) {
      store.abandon();
      world.clear();
      disk = disk.kill(later(world));
      ({ store } = await openOn(world, disk, options));
      log = store.log(5)!;
      log.read(0, 1, 1);
      expect(disk.contents(path).length).toBeLessThan(long);
    }
    log.limitSegments(1000, 1);
    await fill({ world, disk, store, log }, 8);
    await world.drive(store.checkpoint());
    const all = readAll(log);
    store.abandon();
    world.clear();
    // Everything that is not synced is lost.
    disk = disk.powerCut({ below: () => 0 }, later(world));
    expect(disk.contents(path).length).toBeLessThan(long);
    const { recovered } = await openOn(world, disk);
    expect(recovered[0]?.needsRepair).toBe(false);
    expect(readAll(recovered[0]!.log)).toEqual(all);
  });
});
