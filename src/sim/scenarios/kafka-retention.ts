// Kafka topics whose records go: by age, by size, because somebody deletes them, while nodes die and lose power between
// the decision and the files. What is above a log's start is judged as in every Kafka log; where a log starts has a
// checker of its own; and in the end every replica holds everything from the same start on.

import { emptyHistory, type KafkaHistory, type Send } from '../checkers/kafka-history.ts';
import { checkKafkaLog, countAcknowledged, countsOf } from '../checkers/kafka-log.ts';
import {
  checkKafkaStarts,
  type KeepingPromise,
  type StartHistory,
} from '../checkers/kafka-starts.ts';
import { between } from '../draws.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import { KafkaProducer, type TopicPlan } from '../workloads/kafka-producer.ts';
import { endOf, FollowingConsumer, readBack } from '../workloads/kafka-reader.ts';
import { KafkaTrimmer } from '../workloads/kafka-trimmer.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import {
  CLUSTER_FAULTS,
  NODE_COUNT,
  PROBE_EVERY_EVENTS,
  SimulatedCluster,
  type SimulatedParts,
} from './simulated-cluster.ts';

const ACKNOWLEDGED_MIN = 1_500;
const RETENTION_MS = 5_000;
const RETENTION_BYTES = 60_000;
/** Small, so that there is something to remove at every turn. */
const SEGMENT = { 'segment.bytes': '8000' };
const CHECKPOINT_BYTES = 48 * 1024;

interface Plan extends TopicPlan {
  readonly config: Readonly<Record<string, string>>;
  readonly promise: KeepingPromise;
}

const AGED: Plan = {
  name: 'aged',
  partitions: 2,
  config: { ...SEGMENT, 'retention.ms': String(RETENTION_MS) },
  promise: { ageMs: RETENTION_MS },
};
const TOPICS: readonly Plan[] = [
  AGED,
  {
    name: 'sized',
    partitions: 1,
    config: { ...SEGMENT, 'retention.bytes': String(RETENTION_BYTES) },
    promise: { bytes: RETENTION_BYTES },
  },
  { name: 'trimmed', partitions: 6, config: { ...SEGMENT, 'segment.ms': '3000' }, promise: {} },
  { name: 'kept', partitions: 1, config: SEGMENT, promise: {} },
];

export const kafkaRetention: Scenario = {
  name: 'kafka-retention',
  faults: CLUSTER_FAULTS,
  chaosMs: 30_000,
  drainMs: 120_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: ['start-before-commit'],
  create: (world) => retentionRun(world),
};

/** The same with something otherwise. */
export function retentionRun(
  world: World,
  parts: Pick<SimulatedParts, 'scrubIntervalMs'> = {},
): ScenarioRun {
  return new KafkaRetentionRun(world, parts);
}

class KafkaRetentionRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #history: KafkaHistory = emptyHistory();
  readonly #starts: StartHistory = { starts: [], trims: [] };
  readonly cluster: SimulatedCluster;
  readonly #producers: KafkaProducer[] = [];
  readonly #followers: FollowingConsumer[] = [];
  readonly #trimmers: KafkaTrimmer[] = [];
  #observer: KafkaClient | undefined;

  constructor(world: World, parts: Pick<SimulatedParts, 'scrubIntervalMs'>) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, { checkpointBytes: CHECKPOINT_BYTES, ...parts });
  }

  // ---- nodes ---------------------------------------------------------------------------------

  start(): void {
    this.cluster.start();
    this.#startClients();
  }

  // ---- clients -------------------------------------------------------------------------------

  #startClients(): void {
    const { workload } = this.#world;
    const nowMs = () => this.#world.nowMs;
    this.#observer = this.cluster.kafkaClient('observer');
    this.cluster.run(this.#createTopics(this.#observer));
    const ids = { next: 0 };
    for (let i = 1; i <= 2; i += 1) {
      const random = workload.fork(`producer ${i}`);
      const producer = new KafkaProducer(
        this.cluster.kafkaClient(`p${i}`),
        this.#history,
        ids,
        random,
        {
          topics: TOPICS,
          meanGapMs: between(random, 30, 90),
          leaderAcks: 0.1,
          bodyBytesMax: between(random, 2_000, 10_000),
          nowMs,
        },
      );
      this.#producers.push(producer);
      this.cluster.run(producer.run());
    }
    for (const { name, partitions } of TOPICS) {
      for (let partition = 0; partition < partitions; partition += 1) {
        const client = this.cluster.kafkaClient(`f-${name}-${partition}`);
        const follower = new FollowingConsumer(client, this.#history.polls, name, partition);
        this.#followers.push(follower);
        this.cluster.run(follower.run());
      }
    }
    for (let i = 1; i <= 2; i += 1) {
      const random = workload.fork(`trimmer ${i}`);
      const trimmer = new KafkaTrimmer(this.cluster.kafkaClient(`t${i}`), this.#starts, random, {
        trimmed: TOPICS.filter(({ name }) => name === 'trimmed'),
        watched: TOPICS,
        retained: AGED.name,
        retentionMs: [RETENTION_MS, 2 * RETENTION_MS],
        meanGapMs: between(random, 100, 500),
        nowMs,
      });
      this.#trimmers.push(trimmer);
      this.cluster.run(trimmer.run());
    }
  }

  async #createTopics(client: KafkaClient): Promise<void> {
    for (const { name, partitions, config } of TOPICS) {
      await client.makeTopic(name, partitions, NODE_COUNT, config);
    }
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    const client = this.#observer!;
    while (this.#acknowledged() < ACKNOWLEDGED_MIN) await client.sleep(100);
    for (const each of [...this.#producers, ...this.#trimmers]) each.stop();
    this.step = 'producers and trimmers finish';
    const isDone = () => [...this.#producers, ...this.#trimmers].every((each) => each.isDone);
    while (!isDone()) await client.sleep(100);
    for (let partition = 0; partition < AGED.partitions; partition += 1) {
      this.step = `old records of ${AGED.name}-${partition} go`;
      const middle = this.#middleOf(AGED.name, partition);
      for (let start = -1; start <= middle; ) {
        start = (await endOf(client, AGED.name, partition, 'earliest')) ?? -1;
        await client.sleep(200);
      }
    }
    const reader = this.cluster.kafkaClient('reader');
    for (const { name: topic, partitions } of TOPICS) {
      for (let partition = 0; partition < partitions; partition += 1) {
        this.step = `read-back of ${topic}-${partition}`;
        const offset = await readBack(reader, this.#history.finalPolls, topic, partition);
        const atMs = this.#world.nowMs;
        this.#history.finalStarts.set(`${topic}-${partition}`, { offset, atMs });
      }
    }
    for (const follower of this.#followers) follower.stop();
    await this.rest(() => client.sleep(100));
  }

  /** Half of what was acknowledged lies below; -1 if nothing was. */
  #middleOf(topic: string, partition: number): number {
    const isOfLog = (send: Send) => send.topic === topic && send.partition === partition;
    const offsets = this.#history.sends.filter(isOfLog).flatMap(({ offset }) => offset ?? []);
    return offsets.sort((a, b) => a - b)[Math.floor(offsets.length / 2)] ?? -1;
  }

  describe(): string {
    const starts = [...this.#history.finalStarts].map(([name, { offset }]) => `${name}@${offset}`);
    return [
      `${this.#acknowledged()} acknowledged, ${this.#starts.trims.length} deletions`,
      `starts: ${starts.join(' ') || 'unknown'}`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    const promises = new Map(TOPICS.map(({ name, promise }) => [name, promise]));
    const mistakes = this.#trimmers.flatMap((trimmer) => trimmer.mistakes);
    return [
      ...checkKafkaLog(this.#history),
      ...checkKafkaStarts(this.#history, this.#starts, promises),
      ...mistakes.map((message) => ({ check: 'kafka-starts/beyond', message })),
      ...this.#rotten(),
      ...this.cluster.idleViolations(),
      ...this.#idle(),
    ];
  }

  /** What nobody has read since may be damaged all the same. */
  #rotten(): Violation[] {
    if (!this.isAtRest) return [];
    return TOPICS.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }).flatMap((_, partition) => {
        const start = this.#history.finalStarts.get(`${name}-${partition}`)?.offset ?? 0;
        return this.cluster.rotten(name, partition, start) ?? [];
      }),
    );
  }

  /** Checkers that saw nothing move would prove nothing. */
  #idle(): Violation[] {
    const hasMoved = (topic: string) =>
      [...this.#history.finalStarts].some(([name, { offset }]) => {
        return name.startsWith(`${topic}-`) && offset > 0;
      });
    const still = ['aged', 'sized'].filter((topic) => !hasMoved(topic));
    const trims = this.#starts.trims.filter(({ outcome }) => outcome === 'acknowledged').length;
    if (still.length === 0 && trims > 0) return [];
    const message = `${trims} deletions acknowledged, nothing went of ${still.join(', ')}`;
    return [{ check: 'workload', message }];
  }

  counts(): ScenarioCounts {
    return countsOf(this.#history);
  }

  #acknowledged(): number {
    return countAcknowledged(this.#history);
  }
}
