// Five nodes, and partitions that are given other replicas all the time: moved, moved again on the way, cancelled, under
// every fault; positions of a group, which a majority commits, among them. Now and then a node is drained, and stays
// after all. Nothing acknowledged is lost, the replicas of each log are those that were asked for last, equal, and what
// others had of it is gone. A leader whose replica leaves hands over: what it had answered alone is there in the end.
import { emptyHistory, type KafkaHistory } from '../checkers/kafka-history.ts';
import { checkKafkaLog, countAcknowledged, countsOf } from '../checkers/kafka-log.ts';
import { checkMoves } from '../checkers/moves.ts';
import { checkRegisters } from '../checkers/register.ts';
import { between, pick } from '../draws.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import { GroupMember, type OffsetRegisters } from '../workloads/kafka-group.ts';
import { KafkaMover } from '../workloads/kafka-mover.ts';
import type { KafkaProducer, TopicPlan } from '../workloads/kafka-producer.ts';
import type { FollowingConsumer } from '../workloads/kafka-reader.ts';
import type { World } from '../world.ts';
import { ClusterRun, STEP_MS } from './cluster-run.ts';
import { readAllBack, startFollowers, startProducers } from './kafka-parts.ts';
import { ReignWatch, type WatchedLog } from './reigns.ts';
import {
  CLUSTER_FAULTS,
  PROBE_EVERY_EVENTS,
  REPLICATION_BUGS,
  SimulatedCluster,
} from './simulated-cluster.ts';

const NODES = [1, 2, 3, 4, 5];
const REPLICAS = 3;
const ACKNOWLEDGED_MIN = 600;
const MOVES_MIN = 5;
const CHANGE_MS = 2_000;
const TOPICS: readonly TopicPlan[] = [
  { name: 'moved', partitions: 2 },
  { name: 'still', partitions: 1 },
];
const LOGS: readonly WatchedLog[] = TOPICS.flatMap(({ name: destination, partitions }) =>
  Array.from({ length: partitions }, (_, partition) => {
    return { name: `${destination}-${partition}`, destination, partition };
  }),
);
const GROUP_TOPIC = TOPICS[0]!;
const GROUP = 'readers';
/** Where groups keep their positions: partitions of the cluster's own. */
const POSITIONS = { name: '__consumer_offsets', partitions: 1 };
/** So small that a replica that comes finds frames gone, and copies segments. */
const CHECKPOINT_BYTES = 32 * 1024;

export const kafkaReassign: Scenario = {
  name: 'kafka-reassign',
  faults: CLUSTER_FAULTS,
  chaosMs: 25_000,
  drainMs: 120_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: [
    ...REPLICATION_BUGS,
    'join-without-holding',
    'leave-before-change',
    'shrink-quorum',
    'hear-old-replicas',
  ],
  create: (world) => new KafkaReassignRun(world),
};

class KafkaReassignRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #history: KafkaHistory = emptyHistory();
  readonly #registers: OffsetRegisters = new Map();
  readonly #watch: ReignWatch;
  readonly cluster: SimulatedCluster;
  #producers: readonly KafkaProducer[] = [];
  #followers: readonly FollowingConsumer[] = [];
  #mover: KafkaMover | undefined;
  #member: GroupMember | undefined;
  #observer: KafkaClient | undefined;
  #isDraining = true;
  #hasDrained = false;

  constructor(world: World) {
    super();
    this.#world = world;
    const nodeCount = NODES.length;
    this.cluster = new SimulatedCluster(world, { nodeCount, checkpointBytes: CHECKPOINT_BYTES });
    this.#watch = new ReignWatch(world, this.cluster, LOGS);
  }

  start(): void {
    this.cluster.start();
    this.#observer = this.cluster.kafkaClient('observer');
    this.cluster.run(this.#createTopics(this.#observer));
    this.#producers = startProducers(this.#world, this.cluster, this.#history, {
      count: 2,
      topics: TOPICS,
      gapMs: [60, 180],
      bodyBytes: [500, 8_000],
      leaderAcks: 0.1,
      isTimed: true,
    });
    this.#followers = startFollowers(this.cluster, this.#history, GROUP_TOPIC);
    const options = { group: GROUP, topic: GROUP_TOPIC };
    const client = this.cluster.kafkaClient('g1');
    const { polls } = this.#history;
    this.#member = new GroupMember(this.#world, client, polls, this.#registers, options);
    this.cluster.run(this.#member.run());
    this.#startMover();
    this.cluster.run(this.#drainNodes());
  }

  #startMover(): void {
    const random = this.#world.workload.fork('mover');
    this.#mover = new KafkaMover(this.cluster.kafkaClient('mover'), random, {
      topics: [GROUP_TOPIC, GROUP_TOPIC, POSITIONS],
      nodes: NODES,
      replicas: REPLICAS,
      meanGapMs: between(random, 400, 2_500),
    });
    this.cluster.run(this.#mover.run());
  }

  /** One node at a time leaves, for a while. */
  async #drainNodes(): Promise<void> {
    const random = this.#world.workload.fork('drains');
    while (this.#isDraining) {
      await this.cluster.pause(between(random, 2_000, 6_000));
      const node = pick(random, NODES)!;
      if (!(await this.#leave(node, true))) continue;
      await this.cluster.pause(between(random, 3_000, 10_000));
      while (!(await this.#leave(node, false))) await this.cluster.pause(STEP_MS);
    }
    this.#hasDrained = true;
  }

  /** False when nobody answered that it is so. A node that dies meanwhile answers never. */
  async #leave(node: number, isLeaving: boolean): Promise<boolean> {
    const asked = this.cluster.operations()?.drainNode(node, isLeaving, CHANGE_MS);
    if (asked === undefined) return false;
    const none = this.cluster.pause(2 * CHANGE_MS).then(() => undefined);
    const answer = await Promise.race([asked.catch(() => undefined), none]);
    // One of which nobody knows yet is no node that leaves.
    return (
      answer?.kind === 'ok' ||
      (!isLeaving && answer?.kind === 'refused' && answer.code === 'unknown-node')
    );
  }

  async #createTopics(client: KafkaClient): Promise<void> {
    for (const { name, partitions } of TOPICS) await client.makeTopic(name, partitions, REPLICAS);
  }

  override probe(): Violation | undefined {
    this.#watch.look();
    return super.probe();
  }

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    const client = this.#observer!;
    const mover = this.#mover!;
    const isEnough = () => this.#acknowledged() >= ACKNOWLEDGED_MIN && mover.begun >= MOVES_MIN;
    await this.until('workload', isEnough);
    for (const each of this.#producers) each.stop();
    await this.until('producers finish', () => this.#producers.every((each) => each.isDone));
    mover.stop();
    this.#isDraining = false;
    await this.until('nodes stay', () => this.#hasDrained);
    await this.until('nothing moves any more', () => mover.isDone);
    const reader = this.cluster.kafkaClient('reader');
    await readAllBack(reader, this.#history.finalPolls, TOPICS, (step) => {
      this.step = step;
    });
    for (const each of this.#followers) each.stop();
    const member = this.#member!;
    member.stop();
    await this.until('the member leaves', () => member.isDone);
    await this.rest(() => client.sleep(100));
  }

  /** By name of a log. */
  #planned(): ReadonlyMap<string, ReadonlySet<number>> {
    return new Map(
      LOGS.map(({ name, destination, partition }) => {
        const logId = this.cluster.logOf(destination, partition) ?? -1;
        return [name, this.cluster.plannedEnds(logId)] as const;
      }),
    );
  }

  describe(): string {
    const planned = [...this.#planned().values()].reduce((sum, epochs) => sum + epochs.size, 0);
    return [
      `${this.#acknowledged()} acknowledged, ${this.#mover?.begun ?? 0} moves begun, ${planned} planned`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    const reigns = this.#watch.reigns();
    return [
      ...checkKafkaLog(this.#history),
      ...checkMoves(this.#history, { reigns, planned: this.#planned() }).violations,
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
