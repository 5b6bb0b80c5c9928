// Policies: what an operator says of all destinations whose names match. Of those that match one, the highest
// priority wins, of equal ones the first by name, and it alone: nothing is merged. What is declared wins over it.
import type { Durability } from './types.ts';

/**
 * What a policy concerns. `queues`: with streams; `all`: what `queues` says, as no key concerns exchanges. In the order
 * of the snapshot.
 */
export const APPLY_TO = ['all', 'queues', 'classic_queues', 'streams', 'quorum_queues'] as const;

export type ApplyTo = (typeof APPLY_TO)[number];

export interface PolicyRecord {
  readonly vhost: string;
  readonly name: string;
  /** See `Pattern`; any part of a name may match. */
  readonly pattern: string;
  readonly applyTo: ApplyTo;
  /** From -2^31 to 2^31 - 1. */
  readonly priority: number;
  /** Keys and values as JSON, sorted by key, each key once: what they mean is in `PolicyRules`. */
  readonly definition: readonly (readonly [string, string])[];
}

/** Makes the policy or replaces it; what it changes of destinations that are there changes with it. */
export interface PutPolicyCommand extends PolicyRecord {
  readonly kind: 'put-policy';
}

export interface DeletePolicyCommand {
  readonly kind: 'delete-policy';
  readonly vhost: string;
  readonly name: string;
}

export type PolicyCommand = PutPolicyCommand | DeletePolicyCommand;

export type PolicyRefusalCode = 'invalid-policy' | 'unknown-policy';

/** Which destinations it changed is told beside it. */
export interface PolicyChange {
  readonly kind: 'policy-changed';
  readonly vhost: string;
  readonly name: string;
}

/** Which nodes have a mirrored queue. */
export type Mirrors = MirrorNodes & {
  /** Where no mirror is left that has everything, the longest one leads: what it lacks is lost. */
  readonly promotesUnsynced: boolean;
};

type MirrorNodes =
  | { readonly kind: 'all' }
  /** With the master. Clamped to the live nodes. */
  | { readonly kind: 'exactly'; readonly count: number }
  /** Those that are registered; if none of them is live when it is made: the node that asks. */
  | { readonly kind: 'nodes'; readonly nodes: readonly number[] };

/** What a definition says. undefined: nothing. */
export interface PolicyRules {
  /** `memory` only of what is made under it. */
  readonly durability: Durability | undefined;
  /** Of queues that are durable, not exclusive and not auto-delete. */
  readonly mirrors: Mirrors | undefined;
  /** Of quorum queues; below 0: none. See `deliveryLimitIn`. */
  readonly deliveryLimit: number | undefined;
}
