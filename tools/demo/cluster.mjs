// What the demonstration knows about the cluster's inside, all of it by the admin API: who leads what,
// and whether everybody is in sync. The nodes are those of `callboard dev`, each a process.
import { until } from '../lib/dev-cluster.mjs';

const ANSWER_TIMEOUT_MS = 2_000;
const VICTIM_TIMEOUT_MS = 20_000;
const BACK_TIMEOUT_MS = 60_000;

async function ask(node, path) {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  const answer = await fetch(`${node.http}${path}`, { signal });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function partitionsOf(node, names) {
  const { destinations } = await ask(node, '/api/destinations');
  return names.map((name) => {
    const found = destinations.find((each) => each.name === name);
    if (found === undefined) throw new Error(`${name} is not there`);
    return found.partitions;
  });
}

/**
 * Waits until the node that leads the queue leads a partition of the first topic as well.
 * Answers its id and which partitions of which topic it leads.
 */
export function findVictim(cluster, queue, topics) {
  return until(
    `one node leads ${queue} and a partition of ${topics[0]}`,
    async () => {
      const [[home], ...read] = await partitionsOf(cluster.nodes[0], [queue, ...topics]);
      const id = home.leader;
      const led = read.map((partitions) =>
        partitions.filter(({ leader }) => leader === id).map(({ partition }) => partition),
      );
      return id > 0 && led[0].length > 0 && { id, led };
    },
    VICTIM_TIMEOUT_MS,
  );
}

/** Waits until a node runs, is live, and is in sync in all its replicas, as every node sees it. */
export async function untilBack(cluster, id, names) {
  await until(
    `node ${id} is back in sync`,
    async () => {
      const all = await Promise.all(cluster.nodes.map((node) => isInSync(node, id, names)));
      return all.every(Boolean);
    },
    BACK_TIMEOUT_MS,
  );
}

async function isInSync(asked, id, names) {
  const { nodes, health } = await ask(asked, '/api/status');
  const node = nodes.find((each) => each.id === id);
  const partitions = (await partitionsOf(asked, names)).flat();
  const isMember = partitions.every(
    ({ replicas, isr }) => !replicas.includes(id) || isr.includes(id),
  );
  return health === 'ok' && node.isLive && node.outOfSyncCount === 0 && isMember;
}
