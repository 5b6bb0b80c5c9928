// Starts three nodes in this process again and again, in memory, and prints how long each took from the
// first call until all were ready. Plain JavaScript over the built program, like an embedder's.
import { createNodeEnvironment } from '../../dist/env/node/environment.js';
import { startNode } from '../../dist/node-entry.js';
import { freeBasePort } from '../../tools/lib/dev-cluster.mjs';

const NODES = 3;
const ROUNDS = 7;

async function startAll(round) {
  const base = await freeBasePort(NODES);
  const nodes = Array.from({ length: NODES }, (_, i) => ({
    id: i + 1,
    host: '127.0.0.1',
    kafkaPort: base + i,
    httpPort: base + 100 + i,
    linkPort: base + 200 + i,
    amqpPort: base + 300 + i,
    rocketmqPort: base + 400 + i,
  }));
  const cluster = {
    clusterId: `bench-${round}`,
    nodes,
    dataRoot: undefined,
    shards: 0,
    host: '127.0.0.1',
    token: 'bench',
    isFounding: true,
  };
  const startMs = performance.now();
  const running = await Promise.all(
    nodes.map(async ({ id }) => {
      const env = createNodeEnvironment({ logLevel: 'error' });
      const node = await startNode(env, { ...cluster, nodeId: id });
      await new Promise((resolve, reject) => {
        node.onEvent((event) => {
          if (event.event === 'ready') resolve();
          if (event.event === 'failed') reject(new Error(event.message));
        });
      });
      return node;
    }),
  );
  return { ms: performance.now() - startMs, running };
}

for (let round = 0; round <= ROUNDS; round += 1) {
  const { ms, running } = await startAll(round);
  // The first round compiles.
  if (round > 0) console.log(`ready ${ms}`);
  await Promise.all(running.map((node) => node.stop()));
}
process.exit(0);
