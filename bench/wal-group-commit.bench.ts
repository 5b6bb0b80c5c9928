// How many durable appends a second does one shard make when 64 callers wait for one frame of 1 KB each,
// over the real disk? A frame counts when its log says that it is durable. Prints groups and frames per
// group too: the figure is the number of waiters over the time of one group. The second line is the same
// with logs in memory, which no disk is waited for.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNodeClock } from '../dist/env/node/clock.js';
import { createCrc32c, loadNativeCrc32c } from '../dist/env/node/crc.js';
import { createNodeDisk } from '../dist/env/node/disk.js';
import { createNodeLog } from '../dist/env/node/log.js';
import { createNodeRandom } from '../dist/env/node/random.js';
import { NodeTimers } from '../dist/env/node/timers.js';
import { stampBatch } from '../dist/records/batch.js';
import { BatchBuilder } from '../dist/records/batch-builder.js';
import type { StoredLog } from '../dist/storage/api.js';
import { openShardStore } from '../dist/storage/store.js';
import { run, timed } from './lib/harness.ts';

const WAITERS = 64;
const FRAMES = 100_000;
const NO_EVENTS = new Uint8Array(0);

const root = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'callboard-wal-'));
const clock = createNodeClock();
const crc32c = createCrc32c(loadNativeCrc32c());
const { store } = await openShardStore(
  {
    clock,
    timers: new NodeTimers(clock),
    random: createNodeRandom(),
    disk: createNodeDisk(root),
    log: createNodeLog({ level: 'warn' }),
    crc32c,
  },
  {
    directory: 'shard-000',
    identity: { clusterId: 'bench', nodeId: 1, shard: 0 },
    onSnapshotWanted: (logId) => ({
      seq: store.log(logId)!.committedSeq,
      bytes: new Uint8Array(100),
    }),
  },
);

const builder = new BatchBuilder();
builder.append(1, null, new Uint8Array(1024 - 61 - 10).fill(7));
const batch = builder.finish(crc32c).slice();

/** Each waiter has a log of its own, as 64 queues or partitions would. */
const logsOf = (durability: 'sync' | 'memory', firstId: number): StoredLog[] =>
  Array.from({ length: WAITERS }, (_, i) => store.createLog(firstId + i, { durability }));
const durableLogs = logsOf('sync', 1);
const memoryLogs = logsOf('memory', 1 + WAITERS);

function append(log: StoredLog): void {
  stampBatch(batch, 0, log.endOffset, 1);
  const seq = log.append(1, log.lastLogTimeMs, NO_EVENTS, batch, true);
  if (typeof seq !== 'number') throw new Error(`append answered ${seq}`);
}

function appendUntil(logs: readonly StoredLog[], total: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let durable = 0;
    let appended = 0;
    store.onFailure = reject;
    store.onDurable = (changed) => {
      for (const log of changed) {
        durable += 1;
        log.setCommitted(log.durableSeq);
        if (appended >= total) continue;
        append(log as StoredLog);
        appended += 1;
      }
      if (durable >= total) resolve();
      // The turn's durable phase.
      else setImmediate(() => store.startGroup());
    };
    for (const log of logs) append(log);
    appended += logs.length;
    store.startGroup();
  });
}

async function roundOf(logs: readonly StoredLog[]): Promise<{ count: number; ms: number }> {
  const ms = await timed(() => appendUntil(logs, FRAMES));
  for (const log of logs) {
    if (log.durableSeq !== log.endSeq) throw new Error(`log ${log.logId} is not durable`);
  }
  return { count: FRAMES, ms };
}

const before = { ...store.counters };
await run({
  name: 'wal-group-commit',
  unit: 'frames',
  floor: 150_000,
  // Until the WAL has its size and its files go round: pre-writing is paid once.
  warmUp: 5,
  round: () => roundOf(durableLogs),
  close: () => {
    const groups = store.counters.walGroups - before.walGroups;
    const frames = store.counters.walFrames - before.walFrames;
    process.stderr.write(`${groups} groups, ${(frames / groups).toFixed(1)} frames per group, `);
    process.stderr.write(`${(store.counters.walBytes / frames).toFixed(0)} WAL bytes per frame\n`);
  },
});
await run({
  name: 'wal-group-commit memory',
  unit: 'frames',
  floor: 150_000,
  round: () => roundOf(memoryLogs),
  close: async () => {
    await store.close();
    rmSync(root, { recursive: true });
  },
});
