// The HTTP API of a node, as a test asks it.
import type { ApiDestination, ApiDestinations, ApiStatus } from '../../../src/admin/api-types.ts';
import { type DevCluster, type DevNode, until } from '../../../tools/lib/dev-cluster.mjs';

export type Counters = Readonly<Record<string, number>>;

async function get<T>(node: DevNode, path: string): Promise<T> {
  const answer = await fetch(`${node.http}${path}`, { signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

export function statusOf(node: DevNode): Promise<ApiStatus> {
  return get<ApiStatus>(node, '/api/status');
}

export async function destinationOf(node: DevNode, name: string): Promise<ApiDestination> {
  const { destinations } = await get<ApiDestinations>(node, '/api/destinations');
  const found = destinations.find((one) => one.name === name);
  if (found === undefined) throw new Error(`${name} is not among the destinations`);
  return found;
}

export function countersOf(node: DevNode): Promise<Counters> {
  return get<Counters>(node, '/api/counters');
}

/** The sum of all counters whose name matches, over all nodes. */
export async function counterSum(nodes: readonly DevNode[], name: RegExp): Promise<number> {
  const all = await Promise.all(nodes.map(countersOf));
  let sum = 0;
  let found = 0;
  for (const counters of all) {
    for (const [key, value] of Object.entries(counters)) {
      if (!name.test(key)) continue;
      sum += value;
      found += 1;
    }
  }
  if (found === 0) throw new Error(`no counter matches ${name}: ${Object.keys(all[0] ?? {})}`);
  return sum;
}

/** Waits until every log has a leader and all its replicas, as every node sees it. */
export async function untilHealthy(cluster: DevCluster, timeoutMs = 30_000): Promise<void> {
  await until(
    'the cluster is healthy',
    async () => {
      const all = await Promise.all(cluster.nodes.map(statusOf));
      return all.every(({ health }) => health === 'ok');
    },
    timeoutMs,
  );
}
