// A leader that stands still (SIGSTOP) with its links open: how long until a client's produce (acks=all) succeeds again? No
// more than 1.5 s beyond the time after which silence counts as death, and less where its links are found to be dead. The
// client asks the other nodes who leads and tries every 20 ms; the worst round counts.
import { CONTROLLER_DEFAULTS } from '../dist/cluster/controller/types.js';
import { type DevNode, delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { recordBatch, WireClient } from './lib/kafka-wire.ts';

const ROUNDS = 6;
const TOPIC = 'silent';
const RETRY_MS = 20;
const BEYOND_MS = 1_500;
const { sessionTimeoutMs } = CONTROLLER_DEFAULTS;

const load = machineLoad();
const cluster = await startDev({ shards: 1 });
const batch = recordBatch([Buffer.from('still there?')]);

async function withClient<T>(address: string, ask: (client: WireClient) => Promise<T>): Promise<T> {
  const client = await WireClient.connect(address, 300);
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

interface Led {
  readonly id: number;
  readonly address: string;
  readonly isrCount: number;
}

async function leaderFor(nodes: readonly DevNode[]): Promise<Led | undefined> {
  for (const { kafka } of nodes) {
    const found = await withClient(kafka, async (client) => {
      const { brokers, topics } = await client.metadata([TOPIC], 500);
      const { leader: id = -1, isrCount = 0 } = topics[0]?.partitions[0] ?? {};
      const broker = brokers.get(id);
      return broker && { id, address: `${broker.host}:${broker.port}`, isrCount };
    }).catch(() => undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function produceTo(
  nodes: readonly DevNode[],
  isTo: (id: number) => boolean,
): Promise<boolean> {
  const found = await leaderFor(nodes);
  if (found === undefined || !isTo(found.id)) return false;
  const to = { topic: TOPIC, partition: 0, acks: -1, timeoutMs: 2_000 };
  return withClient(found.address, async (client) => {
    return (await client.produce(to, batch, 2_500)).errorCode === 0;
  }).catch(() => false);
}

const samples: number[] = [];
try {
  await withClient(cluster.nodes[0]!.kafka, async (client) => {
    const errorCode = await client.createTopic(TOPIC, 1, 3);
    if (errorCode !== 0) throw new Error(`CreateTopics answered ${errorCode}`);
  });
  for (let round = 0; round < ROUNDS; round += 1) {
    const victim = await until('a produce succeeds and all replicas are in sync', async () => {
      if (!(await produceTo(cluster.nodes, () => true))) return undefined;
      const found = await leaderFor(cluster.nodes);
      return found?.isrCount === 3 ? found.id : undefined;
    });
    // Heartbeats of a steady cluster: silence is counted from the last of them.
    await delay(2_000);
    const others = cluster.nodes.filter(({ id }) => id !== victim);
    const startMs = performance.now();
    await cluster.kill(victim, 'SIGSTOP');
    while (!(await produceTo(others, (id) => id !== victim))) await delay(RETRY_MS);
    samples.push(performance.now() - startMs);
    await cluster.kill(victim, 'SIGCONT');
  }
} finally {
  await cluster.stop();
}
const note = `silence is death after ${sessionTimeoutMs} ms`;
const figure = {
  name: 'failover-leader-silent',
  unit: 'ms',
  samples,
  floor: sessionTimeoutMs + BEYOND_MS,
};
tellFigure({ ...figure, rule: 'worst', load, note });
