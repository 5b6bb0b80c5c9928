// A replica of a log with several settled segments, and the repair of one from another.
import type { OpenedShardStore, ShardStore, StoredLog } from '../../../src/storage/api.ts';
import type { FaultDisk } from './fault-disk.ts';
import { appendBatch, openOn, type World } from './store-kit.ts';

export const LOG = 7;
export const SCRUBBED = { scrubIntervalMs: 60_000, scrubBytesPerSecond: 1 << 20 };

export interface Replica {
  readonly disk: FaultDisk;
  readonly opened: OpenedShardStore;
  readonly store: ShardStore;
  readonly log: StoredLog;
  readonly damaged: StoredLog[];
}

/** A log with several settled segments; the same on every call, as on every replica. */
export async function replica(world: World, batches = 60, options = SCRUBBED): Promise<Replica> {
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
  if (log.settledOffset !== batches) throw new Error(`${log.settledOffset} batches have settled`);
  return { disk, opened, store, log, damaged };
}

/** What a new process finds; nothing of the old one happens any more. */
export function killed(world: World, disk: FaultDisk): FaultDisk {
  world.clear();
  return disk.kill((delayMs, fire) => world.at(world.nowMs + delayMs, fire));
}

export const segmentsOf = (disk: FaultDisk): string[] =>
  disk.paths().filter((path) => path.endsWith('.seg'));

/** Everything that the first damaged segment needs, in pieces that a link would carry. */
export async function fill(world: World, from: StoredLog, to: StoredLog): Promise<string> {
  const repair = (await world.drive(to.beginRepair(0)))!;
  const loan = (await world.drive(from.lend(repair.fromOffset, repair.toOffset)))!;
  const taken = repair.take(loan.facts);
  if (taken !== 'ok') {
    loan.release();
    repair.abort();
    return taken;
  }
  for (const { file, position, length } of loan.ranges) {
    for (let at = 0; at < length; ) {
      const bytes = new Uint8Array(Math.min(5_000, length - at));
      file.readSync(bytes, position + at);
      const count = await world.drive(repair.adopt(bytes));
      if (typeof count !== 'number' || count === 0) throw new Error(`adopt answered ${count}`);
      at += count;
    }
  }
  loan.release();
  return world.drive(repair.commit());
}
