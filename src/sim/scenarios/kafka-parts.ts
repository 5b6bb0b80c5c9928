// What runs with Kafka clients begin and end with: producers whose pace and sizes are the seed's, consumers that follow
// from the start, and a last reading of everything.
import type { KafkaHistory, Poll } from '../checkers/kafka-history.ts';
import { between } from '../draws.ts';
import type { KafkaClient } from '../workloads/kafka-client.ts';
import { KafkaProducer, type TopicPlan } from '../workloads/kafka-producer.ts';
import { FollowingConsumer, readBack } from '../workloads/kafka-reader.ts';
import type { World } from '../world.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

export interface ProducersPlan {
  readonly count: number;
  readonly topics: readonly TopicPlan[];
  /** Each draws its mean gap, and the most bytes of a body, from these ranges. */
  readonly gapMs: readonly [number, number];
  readonly bodyBytes: readonly [number, number];
  /** Probability that a batch asks for acks=1 instead of all. */
  readonly leaderAcks: number;
  /** The history is to tell when sends were begun and answered. */
  readonly isTimed?: boolean;
}

/** They run; whoever stops them waits until they are done. */
export function startProducers(
  world: World,
  cluster: SimulatedCluster,
  history: KafkaHistory,
  { count, topics, gapMs, bodyBytes, leaderAcks, isTimed }: ProducersPlan,
): KafkaProducer[] {
  const ids = { next: 0 };
  return Array.from({ length: count }, (_, index) => {
    const random = world.workload.fork(`producer ${index + 1}`);
    const client = cluster.kafkaClient(`p${index + 1}`);
    const producer = new KafkaProducer(client, history, ids, random, {
      topics,
      meanGapMs: between(random, ...gapMs),
      leaderAcks,
      bodyBytesMax: between(random, ...bodyBytes),
      ...(isTimed === true ? { nowMs: () => world.nowMs } : {}),
    });
    cluster.run(producer.run());
    return producer;
  });
}

/** One for each partition. */
export function startFollowers(
  cluster: SimulatedCluster,
  { polls }: KafkaHistory,
  { name, partitions }: TopicPlan,
): FollowingConsumer[] {
  return Array.from({ length: partitions }, (_, partition) => {
    const client = cluster.kafkaClient(`f${partition}`);
    const follower = new FollowingConsumer(client, polls, name, partition);
    cluster.run(follower.run());
    return follower;
  });
}

/** Says of which partition it is before it begins with it. */
export async function readAllBack(
  reader: KafkaClient,
  polls: Poll[],
  topics: readonly TopicPlan[],
  tell: (step: string) => void,
): Promise<void> {
  for (const { name, partitions } of topics) {
    for (let partition = 0; partition < partitions; partition += 1) {
      tell(`read-back of ${name}-${partition}`);
      await readBack(reader, polls, name, partition);
    }
  }
}
