// Leaders that move as planned, all the time and under every fault: replicas are put into another order, and the first
// one takes over, by itself after a while or because it is elected at once; nodes are stopped in order, one after another, and come back. Half of the records are answered by the
// leader alone: what was answered in an epoch that ended as planned is there in the end, and so is all else that was
// promised.
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
import { ClusterRun } from './cluster-run.ts';
import { readAllBack, startFollowers, startProducers } from './kafka-parts.ts';
import { ReignWatch, type WatchedLog } from './reigns.ts';
import {
  CLUSTER_FAULTS,
  NODE_COUNT,
  PROBE_EVERY_EVENTS,
  SimulatedCluster,
} from './simulated-cluster.ts';

const NODES = [1, 2, 3];
const ACKNOWLEDGED_MIN = 1_000;
const MOVES_MIN = 5;
const STOPS_MIN = 1;
const TOPIC: TopicPlan = { name: 'moved', partitions: 3 };
const GROUP = 'readers';
/** Where groups keep their positions, which a majority commits. */
const POSITIONS = { name: '__consumer_offsets', partitions: 1 };
const LOGS: readonly WatchedLog[] = Array.from({ length: TOPIC.partitions }, (_, partition) => {
  return { name: `${TOPIC.name}-${partition}`, destination: TOPIC.name, partition };
});
/** Far more often than in production. */
const PREFERRED_INTERVAL_MS = 250;

export const kafkaMoves: Scenario = {
  name: 'kafka-moves',
  faults: CLUSTER_FAULTS,
  chaosMs: 25_000,
  drainMs: 120_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: ['move-without-end'],
  create: (world) => new KafkaMovesRun(world),
};

class KafkaMovesRun extends ClusterRun implements ScenarioRun {
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
  #isStopping = true;
  #hasStopped = false;
  #stops = 0;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, { preferredIntervalMs: PREFERRED_INTERVAL_MS });
    this.#watch = new ReignWatch(world, this.cluster, LOGS);
  }

  start(): void {
    this.cluster.start();
    this.#observer = this.cluster.kafkaClient('observer');
    this.cluster.run(this.#observer.makeTopic(TOPIC.name, TOPIC.partitions, NODE_COUNT));
    this.#producers = startProducers(this.#world, this.cluster, this.#history, {
      count: 3,
      topics: [TOPIC],
      gapMs: [10, 60],
      bodyBytes: [16, 4_000],
      leaderAcks: 0.5,
      isTimed: true,
    });
    const { polls } = this.#history;
    this.#followers = startFollowers(this.cluster, this.#history, TOPIC);
    const options = { group: GROUP, topic: TOPIC };
    const client = this.cluster.kafkaClient('g1');
    this.#member = new GroupMember(this.#world, client, polls, this.#registers, options);
    this.cluster.run(this.#member.run());
    this.#startMover();
    this.cluster.run(this.#stopNodes());
  }

  /** Other orders of the same replicas. */
  #startMover(): void {
    const random = this.#world.workload.fork('mover');
    this.#mover = new KafkaMover(this.cluster.kafkaClient('mover'), random, {
      topics: [TOPIC, TOPIC, TOPIC, POSITIONS],
      nodes: NODES,
      replicas: NODE_COUNT,
      meanGapMs: between(random, 200, 1_000),
      elects: 0.5,
    });
    this.cluster.run(this.#mover.run());
  }

  /** One after another, and each comes back. */
  async #stopNodes(): Promise<void> {
    const random = this.#world.workload.fork('stops');
    while (this.#isStopping || this.#stops < STOPS_MIN) {
      await this.cluster.pause(between(random, 1_000, 6_000));
      const node = pick(random, this.#world.nodes('server'))!;
      if (await this.cluster.stopNode(node, between(random, 50, 2_000))) this.#stops += 1;
    }
    this.#hasStopped = true;
  }

  override probe(): Violation | undefined {
    this.#watch.look();
    return super.probe();
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    const client = this.#observer!;
    const mover = this.#mover!;
    const isEnough = () => {
      return this.#acknowledged() >= ACKNOWLEDGED_MIN && this.#plannedCount() >= MOVES_MIN;
    };
    await this.until('workload', isEnough);
    this.#isStopping = false;
    await this.until('nodes stop no more', () => this.#hasStopped);
    for (const each of this.#producers) each.stop();
    await this.until('producers finish', () => this.#producers.every((each) => each.isDone));
    mover.stop();
    await this.until('nothing is put into another order', () => mover.isDone);
    const reader = this.cluster.kafkaClient('reader');
    await readAllBack(reader, this.#history.finalPolls, [TOPIC], (step) => {
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

  #plannedCount(): number {
    return [...this.#planned().values()].reduce((sum, epochs) => sum + epochs.size, 0);
  }

  describe(): string {
    return [
      `${this.#acknowledged()} acknowledged, ${this.#plannedCount()} planned moves, ${this.#mover?.elected ?? 0} elections, ${this.#stops} stops`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    const moves = checkMoves(this.#history, {
      reigns: this.#watch.reigns(),
      planned: this.#planned(),
    });
    const idle = { check: 'workload', message: 'nothing was answered before a planned move' };
    return [
      ...checkKafkaLog(this.#history),
      ...moves.violations,
      ...(moves.covered === 0 ? [idle] : []),
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
