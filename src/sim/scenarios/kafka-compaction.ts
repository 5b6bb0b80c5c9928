// A topic that is compacted by key while nodes die, lose power and change leaders in the middle of it. Readers walk over
// it from its start again and again; what they may see is judged by a checker that knows only what was sent.

import {
  checkCompacted,
  countLostKeys,
  hasGap,
  type KeyedSend,
  type WholeRead,
} from '../checkers/compacted.ts';
import { between } from '../draws.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import { KeyedProducer, walk } from '../workloads/keyed.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import {
  CLUSTER_FAULTS,
  NODE_COUNT,
  PROBE_EVERY_EVENTS,
  SimulatedCluster,
} from './simulated-cluster.ts';

const TOPIC = 'tables';
const PARTITIONS = 2;
const KEYS = 40;
const ACKNOWLEDGED_MIN = 1_500;
const DELETE_RETENTION_MS = 8_000;
/** For what was sealed to be compacted everywhere: a node whose disk was full looks again after a minute. */
const COMPACTED_MS = 75_000;
const CONFIG = {
  'cleanup.policy': 'compact',
  'segment.bytes': '8000',
  'min.cleanable.dirty.ratio': '0.1',
  'delete.retention.ms': String(DELETE_RETENTION_MS),
};
/** So few that some passes need several rounds. */
const COMPACTION = { paceMs: 500, mapBytesMax: 24 * 32 };
/** What a key has in segments that are still written to, and a few that were sealed last. */
const PER_KEY_MAX = 16;
/** A tenth of what is judged of an ordinary seed. */
const JUDGED_MIN = 200;
/** Clocks of nodes go at other rates than the world's, by a part of a percent. */
const CLOCK_SLACK_MS = 500;

export const kafkaCompaction: Scenario = {
  name: 'kafka-compaction',
  faults: CLUSTER_FAULTS,
  chaosMs: 30_000,
  drainMs: 180_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: ['tombstones-go-at-once', 'compaction-drops-newest'],
  create: (world) => new KafkaCompactionRun(world),
};

class KafkaCompactionRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #sends: KeyedSend[] = [];
  readonly #reads: WholeRead[] = [];
  readonly cluster: SimulatedCluster;
  readonly #producers: KeyedProducer[] = [];
  #observer: KafkaClient | undefined;
  #isReading = true;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, {
      checkpointBytes: 32 * 1024,
      compaction: COMPACTION,
    });
  }

  start(): void {
    this.cluster.start();
    const { workload } = this.#world;
    const nowMs = () => this.#world.nowMs;
    const observer = this.cluster.kafkaClient('observer');
    this.#observer = observer;
    this.cluster.run(observer.makeTopic(TOPIC, PARTITIONS, NODE_COUNT, CONFIG));
    const ids = { next: 1 };
    for (let i = 1; i <= 2; i += 1) {
      const random = workload.fork(`producer ${i}`);
      const options = {
        topic: TOPIC,
        partitions: PARTITIONS,
        keys: KEYS,
        meanGapMs: between(random, 30, 90),
        bodyBytesMax: between(random, 200, 1_500),
        nowMs,
      };
      const client = this.cluster.kafkaClient(`p${i}`);
      const producer = new KeyedProducer(client, this.#sends, ids, random, options);
      this.#producers.push(producer);
      this.cluster.run(producer.run());
    }
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      this.cluster.run(this.#read(this.cluster.kafkaClient(`r${partition}`), partition));
    }
  }

  async #read(client: KafkaClient, partition: number): Promise<void> {
    while (this.#isReading) {
      await client.sleep(400);
      const read = await walk(client, TOPIC, partition, () => this.#world.nowMs, false);
      if (read !== undefined) this.#reads.push(read);
    }
  }

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    const client = this.#observer!;
    while (this.#acknowledged() < ACKNOWLEDGED_MIN) await client.sleep(100);
    for (const each of this.#producers) each.stop();
    this.step = 'producers finish';
    while (!this.#producers.every((each) => each.isDone)) await client.sleep(100);
    this.#isReading = false;
    await client.sleep(COMPACTED_MS);
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      this.step = `read-back of ${partition}`;
      for (;;) {
        const read = await walk(client, TOPIC, partition, () => this.#world.nowMs, true);
        if (read !== undefined) {
          this.#reads.push(read);
          break;
        }
      }
    }
    await this.rest(() => client.sleep(100));
  }

  describe(): string {
    const down = this.cluster.down();
    return `${this.#acknowledged()} acknowledged, ${this.#reads.length} reads; down: ${down}, step: ${this.step}`;
  }

  check(): readonly Violation[] {
    return [
      ...this.#judged(),
      ...this.#rotten(),
      ...this.cluster.idleViolations(),
      ...this.#idle(),
    ];
  }

  /** What was rewritten lies whole on every device, whoever leads. */
  #rotten(): Violation[] {
    if (!this.isAtRest) return [];
    return Array.from({ length: PARTITIONS }).flatMap((_, partition) => {
      return this.cluster.rotten(TOPIC, partition, 0) ?? [];
    });
  }

  #judged(): Violation[] {
    return checkCompacted(this.#sends, this.#reads, {
      deleteRetentionMs: DELETE_RETENTION_MS - CLOCK_SLACK_MS,
      perKeyMax: PER_KEY_MAX,
      judgedMin: JUDGED_MIN,
    });
  }

  /** A checker that saw nothing go would prove nothing. */
  #idle(): Violation[] {
    return this.#reads.some(hasGap)
      ? []
      : [{ check: 'workload', message: 'nothing was compacted' }];
  }

  counts(): ScenarioCounts {
    const lost = countLostKeys(this.#judged());
    return { operations: this.#sends.length, acknowledged: this.#acknowledged(), lost };
  }

  #acknowledged(): number {
    return this.#sends.filter(({ outcome }) => outcome === 'acknowledged').length;
  }
}
