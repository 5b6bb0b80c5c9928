// Composition root of a node: gives the assembly the parts that only the real world has. The command
// line loads this module by its URL when it starts a node, and nothing of it before. What runs on worker
// threads is loaded by them, not here.

import type { ReplicatedActors } from './assembly/durable-actors.ts';
import { loadKinds } from './assembly/durable-kinds.ts';
import { nodeStarter } from './assembly/node.ts';
import type { NodeConfig, RunningNode } from './assembly/node-config.ts';
import type { MakeShards } from './assembly/shards.ts';
import { prefixed } from './assembly/worker-boot.ts';
import type { Crew, Environment } from './env/environment.ts';
import { createNodeCrew } from './env/node/crew.ts';
import type { NodeEnvironment } from './env/node/environment.ts';
import { createHttpServer } from './env/node/http.ts';

async function shardMaker(shards: number, ownCrew: Crew | undefined): Promise<MakeShards> {
  if (shards === 0) {
    const { LocalShards } = await import('./assembly/local-shards.ts');
    return (options) => new LocalShards(options, ownCrew);
  }
  const { workerShards } = await import('./assembly/worker-shards.ts');
  return workerShards(new URL('./worker.js', import.meta.url));
}

/** What the node is called: where it listens, and where the others are told to dial it. */
function namesOf({ host, nodes, nodeId }: NodeConfig): string[] {
  return [host, ...nodes.filter(({ id }) => id === nodeId).map((node) => node.host)];
}

/** A node in the process of an application. */
export interface EmbeddedNode extends RunningNode {
  /** The durable actors of its cluster. */
  readonly durable: ReplicatedActors;
}

/** Starts one node over an Environment of this process. */
export const startNode = async (env: Environment, config: NodeConfig): Promise<EmbeddedNode> => {
  const { durableKinds } = config;
  const load = (url: string) => import(url);
  const { net, threads, isNativeEnabled } = env as NodeEnvironment;
  // With shards of its own the thread of the node has nothing to compact.
  const ownCrew =
    config.shards > 0 || env.crew !== undefined
      ? undefined
      : createNodeCrew(new URL('./crew-worker.js', import.meta.url), { isNativeEnabled });
  const start = nodeStarter({
    makeShards: await shardMaker(config.shards, ownCrew),
    amqp: async () => (await import('./protocols/amqp/listener.ts')).startAmqpListener,
    ...(durableKinds === undefined ? {} : { kinds: await loadKinds(load, durableKinds) }),
    rocketmq: async () => (await import('./rocketmq.ts')).startRocket,
    http: createHttpServer({ log: env.log, names: namesOf(config) }),
    counters: () => ({ ...net.counters, ...prefixed('main.threads', threads.counters) }),
  });
  return start(ownCrew === undefined ? env : { ...env, crew: ownCrew }, config);
};
