// How fast does a start read the write-ahead log of a shard back: 512 MB of it, with batches of 16 KB and of 1 KB, the
// page cache warm? The time is that of opening the store, until all of its logs are known again; every frame must be.
// Beside it: how fast the same files are read in pieces of 4 MiB with one checksum over each, and nothing else.
import fs from 'node:fs';
import { join } from 'node:path';
import {
  appendTo,
  batchOf,
  benchFolder,
  crc32c,
  isCrcNative,
  openBenchStore,
} from './lib/bench-store.ts';
import { run, timed } from './lib/harness.ts';

const MB = 1e6;
const WAL_BYTES = 512 * MB;
const LOGS = 64;
const PIECE_BYTES = 4 << 20;
const FLOOR_MB = 1_300;
/** Nothing of the WAL may go before it is read: no checkpoint, and no other reason for one. */
const KEPT = {
  checkpointBytes: Number.MAX_SAFE_INTEGER,
  checkpointMs: 24 * 3_600_000,
  scrubIntervalMs: 0,
};

/** Appends to the logs in turn until the WAL has its size; answers how many frames. What a killed process leaves. */
async function fill(root: string, batchBytes: number): Promise<number> {
  const { store } = await openBenchStore(root, KEPT);
  const batch = batchOf(batchBytes);
  const logs = Array.from({ length: LOGS }, (_, i) =>
    store.createLog(i + 1, { durability: 'sync' }),
  );
  await new Promise<void>((resolve, reject) => {
    let pending = 0;
    let next = 0;
    const more = (): void => {
      const isDone = store.counters.walBytes >= WAL_BYTES;
      if (isDone && pending === 0) resolve();
      // A turn of 1 MB; when memory is short the next one waits until there is room.
      for (let bytes = 0; !isDone && bytes < MB; bytes += batchBytes) {
        if (!appendTo(logs[next % LOGS]!, batch)) break;
        next += 1;
        pending += 1;
      }
      store.startGroup();
    };
    store.onFailure = reject;
    store.onRoom = more;
    store.onDurable = (changed) => {
      for (const log of changed) {
        pending -= log.durableSeq - log.committedSeq;
        log.setCommitted(log.durableSeq);
      }
      if (pending === 0) setImmediate(more);
    };
    more();
  });
  const frames = logs.reduce((sum, log) => sum + log.durableSeq, 0);
  store.abandon();
  return frames;
}

function filesOf(root: string): string[] {
  const folder = join(root, 'shard-000', 'wal');
  return fs.readdirSync(folder).map((name) => join(folder, name));
}

/** Megabytes a second of reading and one checksum. */
function plainRate(files: readonly string[]): number {
  const piece = new Uint8Array(PIECE_BYTES);
  const startMs = performance.now();
  let bytes = 0;
  let sum = 0;
  for (const path of files) {
    const fd = fs.openSync(path, 'r');
    for (let at = 0; ; ) {
      const count = fs.readSync(fd, piece, 0, piece.length, at);
      if (count === 0) break;
      sum ^= crc32c(piece, 0, count);
      at += count;
    }
    bytes += fs.fstatSync(fd).size;
    fs.closeSync(fd);
  }
  if (!Number.isInteger(sum) || bytes < WAL_BYTES) throw new Error(`${bytes} bytes were read`);
  return (bytes / MB / (performance.now() - startMs)) * 1_000;
}

async function line(name: string, batchBytes: number): Promise<void> {
  const root = benchFolder('recovery');
  const frames = await fill(root, batchBytes);
  const plain: number[] = [];
  await run({
    name,
    unit: 'MB',
    floor: FLOOR_MB,
    round: async () => {
      plain.push(plainRate(filesOf(root)));
      let found = 0;
      const ms = await timed(async () => {
        const { store, recovered } = await openBenchStore(root, KEPT);
        for (const { log, needsRepair } of recovered) {
          if (needsRepair) throw new Error(`log ${log.logId} is damaged`);
          found += log.endSeq;
        }
        store.abandon();
      });
      if (found !== frames) throw new Error(`${found} frames were found, not ${frames}`);
      return { count: WAL_BYTES / MB, ms };
    },
    close: () => fs.rmSync(root, { recursive: true }),
  });
  const beside = plain.sort((a, b) => a - b)[plain.length >> 1]!;
  const crc = isCrcNative ? 'native' : 'JavaScript';
  process.stderr.write(
    `${frames} frames; reading and one checksum (${crc}): ${beside.toFixed(0)} MB/s\n`,
  );
}

await line('recovery-scan 16 KB', 16 * 1024);
await line('recovery-scan 1 KB', 1024);
