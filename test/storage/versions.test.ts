// What a build does with files of a version or with features that it does not know: it says which file, what it
// found and what it reads, and touches nothing. What is derived is made anew; what is compatible is kept.
import { describe, expect, it } from 'vitest';
import { baseOffset, forEachBatch } from '../../src/records/batch.ts';
import { readU32, readU32le, writeU32, writeU32le } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import type { ShardStore, StoredLog } from '../../src/storage/api.ts';
import {
  decodeSuperblock,
  encodeSuperblock,
  REWRITTEN_SEGMENTS,
  type Superblock,
} from '../../src/storage/store-files.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  BATCH_LOG,
  FILES,
  folderOfRun,
  INSTALLED_LOG,
  OPTIONS,
  rewriteFirstTwo,
  runUnrewritten,
  STATE_LOG,
} from './support/format-run.ts';
import { appendBatch, IDENTITY, openOn, readAll, World } from './support/store-kit.ts';

/** A folder with one file changed, whose sum is right again. */
async function changed(
  path: string,
  change: (bytes: Uint8Array) => void,
): Promise<{ world: World; disk: FaultDisk; bytes: Uint8Array }> {
  const { world, disk } = await folderOfRun();
  const bytes = disk.contents(path).slice();
  change(bytes);
  disk.overwrite(path, 0, bytes);
  return { world, disk, bytes };
}

function everythingIn(disk: FaultDisk): Record<string, number> {
  return Object.fromEntries(disk.paths().map((path) => [path, crc32c(disk.contents(path))]));
}

async function expectRefused(
  world: World,
  disk: FaultDisk,
  details: Record<string, unknown>,
): Promise<void> {
  const before = everythingIn(disk);
  const refusal = await openOn(world, disk, OPTIONS).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'STORAGE_NEWER_FORMAT', details });
  const { message } = refusal as Error;
  expect(message).toContain('was written by a newer version');
  for (const value of Object.values(details)) {
    if (typeof value === 'string') expect(message).toContain(value);
  }
  expect(everythingIn(disk)).toEqual(before);
  expect(disk.lockedBy('shard-0/LOCK')).toBeUndefined();
}

/** Little-endian header of 64 bytes with its sum at 60. */
function withHeaderSum(bytes: Uint8Array, at = 0): void {
  writeU32le(bytes, at + 60, crc32c(bytes, at, at + 60));
}

function superblockWith(disk: FaultDisk, fields: Partial<Superblock>): void {
  const known = decodeSuperblock(disk.contents(FILES.superblock), crc32c, 'store.super');
  disk.replaceFile(FILES.superblock, encodeSuperblock({ ...known, ...fields }, crc32c));
}

const superblockOf = (disk: FaultDisk): Superblock =>
  decodeSuperblock(disk.contents(FILES.superblock), crc32c, 'store.super');

describe('a version that is not known', () => {
  it.each([0, 2])('of the superblock (%i) is refused', async (major) => {
    const { world, disk } = await folderOfRun();
    superblockWith(disk, { major, minor: 3 });
    await expectRefused(world, disk, {
      file: FILES.superblock,
      found: `${major}.3`,
      wanted: '1.x',
    });
  });

  it('of the superblock is known whatever comes behind it', async () => {
    const { world, disk } = await folderOfRun();
    const bytes = new Uint8Array(16);
    bytes.set(disk.contents(FILES.superblock).subarray(0, 12));
    bytes[9] = 2;
    writeU32(bytes, 4, crc32c(bytes, 8, bytes.length));
    disk.replaceFile(FILES.superblock, bytes);
    await expectRefused(world, disk, { file: FILES.superblock, found: '2.0', wanted: '1.x' });
  });

  it('of a WAL file is refused, and not taken for damage', async () => {
    const { world, disk } = await changed(FILES.wal, (bytes) => {
      writeU32le(bytes, 4, 2);
      withHeaderSum(bytes);
    });
    await expectRefused(world, disk, { file: FILES.wal, found: 2, wanted: 1 });
  });

  /** Groups begin at blocks; the first of them that a start replays. */
  function groupIn(bytes: Uint8Array, disk: FaultDisk): number {
    const slots = [FILES.checkpointA, FILES.checkpointB].map((path) => disk.contents(path));
    const replayLsn = Math.max(...slots.map((slot) => readU32(slot, 20)));
    for (let at = 4096; at < bytes.length; at += 4096) {
      if (readU32le(bytes, at) === 0x46574243 && readU32le(bytes, at + 8) >= replayLsn) return at;
    }
    throw new Error('nothing is replayed');
  }

  it.each([
    ['group', 0],
    ['frame in a group', 64],
  ])('of a %s of the WAL is refused, and is no tear', async (_, behind) => {
    const { disk: known } = await folderOfRun();
    const { world, disk } = await changed(FILES.wal, (bytes) => {
      const at = groupIn(bytes, known) + behind;
      bytes[at + 4] = 2;
      withHeaderSum(bytes, at);
    });
    await expectRefused(world, disk, { found: 2, wanted: 1 });
  });

  it('of a frame that an earlier use of the file has left is nothing', async () => {
    const { world, disk } = await changed(FILES.wal, (bytes) => {
      let at = 4096;
      while (readU32le(bytes, at) === 0x46574243) at += 64 + readU32le(bytes, at + 44);
      // Behind the last group lies one with the LSN of the first.
      bytes.copyWithin(at, 4096, 4096 + 4096);
      bytes[at + 4] = 2;
      withHeaderSum(bytes, at);
    });
    const { recovered } = await openOn(world, disk, OPTIONS);
    expect(recovered.filter(({ needsRepair }) => needsRepair)).toEqual([]);
    expect(recovered).toHaveLength(4);
  });

  it('and a kind of frame that is not known are refused alike', async () => {
    const { disk: known } = await folderOfRun();
    const { world, disk } = await changed(FILES.wal, (bytes) => {
      const at = groupIn(bytes, known) + 64;
      bytes[at + 5] = 9;
      // The payload of another kind than data is summed as it is.
      const length = readU32le(bytes, at + 44);
      writeU32le(bytes, at + 48, crc32c(bytes, at + 64, at + 64 + length));
      withHeaderSum(bytes, at);
    });
    await expectRefused(world, disk, { found: 'frame type 9', wanted: 'types 1 to 7' });
  });

  it.each(['checkpointA', 'checkpointB'] as const)('of %s is refused', async (kind) => {
    const { world, disk } = await changed(FILES[kind], (bytes) => {
      writeU32(bytes, 4, 2);
      writeU32(bytes, 44, crc32c(bytes, 0, 44));
    });
    // A damaged slot beside it is wiped by a start: not by one that is refused.
    disk.flipBit(kind === 'checkpointA' ? FILES.checkpointB : FILES.checkpointA, 60);
    await expectRefused(world, disk, { file: FILES[kind], found: 2, wanted: 1 });
  });

  it.each([
    ['segment', 'index'],
    ['rewrittenSegment', 'rewrittenIndex'],
  ] as const)(
    'of a %s is not read, and told as such, with and without its index',
    async (kind, index) => {
      const { world, disk, bytes } = await changed(FILES[kind], (all) => {
        writeU32le(all, 4, 2);
        withHeaderSum(all);
      });
      const from = kind === 'segment' ? 8 : 0;
      const expectUnread = (store: ShardStore): void => {
        world.lines.length = 0;
        expect(store.log(BATCH_LOG)!.read(from, 1000, 14)).toEqual({ kind: 'damaged' });
        const why = `${FILES[kind]} was written by a newer version: its format is 2, this build reads 1`;
        const line = { level: 'error', fields: { logId: BATCH_LOG, why } };
        expect(world.lines).toMatchObject([line]);
        expect(() => store.log(BATCH_LOG)!.offsetForTimestamp(1_700_000_000_000 + from)).toThrow(
          why,
        );
      };
      const { store } = await openOn(world, disk, OPTIONS);
      expectUnread(store);
      store.abandon();
      world.clear();
      const again = disk.kill((ms, fire) => world.at(world.nowMs + ms, fire));
      again.remove(FILES[index]);
      expectUnread((await openOn(world, again, OPTIONS)).store);
      expect(again.contents(FILES[kind])).toEqual(bytes);
    },
  );

  it('of a sparse index is no harm: it is made anew', async () => {
    const { world, disk } = await changed(FILES.index, (bytes) => {
      writeU32le(bytes, 4, 2);
      writeU32le(bytes, 64, crc32c(bytes, 68, bytes.length, crc32c(bytes, 0, 64)));
    });
    const { store } = await openOn(world, disk, OPTIONS);
    expect(basesOf(store.log(BATCH_LOG)!, 8)).toEqual([8, 9, 10, 11, 12, 13]);
  });

  it.each([
    ['state', 4, BATCH_LOG],
    ['install', 7, INSTALLED_LOG],
  ])('of the record of a %s in the WAL is refused', async (name, type, logId) => {
    const { world, disk } = await changed(FILES.wal, (bytes) => {
      let found = 0;
      for (let at = 4096; at + 64 < bytes.length; at += 8) {
        const isOurs =
          readU32le(bytes, at) === 0x46574243 &&
          bytes[at + 5] === type &&
          readU32le(bytes, at + 16) === logId;
        if (!isOurs) continue;
        found += 1;
        const length = readU32le(bytes, at + 44);
        bytes[at + 64] = 2;
        writeU32le(bytes, at + 48, crc32c(bytes, at + 64, at + 64 + length));
        withHeaderSum(bytes, at);
      }
      expect(found).toBeGreaterThan(0);
    });
    const file = `the ${name} of log ${logId}`;
    await expectRefused(world, disk, { file, found: 2, wanted: 1 });
  });

  it('of a state in a file is refused by who reads it, and no older one stands in for it', async () => {
    const { world, disk, bytes } = await changed(FILES.state, (all) => {
      all[16] = 2;
      writeU32(all, 4, crc32c(all, 8, all.length));
    });
    const { store } = await openOn(world, disk, OPTIONS);
    expect(() => store.log(STATE_LOG)!.state()).toThrowError(
      expect.objectContaining({
        code: 'STORAGE_NEWER_FORMAT',
        details: { file: FILES.state, found: 2, wanted: 1 },
      }) as Error,
    );
    expect(store.log(BATCH_LOG)!.state()?.seq).toBe(13);
    expect(disk.contents(FILES.state)).toEqual(bytes);
  });
});

function basesOf(log: StoredLog, from: number): number[] {
  const bases: number[] = [];
  const all = readAll(log, from);
  forEachBatch(all, 0, all.length, (at) => bases.push(baseOffset(all, at)));
  return bases;
}

describe('a feature that is not known', () => {
  it.each([
    ['incompatible', { incompatible: 0x8000_0001 }, 0x8000_0000, 0],
    ['read-only compatible', { readOnlyCompatible: 2 }, 0, 2],
  ] as const)('and is %s is refused', async (_, fields, incompatible, readOnly) => {
    const { world, disk } = await folderOfRun();
    superblockWith(disk, fields);
    await expectRefused(world, disk, {
      file: FILES.superblock,
      unknownIncompatible: incompatible,
      unknownReadOnlyCompatible: readOnly,
    });
  });

  it('and is compatible is kept, as is a higher minor version, also when the superblock is written again', async () => {
    const world = new World();
    const disk = world.newDisk();
    await world.drive((await openOn(world, disk, OPTIONS)).store.close());
    superblockWith(disk, { compatible: 0x8000_00ff, minor: 7 });
    const { store } = await runUnrewritten(world, disk);
    const kept = {
      ...IDENTITY,
      major: 1,
      minor: 7,
      compatible: 0x8000_00ff,
      readOnlyCompatible: 0,
    };
    expect(superblockOf(disk)).toEqual({ ...kept, incompatible: 0 });
    await rewriteFirstTwo(world, store.log(BATCH_LOG)!);
    expect(superblockOf(disk)).toEqual({ ...kept, incompatible: REWRITTEN_SEGMENTS });
  });
});

describe('the feature of rewritten segments', () => {
  it('is in the superblock before a rewritten file has its name, at every operation', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await runUnrewritten(world, disk);
    let seen = 0;
    let before = 0;
    const look = (): undefined => {
      const has = disk.paths().includes(FILES.rewrittenSegment);
      const { incompatible } = superblockOf(disk);
      if (has) seen += 1;
      else before += 1;
      if (has) expect(incompatible).toBe(REWRITTEN_SEGMENTS);
    };
    expect(superblockOf(disk).incompatible).toBe(0);
    disk.onCall = look;
    disk.onEnd = look;
    await rewriteFirstTwo(world, store.log(BATCH_LOG)!);
    expect(before).toBeGreaterThan(2);
    expect(seen).toBeGreaterThan(2);
    // Once: the next one writes no superblock.
    disk.onCall = (_, path) => (path === FILES.superblock ? 'EIO' : undefined);
    await world.drive(store.checkpoint());
    const log = store.log(BATCH_LOG)!;
    const rewrite = log.beginRewrite(0, 8)!;
    await world.drive(rewrite.append(new Uint8Array(0)));
    expect(await world.drive(rewrite.commit())).toBe('done');
  });

  it('that finds no room ends the rewriting, and nothing else', async () => {
    const world = new World();
    const disk = world.newDisk();
    const { store } = await runUnrewritten(world, disk);
    const log = store.log(BATCH_LOG)!;
    disk.onCall = (call, path) =>
      call === 'write' && path === FILES.superblock ? 'ENOSPC' : undefined;
    await expect(rewriteFirstTwo(world, log)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(superblockOf(disk).incompatible).toBe(0);
    expect(disk.paths()).not.toContain(FILES.rewrittenSegment);
    expect(basesOf(log, 0)).toEqual(Array.from({ length: 14 }, (_, i) => i));
    disk.onCall = () => undefined;
    appendBatch(log, 100);
    store.startGroup();
    await world.advance(2);
    expect(log.durableSeq).toBe(15);
    await rewriteFirstTwo(world, log);
    expect(superblockOf(disk).incompatible).toBe(REWRITTEN_SEGMENTS);
  });
});
