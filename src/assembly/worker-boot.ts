// What a node's main thread and its worker threads tell each other outside the rings: small facts only.
import type { ActorKind } from '../cluster/metadata/types.ts';
import type { Remembered } from './members.ts';
import type { NodeAddress } from './node-config.ts';
import type { ShardConfig } from './shard.ts';

export interface WorkerBoot {
  readonly dataRoot: string | undefined;
  readonly shard: ShardConfig;
  readonly clusterId: string;
  readonly token: string;
  /** Those of the configuration. */
  readonly nodes: readonly NodeAddress[];
  /** Where the other members are. */
  readonly remembered: Remembered;
  /** The module with the kinds of durable actors, and what the main thread found there. */
  readonly kinds: { readonly url: string; readonly expected: readonly ActorKind[] } | undefined;
}

export type FromWorker =
  | {
      readonly kind: 'status';
      readonly connections: number;
      readonly hasFailedSync: boolean;
      readonly counters: Record<string, number>;
    }
  /** The shard's store failed: the node must end. */
  | { readonly kind: 'failed'; readonly message: string };

/** Counters under one more word, as the admin API names them. */
export function prefixed(word: string, counters: object): Record<string, number> {
  const named: Record<string, number> = {};
  for (const [name, value] of Object.entries(counters)) named[`${word}.${name}`] = value;
  return named;
}
