// Writers that go on whatever happens to the cluster, each with one request under way, and count how every
// request ended. A writer that is told an error tries its next message; nothing is sent twice.
import type { Producer } from 'kafkajs';
import { fetchBody, Key, recordBatch, WireClient } from '../../../bench/lib/kafka-wire.ts';
import { delay } from '../../../tools/lib/dev-cluster.mjs';

/** Longer than anything that a server may take; whoever waits this long waited for nobody. */
const CLIENT_TIMEOUT_MS = 15_000;
/** The server's own deadline is later, so that it cannot be what answers. */
const SERVER_TIMEOUT_MS = 60_000;
const PAUSE_MS = 20;
const FETCH_BYTES = 1024 * 1024;

export class WriteLoad {
  readonly topic: string;
  readonly acked = new Set<string>();
  /** Acknowledged messages of the writers, by partition. */
  readonly ackedOf: number[] = [];
  /** How requests ended: 'ok', 'code 6', 'closed', 'client timeout', ... */
  readonly ends = new Map<string, number>();
  readonly #seeds: readonly string[];
  readonly #running: Promise<void>[] = [];
  #isStopped = false;

  constructor(seeds: readonly string[], topic: string) {
    this.#seeds = seeds;
    this.topic = topic;
  }

  /** One connection to the leader of the partition, one batch of one message at a time. */
  write(name: string, partition: number): void {
    this.ackedOf[partition] ??= 0;
    this.#running.push(this.#loop(name, partition));
  }

  /** Reads the partition from its end on, with waits for more as consumers do. */
  follow(partition: number): void {
    this.#running.push(this.#readLoop(partition));
  }

  /** A producer without retries, to partitions of its own choice. */
  produce(name: string, producer: Producer): void {
    this.#running.push(this.#produceLoop(name, producer));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
  }

  count(end: string): number {
    return this.ends.get(end) ?? 0;
  }

  #ended(end: string): void {
    this.ends.set(end, this.count(end) + 1);
  }

  async #loop(name: string, partition: number): Promise<void> {
    const connection = new LeaderConnection(this.#seeds, this.topic, partition);
    for (let i = 0; !this.#isStopped; i += 1) {
      const id = `${name}-${i}`;
      const end = await connection.run(async (client) => {
        const to = { topic: this.topic, partition, acks: -1, timeoutMs: SERVER_TIMEOUT_MS };
        const batch = recordBatch([Buffer.from(id)]);
        return (await client.produce(to, batch, CLIENT_TIMEOUT_MS)).errorCode;
      });
      if (end === 'ok') {
        this.acked.add(id);
        this.ackedOf[partition]! += 1;
      } else await delay(PAUSE_MS);
      this.#ended(end);
    }
    connection.close();
  }

  async #readLoop(partition: number): Promise<void> {
    const connection = new LeaderConnection(this.#seeds, this.topic, partition);
    let offset = 0;
    while (!this.#isStopped) {
      const end = await connection.run(async (client) => {
        const body = fetchBody(this.topic, partition, offset, FETCH_BYTES);
        const answer = await client.ask(Key.fetch, 4, body, CLIENT_TIMEOUT_MS);
        answer.i32();
        const [partitions] = answer.array(() => {
          answer.string();
          answer.i32();
          answer.i32();
          return { errorCode: answer.i16(), committed: answer.i64() };
        });
        if (partitions?.errorCode === 0) offset = partitions.committed;
        return partitions?.errorCode ?? 0;
      });
      if (end !== 'ok') await delay(PAUSE_MS);
      this.#ended(`read ${end}`);
    }
    connection.close();
  }

  async #produceLoop(name: string, producer: Producer): Promise<void> {
    for (let i = 0; !this.#isStopped; i += 1) {
      const id = `${name}-${i}`;
      let end = 'ok';
      try {
        await producer.send({ topic: this.topic, acks: -1, messages: [{ key: id, value: id }] });
        this.acked.add(id);
      } catch (error) {
        end = kafkajsEnd(error);
        await delay(PAUSE_MS);
      }
      this.#ended(`kafkajs ${end}`);
    }
  }
}

/** What lies at the bottom: without retries kafkajs wraps every error in one about retries. */
function kafkajsEnd(error: unknown): string {
  const { name, type, cause } = error as { name: string; type?: string; cause?: unknown };
  if (cause instanceof Error) return kafkajsEnd(cause);
  return name === 'KafkaJSRequestTimeoutError' ? 'client timeout' : (type ?? name);
}

/** The way to the leader of a partition, found anew after every failure. */
class LeaderConnection {
  readonly #seeds: readonly string[];
  readonly #topic: string;
  readonly #partition: number;
  #client: WireClient | undefined;
  #nextSeed = 0;

  constructor(seeds: readonly string[], topic: string, partition: number) {
    this.#seeds = seeds;
    this.#topic = topic;
    this.#partition = partition;
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  /** `work` answers an error code; the end of the request in words. */
  async run(work: (client: WireClient) => Promise<number>): Promise<string> {
    try {
      this.#client ??= await this.#connect();
      if (this.#client === undefined) return 'no leader';
      const code = await work(this.#client);
      if (code === 0) return 'ok';
      this.close();
      return `code ${code}`;
    } catch (error) {
      this.close();
      const { message } = error as Error;
      if (/^(no answer in|connect timed out)/.test(message)) return 'client timeout';
      return /closed|ECONNRESET|EPIPE/.test(message) ? 'closed' : message;
    }
  }

  async #connect(): Promise<WireClient | undefined> {
    const seed = this.#seeds[this.#nextSeed % this.#seeds.length]!;
    this.#nextSeed += 1;
    const first = await WireClient.connect(seed, CLIENT_TIMEOUT_MS);
    try {
      const { brokers, topics } = await first.metadata([this.#topic], CLIENT_TIMEOUT_MS);
      const found = topics[0]?.partitions.find(({ index }) => index === this.#partition);
      const broker = brokers.get(found?.leader ?? -1);
      if (broker === undefined) return undefined;
      return await WireClient.connect(`${broker.host}:${broker.port}`, CLIENT_TIMEOUT_MS);
    } finally {
      first.close();
    }
  }
}
