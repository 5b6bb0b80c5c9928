// A shard's store over the real disk for the storage benches, batches to append to it, and what the machine itself
// takes for the writes that the store makes: the same bytes, O_DSYNC, into a pre-written file of the same folder.
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNodeClock } from '../../dist/env/node/clock.js';
import { createCrc32c, loadNativeCrc32c } from '../../dist/env/node/crc.js';
import { createNodeDisk } from '../../dist/env/node/disk.js';
import { createNodeLog } from '../../dist/env/node/log.js';
import { createNodeRandom } from '../../dist/env/node/random.js';
import { NodeTimers } from '../../dist/env/node/timers.js';
import { stampBatch } from '../../dist/records/batch.js';
import { BatchBuilder } from '../../dist/records/batch-builder.js';
import type {
  OpenedShardStore,
  ShardStoreOptions,
  StorageEnvironment,
  StoredLog,
} from '../../dist/storage/api.js';
import { openShardStore } from '../../dist/storage/store.js';

const NO_EVENTS = new Uint8Array(0);
/** Header of a v2 batch, and what frames the value of its one record. */
const AROUND_VALUE_BYTES = 61 + 10;
/** The largest WAL file of the defaults: the loop goes round in it. */
const LIMIT_FILE_BYTES = 32 << 20;

export const isCrcNative = loadNativeCrc32c() !== undefined;
export const crc32c = createCrc32c(loadNativeCrc32c());

/** A fresh folder; `BENCH_DIR` says on which disk. */
export function benchFolder(name: string): string {
  return fs.mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), `callboard-${name}-`));
}

export function openBenchStore(
  root: string,
  options: Partial<ShardStoreOptions> = {},
): Promise<OpenedShardStore> {
  const clock = createNodeClock();
  const env: StorageEnvironment = {
    clock,
    timers: new NodeTimers(clock),
    random: createNodeRandom(),
    disk: createNodeDisk(root),
    log: createNodeLog({ level: 'warn' }),
    crc32c,
  };
  const identity = { clusterId: 'bench', nodeId: 1, shard: 0 };
  return openShardStore(env, { directory: 'shard-000', identity, ...options });
}

/** A batch of one record that has about so many bytes in all. */
export function batchOf(bytes: number): Uint8Array {
  const builder = new BatchBuilder();
  builder.append(1, null, new Uint8Array(bytes - AROUND_VALUE_BYTES).fill(7));
  return builder.finish(crc32c).slice();
}

/** Stamps the batch with the log's next offset and appends it; somebody waits for it. False: no memory now. */
export function appendTo(log: StoredLog, batch: Uint8Array): boolean {
  stampBatch(batch, 0, log.endOffset, 1);
  const seq = log.append(1, log.lastLogTimeMs, NO_EVENTS, batch, true);
  if (typeof seq === 'number') return true;
  if (seq !== 'full') throw new Error(`append answered ${seq}`);
  return false;
}

/** Writes of the machine alone. `close` removes the file. */
export class DsyncLoop {
  readonly #path: string;
  readonly #fd: number;
  #at = 0;

  constructor(folder: string) {
    this.#path = join(folder, 'limit');
    const filling = fs.openSync(this.#path, 'w');
    const zeros = new Uint8Array(1 << 20);
    for (let at = 0; at < LIMIT_FILE_BYTES; at += zeros.length)
      fs.writeSync(filling, zeros, 0, zeros.length, at);
    fs.fsyncSync(filling);
    fs.closeSync(filling);
    this.#fd = fs.openSync(this.#path, fs.constants.O_WRONLY | fs.constants.O_DSYNC);
  }

  /** Milliseconds of one write behind the last one. */
  write(bytes: Uint8Array): number {
    if (this.#at + bytes.length > LIMIT_FILE_BYTES) this.#at = 0;
    const startMs = performance.now();
    const written = fs.writeSync(this.#fd, bytes, 0, bytes.length, this.#at);
    const ms = performance.now() - startMs;
    if (written !== bytes.length) throw new Error(`${written} of ${bytes.length} bytes written`);
    this.#at += bytes.length;
    return ms;
  }

  /** The same in Node's thread pool. */
  writeInPool(bytes: Uint8Array): Promise<number> {
    if (this.#at + bytes.length > LIMIT_FILE_BYTES) this.#at = 0;
    const at = this.#at;
    this.#at += bytes.length;
    const startMs = performance.now();
    return new Promise((resolve, reject) => {
      fs.write(this.#fd, bytes, 0, bytes.length, at, (error, written) => {
        if (error !== null) reject(error);
        else if (written !== bytes.length) reject(new Error(`${written} bytes written`));
        else resolve(performance.now() - startMs);
      });
    });
  }

  close(): void {
    fs.closeSync(this.#fd);
    fs.unlinkSync(this.#path);
  }
}

/** The value below which `part` of the samples lie. */
export function quantile(samples: readonly number[], part: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  if (value === undefined) throw new Error('no samples');
  return value;
}
