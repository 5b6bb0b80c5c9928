// How many durable appends a second does one shard make when 64, or 512, callers wait for one frame of 1 KB each,
// over the real disk? A frame counts when its log says that it is durable. Groups and frames per group are told too:
// the figure is the number of waiters over the time of one group. All of it settles: after the WAL each frame is written
// to the segment of its log too, and synced there. Where it is `consumed` the log start follows the commit, as that of a
// queue whose consumers keep up, and nothing settles: that is the WAL alone. And how long does one append take when
// nothing else is under way? Beside them is what the machine takes for the same writes without us. The last line is
// with logs in memory, which no disk is waited for. Nothing is made per append but the append: no promise, no closure.
import { rmSync } from 'node:fs';
import type { StoredLog } from '../dist/storage/api.js';
import {
  appendTo,
  batchOf,
  benchFolder,
  DsyncLoop,
  openBenchStore,
  quantile,
} from './lib/bench-store.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { run, timed } from './lib/harness.ts';

const MANY_WAITERS = 512;
const FRAMES = 100_000;
const IDLE_APPENDS = 200;
const IDLE_ROUNDS = 5;
const IDLE_PAUSE_MS = 3;
const LIMIT_WRITES = 200;
const BLOCK_BYTES = 4096;

const load = machineLoad();
const root = benchFolder('wal');
const { store } = await openBenchStore(root, {
  onSnapshotWanted: (logId) => ({
    seq: store.log(logId)!.committedSeq,
    bytes: new Uint8Array(100),
  }),
});
const loop = new DsyncLoop(root);
const batch = batchOf(1024);
let nextId = 1;

/** Each waiter has a log of its own, as so many queues or partitions would. */
const logsOf = (durability: 'sync' | 'memory', waiters: number): StoredLog[] =>
  Array.from({ length: waiters }, () => {
    nextId += 1;
    return store.createLog(nextId, { durability });
  });

function appendUntil(
  logs: readonly StoredLog[],
  total: number,
  isConsumed: boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let durable = 0;
    let appended = 0;
    /** Logs whose append was refused for want of slab memory. */
    let refused: StoredLog[] = [];
    const append = (log: StoredLog): void => {
      if (appended >= total) return;
      if (appendTo(log, batch)) appended += 1;
      else refused.push(log);
    };
    store.onFailure = reject;
    store.onRoom = () => {
      const again = refused;
      refused = [];
      for (const log of again) append(log);
      store.startGroup();
    };
    store.onDurable = (changed) => {
      for (const log of changed) {
        durable += 1;
        log.setCommitted(log.durableSeq);
        if (isConsumed) log.setStartOffset(log.offsetAt(log.durableSeq)!);
        append(log);
      }
      if (durable >= total) resolve();
      // The turn's durable phase.
      else setImmediate(() => store.startGroup());
    };
    for (const log of logs) append(log);
    store.startGroup();
  });
}

async function roundOf(
  logs: readonly StoredLog[],
  isConsumed = false,
): Promise<{ count: number; ms: number }> {
  const seqsBefore = sum(logs.map((log) => log.durableSeq));
  const ms = await timed(() => appendUntil(logs, FRAMES, isConsumed));
  for (const log of logs) {
    if (log.durableSeq !== log.endSeq) throw new Error(`log ${log.logId} is not durable`);
  }
  const made = sum(logs.map((log) => log.durableSeq)) - seqsBefore;
  if (made !== FRAMES) throw new Error(`${made} frames are durable, not ${FRAMES}`);
  return { count: FRAMES, ms };
}

const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0);

/** The line of so many waiters, and on stderr what the disk alone would allow for groups of that size. */
async function durableLine(
  name: string,
  waiters: number,
  floor: number,
  isConsumed = false,
): Promise<void> {
  const before = { ...store.counters };
  const logs = logsOf('sync', waiters);
  await run({
    name,
    unit: 'frames',
    floor,
    // Until the WAL has its size and its files go round: pre-writing is paid once.
    warmUp: 5,
    round: () => roundOf(logs, isConsumed),
  });
  const settled = store.counters.settledBatches - before.settledBatches;
  const groups = store.counters.walGroups - before.walGroups;
  const frames = store.counters.walFrames - before.walFrames;
  const groupBytes = (store.counters.walBytes - before.walBytes) / groups;
  const bytes = new Uint8Array(Math.ceil(groupBytes / BLOCK_BYTES) * BLOCK_BYTES).fill(7);
  const samples = Array.from({ length: LIMIT_WRITES }, () => loop.write(bytes));
  const limit = (frames / groups / quantile(samples, 0.5)) * 1_000;
  const refused = store.counters.refusedFull - before.refusedFull;
  if (isConsumed && settled > 0) throw new Error(`${settled} batches settled`);
  process.stderr.write(
    `${groups} groups, ${(frames / groups).toFixed(1)} frames per group, ` +
      `${(groupBytes / (frames / groups)).toFixed(0)} WAL bytes per frame, ${settled} settled, ${refused} refused; ` +
      `O_DSYNC writes of ${bytes.length} bytes alone: ${(limit / 1e3).toFixed(1)} k frames/s\n`,
  );
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function appendOnce(log: StoredLog): Promise<number> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    store.onFailure = reject;
    store.onDurable = () => {
      log.setCommitted(log.durableSeq);
      resolve(performance.now() - startMs);
    };
    if (!appendTo(log, batch)) reject(new Error('no memory for one append'));
    store.startGroup();
  });
}

/**
 * One append after the other, with a pause before each; in between writes of one block without us, one on this thread
 * and one in Node's thread pool, where ours are.
 */
async function idleLine(): Promise<void> {
  const log = logsOf('sync', 1)[0]!;
  const block = new Uint8Array(BLOCK_BYTES).fill(7);
  await store.checkpoint();
  const [medians, tails, limits]: [number[], number[], number[]] = [[], [], []];
  const pooled: number[] = [];
  const walBefore = store.counters.walGroups;
  let cpuMicros = 0;
  for (let round = 0; round < IDLE_ROUNDS; round += 1) {
    const samples: number[] = [];
    for (let i = 0; i < IDLE_APPENDS; i += 1) {
      await pause(IDLE_PAUSE_MS);
      limits.push(loop.write(block));
      await pause(IDLE_PAUSE_MS);
      pooled.push(await loop.writeInPool(block));
      await pause(IDLE_PAUSE_MS);
      const cpu = process.cpuUsage();
      samples.push(await appendOnce(log));
      const used = process.cpuUsage(cpu);
      cpuMicros += used.user + used.system;
    }
    medians.push(quantile(samples, 0.5));
    tails.push(quantile(samples, 0.99));
  }
  const appends = IDLE_ROUNDS * IDLE_APPENDS;
  const groups = store.counters.walGroups - walBefore;
  // Fewer groups than appends: some did not wait for a write of their own.
  if (log.durableSeq !== appends || groups < appends) {
    throw new Error(`${log.durableSeq} of ${appends} appends are durable, in ${groups} groups`);
  }
  const p50 = quantile(medians, 0.5).toFixed(2);
  const quantiles = (times: readonly number[]): string =>
    [0.5, 0.99].map((part) => quantile(times, part).toFixed(2)).join(' / ');
  const note =
    `p50 ${p50} ms, cpu ${(cpuMicros / appends).toFixed(0)} us an append; ` +
    `O_DSYNC write of 4 KiB alone: p50 / p99 ${quantiles(limits)} ms, in the thread pool ${quantiles(pooled)} ms`;
  const name = 'wal-group-commit idle p99';
  tellFigure({ name, unit: 'ms', samples: tails, floor: 1, rule: 'most', load, note });
}

// First, while no other log has anything to settle or to carry.
await idleLine();
await durableLine('wal-group-commit', 64, 150_000);
await durableLine('wal-group-commit 512', MANY_WAITERS, 1_000_000);
// What the lines before have left is settled, so that only their own count.
await store.checkpoint();
await durableLine('wal-group-commit consumed', 64, 200_000, true);
await durableLine('wal-group-commit consumed 512', MANY_WAITERS, 1_000_000, true);
const memoryLogs = logsOf('memory', 64);
await run({
  name: 'wal-group-commit memory',
  unit: 'frames',
  floor: 150_000,
  round: () => roundOf(memoryLogs),
  close: async () => {
    loop.close();
    await store.close();
    rmSync(root, { recursive: true });
  },
});
