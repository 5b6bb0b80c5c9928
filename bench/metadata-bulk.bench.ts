// How long do three nodes on this machine take for 10,000 topics of one partition and three replicas that are asked for in
// bulk, until every one is answered and has a leader?
import type { ApiStatus } from '../dist/admin/api-types.js';
import { type DevCluster, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { WireClient } from './lib/kafka-wire.ts';
import { controller } from './lib/node-api.ts';

const DESTINATIONS = 10_000;
const REPLICAS = 3;
// Many more at once keep shards busy for so long, on a machine that is, that they count as standing still.
const PER_REQUEST = 100;
const CONNECTIONS = 2;
const BULK_MOST_S = 10;
const ANSWER_MS = 120_000;
const TIMED_OUT = 7;
const EXISTS = 36;
const NONE_LIVE = 38;

async function bulk(cluster: DevCluster): Promise<{ seconds: number; retried: number }> {
  const { kafka, http } = await controller(cluster);
  const clients: WireClient[] = [];
  for (let i = 0; i < CONNECTIONS; i += 1) clients.push(await WireClient.connect(kafka));
  const startMs = performance.now();
  let retried = 0;
  const lanes = clients.map(async (client, lane) => {
    for (let at = lane * PER_REQUEST; at < DESTINATIONS; at += CONNECTIONS * PER_REQUEST) {
      let left = Array.from({ length: PER_REQUEST }, (_, i) => `bulk-${at + i}`);
      // On a machine that is busy a node may be silent for too long, or the metadata without a leader for a moment.
      while (left.length > 0) {
        const codes = await client.createTopics(left, 1, REPLICAS, ANSWER_MS);
        const isAgain = (code: number | undefined) => code === TIMED_OUT || code === NONE_LIVE;
        const bad = codes.find((code) => code !== 0 && code !== EXISTS && !isAgain(code));
        if (bad !== undefined) throw new Error(`CreateTopics answered ${bad}`);
        left = left.filter((_, i) => isAgain(codes[i]));
        retried += left.length;
      }
    }
  });
  await Promise.all(lanes);
  await until(
    'every topic has a leader',
    async () => {
      const status = (await (await fetch(`${http}/api/status`)).json()) as ApiStatus;
      return status.health === 'ok' && status.logCount >= DESTINATIONS;
    },
    ANSWER_MS,
  );
  for (const client of clients) client.close();
  return { seconds: (performance.now() - startMs) / 1_000, retried };
}

const load = machineLoad();
const cluster = await startDev({ nodes: 3, shards: 1 });
try {
  const { seconds, retried } = await bulk(cluster);
  const note = `${DESTINATIONS} topics of ${REPLICAS} replicas, ${retried} asked again`;
  const figure = { name: 'metadata-bulk', unit: 's', samples: [seconds], floor: BULK_MOST_S };
  tellFigure({ ...figure, rule: 'most', load, note });
} finally {
  await cluster.stop();
}
