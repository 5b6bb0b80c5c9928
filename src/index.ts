// The package's front door: a node as a library. The actor runtime, its test kit and durable actors have doors of
// their own: `callboard/actors`, `callboard/actors/testkit`, `callboard/actors/shared`, `callboard/durable`.
export type { ReplicatedActors, ReplicatedOptions } from './assembly/durable-actors.ts';
export type {
  NodeAddress,
  NodeConfig,
  NodeEvent,
  RunningNode,
  StartNode,
} from './assembly/node-config.ts';
export { VERSION } from './assembly/version.ts';
export type { NodeRole } from './cluster/metadata/types.ts';
export type { Environment } from './env/environment.ts';
export {
  createNodeEnvironment,
  type NodeEnvironment,
  type NodeEnvironmentOptions,
} from './env/node/environment.ts';
export { type EmbeddedNode, startNode } from './node-entry.ts';
