// What rots in settled segments is found by reading it, is served to nobody, and is replaced by the same bytes of
// another replica without the log losing its place.
import { expect, test } from 'vitest';
import type { OpenedShardStore, ShardStore, StoredLog } from '../../src/storage/api.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import { appendBatch, bytesOf, openOn, readAll, World } from './support/store-kit.ts';

const LOG = 7;
const SCRUBBED = { scrubIntervalMs: 60_000, scrubBytesPerSecond: 1 << 20 };

interface Replica {
  readonly disk: FaultDisk;
  readonly opened: OpenedShardStore;
  readonly store: ShardStore;
  readonly log: StoredLog;
  readonly damaged: StoredLog[];
}

/** A log with several settled segments; the same on every call, as on every replica. */
async function replica(world: World, batches = 60, options = SCRUBBED): Promise<Replica> {
  const disk = world.newDisk();
  const opened = await openOn(world, disk, options);
  const { store } = opened;
  const log = store.createLog(LOG, { durability: 'sync' });
  const damaged: StoredLog[] = [];
  store.onDamage = (each) => void damaged.push(each);
  for (let i = 0; i < batches; i += 1) {
    appendBatch(log, 1_000);
    store.startGroup();
    await world.advance(2);
    log.setCommitted(log.endSeq);
  }
  await world.drive(store.checkpoint());
  expect(log.settledOffset).toBe(batches);
  return { disk, opened, store, log, damaged };
}

/** What a new process finds; nothing of the old one happens any more. */
function killed(world: World, disk: FaultDisk): FaultDisk {
  world.clear();
  return disk.kill((delayMs, fire) => world.at(world.nowMs + delayMs, fire));
}

const segmentsOf = (disk: FaultDisk): string[] =>
  disk.paths().filter((path) => path.endsWith('.seg'));

test('a pass reads every settled byte once, at its rate, and the next comes an interval later', async () => {
  const world = new World();
  const { store, disk } = await replica(world);
  const bytes = segmentsOf(disk).reduce((sum, path) => sum + disk.contents(path).length, 0);
  await world.advance(61_000);
  expect(store.counters).toMatchObject({ scrubPasses: 1, damagedSegments: 0 });
  expect(store.counters.scrubBytes).toBe(bytes);
  await world.advance(58_000);
  expect(store.counters.scrubPasses).toBe(1);
  await world.advance(3_000);
  expect(store.counters.scrubPasses).toBe(2);
});

test('with 0 nothing is ever read, and nobody waits for it', async () => {
  const world = new World();
  const { store } = await replica(world, 60, { ...SCRUBBED, scrubIntervalMs: 0 });
  await world.advance(600_000);
  expect(store.counters).toMatchObject({ scrubPasses: 0, scrubBytes: 0 });
});

test('the time of the last pass is kept over restarts, however often they come', async () => {
  const world = new World();
  let { store, disk } = await replica(world);
  let passes = 0;
  const fromMs = world.nowMs;
  while (world.nowMs - fromMs < 100_000) {
    await world.advance(7_000);
    await world.drive(store.close());
    passes += store.counters.scrubPasses;
    ({ store } = await openOn(world, disk, SCRUBBED));
  }
  expect(passes).toBe(1);
  disk = killed(world, disk);
  ({ store } = await openOn(world, disk, SCRUBBED));
  await world.advance(5_000);
  expect(store.counters.scrubPasses).toBe(0);
});

test.each(['header', 'first batch', 'middle', 'last byte'] as const)(
  'rot in the %s of a segment is found, served to nobody, and stays so, beside all else of the log',
  async (where) => {
    const world = new World();
    const { store, log, disk, damaged } = await replica(world);
    const paths = segmentsOf(disk);
    const path = paths[1]!;
    const { length } = disk.contents(path);
    const positions = {
      header: 9,
      'first batch': 70,
      middle: length >> 1,
      'last byte': length - 1,
    };
    disk.flipBit(path, positions[where], 4);
    await world.advance(62_000);
    expect(store.counters.damagedSegments).toBe(1);
    expect(damaged).toEqual([log]);
    const base = Number(/(\d{16})-/.exec(path)![1]);
    expect(log.read(base, 1_000, log.endOffset).kind).toBe('damaged');
    // All else goes on: other segments, appends, what settles.
    expect(bytesOf(log.read(0, 1_000, log.endOffset)).length).toBeGreaterThan(0);
    expect(log.needsRepair).toBe(false);
    appendBatch(log, 500);
    store.startGroup();
    await world.advance(10);
    log.setCommitted(log.endSeq);
    await world.drive(store.checkpoint());
    expect(log.settledOffset).toBe(61);
    await world.drive(store.close());
    const again = await openOn(world, disk, SCRUBBED);
    await world.advance(62_000);
    const found = again.recovered[0]!.log;
    expect(again.store.counters).toMatchObject({ damagedSegments: 1 });
    expect(found.read(base, 1_000, found.endOffset).kind).toBe('damaged');
    const next = Number(/(\d{16})-/.exec(paths[2]!)![1]);
    expect(readAll(found, next).length).toBeGreaterThan(1_000 * (60 - next));
  },
);

test('damage that was found is looked for at once after a restart, until it is repaired', async () => {
  const world = new World();
  const { store, disk } = await replica(world);
  disk.flipBit(segmentsOf(disk)[0]!, 500);
  await world.advance(62_000);
  expect(store.counters.damagedSegments).toBe(1);
  await world.drive(store.close());
  const again = await openOn(world, disk, SCRUBBED);
  await world.advance(3_000);
  expect(again.store.counters.damagedSegments).toBe(1);
});
