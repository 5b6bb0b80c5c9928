// While leaders move as planned, back to the first replica: how long does the slowest produce (acks=all, one in flight
// for each partition) take? The client asks who leads when it is told "not leader", and tries again. A sample is the
// slowest one around the move of one partition; the worst of 99 % of them counts.
import { delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { recordBatch, WireClient } from './lib/kafka-wire.ts';

const ROUNDS = 12;
const PARTITIONS = 9;
const TOPIC = 'planned';
const NOT_LEADER = 6;
const RETRY_MS = 2;
const PAUSE_MS = 5;
/** On a machine that is busy with other things. */
const PATIENCE_MS = 120_000;
const NODES = [1, 2, 3];

const load = machineLoad();
const cluster = await startDev({ shards: 1 });
const batch = recordBatch([Buffer.from('still there?')]);

/** What one partition is asked, one after another, for ever. */
class Writer {
  leader = -1;
  /** The slowest since somebody looked. */
  slowestMs = 0;
  failures = 0;
  acknowledged = 0;
  readonly #partition: number;
  readonly #clients = new Map<number, WireClient>();
  isStopped = false;

  constructor(partition: number) {
    this.#partition = partition;
  }

  async run(): Promise<void> {
    for (const [index, { kafka }] of cluster.nodes.entries()) {
      this.#clients.set(index + 1, await WireClient.connect(kafka));
      // Whoever asks nothing is turned away after a while.
      await this.#find(index + 1);
    }
    while (!this.isStopped) {
      const startMs = performance.now();
      while (!(await this.#once())) await delay(RETRY_MS);
      this.acknowledged += 1;
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
      await delay(PAUSE_MS);
    }
    for (const client of this.#clients.values()) client.close();
  }

  async #once(): Promise<boolean> {
    const to = { topic: TOPIC, partition: this.#partition, acks: -1, timeoutMs: 5_000 };
    const { errorCode } = await this.#clients.get(this.leader)!.produce(to, batch);
    if (errorCode === 0) return true;
    if (errorCode !== NOT_LEADER) this.failures += 1;
    await this.#find(this.leader);
    return false;
  }

  async #find(asked: number): Promise<void> {
    const { topics } = await this.#clients.get(asked)!.metadata([TOPIC]);
    const { leader = -1 } = topics[0]?.partitions[this.#partition] ?? {};
    if (leader > 0) this.leader = leader;
  }
}

async function prefer(partition: number, replicas: readonly number[]): Promise<void> {
  const answer = await fetch(new URL('/api/cluster/reassign', cluster.nodes[0]!.http), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ destination: TOPIC, partition, replicas }),
  });
  if (!answer.ok) throw new Error(`reassign: ${answer.status} ${await answer.text()}`);
}

const samples: number[] = [];
const writers = Array.from({ length: PARTITIONS }, (_, partition) => new Writer(partition));
let calmMs = 0;
try {
  const client = await WireClient.connect(cluster.nodes[0]!.kafka);
  const errorCode = await client.createTopic(TOPIC, PARTITIONS, 3);
  if (errorCode !== 0) throw new Error(`CreateTopics answered ${errorCode}`);
  client.close();
  const running = writers.map((writer) => writer.run());
  // What ends a writer is told at the end, or with what it ended.
  for (const each of running) each.catch(() => undefined);
  const areWarm = () => writers.every(({ acknowledged }) => acknowledged > 100);
  await until('all are written to', areWarm, PATIENCE_MS);
  for (const writer of writers) writer.slowestMs = 0;
  await delay(2_000);
  calmMs = Math.max(...writers.map(({ slowestMs }) => slowestMs));
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = writers.map(({ leader }) => leader);
    for (const writer of writers) writer.slowestMs = 0;
    for (const [partition, leader] of before.entries()) {
      const others = NODES.filter((node) => node !== leader);
      if (round % 2 === 1) others.reverse();
      await prefer(partition, [...others, leader]);
    }
    const haveMoved = () => writers.every(({ leader }, i) => leader !== before[i]);
    await until('all have moved', haveMoved, PATIENCE_MS);
    await delay(100);
    for (const { slowestMs } of writers) samples.push(slowestMs);
  }
  for (const writer of writers) writer.isStopped = true;
  await Promise.all(running);
} finally {
  await cluster.stop();
}
const failures = writers.reduce((sum, writer) => sum + writer.failures, 0);
if (failures > 0) throw new Error(`${failures} answers were others than "not leader"`);
const sorted = samples.sort((a, b) => a - b);
tellFigure({
  name: 'planned-move p99',
  unit: 'ms',
  samples: sorted.slice(0, Math.ceil(sorted.length * 0.99)),
  floor: 100,
  rule: 'worst',
  load,
  note: `without moves ${calmMs.toFixed(0)} ms at most`,
});
