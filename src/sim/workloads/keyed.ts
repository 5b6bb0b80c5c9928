// Keyed records of the workload of compaction: a producer that writes over and deletes its keys, one batch in flight,
// and walks over whole partitions. Both only record what they did and were given.
import { Fetch, Produce } from '../../protocols/kafka/codec/index.ts';
import { forEachBatch, readBatchHeader } from '../../records/batch.ts';
import { decodeRecords, encodeBatch } from '../../records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../std/bytes.ts';
import type { KeyedSend, ReadRecord, WholeRead } from '../checkers/compacted.ts';
import type { CountingRandom } from '../draws.ts';
import { between, chance, exponential } from '../draws.ts';
import { bodyOf, readBody } from './kafka-bodies.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';
import type { Ids } from './kafka-producer.ts';
import { endOf } from './kafka-reader.ts';

const ATTEMPTS_MAX = 60;
const RETRY_MS = 120;
const VERSION = 9;
const FETCH_VERSION = 11;
const WAIT_MS = 250;
const TOMBSTONES = 0.2;
/** Answers after which this attempt is surely not in the log. */
const REFUSALS: ReadonlySet<number> = new Set([2, 3, 5, 10, 17, 18, 19, 87]);

export interface KeyedOptions {
  readonly topic: string;
  readonly partitions: number;
  readonly keys: number;
  readonly meanGapMs: number;
  readonly bodyBytesMax: number;
  nowMs(): number;
}

export class KeyedProducer {
  isDone = false;
  #isStopping = false;
  readonly #client: KafkaClient;
  readonly #sends: KeyedSend[];
  readonly #ids: Ids;
  readonly #random: CountingRandom;
  readonly #options: KeyedOptions;

  constructor(
    client: KafkaClient,
    sends: KeyedSend[],
    ids: Ids,
    random: CountingRandom,
    options: KeyedOptions,
  ) {
    this.#client = client;
    this.#sends = sends;
    this.#ids = ids;
    this.#random = random;
    this.#options = options;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      await this.#client.sleep(exponential(this.#random, this.#options.meanGapMs));
      await this.#produce(this.#random.below(this.#options.partitions));
    }
    this.isDone = true;
  }

  async #produce(partition: number): Promise<void> {
    const { bodyBytesMax, keys, nowMs } = this.#options;
    const beganMs = nowMs();
    const sends = Array.from({ length: between(this.#random, 1, 8) }, (): KeyedSend => {
      const id = this.#ids.next;
      this.#ids.next += 1;
      const key = `key ${this.#random.below(keys)}`;
      const isTombstone = chance(this.#random, TOMBSTONES);
      const known = {
        outcome: 'unknown',
        offset: undefined,
        mayBeTwice: false,
        beganMs,
        endedMs: 0,
      } as const;
      return { partition, id, key, isTombstone, ...known };
    });
    this.#sends.push(...sends);
    const timestampMs = Math.floor(this.#client.env.clock.wallMs());
    const records = encodeBatch(
      sends.map(({ id, key, isTombstone }) => ({
        timestampMs,
        key: encodeUtf8(key),
        value: isTombstone ? null : bodyOf(id, between(this.#random, 4, bodyBytesMax)),
      })),
      this.#client.env.crc32c,
    );
    let mayBeIn = false;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const outcome = await this.#attempt(partition, records);
      if (typeof outcome === 'number') {
        // Sent again, it may be in there twice: the last place is the one that is known.
        for (const [i, send] of sends.entries()) {
          send.outcome = 'acknowledged';
          send.offset = outcome + i;
          send.mayBeTwice = mayBeIn;
          send.endedMs = nowMs();
        }
        return;
      }
      mayBeIn ||= outcome === 'unknown';
      await this.#client.sleep(RETRY_MS + this.#random.below(RETRY_MS));
    }
    if (!mayBeIn) for (const send of sends) send.outcome = 'failed';
  }

  async #attempt(partition: number, records: Uint8Array): Promise<number | 'refused' | 'unknown'> {
    const { topic } = this.#options;
    const leader = await leaderNow(this.#client, topic, partition);
    if (leader === undefined) return 'refused';
    try {
      const body = {
        transactionalId: null,
        acks: -1,
        timeoutMs: 2_000,
        topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
      };
      const answer = await this.#client.call(leader, Produce, VERSION, body, 4_000);
      const result = answer.responses[0]!.partitionResponses[0]!;
      if (result.errorCode === 0) return result.baseOffset;
      return REFUSALS.has(result.errorCode) ? 'refused' : 'unknown';
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
      return error.isSent ? 'unknown' : 'refused';
    }
  }
}

async function leaderNow(
  client: KafkaClient,
  topic: string,
  partition: number,
): Promise<number | undefined> {
  try {
    await client.refresh([topic]);
  } catch (error) {
    if (!(error instanceof CallFailedError)) throw error;
  }
  const leader = client.partition(topic, partition)?.leader ?? -1;
  return leader < 0 ? undefined : leader;
}

/** From the start of a partition to the end that it had when asked; undefined: given up, nothing is learnt. */
export async function walk(
  client: KafkaClient,
  topic: string,
  partition: number,
  nowMs: () => number,
  isFinal: boolean,
): Promise<WholeRead | undefined> {
  const beganMs = nowMs();
  const end = await endOf(client, topic, partition, 'latest');
  let at: number | undefined = await endOf(client, topic, partition, 'earliest');
  if (end === undefined || at === undefined) return undefined;
  const records: ReadRecord[] = [];
  const leaders = new Set<string>();
  for (let failures = 0; at < end; ) {
    const leader = await leaderNow(client, topic, partition);
    const bytes =
      leader === undefined ? undefined : await fetched(client, leader, topic, partition, at);
    if (bytes === undefined) {
      failures += 1;
      if (failures > 20) return undefined;
      await client.sleep(200);
      continue;
    }
    const from: number = at;
    // A node that leads again may have been made anew meanwhile, out of another one's segments.
    leaders.add(`${leader} ${client.partition(topic, partition)?.leaderEpoch}`);
    forEachBatch(bytes, 0, bytes.length, (where, size) => {
      const { lastOffset } = readBatchHeader(bytes, where);
      const decoded = decodeRecords(bytes, where, where + size);
      if (decoded.kind === 'fault') throw new Error(`${topic}-${partition}: ${decoded.fault}`);
      for (const { offset, key, value } of decoded.records) {
        if (offset < from) continue;
        const id = value === null ? -1 : readBody(value).id;
        records.push({ offset, key: key === null ? '' : decodeUtf8(key), id });
      }
      at = Math.max(at!, lastOffset + 1);
    });
    if (at > from) continue;
    // There is a batch behind every gap: a new leader does not know yet how far all is committed.
    failures += 1;
    if (failures > 20) return undefined;
    await client.sleep(200);
  }
  const isOfOneLeader = leaders.size <= 1;
  return { partition, end, records, beganMs, endedMs: nowMs(), isOfOneLeader, isFinal };
}

async function fetched(
  client: KafkaClient,
  leader: number,
  topic: string,
  partition: number,
  fetchOffset: number,
): Promise<Uint8Array | undefined> {
  const partitions = [{ partition, fetchOffset, partitionMaxBytes: 65_536 }];
  try {
    const answer = await client.call(leader, Fetch, FETCH_VERSION, {
      maxWaitMs: WAIT_MS,
      minBytes: 1,
      maxBytes: 65_536,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      rackId: '',
      topics: [{ topic, partitions }],
    });
    const found = answer.responses[0]?.partitions[0];
    return found?.errorCode === 0 ? (found.records ?? new Uint8Array(0)) : undefined;
  } catch (error) {
    if (!(error instanceof CallFailedError)) throw error;
    return undefined;
  }
}
