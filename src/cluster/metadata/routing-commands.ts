// The commands about exchanges, bindings and queues, and the changes that follow from them.
import type {
  BindingRecord,
  ComparedArgument,
  ExchangeRecord,
  QueueOwner,
  QuorumRules,
} from './routing-types.ts';
import type { Durability } from './types.ts';

/** Makes the exchange, or agrees that it is there as described; else refused as `inequivalent`. */
export interface DeclareExchangeCommand extends ExchangeRecord {
  readonly kind: 'declare-exchange';
}

/** Takes the bindings to and from it along. */
export interface DeleteExchangeCommand {
  readonly kind: 'delete-exchange';
  readonly vhost: string;
  readonly name: string;
  /** Refused while it has a binding as source. */
  readonly ifUnused: boolean;
}

/** A binding that is there stays as it is. */
export interface BindCommand extends BindingRecord {
  readonly kind: 'bind';
}

/** A binding that is not there is as good as removed. */
export interface UnbindCommand extends BindingRecord {
  readonly kind: 'unbind';
}

/**
 * Makes a destination of one log, or agrees that it is there as described. Exclusive, auto-delete and
 * transient queues, those in memory, and those that ask for one replica, lie on `node`; the others are
 * placed by the cluster.
 */
export interface DeclareQueueCommand {
  readonly kind: 'declare-queue';
  readonly vhost: string;
  readonly name: string;
  /** Used when the queue is made. */
  readonly topicId: Uint8Array;
  /** Who asks; of an exclusive queue, its owner's node. */
  readonly node: number;
  readonly durable: boolean;
  readonly durability?: Durability;
  /** Durable, not exclusive, not auto-delete, of no durability but `sync`; the policies of its kind are its own. */
  readonly quorum?: QuorumRules;
  readonly autoDelete: boolean;
  readonly owner: QueueOwner | undefined;
  readonly arguments: Uint8Array;
  readonly compared: readonly ComparedArgument[];
  /** -1: the default of the cluster. Clamped to the live nodes. */
  readonly replicationFactor: number;
}

/** Deletes a queue that was judged at `logId` (unused, empty): one made since then is not meant. */
export interface DeleteQueueCommand {
  readonly kind: 'delete-queue';
  readonly vhost: string;
  readonly name: string;
  /** 0: whichever is there. */
  readonly logId: number;
}

/** A connection has ended: its exclusive queues go, in one record. */
export interface ReleaseOwnerCommand {
  readonly kind: 'release-owner';
  readonly owner: QueueOwner;
}

export type RoutingCommand =
  | DeclareExchangeCommand
  | DeleteExchangeCommand
  | BindCommand
  | UnbindCommand
  | DeclareQueueCommand
  | DeleteQueueCommand
  | ReleaseOwnerCommand;

export type RoutingRefusalCode =
  | 'unknown-exchange'
  /** The exchange without a name is not declared, deleted or bound. */
  | 'default-exchange'
  | 'built-in-exchange'
  | 'exchange-in-use'
  /** It is there, and differs: see {@link Difference}. */
  | 'inequivalent'
  /** It belongs to another connection, or to none. */
  | 'locked'
  | 'stale-log'
  | 'node-not-live';

/** The first property in which a declaration and what is there differ; undefined: not given. */
export interface Difference {
  /** `type`, `durable`, `durability`, `autoDelete`, `internal`, `alternate`, or the name of an argument. */
  readonly property: string;
  readonly received: string | undefined;
  readonly current: string | undefined;
}

/** Removed records travel in the change: the image has them no more. */
export type RoutingChange =
  | { readonly kind: 'exchange-created'; readonly exchange: ExchangeRecord }
  | { readonly kind: 'exchange-deleted'; readonly vhost: string; readonly name: string }
  | { readonly kind: 'binding-created'; readonly binding: BindingRecord }
  | { readonly kind: 'binding-deleted'; readonly binding: BindingRecord };
