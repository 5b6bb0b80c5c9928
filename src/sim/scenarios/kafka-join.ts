// Three nodes, and a fourth that is in nobody's list: it joins at a moment of the run, under every fault, is killed, wiped
// and put back as the others, and comes back by what its folder remembers. Replicas move to it and away, then everything
// is made even. Nothing acknowledged is lost, metadata and replicas are equal, and in the end the node leads its share.
import { emptyHistory, type KafkaHistory } from '../checkers/kafka-history.ts';
import { checkKafkaLog, countAcknowledged, countsOf } from '../checkers/kafka-log.ts';
import { between } from '../draws.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import { KafkaMover } from '../workloads/kafka-mover.ts';
import type { KafkaProducer, TopicPlan } from '../workloads/kafka-producer.ts';
import type { FollowingConsumer } from '../workloads/kafka-reader.ts';
import type { World } from '../world.ts';
import { ClusterRun, STEP_MS } from './cluster-run.ts';
import { readAllBack, startFollowers, startProducers } from './kafka-parts.ts';
import {
  CLUSTER_FAULTS,
  PROBE_EVERY_EVENTS,
  REPLICATION_BUGS,
  SimulatedCluster,
} from './simulated-cluster.ts';

const NODES = [1, 2, 3, 4];
const JOINER = 4;
const REPLICAS = 3;
const ACKNOWLEDGED_MIN = 400;
const CHANGE_MS = 2_000;
const TOPIC: TopicPlan = { name: 'grown', partitions: 4 };
/** So small that a replica that comes finds frames gone, and copies segments. */
const CHECKPOINT_BYTES = 32 * 1024;

export const kafkaJoin: Scenario = {
  name: 'kafka-join',
  faults: CLUSTER_FAULTS,
  chaosMs: 25_000,
  drainMs: 180_000,
  probeEvery: PROBE_EVERY_EVENTS,
  bugs: [...REPLICATION_BUGS, 'join-without-holding', 'leave-before-change', 'hear-old-replicas'],
  create: (world) => new KafkaJoinRun(world),
};

class KafkaJoinRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly #history: KafkaHistory = emptyHistory();
  readonly cluster: SimulatedCluster;
  #producers: readonly KafkaProducer[] = [];
  #followers: readonly FollowingConsumer[] = [];
  #mover: KafkaMover | undefined;
  #observer: KafkaClient | undefined;
  #hasJoined = false;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, {
      nodeCount: NODES.length,
      joinCount: 1,
      checkpointBytes: CHECKPOINT_BYTES,
    });
  }

  start(): void {
    this.cluster.start();
    this.#observer = this.cluster.kafkaClient('observer');
    this.cluster.run(this.#observer.makeTopic(TOPIC.name, TOPIC.partitions, REPLICAS));
    this.#producers = startProducers(this.#world, this.cluster, this.#history, {
      count: 2,
      topics: [TOPIC],
      gapMs: [60, 180],
      bodyBytes: [500, 8_000],
      leaderAcks: 0.1,
    });
    this.#followers = startFollowers(this.cluster, this.#history, TOPIC);
    this.cluster.run(this.#join());
  }

  /** A fault may have started it already: a machine that was off is switched on. */
  async #join(): Promise<void> {
    const random = this.#world.workload.fork('join');
    await this.cluster.pause(between(random, 500, 12_000));
    const node = this.#world.node(`n${JOINER}`);
    if (!node.isUp && node.starts === 0) this.cluster.boot(node);
    this.#hasJoined = true;
    const mover = new KafkaMover(this.cluster.kafkaClient('mover'), random, {
      topics: [TOPIC],
      nodes: NODES,
      replicas: REPLICAS,
      meanGapMs: between(random, 800, 3_000),
    });
    this.#mover = mover;
    await mover.run();
  }

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    await this.until('the node joins', () => this.#hasJoined && this.#mover !== undefined);
    await this.until('all nodes are members', () => this.cluster.areNodesWhole());
    await this.until('workload', () => this.#acknowledged() >= ACKNOWLEDGED_MIN);
    const mover = this.#mover!;
    mover.stop();
    await this.until('nothing moves any more', () => mover.isDone);
    await this.#rebalance();
    for (const each of this.#producers) each.stop();
    await this.until('producers finish', () => this.#producers.every((each) => each.isDone));
    await this.until('the node that joined leads', () => this.#joinerLeads());
    const reader = this.cluster.kafkaClient('reader');
    await readAllBack(reader, this.#history.finalPolls, [TOPIC], (step) => {
      this.step = step;
    });
    for (const each of this.#followers) each.stop();
    await this.rest(() => this.#observer!.sleep(100));
  }

  /** Asked for until somebody has answered that it is so. */
  async #rebalance(): Promise<void> {
    this.step = 'a rebalance is asked for';
    for (;;) {
      const asked = this.cluster.operations()?.set('rebalance', 'requested', CHANGE_MS);
      const none = this.cluster.pause(2 * CHANGE_MS).then(() => undefined);
      const answer = await Promise.race([asked?.catch(() => undefined), none]);
      if (answer?.kind === 'ok') return;
      await this.cluster.pause(STEP_MS);
    }
  }

  #joinerLeads(): boolean {
    return [...this.cluster.leaders()].some(({ node }) => node === JOINER);
  }

  describe(): string {
    return [
      `${this.#acknowledged()} acknowledged, ${this.#mover?.begun ?? 0} moves begun`,
      `down: ${this.cluster.down()}, not whole: ${this.cluster.notWhole()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    return [...checkKafkaLog(this.#history), ...this.cluster.idleViolations()];
  }

  counts(): ScenarioCounts {
    return countsOf(this.#history);
  }

  #acknowledged(): number {
    return countAcknowledged(this.#history);
  }
}
