// One shard of a node, on whatever thread it runs: its store, the log host, and the protocol listeners'
// connections. Everything it needs of the rest of the node comes through ShardPorts.

import type { AnyDurableBehavior } from '../actors/durable/behavior.ts';
import type { AnyDurableActor } from '../actors/durable/event-sourced.ts';
import type { System } from '../actors/system.ts';
import { ShardQueues } from '../broker/access/shard-queues.ts';
import { createGroupBehavior } from '../broker/cursor/behavior.ts';
import { GROUP_DEFAULTS } from '../broker/cursor/config.ts';
import { GROUP_KIND, PARTITION_KIND } from '../broker/destination/kinds.ts';
import { LogRulesTable } from '../broker/destination/log-rules.ts';
import { createPartitionBehavior } from '../broker/destination/partition.ts';
import { streamCompaction, streamKeeping } from '../broker/destination/settings.ts';
import { type BrokerPorts, createBrokerPorts, type HostRef } from '../broker/ports.ts';
import { createQueueBehavior, QUEUE_KIND } from '../broker/view/behavior.ts';
import { QUEUE_DEFAULTS, type QueueConfig } from '../broker/view/config.ts';
import { encodeCommand, type LeaderMove } from '../cluster/metadata/index.ts';
import { MetadataChanges, type SendChange } from '../cluster/metadata-shell/changes.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import type { Keeping } from '../cluster/replica/assignment.ts';
import type { CompactionOptions } from '../cluster/replica/compactions.ts';
import { lend } from '../cluster/replica/lending.ts';
import { LogHost, spawnLogHost } from '../cluster/replica/log-host.ts';
import type { Connection } from '../env/environment.ts';
import { type GrpcCounters, noGrpcCounts } from '../env/grpc.ts';
import type { AmqpLimits } from '../protocols/amqp/limits.ts';
import type { AmqpListenerOptions } from '../protocols/amqp/listener.ts';
import type { KafkaLimits } from '../protocols/kafka/limits.ts';
import { type KafkaListener, startKafkaListener } from '../protocols/kafka/listener.ts';
import { type ListenerCounters, noListenerCounts } from '../protocols/listening/books.ts';
import type { SafeSetProposal } from '../replication/types.ts';
import type { ShardStore, ShardStoreOptions } from '../storage/api.ts';
import { openShardStore } from '../storage/store.ts';
import { ClientDoor } from './client-door.ts';
import type { LoadClients, RocketOptions } from './client-protocols.ts';
import { hostRefs } from './host-refs.ts';
import {
  knownActorMistakes,
  knownCompactionMistakes,
  knownMistakes,
  knownQueueMistakes,
  knownReadMistakes,
  viewsWithMistakes,
} from './known-mistakes.ts';
import { type ClientProtocol, SHARDS_SHORT_OF_SPACE, shardDirectory } from './shard-names.ts';
import { VERSION } from './version.ts';
import { prefixed } from './worker-boot.ts';

/** Ports of this node's listeners, named to clients that knock at the wrong door; 0: not known. */
export type ListenerPorts = { readonly [P in 'HTTP' | 'Kafka' | 'AMQP' | 'gRPC']: number };

export interface ShardConfig {
  readonly clusterId: string;
  readonly node: number;
  /** From 0 among the shards of the node. */
  readonly shard: number;
  readonly shardIncarnation: number;
  readonly ports: ListenerPorts;
  readonly autoCreate: boolean;
  readonly defaultPartitions: number;
  readonly queueReplicas?: number;
  readonly store?: Partial<ShardStoreOptions>;
  readonly queues?: Partial<QueueConfig>;
  readonly compaction?: CompactionOptions;
  readonly kafka?: Partial<KafkaLimits>;
  readonly amqp?: Partial<AmqpLimits>;
}

export interface ShardPorts extends LoadClients {
  readonly send: SendChange;
  propose(proposal: SafeSetProposal): void;
  moveLeader(move: LeaderMove): void;
  resignLog(logId: number, epoch: number): void;
  onStoreFailure(error: Error): void;
  /** Of durable actors, that this node brings. */
  readonly kinds: readonly AnyDurableActor[];
}

type AmqpDoor = ClientDoor<AmqpListenerOptions, ListenerCounters>;
type RocketDoor = ClientDoor<RocketOptions, GrpcCounters>;

export interface Shard {
  readonly host: LogHost;
  readonly kafka: KafkaListener;
  readonly amqp: AmqpDoor;
  readonly rocketmq: RocketDoor;
  /** Takes over a connection from which nothing was read. */
  accept(connection: Connection, protocol: ClientProtocol): void;
  readonly store: ShardStore;
  readonly ports: BrokerPorts;
  /** The way to or from a thread of another node was lost, and what was on it. */
  linkEnded(node: number, thread: number): void;
  counters(): Record<string, number>;
  stop(): Promise<void>;
}

function behaviors(
  system: System,
  replica: MetadataReplica,
  queues: Partial<QueueConfig> | undefined,
  actorKinds: readonly AnyDurableActor[],
): Map<string, AnyDurableBehavior> {
  const { view } = replica;
  const crc32c = system.env.crc32c.bind(system.env);
  const rules = new LogRulesTable(view);
  const partition = createPartitionBehavior({
    rulesOf: (logId) => rules.of(logId),
    views: viewsWithMistakes(system.env),
  });
  const faults = knownQueueMistakes(system.env);
  const deliveryLimitOf = (logId: number) => rules.of(logId).deliveryLimit;
  const mistakes = faults === undefined ? {} : { faults };
  const queue = { ...QUEUE_DEFAULTS, ...queues, deliveryLimitOf, ...mistakes };
  const group = createGroupBehavior({ ...GROUP_DEFAULTS, crc32c });
  const actorFaults = knownActorMistakes(system.env);
  return new Map<string, AnyDurableBehavior>([
    ...actorKinds.map((each) => [each.kind, each.withFaults(actorFaults)] as const),
    [PARTITION_KIND, partition],
    [GROUP_KIND, group],
    [QUEUE_KIND, createQueueBehavior(queue)],
  ]);
}

/** One step of retention unlinks at most so many files, and frees at most so many bytes. */
const STEP_SEGMENTS = 256;
const LOSS_TIMEOUT_MS = 5_000;
const STEP_BYTES_MAX = 1024 * 1024 * 1024;

/** Of clients' streams: queues let go of what is acknowledged, and the cluster's own logs look after themselves. */
function keepingOf({ view }: MetadataReplica, logId: number): Keeping | undefined {
  const log = view.log(logId);
  if (log === undefined || log.kind !== PARTITION_KIND) return undefined;
  const destination = view.in(log.vhost).destination(log.destination);
  if (destination === undefined || destination.isInternal) return undefined;
  const { ageMs, bytes, segmentBytes, segmentMs } = streamKeeping(destination.config);
  const stepBytes = Math.min(STEP_SEGMENTS * segmentBytes, STEP_BYTES_MAX);
  const compaction = streamCompaction(destination.config);
  return { limits: { ageMs, bytes, stepBytes }, compaction, segmentBytes, segmentMs };
}

function brokerPorts(
  system: System,
  replica: MetadataReplica,
  config: ShardConfig,
  host: LogHost,
  send: SendChange,
): {
  readonly ports: BrokerPorts;
  readonly queues: ShardQueues;
  leaderHost(logId: number): HostRef | undefined;
} {
  const { view } = replica;
  const refOf = hostRefs(system, replica);
  const leaderHost = (logId: number): HostRef | undefined => {
    const leader = view.log(logId)?.leader ?? -1;
    return leader < 0 ? undefined : refOf(leader, logId);
  };
  const queues = new ShardQueues({
    system,
    view,
    shard: config.shard,
    shardIncarnation: config.shardIncarnation,
    readFaults: knownReadMistakes(system.env),
    leaderHost,
    lend: (to, logId, offset, maxBytes) =>
      system.isHere(to.id) ? lend(host.hosted(logId), offset, maxBytes) : undefined,
    replicaHost(logId) {
      const log = view.log(logId);
      if (log?.readsFromReplicas !== true || log.leader === config.node) return undefined;
      return log.isr.includes(config.node) ? refOf(config.node, logId) : undefined;
    },
  });
  const ports = createBrokerPorts({
    view,
    queues,
    metadata: new MetadataChanges(replica.image, send, system.random.fork('metadata-changes')),
    settings: { autoCreate: config.autoCreate, defaultPartitions: config.defaultPartitions },
    logHost(logId) {
      const log = view.log(logId);
      if (log === undefined) return undefined;
      const node = log.replicas.includes(config.node) ? config.node : log.leader;
      return node < 0 ? undefined : refOf(node, logId);
    },
  });
  return { ports, queues, leaderHost };
}

/** Opens the shard's folder and spawns its actors. Rejects if the folder cannot be used. */
export async function startShard(
  system: System,
  replica: MetadataReplica,
  config: ShardConfig,
  ports: ShardPorts,
): Promise<Shard> {
  const { clusterId, node, shard, shardIncarnation } = config;
  let host: LogHost | undefined;
  const { store } = await openShardStore(system.env, {
    ...config.store,
    directory: shardDirectory(shard),
    identity: { clusterId, nodeId: node, shard },
    onSnapshotWanted: (logId) => host?.snapshotWanted(logId),
  });
  const faults = knownMistakes(system.env);
  const kinds = behaviors(system, replica, config.queues, ports.kinds);
  const directory = replica.serve({ node, shard, shardIncarnation }, faults);
  const started = new LogHost({
    system,
    node,
    shardIncarnation,
    store,
    directory,
    faults,
    log: system.log.child({ shard }),
    behaviorOf: (kind) => kinds.get(kind),
    keepingOf: (logId) => keepingOf(replica, logId),
    compaction: config.compaction,
    compactionFaults: knownCompactionMistakes(system.env),
    propose: (proposal) => ports.propose(proposal),
    moveLeader: (move) => ports.moveLeader(move),
    resignLog: (logId, epoch) => ports.resignLog(logId, epoch),
    reportLoss: (logIds) => {
      const { incarnation } = directory;
      const command = encodeCommand({ kind: 'lose-replicas', node, incarnation, logIds });
      // Whoever lost it asks again until the metadata says so.
      void ports.send(command, LOSS_TIMEOUT_MS);
    },
    onStoreFailure: (error) => ports.onStoreFailure(error),
  });
  host = started;
  spawnLogHost(started);
  const {
    ports: broker,
    queues,
    leaderHost,
  } = brokerPorts(system, replica, config, started, ports.send);
  const kafka = startKafkaListener({
    system,
    ports: broker,
    otherPorts: known(config.ports),
    ...(config.kafka === undefined ? {} : { limits: config.kafka }),
  });
  const doors: DoorParts = { system, ports: broker, config, leaderHost };
  const amqp = amqpDoor(doors, ports.amqp);
  const rocketmq = rocketDoor(doors, ports.rocketmq);
  return {
    host: started,
    kafka,
    amqp,
    rocketmq,
    store,
    ports: broker,
    linkEnded(other, thread) {
      started.linkEnded(other, thread);
      queues.linkEnded(other, thread);
      rocketmq.linkEnded(other, thread);
    },
    accept(connection, protocol) {
      const listeners = { kafka, amqp, rocketmq };
      listeners[protocol].accept(connection);
    },
    counters: () => ({
      ...countersOf(system, started, store, kafka, amqp, queues),
      ...prefixed('rocketmq', rocketmq.counters),
    }),
    async stop() {
      await rocketmq.close();
      await amqp.close();
      started.stop();
      await store.close();
    },
  };
}

/** What the doors of the clients of one shard have in common. */
interface DoorParts {
  readonly system: System;
  readonly ports: BrokerPorts;
  readonly config: ShardConfig;
  readonly leaderHost: RocketOptions['leaderHost'];
}

function amqpDoor({ system, ports, config }: DoorParts, load: LoadClients['amqp']): AmqpDoor {
  const { node, shard, shardIncarnation, queueReplicas, amqp: limits } = config;
  const log = system.log.child({ listener: 'amqp' });
  const options: AmqpListenerOptions = {
    system,
    log,
    ports,
    place: { node, shard, shardIncarnation },
    version: VERSION,
    otherPorts: known(config.ports),
    ...(queueReplicas === undefined ? {} : { queueReplicas }),
    ...(limits === undefined ? {} : { limits }),
  };
  return new ClientDoor({ name: 'AMQP', load, options, log, noCounts: noListenerCounts() });
}

function rocketDoor(
  { system, ports, config, leaderHost }: DoorParts,
  load: LoadClients['rocketmq'],
): RocketDoor {
  const { clusterId, shard, shardIncarnation } = config;
  const log = system.log.child({ listener: 'rocketmq' });
  const otherPorts = known(config.ports);
  const options: RocketOptions = {
    system,
    log,
    ports,
    clusterId,
    shard,
    shardIncarnation,
    otherPorts,
    leaderHost,
  };
  return new ClientDoor({ name: 'RocketMQ', load, options, log, noCounts: noGrpcCounts() });
}

/** Without those that are not known yet. */
function known(ports: ListenerPorts): Partial<ListenerPorts> {
  return Object.fromEntries(Object.entries(ports).filter(([, port]) => port > 0));
}

function countersOf(
  system: System,
  host: LogHost,
  store: ShardStore,
  kafka: KafkaListener,
  amqp: AmqpDoor,
  queues: ShardQueues,
): Record<string, number> {
  let left = 0;
  for (const { logId, endSeq } of store.logs()) {
    if (endSeq > 0 && host.hosted(logId) === undefined) left += 1;
  }
  // Where nothing is appended nobody else looks.
  store.lookAtSpace();
  const isShort = store.isShortOfSpace;
  const counters: Record<string, number> = {
    turns: system.turn.count,
    messages: system.turn.messages,
    [SHARDS_SHORT_OF_SPACE]: isShort ? 1 : 0,
    // Logs with frames that are not hosted: of replicas that left, or that are not opened yet.
    'logs.left': left,
  };
  for (const [name, value] of Object.entries(store.counters)) counters[`storage.${name}`] = value;
  const { compactions } = host;
  Object.assign(counters, prefixed('compaction', compactions.counters), {
    ...prefixed('needless', compactions.needless.counters),
    'compaction.waiting': compactions.waiting,
    'compaction.running': compactions.isRunning ? 1 : 0,
    'compaction.threads': system.env.crew?.threads ?? 0,
  });
  Object.assign(counters, prefixed('search', host.searches.counters));
  Object.assign(counters, prefixed('unclean', host.uncleanLosses.counters));
  for (const [name, value] of Object.entries(kafka.counters)) counters[`kafka.${name}`] = value;
  for (const [name, value] of Object.entries(amqp.counters)) counters[`amqp.${name}`] = value;
  for (const [name, value] of Object.entries(queues.counters())) counters[`queues.${name}`] = value;
  return counters;
}
