// How long does a node with 10,000 logs take from the start of its process until it is ready, after kill -9 with a full
// write-ahead log? Every log holds one batch that was acknowledged. What is counted behind each start is that all of
// them are there, with the client's own offsets; that takes its time, and is not part of the figure.
import fs from 'node:fs';
import { join } from 'node:path';
import {
  type DevCluster,
  freeBasePort,
  freshFolder,
  startDev,
  until,
} from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { recordBatch, WireClient } from './lib/kafka-wire.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const TOPICS = 10;
const PARTITIONS = 1_000;
const RECORD_BYTES = 1_024;
const RECORDS = 6;
const ROUNDS = 3;
/** Requests in flight. */
const WINDOW = 200;
const ANSWER_MS = 120_000;

const topicOf = (index: number): string => `many-logs-${index}`;

/** Calls `each` for every partition, so many at a time, and adds up what it answers. */
async function overAll(
  each: (topic: string, partition: number) => Promise<number>,
): Promise<number> {
  let sum = 0;
  for (let at = 0; at < TOPICS * PARTITIONS; at += WINDOW) {
    const answers = Array.from({ length: WINDOW }, (_, i) =>
      each(topicOf(Math.floor((at + i) / PARTITIONS)), (at + i) % PARTITIONS),
    );
    for (const answer of await Promise.all(answers)) sum += answer;
  }
  return sum;
}

async function connect(cluster: DevCluster): Promise<WireClient> {
  return WireClient.connect(cluster.nodes[0]!.kafka);
}

async function fill(cluster: DevCluster): Promise<void> {
  const client = await connect(cluster);
  for (let i = 0; i < TOPICS; i += 1) {
    const code = await client.createTopic(topicOf(i), PARTITIONS, 1, ANSWER_MS);
    if (code !== 0) throw new Error(`CreateTopics answered ${code}`);
  }
  await until('all partitions serve', async () => (await stored(cluster)) === 0, ANSWER_MS);
  const record = Buffer.alloc(RECORD_BYTES, 0x61);
  const batch = recordBatch(Array.from({ length: RECORDS }, () => record));
  await overAll(async (topic, partition) => {
    const to = { topic, partition, acks: -1, timeoutMs: ANSWER_MS };
    const { errorCode } = await client.produce(to, batch, ANSWER_MS);
    if (errorCode !== 0) throw new Error(`Produce answered ${errorCode}`);
    return 1;
  });
  client.close();
}

async function stored(cluster: DevCluster): Promise<number> {
  const client = await connect(cluster);
  try {
    return await overAll((topic, partition) => client.endOffset(topic, partition, ANSWER_MS));
  } finally {
    client.close();
  }
}

/** Bytes of the WAL files of the one shard. */
function walBytes(data: string): number {
  let bytes = 0;
  for (const name of fs.readdirSync(data, { recursive: true, encoding: 'utf8' })) {
    if (name.endsWith('.wal')) bytes += fs.statSync(join(data, name)).size;
  }
  return bytes;
}

const load = machineLoad();
const data = freshFolder('callboard-many-logs-');
const options = { data, nodes: 1, shards: 1, basePort: await freeBasePort(1) };
let cluster = await startDev(options);
const samples: number[] = [];
const cpu: number[] = [];
let walMb = 0;
try {
  await fill(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    await cluster.killAll();
    walMb = walBytes(data) / 1e6;
    cluster = await startDev(options);
    samples.push(cluster.readyMs);
    cpu.push(cpuSeconds(cluster.nodes.map(({ pid }) => pid)));
    const expected = TOPICS * PARTITIONS * RECORDS;
    await until('all logs serve', async () => (await stored(cluster)) === expected, ANSWER_MS);
  }
} finally {
  await cluster.stop();
  fs.rmSync(data, { recursive: true, force: true });
}
const cpuSec = cpu.sort((a, b) => a - b)[cpu.length >> 1]!;
tellFigure({
  name: 'many-logs-ready',
  unit: 'ms',
  samples,
  floor: 2_000,
  rule: 'most',
  load,
  note: `server cpu ${cpuSec.toFixed(2)} s, WAL files ${walMb.toFixed(0)} MB`,
});
