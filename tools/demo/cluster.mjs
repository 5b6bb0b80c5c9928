// What the demonstration knows about the cluster's inside, all of it by the admin API: who leads what,
// and whether everybody is in sync. The nodes are those of `callboard dev`, each a process.
import { until } from '../lib/dev-cluster.mjs';

const ANSWER_TIMEOUT_MS = 2_000;
const VICTIM_TIMEOUT_MS = 20_000;
const LED_TIMEOUT_MS = 30_000;
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

/** Waits until a dead node leads nothing that has other replicas, and all that has a leader. */
export async function untilLedByOthers(cluster, id, names) {
  const asked = cluster.nodes.find((node) => node.id !== id);
  await until(
    'other nodes lead what the dead one led',
    async () => {
      const partitions = (await partitionsOf(asked, names)).flat();
      return partitions
        .filter(({ replicas }) => replicas.length > 1)
        .every(({ leader }) => leader > 0 && leader !== id);
    },
    LED_TIMEOUT_MS,
  );
}

/** Waits until a node runs, is live, and is in sync in all its replicas, as every node sees it. */
export async function untilBack(cluster, id, names) {
  const seen = new Map();
  const isBack = async () => {
    const all = await Promise.all(
      cluster.nodes.map(async (node) => {
        const missing = await missingAt(node, id, names);
        seen.set(node.id, missing);
        return missing.length === 0;
      }),
    );
    return all.every(Boolean);
  };
  try {
    await until(`node ${id} is back in sync`, isBack, BACK_TIMEOUT_MS);
  } catch (error) {
    const text = [...seen].map(([asked, missing]) => `node ${asked} says: ${missing.join(', ')}`);
    throw new Error(`${error.message}; ${text.join('; ')}`, { cause: error });
  }
}

/** What a node says that is not as it should be. */
async function missingAt(asked, id, names) {
  const { nodes, health } = await ask(asked, '/api/status');
  const all = await Promise.all(names.map((name) => partitionsOf(asked, [name])));
  const node = nodes.find((each) => each.id === id);
  const out = all.flatMap(([partitions], at) =>
    partitions
      .filter(({ replicas, isr }) => replicas.includes(id) && !isr.includes(id))
      .map(({ partition, leader, isr }) => `${names[at]}-${partition} led by ${leader} has ${isr}`),
  );
  if (health !== 'ok') out.unshift(`health ${health}`);
  if (!node.isLive) out.unshift('it is not live');
  if (node.outOfSyncCount > 0) out.unshift(`${node.outOfSyncCount} of its replicas are behind`);
  return out;
}
