// The frame of the produce benches: a cluster, a topic, warm-up, five rounds, and a look at the high
// watermarks, so that what is reported was really stored.
import { startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './figure.ts';
import { WireClient } from './kafka-wire.ts';
import { type Load, ProduceDriver, type Target } from './produce-driver.ts';
import { cpuSeconds } from './server-cpu.ts';

const ROUNDS = 5;
const ROUND_MS = 1_500;
const WARM_UP_MS = 1_500;

export interface ProduceBench extends Omit<Load, 'topic'> {
  readonly name: string;
  readonly nodes: number;
  readonly shards: number;
  readonly partitions: number;
  /** MB/s of record values. */
  readonly floor: number;
  /** ms that a request of 99 % may take; left out: not told. */
  readonly p99Most?: number;
}

export async function runProduceBench(bench: ProduceBench): Promise<void> {
  const load = machineLoad();
  const topic = bench.name;
  const cluster = await startDev({ nodes: bench.nodes, shards: bench.shards });
  try {
    const client = await WireClient.connect(cluster.nodes[0]!.kafka);
    const errorCode = await client.createTopic(topic, bench.partitions, bench.nodes);
    if (errorCode !== 0) throw new Error(`CreateTopics answered ${errorCode}`);
    const targets = await until('all partitions have leaders', () => targetsOf(client, topic));
    // A leader that metadata names may still be taking over; it answers offsets when it has.
    await until('all leaders serve', async () => (await storedRecords(targets, topic)) === 0);
    const driver = new ProduceDriver({ ...bench, topic });
    await driver.connect(targets);
    await driver.run(WARM_UP_MS);
    const pids = cluster.nodes.map(({ pid }) => pid);
    const batchMb = (bench.recordBytes * bench.recordsPerBatch) / 1e6;
    const [rates, p99s]: [number[], number[]] = [[], []];
    driver.takeLatencies();
    const cpuBefore = cpuSeconds(pids);
    let totalMb = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { requests, ms } = await driver.run(ROUND_MS);
      totalMb += requests * batchMb;
      rates.push((requests * batchMb * 1000) / ms);
      const sorted = driver.takeLatencies().sort((a, b) => a - b);
      p99s.push(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
    }
    const cpuPerMb = ((cpuSeconds(pids) - cpuBefore) * 1000) / totalMb;
    const stored = await storedRecords(targets, topic);
    const expected = driver.answered * bench.recordsPerBatch;
    if (stored !== expected) throw new Error(`${stored} records are there, not ${expected}`);
    driver.close();
    client.close();
    const note = `server cpu ${cpuPerMb.toFixed(2)} ms/MB`;
    tellFigure({
      name: bench.name,
      unit: 'MB/s',
      samples: rates,
      floor: bench.floor,
      rule: 'least',
      load,
      note,
    });
    if (bench.p99Most !== undefined) {
      const inFlight = `${bench.partitions * bench.window} batches in flight`;
      const p99 = { name: `${bench.name} p99`, unit: 'ms', samples: p99s, floor: bench.p99Most };
      tellFigure({ ...p99, rule: 'most', load, note: inFlight });
    }
  } finally {
    await cluster.stop();
  }
}

async function targetsOf(client: WireClient, topic: string): Promise<Target[] | undefined> {
  const { brokers, topics } = await client.metadata([topic]);
  const partitions = topics[0]?.partitions ?? [];
  if (partitions.length === 0 || partitions.some(({ leader }) => leader < 0)) return undefined;
  return partitions.map(({ index, leader }) => ({ ...brokers.get(leader)!, partition: index }));
}

async function storedRecords(targets: readonly Target[], topic: string): Promise<number> {
  let sum = 0;
  for (const { host, port, partition } of targets) {
    const client = await WireClient.connect(`${host}:${port}`);
    sum += await client.endOffset(topic, partition);
    client.close();
  }
  return sum;
}
