// The real thing: three nodes as they are shipped, composed by the assembly room, driven by Kafka clients
// of our own, under every fault that durable synchronous writes on two of three nodes survive. What
// clients were told is checked against what they read, and committed offsets against a register.

import { emptyHistory, type KafkaHistory } from '../checkers/kafka-history.ts';
import { checkKafkaLog, countAcknowledged, countsOf } from '../checkers/kafka-log.ts';
import { checkRegisters, type RegisterOperation } from '../checkers/register.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import { CallFailedError } from '../workloads/kafka-connection.ts';
import { GroupMember, type OffsetRegisters } from '../workloads/kafka-group.ts';
import type { KafkaProducer, TopicPlan } from '../workloads/kafka-producer.ts';
import type { FollowingConsumer } from '../workloads/kafka-reader.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import { readAllBack, startFollowers, startProducers } from './kafka-parts.ts';
import {
  CLUSTER_FAULTS,
  NODE_COUNT,
  PROBE_EVERY_EVENTS,
  RAFT_BUGS,
  REPLICATION_BUGS,
  SimulatedCluster,
} from './simulated-cluster.ts';

const ACKNOWLEDGED_MIN = 2_000;
const VIEW_EVERY_MS = 300;
const TOPICS: readonly TopicPlan[] = [
  { name: 'orders', partitions: 3 },
  { name: 'events', partitions: 2 },
];
/** Whom the group reads. */
const GROUP_TOPIC = TOPICS[0]!;
const GROUP = 'readers';

export const kafkaCluster: Scenario = {
  name: 'kafka-cluster',
  faults: CLUSTER_FAULTS,
  chaosMs: 30_000,
  drainMs: 120_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: [...REPLICATION_BUGS, ...RAFT_BUGS],
  create: (world) => new KafkaClusterRun(world),
};

class KafkaClusterRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #history: KafkaHistory = emptyHistory();
  readonly #registers: OffsetRegisters = new Map();
  readonly cluster: SimulatedCluster;
  #producers: readonly KafkaProducer[] = [];
  #followers: readonly FollowingConsumer[] = [];
  readonly #members: GroupMember[] = [];
  #observer: KafkaClient | undefined;
  #areTopicsMade = false;
  #viewAtMs = -1;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world);
  }

  // ---- nodes ---------------------------------------------------------------------------------

  start(): void {
    this.cluster.start();
    this.#startClients();
  }

  /** A topic that cannot be made holds up whoever sends to it: no story is about that. */
  override isWhole(): boolean {
    return this.#areTopicsMade && super.isWhole();
  }

  // ---- clients -------------------------------------------------------------------------------

  #startClients(): void {
    this.#observer = this.cluster.kafkaClient('observer');
    this.cluster.run(this.#watch(this.#observer));
    this.#producers = startProducers(this.#world, this.cluster, this.#history, {
      count: 2,
      topics: TOPICS,
      gapMs: [30, 120],
      bodyBytes: [16, 2_000],
      leaderAcks: 0.1,
    });
    this.#followers = startFollowers(this.cluster, this.#history, GROUP_TOPIC);
    for (let i = 1; i <= 2; i += 1) this.#startMember();
  }

  #startMember(): GroupMember {
    const client = this.cluster.kafkaClient(`g${this.#members.length + 1}`);
    const { polls } = this.#history;
    const options = { group: GROUP, topic: GROUP_TOPIC };
    const member = new GroupMember(this.#world, client, polls, this.#registers, options);
    this.#members.push(member);
    this.cluster.run(member.run());
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
          this.#areTopicsMade = missing.size === 0;
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

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    const client = this.#observer!;
    const healedAtMs = this.#world.nowMs;
    this.step = 'groups work after the faults';
    const newcomer = this.#startMember();
    const hasCommits = (partition: number) => this.#commitsSince(partition, healedAtMs) > 0;
    const partitions = Array.from({ length: GROUP_TOPIC.partitions }, (_, i) => i);
    while (newcomer.rounds === 0 || !partitions.every(hasCommits)) await client.sleep(100);
    this.step = 'workload';
    while (this.#acknowledged() < ACKNOWLEDGED_MIN) await client.sleep(100);
    for (const producer of this.#producers) producer.stop();
    this.step = 'producers finish';
    while (!this.#producers.every((producer) => producer.isDone)) await client.sleep(100);
    const reader = this.cluster.kafkaClient('reader');
    await readAllBack(reader, this.#history.finalPolls, TOPICS, (step) => {
      this.step = step;
    });
    for (const follower of this.#followers) follower.stop();
    for (const member of this.#members) member.stop();
    this.step = 'members leave';
    while (!this.#members.every((member) => member.isDone)) await client.sleep(100);
    await this.rest(() => client.sleep(100));
  }

  /** Commits of the group's offset in one partition that were begun since then and answered. */
  #commitsSince(partition: number, sinceMs: number): number {
    const register = this.#registers.get(`${GROUP}/${GROUP_TOPIC.name}-${partition}`) ?? [];
    const isSince = ({ kind, startMs, endMs }: RegisterOperation) =>
      kind === 'write' && startMs >= sinceMs && endMs !== undefined;
    return register.filter(isSince).length;
  }

  describe(): string {
    const producers = this.#producers.filter((producer) => !producer.isDone).length;
    const members = this.#members.filter((member) => !member.isDone).length;
    const partitions = [...(this.#observer?.partitions() ?? [])].map(
      ([name, { leader, isr }]) => `${name} leader ${leader} isr ${isr.join('+')}`,
    );
    return [
      `${this.#acknowledged()} acknowledged, ${producers} producers and ${members} members at work`,
      `view of ${this.#viewAtMs.toFixed(0)} ms: ${partitions.join(', ') || 'empty'}`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    return [
      ...checkKafkaLog(this.#history),
      ...checkRegisters(this.#registers, -1),
      ...this.cluster.idleViolations(),
    ];
  }

  counts(): ScenarioCounts {
    return countsOf(this.#history);
  }

  #acknowledged(): number {
    return countAcknowledged(this.#history);
  }
}
