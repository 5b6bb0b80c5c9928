// The write-ahead log read back: tears are cut, corruption below the durable end is told and never cut,
// recycled files never bring old frames back, and the bytes on disk are what the format says.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readU64le, toHex } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import type { StoredLog } from '../../src/storage/api.ts';
import {
  FrameCodec,
  FrameFields,
  TYPE_DATA,
  TYPE_GROUP,
  TYPE_STATE,
} from '../../src/storage/frame-format.ts';
import { openShardStore } from '../../src/storage/store.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  allFrames,
  appendBatch,
  batchAt,
  eventsOf,
  fingerprints,
  IDENTITY,
  openOn,
  RAW,
  readAll,
  World,
} from './support/store-kit.ts';

const FIRST_FILE = 'shard-0/wal/00000001.wal';
const codec = new FrameCodec(crc32c);

interface Found {
  readonly at: number;
  readonly type: number;
  readonly logId: number;
  readonly seq: number;
  readonly length: number;
  readonly groupAt: number;
}

/** Walks a WAL file by the format alone. */
function framesIn(bytes: Uint8Array): Found[] {
  const found: Found[] = [];
  const fields = new FrameFields();
  for (let groupAt = 4096; codec.readHeader(bytes, groupAt, fields); ) {
    expect(fields.type).toBe(TYPE_GROUP);
    const count = fields.chain;
    const end = groupAt + 64 + fields.payloadLength;
    expect(end % 4096).toBe(0);
    let at = groupAt + 64;
    for (let i = 0; i < count; i += 1) {
      expect(codec.readHeader(bytes, at, fields)).toBe(true);
      const { type, logId, seq, payloadLength: length } = fields;
      found.push({ at, type, logId, seq, length, groupAt });
      at += (64 + length + 7) & ~7;
    }
    groupAt = end;
  }
  return found;
}

/** Where the states of a log lie, the one written last at the end; what a recycled file held before is passed over. */
function statesOf(
  disk: FaultDisk,
  ofLogId: number,
): { path: string; at: number; seq: number; lsn: number }[] {
  const found: { path: string; at: number; seq: number; lsn: number }[] = [];
  const group = new FrameFields();
  const frame = new FrameFields();
  for (const path of disk.paths().filter((each) => each.endsWith('.wal'))) {
    const bytes = disk.contents(path);
    const shift = readU64le(bytes, 8) - 4096;
    for (let groupAt = 4096; groupAt < bytes.length; groupAt += 4096) {
      const isGroup = codec.readHeader(bytes, groupAt, group) && group.type === TYPE_GROUP;
      if (!isGroup || group.lsn !== groupAt + shift) continue;
      for (let at = groupAt + 64, i = 0; i < group.chain; i += 1) {
        codec.readHeader(bytes, at, frame);
        const { type, logId, seq, lsn } = frame;
        if (type === TYPE_STATE && logId === ofLogId) found.push({ path, at, seq, lsn });
        at += (64 + frame.payloadLength + 7) & ~7;
      }
    }
  }
  return found.sort((a, b) => a.lsn - b.lsn);
}

/** Of all groups that can be read, whatever lies between them. */
function groupsIn(bytes: Uint8Array): number[] {
  const fields = new FrameFields();
  const found: number[] = [];
  for (let at = 4096; at + 4096 <= bytes.length; at += 4096) {
    if (codec.readHeader(bytes, at, fields) && fields.type === TYPE_GROUP) found.push(at);
  }
  return found;
}

function reopened(world: World, disk: FaultDisk): Promise<Awaited<ReturnType<typeof openOn>>> {
  world.clear();
  return openOn(
    world,
    disk.kill((ms, fire) => world.at(world.nowMs + ms, fire)),
  );
}

/** Three logs with ten frames each, one group per frame, sealed if asked for. */
async function filled(isSealed: boolean): Promise<{ world: World; disk: FaultDisk }> {
  const world = new World();
  const disk = world.newDisk();
  const { store } = await openOn(world, disk, {
    walFileBytesMin: 1 << 20,
    walFileBytesMax: 1 << 20,
  });
  const logs = [1, 2, 3].map((id) => store.createLog(id, { durability: 'sync' }));
  for (let i = 0; i < 10; i += 1) {
    for (const log of logs) {
      appendBatch(log, 300 + i);
      store.startGroup();
      await world.advance(0.3);
    }
  }
  if (isSealed) await world.advance(2000);
  expect(store.counters.walSeals).toBe(isSealed ? 1 : 0);
  return { world, disk };
}

function ends(recovered: readonly { readonly log: StoredLog }[]): number[] {
  return recovered.map(({ log }) => log.endSeq);
}

describe('tears and corruption', () => {
  it('cuts a damaged last group that nothing says was durable', async () => {
    const { world, disk } = await filled(false);
    const last = framesIn(disk.contents(FIRST_FILE)).at(-1)!;
    disk.flipBit(FIRST_FILE, last.at + 80);
    const { recovered } = await reopened(world, disk);
    expect(ends(recovered)).toEqual([10, 10, 9]);
    expect(recovered.some((one) => one.needsRepair)).toBe(false);
  });

  it('quarantines the log of the same frame when a seal says that it was durable', async () => {
    const { world, disk } = await filled(true);
    const data = framesIn(disk.contents(FIRST_FILE)).filter(({ type }) => type === TYPE_DATA);
    disk.flipBit(FIRST_FILE, data.at(-1)!.at + 80);
    const { recovered } = await reopened(world, disk);
    expect(recovered.map((one) => one.needsRepair)).toEqual([false, false, true]);
    expect(ends(recovered)).toEqual([10, 10, 9]);
    const [, , damaged] = recovered;
    expect(damaged!.log.append(1, 1e6, eventsOf('x'), undefined, true)).toBe('damaged');
    expect(readAll(damaged!.log).length).toBeGreaterThan(0);
  });

  it('keeps every other log whole when a frame in the middle rots', async () => {
    const { world, disk } = await filled(true);
    const middle = framesIn(disk.contents(FIRST_FILE)).filter(
      ({ type, logId, seq }) => type === TYPE_DATA && logId === 2 && seq === 4,
    )[0]!;
    disk.flipBit(FIRST_FILE, middle.at + 100);
    const { recovered } = await reopened(world, disk);
    expect(ends(recovered)).toEqual([10, 3, 10]);
    expect(recovered.map((one) => one.needsRepair)).toEqual([false, true, false]);
  });

  it.each([false, true])(
    'believes a log that was made anew behind the damage (checkpoint: %s)',
    async (isCheckpointed) => {
      const { world, disk } = await filled(true);
      const frames = framesIn(disk.contents(FIRST_FILE)).filter(({ type }) => type === TYPE_DATA);
      // One whose log is known, and the header of a group: of all logs.
      disk.flipBit(FIRST_FILE, frames.find(({ logId, seq }) => logId === 2 && seq === 4)!.at + 100);
      disk.flipBit(
        FIRST_FILE,
        frames.find(({ logId, seq }) => logId === 1 && seq === 8)!.groupAt + 12,
      );
      const found = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
      world.clear();
      const { store, recovered } = await openOn(world, found);
      expect(recovered.map((one) => one.needsRepair)).toEqual([true, true, true]);
      const before = groupsIn(found.contents(FIRST_FILE)).length;
      for (const { log } of recovered.slice(0, 2)) {
        const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
        const nothing = { seq: 0, epoch: 0, chain: 0, logTimeMs: 0, endOffset: 0, startOffset: 0 };
        await world.drive(install.commit({ ...nothing, epochs: [], state: eventsOf('new') }));
      }
      const made = groupsIn(found.contents(FIRST_FILE)).length;
      for (const { log } of recovered.slice(0, 2)) {
        for (let i = 0; i < 3; i += 1) appendBatch(log, 100);
        store.startGroup();
        await world.advance(10);
        log.setCommitted(3);
      }
      if (isCheckpointed) await world.drive(store.checkpoint());
      await world.advance(2_000);
      const again = await reopened(world, found);
      expect(again.recovered.map((one) => one.needsRepair)).toEqual([false, false, true]);
      expect(ends(again.recovered).slice(0, 2)).toEqual([3, 3]);
      if (isCheckpointed) return;
      // What is damaged behind that counts again.
      expect(made).toBeGreaterThan(before);
      found.flipBit(FIRST_FILE, groupsIn(found.contents(FIRST_FILE))[made]! + 12);
      const last = await reopened(world, found);
      expect(last.recovered.map((one) => one.needsRepair)).toEqual([true, true, true]);
    },
  );

  it('suspects every log when a group header below the durable end rots, and cuts none behind it', async () => {
    const { world, disk } = await filled(true);
    const victim = framesIn(disk.contents(FIRST_FILE)).filter(
      ({ type, logId, seq }) => type === TYPE_DATA && logId === 1 && seq === 10,
    )[0]!;
    disk.flipBit(FIRST_FILE, victim.groupAt + 12);
    const { recovered } = await reopened(world, disk);
    expect(recovered.every((one) => one.needsRepair)).toBe(true);
    expect(ends(recovered)).toEqual([9, 10, 10]);
  });

  it('goes on behind a tear without ever joining what the tear left', async () => {
    const { world, disk } = await filled(false);
    const all = framesIn(disk.contents(FIRST_FILE));
    disk.flipBit(FIRST_FILE, all.at(-1)!.at + 80);
    const first = await reopened(world, disk);
    const log = first.store.log(3)!;
    appendBatch(log, 300, { epoch: 7 });
    first.store.startGroup();
    await world.advance(0.3);
    const frames = fingerprints(await allFrames(world, log));
    first.store.abandon();
    const second = await reopened(world, disk);
    const again = second.store.log(3)!;
    expect([again.endSeq, again.lastEpoch]).toEqual([10, 7]);
    expect(fingerprints(await allFrames(world, again))).toEqual(frames);
  });

  it('sums what it reads once', async () => {
    const world = new World();
    const disk = world.newDisk();
    const large = { walFileBytesMin: 1 << 20, walFileBytesMax: 1 << 20, settleBytes: 1 << 20 };
    const { store } = await openOn(world, disk, large);
    const log = store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 100; i += 1) appendBatch(log, 5_000);
    store.startGroup();
    await world.advance(5);
    const bytes = store.counters.walBytes;
    expect(log.durableSeq).toBe(100);
    store.abandon();
    world.clear();
    const env = world.env(disk.kill((ms, fire) => world.at(world.nowMs + ms, fire)));
    let summed = 0;
    let largeCalls = 0;
    const counted = (input: Uint8Array, start: number, end: number, seed?: number): number => {
      summed += end - start;
      // Headers and the front of a batch are not worth a call of the native one.
      if (end - start > 64) largeCalls += 1;
      return crc32c(input, start, end, seed);
    };
    const opened = await world.drive(
      openShardStore(
        { ...env, crc32c: counted },
        { ...large, directory: 'shard-0', identity: IDENTITY },
      ),
    );
    expect(opened.store.log(1)!.endSeq).toBe(100);
    expect(summed).toBeGreaterThan(0.9 * bytes);
    expect(summed).toBeLessThan(1.2 * bytes);
    // One for the group, a few for the superblock and the like; not one for each frame.
    expect(largeCalls).toBeLessThan(10);
  });

  it('notices every byte that rots in a group of several frames', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const logs = [1, 2, 3].map((id) => store.createLog(id, { durability: 'sync' }));
    for (const log of logs) appendBatch(log, 10);
    store.startGroup();
    await world.advance(1);
    for (const log of logs) appendBatch(log, 90 + log.logId);
    logs[1]!.append(1, 1e6, eventsOf('no batch'), undefined, true);
    store.startGroup();
    await world.advance(2000);
    store.abandon();
    const frames = framesIn(disk.contents(FIRST_FILE));
    const group = frames.filter(({ groupAt }) => groupAt === frames[3]!.groupAt);
    expect(group.map(({ logId }) => logId)).toEqual([1, 2, 3, 2]);
    for (const { at, length } of group) {
      for (let byte = 0; byte < 64 + length; byte += 3) {
        disk.flipBit(FIRST_FILE, at + byte, 1 << (byte & 7));
        const { store: found, recovered } = await reopened(world, disk);
        expect(
          recovered.some(({ needsRepair }) => needsRepair),
          `byte ${byte} at ${at}`,
        ).toBe(true);
        found.abandon();
        disk.flipBit(FIRST_FILE, at + byte, 1 << (byte & 7));
      }
    }
  });

  it('never brings frames of a recycled file back', async () => {
    const world = new World();
    const disk = world.newDisk();
    const options = {
      checkpointBytes: 64 * 1024,
      onSnapshotWanted: (logId: number) => {
        const log = opened.store.log(logId)!;
        return { seq: log.committedSeq, bytes: eventsOf('state') };
      },
    };
    const opened = await openOn(world, disk, options);
    const log = opened.store.createLog(1, { durability: 'sync' });
    for (let i = 0; i < 1200; i += 1) {
      appendBatch(log, 900);
      opened.store.startGroup();
      await world.advance(0.3);
      log.setCommitted(log.endSeq);
    }
    expect(opened.store.counters.walFilesRecycled).toBeGreaterThan(5);
    const files = disk.paths().filter((path) => path.endsWith('.wal'));
    expect(files.length).toBeLessThan(14);
    await world.advance(2000);
    const frames = fingerprints(await allFrames(world, log));
    opened.store.abandon();
    const { recovered } = await reopened(world, disk);
    expect(recovered[0]!.needsRepair).toBe(false);
    const found = fingerprints(await allFrames(world, recovered[0]!.log));
    expect(found.at(-1)).toBe(frames.at(-1));
    expect(recovered[0]!.log.endSeq).toBe(1200);
  });
});

describe('carrying forward', () => {
  it('recycles the WAL although one log is stuck and one is idle', async () => {
    const world = new World();
    const disk = world.newDisk();
    const opened = await openOn(world, disk, {
      checkpointBytes: 64 * 1024,
      onSnapshotWanted: (logId: number) => {
        if (logId !== 3) return undefined;
        return { seq: opened.store.log(3)!.committedSeq, bytes: eventsOf('busy') };
      },
    });
    const { store } = opened;
    const [idle, stuck, busy] = [1, 2, 3].map((id) => store.createLog(id, { durability: 'sync' }));
    for (let i = 0; i < 5; i += 1) {
      appendBatch(idle!, 100);
      appendBatch(stuck!, 100);
    }
    store.startGroup();
    await world.advance(1);
    idle!.setCommitted(5);
    idle!.putState(3, eventsOf('idle at 3'));
    idle!.putState(5, eventsOf('idle at 5'));
    const before = fingerprints(await allFrames(world, stuck!));
    for (let i = 0; i < 1200; i += 1) {
      appendBatch(busy!, 900);
      store.startGroup();
      await world.advance(0.3);
      busy!.setCommitted(busy!.endSeq);
    }
    expect(store.counters.carriedFrames).toBeGreaterThan(5);
    expect(disk.paths().filter((path) => path.endsWith('.wal')).length).toBeLessThan(14);
    await world.advance(50);
    store.abandon();
    const { recovered, store: second } = await reopened(world, disk);
    expect(recovered.some((one) => one.needsRepair)).toBe(false);
    expect(fingerprints(await allFrames(world, second.log(2)!))).toEqual(before);
    expect(second.log(1)!.state()).toEqual({ seq: 5, bytes: eventsOf('idle at 5') });
    expect(second.log(1)!.endSeq).toBe(5);
  });

  /** Many idle logs with more than the WAL would keep, then one that goes on. */
  async function manyIdle(state: string) {
    const world = new World();
    const disk = world.newDisk();
    const opened = await openOn(world, disk, {
      checkpointBytes: 64 * 1024,
      onSnapshotWanted: (logId: number) => {
        const log = opened.store.log(logId)!;
        return { seq: log.committedSeq, bytes: eventsOf(state) };
      },
    });
    const { store } = opened;
    const logs = Array.from({ length: 40 }, (_, i) =>
      store.createLog(i + 1, { durability: 'sync' }),
    );
    const append = async (log: StoredLog) => {
      appendBatch(log, 900);
      store.startGroup();
      await world.advance(0.3);
      log.setCommitted(log.endSeq);
    };
    for (let i = 0; i < 10; i += 1) for (const log of logs) await append(log);
    const busy = logs[0]!;
    for (let i = 0; i < 600; i += 1) await append(busy);
    return { world, disk, store, append, busy, idle: logs.slice(1) };
  }

  it('stores the state of an idle log twice instead of carrying its frames for ever', async () => {
    const { world, disk, store, append, busy, idle } = await manyIdle('state');
    const { carriedFrames, walBytes } = store.counters;
    for (let i = 0; i < 600; i += 1) await append(busy);
    // What is left to carry are the two states of each log, once in three checkpoints.
    const checkpoints = store.counters.walBytes / (64 * 1024);
    expect(store.counters.carriedFrames - carriedFrames).toBeLessThan(checkpoints * idle.length);
    expect(store.counters.walBytes - walBytes).toBeLessThan(600 * 4096 * 1.5);
    for (const log of idle) expect(log.firstSeq).toBe(11);
    await world.advance(2000);
    store.abandon();
    const { recovered, store: second } = await reopened(world, disk);
    expect(recovered.some((one) => one.needsRepair)).toBe(false);
    for (const { logId } of idle) {
      expect(second.log(logId)!.state()).toEqual({ seq: 10, bytes: eventsOf('state') });
    }
  });

  it.each([0, 1])('has a state when copy %i of the two is damaged', async (damaged) => {
    const { world, disk, store } = await manyIdle('a state that is stored twice');
    await world.advance(2000);
    store.abandon();
    const states = statesOf(disk, 7);
    const counting = states.slice(-2);
    expect(counting.map(({ seq }) => seq)).toEqual([10, 10]);
    const { store: second } = await reopened(world, disk);
    // A block of a device rots as a whole: whatever of the log lies in it is gone.
    const blockOf = ({ path, at }: { path: string; at: number }) => `${path} ${(at + 114) >> 12}`;
    const rotten = states.filter((one) => blockOf(one) === blockOf(counting[damaged]!));
    for (const { path, at } of rotten) disk.flipBit(path, at + 64 + 50);
    expect(second.log(7)!.state()?.seq).toBe(10);
  });

  it('carries the two states of a log into different blocks', async () => {
    const { world, disk, store, append, busy } = await manyIdle('state');
    const log = store.createLog(41, { durability: 'sync' });
    for (let i = 0; i < 4; i += 1) {
      log.append(1, 1, eventsOf('e'), undefined, true);
      store.startGroup();
      await world.advance(0.3);
      log.setCommitted(log.endSeq);
      if (i === 1) log.putState(2, eventsOf('larger than the frames '.repeat(20)));
    }
    log.putState(4, eventsOf('larger than the frames '.repeat(20)));
    for (let i = 0; i < 600; i += 1) await append(busy);
    const [one, other] = statesOf(disk, 41).slice(-2);
    expect([one!.seq, other!.seq].sort()).toEqual([2, 4]);
    expect(one!.path !== other!.path || one!.at >> 12 !== other!.at >> 12).toBe(true);
  });

  it.each([1, 2])('stores a state again when it finds %i of the two damaged', async (count) => {
    const { world, disk, store, append, busy } = await manyIdle('a state that is stored twice');
    const found = statesOf(disk, 7).slice(-2);
    for (const { path, at } of found.slice(0, count)) disk.flipBit(path, at + 64 + 50);
    for (let i = 0; i < 600; i += 1) await append(busy);
    await world.advance(2_000);
    store.abandon();
    const states = statesOf(disk, 7).slice(-2);
    expect(states.map(({ seq }) => seq)).toEqual([10, 10]);
    for (const { lsn } of states) expect(lsn).toBeGreaterThan(found[1]!.lsn);
    const { recovered, store: second } = await reopened(world, disk);
    expect(recovered.some((one) => one.needsRepair)).toBe(false);
    disk.flipBit(states[1]!.path, states[1]!.at + 64 + 50);
    expect(second.log(7)!.state()?.seq).toBe(10);
  });

  /** A shorter catch-up replaces a log meanwhile; answers what a start finds then. */
  async function installedWhile(appends: number, delayMs: number, late: Uint8Array | undefined) {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, { checkpointBytes: 16 * 1024 });
    const [idle, busy] = [1, 2].map((id) => store.createLog(id, { durability: 'sync' }));
    const append = async (log: StoredLog) => {
      appendBatch(log, 900);
      store.startGroup();
      await world.advance(0.3);
      log.setCommitted(log.endSeq);
    };
    for (let i = 0; i < 12; i += 1) await append(idle!);
    idle!.putState(10, new Uint8Array(2_000));
    await append(busy!);
    idle!.putState(11, new Uint8Array(2_000));
    for (let i = 0; i < appends; i += 1) await append(busy!);
    const install = idle!.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
    appendBatch(busy!, 900);
    store.startGroup();
    if (late !== undefined) idle!.putState(12, late);
    await world.advance(delayMs);
    const shorter = { seq: 3, epoch: 1, chain: 7, logTimeMs: 1, endOffset: 0, startOffset: 0 };
    const epochs = [{ epoch: 1, firstSeq: 1 }];
    await world.drive(install.commit({ ...shorter, epochs, state: eventsOf('installed') }));
    await world.advance(2_000);
    expect(idle!.snapshotSeq).toBe(3);
    store.abandon();
    const { recovered, store: second } = await reopened(world, disk);
    const { needsRepair } = recovered.find(({ log }) => log.logId === 1)!;
    return { needsRepair, state: second.log(1)!.state() };
  }

  const installed = { needsRepair: false, state: { seq: 3, bytes: eventsOf('installed') } };

  it('carries nothing of a log behind the frame of a catch-up that replaces it', async () => {
    for (let i = 0; i < 60; i += 1) {
      const found = await installedWhile(8 + (i % 20), 0.05 * Math.floor(1 + i / 20), undefined);
      expect({ i, ...found }).toEqual({ i, ...installed });
    }
  });

  it('stores no state behind the frame of a catch-up that replaces the log', async () => {
    for (let i = 0; i < 10; i += 1) {
      const found = await installedWhile(1, 0.05 * i, new Uint8Array(20_000));
      expect({ i, ...found }).toEqual({ i, ...installed });
    }
  });

  it('keeps the file of a state whose seq a log had before a catch-up made it shorter', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(1, { durability: 'sync' });
    const appendTo = async (seq: number) => {
      while (log.endSeq < seq) appendBatch(log, 100);
      store.startGroup();
      await world.advance(1);
      log.setCommitted(seq);
    };
    await appendTo(5);
    log.putState(5, new Uint8Array(20_000).fill(1));
    await world.advance(5);
    const install = log.beginInstall({ kind: 'scratch', startOffset: 0 }, RAW);
    const shorter = { seq: 3, epoch: 1, chain: 7, logTimeMs: 1, endOffset: 0, startOffset: 0 };
    const epochs = [{ epoch: 1, firstSeq: 1 }];
    await world.drive(install.commit({ ...shorter, epochs, state: eventsOf('installed') }));
    await world.drive(store.checkpoint());
    await appendTo(5);
    const state = new Uint8Array(20_000).fill(2);
    log.putState(5, state);
    await world.advance(5);
    await world.drive(store.checkpoint());
    await world.drive(store.checkpoint());
    await world.advance(2_000);
    store.abandon();
    const { recovered, store: second } = await reopened(world, disk);
    expect(recovered[0]!.needsRepair).toBe(false);
    expect(second.log(1)!.state()).toEqual({ seq: 5, bytes: state });
  });

  it('writes nothing for what was carried, however much that is', async () => {
    const world = new World();
    const disk = world.newDisk();
    const opened = await openOn(world, disk, {
      checkpointBytes: 64 * 1024,
      onSnapshotWanted: (logId: number) => {
        if (logId === 1) return undefined;
        return { seq: opened.store.log(logId)!.committedSeq, bytes: eventsOf('busy') };
      },
    });
    const { store } = opened;
    const [idle, busy] = [1, 2].map((id) => store.createLog(id, { durability: 'sync' }));
    const append = async (log: StoredLog) => {
      appendBatch(log, 900);
      store.startGroup();
      await world.advance(0.3);
      log.setCommitted(log.endSeq);
    };
    const state = new Uint8Array(20_000);
    await append(idle!);
    idle!.putState(1, state);
    await world.advance(5);
    // Far more than three intervals between the two states, which are too large for the WAL.
    for (let i = 0; i < 600; i += 1) await append(idle!);
    idle!.putState(idle!.committedSeq, state);
    await world.advance(60_000);
    expect(idle!.firstSeq).toBe(2);
    const { walBytes, checkpoints } = store.counters;
    await world.advance(3_600_000);
    expect(store.counters.walBytes - walBytes).toBe(0);
    expect(store.counters.checkpoints - checkpoints).toBe(0);
    for (let i = 0; i < 600; i += 1) await append(busy!);
    await world.advance(60_000);
    // What is needed passes the head once for each three intervals that are not.
    const needed = 600 * 1100;
    const appended = 600 * 4096;
    expect(store.counters.carriedFrames).toBeGreaterThan(0);
    const writtenMax = appended * (1 + needed / (3 * 64 * 1024)) + needed;
    expect(store.counters.walBytes - walBytes).toBeLessThan(writtenMax);
    store.abandon();
    const { recovered, store: second } = await reopened(world, disk);
    expect(recovered.some((one) => one.needsRepair)).toBe(false);
    expect(second.log(1)!.state()).toEqual({ seq: 601, bytes: state });
    expect(second.log(1)!.firstSeq).toBe(2);
  });
});

describe('format', () => {
  it('is byte for byte the one in the golden file', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk);
    const log = store.createLog(0x123456789a, { durability: 'sync' });
    const batch = batchAt(0, 2, 10, 3);
    log.append(5, 1_700_000_000_123, eventsOf('event'), batch, true);
    log.append(6, 1_700_000_000_124, eventsOf('epoch-begin'), undefined, true);
    store.startGroup();
    await world.advance(1);
    log.setCommitted(1);
    log.truncate(1);
    store.deleteLog(0x123456789a);
    await world.advance(1);
    const bytes = disk.contents(FIRST_FILE);
    const parts = [`file header  ${toHex(bytes.subarray(0, 64))}`];
    for (let at = 4096; at < 3 * 4096; at += 4096) {
      parts.push(`block ${at}`);
      for (let line = at; line < at + 640; line += 32) {
        parts.push(toHex(bytes.subarray(line, line + 32)));
      }
    }
    const text = `${parts.join('\n')}\n`;
    const path = new URL('./golden/wal-frames.txt', import.meta.url);
    if (process.env['UPDATE'] === '1') writeFileSync(path, text);
    expect(text).toBe(readFileSync(path, 'utf8'));
  });
});
