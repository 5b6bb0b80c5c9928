// Batches end before the disk does: what makes room, and what the cluster keeps for itself, goes on.
import { describe, expect, it } from 'vitest';
import type { AppendRefusal, ShardStore, StoredLog } from '../../src/storage/api.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import { appendBatch, batchAt, eventsOf, NO_EVENTS, openOn, readAll } from './support/store-kit.ts';
import { World } from './support/world.ts';

const MIB = 1 << 20;
const FILES = { walFileBytesMin: MIB, walFileBytesMax: MIB, settleAgeMs: 100 };

async function turn(world: World, store: ShardStore): Promise<void> {
  store.startGroup();
  await world.advance(2);
}

/** Appends committed batches until one is refused. */
async function fill(world: World, store: ShardStore, log: StoredLog): Promise<AppendRefusal> {
  for (let i = 0; i < 1_000; i += 1) {
    const batch = batchAt(log.endOffset, 1, 10_000);
    const taken = log.append(1, log.lastLogTimeMs, NO_EVENTS, batch, true);
    if (typeof taken !== 'number') return taken;
    await turn(world, store);
    log.setCommitted(log.durableSeq);
  }
  throw new Error('a thousand batches found room');
}

/** `batches` are taken before: of 10 kB each. */
async function full(batches = 1): Promise<{
  world: World;
  disk: FaultDisk;
  store: ShardStore;
  log: StoredLog;
}> {
  const world = new World();
  const disk = world.newDisk();
  const { store } = await openOn(world, disk, {
    ...FILES,
    onSnapshotWanted: (logId) => {
      const { committedSeq } = store.log(logId)!;
      return committedSeq === 0 ? undefined : { seq: committedSeq, bytes: eventsOf('state') };
    },
  });
  const log = store.createLog(1, { durability: 'sync' });
  for (let i = 0; i < batches; i += 1) {
    appendBatch(log, 10_000);
    await turn(world, store);
    log.setCommitted(log.durableSeq);
  }
  // Both slots of the checkpoint have their blocks, as on every node that has run for a minute.
  for (let i = 0; i < 2; i += 1) await world.drive(store.checkpoint());
  disk.spaceBytes = 0;
  expect(await fill(world, store, log)).toBe('no-space');
  return { world, disk, store, log };
}

describe('a disk without a free byte', () => {
  it('takes no batches, before its WAL is full; all that was taken is durable and read', async () => {
    const { world, store, log } = await full();
    expect(log.durableSeq).toBe(log.endSeq);
    expect(readAll(log).length).toBeGreaterThan(400_000);
    expect(store.isShortOfSpace).toBe(true);
    expect(store.counters.refusedNoSpace).toBe(1);
    const told = world.lines.filter(({ message }) => /the disk is full or nearly so/.test(message));
    expect(told).toHaveLength(1);
    // Of other logs neither, whether their leader is here or not.
    const other = store.createLog(2, { durability: 'sync' });
    expect(other.append(1, 1, NO_EVENTS, batchAt(0, 1, 10), true)).toBe('no-space');
    const frame = { seq: 1, epoch: 1, logTimeMs: 1, chain: 0, payloadCrc: 0 };
    expect(other.appendReplica(frame, NO_EVENTS, batchAt(0, 1, 10), true)).toBe('no-space');
  });

  it('takes what has no batch, and the batches of logs that use the reserve', async () => {
    const { world, store, log } = await full();
    const groups = store.createLog(2, { durability: 'sync' });
    groups.usesReserve = true;
    for (let i = 0; i < 40; i += 1) {
      log.append(1, log.lastLogTimeMs, eventsOf(`ack ${i}`), undefined, true);
      appendBatch(groups, 50);
      await turn(world, store);
    }
    expect(log.durableSeq).toBe(log.endSeq);
    expect([groups.durableSeq, groups.endSeq]).toEqual([40, 40]);
  });

  it('is emptied: what was acknowledged makes room in the WAL, round for round, and then batches are taken', async () => {
    const { world, store, log } = await full(90);
    const files = store.counters.walFilesMade;
    // More acknowledgements than the rest of the file has room for, each in a write of its own.
    for (let i = 0; i < 1_000; i += 1) {
      const taken = log.append(1, log.lastLogTimeMs, eventsOf(`ack ${i}`), undefined, true);
      expect(typeof taken).toBe('number');
      await turn(world, store);
      log.setCommitted(log.durableSeq);
      log.setStartOffset(log.endOffset);
      await world.advance(10);
    }
    expect(log.durableSeq).toBe(log.endSeq);
    expect(store.counters.walFilesMade).toBe(files);
    expect(store.failure).toBeUndefined();
    await world.advance(1_000);
    expect(store.isShortOfSpace).toBe(false);
    appendBatch(log, 100);
    await turn(world, store);
    expect(log.durableSeq).toBe(log.endSeq);
  });

  it('has room again: whoever was refused hears of it', async () => {
    const { world, disk, store, log } = await full();
    let rooms = 0;
    store.onRoom = () => {
      rooms += 1;
    };
    await world.advance(3_000);
    expect([rooms, store.isShortOfSpace]).toEqual([0, true]);
    disk.spaceBytes = 1e9;
    await world.advance(600);
    expect([rooms, store.isShortOfSpace]).toEqual([1, false]);
    appendBatch(log, 100);
    const told = world.lines.filter(({ message }) => /the disk has room again/.test(message));
    expect(told).toHaveLength(1);
    // Nothing is watched any more: the next scrub alone waits.
    await turn(world, store);
    await world.advance(60_000);
    expect(world.pending).toBe(1);
  });
});

describe('a limit of free bytes', () => {
  it('ends publishes of leaders until a fifth more is free, and nothing that leaders elsewhere have taken', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await openOn(world, disk, { ...FILES, freeBytesMin: 50 * MIB });
    const log = store.createLog(1, { durability: 'sync' });
    const copy = store.createLog(2, { durability: 'sync' });
    const inMemory = store.createLog(3, { durability: 'memory' });
    const isTaken = async (): Promise<boolean> => {
      await turn(world, store);
      await world.advance(600);
      await turn(world, store);
      const batch = batchAt(log.endOffset, 1, 100);
      return log.append(1, log.lastLogTimeMs, NO_EVENTS, batch, true) !== 'no-space';
    };
    expect(await isTaken()).toBe(true);
    for (const [free, expected] of [
      [51, true],
      [49, false],
      [55, false],
      [59, false],
      [61, true],
      [51, true],
    ] as const) {
      disk.spaceBytes = free * MIB;
      expect(await isTaken(), `${free} MiB are free`).toBe(expected);
      expect(store.isShortOfSpace).toBe(!expected);
      if (expected) continue;
      expect(typeof log.append(1, log.lastLogTimeMs, eventsOf('ack'), undefined, true)).toBe(
        'number',
      );
      appendBatch(inMemory, 10);
      const frames: { header: Parameters<StoredLog['appendReplica']>[0]; batch: Uint8Array }[] = [];
      log.frames(copy.endSeq + 1, 1e6, ({ ...header }, _events, batch) => {
        if (batch !== undefined) frames.push({ header, batch: batch.slice() });
        return false;
      });
      const [frame] = frames;
      if (copy.endSeq === 0) {
        expect(frame).toBeDefined();
        expect(copy.appendReplica(frame!.header, NO_EVENTS, frame!.batch, true)).toBe('ok');
      }
    }
  });
});
