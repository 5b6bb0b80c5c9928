// Many logs and few descriptors: what the shard does without, what waits, and that nothing is fenced or lost.
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/std/prng.ts';
import type { ShardStore, ShardStoreOptions, StoredLog } from '../../src/storage/api.ts';
import { runs } from '../setup/runs.ts';
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

const LOGS = 100;

function logsOf(store: ShardStore, count = LOGS): StoredLog[] {
  const logs: StoredLog[] = [];
  for (let i = 1; i <= count; i += 1) logs.push(store.createLog(i, { durability: 'sync' }));
  return logs;
}

/** As logs of the cluster have them: else all their frames stay in the WAL. */
async function openWithStates(
  world: World,
  disk: FaultDisk,
  options: Partial<ShardStoreOptions> = {},
): Promise<ShardStore> {
  const opened = await openOn(world, disk, {
    ...options,
    onSnapshotWanted: (logId) => ({
      seq: opened.store.log(logId)!.committedSeq,
      bytes: eventsOf('state'),
    }),
  });
  return opened.store;
}

async function round(world: World, store: ShardStore, logs: readonly StoredLog[]): Promise<void> {
  for (const log of logs) appendBatch(log, 300, { fill: log.logId });
  store.startGroup();
  await world.advance(5);
  for (const log of logs) log.setCommitted(log.durableSeq);
}

/** False: refused because the WAL has no room now. */
function isTaken(log: StoredLog): boolean {
  const batch = batchAt(log.endOffset, 1, 300, log.logId, undefined, 1);
  const taken = log.append(1, log.lastLogTimeMs + 1, eventsOf('e'), batch, true);
  if (typeof taken === 'string') expect(taken).toBe('no-space');
  return typeof taken === 'number';
}

function batchesOf(log: StoredLog, from = 0): Buffer {
  const parts: Uint8Array[] = [];
  for (let at = from; at < log.endOffset; at += 1) parts.push(batchAt(at, 1, 300, log.logId));
  return Buffer.concat(parts);
}

function expectWhole(logs: Iterable<StoredLog>): void {
  for (const log of logs) {
    expect(batchesOf(log).equals(readAll(log)), `log ${log.logId}`).toBe(true);
  }
}

/** Logs whose batches are all in segments. */
async function settled() {
  const world = new World();
  const disk = world.newDisk();
  // One segment open at a time.
  const store = await openWithStates(world, disk, { openFilesMax: 1 });
  const logs = logsOf(store, 3);
  await round(world, store, logs);
  await world.drive(store.checkpoint());
  expect(logs.map((log) => log.settledOffset)).toEqual([1, 1, 1]);
  return { world, disk, store, one: logs[0]!, two: logs[1]!, three: logs[2]! };
}

/** Nothing of the shard's segments stays open but what `read` holds, and no other descriptor is free. */
function starve(disk: FaultDisk, log: StoredLog) {
  const held = log.read(0, 1000, log.endOffset);
  if (held.kind !== 'file') throw new Error(`not in a segment: ${held.kind}`);
  disk.openMax = disk.openCount;
  return held;
}

describe('a shard whose descriptors run out', () => {
  it('writes, settles and reads a hundred logs with room for five segments', async () => {
    const world = new World();
    const disk = world.newDisk();
    const walFile = { walFileBytesMin: 1 << 20, walFileBytesMax: 1 << 20 };
    const store = await openWithStates(world, disk, walFile);
    const logs = logsOf(store);
    // Two more WAL files, and five.
    disk.openMax = disk.openCount + 7;
    for (let i = 0; i < 5; i += 1) {
      await round(world, store, logs);
      await world.advance(12_000);
    }
    await world.advance(60_000);
    expect(store.failure).toBeUndefined();
    expect(logs.map((log) => log.settledOffset)).toEqual(logs.map((log) => log.endOffset));
    expectWhole(logs);
    await world.drive(store.close());
    expect(disk.openCount).toBe(0);
    world.clear();
    const again = await openOn(world, disk);
    expect([again.store.cleanStart, again.recovered.length]).toEqual([true, LOGS]);
    expectWhole(again.recovered.map(({ log }) => log));
  });

  it('keeps no more segments open than it should, however many have bytes to sync', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, { openFilesMax: 8 });
    const before = disk.openCount;
    const logs = logsOf(store);
    let most = 0;
    disk.onEnd = () => {
      most = Math.max(most, disk.openCount - before);
    };
    await round(world, store, logs);
    await world.drive(store.checkpoint());
    await round(world, store, logs);
    await world.advance(60_000);
    expect(logs.map((log) => log.settledOffset)).toEqual(logs.map(() => 2));
    // Eight, one for each of the writes under way, the next WAL file and the checkpoint.
    expect(most).toBeLessThan(8 + 12);
    expect(most).toBeGreaterThan(7);
  });

  it('answers a read that finds none as one that may be tried again', async () => {
    const { disk, store, one, two, three, world } = await settled();
    const held = starve(disk, one);
    // The one that is held for settling.
    const other = three.read(0, 1000, three.endOffset);
    expect(other.kind).toBe('file');
    expect(two.read(0, 1000, two.endOffset).kind).toBe('no-descriptors');
    expect(() => two.offsetForTimestamp(0)).toThrow(/EMFILE/);
    expect(two.needsRepair).toBe(false);
    expect(bytesOf(held)).toEqual(batchAt(0, 1, 300, 1));
    // The one file that may be open is closed for the other.
    expectWhole([two, one, two]);
    expect(bytesOf(other)).toEqual(batchAt(0, 1, 300, 3));
    expect(disk.openCount).toBe(disk.openMax);
    expect(store.failure).toBeUndefined();
    expect(world.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('goes on with the WAL and checkpoints in the descriptors that are held for them', async () => {
    const { disk, store, one, two, three, world } = await settled();
    const held = starve(disk, one);
    const { checkpoints, walFilesMade } = store.counters;
    let waits = 0;
    for (let i = 0; i < 40; i += 1) {
      for (const log of [one, two, three]) {
        // The last file that there can be has room for what checkpoints need: publishes wait.
        while (!isTaken(log)) {
          waits += 1;
          expect(waits).toBeLessThan(400);
          await world.advance(1000);
        }
        store.startGroup();
        await world.advance(0.5);
        log.setCommitted(log.durableSeq);
        if (i % 5 === 0) log.putState(log.committedSeq, eventsOf('state'));
      }
    }
    expect(store.failure).toBeUndefined();
    for (const log of [one, two, three]) expect(log.durableSeq).toBe(41);
    expect(store.counters.checkpoints - checkpoints).toBeGreaterThan(3);
    expect(store.counters.walFilesMade).toBeGreaterThan(walFilesMade);
    expect(disk.openCount).toBeLessThanOrEqual(disk.openMax);
    held.release();
    expectWhole([one, two, three]);
  });

  it('waits with the next WAL file when not even those are left, and loses no frame', async () => {
    const { disk, store, one, world } = await settled();
    one.usesReserve = true;
    disk.onCall = (call, path) =>
      call === 'open' && /\.(wal|super)$/.test(path) ? 'EMFILE' : undefined;
    for (let i = 0; i < 200; i += 1) {
      appendBatch(one, 300, { fill: 1 });
      store.startGroup();
      await world.advance(0.3);
    }
    expect(one.durableSeq).toBeLessThan(200);
    expect(store.failure).toBeUndefined();
    disk.onCall = () => undefined;
    await world.advance(3000);
    expect(one.durableSeq).toBe(201);
    expectWhole([one]);
  });

  it('takes a checkpoint that found none again, and counts nothing before', async () => {
    const { disk, store, two, world } = await settled();
    await round(world, store, [two]);
    const { checkpoints } = store.counters;
    disk.onCall = (call, path) =>
      call === 'sync' && path.includes('/logs') && !path.endsWith('.seg') ? 'EMFILE' : undefined;
    const four = store.createLog(4, { durability: 'sync' });
    await round(world, store, [four]);
    await expect(world.drive(store.checkpoint())).rejects.toThrow(/EMFILE/);
    expect([store.failure, store.counters.checkpoints]).toEqual([undefined, checkpoints]);
    disk.onCall = () => undefined;
    await world.advance(60_000);
    expect(store.counters.checkpoints).toBeGreaterThan(checkpoints);
    // Every name is durable: the cut keeps nothing that was not synced.
    world.clear();
    const cut = disk.powerCut({ below: () => 1 }, (ms, fire) => world.at(world.nowMs + ms, fire));
    const again = await openOn(world, cut);
    expectWhole(again.recovered.map(({ log }) => log));
  });

  it('does not store a state, and stores the next one', async () => {
    const { disk, store, one, two, world } = await settled();
    const held = starve(disk, two);
    const big = new Uint8Array(64 * 1024).fill(7);
    one.putState(1, big);
    await world.advance(10);
    expect([one.snapshotSeq, store.failure]).toEqual([0, undefined]);
    held.release();
    disk.openMax = Number.POSITIVE_INFINITY;
    one.putState(1, big);
    store.startGroup();
    await world.advance(100);
    expect(one.state()?.bytes).toEqual(big);
  });

  it('pins nothing for a donation or a rewriting that found too few', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, { segmentBytesMax: 2000, openFilesMax: 1 });
    const [log] = logsOf(store, 1);
    for (let i = 0; i < 30; i += 1) {
      appendBatch(log!, 500);
      store.startGroup();
      await world.advance(1);
    }
    log!.setCommitted(30);
    log!.putState(30, eventsOf('state'));
    store.startGroup();
    await world.advance(100);
    for (let i = 0; i < 3; i += 1) await world.drive(store.checkpoint());
    expect(log!.sealedSegments().length).toBeGreaterThan(5);
    const all = readAll(log!);
    disk.openMax = disk.openCount + 3;
    await expect(world.drive(log!.donate())).rejects.toThrow(/EMFILE/);
    expect(() => log!.beginRewrite(0, 30)).toThrow(/EMFILE/);
    expect(readAll(log!)).toEqual(all);
    disk.openMax = Number.POSITIVE_INFINITY;
    const rewrite = log!.beginRewrite(0, 30)!;
    expect(rewrite.sources.length).toBeGreaterThan(3);
    disk.openMax = disk.openCount;
    disk.onCall = (call, path) =>
      call === 'open' && path.includes('.clean') ? 'EMFILE' : undefined;
    await expect(world.drive(rewrite.append(batchAt(0, 1, 500)))).rejects.toMatchObject({
      code: 'STORAGE_NO_DESCRIPTORS',
    });
    rewrite.abort();
    expect([store.failure, readAll(log!)]).toEqual([undefined, all]);
  });

  it('loses nothing that was durable when they run out again and again, and the process is killed', async () => {
    for (let seed = 1; seed <= runs(60, 6); seed += 1) {
      const random = new SeededRandom(seed);
      const world = new World();
      const disk = world.newDisk();
      const store = await openWithStates(world, disk, { openFilesMax: 2 + random.below(12) });
      const logs = logsOf(store, 20);
      for (let i = 0; i < 60; i += 1) {
        disk.openMax = random.below(3) === 0 ? Number.POSITIVE_INFINITY : 4 + random.below(12);
        for (const log of logs) {
          if (random.below(3) > 0) continue;
          isTaken(log);
          const read = log.read(random.below(log.endOffset + 1), 1000, log.endOffset);
          if (read.kind === 'file' || read.kind === 'memory') read.release();
        }
        store.startGroup();
        await world.advance([1, 30, 12_000][random.below(3)]!);
        for (const log of logs) log.setCommitted(log.durableSeq);
      }
      expect(store.failure, `seed ${seed}`).toBeUndefined();
      const durable = logs.map((log) => log.durableSeq);
      world.clear();
      const next = disk.powerCut(random, (ms, fire) => world.at(world.nowMs + ms, fire));
      const again = await openOn(world, next);
      const found = logs.map(({ logId }) => again.store.log(logId)!);
      for (const [i, log] of found.entries()) {
        expect(log.endSeq, `seed ${seed}, log ${log.logId}`).toBeGreaterThanOrEqual(durable[i]!);
      }
      expectWhole(found);
    }
  });
});
