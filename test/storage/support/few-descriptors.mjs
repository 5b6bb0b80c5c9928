// A process of the tests, started with few descriptors: writes 500 logs of the real disk, in rounds, so that each
// has its own segment; reads all of them back; the same after a restart. Prints what it found as JSON.
import { createNodeDisk } from '../../../dist/env/node/disk.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';
import { stampBatch } from '../../../dist/records/batch.js';
import { BatchBuilder } from '../../../dist/records/batch-builder.js';
import { crc32c } from '../../../dist/std/crc32c.js';
import { openShardStore } from '../../../dist/storage/store.js';

const [root] = process.argv.slice(2);
const LOGS = 500;
const ROUNDS = 3;
const nothing = () => undefined;
const errors = [];
const log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: (text) => errors.push(text),
  child: () => log,
};
const { clock, timers, random } = createNodeEnvironment({ log, isNativeEnabled: false });
const env = { clock, timers, random, disk: createNodeDisk(root), log, crc32c };
const options = {
  directory: 'shard-0',
  identity: { clusterId: 'c', nodeId: 1, shard: 0 },
  settleAgeMs: 50,
};
const text = (logId, round) => new TextEncoder().encode(`log ${logId}, round ${round}`);

function batchAt(offset, value) {
  const builder = new BatchBuilder();
  builder.append(1_000_000, null, value);
  const batch = builder.finish(crc32c).slice();
  stampBatch(batch, 0, offset, 1);
  return batch;
}

/** Whether a file could not be opened for want of a descriptor. */
let isShort = false;
const { disk } = env;
const open = disk.open.bind(disk);
disk.open = (path, mode) => {
  try {
    return open(path, mode);
  } catch (error) {
    isShort ||= error.code === 'EMFILE';
    throw error;
  }
};

/** How many batches come back as they were written, out of files. */
function readBack(store) {
  let good = 0;
  const kinds = {};
  for (let logId = 1; logId <= LOGS; logId += 1) {
    const stored = store.log(logId);
    for (let offset = 0; offset < stored.endOffset; offset += 1) {
      const read = stored.read(offset, 1, stored.endOffset);
      kinds[read.kind] = (kinds[read.kind] ?? 0) + 1;
      if (read.kind !== 'file') continue;
      const bytes = Buffer.alloc(read.length);
      read.file.readSync(bytes, read.position);
      read.release();
      if (bytes.equals(batchAt(offset, text(logId, offset)))) good += 1;
    }
  }
  return { good, kinds };
}

const first = await openShardStore(env, options);
for (let logId = 1; logId <= LOGS; logId += 1) first.store.createLog(logId, { durability: 'sync' });
for (let round = 0; round < ROUNDS; round += 1) {
  for (const stored of first.store.logs()) {
    const batch = batchAt(round, text(stored.logId, round));
    const seq = stored.append(1, 1_000_000 + round, new Uint8Array(0), batch, true);
    if (seq !== round + 1) throw new Error(`refused: ${seq}`);
  }
  first.store.startGroup();
  while ([...first.store.logs()].some(({ durableSeq }) => durableSeq <= round)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  for (const stored of first.store.logs()) stored.setCommitted(round + 1);
  const untilMs = Date.now() + 20_000;
  while ([...first.store.logs()].some(({ settledOffset }) => settledOffset <= round)) {
    if (Date.now() > untilMs) throw new Error('not settled in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
const written = readBack(first.store);
await first.store.close();
const again = await openShardStore(env, options);
const found = readBack(again.store);
await again.store.close();
process.stdout.write(
  JSON.stringify({ written, found, isShort, errors, failure: first.store.failure ?? null }),
);
process.exit(0);
