// A Kafka topic whose consumers read from the replica of their rack (KIP-392), while nodes die, stall and are cut off:
// whatever a replica gives is what it knows as committed, and stays, however the leader changes.

import { emptyHistory, type KafkaHistory } from '../checkers/kafka-history.ts';
import { checkKafkaLog, countAcknowledged, countsOf } from '../checkers/kafka-log.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import type { KafkaProducer, TopicPlan } from '../workloads/kafka-producer.ts';
import { FollowingConsumer, NearestReplica, readBack } from '../workloads/kafka-reader.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import { startProducers } from './kafka-parts.ts';
import {
  CLUSTER_FAULTS,
  NODE_COUNT,
  PROBE_EVERY_EVENTS,
  SimulatedCluster,
} from './simulated-cluster.ts';

const ACKNOWLEDGED_MIN = 1_000;
const TOPIC: TopicPlan = { name: 'near', partitions: 2 };
const CONFIG = { 'callboard.read.from': 'replica' };
const rackOf = (node: number) => `rack-${node}`;

export const kafkaReplicaReads: Scenario = {
  name: 'kafka-replica-reads',
  faults: CLUSTER_FAULTS,
  chaosMs: 20_000,
  drainMs: 120_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: ['replica-reads-to-its-end'],
  create: (world) => new KafkaReplicaReadsRun(world),
};

class KafkaReplicaReadsRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #history: KafkaHistory = emptyHistory();
  readonly cluster: SimulatedCluster;
  #producers: readonly KafkaProducer[] = [];
  readonly #readers: FollowingConsumer[] = [];
  readonly #nearest: NearestReplica[] = [];
  #observer: KafkaClient | undefined;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, { rackOf });
  }

  start(): void {
    this.cluster.start();
    this.#observer = this.cluster.kafkaClient('observer');
    this.cluster.run(this.#observer.makeTopic(TOPIC.name, TOPIC.partitions, NODE_COUNT, CONFIG));
    this.#producers = startProducers(this.#world, this.cluster, this.#history, {
      count: 2,
      topics: [TOPIC],
      gapMs: [20, 80],
      bodyBytes: [16, 2_000],
      leaderAcks: 0.6,
    });
    for (let node = 1; node <= NODE_COUNT; node += 1) {
      for (let partition = 0; partition < TOPIC.partitions; partition += 1) {
        const client = this.cluster.kafkaClient(`f${node}-${partition}`);
        const nearest = new NearestReplica(rackOf(node), (at, of) => {
          return this.cluster.committedAt(at, TOPIC.name, of);
        });
        const { polls } = this.#history;
        const reader = new FollowingConsumer(client, polls, TOPIC.name, partition, nearest);
        this.#nearest.push(nearest);
        this.#readers.push(reader);
        this.cluster.run(reader.run());
      }
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
    const back = this.cluster.kafkaClient('reader');
    const ends: number[] = [];
    for (let partition = 0; partition < TOPIC.partitions; partition += 1) {
      this.step = `read-back of ${TOPIC.name}-${partition}`;
      const { finalPolls } = this.#history;
      await readBack(back, finalPolls, TOPIC.name, partition);
      const offsets = finalPolls.flatMap((poll) => {
        return poll.partition === partition ? poll.offsets : [];
      });
      ends.push(Math.max(-1, ...offsets));
    }
    // An idle replica hears of the last commit too.
    this.step = 'replicas give everything';
    const isThrough = (reader: FollowingConsumer, index: number) =>
      reader.position > ends[index % TOPIC.partitions]!;
    while (!this.#readers.every(isThrough)) await client.sleep(100);
    for (const reader of this.#readers) reader.stop();
    await this.rest(() => client.sleep(100));
  }

  describe(): string {
    const positions = this.#readers.map(({ position }) => position).join(' ');
    const reads = `${this.#replicaReads()} reads of replicas, positions ${positions}`;
    return `${this.#acknowledged()} acknowledged, ${reads}; down: ${this.cluster.down()}, step: ${this.step}`;
  }

  check(): readonly Violation[] {
    const idle: Violation[] = [];
    // A checker that saw no replica read would prove nothing.
    if (this.#replicaReads() === 0) {
      idle.push({ check: 'workload', message: 'nobody has read from a replica' });
    }
    const beyond = this.#nearest.flatMap((nearest) => nearest.beyond);
    return [
      ...checkKafkaLog(this.#history),
      ...beyond.map((message) => ({ check: 'replica-reads/beyond', message })),
      ...this.cluster.idleViolations(),
      ...idle,
    ];
  }

  /** With records in them. */
  #replicaReads(): number {
    return this.#nearest.reduce((sum, { reads }) => sum + reads, 0);
  }

  counts(): ScenarioCounts {
    return countsOf(this.#history);
  }

  #acknowledged(): number {
    return countAcknowledged(this.#history);
  }
}
