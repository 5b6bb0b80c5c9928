// A small Kafka client of our own for simulations: bootstraps metadata, finds leaders and coordinators,
// keeps one connection per broker. It retries nothing by itself: who calls decides, and records why.
import type { Address, Environment } from '../../env/environment.ts';
import {
  type Api,
  CreateTopics,
  FindCoordinator,
  KafkaCodec,
  Metadata,
  type RequestInput,
  type ResponseOf,
} from '../../protocols/kafka/codec/index.ts';
import { CallFailedError, KafkaConnection } from './kafka-connection.ts';

const CALL_TIMEOUT_MS = 3_000;
const METADATA_VERSION = 8;
const COORDINATOR_VERSION = 2;
const CREATE_VERSION = 4;
const TOPIC_ALREADY_EXISTS = 36;
const MAKE_AGAIN_MS = 200;

export interface PartitionView {
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

export class KafkaClient {
  readonly env: Environment;
  readonly id: string;
  readonly #bootstrap: readonly Address[];
  readonly #codec = new KafkaCodec();
  readonly #connections = new Map<string, KafkaConnection>();
  readonly #brokers = new Map<number, Address>();
  #partitions = new Map<string, PartitionView>();
  #turn: number;

  constructor(env: Environment, id: string, bootstrap: readonly Address[]) {
    this.env = env;
    this.id = id;
    this.#bootstrap = bootstrap;
    this.#turn = env.random.below(bootstrap.length);
  }

  /** What the last metadata said of a partition. */
  partition(topic: string, partition: number): PartitionView | undefined {
    return this.#partitions.get(`${topic}-${partition}`);
  }

  partitions(): ReadonlyMap<string, PartitionView> {
    return this.#partitions;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.env.timers.at(this.env.clock.monotonicMs() + ms, resolve);
    });
  }

  /** Asks the next bootstrap server. Throws if it does not answer. */
  async refresh(topics: readonly string[]): Promise<void> {
    const answer = await this.callAny(Metadata, METADATA_VERSION, {
      topics: topics.map((name) => ({ name })),
      allowAutoTopicCreation: false,
    });
    for (const { nodeId, host, port } of answer.brokers) this.#brokers.set(nodeId, { host, port });
    const partitions = new Map<string, PartitionView>();
    for (const topic of answer.topics) {
      for (const each of topic.partitions) {
        partitions.set(`${topic.name}-${each.partitionIndex}`, {
          leader: each.leaderId,
          leaderEpoch: each.leaderEpoch,
          replicas: [...each.replicaNodes],
          isr: [...each.isrNodes],
        });
      }
    }
    this.#partitions = partitions;
  }

  /** The error code of the creation; 36 means that it exists. */
  async createTopic(
    name: string,
    partitions: number,
    replicas: number,
    config: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const configs = Object.entries(config).map(([key, value]) => ({ name: key, value }));
    const answer = await this.callAny(CreateTopics, CREATE_VERSION, {
      topics: [{ name, numPartitions: partitions, replicationFactor: replicas, configs }],
      timeoutMs: 2_000,
    });
    return answer.topics[0]?.errorCode ?? -1;
  }

  /** Asks until the topic is there. */
  async makeTopic(...topic: Parameters<KafkaClient['createTopic']>): Promise<void> {
    for (let code = -1; code !== 0 && code !== TOPIC_ALREADY_EXISTS; ) {
      try {
        code = await this.createTopic(...topic);
      } catch (error) {
        if (!(error instanceof CallFailedError)) throw error;
      }
      if (code !== 0) await this.sleep(MAKE_AGAIN_MS);
    }
  }

  /** The coordinator of a group, or undefined while there is none. */
  async coordinator(group: string): Promise<number | undefined> {
    const answer = await this.callAny(FindCoordinator, COORDINATOR_VERSION, {
      key: group,
      keyType: 0,
    });
    if (answer.errorCode !== 0) return undefined;
    this.#brokers.set(answer.nodeId, { host: answer.host, port: answer.port });
    return answer.nodeId;
  }

  callAny<A extends Api>(api: A, version: number, body: RequestInput<A>): Promise<ResponseOf<A>> {
    this.#turn = (this.#turn + 1) % this.#bootstrap.length;
    return this.#to(this.#bootstrap[this.#turn]!).call(api, version, body, CALL_TIMEOUT_MS);
  }

  /** Calls a broker that metadata or a coordinator answer named. */
  call<A extends Api>(
    broker: number,
    api: A,
    version: number,
    body: RequestInput<A>,
    timeoutMs: number = CALL_TIMEOUT_MS,
  ): Promise<ResponseOf<A>> {
    const address = this.#brokers.get(broker) ?? this.#bootstrap[0]!;
    return this.#to(address).call(api, version, body, timeoutMs);
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }

  #to(address: Address): KafkaConnection {
    const key = `${address.host}:${address.port}`;
    const known = this.#connections.get(key);
    if (known !== undefined && !known.isClosed) return known;
    const fresh = new KafkaConnection(this.env, this.id, this.#codec, address);
    this.#connections.set(key, fresh);
    return fresh;
  }
}
