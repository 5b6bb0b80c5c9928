// The whole offer of the cluster room to its neighbours: a read-only view of the metadata on this
// thread, and the protocols of the per-shard log host and the metadata service. No classes.
import type { RefId } from '../actors/ref.ts';
import type { DiskFile } from '../env/environment.ts';
import type { Lookup } from '../records/lookups.ts';
import type {
  AccessVerb,
  LoginFault,
  PermissionRecord,
  PutUserCommand,
  UserRecord,
} from './metadata/access-types.ts';
import { DEFAULT_USER, DEFAULT_VHOST, USER_TAGS, type UserTag } from './metadata/access-types.ts';
import { APPLY_TO, type ApplyTo, type PolicyRecord } from './metadata/policy-types.ts';
import type { ComparedArgument, QueueOwner, QuorumRules } from './metadata/routing-types.ts';
import { DURABILITIES, type Durability, type NodeRole } from './metadata/types.ts';

export type {
  AccessVerb,
  ApplyTo,
  ComparedArgument,
  Durability,
  LoginFault,
  NodeRole,
  PermissionRecord,
  PolicyRecord,
  QueueOwner,
  UserRecord,
  UserTag,
};
export { APPLY_TO, DEFAULT_USER, DEFAULT_VHOST, DURABILITIES, USER_TAGS };

// ---- The metadata view ------------------------------------------------------------------------

export interface EndpointView {
  readonly host: string;
  readonly port: number;
}

export interface NodeView {
  readonly id: number;
  readonly role: NodeRole;
  readonly incarnation: number;
  /** Registered and not fenced. */
  readonly isLive: boolean;
  readonly rack: string | undefined;
  /** By shard number: which life of it is the present one. */
  readonly shardIncarnations: readonly number[];
  readonly pid: number;
  /** By listener name: 'kafka', 'http', 'link'. */
  readonly endpoints: ReadonlyMap<string, EndpointView>;
}

export interface LogView {
  readonly logId: number;
  readonly kind: string;
  readonly vhost: string;
  readonly destination: string;
  readonly partition: number;
  /** Node id of the leader, or -1 while there is none. */
  readonly leader: number;
  readonly epoch: number;
  /** Everybody who hosts the log, those that come and those that leave included. */
  readonly replicas: readonly number[];
  /** Of a reassignment that goes on. */
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  readonly isr: readonly number[];
  readonly offline: readonly number[];
  /** Replicas in the memory of RAM nodes that count for nothing, and are never in the ISR. */
  readonly observers: readonly number[];
  readonly minInsync: number;
  /** When a message counts as taken: see {@link Durability}. */
  readonly durability: Durability;
  /** Its destination lets readers near a replica read there: see `READ_FROM`. */
  readonly readsFromReplicas?: boolean;
}

export interface QueueView {
  readonly durable: boolean;
  /** As it was declared; its log says what is in force. */
  readonly durability?: Durability;
  /** Of a quorum queue, as it was declared. */
  readonly quorum?: QuorumRules;
  readonly autoDelete: boolean;
  /** Of an exclusive queue. */
  readonly owner: QueueOwner | undefined;
  /** Canonical and opaque: equal arguments are equal bytes. */
  readonly arguments: Uint8Array;
  /** Sorted by name. */
  readonly compared: readonly ComparedArgument[];
}

export interface ExchangeView {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly isInternal: boolean;
  /** Name of the exchange that gets what this one cannot route; it need not exist. */
  readonly alternate: string | undefined;
  readonly arguments: Uint8Array;
}

/** All of its fields are its identity. */
export interface BindingView {
  readonly source: string;
  /** `queue` stands for every destination. */
  readonly targetKind: 'queue' | 'exchange';
  readonly target: string;
  readonly routingKey: string;
  /** Canonical bytes of the binder's own arguments. */
  readonly arguments: Uint8Array;
  /** What headers must match, in the broker's neutral form; empty where no header counts. */
  readonly headerMatch: Uint8Array;
}

/** One step of what routing tables follow. Destinations count by name, whatever their kind. */
export type RouteChange =
  | { readonly kind: 'exchange-created'; readonly exchange: ExchangeView }
  | { readonly kind: 'exchange-deleted'; readonly name: string }
  | { readonly kind: 'binding-created'; readonly binding: BindingView }
  | { readonly kind: 'binding-deleted'; readonly binding: BindingView }
  | { readonly kind: 'queue-created'; readonly name: string }
  | { readonly kind: 'queue-deleted'; readonly name: string };

/** Logs that were made, changed or deleted. `undefined`: any may have, read the view anew. */
export type LogListener = (logIds: readonly number[] | undefined) => void;

/** Once for each vhost that they are of. Both `undefined`: everything may have changed, read the view anew. */
export type RouteListener = (
  changes: readonly RouteChange[] | undefined,
  vhost: string | undefined,
) => void;

export interface DestinationView {
  readonly name: string;
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly isInternal: boolean;
  readonly config: ReadonlyMap<string, string>;
  /** Indexed by partition number. */
  readonly logs: readonly LogView[];
  /** Of a queue; absent for a stream. */
  readonly queue?: QueueView;
  /** Name of the policy that it has. */
  readonly policy?: string;
  /** Of a quorum queue: how often a message may come back now, by its declaration and its policy; below 0: no limit. */
  readonly deliveryLimit?: number;
  /** Of a queue that its policy mirrors. */
  readonly isMirrored?: boolean;
}

/** The names of one vhost: the same name in two of them is two things. */
export interface NamesView {
  /** In name order. */
  destinations(): readonly DestinationView[];
  destination(name: string): DestinationView | undefined;
  /** Stored or built in. */
  exchange(name: string): ExchangeView | undefined;
  /** In name order, built-in ones included. */
  exchanges(): readonly ExchangeView[];
  /** In the order in which they were made. */
  bindingsFrom(source: string): readonly BindingView[];
  /** In the order in which they were made. */
  bindingsTo(kind: BindingView['targetKind'], target: string): readonly BindingView[];
}

/** Who may do what, as this thread knows it now. */
export interface AccessView {
  /** Grows with every change of users, vhosts and permissions: answers that are kept compare it. */
  readonly version: number;
  user(name: string): UserRecord | undefined;
  /** In name order. */
  users(): readonly UserRecord[];
  hasVhost(name: string): boolean;
  /** In name order, `/` included. */
  vhosts(): readonly string[];
  permission(user: string, vhost: string): PermissionRecord | undefined;
  /** Why nobody logs in so; undefined: the user does. `isLoopback`: from an address of this machine. */
  refuseLogin(user: string, password: string, isLoopback: boolean): LoginFault | undefined;
  /** In order of user, then vhost. */
  permissions(): readonly PermissionRecord[];
  /** May the user do this to what has the name there? A pattern is tried each time. */
  allows(user: string, vhost: string, verb: AccessVerb, name: string): boolean;
}

/** Names are those of `/`, which is the vhost of all protocols but AMQP; see `in`. */
export interface MetadataView extends NamesView {
  readonly clusterId: string;
  readonly nodeId: number;
  /** Node id of the metadata leader as last heard, or -1. */
  readonly controllerId: number;
  /** Index of the last applied metadata entry: caches compare it. */
  readonly version: number;
  nodes(): readonly NodeView[];
  node(id: number): NodeView | undefined;
  /** The names of a vhost, whether it is there or not. */
  in(vhost: string): NamesView;
  readonly access: AccessView;
  /** Tells that `access` has changed. */
  onAccess(handle: () => void): () => void;
  destinationById(id: Uint8Array): DestinationView | undefined;
  log(logId: number): LogView | undefined;
  onChange(handle: () => void): () => void;
  /** Tells of each log, at the cost of what changed. */
  onLogs(handle: LogListener): () => void;
  /** Grows with every change of exchanges, bindings and names of destinations: route caches compare it. */
  readonly routesVersion: number;
  /** Tells each step in order, at the cost of the step. */
  onRoutes(handle: RouteListener): () => void;
  /** Of all vhosts, in order of vhost, then name. */
  policies(): readonly PolicyRecord[];
}

// ---- The log host -----------------------------------------------------------------------------

/** Outcomes that every protocol maps to its own error words. */
export type LogResult =
  | 'ok'
  | 'not-leader'
  | 'unknown-log'
  | 'fenced-epoch'
  | 'unknown-epoch'
  | 'offset-out-of-range'
  | 'not-enough-replicas'
  | 'too-large'
  | 'corrupt'
  | 'invalid'
  | 'unsupported'
  | 'throttled'
  /** The disk of the leader is too full for what is published; it passes. */
  | 'no-space'
  | 'timed-out'
  | 'storage-error'
  | 'not-available'
  /** Taken by a leader that leads no more: what became of it is unknown. The others say that nothing was stored,
   * except `timed-out` and `storage-error`. */
  | 'leader-lost';

/** `local`, `stored`: as its destination's durability has it, on the leader's disk or committed at most. */
export type AppendLevel = 'none' | 'local' | 'committed' | 'stored';

export interface AppendInput {
  readonly logId: number;
  readonly level: AppendLevel;
  /** The epoch the client believes in, or -1. */
  readonly epoch: number;
  /** `committed` gives up waiting after this long: the outcome is then unknown ('timed-out'). */
  readonly timeoutMs: number;
  /** Chosen by the sender, returned in `appended`. */
  readonly token: number;
  readonly replyTo: RefId;
  /** One whole v2 batch, structurally checked (length, CRC, count). The sender never touches it again. */
  readonly batch: Uint8Array;
}

export interface AppendedInput {
  readonly token: number;
  readonly result: LogResult;
  readonly baseOffset: number;
  readonly startOffset: number;
  readonly leaderEpoch: number;
}

export interface FetchInput {
  readonly logId: number;
  readonly offset: number;
  readonly epoch: number;
  readonly maxBytes: number;
  /** A replica that follows the leader answers too, up to what it knows as committed; else only the leader does. */
  readonly mayBeReplica: boolean;
  readonly token: number;
  readonly replyTo: RefId;
}

/** A run of whole batches: bytes in memory, or a range of a file that stays as it is until release. */
export type FetchSlice =
  | { readonly kind: 'memory'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'file';
      readonly file: DiskFile;
      readonly position: number;
      readonly length: number;
      /** For who decodes what reading the whole range gave, before release: see storage's `FileRead`. */
      readonly isSound: (bytes: Uint8Array, count: number, error: Error | undefined) => boolean;
    };

/** Committed batches of a log that is led on the thread of whoever asks, in the log's own memory until `release`. */
export interface LentRecords {
  readonly slices: readonly Uint8Array[];
  /** Called exactly once. */
  readonly release: () => void;
}

export interface FetchedInput {
  readonly token: number;
  readonly result: LogResult;
  /** High watermark, log start, log end offset, and the leader epoch. */
  readonly committedOffset: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly slices: readonly FetchSlice[];
  /** Unpins the slices; called exactly once by the receiver. */
  readonly release: () => void;
}

/** Tells `advanced` once when the committed offset passes `offset`, or when this node is no more to be read from. */
export interface AwaitInput {
  readonly logId: number;
  readonly offset: number;
  /** As in {@link FetchInput}. */
  readonly mayBeReplica: boolean;
  readonly token: number;
  readonly replyTo: RefId;
}

export interface AdvancedInput {
  readonly token: number;
}

export interface CommandInput {
  readonly logId: number;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  readonly token: number;
  readonly replyTo: RefId;
}

export interface AnsweredInput {
  readonly token: number;
  readonly result: LogResult;
  readonly body: Uint8Array;
}

/** Offset questions about a log. Timestamps: ms, or 'earliest' | 'latest' | 'max-timestamp'. */
export type OffsetQuery =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'max-timestamp' }
  | { readonly kind: 'at-time'; readonly timestampMs: number }
  /** Where the largest epoch not above `wanted` ends (KIP-101, KIP-320). */
  | { readonly kind: 'end-of-epoch'; readonly wanted: number };

export interface OffsetInput {
  readonly logId: number;
  readonly epoch: number;
  readonly query: OffsetQuery;
  readonly token: number;
  readonly replyTo: RefId;
}

export interface LocatedInput {
  readonly token: number;
  readonly result: LogResult;
  /** -1 when there is no such offset. */
  readonly offset: number;
  readonly timestampMs: number;
  readonly epoch: number;
}

/** Makes the log start later, for ever: DeleteRecords of Kafka (KIP-107). Answered by `located` when that is committed. */
export interface TrimInput {
  readonly logId: number;
  /** The epoch the client believes in, or -1. */
  readonly epoch: number;
  /** The first offset that stays; -1: everything that is committed goes. Above the committed offset it is refused. */
  readonly offset: number;
  /** After so long the outcome is unknown (`timed-out`). */
  readonly timeoutMs: number;
  readonly token: number;
  readonly replyTo: RefId;
}

/** Which records of a log have a key, a tag or a message id. */
export interface FindInput extends Lookup {
  readonly logId: number;
  /** Records at [fromOffset, endOffset), as far as they are committed. */
  readonly fromOffset: number;
  readonly endOffset: number;
  /** Their time in ms, both ends included; -1: any. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly isNewestFirst: boolean;
  readonly max: number;
  /** Then the search ends where it is. */
  readonly timeoutMs: number;
}

export interface FoundInput {
  readonly result: LogResult;
  /** In the order asked for. Some may be of other records: whoever reads them compares. */
  readonly offsets: readonly number[];
  /** Where to go on: all below it was looked at; newest first: all from it on. */
  readonly edge: number;
  readonly isComplete: boolean;
  /** Batches that the leader cannot unpack: what is in them is not found. */
  readonly unread: number;
}

// ---- Metadata changes ------------------------------------------------------------------------

export interface CreateDestination {
  readonly name: string;
  /** -1: the default of the cluster. */
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Explicit placement by partition, or empty. */
  readonly assignments: readonly (readonly number[])[];
  readonly config: readonly (readonly [string, string])[];
  readonly isInternal: boolean;
  readonly kind: string;
  readonly validateOnly: boolean;
}

export interface ConfigureDestination {
  readonly name: string;
  /** The entries are the whole configuration; else they change it. */
  readonly replace: boolean;
  /** Without a value: back to the default. */
  readonly entries: readonly (readonly [name: string, value: string | undefined])[];
  readonly validateOnly: boolean;
}

export interface DeclareQueue extends Omit<QueueView, 'compared'> {
  readonly name: string;
  /** In any order, each name once. */
  readonly compared: readonly ComparedArgument[];
  /** The node that asks: a queue of one replica lies there. */
  readonly node: number;
  /** -1: the default of the cluster. Clamped to the live nodes, once. */
  readonly replicationFactor: number;
}

/** The first property in which a declaration and what is there differ; undefined: not given. */
export interface Difference {
  /** `type`, `durable`, `durability`, `autoDelete`, `internal`, `alternate`, or the name of an argument. */
  readonly property: string;
  readonly received: string | undefined;
  readonly current: string | undefined;
}

export type MetadataResult =
  | { readonly kind: 'ok'; readonly version: number }
  | {
      readonly kind: 'refused';
      readonly code: string;
      readonly message: string;
      /** Of `inequivalent`. */
      readonly difference?: Difference | undefined;
    }
  /** No metadata leader, or no quorum, within the time given. Outcome unknown if it was already sent. */
  | { readonly kind: 'unavailable'; readonly message: string };

/** Changes go to the metadata leader wherever it is; the promise resolves when every shard of this node has applied them. */
export interface MetadataService {
  /** The same for the names of another vhost; without it they are those of `/`. Refused as `unknown-vhost` where there is none. */
  in(vhost: string): MetadataService;
  create(what: CreateDestination, timeoutMs: number): Promise<MetadataResult>;
  remove(name: string, timeoutMs: number): Promise<MetadataResult>;
  /** Other replicas for a log, in order of preference; none: the reassignment that goes on ends. Done when it has begun. */
  reassign(logId: number, replicas: readonly number[], timeoutMs: number): Promise<MetadataResult>;
  configure(what: ConfigureDestination, timeoutMs: number): Promise<MetadataResult>;
  /**
   * The leader of each is asked to hand over to the first replica, where that is in sync; others stay as they are. Done
   * when they are asked: that it has happened shows in the view, and where it does not, it may be asked again.
   */
  preferLeaders(logIds: readonly number[], timeoutMs: number): Promise<MetadataResult>;
  /**
   * A log without a leader is led by whoever reaches furthest, whatever is lost; done when that may begin. Refused as
   * `stale-epoch` where it has a leader.
   */
  allowUnclean(logId: number, timeoutMs: number): Promise<MetadataResult>;
  /** Idempotent; `inequivalent` with the difference where something else is there under the name. */
  declareExchange(exchange: ExchangeView, timeoutMs: number): Promise<MetadataResult>;
  /** With its bindings. `ifUnused`: refused as `exchange-in-use` while it has bindings as source. */
  deleteExchange(name: string, ifUnused: boolean, timeoutMs: number): Promise<MetadataResult>;
  /** Idempotent. */
  bind(binding: BindingView, timeoutMs: number): Promise<MetadataResult>;
  /** Idempotent: a binding that is not there is as good as removed. */
  unbind(binding: BindingView, timeoutMs: number): Promise<MetadataResult>;
  /** Idempotent; `inequivalent` with the difference, `locked` by another owner, `exists` as a stream. */
  declareQueue(queue: DeclareQueue, timeoutMs: number): Promise<MetadataResult>;
  /** `logId`: refused as `stale-log` unless the queue is still this one; 0: whichever is there. */
  deleteQueue(name: string, logId: number, timeoutMs: number): Promise<MetadataResult>;
  /** The connection has ended: its exclusive queues go, in one change. */
  releaseOwner(owner: QueueOwner, timeoutMs: number): Promise<MetadataResult>;
}

/** Changes that an operator makes, not a client. */
export interface PolicyService {
  /** Makes or replaces it. Refused as `invalid-policy` with a sentence, or as `unknown-vhost`. */
  putPolicy(policy: PolicyRecord, timeoutMs: number): Promise<MetadataResult>;
  deletePolicy(vhost: string, name: string, timeoutMs: number): Promise<MetadataResult>;
}

/** Who may do what; changes that an operator makes. */
export interface AccessService {
  /** Makes or changes it: what is undefined stays. Refused as `invalid-user` with a sentence. */
  putUser(user: Omit<PutUserCommand, 'kind'>, timeoutMs: number): Promise<MetadataResult>;
  /** With its permissions. */
  deleteUser(name: string, timeoutMs: number): Promise<MetadataResult>;
  /** Idempotent. */
  putVhost(name: string, timeoutMs: number): Promise<MetadataResult>;
  /** With all that is in it. `/` is refused as `default-vhost`. */
  deleteVhost(name: string, timeoutMs: number): Promise<MetadataResult>;
  /** Makes or replaces it. Refused as `unknown-user`, `unknown-vhost`, or `invalid-permission` with a sentence. */
  putPermission(permission: PermissionRecord, timeoutMs: number): Promise<MetadataResult>;
  /** Idempotent. */
  deletePermission(user: string, vhost: string, timeoutMs: number): Promise<MetadataResult>;
}

/** What whoever runs the cluster asks for; as the others, done when every shard of this node has applied it. */
export interface ClusterOperations
  extends Pick<MetadataService, 'reassign' | 'preferLeaders' | 'allowUnclean'> {
  /** The node is to be emptied, or (`isLeaving` false) is to stay after all. */
  drainNode(node: number, isLeaving: boolean, timeoutMs: number): Promise<MetadataResult>;
  /** Takes out, for good, a node that has nothing. */
  removeNode(node: number, timeoutMs: number): Promise<MetadataResult>;
  /** Of the cluster, by name; undefined: back to the default. Refused as `invalid-config` with the reason. */
  set(name: string, value: string | undefined, timeoutMs: number): Promise<MetadataResult>;
}

/** All that can be changed. */
export interface ClusterChanges
  extends MetadataService,
    PolicyService,
    AccessService,
    ClusterOperations {}

/** What a node tells about the logs it hosts, for status pages. */
export interface LogStatus {
  readonly logId: number;
  readonly role: 'leader' | 'follower' | 'starting' | 'failed';
  readonly epoch: number;
  /** Epoch of the last frame. */
  readonly lastEpoch: number;
  readonly startOffset: number;
  readonly committedOffset: number;
  readonly endOffset: number;
  readonly endSeq: number;
  readonly committedSeq: number;
  /** Where the present epoch of a leader begins that was elected at the price of loss; -1 of others. */
  readonly uncleanFrom: number;
  /**
   * Offsets [lostFrom, lostTo) were here and are no more, since an unclean election; those below `lostCommittedTo` were
   * known to be committed. -1: none.
   */
  readonly lostFrom: number;
  readonly lostCommittedTo: number;
  readonly lostTo: number;
}

/** What the nodes that answered say of their replicas, by log. */
export interface ReplicaStatus {
  readonly leaders: ReadonlyMap<number, LogStatus>;
  /** By log and node. */
  readonly all: ReadonlyMap<number, ReadonlyMap<number, LogStatus>>;
  /** Nodes whose replica is quarantined: it threw or is damaged, and takes part in nothing. */
  readonly failed: ReadonlyMap<number, readonly number[]>;
}

export type { LogHostOps, LogRepliesOps } from './log-protocol.ts';
export { LogHostProtocol, LogRepliesProtocol } from './log-protocol.ts';
export { READ_FROM, settingsConflict } from './metadata/destination-config.ts';
export { defaultMinInsync } from './metadata/placement.ts';
export { definitionNotes } from './metadata/policy-definition.ts';
