// The write-ahead log read back: tears are cut, corruption below the durable end is told and never cut,
// recycled files never bring old frames back, and the bytes on disk are what the format says.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import type { StoredLog } from '../../src/storage/api.ts';
import { FrameCodec, FrameFields, TYPE_DATA, TYPE_GROUP } from '../../src/storage/frame-format.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  allFrames,
  appendBatch,
  batchAt,
  eventsOf,
  fingerprints,
  openOn,
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
