// Three nodes under the same faults as for Kafka's clients, driven by RocketMQ clients of our own: producers that
// send again what they are not sure of, and simple consumers in groups that share topics. Clients die and come back
// as others. In the end every group must be done with everything that was stored, and after a power cut of
// everything nothing may come again that it was done with.

import type { GroupFacts, GroupHistory } from '../checkers/group-history.ts';
import { checkGroups, countLostSends, openMessages } from '../checkers/groups.ts';
import { between, exponential, pick } from '../draws.ts';
import type { SimNode } from '../node.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import { CallFailedError } from '../workloads/kafka-connection.ts';
import type { RocketClientFacts } from '../workloads/rocket-client.ts';
import { RocketConsumer } from '../workloads/rocket-consumer.ts';
import { RocketProducer, type RocketProducerOptions } from '../workloads/rocket-producer.ts';
import { RocketRecorder } from '../workloads/rocket-recorder.ts';
import type { World } from '../world.ts';
import { ClusterRun, STEP_MS } from './cluster-run.ts';
import {
  CLUSTER_FAULTS,
  NODE_COUNT,
  REPLICATION_BUGS,
  ROCKET_PORT,
  SimulatedCluster,
} from './simulated-cluster.ts';

const STORED_MIN = 1_000;
/** Views are in snapshots, so there should be some. */
const CHECKPOINT_BYTES = [16_384, 131_072, 1_048_576];
/** Between two looks at the whole history. */
const LOOK_MS = 500;
/** When consumers of what is left come no further for so long, the rest is a finding: more than any lease. */
const STANDSTILL_MS = 60_000;
/** How long they look for what should not come again. */
const AFTERMATH_MS = 2_000;
const MEAN_LIFE_MS = 15_000;
const REBIRTH_MS = [100, 2_000] as const;
/** More partitions than names, so that some names have two queues. */
const ORDERS = { topic: 'orders', partitions: 6 };
const EVENTS = { topic: 'events', partitions: 3 };
const IS_THERE = 36;

const GROUPS: readonly GroupFacts[] = [
  { group: 'billing', topic: ORDERS.topic, tags: undefined },
  { group: 'billing', topic: EVENTS.topic, tags: undefined },
  { group: 'audit', topic: ORDERS.topic, tags: ['a', 'b'] },
  { group: 'mirror', topic: EVENTS.topic, tags: undefined },
];

const CONSUMERS = [
  { group: 'billing', receives: 2 },
  { group: 'billing', receives: 2 },
  { group: 'audit', receives: 1 },
  { group: 'audit', receives: 2 },
  { group: 'mirror', receives: 1 },
];

const PRODUCERS = [
  { topic: ORDERS.topic, tags: ['a', 'b', 'c'], messageGroups: ['x', 'y'] },
  { topic: ORDERS.topic, tags: ['a', 'c'], messageGroups: ['x', 'z'] },
  { topic: EVENTS.topic, tags: ['a'], messageGroups: ['e'] },
];

export const rocketmqCluster: Scenario = {
  name: 'rocketmq-cluster',
  faults: CLUSTER_FAULTS,
  chaosMs: 30_000,
  drainMs: 300_000,
  probeEvery: 100,
  bugs: [
    ...REPLICATION_BUGS,
    'drop-lease',
    'ack-ignores-holder',
    'forget-acknowledged',
    'give-early',
    'give-twice',
  ],
  create: (world) => new RocketmqClusterRun(world),
};

/** A host on which one client after another lives. */
interface Seat {
  readonly host: SimNode;
  /** Starts the client of the present life. */
  readonly begin: (facts: RocketClientFacts) => void;
  lives: number;
}

class RocketmqClusterRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly cluster: SimulatedCluster;
  readonly #recorder: RocketRecorder;
  readonly #seats: Seat[] = [];
  /** By seat: the client that lives there. */
  readonly #producers = new Map<number, RocketProducer>();
  readonly #consumers = new Map<number, RocketConsumer>();
  #isDraining = false;

  constructor(world: World) {
    super();
    this.#world = world;
    const checkpointBytes = pick(world.workload.fork('checkpoints'), CHECKPOINT_BYTES)!;
    this.cluster = new SimulatedCluster(world, { servesRocket: true, checkpointBytes });
    this.#recorder = new RocketRecorder(world);
    this.#recorder.history.groups.push(...GROUPS);
  }

  get history(): GroupHistory {
    return this.#recorder.history;
  }

  start(): void {
    this.cluster.start();
    this.cluster.run(this.#begin());
  }

  // ---- clients -------------------------------------------------------------------------------

  /**
   * Clients come when the topics are there: what they make by themselves has only as many replicas as there are
   * live nodes, and could be lost with one.
   */
  async #begin(): Promise<void> {
    const maker = this.cluster.kafkaClient('maker');
    for (const facts of [ORDERS, EVENTS]) await this.#make(maker, facts);
    const random = this.#world.workload.fork('producers');
    for (const facts of PRODUCERS) {
      const meanGapMs = between(random, 80, 300);
      this.#producer({ ...facts, meanGapMs, bodyBytesMax: between(random, 16, 2_000) });
    }
    for (const { group, receives } of CONSUMERS) this.#consumer(group, receives);
  }

  async #make(maker: KafkaClient, { topic, partitions }: typeof ORDERS): Promise<void> {
    let code = -1;
    while (code !== 0 && code !== IS_THERE) {
      await maker.sleep(STEP_MS);
      try {
        code = await maker.createTopic(topic, partitions, NODE_COUNT);
      } catch (error) {
        if (!(error instanceof CallFailedError)) throw error;
      }
    }
  }

  #producer(options: RocketProducerOptions): void {
    const seat = this.#seats.length;
    this.#seat((facts) => {
      const producer = new RocketProducer(facts, options);
      this.#producers.set(seat, producer);
      this.cluster.run(producer.run());
    });
  }

  #consumer(group: string, receives: number): RocketConsumer {
    const seat = this.#seats.length;
    this.#seat((facts) => {
      const topics = GROUPS.filter((each) => each.group === group);
      const consumer = new RocketConsumer(facts, { group, topics, receives });
      this.#consumers.set(seat, consumer);
      this.cluster.run(consumer.run());
    });
    return this.#consumers.get(seat)!;
  }

  #seat(begin: Seat['begin']): void {
    const id = `c${this.#seats.length + 1}`;
    const seat = { host: this.#world.node(id, 'client'), begin, lives: 0 };
    this.#seats.push(seat);
    this.#live(seat);
  }

  #live(seat: Seat): void {
    const { host, begin } = seat;
    const { environment: env } = host.start();
    seat.lives += 1;
    const id = `${host.id}.${seat.lives}`;
    const random = this.#world.workload.fork(id);
    const nodes = this.cluster.addresses.map(({ host: at }) => ({ host: at, port: ROCKET_PORT }));
    begin({ env, id, random, nodes, recorder: this.#recorder });
    const lifeMs = exponential(random, MEAN_LIFE_MS);
    this.#world.afterMs(lifeMs, () => {
      if (this.#isDraining || !host.isUp) return;
      host.kill();
      this.#world.afterMs(between(random, ...REBIRTH_MS), () => this.#live(seat));
    });
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    await this.until('all nodes recover', () => this.cluster.areNodesWhole());
    await this.until('workload', () => this.#stored() >= STORED_MIN);
    this.#isDraining = true;
    await this.until('clients come back', () => this.#seats.every(({ host }) => host.isUp));
    for (const producer of this.#producers.values()) producer.stop();
    await this.until('producers finish', () =>
      [...this.#producers.values()].every(({ isDone }) => isDone),
    );
    for (const consumer of this.#consumers.values()) consumer.beOrderly();
    const open = () => openMessages(this.history).size;
    await this.untilNoneLeft('groups are done with everything', open, STANDSTILL_MS, LOOK_MS);
    await this.#leave();
    this.#recorder.add({ kind: 'drained' });
    await this.#aftermath();
    await this.rest();
  }

  /** Everything loses its power at once; then somebody of every group looks at what there is. */
  async #aftermath(): Promise<void> {
    for (const node of this.#world.nodes('server')) {
      node.powerCut();
      this.cluster.boot(node);
    }
    const groups = [...new Set(GROUPS.map(({ group }) => group))];
    const lookers = groups.map((group) => this.#consumer(group, 1));
    for (const looker of lookers) looker.beOrderly();
    await this.until('lookers find nothing', () => lookers.every(({ hasLooked }) => hasLooked));
    const lookedMs = this.#world.nowMs + AFTERMATH_MS;
    await this.until('a look at what is left', () => this.#world.nowMs > lookedMs);
    await this.#leave();
    await this.until('all nodes recover again', () => this.cluster.areNodesWhole());
  }

  async #leave(): Promise<void> {
    for (const consumer of this.#consumers.values()) consumer.stop();
    await this.until('consumers leave', () =>
      [...this.#consumers.values()].every(({ isDone }) => isDone),
    );
  }

  describe(): string {
    const open = openMessages(this.history);
    return [
      `${this.#stored()} stored`,
      `${open.size} not done with, such as ${[...open].slice(0, 3).join(' ') || 'none'}`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    const found = [...checkGroups(this.history), ...this.cluster.idleViolations()];
    const isIdle = !this.history.events.some(
      (event) => event.kind === 'heard' && event.results.includes('ok'),
    );
    if (isIdle) found.push({ check: 'workload', message: 'nobody was done with any message' });
    return found;
  }

  counts(): ScenarioCounts {
    return {
      operations: this.history.sends.filter(({ outcome }) => outcome !== 'refused').length,
      acknowledged: this.#stored(),
      lost: countLostSends(this.history),
    };
  }

  #stored(): number {
    return this.history.sends.filter(({ outcome }) => outcome === 'stored').length;
  }
}
