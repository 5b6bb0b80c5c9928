// Who decodes what it has read from a file asks whether that is what was appended; what is not makes its segment damaged.
import { expect, test } from 'vitest';
import type { FileRead, StoredLog } from '../../src/storage/api.ts';
import { diskError, type FaultDisk } from './support/fault-disk.ts';
import { appendBatch, openOn, World } from './support/store-kit.ts';

const LOG = 7;
const BATCHES = 60;

async function settled(world: World): Promise<{ disk: FaultDisk; log: StoredLog }> {
  const disk = world.newDisk();
  const { store } = await openOn(world, disk, { scrubIntervalMs: 0 });
  const log = store.createLog(LOG, { durability: 'sync' });
  for (let i = 0; i < BATCHES; i += 1) {
    appendBatch(log, 1_000);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(log.endSeq);
  }
  await world.drive(store.checkpoint());
  return { disk, log };
}

function fileRead(log: StoredLog, offset: number, maxBytes: number): FileRead {
  const read = log.read(offset, maxBytes, log.endOffset);
  if (read.kind !== 'file') throw new Error(`offset ${offset} is ${read.kind}`);
  return read;
}

function asked(read: FileRead): boolean {
  const bytes = new Uint8Array(read.length);
  const count = read.file.readSync(bytes, read.position);
  const isSound = read.isSound(bytes, count, undefined);
  read.release();
  return isSound;
}

test('what nothing happened to is sound, however it is read', async () => {
  const { log } = await settled(new World());
  for (const maxBytes of [1, 2_500, 1 << 20]) {
    for (let offset = 0; offset < log.settledOffset; ) {
      const read = fileRead(log, offset, maxBytes);
      expect(asked(read), `${offset} of ${maxBytes}`).toBe(true);
      offset = read.nextOffset;
    }
  }
  expect(log.damagedSegments).toBe(0);
});

// Of the base offset, which no CRC of a batch covers; of its own CRC; of a record.
test.each([7, 18, 100])(
  'a bit of byte %i of a batch is found, once for its segment',
  async (byte) => {
    const { disk, log } = await settled(new World());
    const path = disk.paths().filter((each) => each.endsWith('.seg'))[1]!;
    const base = Number(/(\d{16})-/.exec(path)![1]);
    const whole = fileRead(log, base, 1 << 20);
    // The last of three: its neighbours tell that its offset went up, or that it went back.
    const [first, second] = [fileRead(log, base, 1), fileRead(log, base + 1, 1)];
    const { position } = fileRead(log, base + 2, 1);
    disk.flipBit(path, position + byte, 5);
    expect([asked(first), asked(second)]).toEqual([true, true]);
    expect(log.damagedSegments).toBe(0);
    expect(asked(whole)).toBe(false);
    expect(log.damagedSegments).toBe(1);
    expect(log.read(base, 1, log.endOffset).kind).toBe('damaged');
    expect(log.read(0, 1, log.endOffset).kind).toBe('file');
    expect(log.needsRepair).toBe(false);
  },
);

test('too few bytes and a sector that cannot be read are damage; other errors say nothing of the bytes', async () => {
  const { log } = await settled(new World());
  const read = fileRead(log, 0, 2_500);
  const bytes = new Uint8Array(read.length);
  read.file.readSync(bytes, read.position);
  expect(read.isSound(bytes, 0, diskError('EMFILE', 'no descriptor'))).toBe(false);
  expect(log.damagedSegments).toBe(0);
  expect(read.isSound(bytes, read.length, undefined)).toBe(true);
  expect(read.isSound(bytes, read.length - 1, undefined)).toBe(false);
  expect(log.damagedSegments).toBe(1);
  const last = fileRead(log, BATCHES - 1, 1);
  expect(last.isSound(new Uint8Array(last.length), 0, diskError('EIO', 'bad sector'))).toBe(false);
  expect(log.damagedSegments).toBe(2);
});

test('batches that are read out of the WAL are asked for like others', async () => {
  const world = new World();
  const disk = world.newDisk();
  const first = await openOn(world, disk, { scrubIntervalMs: 0 });
  const log = first.store.createLog(LOG, { durability: 'sync' });
  for (let i = 0; i < 3; i += 1) appendBatch(log, 1_000);
  first.store.startGroup();
  await world.advance(10);
  first.store.abandon();
  // What is found at a start is in no memory.
  const again = await openOn(world, disk, { scrubIntervalMs: 0 });
  const found = again.recovered[0]!.log;
  expect(asked(fileRead(found, 1, 1))).toBe(true);
  const read = fileRead(found, 1, 1);
  const wal = disk.paths().find((path) => path.endsWith('.wal'))!;
  disk.flipBit(wal, read.position + 100, 5);
  expect(asked(read)).toBe(false);
  expect(found.damagedSegments).toBe(0);
});
