// The JSON of the admin HTTP API, as the command line and scripts see it. Types only. Names are
// camelCase, numbers are plain numbers, bytes are text: UTF-8 where they are valid UTF-8, else base64
// with the `...Base64` name. Fields may be added; none changes its meaning.
//
//   GET  /api/status                                -> ApiStatus
//   GET  /api/destinations                          -> ApiDestinations
//   GET  /api/counters                              -> numbers by name
//   GET  /api/actors?node=&sampleMs=                -> ApiActors
//   GET  /api/inspection?node=&sampleMs=            -> ApiInspection
//   GET  /api/cluster                               -> ApiCluster
//   POST /api/cluster/reassign                      ApiReassign -> ApiCluster
//   POST /api/cluster/nodes/N/drain                 { cancel? } -> ApiCluster
//   POST /api/cluster/nodes/N/remove                -> ApiCluster
//   POST /api/cluster/rebalance                     -> ApiCluster
//   POST /api/cluster/settings                      { name, value } -> ApiCluster; null: the default
//   GET  /api/threads/N?node=                       -> ApiThreadState, of the answering node
//   POST /api/threads/N/settings?node=              ThreadSettings -> SettingsInForce
//   POST /api/threads/N/profile?node=&seconds=      -> a .cpuprofile
//   POST /api/threads/N/heap-snapshot?node=         -> a .heapsnapshot
//   POST /api/destinations/NAME/messages            ApiProduce -> ApiProduced
//   GET, PUT, PATCH /api/topics/NAME                ApiTopicWish -> ApiTopic
//   GET  /api/queues, /api/queues/VHOST             -> a list of ApiQueue
//   GET  /api/queues/VHOST/NAME                     -> ApiQueue
//   GET  /api/whoami                                -> name and tags of the user that the request is from
//   GET  /api/users, /api/vhosts, /api/permissions  -> lists of ApiUser, ApiVhost, ApiPermission
//   GET, PUT, DELETE /api/users/NAME, /api/vhosts/NAME, /api/permissions/VHOST/USER
//   GET  /api/users/NAME/permissions, /api/vhosts/NAME/permissions
//   GET  /api/policies, /api/policies/VHOST         -> a list of ApiPolicy
//   GET, PUT, DELETE /api/policies/VHOST/NAME       ApiPolicy, as RabbitMQ's management API has it, its errors too
//   GET  /api/destinations/NAME/messages?partition=&from=&max=&waitMs=   -> ApiMessages
//   GET  /api/destinations/NAME/messages?key=|tag=|id=&since=&until=&order=&max=&from=   -> ApiMessages
//
// Errors: status 400 (bad request), 403 (a page of another origin), 404 (unknown destination, partition or thread),
// 409 (a change that is refused: CLUSTER_...), 413 (too large), 421 (a Host that is not the node's), 500 (a bug, logged by the node), 503 (no leader,
// too few replicas, timed out, a thread that is gone), 504 (a thread that does not answer) with ApiError.

import type { Inspection } from '../actors/inspect/looks.ts';
import type { SettingsInForce, ThreadCounts } from '../actors/threads/control.ts';
import type { ThreadFacts } from '../env/threads.ts';

export interface ApiError {
  readonly error: {
    /** Stable, AREA_WHAT. */
    readonly code: string;
    readonly message: string;
  };
}

/** `disk`: votes and stores. `ram`: does not vote, and has everything in memory. `witness`: votes, and stores nothing. */
export type ApiNodeRole = 'disk' | 'ram' | 'witness';

export interface ApiNode {
  readonly id: number;
  readonly role: ApiNodeRole;
  readonly host: string;
  readonly kafkaPort: number;
  readonly amqpPort: number;
  readonly rocketmqPort: number;
  readonly httpPort: number;
  readonly pid: number;
  readonly isLive: boolean;
  /** This node leads the metadata group. */
  readonly isController: boolean;
  /** Logs that the node leads, and logs of which it has a replica that is not in sync. */
  readonly leaderCount: number;
  readonly replicaCount: number;
  readonly outOfSyncCount: number;
}

export interface ApiStatus {
  readonly clusterId: string;
  readonly version: string;
  /** The node that answered. */
  readonly nodeId: number;
  /** -1 while no metadata leader is known. */
  readonly controllerId: number;
  /**
   * `ok`: every log has a leader and all its replicas. `degraded`: replicas are missing, or the disk of the node that
   * answered is too full for publishes. `down`: a log has no leader.
   */
  readonly health: 'ok' | 'degraded' | 'down';
  readonly nodes: readonly ApiNode[];
  readonly destinationCount: number;
  readonly logCount: number;
  readonly leaderlessCount: number;
  readonly underReplicatedCount: number;
  /** Bytes that are free on the disk of the node that answered, and whether it takes no publishes for want of more. */
  readonly diskFreeBytes: number;
  readonly isDiskShort: boolean;
  readonly uptimeMs: number;
}

export interface ApiClusterNode {
  readonly id: number;
  readonly role: ApiNodeRole;
  readonly rack: string | null;
  /** Where its links are dialled, HOST:PORT. */
  readonly address: string;
  /** `draining`: its replicas go elsewhere; `drained`: it has none, and may be removed. */
  readonly state: 'live' | 'dead' | 'draining' | 'drained';
  readonly isLive: boolean;
  readonly isLeaving: boolean;
  readonly isController: boolean;
  /** Of all logs there are, those of durable actors included. */
  readonly leaderCount: number;
  /** Logs of which it is the first replica. */
  readonly preferredCount: number;
  readonly replicaCount: number;
  readonly outOfSyncCount: number;
}

export interface ApiCluster {
  readonly clusterId: string;
  readonly controllerId: number;
  readonly nodes: readonly ApiClusterNode[];
  /** Taken out for good: their data is refused. */
  readonly removedNodes: readonly number[];
  readonly reassignments: readonly {
    readonly destination: string;
    readonly partition: number;
    /** Everybody who hosts it, those that come and those that leave included. */
    readonly replicas: readonly number[];
    readonly adding: readonly number[];
    readonly removing: readonly number[];
  }[];
  /** In force, whether set, of the profile or by default. */
  readonly settings: Readonly<Record<string, number>>;
  /** Name of the defaults of settings; `default`: none. */
  readonly profile: string;
  readonly isRebalancing: boolean;
}

export interface ApiReassign {
  readonly destination: string;
  /** 0 if left out. */
  readonly partition?: number;
  /** In order of preference; null: the reassignment that goes on ends. */
  readonly replicas: readonly number[] | null;
}

export interface ApiPartition {
  readonly partition: number;
  /** Node id, or -1. */
  readonly leader: number;
  readonly epoch: number;
  readonly replicas: readonly number[];
  /** Replicas in the memory of RAM nodes that count for nothing: never in the ISR. */
  readonly observers: readonly number[];
  readonly isr: readonly number[];
  /** Nodes whose replica is quarantined: damaged, or given up after an error. The node's log says why. */
  readonly failed: readonly number[];
  readonly startOffset: number;
  /** High watermark, or -1 where the answering node does not know it. */
  readonly highWatermark: number;
  /** Log end offset of the leader, or -1. */
  readonly logEndOffset: number;
}

export interface ApiDestination {
  readonly name: string;
  readonly isInternal: boolean;
  /** `stream`: also a topic. `mirrored`: a classic queue that its policy mirrors. */
  readonly type: 'classic' | 'mirrored' | 'quorum' | 'stream';
  /** When a message counts as taken: `sync`, `replicated`, `async` or `memory`. */
  readonly durability: string;
  /** Name of the policy that it has, if one matches. */
  readonly policy: string | null;
  readonly partitions: readonly ApiPartition[];
}

/** A topic, a stream or a queue, without what changes while it is used. */
export interface ApiTopic {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly durability: string;
  readonly policy: string | null;
  /** Settings that it has of its own, under the names of Kafka's clients. */
  readonly config: Readonly<Record<string, string>>;
}

/** `silent`: its node is live and has not answered in time, or does not host it yet. */
export interface ApiReplica {
  readonly node: number;
  readonly state: 'leader' | 'in sync' | 'out of sync' | 'offline' | 'silent' | 'failed';
  readonly startOffset: number | null;
  /** As far as this replica knows of what is committed. */
  readonly highWatermark: number | null;
  readonly endOffset: number | null;
  /** Records that the leader has behind its end. */
  readonly lag: number | null;
  /**
   * Offsets from `from` to `to` that it had before an unclean election and that are no more; those below `committedTo` it
   * knew to be committed. Since the start of its node.
   */
  readonly lost: {
    readonly from: number;
    readonly committedTo: number;
    readonly to: number;
  } | null;
}

/** Of `GET /api/topics/NAME/replicas`: topics, streams and queues. */
export interface ApiReplicas {
  readonly name: string;
  readonly partitions: readonly {
    readonly partition: number;
    readonly leader: number | null;
    readonly epoch: number;
    readonly minInsync: number;
    /** In order of preference. */
    readonly assigned: readonly number[];
    readonly inSync: readonly number[];
    readonly outOfSync: readonly number[];
    /** Of the leader; null while none answers. */
    readonly highWatermark: number | null;
    readonly endOffset: number | null;
    /** Its leader was elected at the price of loss: from here on this is another history. */
    readonly uncleanFrom: number | null;
    readonly replicas: readonly ApiReplica[];
  }[];
}

/** Of POST `/api/cluster/elect`. */
export interface ApiElect {
  readonly destination: string;
  readonly partition?: number;
  /**
   * By whoever reaches furthest, whatever is lost, where nobody leads; else by the first replica, if it is in sync: the
   * leader is asked to hand over, and if that has not happened in a few seconds, may be asked again.
   */
  readonly unclean?: boolean;
}

/**
 * Of PUT, which makes a topic: what is left out is as the cluster has it. Of PATCH: `config` alone, settings that change;
 * null is back to the default.
 */
export interface ApiTopicWish {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly config?: Readonly<Record<string, string | null>>;
}

/** As RabbitMQ's management API has it, but for the notes. */
export interface ApiPolicy {
  readonly vhost: string;
  readonly name: string;
  /** A regular expression; any part of a name may match. */
  readonly pattern: string;
  /** `all`, `queues`, `classic_queues`, `quorum_queues` or `streams`. */
  readonly 'apply-to': string;
  /** The highest that matches counts; of equal ones the first by name. */
  readonly priority: number;
  readonly definition: Readonly<Record<string, unknown>>;
  /** What to know about this definition: sentences. Not of a request. */
  readonly notes: readonly string[];
}

/** As RabbitMQ's management API has it, without what is kept of the password. */
export interface ApiUser {
  readonly name: string;
  /** `administrator`, `management`. */
  readonly tags: readonly string[];
  readonly hashing_algorithm: string;
  readonly limits: Readonly<Record<string, never>>;
}

/** Of PUT: what is left out stays as it is, and of a new user it is nothing. */
export interface ApiUserWish {
  readonly password?: string;
  readonly tags?: readonly string[];
}

export interface ApiVhost {
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly tracing: boolean;
}

/** Regular expressions on names; an empty one matches none. */
export interface ApiPermission {
  readonly user: string;
  readonly vhost: string;
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** As RabbitMQ's management API has it, as far as it is known here. */
export interface ApiQueue {
  readonly name: string;
  readonly vhost: string;
  readonly type: 'classic' | 'quorum';
  readonly durable: boolean;
  readonly auto_delete: boolean;
  readonly exclusive: boolean;
  /** `down`: nobody leads it. */
  readonly state: 'running' | 'down';
  readonly policy: string | null;
  readonly effective_policy_definition: Readonly<Record<string, unknown>>;
  /** See `ApiDestination`. Not RabbitMQ's. */
  readonly durability: string;
  /** Who leads it, or would; as `n1`. */
  readonly node?: string;
  /** Of a mirrored queue: who has it beside the node that leads it, and who of these is in sync. */
  readonly slave_nodes?: readonly string[];
  readonly synchronised_slave_nodes?: readonly string[];
  /** Of a quorum queue: who leads it, or nobody; who has it; who of these is live; how often a message may come back. */
  readonly leader?: string;
  readonly members?: readonly string[];
  readonly online?: readonly string[];
  readonly delivery_limit?: number | 'unlimited';
  /** What its leader says, if it answers. */
  readonly messages?: number;
  readonly messages_ready?: number;
  readonly messages_unacknowledged?: number;
  /** Messages that came back too often and are gone, since it was made. Not RabbitMQ's. */
  readonly messages_dropped?: number;
  readonly consumers?: number;
}

/** Errors of the routes that RabbitMQ's management API has. */
export interface ApiManagementError {
  /** `bad_request`, `not_authorized`, `Object Not Found`, `Method Not Allowed` or `service_unavailable`. */
  readonly error: string;
  readonly reason: string;
}

export interface ApiDestinations {
  readonly destinations: readonly ApiDestination[];
}

/** One actor. Numbers in `perSecond` are named as what they are rates of: `handled`, or one of `counts`. */
export interface ApiActor {
  /** The last part of its path. */
  readonly name: string;
  readonly path: string;
  /** The name of its protocol: `exchange`, `log`, `amqp-connection` ... */
  readonly class: string;
  readonly state: 'new' | 'running' | 'suspended' | 'stopping' | 'stopped';
  /** Messages that wait in its mailbox, and how many may. */
  readonly depth: number;
  readonly capacity: number;
  /** Messages that it has handled since it was spawned. */
  readonly handled: number;
  readonly restarts: number;
  readonly timers: number;
  /** The most that waited when it had its turn; failures; messages dropped by its mailbox; put aside; asks it has not answered. */
  readonly depthMax: number;
  readonly failed: number;
  readonly dropped: number;
  readonly stash: number;
  readonly asksOpen: number;
  /** What it counts itself since it was spawned; of an exchange: published, routed, copies. */
  readonly counts: Readonly<Record<string, number>>;
  readonly facts: Readonly<Record<string, number | string>>;
  /** Empty if there was one look only. */
  readonly perSecond: Readonly<Record<string, number>>;
  readonly children: readonly ApiActor[];
}

export interface ApiThread {
  readonly node: number;
  readonly thread: number;
  readonly role: 'main' | 'shard' | 'main and shard';
  /** False: it did not answer in time, and nothing else is known. */
  readonly isAnswering: boolean;
  readonly turns: number;
  readonly actors: readonly ApiActor[];
  /** Actors that are not shown, by class: of a class at most 1,000 are. */
  readonly omitted: Readonly<Record<string, number>>;
}

/**
 * Every thread of every live node, or of one `node`, looked at twice, `sampleMs` apart (0 to 10,000, default
 * 1,000); 0: once, without rates.
 */
export interface ApiActors {
  readonly sampleMs: number;
  readonly threads: readonly ApiThread[];
}

export interface ApiHeader {
  readonly name: string;
  readonly value: string | null;
}

export interface ApiProduce {
  readonly key?: string | null;
  readonly value: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Without it the key decides, or chance. */
  readonly partition?: number;
}

export interface ApiProduced {
  readonly partition: number;
  readonly offset: number;
}

export interface ApiMessage {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly keyBase64?: string;
  readonly value: string | null;
  readonly valueBase64?: string;
  readonly headers: readonly ApiHeader[];
  /** Why the content is not shown: a batch that the node cannot unpack or read, as one message. */
  readonly note?: string;
}

export interface ApiMessages {
  readonly messages: readonly ApiMessage[];
  /** Where the next read of each partition that was read goes on. */
  readonly next: readonly { readonly partition: number; readonly offset: number }[];
  /** Only of a search: everything was looked through; else `next` says what is left. */
  readonly isComplete?: boolean;
  /** Only of a search, if there are any: batches whose codec no node here unpacks. What is in them is not found. */
  readonly unreadBatches?: number;
}

/**
 * Query of a search, by one of `key` (of the record, or one of RocketMQ's keys), `tag` and `id` (message id of RocketMQ
 * or AMQP). `since` and `until`: times of the messages in ms since 1970, both ends included. `order`: `newest` (default) or
 * `oldest` first. `max` messages (default 64, at most 1,000). `partition`: only this one. `from`: the `next` of the answer
 * before, as `partition:offset,...`.
 */
export interface ApiFindQuery {
  readonly key?: string;
  readonly tag?: string;
  readonly id?: string;
  readonly since?: number;
  readonly until?: number;
  readonly order?: 'newest' | 'oldest';
  readonly max?: number;
  readonly partition?: number;
  readonly from?: string;
}

/**
 * Query of a read. `from`: an offset, `earliest` or `latest`, for the one partition; without
 * `partition` all are read and `from` must be a word or a list `partition:offset,...`. `max`
 * messages in all (default 100, at most 10,000). `waitMs`: how long an empty read waits (at most
 * 30,000).
 */
export interface ApiMessagesQuery {
  readonly partition?: number;
  readonly from: string;
  readonly max?: number;
  readonly waitMs?: number;
}

/** A thread of the answering node. */
export interface ApiThreadState {
  readonly node: number;
  /** 0 is the main thread, shards begin at 1 where they have threads of their own. */
  readonly thread: number;
  readonly facts: ThreadFacts;
  readonly counts: ThreadCounts;
  readonly settings: SettingsInForce;
}

/** What the door of `system.inspect()` answers for one process, here for the nodes of the cluster. */
export type ApiInspection = Inspection;
