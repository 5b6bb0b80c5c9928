// Three nodes under the same faults as for Kafka's clients, driven by AMQP clients of our own and one of Kafka's, to
// whom queues are topics: publishers with confirms, consumers that acknowledge, refuse, leave and come back. In the
// end nothing that was confirmed may be missing, and after a power cut of everything nothing may come again whose
// acknowledgement was effective. Some publishes go to streams as well: one is read back then, the other is read all
// the time.

import type { FieldTable } from '../../protocols/amqp/codec/index.ts';
import type { Poll } from '../checkers/kafka-history.ts';
import {
  checkQueues,
  countEffective,
  countLostMessages,
  EFFECTIVE_AFTER_MS,
} from '../checkers/queue.ts';
import type { QueueEvent, QueueHistory } from '../checkers/queue-history.ts';
import {
  checkQuorumQueues,
  countHeardReturns,
  isSpent,
  type LeaderChanges,
} from '../checkers/quorum-queue.ts';
import { checkStreamReaders, type StreamHistory, unread } from '../checkers/stream-readers.ts';
import { between, pick } from '../draws.ts';
import { CRASH_KINDS } from '../faults/policy.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import { AmqpConsumer, type AmqpConsumerOptions } from '../workloads/amqp-consumer.ts';
import { AmqpPublisher, type AmqpPublisherOptions } from '../workloads/amqp-publisher.ts';
import { AmqpReader } from '../workloads/amqp-reader.ts';
import {
  type AmqpClientFacts,
  DURABLE_QUEUES,
  JOURNAL,
  JOURNAL_LOGS,
  QueueRecorder,
  ROUTES,
  SIDE_ROUTES,
  topologyWith,
  typed,
} from '../workloads/amqp-session.ts';
import { checkStream, createStream, readStream } from '../workloads/amqp-stream.ts';
import { KafkaToQueue } from '../workloads/kafka-to-queue.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import { PolicyOperators } from './policy-operators.ts';
import { ReignWatch } from './reigns.ts';
import {
  AMQP_PORT,
  CLUSTER_FAULTS,
  NODE_COUNT,
  REPLICATION_BUGS,
  SimulatedCluster,
  type SimulatedParts,
} from './simulated-cluster.ts';

const ACKNOWLEDGED_MIN = 2_000;
/**
 * What a leader reserves ahead its successor takes for delivered and marks. With few only, most messages after a
 * change of leader come as new, and more of what is promised about these can be seen.
 */
const RESERVED_AHEAD = [16, 256, 4_096];
/** When consumers and readers of what is left come no further for so long, the rest is a finding. */
const STANDSTILL_MS = 30_000;
/** How long they wait for what should not come again. */
const AFTERMATH_MS = 3_000;
const READERS = 2;

const CONSUMERS: readonly AmqpConsumerOptions[] = [
  { queue: 'jobs', kind: 'durable' },
  { queue: 'jobs', kind: 'durable' },
  { queue: 'audit', kind: 'durable' },
  { queue: 'audit', kind: 'durable', isGetting: true },
  { queue: 'feed', kind: 'durable' },
  { queue: 'own', kind: 'exclusive' },
  { queue: 'shared', kind: 'auto-delete' },
];

export const amqpCluster: Scenario = {
  name: 'amqp-cluster',
  faults: CLUSTER_FAULTS,
  chaosMs: 30_000,
  drainMs: 300_000,
  probeEvery: 100,
  bugs: [
    ...REPLICATION_BUGS,
    'drop-lease',
    'ack-before-durable',
    'stream-stores-again',
    'stream-reads-again',
  ],
  create: (world) => new AmqpClusterRun(world),
};

/**
 * Queues on one node each, under faults that leave a disk whole: while its node is down a queue is not to be had, but
 * nothing that was confirmed may be missing in the end.
 */
export const amqpNormalMode: Scenario = {
  ...amqpCluster,
  name: 'amqp-normal-mode',
  faults: { ...CLUSTER_FAULTS, kinds: CRASH_KINDS },
  bugs: ['ack-before-durable'],
  create: (world) => new AmqpClusterRun(world, { queueReplicas: 1 }),
};

/**
 * Queues with small segments, of which somebody holds some messages for long: the segments behind these are written
 * anew again and again without what is acknowledged, in the middle of all faults.
 */
export const amqpHeld: Scenario = {
  ...amqpCluster,
  name: 'amqp-held',
  bugs: ['drop-needed'],
  create: (world) => new AmqpClusterRun(world, HELD, HOLDERS),
};

const HELD: SimulatedParts = {
  checkpointBytes: 32 * 1024,
  segmentBytesMax: 6_000,
  compaction: { paceMs: 500, heldBackMs: 500 },
};
const HOLDERS: readonly AmqpConsumerOptions[] = [
  { queue: 'jobs', kind: 'durable', isHolding: true },
  { queue: 'audit', kind: 'durable', isHolding: true },
];
/** So many acknowledged messages have gone from segments, and bytes with them, since the faults ended. */
const GONE_MIN = 20;

/**
 * Quorum queues, with a limit to how often a message may come back, and consumers that give some back whenever they
 * come: nothing but these may be gone, and what a count says never falls.
 */
export const amqpKinds: Scenario = {
  ...amqpCluster,
  name: 'amqp-kinds',
  bugs: [...REPLICATION_BUGS, 'forget-delivery-count'],
  create: (world) => new AmqpClusterRun(world, {}, [], QUORUM_QUEUES),
};

/**
 * Queues that a policy mirrors, which is another one all the time: they move between nodes and between the ways to
 * commit, under writes and faults, and lose nothing that was confirmed.
 */
export const amqpMirrors: Scenario = {
  ...amqpCluster,
  name: 'amqp-mirrors',
  bugs: REPLICATION_BUGS,
  create: (world) => new AmqpClusterRun(world, {}, [], [], ['jobs', 'audit']),
};

const QUORUM_QUEUES: readonly string[] = ['jobs', 'feed'];
const DELIVERY_LIMIT = 6;
const REFUSED_EVERY = 23;

class AmqpClusterRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly cluster: SimulatedCluster;
  readonly #recorder: QueueRecorder;
  readonly #publishers: (AmqpPublisher | KafkaToQueue)[] = [];
  readonly #consumers: AmqpConsumer[] = [];
  #producer: KafkaToQueue | undefined;
  readonly #readers: AmqpReader[] = [];
  readonly #journal: StreamHistory = {
    stream: JOURNAL,
    logs: JOURNAL_LOGS,
    sessions: [],
    final: undefined,
  };
  #clients = 0;
  /** All that the stream holds in the end. */
  #streamPolls: readonly Poll[] | undefined;

  readonly #holders: readonly AmqpConsumerOptions[];
  readonly #quorum: ReadonlySet<string>;
  readonly #mirrored: ReadonlySet<string>;
  readonly #operators: PolicyOperators | undefined;
  readonly #watch: ReignWatch;

  constructor(
    world: World,
    parts: SimulatedParts = {},
    holders: readonly AmqpConsumerOptions[] = [],
    quorum: readonly string[] = [],
    mirrored: readonly string[] = [],
  ) {
    super();
    this.#world = world;
    this.#holders = holders;
    this.#quorum = new Set(quorum);
    this.#mirrored = new Set(mirrored);
    this.#operators =
      mirrored.length === 0 ? undefined : new PolicyOperators(world, `^(${mirrored.join('|')})$`);
    const reserveAhead = pick(world.workload.fork('queues'), RESERVED_AHEAD)!;
    const { onRunning } = this.#operators ?? {};
    const governed = onRunning === undefined ? {} : { onRunning };
    const queueParts = { queues: { reserveAhead }, ...governed };
    this.cluster = new SimulatedCluster(world, { ...parts, ...queueParts });
    this.#recorder = new QueueRecorder(world);
    const { queues } = this.#recorder.history;
    for (const name of DURABLE_QUEUES) {
      const limit = this.#quorum.has(name) ? { deliveryLimit: DELIVERY_LIMIT } : {};
      queues.push({ name, isDurable: true, exchanges: [], ...limit });
    }
    const watched = quorum.map((name) => ({ name, destination: name, partition: 0 }));
    this.#watch = new ReignWatch(world, this.cluster, watched);
  }

  override probe(): Violation | undefined {
    if (this.#quorum.size > 0) this.#watch.look();
    return super.probe();
  }

  get history(): QueueHistory {
    return this.#recorder.history;
  }

  start(): void {
    this.cluster.start();
    const { workload } = this.#world;
    for (const routes of [ROUTES, ROUTES, SIDE_ROUTES]) {
      const random = workload.fork(`publisher ${this.#publishers.length}`);
      const isSide = routes === SIDE_ROUTES;
      const meanGapMs = isSide ? between(random, 200, 600) : between(random, 30, 120);
      const bodyBytesMax = between(random, 16, 2_000);
      // Whether queues of connections are there at a moment is known to nobody.
      this.#publisher({ routes, meanGapMs, bodyBytesMax, mandatory: isSide ? 0 : 0.3 });
    }
    this.#startProducer();
    for (const options of [...CONSUMERS, ...this.#holders]) {
      const refuses = this.#quorum.has(options.queue) ? { refusesEvery: REFUSED_EVERY } : {};
      this.#consumer({ ...options, ...refuses });
    }
    for (let i = 0; i < READERS; i += 1) this.#reader();
    this.cluster.run(createStream(this.cluster.kafkaClient('maker'), NODE_COUNT));
  }

  // ---- clients -------------------------------------------------------------------------------

  /** A client on a host of its own. Nodes take it for a program of their machine: others may not log in. */
  #client(): AmqpClientFacts {
    this.#clients += 1;
    const id = `c${this.#clients}`;
    const { environment: env } = this.#world.node(id, 'client', true).start();
    const random = this.#world.workload.fork(id);
    const nodes = this.cluster.addresses.map(({ host }) => ({ host, port: AMQP_PORT }));
    const facts = { env, id, random, nodes, recorder: this.#recorder };
    if (this.#quorum.size === 0) return facts;
    return { ...facts, topology: topologyWith((queue) => this.#argumentsOf(queue)) };
  }

  #argumentsOf(queue: string): FieldTable | undefined {
    if (!this.#quorum.has(queue)) return undefined;
    const limit = { type: 'signedint', value: DELIVERY_LIMIT } as const;
    return [typed('quorum'), { name: 'x-delivery-limit', value: limit }];
  }

  #publisher(options: AmqpPublisherOptions): void {
    const publisher = new AmqpPublisher(this.#client(), options);
    this.#publishers.push(publisher);
    this.cluster.run(publisher.run());
  }

  /** Queues are topics to Kafka's clients. */
  #startProducer(): void {
    const random = this.#world.workload.fork('producer');
    const client = this.cluster.kafkaClient('producer');
    const options = { queues: ['jobs', 'feed'], meanGapMs: between(random, 300, 900) };
    const producer = new KafkaToQueue(client, this.#recorder, random, options);
    this.#producer = producer;
    this.#publishers.push(producer);
    this.cluster.run(producer.run());
  }

  #consumer(options: AmqpConsumerOptions): AmqpConsumer {
    const consumer = new AmqpConsumer(this.#client(), options);
    this.#consumers.push(consumer);
    this.cluster.run(consumer.run());
    return consumer;
  }

  #reader(isFinal = false): void {
    const reader = new AmqpReader(this.#client(), this.#journal, isFinal);
    this.#readers.push(reader);
    this.cluster.run(reader.run());
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    this.#operators?.stop();
    await this.until('all nodes recover', () => this.cluster.areNodesWhole());
    await this.until('mirrored queues are on all nodes', () =>
      [...this.#mirrored].every((name) => this.cluster.isEverywhere(name)),
    );
    this.#recorder.add({ kind: 'calm', atMs: this.#world.nowMs });
    await this.until('workload', () => this.#acknowledged() >= ACKNOWLEDGED_MIN);
    await this.until('messages behind held ones go from the disk', () => this.#areGone());
    for (const publisher of this.#publishers) publisher.stop();
    await this.until('publishers finish', () => this.#publishers.every(({ isDone }) => isDone));
    for (const consumer of this.#consumers) consumer.beOrderly();
    await this.until('consumers consume', () =>
      this.#consumers.every(({ isConsuming }) => isConsuming),
    );
    const unsettled = () => this.#unsettled().size;
    await this.untilNoneLeft('everything is settled', unsettled, STANDSTILL_MS);
    if (this.#unsettled().size > 0) {
      // Whatever comes next, this has failed: the checker says how.
      this.#recorder.add({ kind: 'disturbed', atMs: this.#world.nowMs });
      this.isAtRest = true;
      return;
    }
    const effectiveMs = this.#world.nowMs + EFFECTIVE_AFTER_MS + 3_000;
    await this.until('acknowledgements are effective', () => this.#world.nowMs > effectiveMs);
    await this.#leave();
    this.#recorder.add({ kind: 'disturbed', atMs: this.#world.nowMs });
    await this.#aftermath();
    await this.rest();
  }

  /** Everything loses its power at once; then somebody looks into every durable queue. */
  async #aftermath(): Promise<void> {
    for (const node of this.#world.nodes('server')) {
      node.powerCut();
      this.cluster.boot(node);
    }
    const lookers = DURABLE_QUEUES.map((queue) => this.#consumer({ queue, kind: 'durable' }));
    for (const looker of lookers) looker.beOrderly();
    await this.until('consumers come back', () => lookers.every(({ isConsuming }) => isConsuming));
    const lookedMs = this.#world.nowMs + AFTERMATH_MS;
    await this.until('a look at what is left', () => this.#world.nowMs > lookedMs);
    await this.#readAll();
    await this.#leave();
    await this.until('all nodes recover again', () => this.cluster.areNodesWhole());
    this.step = 'read-back of the stream';
    this.#streamPolls = await readStream(this.cluster.kafkaClient('reader'));
  }

  /** What is not read then is a finding. */
  async #readAll(): Promise<void> {
    this.#reader(true);
    const { publishes } = this.#recorder.history;
    const left = () => unread(this.#journal, publishes);
    await this.untilNoneLeft('everything is read', left, STANDSTILL_MS);
    const lookedMs = this.#world.nowMs + AFTERMATH_MS;
    await this.until('a look at what should not come', () => this.#world.nowMs > lookedMs);
  }

  async #leave(): Promise<void> {
    const clients = [...this.#consumers, ...this.#readers];
    for (const client of clients) client.stop();
    await this.until('consumers leave', () => clients.every(({ isDone }) => isDone));
  }

  #areGone(): boolean {
    if (this.#holders.length === 0) return true;
    const gone = this.cluster.counter('needless.recordsGone');
    return gone >= GONE_MIN && this.cluster.counter('storage.rewriteFreedBytes') > 0;
  }

  /** What was confirmed and is not settled for good, as `queue/id`. */
  #unsettled(): Set<string> {
    const { publishes, events } = this.#recorder.history;
    const open = new Set<string>();
    for (const { id, queues, outcome } of publishes) {
      if (outcome === 'confirmed') for (const queue of queues) open.add(`${queue}/${id}`);
    }
    const limits = new Map(
      this.#recorder.history.queues.map(({ name, deliveryLimit }) => [name, deliveryLimit]),
    );
    const queueOf = new Map<string, string>();
    const names = new Map<number, string>();
    for (const event of events) {
      if (event.kind === 'consumes') queueOf.set(event.consumer, event.queue);
      if (event.kind === 'delivered') {
        const queue = queueOf.get(event.consumer)!;
        names.set(event.delivery, `${queue}/${event.id}`);
        if (isSpent(event.count, limits.get(queue))) open.delete(`${queue}/${event.id}`);
      }
      if (event.kind === 'settled' && event.how !== 'requeued') {
        open.delete(names.get(event.delivery)!);
      }
    }
    return open;
  }

  describe(): string {
    const publishers = this.#publishers.filter(({ isDone }) => !isDone).length;
    const consumers = this.#consumers.filter(({ isDone }) => !isDone).length;
    const unsettled = this.#unsettled();
    return [
      `${this.#acknowledged()} acknowledged, ${publishers} publishers and ${consumers} consumers at work`,
      `${unsettled.size} unsettled, such as ${[...unsettled].slice(0, 3).join(' ') || 'none'}`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    const { history } = this.#recorder;
    // One that was declared while a node was down has a replica less.
    const queues = history.queues.map((queue) => ({
      ...queue,
      isPartial:
        queue.isDurable &&
        (this.#mirrored.has(queue.name) || !this.cluster.isEverywhere(queue.name)),
    }));
    const streams = new Set(history.publishes.flatMap((publish) => publish.streams));
    const partialStreams = [...streams].filter((name) => !this.cluster.isEverywhere(name));
    const found = [
      ...checkQueues({ ...history, queues, partialStreams }),
      ...checkQuorumQueues(history, this.#changes()),
      ...checkStream(history, this.#streamPolls),
      ...checkStreamReaders(this.#journal, history.publishes),
      ...this.cluster.idleViolations(),
    ];
    if (found.length === 0 && countEffective(history) === 0) {
      found.push({ check: 'workload', message: 'no acknowledgement could have been forgotten' });
    }
    if (found.length === 0 && this.#operators?.changed === 0) {
      found.push({ check: 'workload', message: 'no policy was changed' });
    }
    if (found.length === 0 && this.#quorum.size > 0) found.push(...this.#idleOfQuorum());
    if (found.length === 0 && this.#producer?.confirmed === 0) {
      found.push({ check: 'workload', message: 'nothing of what Kafka produced was stored' });
    }
    if (this.#journal.sessions.every(({ deliveries }) => deliveries.length === 0)) {
      found.push({ check: 'workload', message: 'nobody has read anything of the journal' });
    }
    return found;
  }

  #changes(): LeaderChanges {
    return new Map(
      [...this.#watch.reigns()].map(([queue, reigns]) => {
        return [queue, reigns.flatMap(({ fromMs, untilMs }) => [fromMs, untilMs ?? fromMs])];
      }),
    );
  }

  /** Checkers that looked at nothing would find nothing. */
  #idleOfQuorum(): Violation[] {
    const idle = (message: string) => [{ check: 'workload', message }];
    const { history } = this.#recorder;
    if (countHeardReturns(history, this.#changes()) === 0)
      return idle('no return was surely heard');
    if (this.cluster.statesCompared === 0) return idle('no state of a queue was compared');
    const isLast = (event: QueueEvent) =>
      event.kind === 'delivered' && event.count === DELIVERY_LIMIT;
    return history.events.some(isLast) ? [] : idle('no message came back as often as it may');
  }

  counts(): ScenarioCounts {
    return {
      operations: this.#recorder.history.publishes.length,
      acknowledged: this.#acknowledged(),
      lost: countLostMessages(this.#recorder.history),
    };
  }

  #acknowledged(): number {
    return this.#recorder.history.publishes.filter(({ outcome }) => outcome === 'confirmed').length;
  }
}
