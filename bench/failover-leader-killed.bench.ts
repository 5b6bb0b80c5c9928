// After the leader of a partition is killed with SIGKILL: how long until a client's produce (acks=all)
// succeeds again? The client asks any live node who leads and tries every 20 ms; the worst of 20 counts.
import { delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { recordBatch, WireClient } from './lib/kafka-wire.ts';

const ROUNDS = 20;
const TOPIC = 'failover';
const RETRY_MS = 20;

const load = machineLoad();
const cluster = await startDev({ shards: 1, restart: '200ms' });
const batch = recordBatch([Buffer.from('still there?')]);

/** The leader, as the first node that answers knows it. */
async function leader(): Promise<{ id: number; address: string } | undefined> {
  for (const { kafka } of cluster.nodes) {
    const client = await WireClient.connect(kafka, 300).catch(() => undefined);
    if (client === undefined) continue;
    try {
      const { brokers, topics } = await client.metadata([TOPIC], 500);
      const id = topics[0]?.partitions[0]?.leader ?? -1;
      const broker = brokers.get(id);
      if (broker !== undefined) return { id, address: `${broker.host}:${broker.port}` };
    } catch {
      // This one is on its way out, or not yet in: ask the next.
    } finally {
      client.close();
    }
  }
  return undefined;
}

async function produceOnce(): Promise<boolean> {
  const found = await leader();
  if (found === undefined) return false;
  const client = await WireClient.connect(found.address, 300).catch(() => undefined);
  if (client === undefined) return false;
  try {
    const to = { topic: TOPIC, partition: 0, acks: -1, timeoutMs: 2_000 };
    return (await client.produce(to, batch, 2_500)).errorCode === 0;
  } catch {
    return false;
  } finally {
    client.close();
  }
}

async function isWhole(): Promise<boolean> {
  const client = await WireClient.connect(cluster.nodes[0]!.kafka, 300);
  try {
    const { topics } = await client.metadata([TOPIC], 500);
    return topics[0]?.partitions[0]?.isrCount === 3;
  } finally {
    client.close();
  }
}

const samples: number[] = [];
try {
  const client = await WireClient.connect(cluster.nodes[0]!.kafka);
  const errorCode = await client.createTopic(TOPIC, 1, 3);
  if (errorCode !== 0) throw new Error(`CreateTopics answered ${errorCode}`);
  client.close();
  for (let round = 0; round < ROUNDS; round += 1) {
    await until('a produce succeeds and all replicas are in sync', async () => {
      return (await produceOnce()) && (await isWhole());
    });
    await delay(300);
    const victim = await until('somebody leads', leader);
    const startMs = performance.now();
    await cluster.kill(victim.id);
    while (!(await produceOnce())) await delay(RETRY_MS);
    samples.push(performance.now() - startMs);
  }
} finally {
  await cluster.stop();
}
tellFigure({
  name: 'failover-leader-killed',
  unit: 'ms',
  samples,
  floor: 3_000,
  rule: 'worst',
  load,
});
