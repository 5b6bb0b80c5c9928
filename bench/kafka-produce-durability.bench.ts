// What does a send cost in each durability? One node, acks=all. One line for the time of a send of one record of 1 KB
// when nothing else is under way, which is what `async` spares the wait for; one for the bandwidth of 64 KB batches,
// which is the disk's in all durabilities that write.
import { startDev, until } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { WireClient } from './lib/kafka-wire.ts';
import { ProduceDriver, type Target } from './lib/produce-driver.ts';

const ROUNDS = 5;
const ROUND_MS = 1_000;
const PARTITIONS = 4;
/** ms for a send, and MB/s. */
const FLOORS = {
  sync: [2, 100],
  replicated: [1, 100],
  async: [1, 100],
  memory: [1, 100],
} as const;

async function targetsOf(client: WireClient, topic: string): Promise<Target[]> {
  return until(`${topic} has leaders`, async () => {
    const { brokers, topics } = await client.metadata([topic]);
    const partitions = topics[0]?.partitions ?? [];
    if (partitions.length === 0 || partitions.some(({ leader }) => leader < 0)) return undefined;
    return partitions.map(({ index, leader }) => ({ ...brokers.get(leader)!, partition: index }));
  });
}

const load = machineLoad();
const cluster = await startDev({ nodes: 1, shards: 1 });
try {
  const client = await WireClient.connect(cluster.nodes[0]!.kafka);
  for (const [mode, [sendMs, bandwidth]] of Object.entries(FLOORS)) {
    const topic = `durability-${mode}`;
    const configs = { 'callboard.durability': mode };
    const code = await client.createTopic(topic, PARTITIONS, 1, 10_000, configs);
    if (code !== 0) throw new Error(`CreateTopics of ${topic} answered ${code}`);
    const targets = await targetsOf(client, topic);
    await until('all leaders serve', async () => {
      return (await client.endOffset(topic, targets[0]!.partition)) === 0;
    });
    const measure = async (recordsPerBatch: number, window: number, lanes: number) => {
      const driver = new ProduceDriver({
        topic,
        acks: -1,
        recordBytes: 1_024,
        recordsPerBatch,
        window,
      });
      await driver.connect(targets.slice(0, lanes));
      await driver.run(ROUND_MS);
      const rates: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const { requests, ms } = await driver.run(ROUND_MS);
        rates.push((requests * 1_000) / ms);
      }
      driver.close();
      return rates;
    };
    const single = await measure(1, 1, 1);
    const samples = single.map((rate) => 1_000 / rate);
    const name = `kafka-produce-durability ${mode}`;
    tellFigure({ name: `${name} send`, unit: 'ms', samples, floor: sendMs, rule: 'most', load });
    const bulk = await measure(62, 4, PARTITIONS);
    const rates = bulk.map((rate) => (rate * 62 * 1_024) / 1e6);
    tellFigure({ name, unit: 'MB/s', samples: rates, floor: bandwidth, rule: 'least', load });
  }
  client.close();
} finally {
  await cluster.stop();
}
