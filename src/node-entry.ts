// Composition root of a node: gives the assembly the parts that only the real world has. The command
// line loads this module by its URL when it starts a node, and nothing of it before.

import { nodeStarter } from './assembly/node.ts';
import type { StartNode } from './assembly/node-config.ts';
import type { NodeEnvironment } from './env/node/environment.ts';
import { createHttpServer } from './env/node/http.ts';

/** Starts one node over an Environment of this process. */
export const startNode: StartNode = (env, config) => {
  const { net } = env as NodeEnvironment;
  return nodeStarter({
    workerEntry: new URL('./worker.js', import.meta.url),
    http: createHttpServer(),
    counters: () => ({ ...net.counters }),
  })(env, config);
};
