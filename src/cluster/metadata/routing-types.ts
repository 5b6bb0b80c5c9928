// The nouns of routing in the metadata image: exchanges, bindings, and what a queue has beyond other
// destinations. Records are immutable and replaced whole. What an exchange does with a message is not
// known here: a type is a name, arguments are bytes of whoever declared.
import type { Durability } from './types.ts';

/** The connection that an exclusive queue lives and dies with, on the shard life that serves it. */
export interface QueueOwner {
  readonly node: number;
  /** Of the node's data, as registered. */
  readonly incarnation: number;
  /** By shard number. */
  readonly shard: number;
  readonly shardIncarnation: number;
  /** Unique among the connections of that shard life. */
  readonly connection: number;
}

/** An argument that must be the same when the queue is declared again. */
export interface ComparedArgument {
  readonly name: string;
  /** What is compared, as the declarer folds types and widths. */
  readonly value: string;
  /** What a refusal shows to people. */
  readonly shown: string;
}

/** Of a queue that is declared as `quorum`: it commits on a majority, on disk, whatever else is said. */
export interface QuorumRules {
  /** How often a message may come back, as it was declared; below 0: as often as it may be. */
  readonly deliveryLimit?: number;
}

/** Of a quorum queue that nobody gave another one. */
const DELIVERY_LIMIT = 20;

export interface QueueRules {
  readonly durable: boolean;
  /** As it was asked for; without it that of {@link durabilityOf}. */
  readonly durability?: Durability;
  readonly quorum?: QuorumRules;
  /** Goes when its last consumer goes; its log's leader says when. */
  readonly autoDelete: boolean;
  /** Of an exclusive queue. */
  readonly owner: QueueOwner | undefined;
  /** Canonical and opaque: equal arguments are equal bytes. */
  readonly arguments: Uint8Array;
  /** Sorted by name, each name once. */
  readonly compared: readonly ComparedArgument[];
}

/**
 * How often a message of a quorum queue may come back; below 0: without limit. Of what was declared and what the policy
 * says the lower one counts, and one that is none only alone: `resolve_delivery_limit` of rabbit_quorum_queue.erl (4.x).
 */
export function deliveryLimitIn(
  { deliveryLimit: declared }: QuorumRules,
  ofPolicy: number | undefined,
): number {
  if (declared === undefined || ofPolicy === undefined) {
    return declared ?? ofPolicy ?? DELIVERY_LIMIT;
  }
  const areLimits = declared >= 0 && ofPolicy >= 0;
  return areLimits ? Math.min(declared, ofPolicy) : Math.max(declared, ofPolicy);
}

/** A queue that ends with its node has nothing to wait for. */
export function durabilityOf(queue: Pick<QueueRules, 'durable' | 'durability'>): Durability {
  return queue.durability ?? (queue.durable ? 'sync' : 'async');
}

export interface ExchangeRecord {
  readonly vhost: string;
  readonly name: string;
  readonly type: string;
  /** A transient exchange ends when a node registers and no other is live. */
  readonly durable: boolean;
  /** Goes with its last binding as source. */
  readonly autoDelete: boolean;
  readonly isInternal: boolean;
  /** Name of the exchange that gets what this one cannot route; it need not exist. */
  readonly alternate: string | undefined;
  readonly arguments: Uint8Array;
}

/** `queue` stands for every destination. */
export type BindingTarget = 'queue' | 'exchange';

/** A binding is all of its fields: two that differ in one are two bindings. */
export interface BindingRecord {
  readonly vhost: string;
  readonly source: string;
  readonly targetKind: BindingTarget;
  readonly target: string;
  readonly routingKey: string;
  /** Canonical bytes of the binder's own arguments. */
  readonly arguments: Uint8Array;
  /** What headers must match, in the neutral form of the broker room; empty where no header counts. */
  readonly headerMatch: Uint8Array;
}

export const DEFAULT_EXCHANGE = '';

const NO_ARGUMENTS = new Uint8Array(0);

/** In every vhost, by definition: not stored, not deleted. By name in order. */
const BUILT_IN: ReadonlyMap<string, string> = new Map([
  [DEFAULT_EXCHANGE, 'direct'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.topic', 'topic'],
]);

export const BUILT_IN_EXCHANGES: readonly string[] = [...BUILT_IN.keys()];

export function builtInExchange(vhost: string, name: string): ExchangeRecord | undefined {
  const type = BUILT_IN.get(name);
  if (type === undefined) return undefined;
  const flags = { durable: true, autoDelete: false, isInternal: false };
  return { vhost, name, type, ...flags, alternate: undefined, arguments: NO_ARGUMENTS };
}

export function isSameOwner(a: QueueOwner, b: QueueOwner): boolean {
  return ownerKey(a) === ownerKey(b);
}

export function ownerKey(owner: QueueOwner): string {
  const { node, incarnation, shard, shardIncarnation, connection } = owner;
  return `${node}/${incarnation}/${shard}/${shardIncarnation}/${connection}`;
}
