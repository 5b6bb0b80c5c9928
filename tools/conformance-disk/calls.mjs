// System calls of a node under a real producer and a real consumer, held against the node's own counters:
// one write to the WAL per group, no sync and no read for a message, sendfile for what is settled.
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { freshFolder, startDev, until } from '../lib/dev-cluster.mjs';
import { judge } from './judge.mjs';
import { attach } from './trace.mjs';

const ALONE = 200;
const SENDERS = 24;
const EACH = 25;
const BODY_BYTES = 1024;
const FETCH_BYTES = 8 << 20;
const PIECE_BYTES = 64 * 1024;
/** Records of 64 KB: what is fetched, and one range more. */
const PIECES = (2 * FETCH_BYTES) / PIECE_BYTES;
const SYNCS = new Set(['fsync', 'fdatasync', 'sync', 'syncfs', 'sync_file_range', 'msync']);
const READS = new Set(['read', 'pread64', 'readv', 'preadv', 'preadv2']);
const WRITES = new Set(['write', 'pwrite64', 'writev', 'pwritev', 'pwritev2']);
const O_DSYNC = 0o10000;

/** A node, its clients, and its counters summed over its threads, without the names in front. */
class Bench {
  constructor(cluster, folder) {
    this.cluster = cluster;
    this.folder = folder;
    const kafka = new Kafka({ brokers: cluster.brokers, logLevel: logLevel.ERROR });
    this.kafka = kafka;
    this.admin = kafka.admin();
  }

  async counters() {
    const all = await (await fetch(`${this.cluster.nodes[0].http}/api/counters`)).json();
    const sums = {};
    for (const [name, value] of Object.entries(all)) {
      const last = name.slice(name.lastIndexOf('.') + 1);
      sums[last] = (sums[last] ?? 0) + value;
    }
    return sums;
  }

  /** Counters of threads are told now and then: waits until nothing grows, the last seal written. */
  async settledCounters() {
    const names = [
      'walGroups',
      'walSeals',
      'walBytes',
      'settledBytes',
      'sendfileBytes',
      'checkpoints',
    ];
    let before = '';
    let sameSince = performance.now();
    return until('the counters stand still', async () => {
      const now = await this.counters();
      const text = names.map((name) => now[name]).join();
      if (text !== before) sameSince = performance.now();
      before = text;
      return performance.now() - sameSince > 2_500 ? now : undefined;
    });
  }

  async createTopic(topic) {
    const topics = [{ topic, numPartitions: 1, replicationFactor: 1 }];
    await this.admin.createTopics({ topics, waitForLeaders: true });
  }

  async traced(work) {
    const before = await this.settledCounters();
    const trace = await attach(this.cluster.nodes[0].pid, join(this.folder, 'trace'));
    await work();
    const after = await this.settledCounters();
    const calls = await trace.end();
    const grown = (name) => after[name] - before[name];
    return { calls, grown };
  }

  isData = ({ path }) => path?.startsWith(`${this.cluster.data}/node-1/shard-`) === true;
}

async function withNode(options, work) {
  const folder = freshFolder('callboard-disk-');
  const cluster = await startDev({ nodes: 1, ...options });
  const bench = new Bench(cluster, folder);
  try {
    await bench.admin.connect();
    await work(bench);
  } finally {
    await bench.admin.disconnect();
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A group begins with a frame; a file that is written ahead is zeros, and its first block has another magic. */
function walWrites(calls) {
  const writes = calls.filter(({ name, path }) => WRITES.has(name) && path?.endsWith('.wal'));
  const groups = writes.filter(({ args }) => /^[^,]*, "CBWF/.test(args));
  const others = writes.filter(({ args }) => !/^[^,]*, "(CBWF|CBWL|\\0\\0\\0\\0)/.test(args));
  return { groups, others };
}

const bytesOf = (calls) => calls.reduce((sum, { result }) => sum + Math.max(0, result ?? 0), 0);

/** The flags of a descriptor that the process has open, from /proc. */
function flagsOf(pid, fd) {
  const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
  return Number.parseInt(/^flags:\s+(\d+)$/m.exec(text)[1], 8);
}

async function writePath(bench, what, messages, produce) {
  const { calls, grown } = await bench.traced(produce);
  const data = calls.filter(bench.isData);
  const { groups, others } = walWrites(data);
  const wanted = grown('walGroups') + grown('walSeals');
  judge(
    `${what}: one write per group`,
    groups.length === wanted && others.length === 0 && grown('walGroups') > 0,
    `${messages} messages, ${grown('walGroups')} groups and ${grown('walSeals')} seals, ` +
      `${groups.length} writes of groups, ${others.length} of anything else`,
  );
  judge(
    `${what}: the writes are as long as the groups`,
    bytesOf(groups) === grown('walBytes'),
    `${bytesOf(groups)} bytes written, ${grown('walBytes')} counted`,
  );
  const { pid } = bench.cluster.nodes[0];
  const undurable = new Set(
    groups.map(({ fd }) => fd).filter((fd) => !(flagsOf(pid, fd) & O_DSYNC)),
  );
  judge(`${what}: the WAL is open with O_DSYNC`, undurable.size === 0 && groups.length > 0);
  const syncs = calls.filter(({ name }) => SYNCS.has(name));
  // A file written ahead is synced once, its name once; a checkpoint syncs what it is made of.
  const isQuiet = grown('walFilesMade') === 0 && grown('checkpoints') === 0;
  const most = isQuiet ? 0 : messages / 10;
  judge(
    `${what}: no sync for a message`,
    syncs.length <= most,
    `${syncs.length} syncs, ${grown('checkpoints')} checkpoints, ${grown('walFilesMade')} WAL files made`,
  );
  const reads = data.filter(({ name }) => READS.has(name));
  judge(
    `${what}: nothing is read from the data folder`,
    reads.length === 0,
    `${reads.length} reads${reads.length > 0 ? `, the first: ${reads[0].name}(${reads[0].args})` : ''}`,
  );
  judge(
    `${what}: no io_uring, which would hide calls`,
    !calls.some(({ name }) => name === 'io_uring_enter'),
  );
  return grown('walGroups');
}

async function produceSection(bench, mode) {
  await bench.createTopic('written');
  const producers = Array.from({ length: SENDERS }, () => bench.kafka.producer());
  await Promise.all(producers.map((each) => each.connect()));
  const send = (producer) =>
    producer.send({
      topic: 'written',
      acks: -1,
      messages: [{ value: Buffer.alloc(BODY_BYTES, 1) }],
    });
  // Clients learn who leads before anything is counted.
  await Promise.all(producers.map(send));
  await writePath(bench, `${mode}, one at a time`, ALONE, async () => {
    for (let i = 0; i < ALONE; i += 1) await send(producers[0]);
  });
  const messages = SENDERS * EACH;
  const groups = await writePath(bench, `${mode}, ${SENDERS} at once`, messages, () =>
    Promise.all(
      producers.map(async (producer) => {
        for (let i = 0; i < EACH; i += 1) await send(producer);
      }),
    ),
  );
  judge(`${mode}, ${SENDERS} at once: groups are shared`, groups < messages, `${groups} groups`);
  await Promise.all(producers.map((each) => each.disconnect()));
}

function piece(i) {
  const value = Buffer.alloc(PIECE_BYTES);
  // Nothing that compresses or repeats, and the same each time.
  for (let at = 0; at < PIECE_BYTES; at += 32) {
    createHash('sha256').update(`${i} ${at}`).digest().copy(value, at);
  }
  return value;
}

async function produceSettled(bench) {
  await bench.createTopic('settled');
  const producer = bench.kafka.producer();
  await producer.connect();
  const hash = createHash('sha256');
  const { settledBytes } = await bench.counters();
  for (let i = 0; i < PIECES; i += 8) {
    const messages = Array.from({ length: 8 }, (_, k) => ({ value: piece(i + k) }));
    for (const { value } of messages) hash.update(value);
    await producer.send({ topic: 'settled', acks: -1, messages });
  }
  await producer.disconnect();
  const isSettled = async () =>
    (await bench.counters()).settledBytes - settledBytes >= PIECES * PIECE_BYTES;
  await until('all is settled', isSettled);
  return hash.digest('hex');
}

/** Reads the topic from the start, 8 MB to a request; answers the hash of all values in order. */
async function consumeAll(bench) {
  const consumer = bench.kafka.consumer({
    groupId: 'reader',
    maxBytesPerPartition: FETCH_BYTES,
    maxBytes: 2 * FETCH_BYTES,
    minBytes: FETCH_BYTES / 2,
    maxWaitTimeInMs: 1_000,
  });
  await consumer.connect();
  await consumer.subscribe({ topic: 'settled', fromBeginning: true });
  const hash = createHash('sha256');
  let count = 0;
  await new Promise((resolve, reject) => {
    consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
    const timer = setTimeout(() => reject(new Error(`${count} of ${PIECES} came`)), 60_000);
    void consumer.run({
      eachMessage: async ({ message }) => {
        if (Number(message.offset) !== count) reject(new Error(`${message.offset} after ${count}`));
        hash.update(message.value);
        count += 1;
        if (count === PIECES) {
          clearTimeout(timer);
          resolve();
        }
      },
    });
  });
  await consumer.disconnect();
  return hash.digest('hex');
}

async function fetchSection(bench, mode, isNative) {
  const sent = await produceSettled(bench);
  let got;
  const { calls, grown } = await bench.traced(async () => {
    got = await consumeAll(bench);
  });
  judge(`${mode}: what is fetched is what was sent`, got === sent, `${PIECES} records of 64 KB`);
  const files = calls.filter(({ name }) => name === 'sendfile');
  const moved = bytesOf(files);
  const figures =
    `${files.length} calls moved ${moved} bytes, counted ${grown('sendfileBytes')}; ` +
    `${grown('copiedBytes')} bytes copied`;
  const isAll = grown('sendfileBytes') + grown('copiedBytes') >= PIECES * PIECE_BYTES;
  if (isNative) {
    judge(
      `${mode}: a settled range leaves by sendfile`,
      moved > grown('copiedBytes') && isAll,
      figures,
    );
    judge(
      `${mode}: the counters tell what the kernel did`,
      moved === grown('sendfileBytes') && files.length === grown('sendfileCalls'),
    );
  } else judge(`${mode}: a settled range leaves by copying`, files.length === 0 && isAll, figures);
  const start = bench.cluster
    .logOf(1)
    .split('\n')
    .find((line) => line.includes('"msg":"starting"'));
  const { capabilities } = JSON.parse(start);
  const said = capabilities.find((each) => /(^|no )sendfile/.test(each)) ?? 'nothing';
  const isSaid = isNative ? said === 'sendfile' : said.startsWith('no sendfile: ');
  judge(`${mode}: the start-up line says so`, isSaid, said);
}

export async function checkCalls() {
  for (const shards of [0, 1]) {
    const mode = shards === 0 ? 'no worker threads' : 'a worker thread';
    await withNode({ shards }, async (bench) => {
      await produceSection(bench, mode);
      await fetchSection(bench, mode, true);
    });
  }
  const env = { CALLBOARD_NATIVE: 'off' };
  await withNode({ shards: 0, env }, (bench) => fetchSection(bench, 'without koffi', false));
}
