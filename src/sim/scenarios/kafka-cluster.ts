// The real thing: three nodes as they are shipped, composed by the assembly room, driven by Kafka clients
// of our own, under every fault that durable synchronous writes on two of three nodes survive. What
// clients were told is checked against what they read, and committed offsets against a register.
import { localShards } from '../../assembly/local-shards.ts';
import { nodeStarter } from '../../assembly/node.ts';
import type { NodeAddress, NodeEvent } from '../../assembly/node-config.ts';
import type { NodeProbe, ProbedNode, ProbedReplica } from '../../assembly/probe.ts';
import { emptyHistory, type KafkaHistory } from '../checkers/kafka-history.ts';
import { checkKafkaLog, countLost } from '../checkers/kafka-log.ts';
import { checkRegisters, type RegisterOperation } from '../checkers/register.ts';
import { ReplicaChecker, type ReplicaProbe } from '../checkers/replicas.ts';
import { between, uniform } from '../draws.ts';
import { CRASH_KINDS, type FaultPolicy, LOSS_KINDS } from '../faults/policy.ts';
import type { SimNode } from '../node.ts';
import type { SimProcess } from '../process.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import { KafkaClient } from '../workloads/kafka-client.ts';
import { CallFailedError } from '../workloads/kafka-connection.ts';
import { GroupMember, type OffsetRegisters } from '../workloads/kafka-group.ts';
import { KafkaProducer, type TopicPlan } from '../workloads/kafka-producer.ts';
import { FollowingConsumer, readBack } from '../workloads/kafka-reader.ts';
import type { World } from '../world.ts';

const NODE_COUNT = 3;
const LINK_PORT = 7_001;
const KAFKA_PORT = 9_092;
const AMQP_PORT = 5_672;
const WAL_FILE_BYTES = 1_048_576;
const ACKNOWLEDGED_MIN = 2_000;
const VIEW_EVERY_MS = 300;
const TOPICS: readonly TopicPlan[] = [
  { name: 'orders', partitions: 3 },
  { name: 'events', partitions: 2 },
];
/** Whom the group reads. */
const GROUP_TOPIC = TOPICS[0]!;
const GROUP = 'readers';
/** Reasons to end that a full or failing device explains; after any other the run has failed. */
const EXPECTED_ENDS: ReadonlySet<string> = new Set(['ENOSPC', 'EIO', 'STORAGE_FULL', 'STORAGE_IO']);
const PROBE_EVERY_EVENTS = 25;

const POLICY: FaultPolicy = {
  kinds: [...CRASH_KINDS, ...LOSS_KINDS],
  meanMs: [1_500, 20_000],
  downMax: 1,
  damagedMax: 1,
  downMs: [100, 8_000],
  calmProbability: 0,
  faultsMin: 3,
};

export const kafkaCluster: Scenario = {
  name: 'kafka-cluster',
  faults: POLICY,
  chaosMs: 30_000,
  drainMs: 120_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: ['ack-before-sync', 'hw-from-stale-epoch', 'truncate-below-hw', 'same-epoch-after-restart'],
  create: (world) => new KafkaClusterRun(world),
};

class KafkaClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #history: KafkaHistory = emptyHistory();
  readonly #registers: OffsetRegisters = new Map();
  readonly #addresses: readonly NodeAddress[];
  readonly #startNode = nodeStarter({
    makeShards: localShards,
    shardStore: { walFileBytesMin: WAL_FILE_BYTES },
  });
  readonly #producers: KafkaProducer[] = [];
  readonly #followers: FollowingConsumer[] = [];
  readonly #members: GroupMember[] = [];
  readonly #running = new Map<SimProcess, { node: SimNode; running: ProbedNode }>();
  readonly #replicas = new ReplicaChecker();
  #observer: KafkaClient | undefined;
  #viewAtMs = -1;
  #wasReady = false;
  #isAtRest = false;
  #step = 'workload';

  constructor(world: World) {
    this.#world = world;
    this.#addresses = Array.from({ length: NODE_COUNT }, (_, index) => ({
      id: index + 1,
      host: world.node(`n${index + 1}`).host,
      linkPort: LINK_PORT,
      kafkaPort: KAFKA_PORT,
      amqpPort: AMQP_PORT,
      httpPort: 0,
    }));
  }

  // ---- nodes ---------------------------------------------------------------------------------

  start(): void {
    for (const node of this.#world.nodes('server')) this.boot(node);
    this.#startClients();
  }

  boot(node: SimNode): void {
    const process = node.start();
    const config = {
      clusterId: 'simulated',
      nodeId: node.number,
      nodes: this.#addresses,
      dataRoot: process.environment.disk.root,
      shards: 0,
      host: node.host,
      isFounding: !this.#wasReady,
      token: 'simulated',
    };
    this.#startNode(process.environment, config).then(
      (running) => {
        this.#running.set(process, { node, running });
        running.onEvent((event) => this.#heard(node, process, event));
      },
      (error: unknown) => this.#ended(node, process, codeOf(error), String(error)),
    );
  }

  /** Up in this life, a voter, and in sync everywhere, in the eyes of whoever knows most. */
  hasRecovered(node: SimNode): boolean {
    const own = this.#probeOf(node);
    if (own === undefined || !own.isVoter) return false;
    let newest = own;
    for (const { probe } of this.#probes()) {
      if (probe.metadata.index > newest.metadata.index) newest = probe;
    }
    const standing = newest.standing(node.number);
    return standing?.life === own.life && standing.isLive && standing.isInSync;
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
    if (!EXPECTED_ENDS.has(code)) {
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

  // ---- replicas ------------------------------------------------------------------------------

  probe(): Violation | undefined {
    const probes: ReplicaProbe[] = [];
    for (const { node, probe } of this.#probes()) {
      const state = this.#replicas.observeState({ node: node.id, ...probe.metadata });
      if (state !== undefined) return state;
      for (const replica of probe.replicas) {
        const { logId, failure, alarm } = replica;
        const where = `log ${logId} on ${node.id}`;
        if (failure !== undefined) {
          return { check: 'replicas/quarantined', message: `${where}: ${failure}` };
        }
        if (alarm !== undefined) return { check: 'replicas/alarm', message: `${where}: ${alarm}` };
        probes.push(replicaOf(node, replica));
      }
    }
    return this.#replicas.observe(probes);
  }

  *#probes(): IterableIterator<{ readonly node: SimNode; readonly probe: NodeProbe }> {
    for (const [process, { node, running }] of this.#running) {
      if (node.process === process) yield { node, probe: running.probe() };
      else this.#running.delete(process);
    }
  }

  /** Why the cluster is not at rest yet: all nodes up, equal metadata, equal replicas. */
  #unrest(): string | undefined {
    const probes: ReplicaProbe[] = [];
    const versions: string[] = [];
    let assigned: ReadonlyMap<number, number> = new Map();
    for (const { node, probe } of this.#probes()) {
      versions.push(`${probe.metadata.index}`);
      assigned = probe.assigned();
      for (const replica of probe.replicas) probes.push(replicaOf(node, replica));
    }
    if (versions.length !== NODE_COUNT) return `${versions.length} nodes are up`;
    if (new Set(versions).size > 1) return `metadata at ${versions.join(' ')}`;
    return this.#replicas.converged(probes, assigned)?.message;
  }

  // ---- clients -------------------------------------------------------------------------------

  #client(id: string): KafkaClient {
    const process = this.#world.node(id, 'client').start();
    const bootstrap = this.#addresses.map(({ host }) => ({ host, port: KAFKA_PORT }));
    return new KafkaClient(process.environment, id, bootstrap);
  }

  #startClients(): void {
    const { workload } = this.#world;
    const ids = { next: 0 };
    this.#observer = this.#client('observer');
    this.#run(this.#watch(this.#observer));
    for (let i = 1; i <= 2; i += 1) {
      const random = workload.fork(`producer ${i}`);
      const options = {
        topics: TOPICS,
        meanGapMs: between(random, 30, 120),
        leaderAcks: 0.1,
        bodyBytesMax: between(random, 16, 2_000),
      };
      const client = this.#client(`p${i}`);
      const producer = new KafkaProducer(client, this.#history, ids, random, options);
      this.#producers.push(producer);
      this.#run(producer.run());
    }
    const reader = GROUP_TOPIC;
    for (let partition = 0; partition < reader.partitions; partition += 1) {
      const client = this.#client(`f${partition}`);
      const follower = new FollowingConsumer(client, this.#history.polls, reader.name, partition);
      this.#followers.push(follower);
      this.#run(follower.run());
    }
    for (let i = 1; i <= 2; i += 1) this.#startMember();
  }

  #startMember(): GroupMember {
    const client = this.#client(`g${this.#members.length + 1}`);
    const { polls } = this.#history;
    const options = { group: GROUP, topic: GROUP_TOPIC };
    const member = new GroupMember(this.#world, client, polls, this.#registers, options);
    this.#members.push(member);
    this.#run(member.run());
    return member;
  }

  /** Creates the topics, then keeps a view of who is in sync. */
  async #watch(client: KafkaClient): Promise<void> {
    const names = TOPICS.map(({ name }) => name);
    const missing = new Map(TOPICS.map((topic) => [topic.name, topic]));
    for (;;) {
      const topic = [...missing.values()][0];
      try {
        if (topic !== undefined) {
          const code = await client.createTopic(topic.name, topic.partitions, NODE_COUNT);
          client.env.log.debug('create topic', { topic: topic.name, code });
          if (code === 0 || code === 36) missing.delete(topic.name);
        } else {
          const askedAtMs = this.#world.nowMs;
          await client.refresh(names);
          this.#viewAtMs = askedAtMs;
        }
      } catch (error) {
        if (!(error instanceof CallFailedError)) throw error;
      }
      await client.sleep(VIEW_EVERY_MS);
    }
  }

  #run(work: Promise<void>): void {
    work.catch((error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#world.fail('client', text);
    });
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.#run(this.#drain());
  }

  async #drain(): Promise<void> {
    const client = this.#observer!;
    const healedAtMs = this.#world.nowMs;
    this.#step = 'groups work after the faults';
    const newcomer = this.#startMember();
    const hasCommits = (partition: number) => this.#commitsSince(partition, healedAtMs) > 0;
    const partitions = Array.from({ length: GROUP_TOPIC.partitions }, (_, i) => i);
    while (newcomer.rounds === 0 || !partitions.every(hasCommits)) await client.sleep(100);
    this.#step = 'workload';
    while (this.#acknowledged() < ACKNOWLEDGED_MIN) await client.sleep(100);
    for (const producer of this.#producers) producer.stop();
    this.#step = 'producers finish';
    while (!this.#producers.every((producer) => producer.isDone)) await client.sleep(100);
    const reader = this.#client('reader');
    for (const { name, partitions } of TOPICS) {
      for (let partition = 0; partition < partitions; partition += 1) {
        this.#step = `read-back of ${name}-${partition}`;
        await readBack(reader, this.#history.finalPolls, name, partition);
      }
    }
    for (const follower of this.#followers) follower.stop();
    for (const member of this.#members) member.stop();
    this.#step = 'members leave';
    while (!this.#members.every((member) => member.isDone)) await client.sleep(100);
    for (;;) {
      const unrest = this.#unrest();
      if (unrest === undefined) break;
      this.#step = `replicas converge (${unrest})`;
      await client.sleep(100);
    }
    this.#isAtRest = true;
  }

  /** Commits of the group's offset in one partition that were begun since then and answered. */
  #commitsSince(partition: number, sinceMs: number): number {
    const register = this.#registers.get(`${GROUP}/${GROUP_TOPIC.name}-${partition}`) ?? [];
    const isSince = ({ kind, startMs, endMs }: RegisterOperation) =>
      kind === 'write' && startMs >= sinceMs && endMs !== undefined;
    return register.filter(isSince).length;
  }

  isDrained(): boolean {
    return this.#isAtRest;
  }

  describe(): string {
    const producers = this.#producers.filter((producer) => !producer.isDone).length;
    const members = this.#members.filter((member) => !member.isDone).length;
    const partitions = [...(this.#observer?.partitions() ?? [])].map(
      ([name, { leader, isr }]) => `${name} leader ${leader} isr ${isr.join('+')}`,
    );
    const down = this.#world
      .nodes('server')
      .filter((node) => !node.isUp)
      .map((node) => node.id);
    return [
      `${this.#acknowledged()} acknowledged, ${producers} producers and ${members} members at work`,
      `view of ${this.#viewAtMs.toFixed(0)} ms: ${partitions.join(', ') || 'empty'}`,
      `down: ${down.join(' ') || 'none'}, step: ${this.#step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    const idle: Violation[] = [];
    if (this.#replicas.framesChecked === 0) {
      idle.push({ check: 'workload', message: 'no frame of any replica was compared' });
    }
    return [...checkKafkaLog(this.#history), ...checkRegisters(this.#registers, -1), ...idle];
  }

  counts(): ScenarioCounts {
    return {
      operations: this.#history.sends.length,
      acknowledged: this.#acknowledged(),
      lost: countLost(this.#history),
    };
  }

  #acknowledged(): number {
    return this.#history.sends.filter((send) => send.outcome === 'acknowledged').length;
  }
}

function replicaOf(node: SimNode, replica: ProbedReplica): ReplicaProbe {
  return { ...replica, node: node.id, number: node.number, life: node.starts };
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : 'UNKNOWN';
}
