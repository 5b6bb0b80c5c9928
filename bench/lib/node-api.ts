// What nodes say of themselves over their HTTP API: counters, memory of a thread, which part of a thread's CPU goes to
// the garbage collector, and who leads the metadata.
import type { ApiCluster, ApiThreadState } from '../../dist/admin/api-types.js';
import { type DevCluster, type DevNode, until } from '../../tools/lib/dev-cluster.mjs';

async function answered(url: string, method: string): Promise<unknown> {
  const answer = await fetch(url, { method });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

export async function countersOf(http: string): Promise<Readonly<Record<string, number>>> {
  return (await answered(`${http}/api/counters`, 'GET')) as Record<string, number>;
}

/** Heap in use of one thread, in MB; garbage that waits for the collector counts. */
export async function heapMb(http: string, thread: number): Promise<number> {
  const { facts } = (await answered(`${http}/api/threads/${thread}`, 'GET')) as ApiThreadState;
  return facts.heapUsedBytes / 1e6;
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** What a thread used of the CPU while it was looked at, in microseconds, and what of it the collector used. */
export interface CollectorShare {
  readonly busyUs: number;
  readonly collectorUs: number;
}

export async function collectorShare(
  http: string,
  thread: number,
  seconds: number,
): Promise<CollectorShare> {
  const url = `${http}/api/threads/${thread}/profile?seconds=${seconds}`;
  const { nodes, samples, timeDeltas } = (await answered(url, 'POST')) as CpuProfile;
  const names = new Map(nodes.map(({ id, callFrame }) => [id, callFrame.functionName]));
  let [busyUs, collectorUs] = [0, 0];
  samples.forEach((id, i) => {
    const name = names.get(id);
    if (name === '(idle)') return;
    busyUs += timeDeltas[i]!;
    if (name === '(garbage collector)') collectorUs += timeDeltas[i]!;
  });
  return { busyUs, collectorUs };
}

/** The node that leads the metadata: asked there, a change needs no way to it. */
export async function controller({ nodes }: DevCluster): Promise<DevNode> {
  return until('somebody leads the metadata', async () => {
    const { controllerId } = (await answered(`${nodes[0]!.http}/api/cluster`, 'GET')) as ApiCluster;
    return nodes.find(({ id }) => id === controllerId);
  });
}
