// The package's front door: a node as a library. The actor runtime, the simulator and the test kit get
// doors of their own when they are ready for other people's code.
export type { ReplicatedActors, ReplicatedOptions } from './assembly/durable-actors.ts';
export type {
  NodeAddress,
  NodeConfig,
  NodeEvent,
  RunningNode,
  StartNode,
} from './assembly/node-config.ts';
export { VERSION } from './assembly/version.ts';
export type { Environment } from './env/environment.ts';
export {
  createNodeEnvironment,
  type NodeEnvironment,
  type NodeEnvironmentOptions,
} from './env/node/environment.ts';
export { type EmbeddedNode, startNode } from './node-entry.ts';
