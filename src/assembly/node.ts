// Composes one node over any Environment: links, metadata, shards, listeners, admin. Used by the process
// root, the in-process cluster, and the simulator alike. The main thread runs this; with `shards: 0` its
// one shard runs here too.

import type { AnyDurableActor } from '../actors/durable/event-sourced.ts';
import { Links } from '../actors/links/links.ts';
import { createSystem, type System } from '../actors/system.ts';
import type { Tracer } from '../actors/tracer.ts';
import type { LogClient } from '../broker/access/log-client.ts';
import type { QueueConfig } from '../broker/view/config.ts';
import type { MetadataChange, MetadataCommand } from '../cluster/metadata/commands.ts';
import { type ProposeAnswer, UNAVAILABLE } from '../cluster/metadata-shell/metadata-protocol.ts';
import { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { MetadataService } from '../cluster/metadata-shell/metadata-service.ts';
import { type Survivor, survivorOf } from '../cluster/metadata-shell/survivor.ts';
import { FOUNDING_INCARNATION, NODE_FILE } from '../cluster/node-file.ts';
import type { CompactionOptions } from '../cluster/replica/compactions.ts';
import type { Connection, Environment } from '../env/environment.ts';
import type { HttpServer } from '../env/http.ts';
import { configurationOf, RAFT_DEFAULTS } from '../raft/index.ts';
import type { ShardStore, ShardStoreOptions } from '../storage/api.ts';
import { openShardStore } from '../storage/store.ts';
import { answerNewcomer, METADATA_FORMATS } from './admission.ts';
import type { LoadClients } from './client-protocols.ts';
import { knownControllerMistakes, knownRaftMistakes, knownRole } from './controller-mistakes.ts';
import { DurableActorsOfCluster, type ReplicatedActors } from './durable-actors.ts';
import { DurableCommands } from './durable-commands.ts';
import { kindOf } from './durable-kinds.ts';
import { Fences } from './fences.ts';
import { foundingGroup } from './founding.ts';
import { hostRefs } from './host-refs.ts';
import {
  forgetPast,
  META,
  type NodeIdentity,
  openIdentity,
  takeFolder,
  writeIdentity,
} from './identity.ts';
import { membershipOf } from './joining.ts';
import { hostsOf, Listeners } from './listeners.ts';
import { Members, type Remembered } from './members.ts';
import { Neighbours } from './neighbours.ts';
import { nodeAdmin } from './node-admin.ts';
import {
  type NodeAddress,
  type NodeConfig,
  type NodeEvent,
  refuseConfig,
  refuseFounding,
  roleOf,
} from './node-config.ts';
import {
  MetadataLostError,
  NodeConfigError,
  RemovedError,
  RolledBackError,
  RunsTwiceError,
} from './node-errors.ts';
import { pastOf } from './past.ts';
import { planTeller } from './plan-tellers.ts';
import { ImageProbe, type NodeProbe, type ProbedNode } from './probe.ts';
import { PROTOCOLS } from './protocols.ts';
import { ReadyCheck } from './ready-check.ts';
import { Registration } from './registration.ts';
import type { MakeShards, Shards } from './shards.ts';
import { DEFAULT_TIMING, type Timing } from './timing.ts';
import { VERSION } from './version.ts';
import { watchLinks } from './watch-links.ts';
import { Watcher } from './watcher.ts';
import { prefixed } from './worker-boot.ts';

/** Without `rocketmq` the node has no listener for RocketMQ. */
export interface NodeParts extends LoadClients {
  /** On this thread (`localShards`) or on worker threads (`workerShards`); it must fit `shards`. */
  readonly makeShards: MakeShards;
  /** Without it the node has no HTTP listener. */
  readonly http?: HttpServer;
  readonly timing?: Partial<Timing>;
  readonly isStrict?: boolean;
  /** Sees who waits for whom: for simulations. */
  readonly tracer?: Tracer;
  /** Sees what changes in the metadata: for simulations. */
  readonly onMetadata?: (changes: readonly MetadataChange[]) => void;
  readonly shardStore?: Pick<
    ShardStoreOptions,
    | 'walFileBytesMin'
    | 'slabBytesMax'
    | 'checkpointBytes'
    | 'scrubIntervalMs'
    | 'scrubBytesPerSecond'
  >;
  /** Bounds of queues that are not the usual ones. */
  readonly queues?: Partial<QueueConfig>;
  /** Pace and bounds of compaction that are not the usual ones. */
  readonly compaction?: CompactionOptions;
  /** Counters of the environment (sockets, sendfile) for the admin API. */
  readonly counters?: () => Readonly<Record<string, number>>;
  readonly autoCreate?: boolean;
  /** Kinds of durable actors that the application brings; what `durableKinds` of the configuration names. */
  readonly kinds?: readonly AnyDurableActor[];
}

const META_SHARD = 255;
const RAFT_LOG_ID = 1;
const SURVEY_MS = 500;

class Node implements ProbedNode {
  readonly #env: Environment;
  readonly #config: NodeConfig;
  readonly #parts: NodeParts;
  readonly #timing: Timing;
  readonly #folder: { release(): void };
  #identity: NodeIdentity;
  readonly #system: System;
  readonly #links: Links;
  readonly #replica: MetadataReplica;
  readonly #imageProbe: ImageProbe;
  #metaStore: ShardStore | undefined;
  #metadata: MetadataService | undefined;
  #shards: Shards | undefined;
  #registration: Registration | undefined;
  readonly #watcher: Watcher;
  readonly #fences: Fences;
  readonly #members: Members;
  readonly #neighbours: Neighbours;
  readonly #commands: DurableCommands;
  readonly durable: ReplicatedActors;
  readonly #listeners = new Listeners();
  readonly #startedAtMs: number;
  readonly #events: NodeEvent[] = [];
  #handle: ((event: NodeEvent) => void) | undefined;
  #isStopping = false;
  #hasFailed = false;

  constructor(env: Environment, config: NodeConfig, parts: NodeParts, introduced?: Remembered) {
    this.#env = env;
    this.#config = config;
    this.#parts = parts;
    this.#timing = { ...DEFAULT_TIMING, ...parts.timing };
    this.#startedAtMs = env.clock.monotonicMs();
    this.#members = new Members(env, config, introduced);
    this.#folder = takeFolder(env, config.nodeId);
    this.#identity = this.#whoWeAre();
    this.#system = createSystem(env, {
      name: `node-${config.nodeId}`,
      node: config.nodeId,
      incarnation: 1 + env.random.below(0x7fff_fffe),
      thread: 0,
      threadCount: config.shards + 1,
      strict: parts.isStrict ?? false,
      ...(parts.tracer === undefined ? {} : { tracer: parts.tracer }),
      protocols: PROTOCOLS,
    });
    this.#links = new Links(this.#system, {
      clusterId: config.clusterId,
      token: config.token,
    });
    for (const { id, host, linkPort } of config.nodes) {
      if (id !== config.nodeId) this.#links.setAddress(id, { host, port: linkPort });
    }
    this.#links.onRunsTwice = (node) => this.#fail(new RunsTwiceError(config.nodeId, node));
    this.#replica = new MetadataReplica(config.nodeId);
    this.#imageProbe = new ImageProbe(this.#replica);
    this.#fences = new Fences(this.#replica, this.#links);
    const { image } = this.#replica;
    this.#neighbours = new Neighbours(image, config.nodeId, this.#links, this.#members.remembered);
    this.#watcher = new Watcher(this.#replica.image, (event) => this.#tell(event));
    const { view } = this.#replica;
    const refOf = hostRefs(this.#system, this.#replica);
    this.#commands = new DurableCommands({
      system: this.#system,
      view,
      leaderHost: (logId) => {
        const leader = view.log(logId)?.leader ?? -1;
        return leader < 0 ? undefined : refOf(leader, logId);
      },
    });
    this.durable = new DurableActorsOfCluster({
      system: this.#system,
      replica: this.#replica,
      change: (command, timeoutMs) => this.#change(command, timeoutMs),
      kinds: this.#kinds,
      commands: this.#commands,
    });
  }

  #whoWeAre(): NodeIdentity {
    const { clusterId, nodeId, isFounding } = this.#config;
    try {
      // First whom to ask: a folder that knows its name and nobody else would never find the cluster again.
      if (!this.#env.disk.exists(NODE_FILE)) {
        const fault = refuseFounding(this.#config);
        if (fault !== undefined) throw new NodeConfigError(fault);
        this.#members.keepIntroduced();
      }
      const role = roleOf(this.#config);
      const identity = openIdentity(this.#env, clusterId, nodeId, isFounding ?? false, role);
      this.#members.keepIntroduced();
      return identity;
    } catch (error) {
      this.#folder.release();
      throw error;
    }
  }

  get #kinds(): readonly AnyDurableActor[] {
    return this.#parts.kinds ?? [];
  }

  async #change(command: MetadataCommand, timeoutMs: number): Promise<ProposeAnswer> {
    return this.#metadata?.changeCommand(command, timeoutMs) ?? UNAVAILABLE;
  }

  onEvent(handle: (event: NodeEvent) => void): void {
    this.#handle = handle;
    for (const event of this.#events.splice(0)) handle(event);
  }

  probe(): NodeProbe {
    return {
      replicas: this.#shards?.probe?.() ?? [],
      metadata: this.#imageProbe.look(),
      life: this.#shards?.incarnations()[0] ?? 0,
      isSettledMember: this.#metadata?.seat.isSettled() ?? false,
      group: this.#metadata?.raft.look(),
      counters: () => this.#shards?.counters() ?? {},
      operations: this.#shards?.changes,
      ...this.#imageProbe.questions,
    };
  }

  get changes(): Shards['changes'] | undefined {
    return this.#shards?.changes;
  }

  #tell(event: NodeEvent): void {
    if (this.#handle === undefined) this.#events.push(event);
    else this.#handle(event);
  }

  async start(): Promise<void> {
    const { nodeId } = this.#config;
    const address = this.#config.nodes.find((node) => node.id === nodeId)!;
    const link = await this.#listen(address.linkPort, [address.host], (connection) =>
      this.#links.accept(connection),
    );
    this.#links.listensAt = { host: address.host, port: link };
    const metadata = await this.#startMetadata();
    const shards = this.#makeShards(metadata, address);
    this.#shards = shards;
    await shards.start();
    const kafka = await this.#listen(address.kafkaPort, hostsOf(this.#config.host), (connection) =>
      shards.accept(connection, 'kafka'),
    );
    const amqp = await this.#listen(address.amqpPort, hostsOf(this.#config.host), (connection) =>
      shards.accept(connection, 'amqp'),
    );
    const rocketmq = await this.#listenForRocket(shards, address.rocketmqPort);
    const http = await this.#startAdmin(shards, address.httpPort);
    this.#tell({ event: 'listening', ports: { kafka, amqp, rocketmq, http, link } });
    watchLinks(this.#links, (node, thread) => this.#commands.linkEnded(node, thread));
    await metadata.start();
    if (this.#identity.incarnation !== FOUNDING_INCARNATION) {
      // A folder that was lost must not vote from memory: it comes as a newcomer, until it is a voter.
      metadata.join(() => this.#members.others()).catch((error: unknown) => this.#fail(error));
    }
    this.#registration = new Registration({
      system: this.#system,
      metadata,
      replica: this.#replica,
      identity: this.#identity,
      role: knownRole(this.#env, this.#identity.role),
      pid: this.#env.facts?.pid ?? 0,
      endpoints: [
        { listener: 'amqp', host: this.#advertised(), port: amqp },
        { listener: 'http', host: this.#advertised(), port: http },
        { listener: 'kafka', host: this.#advertised(), port: kafka },
        { listener: 'link', host: address.host, port: link },
        // Under this name routes look for it.
        ...(rocketmq === 0
          ? []
          : [{ listener: 'rocketmq-grpc', host: this.#advertised(), port: rocketmq }]),
      ],
      founders: this.#members.ids(),
      shards,
      changes: shards.changes,
      kinds: this.#kinds.map(kindOf),
      onTelling: () => this.#telling(),
      onRegistered: () => {
        // Whoever registers later does so at a higher version: lives of this node have an order.
        this.#commands.known({ clientId: nodeId, life: this.#replica.image.version });
      },
      onRenamed: (dataIncarnation) => this.#renamed(dataIncarnation),
      onForgotten: (known) => this.#forgotten(known, false),
      onRemoved: () => this.#removed(),
      rack: this.#config.rack,
      profile: this.#config.profile,
      onFailed: (error) => this.#fail(error),
    });
    this.#registration.start();
    this.#checkReady();
  }

  /** Written before metadata can know of it. */
  #telling(): void {
    const { toldBoot, bootCounter, incarnation } = this.#identity;
    if (toldBoot === bootCounter) return;
    this.#identity = { ...this.#identity, toldBoot: bootCounter, toldAs: incarnation };
    writeIdentity(this.#env, this.#identity, false);
  }

  /** Written before metadata knows it: after a crash in between the data is new again, not old. */
  #renamed(dataIncarnation: number): void {
    this.#identity = { ...this.#identity, dataIncarnation };
    writeIdentity(this.#env, this.#identity, false);
  }

  /** Nothing more is said under the old name: this life ends, and the next one comes as a newcomer. */
  #forgotten(knownIncarnation: number, isLost: boolean): void {
    this.#metadata?.stop();
    this.#metaStore?.abandon();
    this.#metaStore = undefined;
    try {
      this.#identity = forgetPast(this.#env, this.#identity, knownIncarnation);
      const [id, { root }] = [this.#config.nodeId, this.#env.disk];
      this.#fail(isLost ? new MetadataLostError(id, root, false) : new RolledBackError(id, root));
    } catch (error) {
      this.#fail(error);
    }
  }

  #removed(): void {
    this.#metadata?.stop();
    this.#fail(new RemovedError(this.#config.nodeId, this.#env.disk.root));
  }

  #advertised(): string {
    const { host, nodeId, nodes } = this.#config;
    if (host === 'localhost') return '127.0.0.1';
    // No address at all for who is elsewhere: the one that the other nodes dial.
    const isAny = host === '0.0.0.0' || host === '::';
    return isAny ? (nodes.find((node) => node.id === nodeId)?.host ?? host) : host;
  }

  // ---- Parts --------------------------------------------------------------------------------------

  async #startMetadata(): Promise<MetadataService> {
    const { clusterId, nodeId } = this.#config;
    const { store } = await openShardStore(this.#env, {
      ...this.#storeOptions(),
      directory: META,
      identity: { clusterId, nodeId, shard: META_SHARD },
      onSnapshotWanted: () => this.#metadata?.raft.stateWanted(),
    });
    this.#metaStore = store;
    store.onFailure = (error) => this.#fail(error);
    const stored = store.log(RAFT_LOG_ID) ?? store.createLog(RAFT_LOG_ID, { durability: 'sync' });
    const isFounder = this.#identity.incarnation === FOUNDING_INCARNATION;
    const founders = foundingGroup(this.#config.nodes);
    const { raft, controller, heartbeatMs } = this.#timing;
    const metadata = new MetadataService({
      system: this.#system,
      log: this.#env.log.child({ part: 'metadata' }),
      node: nodeId,
      role: this.#identity.role,
      incarnation: this.#identity.incarnation,
      raft: { ...RAFT_DEFAULTS, ...raft, ...knownRaftMistakes(this.#env) },
      bootstrap: isFounder ? founders : configurationOf([]),
      stored,
      replica: this.#replica,
      controller: { ...controller, ...knownControllerMistakes(this.#env) },
      heartbeatMs,
      ...pastOf({
        identity: this.#identity,
        stored,
        others: this.#members.others(),
        root: this.#env.disk.root,
        onForgotten: ({ incarnation, isRemoved }, isLost) => {
          if (isRemoved === true) this.#removed();
          else this.#forgotten(incarnation, isLost);
        },
      }),
      shardThreads: Array.from({ length: this.#config.shards }, (_, index) => index + 1),
      survey: (logId, nodes, answer) => this.#survey(logId, nodes, answer),
      planMoves: planTeller(this.#system, this.#replica),
      onChanges: (changes) => this.#changed(changes),
      onLeadership: () => this.#registration?.changed(),
      onFatal: (error) => this.#fail(error),
    });
    this.#metadata = metadata;
    watchLinks(this.#links, (id, thread) => {
      if (thread === 0) metadata.disconnected(id);
    });
    this.#links.onIntroduction = (request) =>
      answerNewcomer(request, {
        image: this.#replica.image,
        formats: METADATA_FORMATS,
        version: VERSION,
        hearsLeader: metadata.raft.hearsLeader || metadata.raft.isLeader,
      });
    store.onDurable = () => metadata.raft.durable();
    this.#system.turn.onPhase('durable', () => store.startGroup());
    return metadata;
  }

  #storeOptions(): NonNullable<NodeParts['shardStore']> {
    const { scrubIntervalMs, scrubBytesPerSecond } = this.#config;
    return {
      ...(scrubIntervalMs === undefined ? {} : { scrubIntervalMs }),
      ...(scrubBytesPerSecond === undefined ? {} : { scrubBytesPerSecond }),
      ...this.#parts.shardStore,
    };
  }

  #survey(logId: number, nodes: readonly number[], answer: (survivor: Survivor) => void): void {
    const refOf = hostRefs(this.#system, this.#replica);
    for (const node of nodes) {
      const host = refOf(node, logId);
      host
        ?.ask('status', undefined, { timeoutMs: SURVEY_MS })
        .then((statuses) => {
          const survivor = survivorOf(node, logId, statuses);
          if (survivor !== undefined) answer(survivor);
        })
        .catch(() => this.#env.log.debug('a survivor did not answer', { logId, node }));
    }
  }

  #changed(changes: readonly MetadataChange[]): void {
    this.#parts.onMetadata?.(changes);
    this.#watcher.changed(changes, this.#metadata?.raft.isLeader ?? false);
    this.#fences.look();
    this.#neighbours.look();
    this.#members.changed(this.#replica.image);
    this.#registration?.changed();
  }

  #makeShards(metadata: MetadataService, address: NodeAddress): Shards {
    const { httpPort, kafkaPort, amqpPort, rocketmqPort } = address;
    return this.#parts.makeShards({
      system: this.#system,
      env: this.#env,
      links: this.#links,
      replica: this.#replica,
      metadata,
      config: this.#config,
      ports: { HTTP: httpPort, Kafka: kafkaPort, AMQP: amqpPort, gRPC: rocketmqPort },
      autoCreate: this.#parts.autoCreate ?? true,
      store: this.#storeOptions(),
      queues: this.#parts.queues ?? {},
      compaction: this.#parts.compaction ?? {},
      clients: { amqp: this.#parts.amqp, rocketmq: this.#parts.rocketmq },
      kinds: this.#kinds,
      remembered: () => this.#members.remembered,
      onRestarted: () => this.#registration?.changed(),
      onFailed: (error: Error) => this.#fail(error),
      onShardUp: () => this.#registration?.changed(),
    });
  }

  /** 0 where there is nothing to serve it with. */
  async #listenForRocket(shards: Shards, port: number): Promise<number> {
    if (this.#parts.rocketmq === undefined) return 0;
    return this.#listen(port, hostsOf(this.#config.host), (connection) =>
      shards.accept(connection, 'rocketmq'),
    );
  }

  async #startAdmin(shards: Shards, port: number): Promise<number> {
    const { http } = this.#parts;
    if (http === undefined) return 0;
    const handler = nodeAdmin({
      system: this.#system,
      replica: this.#replica,
      shards,
      shardCount: this.#config.shards,
      mayCreate: this.#parts.autoCreate !== false,
      counters: () => ({
        ...this.#parts.counters?.(),
        ...prefixed('main.links', this.#links.counters),
      }),
      uptimeMs: () => this.#env.clock.monotonicMs() - this.#startedAtMs,
      watch: (client) => this.#watchLinks(client),
    });
    return this.#listeners.listen(port, hostsOf(this.#config.host), (at) =>
      http.serve(at, handler),
    );
  }

  #listen(
    port: number,
    hosts: readonly string[],
    accept: (connection: Connection) => void,
  ): Promise<number> {
    return this.#listeners.listen(port, hosts, (at) => this.#env.net.listen(at, accept));
  }

  #watchLinks(client: LogClient): void {
    watchLinks(this.#links, (node, thread) => client.linkEnded(node, thread));
  }

  #checkReady(): void {
    const check = new ReadyCheck({
      system: this.#system,
      replica: this.#replica,
      nodes: this.#config.nodes.map((node) => node.id),
      refOf: hostRefs(this.#system, this.#replica),
      isSeated: () => this.#metadata?.seat.isSeated() ?? false,
      isRegistered: () => this.#registration?.isRegistered() ?? false,
      isStopped: () => this.#isStopping,
    });
    this.#watchLinks(check.client);
    check
      .wait()
      .then(() => {
        if (!this.#isStopping) this.#tell({ event: 'ready' });
      })
      .catch((error: unknown) => this.#fail(error));
  }

  // ---- Ends ---------------------------------------------------------------------------------------

  #fail(thrown: unknown): void {
    if (this.#isStopping) return;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const code = (error as { code?: string }).code ?? 'NODE_FAILED';
    this.#env.log.error('the node cannot go on', { code, stack: error.stack });
    // What fails afterwards follows from the first, which is the one to be told.
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#tell({ event: 'failed', code, message: error.message });
  }

  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#listeners.close();
    this.#commands.close();
    try {
      await this.#registration?.resign(this.#timing.resignMs);
      await this.#shards?.stop();
      await this.#metadata?.raft.handOver(this.#timing.handOverMs);
      this.#metadata?.stop();
      await this.#metaStore?.close();
      writeIdentity(this.#env, this.#identity, true);
    } finally {
      this.#folder.release();
    }
    this.#links.close();
    await this.#system.shutdown({ timeoutMs: this.#timing.shutdownMs }).catch(() => undefined);
  }

  /** After a failed start: what was opened is closed, the folder stays unclean. */
  async abandon(): Promise<void> {
    this.#isStopping = true;
    this.#listeners.close();
    this.#metadata?.stop();
    this.#shards?.abandon();
    this.#metaStore?.abandon();
    this.#folder.release();
    this.#links.close();
    await this.#system.shutdown({ timeoutMs: 100 }).catch(() => undefined);
  }
}

/** Makes the `startNode` of a composition root from the parts that only the root has. */
export function nodeStarter(
  parts: NodeParts,
): (env: Environment, config: NodeConfig) => Promise<ProbedNode> {
  return async (env, config) => {
    const refusal = refuseConfig(config);
    if (refusal !== undefined) throw new NodeConfigError(refusal);
    const timing = { ...DEFAULT_TIMING, ...parts.timing };
    const { config: whole, introduced } = await membershipOf(env, config, timing.joinMs);
    const node = new Node(env, whole, parts, introduced);
    try {
      await node.start();
    } catch (error) {
      await node.abandon();
      throw error;
    }
    return node;
  };
}
