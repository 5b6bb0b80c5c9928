// Queues of every durability beside one another, publishers of which some send messages with delivery mode 1, and disks
// that run low, so that publishers are told to wait: under the faults of the other scenarios. One queue has the
// durability of a policy, which operators at all nodes change. What was confirmed and never came out must be what its
// durability names. When the faults are over all disks run low once more, and every
// publisher has to be told so, to be told that it is over, and to go on.

import type { ProbedNode } from '../../assembly/probe.ts';
import { type BlockEvent, checkBlocks, LOOK_LAG_MS, type Period } from '../checkers/blocks.ts';
import type { DurabilityHistory, PromisedDurability } from '../checkers/durability.ts';
import { checkQueues, countEffective, EFFECTIVE_AFTER_MS } from '../checkers/queue.ts';
import { asOwed, checkQueueDurability, countGone } from '../checkers/queue-durability.ts';
import type { QueueHistory } from '../checkers/queue-history.ts';
import { between, pick } from '../draws.ts';
import { CRASH_KINDS, LOSS_KINDS } from '../faults/policy.ts';
import type { SimNode } from '../node.ts';
import type { SimProcess } from '../process.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { AmqpConnection } from '../workloads/amqp-connection.ts';
import { AmqpConsumer, type AmqpConsumerOptions } from '../workloads/amqp-consumer.ts';
import { AmqpPublisher } from '../workloads/amqp-publisher.ts';
import {
  type AmqpClientFacts,
  bind,
  CHANNEL,
  QueueRecorder,
  type Route,
} from '../workloads/amqp-session.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import { PromiseWatch } from './promise-watch.ts';
import { ReignWatch } from './reigns.ts';
import { AMQP_PORT, CLUSTER_FAULTS, SimulatedCluster } from './simulated-cluster.ts';

const ACKNOWLEDGED_MIN = 2_000;
const MIB = 1_048_576;
const DISK_FREE_MIN_BYTES = 64 * MIB;
/** Far more than a node needs to go on. */
const LOW_BYTES = [16 * MIB, 60 * MIB] as const;
const LOW_EVERYWHERE_MS = 5_000;
/** How long consumers have for what is left when publishers are done. */
const SETTLE_LIMIT_MS = 30_000;
/** What has not come out by then, while nothing does, does not come. */
const QUIET_MS = 3_000;
const AFTERMATH_MS = 3_000;

const UNDER_POLICY = 'q-policy';
/** Whether a policy says `memory` is looked at when a queue is made only. */
const POLICIES = ['sync', 'async', 'replicated', 'async'] as const;
const POLICY_EVERY_MS = [2_000, 9_000] as const;
/** As seen from outside. */
const POLICY_CHANGES_MIN = 2;

/** By name of a queue. One says nothing, which is `sync`, and neither does the one under the policy. */
const PROMISES: ReadonlyMap<string, PromisedDurability> = new Map([
  ['q-none', 'sync'],
  ['q-sync', 'sync'],
  ['q-replicated', 'replicated'],
  ['q-async', 'async'],
  ['q-memory', 'memory'],
  [UNDER_POLICY, 'sync'],
]);
/** Declared without an argument. */
const UNSAID = new Set(['q-none', UNDER_POLICY]);
const UNKEPT = new Set([...PROMISES].filter(([, mode]) => mode === 'memory').map(([name]) => name));
const KEPT = [...PROMISES.keys()].filter((name) => !UNKEPT.has(name));

/** A fanout to all that have disks, and one to a few of different promises. */
const EXCHANGES: ReadonlyMap<string, readonly string[]> = new Map([
  ['kept', KEPT],
  ['mixed', ['q-sync', 'q-async', 'q-memory']],
]);

const ROUTES: readonly Route[] = [
  ...[...PROMISES.keys()].map((name) => {
    return { exchange: '', key: name, queues: [name], streams: [] };
  }),
  ...[...EXCHANGES].map(([exchange, queues]) => ({ exchange, key: '', queues, streams: [] })),
];
/** Nothing of them can be taken while no disk has room. */
const KEPT_ROUTES = ROUTES.filter(({ queues }) => queues.every((name) => !UNKEPT.has(name)));

/** Who publishes what, how probably with delivery mode 1, and who does not care about being blocked. */
const PUBLISHERS = [
  { routes: ROUTES, transient: 0 },
  { routes: ROUTES, transient: 0.5 },
  { routes: KEPT_ROUTES, transient: 0.1, isDeaf: true },
  { routes: ROUTES.filter(({ exchange }) => exchange === ''), transient: 1 },
] as const;

export const amqpDurability: Scenario = {
  name: 'amqp-durability',
  // What a crash takes back is what is asked about: there are more of them than elsewhere.
  faults: {
    ...CLUSTER_FAULTS,
    kinds: [...CRASH_KINDS, ...LOSS_KINDS, 'disk-low'],
    meanMs: [700, 8_000],
    downMs: [100, 3_000],
    lowBytes: LOW_BYTES,
  },
  chaosMs: 30_000,
  drainMs: 300_000,
  probeEvery: 50,
  tameAfter: 8,
  bugs: ['all-transient', 'answer-before-commit', 'ack-before-durable'],
  create: (world) => new AmqpDurabilityRun(world),
};

class AmqpDurabilityRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly cluster: SimulatedCluster;
  readonly #watch: ReignWatch;
  readonly #policy: PromiseWatch;
  #isGoverned = true;
  readonly #recorder: QueueRecorder;
  readonly #publishers: AmqpPublisher[] = [];
  readonly #consumers: AmqpConsumer[] = [];
  readonly #blocks: BlockEvent[] = [];
  readonly #shortages: Period[] = [];
  #shortSinceMs: number | undefined;
  readonly #everywhere: Period[] = [];
  #clients = 0;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, {
      diskFreeMinBytes: DISK_FREE_MIN_BYTES,
      onRunning: (node, process, running) => this.#govern(node, process, running),
    });
    this.#policy = new PromiseWatch(world, () => this.cluster.durabilitiesOf(UNDER_POLICY));
    const logs = [...PROMISES.keys()].map((name) => ({ name, destination: name, partition: 0 }));
    this.#watch = new ReignWatch(world, this.cluster, logs);
    this.#recorder = new QueueRecorder(world);
    const { queues } = this.#recorder.history;
    for (const name of PROMISES.keys()) queues.push({ name, isDurable: true, exchanges: [] });
  }

  start(): void {
    this.cluster.start();
    for (const options of PUBLISHERS) {
      const random = this.#world.workload.fork(`publisher ${this.#publishers.length}`);
      const meanGapMs = between(random, 20, 100);
      const bodyBytesMax = between(random, 16, 2_000);
      const drawn = { meanGapMs, bodyBytesMax, mandatory: 0.2 };
      const publisher = new AmqpPublisher(this.#client(), { ...options, ...drawn });
      this.#publishers.push(publisher);
      this.cluster.run(publisher.run());
    }
    for (const queue of PROMISES.keys()) {
      this.#consumer({ queue, kind: 'durable' });
      this.#consumer({ queue, kind: 'durable', isGetting: queue === 'q-async' });
    }
  }

  override probe(): Violation | undefined {
    this.#watch.look();
    this.#policy.look();
    this.#noteShortage();
    return super.probe();
  }

  #noteShortage(): void {
    const { nowMs } = this.#world;
    const isShort = this.#world.nodes('server').some(({ device }) => device.isShort);
    if (isShort) this.#shortSinceMs ??= nowMs;
    else if (this.#shortSinceMs !== undefined) {
      this.#shortages.push([this.#shortSinceMs, nowMs]);
      this.#shortSinceMs = undefined;
    }
  }

  // ---- operators -----------------------------------------------------------------------------

  /** One at each node, as long as its process lives. What becomes of a change is for the watch to see. */
  #govern(node: SimNode, process: SimProcess, { changes }: ProbedNode): void {
    const { clock, timers } = process.environment;
    const random = this.#world.workload.fork(`operator ${node.id} ${node.starts}`);
    const next = () => {
      if (!this.#isGoverned) return;
      const definition = [['x-durability', JSON.stringify(pick(random, POLICIES))]] as const;
      const policy = { vhost: '/', name: 'p', pattern: `^${UNDER_POLICY}$`, definition } as const;
      void changes?.putPolicy({ ...policy, applyTo: 'queues', priority: 0 }, 5_000);
      timers.at(clock.monotonicMs() + between(random, ...POLICY_EVERY_MS), next);
    };
    timers.at(clock.monotonicMs() + between(random, ...POLICY_EVERY_MS), next);
  }

  // ---- clients -------------------------------------------------------------------------------

  /** On a host of its own, which nodes take for their own machine: others may not log in. */
  #client(): AmqpClientFacts {
    this.#clients += 1;
    const id = `c${this.#clients}`;
    const { environment: env } = this.#world.node(id, 'client', true).start();
    const random = this.#world.workload.fork(id);
    const nodes = this.cluster.addresses.map(({ host }) => ({ host, port: AMQP_PORT }));
    return { env, id, random, nodes, recorder: this.#recorder, topology, blocks: this.#blocks };
  }

  #consumer(options: AmqpConsumerOptions): AmqpConsumer {
    const consumer = new AmqpConsumer(this.#client(), options);
    this.#consumers.push(consumer);
    this.cluster.run(consumer.run());
    return consumer;
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    await this.until('all nodes recover', () => this.cluster.areNodesWhole());
    await this.#goOn();
    await this.#runLow();
    await this.until('all nodes are whole', () => this.cluster.areNodesWhole());
    this.#recorder.add({ kind: 'calm', atMs: this.#world.nowMs });
    await this.until('workload', () => this.#acknowledged() >= ACKNOWLEDGED_MIN);
    for (const publisher of this.#publishers) publisher.stop();
    this.#isGoverned = false;
    await this.until('publishers finish', () => this.#publishers.every(({ isDone }) => isDone));
    for (const consumer of this.#consumers) consumer.beOrderly();
    await this.until('consumers consume', () =>
      this.#consumers.every(({ isConsuming }) => isConsuming),
    );
    await this.#settle();
    const effectiveMs = this.#world.nowMs + EFFECTIVE_AFTER_MS + 3_000;
    await this.until('acknowledgements are effective', () => this.#world.nowMs > effectiveMs);
    await this.#leave();
    this.#recorder.add({ kind: 'disturbed', atMs: this.#world.nowMs });
    await this.#aftermath();
    await this.rest();
  }

  /** Every publisher has something confirmed that it publishes from here on. */
  async #goOn(): Promise<void> {
    const { nowMs } = this.#world;
    await this.until('publishers go on', () =>
      this.#publishers.every(({ isBlocked, confirmedMs }) => !isBlocked && confirmedMs >= nowMs),
    );
  }

  /** All disks at once; nothing else fails. */
  async #runLow(): Promise<void> {
    const sinceMs = this.#world.nowMs;
    const { workload } = this.#world;
    const ends = this.#world.nodes('server').map(({ id, device }) => {
      return device.leave(between(workload.fork(`low ${id}`), ...LOW_BYTES));
    });
    await this.until('publishers are told to wait', () =>
      this.#publishers.every(({ isBlocked }) => isBlocked),
    );
    const untilMs = Math.max(this.#world.nowMs, sinceMs + LOOK_LAG_MS) + LOW_EVERYWHERE_MS;
    await this.until('disks stay low', () => this.#world.nowMs > untilMs);
    this.#everywhere.push([sinceMs, this.#world.nowMs]);
    for (const end of ends) end();
    await this.#goOn();
  }

  /** What is not settled then is a finding, or may be gone. */
  async #settle(): Promise<void> {
    const { history } = this.#recorder;
    const limitMs = this.#world.nowMs + SETTLE_LIMIT_MS;
    let seen = history.events.length;
    let changedMs = this.#world.nowMs;
    await this.until('everything is settled', () => {
      const { length } = history.events;
      const isMore = history.events.slice(seen).some(({ kind }) => kind === 'delivered');
      if (isMore) changedMs = this.#world.nowMs;
      seen = length;
      const isQuiet = this.#world.nowMs > changedMs + QUIET_MS;
      return isQuiet || this.#world.nowMs > limitMs;
    });
  }

  /** Everything loses its power at once; then somebody looks into every queue. */
  async #aftermath(): Promise<void> {
    for (const node of this.#world.nodes('server')) {
      node.powerCut();
      this.cluster.boot(node);
    }
    const lookers = [...PROMISES.keys()].map((queue) => this.#consumer({ queue, kind: 'durable' }));
    for (const looker of lookers) looker.beOrderly();
    await this.until('consumers come back', () => lookers.every(({ isConsuming }) => isConsuming));
    const lookedMs = this.#world.nowMs + AFTERMATH_MS;
    await this.until('a look at what is left', () => this.#world.nowMs > lookedMs);
    await this.#leave();
    await this.until('all nodes recover again', () => this.cluster.areNodesWhole());
  }

  async #leave(): Promise<void> {
    for (const consumer of this.#consumers) consumer.stop();
    await this.until('consumers leave', () => this.#consumers.every(({ isDone }) => isDone));
  }

  describe(): string {
    const blocked = this.#publishers.filter(({ isBlocked }) => isBlocked).length;
    return [
      `${this.#acknowledged()} acknowledged, ${blocked} publishers blocked`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  // ---- what is said in the end ---------------------------------------------------------------

  check(): readonly Violation[] {
    const history = this.#judged();
    const found: Violation[] = [
      ...checkQueues(asOwed(history, this.#witnessed())),
      ...checkQueueDurability(history, this.#witnessed()),
      ...checkBlocks({
        events: this.#blocks,
        shortages: this.#allShortages(),
        everywhere: this.#everywhere,
        publishes: history.publishes,
        unkept: UNKEPT,
        endMs: this.#world.nowMs,
      }),
      ...this.cluster.idleViolations(),
    ];
    if (found.length === 0 && this.#policy.changes < POLICY_CHANGES_MIN) {
      found.push({ check: 'workload', message: 'the policy did not change the queue' });
    }
    if (found.length === 0 && countEffective(history) === 0) {
      found.push({ check: 'workload', message: 'no acknowledgement could have been forgotten' });
    }
    return found;
  }

  /** Queues that not every node has cannot be published to while those are down that have them. */
  #judged(): QueueHistory {
    const { history } = this.#recorder;
    const queues = history.queues.map((queue) => ({
      ...queue,
      isPartial: !this.cluster.isEverywhere(queue.name),
    }));
    return { ...history, queues };
  }

  #allShortages(): readonly Period[] {
    const since = this.#shortSinceMs;
    return since === undefined ? this.#shortages : [...this.#shortages, [since, Infinity]];
  }

  #witnessed(): DurabilityHistory {
    const weakest = (fromMs: number, toMs: number) => this.#policy.weakest(fromMs, toMs);
    const changing = new Map([[UNDER_POLICY, weakest]]);
    return { promises: PROMISES, reigns: this.#watch.reigns(), changing };
  }

  /** Lost: against what its durability names. */
  counts(): ScenarioCounts {
    const { history } = this.#recorder;
    const lost = checkQueueDurability(history, this.#witnessed()).length;
    return {
      operations: history.publishes.length,
      acknowledged: this.#acknowledged(),
      lost,
      allowed: countGone(history) - lost,
    };
  }

  #acknowledged(): number {
    return this.#recorder.history.publishes.filter(({ outcome }) => outcome === 'confirmed').length;
  }
}

async function topology(connection: AmqpConnection): Promise<void> {
  for (const [queue, mode] of PROMISES) {
    const value = { type: 'longstr', value: mode } as const;
    await connection.call(CHANNEL, 'queue.declare', {
      queue,
      durable: true,
      arguments: UNSAID.has(queue) ? [] : [{ name: 'x-durability', value }],
    });
  }
  for (const [exchange, queues] of EXCHANGES) {
    const args = { exchange, type: 'fanout', durable: true };
    await connection.call(CHANNEL, 'exchange.declare', args);
    for (const queue of queues) await bind(connection, queue, exchange, '');
  }
}
