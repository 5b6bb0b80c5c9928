// One run of a store that leaves a file of every kind in its folder, the same bytes each time: what the golden
// files hold, and what the tests of versions change. The store is closed in order at its end.
import { baseOffset, forEachBatch, stampBatch } from '../../../src/records/batch.ts';
import { BatchBuilder } from '../../../src/records/batch-builder.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import type {
  OpenedShardStore,
  ShardStore,
  ShardStoreOptions,
  StoredLog,
} from '../../../src/storage/api.ts';
import { RecordIndexes } from '../../../src/storage/record-index/indexes.ts';
import { type RecordRun, recordWork } from '../../../src/storage/record-index/work.ts';
import type { FaultDisk } from './fault-disk.ts';
import { eventsOf, openOn, World } from './store-kit.ts';

/** Has segments, one of them rewritten, and a small state. */
export const BATCH_LOG = 5;
/** Has no batch, and a state that needs a file. */
export const STATE_LOG = 6;
/** Came with a catch-up, from the log before. */
export const INSTALLED_LOG = 7;
/** Came with a catch-up from the log with segments, whose first ones were compacted by then. */
export const ADOPTED_LOG = 8;
export const SMALL_STATE = eventsOf('state of log five');
export const LARGE_STATE_BYTES = 20_000;

export const OPTIONS: Partial<ShardStoreOptions> = {
  walFileBytesMin: 256 * 1024,
  walFileBytesMax: 256 * 1024,
  settleBytes: 1024,
  segmentBytesMax: 56 * 1024,
};

const BATCHES = 14;
/** Four of these make a segment, and the index of one has two entries. */
const VALUE_BYTES = 12_000;
const REWRITTEN_UP_TO = 8;

const LOG_FOLDER = `shard-0/logs/05/${BATCH_LOG}`;
/** By kind: where in the folder there is one. */
export const FILES = {
  superblock: 'shard-0/store.super',
  marks: 'shard-0/store.marks',
  checkpointA: 'shard-0/ckpt.a',
  checkpointB: 'shard-0/ckpt.b',
  scrub: 'shard-0/scrub',
  wal: 'shard-0/wal/00000001.wal',
  segment: `${LOG_FOLDER}/0000000000000008-1.seg`,
  index: `${LOG_FOLDER}/0000000000000008-1.idx`,
  recordIndex: `${LOG_FOLDER}/0000000000000008-1.rix`,
  activeSegment: `${LOG_FOLDER}/0000000000000012-1.seg`,
  rewrittenSegment: `${LOG_FOLDER}/0000000000000000-1-1-0000000000000008.seg`,
  rewrittenIndex: `${LOG_FOLDER}/0000000000000000-1-1-0000000000000008.idx`,
  state: `shard-0/logs/06/${STATE_LOG}/state-2.view`,
  adoptedSegment: `shard-0/logs/08/${ADOPTED_LOG}/0000000000000000-2.seg`,
  adoptedIndex: `shard-0/logs/08/${ADOPTED_LOG}/0000000000000000-2.idx`,
  adoptedRawSegment: `shard-0/logs/08/${ADOPTED_LOG}/0000000000000008-2.seg`,
  adoptedRawIndex: `shard-0/logs/08/${ADOPTED_LOG}/0000000000000008-2.idx`,
  adoptedLastSegment: `shard-0/logs/08/${ADOPTED_LOG}/0000000000000012-2.seg`,
  adoptedLastIndex: `shard-0/logs/08/${ADOPTED_LOG}/0000000000000012-2.idx`,
  installedState: `shard-0/logs/07/${INSTALLED_LOG}/state-2.view`,
} as const;

/** Mostly zeros: a golden file of it is short. */
function batchOf(offset: number): Uint8Array {
  const value = new Uint8Array(VALUE_BYTES);
  value.set(eventsOf(`value ${offset}`));
  const builder = new BatchBuilder();
  builder.append(1_700_000_000_000 + offset, eventsOf(`key ${offset % 3}`), value);
  const batch = builder.finish(crc32c).slice();
  stampBatch(batch, 0, offset, 1);
  return batch;
}

async function put(
  world: World,
  { store }: OpenedShardStore,
  log: StoredLog,
  batch: Uint8Array | undefined,
): Promise<void> {
  const events = eventsOf(`event ${log.endSeq + 1}`);
  const seq = log.append(1, 1_700_000_000_000 + log.endSeq, events, batch, true);
  if (typeof seq !== 'number') throw new Error(`append was refused: ${seq}`);
  store.startGroup();
  await world.advance(2);
  log.setCommitted(log.endSeq);
}

/** Of the first two segments every other batch stays. */
export async function rewriteFirstTwo(world: World, log: StoredLog): Promise<void> {
  const rewrite = log.beginRewrite(0, REWRITTEN_UP_TO);
  if (rewrite === undefined) throw new Error('nothing to rewrite');
  for (const { file, position, length } of rewrite.sources) {
    const bytes = new Uint8Array(length);
    file.readSync(bytes, position);
    const kept: Uint8Array[] = [];
    forEachBatch(bytes, 0, length, (at, size) => {
      if (baseOffset(bytes, at) % 2 === 0) kept.push(bytes.slice(at, at + size));
    });
    for (const batch of kept) await world.drive(rewrite.append(batch));
  }
  const end = await world.drive(rewrite.commit());
  if (end !== 'done') throw new Error(`the rewriting is ${end}`);
}

/** The run up to its first rewriting. */
export async function runUnrewritten(world: World, disk: FaultDisk): Promise<OpenedShardStore> {
  const opened = await openOn(world, disk, OPTIONS);
  const { store } = opened;
  const log = store.createLog(BATCH_LOG, { durability: 'sync' });
  const stateLog = store.createLog(STATE_LOG, { durability: 'sync' });
  for (let offset = 0; offset < BATCHES; offset += 1) {
    await put(world, opened, log, batchOf(offset));
  }
  await put(world, opened, stateLog, undefined);
  await put(world, opened, stateLog, undefined);
  await world.advance(20_000);
  stateLog.putState(2, new Uint8Array(LARGE_STATE_BYTES).fill(0xab, 0, 16));
  log.putState(BATCHES - 1, SMALL_STATE);
  await world.advance(2000);
  await world.drive(store.checkpoint());
  await world.drive(store.checkpoint());
  return opened;
}

async function install(world: World, store: ShardStore, from: number, to: number): Promise<void> {
  const donation = await world.drive(store.log(from)!.donate());
  if (donation === undefined) throw new Error('there is nothing to give');
  const log = store.createLog(to, { durability: 'sync' });
  const installing = log.beginInstall({ kind: 'scratch', startOffset: 0 }, donation.facts);
  for (const { file, position, length } of donation.ranges) {
    const bytes = new Uint8Array(length);
    file.readSync(bytes, position);
    if (installing.adopt(bytes) !== length) throw new Error('not all was taken');
  }
  await world.drive(installing.commit(donation.snapshot));
  donation.release();
}

/** Of the second segment, as a search makes it. */
async function indexRecords(world: World, disk: FaultDisk, log: StoredLog): Promise<void> {
  const work = recordWork({ crc32c });
  const indexes = new RecordIndexes({
    log: world.env(disk).log,
    crc32c,
    run: (async (task) => work(task)) as RecordRun,
    paced: async () => undefined,
    isShortOfSpace: () => false,
  });
  const lent = log.beginLookup(REWRITTEN_UP_TO)!;
  if ((await world.drive(indexes.open(log, lent))) === undefined) throw new Error('no index');
  lent.release();
}

/** The whole run: the folder is as an orderly stop leaves it. */
export async function run(world: World, disk: FaultDisk): Promise<void> {
  const { store } = await runUnrewritten(world, disk);
  await rewriteFirstTwo(world, store.log(BATCH_LOG)!);
  await indexRecords(world, disk, store.log(BATCH_LOG)!);
  await install(world, store, STATE_LOG, INSTALLED_LOG);
  await install(world, store, BATCH_LOG, ADOPTED_LOG);
  await world.drive(store.close());
}

export async function folderOfRun(): Promise<{ world: World; disk: FaultDisk }> {
  const world = new World();
  const disk = world.newDisk();
  await run(world, disk);
  world.clear();
  return { world, disk };
}
