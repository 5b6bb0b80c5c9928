// Topics of every durability beside one another, under the faults of the other scenarios. What was answered and is gone
// must be what its durability names: who led, and in which life of which process, is seen from outside. What anybody has
// read is committed, and lost in no durability but `memory`.

import {
  asPromised,
  checkDurability,
  countGone,
  type DurabilityHistory,
  type PromisedDurability,
} from '../checkers/durability.ts';
import { emptyHistory, type KafkaHistory } from '../checkers/kafka-history.ts';
import { checkKafkaLog, countAcknowledged } from '../checkers/kafka-log.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import type { KafkaProducer, TopicPlan } from '../workloads/kafka-producer.ts';
import { FollowingConsumer } from '../workloads/kafka-reader.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import { readAllBack, startProducers } from './kafka-parts.ts';
import { ReignWatch, type WatchedLog } from './reigns.ts';
import {
  CLUSTER_FAULTS,
  NODE_COUNT,
  PROBE_EVERY_EVENTS,
  SimulatedCluster,
} from './simulated-cluster.ts';

const ACKNOWLEDGED_MIN = 2_000;
const PARTITIONS = 2;
const PROMISES: ReadonlyMap<string, PromisedDurability> = new Map(
  (['sync', 'replicated', 'async', 'memory'] as const).map((mode) => [`t-${mode}`, mode]),
);
const PROMISED_LOSS = new Set([...PROMISES.values()].map((mode) => `durability/${mode}`));
const TOPICS: readonly TopicPlan[] = [...PROMISES.keys()].map((name) => ({
  name,
  partitions: PARTITIONS,
}));
const LOGS: readonly WatchedLog[] = TOPICS.flatMap(({ name: destination, partitions }) =>
  Array.from({ length: partitions }, (_, partition) => {
    return { name: `${destination}-${partition}`, destination, partition };
  }),
);

export const kafkaDurability: Scenario = {
  name: 'kafka-durability',
  // What a crash takes back is what is asked about: there are more of them than elsewhere.
  faults: { ...CLUSTER_FAULTS, meanMs: [700, 8_000], downMs: [100, 3_000] },
  chaosMs: 30_000,
  drainMs: 120_000,
  probeEvery: PROBE_EVERY_EVENTS,
  // Two of five lose nothing.
  tameAfter: 8,
  bugs: ['answer-before-commit', 'answer-unreceived', 'answer-unstored', 'answer-unkept'],
  create: (world) => new KafkaDurabilityRun(world),
};

class KafkaDurabilityRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #history: KafkaHistory = emptyHistory();
  readonly #watch: ReignWatch;
  readonly cluster: SimulatedCluster;
  #producers: readonly KafkaProducer[] = [];
  readonly #followers: FollowingConsumer[] = [];
  #observer: KafkaClient | undefined;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world);
    this.#watch = new ReignWatch(world, this.cluster, LOGS);
  }

  // ---- nodes ---------------------------------------------------------------------------------

  start(): void {
    this.cluster.start();
    this.#startClients();
  }

  override probe(): Violation | undefined {
    this.#watch.look();
    return super.probe();
  }

  #witnessed(): DurabilityHistory {
    return { promises: PROMISES, reigns: this.#watch.reigns() };
  }

  // ---- clients -------------------------------------------------------------------------------

  #startClients(): void {
    this.#observer = this.cluster.kafkaClient('observer');
    this.cluster.run(this.#createTopics(this.#observer));
    this.#producers = startProducers(this.#world, this.cluster, this.#history, {
      count: 6,
      topics: TOPICS,
      gapMs: [5, 40],
      bodyBytes: [16, 2_000],
      leaderAcks: 0.2,
      isTimed: true,
    });
    for (const { name, partitions } of TOPICS) {
      for (let partition = 0; partition < partitions; partition += 1) {
        const client = this.cluster.kafkaClient(`f-${name}-${partition}`);
        const follower = new FollowingConsumer(client, this.#history.polls, name, partition);
        this.#followers.push(follower);
        this.cluster.run(follower.run());
      }
    }
  }

  async #createTopics(client: KafkaClient): Promise<void> {
    for (const [name, mode] of PROMISES) {
      const replicas = mode === 'memory' ? 1 : NODE_COUNT;
      const config = { 'callboard.durability': mode };
      await client.makeTopic(name, PARTITIONS, replicas, config);
    }
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    const client = this.#observer!;
    while (this.#acknowledged() < ACKNOWLEDGED_MIN) await client.sleep(100);
    for (const producer of this.#producers) producer.stop();
    this.step = 'producers finish';
    while (!this.#producers.every((producer) => producer.isDone)) await client.sleep(100);
    // What was answered last is written by now: nothing of it may be said to have been under way.
    await client.sleep(1_000);
    const reader = this.cluster.kafkaClient('reader');
    await readAllBack(reader, this.#history.finalPolls, TOPICS, (step) => {
      this.step = step;
    });
    for (const follower of this.#followers) follower.stop();
    await this.rest(() => client.sleep(100));
  }

  describe(): string {
    const gone = [...countGone(this.#history, PROMISES)].map(([mode, count]) => `${mode} ${count}`);
    return [
      `${this.#acknowledged()} acknowledged, gone: ${gone.join(', ') || 'none'}`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    return [
      ...checkKafkaLog(asPromised(this.#history, PROMISES)),
      ...checkDurability(this.#history, this.#witnessed()),
      ...this.cluster.idleViolations(),
    ];
  }

  /** Lost: against what its durability names. */
  counts(): ScenarioCounts {
    const isLoss = ({ check }: Violation) => PROMISED_LOSS.has(check);
    const lost = checkDurability(this.#history, this.#witnessed()).filter(isLoss).length;
    const isReadBack = this.#history.finalPolls.length > 0;
    let gone = 0;
    for (const count of countGone(this.#history, PROMISES).values()) gone += count;
    return {
      operations: this.#history.sends.length,
      acknowledged: this.#acknowledged(),
      lost,
      allowed: isReadBack ? gone - lost : 0,
    };
  }

  #acknowledged(): number {
    return countAcknowledged(this.#history);
  }
}
