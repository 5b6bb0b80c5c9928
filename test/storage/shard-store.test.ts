// The shard store from outside: appends, group commit, settling, reads, truncation, restart.
import { describe, expect, it } from 'vitest';
import { concatBytes, equalBytes } from '../../src/std/bytes.ts';
import {
  allFrames,
  appendBatch,
  batchAt,
  bytesOf,
  eventsOf,
  fingerprints,
  NO_EVENTS,
  openOn,
  readAll,
  World,
} from './support/store-kit.ts';

const BIG = { walFileBytesMin: 4 << 20, walFileBytesMax: 4 << 20 };

describe('appending', () => {
  it('gives consecutive seqs and offsets, and makes them durable with one group', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(7, { durability: 'sync' });
    expect(appendBatch(log, 100)).toBe(1);
    expect(appendBatch(log, 100)).toBe(2);
    expect(log.append(2, 10, eventsOf('x'), undefined, true)).toBe(3);
    expect([log.endSeq, log.durableSeq, log.endOffset, log.lastEpoch]).toEqual([3, 0, 2, 2]);
    const durable: number[] = [];
    store.onDurable = (changed) => durable.push(...changed.map((one) => one.durableSeq));
    store.startGroup();
    await world.advance(1);
    expect(durable).toEqual([3]);
    expect(store.counters.walGroups).toBe(1);
    expect(log.epochEntries()).toEqual([
      { epoch: 1, firstSeq: 1 },
      { epoch: 2, firstSeq: 3 },
    ]);
    expect([log.offsetAt(0), log.offsetAt(2), log.offsetAt(3), log.offsetAt(4)]).toEqual([
      0,
      2,
      2,
      undefined,
    ]);
  });

  it('needs at most one group per round when frames nobody waits for ride along', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk(), BIG);
    const log = store.createLog(1, { durability: 'sync' });
    for (let round = 0; round < 1000; round += 1) {
      const seq = appendBatch(log, 64);
      log.append(1, log.lastLogTimeMs, eventsOf('ack'), undefined, false);
      store.startGroup();
      await world.advance(1);
      expect(log.durableSeq).toBeGreaterThanOrEqual(seq);
      log.setCommitted(seq);
    }
    expect(store.counters.walGroups).toBeLessThanOrEqual(1010);
  });

  it('shares a group between waiters that come while a write is in flight', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const logs = Array.from({ length: 64 }, (_, i) =>
      store.createLog(i + 1, { durability: 'sync' }),
    );
    appendBatch(logs[0]!, 10);
    store.startGroup();
    for (const log of logs) {
      appendBatch(log, 10);
      store.startGroup();
    }
    await world.advance(0.25);
    store.startGroup();
    await world.advance(1);
    expect(logs.every((log) => log.durableSeq === log.endSeq)).toBe(true);
    expect(store.counters.walGroups).toBe(2);
  });

  it('sends frames nobody waits for after ten milliseconds', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(1, { durability: 'sync' });
    log.append(1, 1, eventsOf('ack'), undefined, false);
    store.startGroup();
    await world.advance(9);
    expect(log.durableSeq).toBe(0);
    await world.advance(2);
    expect(log.durableSeq).toBe(1);
  });

  it('copies a frame to a replica, which refuses gaps, other histories and damage', async () => {
    const world = new World();
    const leader = (await openOn(world, world.newDisk())).store.createLog(1, {
      durability: 'sync',
    });
    const follower = (await openOn(world, world.newDisk())).store.createLog(1, {
      durability: 'sync',
    });
    appendBatch(leader, 50);
    appendBatch(leader, 60);
    const [first, second] = await allFrames(world, leader);
    const events = (text: string): Uint8Array => eventsOf(text);
    expect(follower.appendReplica(second!, events(second!.events), second!.batch, true)).toBe(
      'gap',
    );
    const rotten = first!.batch!.slice();
    rotten[70]! ^= 1;
    expect(follower.appendReplica(first!, events(first!.events), rotten, true)).toBe('corrupt');
    expect(follower.appendReplica(first!, events('zz'), first!.batch, true)).toBe('corrupt');
    const other = { ...first!, chain: first!.chain ^ 1 };
    expect(follower.appendReplica(other, events(first!.events), first!.batch, true)).toBe(
      'chain-mismatch',
    );
    for (const frame of [first!, second!]) {
      expect(follower.appendReplica(frame, events(frame.events), frame.batch, true)).toBe('ok');
    }
    expect(follower.chain).toBe(leader.chain);
    expect(equalBytes(readAll(follower), readAll(leader))).toBe(true);
  });

  it('answers full when slabs are used up and calls onRoom when there is room again', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk(), {
      slabBytesMax: 2 << 20,
      uncommittedBytesMax: 64 << 20,
    });
    const log = store.createLog(1, { durability: 'sync' });
    let refusal: unknown;
    for (let i = 0; i < 100 && refusal === undefined; i += 1) {
      const batch = batchAt(log.endOffset, 1, 60_000);
      const taken = log.append(1, 1, NO_EVENTS, batch, true);
      if (typeof taken !== 'number') refusal = taken;
    }
    expect(refusal).toBe('full');
    let isRoom = false;
    store.onRoom = () => {
      isRoom = true;
    };
    store.startGroup();
    await world.advance(50);
    expect(log.durableSeq).toBe(log.endSeq);
    expect(isRoom).toBe(true);
    expect(typeof log.append(1, 1, NO_EVENTS, batchAt(log.endOffset, 1, 60_000), true)).toBe(
      'number',
    );
  });

  it('refuses stuck logs beyond the uncommitted budget, and only those', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk(), { uncommittedBytesMax: 10_000 });
    const stuck = store.createLog(1, { durability: 'sync' });
    const lively = store.createLog(2, { durability: 'sync' });
    while (store.uncommittedBytes <= 10_000) appendBatch(stuck, 500);
    await world.advance(2000);
    const more = batchAt(stuck.endOffset, 1, 500);
    expect(stuck.append(1, 1e6, NO_EVENTS, more, true)).toBe('pinned');
    // The begin of an epoch has no batch: without it nothing would ever commit again.
    expect(stuck.append(2, 1e6, eventsOf('begin'), undefined, true)).toBe(stuck.endSeq);
    appendBatch(lively, 10);
    let isRoom = false;
    store.onRoom = () => {
      isRoom = true;
    };
    stuck.setCommitted(stuck.endSeq);
    store.startGroup();
    expect(isRoom).toBe(true);
    const again = batchAt(stuck.endOffset, 1, 500);
    expect(stuck.append(2, 1e6, NO_EVENTS, again, true)).toBe(stuck.endSeq);
  });
});

describe('settling and reading', () => {
  it('moves committed batches only, and reads the same bytes across the boundary', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(3, { durability: 'sync' });
    const batches: Uint8Array[] = [];
    for (let i = 0; i < 60; i += 1) {
      const batch = batchAt(log.endOffset, 1 + (i % 3), 200 + i * 13);
      batches.push(batch);
      log.append(1, i + 1, eventsOf(`e${i}`), batch, true);
    }
    store.startGroup();
    await world.advance(5);
    const all = concatBytes(batches);
    expect(equalBytes(readAll(log), all)).toBe(true);
    log.setCommitted(40);
    store.startGroup();
    await world.advance(20_000);
    expect(log.settledOffset).toBe(log.offsetAt(40));
    expect(store.counters.settledBatches).toBe(40);
    expect(equalBytes(readAll(log), all)).toBe(true);
    for (let offset = 0; offset < log.endOffset; offset += 1) {
      const read = log.read(offset, 1, log.endOffset);
      if (read.kind !== 'memory' && read.kind !== 'file') throw new Error(read.kind);
      expect(read.baseOffset <= offset && offset < read.nextOffset).toBe(true);
      bytesOf(read);
    }
  });

  it('honours the limit, the log start and the end', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(3, { durability: 'sync' });
    for (let i = 0; i < 30; i += 1) appendBatch(log, 1500);
    store.startGroup();
    await world.advance(2);
    for (const settled of [0, 20, 30]) {
      log.setCommitted(settled);
      store.startGroup();
      await world.advance(20_000);
      const read = log.read(5, 1 << 20, 12);
      if (read.kind !== 'memory' && read.kind !== 'file') throw new Error(read.kind);
      expect([read.baseOffset, read.nextOffset]).toEqual([5, 12]);
      read.release();
      expect(log.read(12, 100, 12).kind).toBe('empty');
      expect(log.read(30, 100, 30).kind).toBe('empty');
      expect(log.read(31, 100, 99).kind).toBe('out-of-range');
    }
    log.setStartOffset(25);
    expect(log.read(24, 100, 30)).toEqual({ kind: 'out-of-range', startOffset: 25, endOffset: 30 });
    expect(bytesOf(log.read(25, 1, 30)).length).toBeGreaterThan(1500);
  });

  it('removes whole segments below the log start, when their readers are gone', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(3, { durability: 'sync' });
    for (let i = 0; i < 60; i += 1) appendBatch(log, 1500);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(60);
    await world.advance(20_000);
    const segments = (): number => disk.paths().filter((path) => path.endsWith('.seg')).length;
    const before = segments();
    expect(before).toBeGreaterThan(2);
    const read = log.read(0, 100, 60);
    log.setStartOffset(59);
    expect(segments()).toBe(2);
    bytesOf(read);
    expect(segments()).toBe(1);
  });

  it('keeps no file for a log whose settled batches are all below its start, and goes on in a new one', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(3, { durability: 'sync' });
    const settle = async (count: number) => {
      for (let i = 0; i < count; i += 1) appendBatch(log, 1500);
      store.startGroup();
      await world.advance(2);
      log.setCommitted(log.endSeq);
      await world.advance(20_000);
    };
    const segments = (): string[] => disk.paths().filter((path) => path.includes('.seg'));
    await settle(20);
    const read = log.read(15, 100, 20);
    log.setStartOffset(20);
    expect(segments()).toHaveLength(1);
    expect(bytesOf(read).length).toBeGreaterThan(1500);
    expect([segments(), log.segmentBytes]).toEqual([[], 0]);
    await world.drive(store.checkpoint());
    await settle(2);
    expect(segments()).toHaveLength(1);
    expect(bytesOf(log.read(21, 1, 22)).length).toBeGreaterThan(1500);
    await world.drive(store.checkpoint());
    const before = readAll(log, 20);
    store.abandon();
    world.clear();
    const reopened = await openOn(
      world,
      disk.kill((ms, fire) => world.at(world.nowMs + ms, fire)),
    );
    expect(equalBytes(readAll(reopened.store.log(3)!, 20), before)).toBe(true);
  });

  it('never writes a batch that was consumed before it settled', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(3, { durability: 'sync' });
    for (let i = 0; i < 10; i += 1) appendBatch(log, 100);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(10);
    log.setStartOffset(10);
    await world.advance(20_000);
    expect(log.settledOffset).toBe(10);
    expect([store.counters.settledBytes, log.segmentBytes]).toEqual([0, 0]);
  });

  it('finds offsets by time, settled or not', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(3, { durability: 'sync' });
    const times = [100, 300, 200, 500, 400, 600];
    for (const time of times) {
      log.append(1, 1, NO_EVENTS, batchAt(log.endOffset, 2, 3000, 0, time), true);
    }
    store.startGroup();
    await world.advance(2);
    for (const committed of [0, 4, 6]) {
      log.setCommitted(committed);
      await world.advance(20_000);
      expect(log.offsetForTimestamp(0)?.baseOffset).toBe(0);
      expect(log.offsetForTimestamp(250)?.baseOffset).toBe(2);
      expect(log.offsetForTimestamp(450)?.baseOffset).toBe(6);
      expect(log.offsetForTimestamp(601)).toBeUndefined();
      expect(log.maxTimestamp()).toEqual({ baseOffset: 10, maxTimestampMs: 600 });
    }
  });

  it('gives frames from memory or from the WAL, the same either way', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(3, { durability: 'sync' });
    for (let i = 0; i < 25; i += 1) appendBatch(log, 900);
    const before = await allFrames(world, log);
    expect(log.frames(1, 1, () => true)).toBe(2);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(20);
    await world.advance(20_000);
    expect(log.frames(1, 1, () => true)).toBe('cold');
    expect(fingerprints(await allFrames(world, log))).toEqual(fingerprints(before));
    expect(log.frames(0, 1, () => true)).toBe('gone');
  });
});

describe('truncating', () => {
  it('cuts above the committed seq, and the cut survives a restart', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(3, { durability: 'sync' });
    for (let i = 0; i < 10; i += 1) appendBatch(log, 100);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(4);
    expect(log.truncate(3)).toBe('below-committed');
    const chain = log.chainAt(6);
    expect(log.truncate(6)).toBe('ok');
    expect([log.endSeq, log.durableSeq, log.endOffset, log.chain]).toEqual([6, 6, 6, chain]);
    appendBatch(log, 100, { epoch: 5, fill: 9 });
    expect(log.durableSeq).toBe(6);
    const frames = await allFrames(world, log);
    store.startGroup();
    await world.advance(2);
    expect(log.durableSeq).toBe(7);
    store.abandon();
    world.clear();
    const again = await openOn(
      world,
      disk.kill((ms, fire) => world.at(world.nowMs + ms, fire)),
    );
    const found = again.recovered[0]!.log;
    expect(again.recovered[0]!.needsRepair).toBe(false);
    expect([found.endSeq, found.lastEpoch, found.committedSeq]).toEqual([7, 5, 4]);
    expect(fingerprints(await allFrames(world, found))).toEqual(fingerprints(frames));
  });

  it('does not take a write in flight for the frame that replaced what it held', async () => {
    const world = new World();
    const { store } = await openOn(world, world.newDisk());
    const log = store.createLog(3, { durability: 'sync' });
    appendBatch(log, 100);
    appendBatch(log, 100);
    store.startGroup();
    log.truncate(1);
    appendBatch(log, 100, { epoch: 2 });
    await world.advance(0.25);
    expect([log.endSeq, log.durableSeq]).toEqual([2, 1]);
    store.startGroup();
    await world.advance(1);
    expect(log.durableSeq).toBe(2);
  });
});

describe('ends', () => {
  it('finds everything again after a clean stop, and says that it was clean', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    expect([store.cleanStart, store.bootCount, store.failedSync]).toEqual([true, 1, false]);
    const log = store.createLog(3, { durability: 'sync' });
    for (let i = 0; i < 50; i += 1) appendBatch(log, 1200);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(50);
    const all = readAll(log);
    await world.drive(store.close());
    const { store: second, recovered } = await openOn(world, disk);
    expect([second.cleanStart, second.bootCount]).toEqual([true, 2]);
    const found = recovered[0]!.log;
    expect([found.endSeq, found.durableSeq, found.committedSeq, found.settledOffset]).toEqual([
      50, 50, 50, 50,
    ]);
    expect(equalBytes(readAll(found), all)).toBe(true);
    second.abandon();
    world.clear();
    const { store: third } = await openOn(world, disk);
    expect([third.cleanStart, third.bootCount]).toEqual([false, 3]);
  });

  it('forgets logs in memory, and their files, with the process', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(3, { durability: 'memory' });
    const changed: number[] = [];
    store.onDurable = (logs) => changed.push(...logs.map((one) => one.durableSeq));
    for (let i = 0; i < 40; i += 1) appendBatch(log, 1200);
    store.startGroup();
    expect(changed).toEqual([40]);
    const all = readAll(log);
    log.setCommitted(40);
    await world.advance(20_000);
    expect(equalBytes(readAll(log), all)).toBe(true);
    expect(store.counters.walFrames).toBe(0);
    store.abandon();
    world.clear();
    const { recovered } = await openOn(world, disk);
    expect(recovered).toEqual([]);
    expect(disk.paths().filter((path) => path.endsWith('.seg'))).toEqual([]);
  });

  it('frees everything of a deleted log, for ever', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(3, { durability: 'sync' });
    for (let i = 0; i < 40; i += 1) appendBatch(log, 1200);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(40);
    await world.advance(20_000);
    store.deleteLog(3);
    expect(store.log(3)).toBeUndefined();
    await world.advance(50);
    expect(disk.paths().filter((path) => path.includes('/logs/'))).toEqual([]);
    store.abandon();
    world.clear();
    const { recovered } = await openOn(world, disk);
    expect(recovered).toEqual([]);
  });

  it('leaves no timer and no open file behind ten thousand idle logs', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    await world.advance(100);
    const opens = disk.opens;
    const events = world.pending;
    for (let i = 1; i <= 10_000; i += 1) store.createLog(i, { durability: 'sync' });
    expect([disk.opens - opens, world.pending - events]).toEqual([0, 0]);
  });
});
