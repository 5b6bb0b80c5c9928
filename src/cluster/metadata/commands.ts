// The commands of the metadata log. A command says what somebody wants or saw; what follows from it
// (placement, elections, counters) is decided in apply, the same on every node.
import type { AccessChange, AccessCommand, AccessRefusalCode } from './access-types.ts';
import type { PolicyChange, PolicyCommand, PolicyRefusalCode } from './policy-types.ts';
import type {
  Difference,
  RoutingChange,
  RoutingCommand,
  RoutingRefusalCode,
} from './routing-commands.ts';
import type {
  ActorKind,
  ClusterDefaults,
  Endpoint,
  LogKind,
  LogMode,
  NodeRole,
  SafeMember,
} from './types.ts';

export interface InitCluster {
  readonly kind: 'init-cluster';
  readonly clusterId: string;
  readonly defaults: ClusterDefaults;
}

/**
 * A process starts on a node. `incarnation` names its data: it must be above every earlier one
 * when the data folder is new or anything acknowledged may be lost, and may grow on each start.
 * `previousIncarnation` is the one this data went by before (0: new folder). The node is fenced and
 * leads nothing until `unfence-node`.
 */
export interface RegisterNode {
  readonly kind: 'register-node';
  readonly node: number;
  readonly incarnation: number;
  readonly previousIncarnation: number;
  /** Grows with every start on the same data. */
  readonly bootCounter: number;
  /** A sync failed in the last life: nothing may be assumed. */
  readonly hasFailedSync: boolean;
  /** Of this start of the operating system: with `pid` it tells one process from another. */
  readonly osBootId: string;
  readonly pid: number;
  readonly rack: string | undefined;
  readonly endpoints: readonly Endpoint[];
  /** Thread of shard 0: 0 when the main thread is the one shard, else 1. */
  readonly firstShardThread: number;
  readonly shardIncarnations: readonly number[];
}

/** The same of a node that brings kinds of durable actors. Refused where another one brings something else. */
export interface RegisterNodeWithKinds extends Omit<RegisterNode, 'kind'> {
  readonly kind: 'register-node-with-kinds';
  readonly kinds: readonly ActorKind[];
}

/** The same of a node that is no disk node. A role is kept for as long as the node is not removed. */
export interface RegisterNodeAs extends Omit<RegisterNodeWithKinds, 'kind'> {
  readonly kind: 'register-node-as';
  readonly role: NodeRole;
}

export interface UnfenceNode {
  readonly kind: 'unfence-node';
  readonly node: number;
  readonly incarnation: number;
}

/** The node is dead or unreachable: one record re-elects every log that it leads. */
export interface FenceNode {
  readonly kind: 'fence-node';
  readonly node: number;
  readonly incarnation: number;
}

/** The node is about to stop: others take over what it leads, where others can. */
export interface ResignNode {
  readonly kind: 'resign-node';
  readonly node: number;
  readonly incarnation: number;
}

/**
 * Takes a node out that hosts nothing, for good: its data never registers again. It is fenced, or was told to leave.
 */
export interface DeregisterNode {
  readonly kind: 'deregister-node';
  readonly node: number;
  readonly incarnation: number;
}

/**
 * The node is to be emptied: others lead its logs, where others are in sync, it gets no replica any more, and the
 * controller moves those that it has. Refused where a log would have too few nodes left, or nobody else is in sync.
 * `isLeaving` false: it stays.
 */
export interface DrainNode {
  readonly kind: 'drain-node';
  readonly node: number;
  readonly incarnation: number;
  readonly isLeaving: boolean;
  /** Its leaders are not replaced at once, but handed over one by one: see `move-leaders`. */
  readonly handsOver?: true;
}

/** A worker of a live process started again: the grants of its predecessor are over. */
export interface RestartShard {
  readonly kind: 'restart-shard';
  readonly node: number;
  readonly incarnation: number;
  readonly shard: number;
  readonly shardIncarnation: number;
}

export interface CreateDestinationCommand {
  readonly kind: 'create-destination';
  readonly vhost: string;
  readonly name: string;
  readonly topicId: Uint8Array;
  readonly logKind: LogKind;
  /** -1: the default of the cluster. */
  readonly partitions: number;
  readonly replicationFactor: number;
  /** -1: max(1, min(2, RF - 1)); for `quorum` a majority. */
  readonly minInsync: number;
  /** `auto`: `all` for partitions, `quorum` for groups with three replicas or more. */
  readonly mode: LogMode | 'auto';
  readonly isInternal: boolean;
  readonly config: readonly (readonly [string, string])[];
  /** Replicas by partition, or empty for placement by the cluster. */
  readonly assignments: readonly (readonly number[])[];
}

/** A durable actor of an application; one that is there already is as good. */
export interface CreateActor {
  readonly kind: 'create-actor';
  readonly actor: ActorKind;
  readonly name: string;
  readonly topicId: Uint8Array;
  /** -1: the default of the cluster, or as many nodes as bring the kind. */
  readonly replicationFactor: number;
  /** -1: a majority of three replicas or more. Else as `min.insync.replicas` of a topic. */
  readonly minInsync: number;
}

export interface DeleteActor {
  readonly kind: 'delete-actor';
  readonly actorKind: string;
  readonly name: string;
  /** Refused as `stale-log` unless it still has this log; 0: whichever it has. */
  readonly logId: number;
}

export interface DeleteDestination {
  readonly kind: 'delete-destination';
  readonly vhost: string;
  readonly name: string;
}

export interface AddPartitions {
  readonly kind: 'add-partitions';
  readonly vhost: string;
  readonly name: string;
  /** The new total. */
  readonly partitions: number;
  /** Replicas of the added ones, or empty. */
  readonly assignments: readonly (readonly number[])[];
}

/** `replace`: the entries are the whole config. Else they change it; undefined removes a key. */
export interface ConfigureDestination {
  readonly kind: 'configure-destination';
  readonly vhost: string;
  readonly name: string;
  readonly replace: boolean;
  readonly entries: readonly (readonly [string, string | undefined])[];
}

/**
 * Other replicas for one log, in order of preference (KIP-455). They copy the log, and those that are not named leave
 * when all named ones are in the safe set. An empty list ends the reassignment that goes on: back to what was.
 */
export interface ReassignLog {
  readonly kind: 'reassign-log';
  readonly logId: number;
  readonly replicas: readonly number[];
  /** Refused as `stale-partition-epoch` unless the log is at it; -1: wherever it is. */
  readonly partitionEpoch: number;
}

/** The same, and a leader that is to leave is not replaced at the last step, but hands over: see `move-leaders`. */
export interface MoveLog extends Omit<ReassignLog, 'kind'> {
  readonly kind: 'move-log';
}

/** The leader's proposal; it names its grant and the record it has seen. */
export interface ProposeSafeSet {
  readonly kind: 'propose-safe-set';
  readonly logId: number;
  readonly node: number;
  readonly epoch: number;
  readonly partitionEpoch: number;
  readonly safeSet: readonly SafeMember[];
  readonly isr: readonly number[];
}

/** The first replica takes its logs back, where it is in sync. Of earlier versions: leaders are handed over now. */
export interface PreferLeaders {
  readonly kind: 'prefer-leaders';
  readonly logIds: readonly number[];
}

/**
 * The first replica of each of these logs is to have it back, where it is in sync: the leader hands over when the other
 * one has everything. Changes nothing itself, and says by `leader-wanted` who is to do what.
 */
export interface ReturnLeaders {
  readonly kind: 'return-leaders';
  readonly logIds: readonly number[];
}

/** One log of `move-leaders`: from this epoch, at this partition epoch, to a replica that is in sync. */
export interface LeaderMove {
  readonly logId: number;
  readonly epoch: number;
  readonly partitionEpoch: number;
  readonly to: number;
}

/**
 * The leader of these logs has held its appends until the others had everything: they lead from now on. A log that has
 * changed since, or whose next leader is not in sync, is passed over.
 */
export interface MoveLeaders {
  readonly kind: 'move-leaders';
  readonly node: number;
  readonly moves: readonly LeaderMove[];
}

/** A leader gives up one log (its own disk stalls): somebody else, if anybody can. */
export interface ResignLog {
  readonly kind: 'resign-log';
  readonly logId: number;
  readonly node: number;
  readonly epoch: number;
}

/**
 * A replica finds that bytes are damaged which it had acknowledged: what it says it holds of these logs counts no more, in
 * a new epoch. Logs of whose set nobody else is are passed over: their last word is an operator's.
 */
export interface LoseReplicas {
  readonly kind: 'lose-replicas';
  readonly node: number;
  readonly incarnation: number;
  readonly logIds: readonly number[];
}

/**
 * An operator lets a log that nobody can lead without loss be led all the same, by the replica that reaches furthest.
 * Once: where it has a leader again, with loss or without, its destination's rule holds as before.
 */
export interface AllowUnclean {
  readonly kind: 'allow-unclean';
  readonly logId: number;
  /** Of the log when it was decided. */
  readonly epoch: number;
}

/** Data may be lost: `node` outside the safe set leads. `isForced`: an operator insists. */
export interface ElectUnclean {
  readonly kind: 'elect-unclean';
  readonly logId: number;
  readonly node: number;
  /** Of the log when it was decided. */
  readonly epoch: number;
  readonly isForced: boolean;
}

/** A small value of another room; undefined removes it. */
export interface SetSetting {
  readonly kind: 'set-setting';
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

export type MetadataCommand =
  | InitCluster
  | RegisterNode
  | RegisterNodeWithKinds
  | RegisterNodeAs
  | UnfenceNode
  | FenceNode
  | ResignNode
  | DeregisterNode
  | DrainNode
  | RestartShard
  | CreateDestinationCommand
  | CreateActor
  | DeleteActor
  | DeleteDestination
  | AddPartitions
  | ConfigureDestination
  | ReassignLog
  | MoveLog
  | ProposeSafeSet
  | PreferLeaders
  | ReturnLeaders
  | MoveLeaders
  | ResignLog
  | LoseReplicas
  | ElectUnclean
  | AllowUnclean
  | SetSetting
  | PolicyCommand
  | AccessCommand
  | RoutingCommand;

export type RefusalCode =
  | RoutingRefusalCode
  | PolicyRefusalCode
  | AccessRefusalCode
  | 'already-initialized'
  | 'unknown-node'
  | 'stale-incarnation'
  /** The boot counter went back: this data is an old copy. Register with a new incarnation. */
  | 'rolled-back'
  /** Something acknowledged under this incarnation may be lost, or it is below the known one. Register with a higher one. */
  | 'new-incarnation-needed'
  | 'node-in-use'
  /** A node that was taken out of the cluster came back with its data. */
  | 'node-removed'
  | 'too-few-nodes'
  /** A node comes back in another role than the one that it is known in. */
  | 'other-role'
  /** Those that vote would be two, or their witnesses not fewer than the others. */
  | 'too-few-voters'
  | 'last-in-sync'
  | 'no-reassignment'
  | 'invalid-registration'
  /** Kinds of actors: the same name in a version that is not older; an older one that is live; replicas without it. */
  | 'other-kind'
  | 'older-kind-live'
  | 'missing-kind'
  | 'too-many'
  | 'exists'
  | 'unknown-destination'
  | 'invalid-name'
  | 'invalid-partitions'
  | 'invalid-replication-factor'
  | 'invalid-assignment'
  | 'invalid-config'
  | 'unknown-log'
  | 'stale-epoch'
  | 'stale-partition-epoch'
  | 'invalid-safe-set'
  | 'no-candidate'
  | 'unclean-not-allowed'
  | 'malformed';

export type Outcome =
  | { readonly kind: 'ok' }
  | {
      readonly kind: 'refused';
      readonly code: RefusalCode;
      readonly message: string;
      /** Of `inequivalent`. */
      readonly difference?: Difference;
    };

/** What a command changed, so that shells need not compare images. In order of cause. */
export type MetadataChange =
  | RoutingChange
  | PolicyChange
  | AccessChange
  | { readonly kind: 'cluster-initialized' }
  | { readonly kind: 'node-changed'; readonly node: number }
  | { readonly kind: 'node-removed'; readonly node: number }
  | {
      readonly kind: 'destination-created';
      readonly vhost: string;
      readonly name: string;
      readonly isInternal: boolean;
    }
  | { readonly kind: 'destination-changed'; readonly vhost: string; readonly name: string }
  | { readonly kind: 'destination-deleted'; readonly vhost: string; readonly name: string }
  | { readonly kind: 'log-created'; readonly logId: number }
  /** Leader, epoch, replicas, safe set, ISR or rules. */
  | { readonly kind: 'log-changed'; readonly logId: number }
  /** Beside `log-changed`: its leader gave `epoch` to another replica that held all of its log. */
  | { readonly kind: 'leader-moved'; readonly logId: number; readonly epoch: number }
  /** Nothing has changed: the leader of `epoch` is asked to hand over to `target`. */
  | {
      readonly kind: 'leader-wanted';
      readonly logId: number;
      readonly epoch: number;
      readonly target: number;
    }
  /** The committed order to delete data: `replicas` are the nodes that may hold some. */
  | {
      readonly kind: 'log-deleted';
      readonly logId: number;
      readonly replicas: readonly number[];
    }
  | { readonly kind: 'setting-changed'; readonly key: string };
