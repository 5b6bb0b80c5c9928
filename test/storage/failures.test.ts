// Folders that must be refused, disks that fail or fill up, checkpoints and indexes that rot.
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { encodeSuperblock } from '../../src/storage/store-files.ts';
import { appendBatch, eventsOf, IDENTITY, openOn, readAll, World } from './support/store-kit.ts';

describe('refusals', () => {
  it('name the owner of a folder of another cluster, node or shard', async () => {
    const world = new World();
    const disk = world.newDisk();
    await world.drive((await openOn(world, disk)).store.close());
    for (const other of [{ clusterId: 'other' }, { nodeId: 2 }, { shard: 1 }]) {
      await expect(
        openOn(world, disk, { identity: { ...IDENTITY, ...other } }),
      ).rejects.toMatchObject({
        code: 'STORAGE_WRONG_IDENTITY',
        details: { found: IDENTITY, wanted: { ...IDENTITY, ...other } },
      });
    }
    await openOn(world, disk);
  });

  it('say that a folder is newer, by version or by an unknown feature', async () => {
    const known = { ...IDENTITY, major: 1, minor: 0, readOnlyCompatible: 0, incompatible: 0 };
    for (const newer of [{ major: 2 }, { incompatible: 4 }, { readOnlyCompatible: 1 }]) {
      const world = new World();
      const disk = world.newDisk();
      disk.makeDirectory('shard-0');
      const superblock = { ...known, compatible: 0xff, ...newer };
      disk.replaceFile('shard-0/store.super', encodeSuperblock(superblock, crc32c));
      await expect(openOn(world, disk)).rejects.toMatchObject({ code: 'STORAGE_NEWER_FORMAT' });
      expect(disk.paths()).toEqual(['shard-0/store.super']);
    }
  });

  it('tell a locked, a damaged, an unwritable and a full folder apart', async () => {
    const world = new World();
    const disk = world.newDisk();
    await openOn(world, disk);
    await expect(openOn(world, disk)).rejects.toMatchObject({ code: 'STORAGE_LOCKED' });

    const damaged = world.newDisk();
    damaged.makeDirectory('shard-0');
    damaged.replaceFile('shard-0/store.super', eventsOf('nonsense'));
    await expect(openOn(world, damaged)).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });

    const unwritable = world.newDisk();
    unwritable.onCall = () => 'EACCES';
    await expect(openOn(world, unwritable)).rejects.toMatchObject({ code: 'STORAGE_UNWRITABLE' });

    const full = world.newDisk();
    full.spaceBytes = 20_000;
    await expect(openOn(world, full)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    full.spaceBytes = 1e9;
    await openOn(world, full);
  });
});

describe('a failing disk', () => {
  it('is told to who comes after the failure', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    disk.onCall = (call, path) => (call === 'write' && path.endsWith('.wal') ? 'EIO' : undefined);
    appendBatch(log, 100);
    store.startGroup();
    await world.advance(10);
    expect(store.failure).toBeDefined();
    const failures: Error[] = [];
    store.onFailure = (error) => failures.push(error);
    await world.advance(1);
    expect(failures).toEqual([store.failure]);
    store.onFailure = (error) => failures.push(error);
    await world.advance(1);
    expect(failures).toHaveLength(1);
  });

  it('does not keep a log whose segments cannot be looked at from being deleted', async () => {
    const world = new World();
    const disk = world.newDisk();
    let { store } = await openOn(world, disk);
    const log = store.createLog(7, { durability: 'sync' });
    for (let i = 0; i < 40; i += 1) appendBatch(log, 900);
    store.startGroup();
    await world.advance(5);
    log.setCommitted(log.endSeq);
    await world.drive(store.close());
    // A left-over, which goes when the segments are loaded.
    const stray = 'shard-0/logs/07/7/0000000000009999-1.seg';
    disk.open(stray, { mode: 'create' }).close();
    disk.onCall = (call, path) => (call === 'open' && path === stray ? 'EIO' : undefined);
    ({ store } = await openOn(world, disk));
    store.deleteLog(7);
    store.startGroup();
    await world.advance(100);
    expect(store.failure).toBeUndefined();
    expect(disk.paths().some((path) => path.includes('/logs/07/7/'))).toBe(false);
    await world.drive(store.close());
    expect((await openOn(world, disk)).recovered).toEqual([]);
  });

  it('fences the store once, for ever, when a WAL write fails', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    appendBatch(log, 100);
    store.startGroup();
    await world.advance(1);
    const failures: Error[] = [];
    store.onFailure = (error) => failures.push(error);
    let writes = 0;
    disk.onCall = (call, path) => {
      if (call !== 'write' || !path.endsWith('.wal')) return undefined;
      writes += 1;
      return 'EIO';
    };
    appendBatch(log, 100);
    store.startGroup();
    await world.advance(60_000);
    expect(failures).toMatchObject([{ code: 'STORAGE_IO' }]);
    expect([writes, log.durableSeq]).toEqual([1, 1]);
    expect(log.append(1, 1e6, eventsOf('x'), undefined, true)).toBe('failed');
    await expect(store.checkpoint()).rejects.toBe(store.failure);
    await store.close();
    disk.onCall = () => undefined;
    world.clear();
    const next = await openOn(world, disk);
    expect([next.store.failedSync, next.store.cleanStart]).toEqual([true, false]);
    await world.drive(next.store.close());
    expect((await openOn(world, disk)).store.failedSync).toBe(false);
  });

  it('is not asked again after a failed sync of a segment', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    appendBatch(log, 100);
    store.startGroup();
    await world.advance(1);
    log.setCommitted(1);
    let syncs = 0;
    disk.onCall = (call, path) => {
      if (call !== 'sync' || !path.endsWith('.seg')) return undefined;
      syncs += 1;
      return 'EIO';
    };
    await expect(world.drive(store.checkpoint())).rejects.toThrow();
    expect(store.failure).toMatchObject({ code: 'STORAGE_IO' });
    await expect(store.checkpoint()).rejects.toThrow();
    expect(syncs).toBe(1);
  });

  it('goes on without settling while the disk is full, and catches up', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, {
      walFileBytesMin: 1 << 20,
      walFileBytesMax: 1 << 20,
    });
    const log = store.createLog(1, { durability: 'sync' });
    disk.spaceBytes = 0;
    for (let i = 0; i < 30; i += 1) appendBatch(log, 1000);
    store.startGroup();
    await world.advance(1);
    expect(log.durableSeq).toBe(30);
    log.setCommitted(30);
    await world.advance(30_000);
    expect([log.settledOffset, store.failure]).toEqual([0, undefined]);
    const all = readAll(log);
    disk.spaceBytes = 1e9;
    await world.advance(30_000);
    expect(log.settledOffset).toBe(30);
    expect(equalBytes(readAll(log), all)).toBe(true);
    const told = world.lines.filter(({ message }) => /no space to settle/.test(message));
    expect(told).toHaveLength(1);
  });

  it('tells once that the next WAL file finds no space, and asks again only after a moment', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, {
      walFileBytesMin: 1 << 20,
      walFileBytesMax: 1 << 20,
    });
    const log = store.createLog(1, { durability: 'sync' });
    log.usesReserve = true;
    disk.spaceBytes = 0;
    let asked = 0;
    const freeBytes = disk.freeBytes.bind(disk);
    disk.freeBytes = () => {
      asked += 1;
      return freeBytes();
    };
    for (let i = 0; i < 200; i += 1) {
      appendBatch(log, 2900);
      store.startGroup();
      await world.advance(0.3);
    }
    expect(log.durableSeq).toBe(200);
    // Once by whoever prepares, and once for those who append.
    expect(asked).toBe(2);
    const before = asked;
    await world.advance(1000);
    appendBatch(log, 100);
    store.startGroup();
    await world.advance(1);
    expect(asked - before).toBeLessThanOrEqual(4);
    const told = () => world.lines.filter(({ message }) => /cannot be prepared/.test(message));
    expect(told()).toHaveLength(1);
    const made = store.counters.walFilesMade;
    disk.spaceBytes = 1e9;
    await world.advance(1100);
    appendBatch(log, 100);
    store.startGroup();
    await world.advance(100);
    expect(store.counters.walFilesMade).toBe(made + 1);
  });

  it('tells once that a log is damaged where it should settle', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 5; i += 1) appendBatch(log, 1000);
    store.startGroup();
    await world.advance(1);
    store.abandon();
    world.clear();
    const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    const again = await openOn(world, copy);
    // Recovery has read the frames; they rot before they settle.
    copy.flipBit('shard-0/wal/00000001.wal', 4096 + 64 + 64 + 500);
    again.recovered[0]!.log.setCommitted(5);
    await world.advance(60_000);
    expect(again.recovered[0]!.log.needsRepair).toBe(true);
    expect(world.lines.filter(({ message }) => /quarantined/.test(message))).toHaveLength(1);
  });

  it('removes a WAL file that was left half made, and prepares a whole one', async () => {
    const world = new World();
    const disk = world.newDisk();
    const first = await openOn(world, disk);
    first.store.abandon();
    world.clear();
    const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    const half = 'shard-0/wal/00000007.wal';
    const file = copy.open(half, { mode: 'create' });
    file.writeSync(new Uint8Array(8192), 0);
    file.close();
    const { store } = await openOn(world, copy);
    expect(copy.exists(half)).toBe(false);
    const log = store.createLog(1, { durability: 'sync' });
    const made = store.counters.walFilesMade;
    for (let i = 0; i < 12; i += 1) {
      appendBatch(log, 3500);
      store.startGroup();
      await world.advance(5);
    }
    expect(store.counters.walFilesMade).toBeGreaterThan(made);
  });

  it('waits with the next WAL file for space, without failing or losing a frame', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, { uncommittedBytesMax: 1 << 20 });
    const log = store.createLog(1, { durability: 'sync' });
    log.usesReserve = true;
    disk.spaceBytes = 0;
    for (let i = 0; i < 200; i += 1) {
      appendBatch(log, 1000);
      store.startGroup();
      await world.advance(0.3);
    }
    expect(log.durableSeq).toBeLessThan(200);
    expect(store.failure).toBeUndefined();
    disk.spaceBytes = 1e9;
    await world.advance(2000);
    expect(log.durableSeq).toBe(200);
  });

  it('can be opened again with no byte free', async () => {
    const world = new World();
    let disk = world.newDisk();
    const first = await openOn(world, disk, { walFileBytesMin: 1 << 20, walFileBytesMax: 1 << 20 });
    const log = first.store.createLog(1, { durability: 'sync' });
    appendBatch(log, 1000);
    first.store.startGroup();
    await world.advance(1);
    for (let boot = 0; boot < 5; boot += 1) {
      world.clear();
      disk = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
      disk.spaceBytes = 0;
      const { store, recovered } = await openOn(world, disk, {
        walFileBytesMin: 1 << 20,
        walFileBytesMax: 1 << 20,
      });
      const found = recovered[0]!.log;
      appendBatch(found, 1000);
      store.startGroup();
      await world.advance(1);
      expect(found.durableSeq).toBe(2 + boot);
    }
  });
});

describe('writes that fail half-way', () => {
  it('two checkpoints on a full disk damage one slot, not both', async () => {
    const world = new World();
    const disk = world.newDisk();
    const opened = await openOn(world, disk, {
      checkpointBytes: 64 * 1024,
      onSnapshotWanted: (logId: number) => ({
        seq: opened.store.log(logId)!.committedSeq,
        bytes: eventsOf('state'),
      }),
    });
    const { store } = opened;
    const log = store.createLog(1, { durability: 'sync' });
    const fill = async (count: number) => {
      for (let i = 0; i < count; i += 1) {
        appendBatch(log, 1000);
        store.startGroup();
        await world.advance(0.3);
        log.setCommitted(log.endSeq);
      }
    };
    await fill(400);
    await world.drive(store.checkpoint());
    await world.drive(store.checkpoint());
    // WAL below the last two checkpoints is gone: nothing but one of them can stand in for it.
    expect(store.counters.walFilesRecycled).toBeGreaterThan(0);
    await fill(20);
    const all = readAll(log);
    disk.tornBytes = (length) => Math.floor(length / 2);
    disk.onCall = (call, path) =>
      call === 'write' && path.includes('/ckpt.') ? 'ENOSPC' : undefined;
    for (let i = 0; i < 2; i += 1) {
      await expect(world.drive(store.checkpoint())).rejects.toThrow();
      expect(store.failure).toBeUndefined();
    }
    store.abandon();
    world.clear();
    const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    const { recovered } = await openOn(world, copy);
    expect(world.lines.some((line) => /slot is damaged/.test(line.message))).toBe(true);
    expect(recovered[0]!.needsRepair).toBe(false);
    expect(recovered[0]!.log.endSeq).toBe(420);
    expect(equalBytes(readAll(recovered[0]!.log), all)).toBe(true);
  });

  it('a group of which half was written is cut, and what was durable before it stays', async () => {
    for (const share of [0.25, 0.5, 0.75, 1]) {
      const world = new World();
      const disk = world.newDisk();
      const { store } = await openOn(world, disk);
      const log = store.createLog(1, { durability: 'sync' });
      for (let i = 0; i < 10; i += 1) appendBatch(log, 1000);
      store.startGroup();
      await world.advance(1);
      expect(log.durableSeq).toBe(10);
      disk.tornBytes = (length) => Math.floor((length * share) / 4096) * 4096;
      disk.onCall = (call, path) => (call === 'write' && path.endsWith('.wal') ? 'EIO' : undefined);
      for (let i = 0; i < 30; i += 1) appendBatch(log, 1000);
      store.startGroup();
      await world.advance(1);
      expect(store.failure).toMatchObject({ code: 'STORAGE_IO' });
      expect(log.durableSeq).toBe(10);
      world.clear();
      const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
      const again = await openOn(world, copy);
      expect(again.store.failedSync).toBe(true);
      const [found] = again.recovered;
      expect(found!.needsRepair).toBe(false);
      expect([10, 40]).toContain(found!.log.endSeq);
      expect(readAll(found!.log).length).toBeGreaterThan(0);
    }
  });

  it('a failed write is remembered over any number of starts, until the store is told to forget it', async () => {
    const world = new World();
    let disk = world.newDisk();
    const again = async () => {
      world.clear();
      disk = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
      return (await openOn(world, disk)).store;
    };
    const { store } = await openOn(world, disk);
    appendBatch(store.createLog(1, { durability: 'sync' }), 1000);
    disk.onCall = (call, path) => (call === 'write' && path.endsWith('.wal') ? 'EIO' : undefined);
    store.startGroup();
    await world.advance(1);
    expect(store.failure).toMatchObject({ code: 'STORAGE_IO' });
    expect((await again()).failedSync).toBe(true);
    const third = await again();
    expect(third.failedSync).toBe(true);
    // What cannot be noted is not forgotten.
    disk.onCall = (call, path) => (call === 'write' && path.endsWith('.marks') ? 'EIO' : undefined);
    third.forgetFailedSync();
    expect(third.failedSync).toBe(true);
    disk.onCall = () => undefined;
    third.forgetFailedSync();
    expect(third.failedSync).toBe(false);
    expect((await again()).failedSync).toBe(false);
  });

  it('a group that finds no room fences the store, and nothing counts as lost', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 10; i += 1) appendBatch(log, 1000);
    store.startGroup();
    await world.advance(1);
    disk.tornBytes = (length) => Math.floor(length / 2);
    disk.onCall = (call, path) =>
      call === 'write' && path.endsWith('.wal') ? 'ENOSPC' : undefined;
    for (let i = 0; i < 10; i += 1) appendBatch(log, 1000);
    store.startGroup();
    await world.advance(1);
    expect(store.failure).toMatchObject({ code: 'STORAGE_FULL' });
    world.clear();
    const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    const { store: next, recovered } = await openOn(world, copy);
    expect(next.failedSync).toBe(false);
    expect(recovered[0]!.log.endSeq).toBe(10);
  });

  it('marks that were torn twice in a row leave the last sound ones', async () => {
    const world = new World();
    let disk = world.newDisk();
    const failWal = async (store: Awaited<ReturnType<typeof openOn>>['store']) => {
      const log = store.log(1) ?? store.createLog(1, { durability: 'sync' });
      appendBatch(log, 1000);
      store.startGroup();
      await world.advance(1);
      expect(store.failure).toMatchObject({ code: 'STORAGE_IO' });
      world.clear();
      disk = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
      return (await openOn(world, disk)).store;
    };
    const { store } = await openOn(world, disk);
    disk.onCall = (call, path) => (call === 'write' && path.endsWith('.wal') ? 'EIO' : undefined);
    const second = await failWal(store);
    disk.tornBytes = () => 12;
    disk.onCall = (call, path) =>
      call === 'write' && /marks|wal/.test(path.slice(path.lastIndexOf('.'))) ? 'EIO' : undefined;
    second.forgetFailedSync();
    const third = await failWal(second);
    expect([third.bootCount, third.cleanStart, third.failedSync]).toEqual([3, false, true]);
  });
});

describe('rotten derived files', () => {
  it('falls back to the other checkpoint slot, whose WAL is still there', async () => {
    const world = new World();
    const disk = world.newDisk();
    const opened = await openOn(world, disk, {
      checkpointBytes: 64 * 1024,
      onSnapshotWanted: (logId: number) => ({
        seq: opened.store.log(logId)!.committedSeq,
        bytes: eventsOf('state'),
      }),
    });
    const { store } = opened;
    const log = store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 1000; i += 1) {
      appendBatch(log, 1000);
      store.startGroup();
      await world.advance(0.3);
      log.setCommitted(log.endSeq);
    }
    await world.drive(store.checkpoint());
    expect(store.counters.walFilesRecycled).toBeGreaterThan(3);
    const all = readAll(log);
    const newest = store.counters.checkpoints % 2 === 0 ? 'a' : 'b';
    store.abandon();
    world.clear();
    const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    copy.flipBit(`shard-0/ckpt.${newest}`, 70);
    const { recovered } = await openOn(world, copy);
    expect(world.lines.some((line) => /slot is damaged/.test(line.message))).toBe(true);
    expect(recovered[0]!.needsRepair).toBe(false);
    expect(recovered[0]!.log.endSeq).toBe(1000);
    expect(equalBytes(readAll(recovered[0]!.log), all)).toBe(true);
  });

  it('refuses to guess when both checkpoint slots are damaged', async () => {
    const world = new World();
    const disk = world.newDisk();
    const opened = await openOn(world, disk, {
      checkpointBytes: 64 * 1024,
      onSnapshotWanted: (logId: number) => ({
        seq: opened.store.log(logId)!.committedSeq,
        bytes: eventsOf('state'),
      }),
    });
    const log = opened.store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 1000; i += 1) {
      appendBatch(log, 1000);
      opened.store.startGroup();
      await world.advance(0.3);
      log.setCommitted(log.endSeq);
    }
    opened.store.abandon();
    world.clear();
    const copy = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
    for (const slot of ['a', 'b']) copy.flipBit(`shard-0/ckpt.${slot}`, 70);
    const files = copy.paths();
    await expect(openOn(world, copy)).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
    expect(copy.paths()).toEqual(files);
  });

  it('rebuilds an index that does not match its segment', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 60; i += 1) appendBatch(log, 1000);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(60);
    const all = readAll(log);
    await world.drive(store.close());
    const indexes = disk.paths().filter((path) => path.endsWith('.idx'));
    expect(indexes.length).toBeGreaterThan(0);
    for (const path of indexes) disk.flipBit(path, 40);
    const { recovered } = await openOn(world, disk);
    expect(equalBytes(readAll(recovered[0]!.log), all)).toBe(true);
  });

  it('answers damaged where the headers of a segment rot, and reads the rest', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 60; i += 1) appendBatch(log, 1000);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(60);
    await world.advance(20_000);
    const segment = disk.paths().find((path) => path.endsWith('.seg'))!;
    disk.flipBit(segment, 64 + 16, 0xff);
    expect(log.read(0, 100, 60).kind).toBe('damaged');
    expect(log.read(59, 100, 60).kind).toBe('file');
  });
});
