// Three nodes as they are shipped, composed by the assembly room, and what is asked of them whoever drives
// them: who may be hurt, what replicas must hold at every moment, whether all is at rest. Starts Kafka's clients, which
// every scenario has, and fails the run with whatever a client throws.
import type { StartRocket } from '../../assembly/client-protocols.ts';
import { localShards } from '../../assembly/local-shards.ts';
import { MEMBERS_FILE } from '../../assembly/members.ts';
import { type NodeParts, nodeStarter } from '../../assembly/node.ts';
import type { NodeAddress, NodeConfig, NodeEvent } from '../../assembly/node-config.ts';
import type { NodeProbe, ProbedNode, ProbedReplica } from '../../assembly/probe.ts';
import { startRocketListener } from '../../assembly/rocket-listener.ts';
import { DEFAULT_TIMING } from '../../assembly/timing.ts';
import type { MetadataChange } from '../../cluster/metadata/commands.ts';
import type { ClusterOperations, Durability } from '../../cluster/ports.ts';
import type { Environment } from '../../env/environment.ts';
import { startAmqpListener } from '../../protocols/amqp/listener.ts';
import { cycleTracer } from '../ask-cycles.ts';
import { GroupChecker, type PeerProbe } from '../checkers/group.ts';
import { ReplicaChecker, type ReplicaProbe } from '../checkers/replicas.ts';
import { checkSettledBytes } from '../checkers/settled-bytes.ts';
import { pick, uniform } from '../draws.ts';
import { CRASH_KINDS, type FaultPolicy, LOSS_KINDS } from '../faults/policy.ts';
import type { Cast } from '../faults/script.ts';
import { simGrpcServer } from '../net/grpc-server.ts';
import type { SimNode } from '../node.ts';
import type { SimProcess } from '../process.ts';
import type { Violation } from '../scenario.ts';
import { KafkaClient } from '../workloads/kafka-client.ts';
import type { World } from '../world.ts';

export const NODE_COUNT = 3;
const KAFKA_PORT = 9_092;
export const AMQP_PORT = 5_672;
export const ROCKET_PORT = 8_081;
const LINK_PORT = 7_001;
const WAL_FILE_BYTES = 1_048_576;
/** Reasons to end that a fault of the device explains; after any other the run has failed. */
const EXPECTED_ENDS: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EIO',
  'STORAGE_FULL',
  'STORAGE_IO',
  // It was put back to an earlier state, and comes again as a newcomer.
  'NODE_ROLLED_BACK',
  // What Raft remembers was damaged below what was durable: the same.
  'NODE_METADATA_LOST',
]);
export const PROBE_EVERY_EVENTS = 25;

/** Every fault that durable synchronous writes on two of three nodes survive. */
export const CLUSTER_FAULTS: FaultPolicy = {
  kinds: [...CRASH_KINDS, ...LOSS_KINDS],
  meanMs: [1_500, 20_000],
  downMax: 1,
  damagedMax: 1,
  downMs: [100, 8_000],
  calmProbability: 0,
  faultsMin: 3,
};

/** Of a node that joins: nobody could take it in, in time, or its former life counted as live for so long. */
const EXPECTED_OF_JOINERS: ReadonlySet<string> = new Set([
  'NODE_JOIN_UNREACHABLE',
  'NODE_JOIN_ID_TAKEN',
]);

/** Mistakes of replication, which break what every log promises. */
export const REPLICATION_BUGS = [
  'ack-before-sync',
  'hw-from-stale-epoch',
  'truncate-below-hw',
  'same-epoch-after-restart',
  'commit-under-old-set',
  'no-recovery-read',
] as const;

/** Mistakes of Raft in the metadata group, which every node has a part in. */
export const RAFT_BUGS = [
  'raft-forget-vote',
  'raft-ack-before-durable',
  'raft-count-unwritten',
  'raft-commit-older-terms',
  'raft-vote-for-behind',
  'raft-trust-old-terms',
] as const;

/** What a scenario has otherwise than the usual. */
export interface SimulatedParts {
  /** Three if left out. */
  readonly nodeCount?: number;
  /** So many of them, the last, are in nobody's list: they join when they are booted. */
  readonly joinCount?: number;
  readonly queues?: NodeParts['queues'];
  /** Of durable AMQP queues, where they are not as many as topics have. */
  readonly queueReplicas?: number | undefined;
  readonly servesRocket?: boolean;
  /** Below that publishes are refused; what production has if left out. */
  readonly diskFreeMinBytes?: number;
  /** Of durable actors; each start of a node gets what this makes. */
  readonly kinds?: NodeParts['kinds'];
  /** A node runs, in this process: an application in it may begin. */
  readonly onRunning?: (node: SimNode, process: SimProcess, running: ProbedNode) => void;
  /** A checkpoint follows after so many bytes of the WAL, and with it snapshots of what is behind. */
  readonly checkpointBytes?: number | undefined;
  /** What a segment of a queue may have. */
  readonly segmentBytesMax?: number | undefined;
  readonly compaction?: NodeParts['compaction'] | undefined;
  /** Where a node says that it stands. */
  readonly rackOf?: (node: number) => string;
  /** Between two looks for leaders that the first replica could be. */
  readonly preferredIntervalMs?: number;
  /** Between two scrubs. 0, or left out: never, and nobody waits for one. */
  readonly scrubIntervalMs?: number;
}

/** A scrub takes seconds of virtual time, however little there is. */
/** A node that stops in order is done by then, or is killed. */
const STOP_MAX_MS = 6_000;
const SCRUB_BYTES_PER_SECOND = 4 * 1_048_576;

const startSimulatedRocket: StartRocket = (options) =>
  startRocketListener(options, simGrpcServer(options.system.env));

export interface Leading {
  readonly logId: number;
  readonly epoch: number;
  /** Its number. */
  readonly node: number;
  readonly lifeMs: number;
  /** Everything in its log is committed. */
  readonly isClean: boolean;
}

export class SimulatedCluster {
  readonly #world: World;
  readonly #nodeCount: number;
  readonly #founderCount: number;
  readonly addresses: readonly NodeAddress[];
  readonly #startNode: ReturnType<typeof nodeStarter>;
  readonly #running = new Map<SimProcess, { node: SimNode; running: ProbedNode }>();
  readonly #replicas = new ReplicaChecker();
  readonly #group = new GroupChecker();
  readonly #settings: Pick<NodeConfig, 'queueReplicas' | 'diskFreeMinBytes'>;
  readonly #onRunning: SimulatedParts['onRunning'];
  readonly #rackOf: SimulatedParts['rackOf'];
  #wasReady = false;
  readonly #bornMs = new WeakMap<SimProcess, number>();
  readonly #isScrubbing: boolean;
  /** By log: the epochs of which some node said that they ended with a planned move. */
  readonly #plannedEnds = new Map<number, Set<number>>();
  /** Nodes whose devices have rotten: how often, and the pass that will have seen it. */
  readonly #rotten = new Map<SimNode, { rots: number; life: number; passes: number }>();

  constructor(world: World, parts: SimulatedParts = {}) {
    const { queues = {}, queueReplicas, checkpointBytes, servesRocket = false } = parts;
    const { segmentBytesMax } = parts;
    this.#world = world;
    this.#nodeCount = parts.nodeCount ?? NODE_COUNT;
    this.#founderCount = this.#nodeCount - (parts.joinCount ?? 0);
    const { scrubIntervalMs = 0 } = parts;
    this.#isScrubbing = scrubIntervalMs > 0;
    this.#onRunning = parts.onRunning;
    this.#rackOf = parts.rackOf;
    const { diskFreeMinBytes } = parts;
    this.#settings = {
      ...(queueReplicas === undefined ? {} : { queueReplicas }),
      ...(diskFreeMinBytes === undefined ? {} : { diskFreeMinBytes }),
    };
    this.#startNode = nodeStarter({
      onMetadata: (changes) => this.#noteMoves(changes),
      ...timingOf(parts),
      tracer: cycleTracer(world),
      makeShards: localShards,
      shardStore: {
        walFileBytesMin: WAL_FILE_BYTES,
        ...(checkpointBytes === undefined ? {} : { checkpointBytes }),
        ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }),
        scrubIntervalMs,
        scrubBytesPerSecond: SCRUB_BYTES_PER_SECOND,
      },
      queues,
      ...(parts.compaction === undefined ? {} : { compaction: parts.compaction }),
      amqp: () => startAmqpListener,
      ...(parts.kinds === undefined ? {} : { kinds: parts.kinds }),
      ...(servesRocket ? { rocketmq: () => startSimulatedRocket } : {}),
    });
    this.addresses = Array.from({ length: this.#nodeCount }, (_, index) => ({
      id: index + 1,
      host: world.node(`n${index + 1}`).host,
      linkPort: LINK_PORT,
      kafkaPort: KAFKA_PORT,
      amqpPort: AMQP_PORT,
      rocketmqPort: servesRocket ? ROCKET_PORT : 0,
      httpPort: 0,
    }));
  }

  // ---- nodes ---------------------------------------------------------------------------------

  start(): void {
    for (const node of this.#world.nodes('server')) if (!this.#isJoiner(node)) this.boot(node);
  }

  #isJoiner({ number }: SimNode): boolean {
    return number > this.#founderCount;
  }

  /** A node that has joined needs no member to be named, while it has its folder. */
  #listOf(node: SimNode, { disk }: Environment): Pick<NodeConfig, 'clusterId' | 'nodes' | 'join'> {
    const founders = this.addresses.slice(0, this.#founderCount);
    if (!this.#isJoiner(node)) return { clusterId: 'simulated', nodes: founders };
    const nodes = this.addresses.filter(({ id }) => id === node.number);
    const join = founders.map(({ host, linkPort: port }) => ({ host, port }));
    return { clusterId: '', nodes, ...(disk.exists(MEMBERS_FILE) ? {} : { join }) };
  }

  boot(node: SimNode): void {
    const process = node.start();
    this.#bornMs.set(process, this.#world.nowMs);
    const config = {
      ...this.#listOf(node, process.environment),
      nodeId: node.number,
      dataRoot: process.environment.disk.root,
      shards: 0,
      host: node.host,
      isFounding: !this.#wasReady && !this.#isJoiner(node),
      token: 'simulated',
      ...this.#settings,
      ...(this.#rackOf === undefined ? {} : { rack: this.#rackOf(node.number) }),
    };
    this.#startNode(process.environment, config).then(
      (running) => {
        this.#running.set(process, { node, running });
        this.#onRunning?.(node, process, running);
        running.onEvent((event) => this.#heard(node, process, event));
      },
      (error: unknown) => this.#ended(node, process, codeOf(error), String(error)),
    );
  }

  /**
   * Ends a node in order, and starts it again after so long. False if something else ended it meanwhile, or it was down.
   */
  async stopNode(node: SimNode, downMs: number): Promise<boolean> {
    const { process, starts } = node;
    const running = process === undefined ? undefined : this.#running.get(process)?.running;
    if (running === undefined) return false;
    const stopped = running.stop().catch(() => undefined);
    // A disk that stands still holds it up.
    await Promise.race([stopped, this.pause(STOP_MAX_MS)]);
    if (node.process !== process) return false;
    node.kill();
    await this.pause(downMs);
    if (node.starts === starts && !node.isUp) this.boot(node);
    return true;
  }

  #noteMoves(changes: readonly MetadataChange[]): void {
    for (const change of changes) {
      if (change.kind !== 'leader-moved') continue;
      const known = this.#plannedEnds.get(change.logId) ?? new Set();
      this.#plannedEnds.set(change.logId, known.add(change.epoch));
    }
  }

  /** Epochs of a log that ended with a planned move. */
  plannedEnds(logId: number): ReadonlySet<number> {
    return this.#plannedEnds.get(logId) ?? new Set();
  }

  /** Up in this life, a voter, and in sync everywhere, in the eyes of whoever knows most. */
  hasRecovered(node: SimNode): boolean {
    const own = this.#probeOf(node);
    // A membership that is only logged may be undone with the node that has logged it.
    if (own === undefined || !own.isSettledMember) return false;
    let newest = own;
    for (const { probe } of this.#probes()) {
      if (probe.metadata.index > newest.metadata.index) newest = probe;
    }
    const standing = newest.standing(node.number);
    const isBack = standing?.life === own.life && standing.isLive && standing.isInSync;
    return isBack && this.#isScrubbed(node, own);
  }

  /** How far the replica of that node knows its log as committed, and the life in which it does. */
  committedAt(number: number, destination: string, partition: number) {
    const node = this.#world.nodes('server').find((each) => each.number === number);
    const probe = node === undefined ? undefined : this.#probeOf(node);
    const logId = probe?.logOf(destination, partition);
    for (const replica of probe?.replicas ?? []) {
      const { committedOffset: offset } = replica;
      if (replica.logId === logId && offset !== undefined) return { life: probe!.life, offset };
    }
    return undefined;
  }

  /** The nodes that have not recovered, and what they lack, for people. */
  notWhole(): string {
    const broken = this.#world.nodes('server').filter((node) => !this.hasRecovered(node));
    const words = broken.map((node) => {
      const own = this.#probeOf(node);
      const standing = own?.standing(node.number);
      const what = [
        own?.isSettledMember === true ? 'member' : 'no member',
        standing?.isLive === true ? 'live' : 'not live',
        standing?.isInSync === true ? 'in sync' : 'not in sync',
      ];
      return `${node.id} (${what.join(', ')})`;
    });
    return words.join(' ') || 'none';
  }

  areNodesWhole(): boolean {
    return this.#world.nodes('server').every((node) => this.hasRecovered(node));
  }

  /** All nodes have been ready once and are whole, somebody leads them, and every log has a leader. */
  isWhole(): boolean {
    if (!this.#wasReady || !this.areNodesWhole() || this.whois('controller') === undefined) {
      return false;
    }
    let logs = 0;
    for (const { probe } of this.#probes()) logs = Math.max(logs, probe.assigned().size);
    return logs > 0 && new Set([...this.leaders()].map(({ logId }) => logId)).size === logs;
  }

  whois(cast: Cast): SimNode | undefined {
    const servers = this.#world.nodes('server');
    if (cast === 'any') return pick(this.#world.faults, servers);
    if (cast === 'controller') {
      // One that others have deposed may not know it yet.
      let newest: { readonly node: SimNode; readonly term: number } | undefined;
      for (const { node, probe } of this.#probes()) {
        const { group } = probe;
        if (group === undefined || group.role !== 'leader' || !group.isReady) continue;
        if (group.term > (newest?.term ?? 0)) newest = { node, term: group.term };
      }
      return newest?.node;
    }
    const counts = new Map<number, number>();
    for (const { node } of this.leaders()) counts.set(node, (counts.get(node) ?? 0) + 1);
    const most = [...counts].sort((a, b) => b[1] - a[1])[0];
    return servers.find(({ number }) => number === most?.[0]);
  }

  /** Virtual time of the world, whoever is paused. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#world.afterMs(delayMs, resolve));
  }

  /** A whole pass began after the last rot of its device, and nothing is left to repair. */
  #isScrubbed(node: SimNode, probe: NodeProbe): boolean {
    const rots = node.device.hits.get('bit-rot') ?? 0;
    if (rots === 0 || !this.#isScrubbing) return true;
    const counters = probe.counters();
    const passes = counters['storage.scrubPasses'] ?? 0;
    const seen = this.#rotten.get(node);
    if (seen?.rots !== rots || seen.life !== probe.life) {
      // The one that is under way may be past it.
      this.#rotten.set(node, { rots, life: probe.life, passes: passes + 2 });
      return false;
    }
    return passes >= seen.passes && counters['storage.damagedSegments'] === 0;
  }

  /** What is wrong on the devices of the replicas of a partition that starts there. */
  rotten(destination: string, partition: number, startOffset: number): Violation | undefined {
    const logId = this.logOf(destination, partition);
    if (logId === undefined) {
      return { check: 'settled-bytes/unknown', message: `${destination}-${partition} has no log` };
    }
    for (const node of this.#world.nodes('server')) {
      const files = node.device.tree
        .files()
        // The folder above is a part of the number, in the same words.
        .filter(({ path }) => path.endsWith('.seg') && path.split('/').at(-2) === String(logId))
        .map(({ path, inode }) => {
          const bytes = new Uint8Array(inode.cached.size);
          inode.cached.read(bytes, 0);
          return { path: `${node.id}/${path}`, bytes };
        });
      const found = checkSettledBytes(files, startOffset);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Every node has a replica of the destination's first log, in the eyes of all. */
  isEverywhere(destination: string): boolean {
    const counts = [...this.#probes()].map(({ probe }) => probe.replicasOf(destination));
    return counts.length > 0 && counts.every((count) => count === this.#nodeCount);
  }

  /** Only where all the others hold everything: then one copy more than needed is left. */
  mayDamage(node: SimNode): boolean {
    const others = this.#world.nodes('server').filter((other) => other !== node);
    return this.#wasReady && others.every((other) => this.hasRecovered(other));
  }

  #probeOf(node: SimNode): NodeProbe | undefined {
    const { process } = node;
    return process === undefined ? undefined : this.#running.get(process)?.running.probe();
  }

  #heard(node: SimNode, process: SimProcess, event: NodeEvent): void {
    if (event.event === 'ready') this.#wasReady = true;
    if (event.event === 'failed') this.#ended(node, process, event.code, event.message);
  }

  /** The node gave up. Its launcher starts it again, unless a fault has dealt with it meanwhile. */
  #ended(node: SimNode, process: SimProcess, code: string, message: string): void {
    if (node.process !== process) return;
    const isExpected =
      EXPECTED_ENDS.has(code) || (this.#isJoiner(node) && EXPECTED_OF_JOINERS.has(code));
    if (!isExpected) {
      this.#world.fail('node-failed', `${node.id}: ${code} ${message}`);
      return;
    }
    const { starts } = node;
    this.#world.afterMs(1, () => {
      if (node.process === process) node.kill();
    });
    this.#world.afterMs(uniform(this.#world.schedule, 300, 1_500), () => {
      if (node.starts === starts && !node.isUp) this.boot(node);
    });
  }

  // ---- clients -------------------------------------------------------------------------------

  /** A Kafka client on a host of its own. */
  kafkaClient(id: string): KafkaClient {
    const process = this.#world.node(id, 'client').start();
    const bootstrap = this.addresses
      .slice(0, this.#founderCount)
      .map(({ host }) => ({ host, port: KAFKA_PORT }));
    return new KafkaClient(process.environment, id, bootstrap);
  }

  /** Work of a client: what it throws is a finding. */
  run(work: Promise<void>): void {
    work.catch((error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#world.fail('client', text);
    });
  }

  // ---- replicas ------------------------------------------------------------------------------

  probe(): Violation | undefined {
    const probes: ReplicaProbe[] = [];
    const peers: PeerProbe[] = [];
    let newest: NodeProbe | undefined;
    for (const { node, probe } of this.#probes()) {
      const { group } = probe;
      if (probe.metadata.index > (newest?.metadata.index ?? -1)) newest = probe;
      if (group !== undefined) peers.push({ ...group, node: node.id, life: node.starts });
      const state = this.#replicas.observeState({ node: node.id, ...probe.metadata });
      if (state !== undefined) return state;
      for (const replica of probe.replicas) {
        const { logId, failure, alarm } = replica;
        const where = `log ${logId} on ${node.id}`;
        if (failure !== undefined) {
          return { check: 'replicas/quarantined', message: `${where}: ${failure}` };
        }
        if (alarm !== undefined) return { check: 'replicas/alarm', message: `${where}: ${alarm}` };
        // Nobody counts what is left of a damaged one, or takes its word for anything.
        if (!replica.isDamaged) probes.push(replicaOf(node, replica));
      }
    }
    const setOf = (logId: number) => newest?.safeSetOf(logId);
    return this.#group.observe(peers) ?? this.#replicas.observe(probes, setOf);
  }

  *#probes(): IterableIterator<{ readonly node: SimNode; readonly probe: NodeProbe }> {
    for (const [process, { node, running }] of this.#running) {
      if (node.process === process) yield { node, probe: running.probe() };
      else this.#running.delete(process);
    }
  }

  /** Every replica that leads now, as it takes it, and since when its process runs. */
  *leaders(): IterableIterator<Leading> {
    for (const { node, probe } of this.#probes()) {
      const lifeMs = this.#bornMs.get(node.process!)!;
      for (const { logId, epoch, isLeader, committedSeq, endSeq } of probe.replicas) {
        const isClean = committedSeq === endSeq;
        if (isLeader) yield { logId, epoch, node: node.number, lifeMs, isClean };
      }
    }
  }

  /** What the nodes that are up take the durability of a destination for. */
  durabilitiesOf(destination: string): readonly Durability[] {
    const all = [...this.#probes()].map(({ probe }) => probe.durabilityOf(destination));
    return all.filter((each) => each !== undefined);
  }

  /** By way of any node that is up; undefined while none is. */
  operations(): ClusterOperations | undefined {
    for (const { probe } of this.#probes())
      if (probe.operations !== undefined) return probe.operations;
    return undefined;
  }

  /** The sum of all nodes that are up, each in its present life. */
  counter(name: string): number {
    let sum = 0;
    for (const { probe } of this.#probes()) sum += probe.counters()[name] ?? 0;
    return sum;
  }

  /** The log of a partition, in the eyes of whoever knows most. */
  logOf(destination: string, partition: number): number | undefined {
    let newest: NodeProbe | undefined;
    for (const { probe } of this.#probes()) {
      if (probe.metadata.index > (newest?.metadata.index ?? -1)) newest = probe;
    }
    return newest?.logOf(destination, partition);
  }

  /** Why the cluster is not at rest yet: all nodes up, equal metadata, equal replicas. */
  unrest(): string | undefined {
    const probes: ReplicaProbe[] = [];
    const versions: string[] = [];
    let assigned: ReadonlyMap<number, number> = new Map();
    for (const { node, probe } of this.#probes()) {
      versions.push(`${probe.metadata.index}`);
      if (!this.#isScrubbed(node, probe)) return `${node.id} may hold damage`;
      assigned = probe.assigned();
      for (const replica of probe.replicas) {
        if (!replica.isDamaged) probes.push(replicaOf(node, replica));
      }
    }
    if (versions.length !== this.#nodeCount) return `${versions.length} nodes are up`;
    if (new Set(versions).size > 1) return `metadata at ${versions.join(' ')}`;
    const left = this.counter('logs.left');
    if (left > 0) return `${left} logs are left on nodes that have no replica of them`;
    return this.#replicas.converged(probes, assigned)?.message;
  }

  /** Checkers that looked at nothing would find nothing. */
  idleViolations(): Violation[] {
    if (this.#replicas.framesChecked === 0) {
      return [{ check: 'workload', message: 'no frame of any replica was compared' }];
    }
    if (this.#group.entriesChecked > 0) return [];
    return [{ check: 'workload', message: 'no entry of the metadata group was seen committed' }];
  }

  /** The same of states of queues. */
  get statesCompared(): number {
    return this.#replicas.statesCompared;
  }

  /** Names of the nodes that are down, for people. */
  down(): string {
    const down = this.#world.nodes('server').filter((node) => !node.isUp);
    return down.map((node) => node.id).join(' ') || 'none';
  }
}

function replicaOf(node: SimNode, replica: ProbedReplica): ReplicaProbe {
  return { ...replica, node: node.id, number: node.number, life: node.starts };
}

function timingOf({ preferredIntervalMs }: SimulatedParts): Pick<NodeParts, 'timing'> {
  if (preferredIntervalMs === undefined) return {};
  const { controller } = DEFAULT_TIMING;
  return { timing: { controller: { ...controller, preferredIntervalMs } } };
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : 'UNKNOWN';
}
