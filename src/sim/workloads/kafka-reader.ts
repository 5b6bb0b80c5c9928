// Readers of the workload: a consumer that follows some partitions for the whole run, and the read-back of
// everything once the cluster is at rest. Both only record what they were given.
import { Fetch, ListOffsets } from '../../protocols/kafka/codec/index.ts';
import {
  checkBatch,
  forEachBatch,
  isControl,
  readBatchHeader,
  STORED_BATCH,
} from '../../records/batch.ts';
import { decodeRecords } from '../../records/records.ts';
import type { Poll } from '../checkers/kafka-history.ts';
import { readBody } from './kafka-bodies.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';

const FETCH_VERSION = 11;
const LIST_VERSION = 4;
const EARLIEST = -2;
const LATEST = -1;
const WAIT_MS = 250;

export interface Batch {
  readonly poll: Omit<Poll, 'session' | 'consumer'>;
  /** Where the next fetch starts. */
  readonly next: number;
  readonly highWatermark: number;
}

/** What the replica of a node knows as committed, and in which life of it; undefined where it has none. */
export type KnownAt = (
  node: number,
  partition: number,
) => { readonly life: number; readonly offset: number } | undefined;

/** Where a consumer is, and which replica near it a leader has sent it to; as a client of KIP-392 keeps it. */
export class NearestReplica {
  readonly rack: string;
  /** Undefined: the leader is asked. */
  node: number | undefined;
  /** Of a replica, with records. */
  reads = 0;
  /** Records that a replica gave and does not know as committed. */
  readonly beyond: string[] = [];
  readonly knownAt: KnownAt;

  constructor(rack: string, knownAt: KnownAt) {
    this.rack = rack;
    this.knownAt = knownAt;
  }
}

/** One fetch from the leader, or the replica near; undefined if it was refused or got no answer. */
export async function fetchOnce(
  client: KafkaClient,
  topic: string,
  partition: number,
  from: number,
  near?: NearestReplica,
): Promise<Batch | 'out-of-range' | undefined> {
  if (near === undefined) return fetchAt(client, topic, partition, from);
  const asked = near.node;
  const before = asked === undefined ? undefined : near.knownAt(asked, partition);
  const answer = await fetchAt(client, topic, partition, from, near);
  // Whatever a replica cannot do, the leader is asked for.
  if (asked !== undefined && (answer === undefined || answer === 'out-of-range')) {
    near.node = undefined;
    return undefined;
  }
  if (asked !== undefined && typeof answer === 'object' && answer.poll.offsets.length > 0) {
    near.reads += 1;
    const known = near.knownAt(asked, partition);
    if (known !== undefined && known.life === before?.life && answer.next > known.offset) {
      near.beyond.push(
        `${topic}-${partition} of node ${asked}: up to ${answer.next}, committed ${known.offset}`,
      );
    }
  }
  return answer;
}

async function fetchAt(
  client: KafkaClient,
  topic: string,
  partition: number,
  from: number,
  near?: NearestReplica,
): Promise<Batch | 'out-of-range' | undefined> {
  const leader = near?.node ?? (await leaderOf(client, topic, partition));
  if (leader === undefined) return undefined;
  try {
    const answer = await client.call(
      leader,
      Fetch,
      FETCH_VERSION,
      {
        maxWaitMs: WAIT_MS,
        minBytes: 1,
        maxBytes: 65_536,
        isolationLevel: 0,
        sessionId: 0,
        sessionEpoch: -1,
        rackId: near?.rack ?? '',
        topics: [
          { topic, partitions: [{ partition, fetchOffset: from, partitionMaxBytes: 65_536 }] },
        ],
      },
      WAIT_MS + 3_000,
    );
    const found = answer.responses[0]?.partitions[0];
    if (found?.errorCode === 1) return 'out-of-range';
    if (found === undefined || found.errorCode !== 0) {
      await refresh(client, topic);
      return undefined;
    }
    const sentTo = found.preferredReadReplica;
    if (near !== undefined && sentTo >= 0) near.node = sentTo;
    // As any client does: a batch that was damaged on the way, or on the disk, is asked for again.
    if (!areSound(client, found.records)) return undefined;
    return {
      ...readRecords(topic, partition, from, found.records),
      highWatermark: found.highWatermark,
    };
  } catch (error) {
    if (!(error instanceof CallFailedError)) throw error;
    await refresh(client, topic);
    return undefined;
  }
}

/** The offset at one end of a partition, or undefined. */
export async function endOf(
  client: KafkaClient,
  topic: string,
  partition: number,
  end: 'earliest' | 'latest',
): Promise<number | undefined> {
  const leader = await leaderOf(client, topic, partition);
  if (leader === undefined) return undefined;
  try {
    const answer = await client.call(leader, ListOffsets, LIST_VERSION, {
      isolationLevel: 0,
      topics: [
        {
          name: topic,
          partitions: [
            { partitionIndex: partition, timestamp: end === 'latest' ? LATEST : EARLIEST },
          ],
        },
      ],
    });
    const found = answer.topics[0]?.partitions[0];
    if (found?.errorCode === 0) return found.offset;
    await refresh(client, topic);
    return undefined;
  } catch (error) {
    if (!(error instanceof CallFailedError)) throw error;
    await refresh(client, topic);
    return undefined;
  }
}

/** Follows a partition from its start; a new session after each jump of position. */
export class FollowingConsumer {
  readonly #client: KafkaClient;
  readonly #polls: Poll[];
  readonly #topic: string;
  readonly #partition: number;
  readonly #near: NearestReplica | undefined;
  /** The next offset. */
  position = 0;
  #isStopping = false;

  constructor(
    client: KafkaClient,
    polls: Poll[],
    topic: string,
    partition: number,
    near?: NearestReplica,
  ) {
    this.#client = client;
    this.#polls = polls;
    this.#topic = topic;
    this.#partition = partition;
    this.#near = near;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    let session = 1;
    while (!this.#isStopping) {
      const batch = await fetchOnce(
        this.#client,
        this.#topic,
        this.#partition,
        this.position,
        this.#near,
      );
      if (batch === 'out-of-range') {
        const start = await endOf(this.#client, this.#topic, this.#partition, 'earliest');
        if (start !== undefined && start !== this.position) {
          this.position = start;
          session += 1;
        }
        await this.#client.sleep(200);
      } else if (batch === undefined) await this.#client.sleep(150);
      else {
        if (batch.poll.offsets.length > 0) {
          this.#polls.push({ ...batch.poll, consumer: this.#client.id, session });
        }
        this.position = batch.next;
      }
    }
  }
}

/**
 * Reads a whole partition, from its start to the end it has when asked, and answers the start. When that has moved
 * on meanwhile, it is read anew.
 */
export async function readBack(
  client: KafkaClient,
  polls: Poll[],
  topic: string,
  partition: number,
): Promise<number> {
  for (;;) {
    const start = await insist(client, () => endOf(client, topic, partition, 'earliest'));
    const end = await insist(client, () => endOf(client, topic, partition, 'latest'));
    const read: Poll[] = [];
    let position = start;
    while (position < end) {
      const batch = await fetchOnce(client, topic, partition, position);
      if (batch === 'out-of-range') break;
      if (batch === undefined) {
        await client.sleep(200);
        continue;
      }
      read.push({ ...batch.poll, consumer: `${client.id}-final`, session: 1 });
      position = batch.next;
    }
    if (position >= end) {
      polls.push(...read);
      return start;
    }
    await client.sleep(200);
  }
}

async function insist<T>(client: KafkaClient, ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await client.sleep(200);
  }
}

export async function leaderOf(
  client: KafkaClient,
  topic: string,
  partition: number,
): Promise<number | undefined> {
  const known = client.partition(topic, partition)?.leader ?? -1;
  if (known >= 0) return known;
  await refresh(client, topic);
  const leader = client.partition(topic, partition)?.leader ?? -1;
  return leader < 0 ? undefined : leader;
}

async function refresh(client: KafkaClient, topic: string): Promise<void> {
  try {
    await client.refresh([topic]);
  } catch (error) {
    if (!(error instanceof CallFailedError)) throw error;
  }
}

function areSound(client: KafkaClient, records: Uint8Array | null): boolean {
  if (records === null) return true;
  let isSound = true;
  forEachBatch(records, 0, records.length, (at) => {
    const check = checkBatch(records, at, records.length, client.env.crc32c, STORED_BATCH);
    isSound = check === 'ok';
    return isSound;
  });
  return isSound;
}

function readRecords(
  topic: string,
  partition: number,
  from: number,
  records: Uint8Array | null,
): Omit<Batch, 'highWatermark'> {
  const offsets: number[] = [];
  const ids: number[] = [];
  const bodyHashes: number[] = [];
  let next = from;
  if (records !== null) {
    forEachBatch(records, 0, records.length, (at, size) => {
      const header = readBatchHeader(records, at);
      const decoded = decodeRecords(records, at, at + size);
      if (decoded.kind === 'fault')
        throw new Error(`${topic}-${partition}: a batch is ${decoded.fault}`);
      for (const record of decoded.records) {
        next = Math.max(next, record.offset + 1);
        // The first batch may begin below the position: a client drops those.
        if (record.offset < from || isControl(header.attributes)) continue;
        const { id, bodyHash } = readBody(record.value);
        offsets.push(record.offset);
        ids.push(id);
        bodyHashes.push(bodyHash);
      }
    });
  }
  return { poll: { topic, partition, offsets, ids, bodyHashes }, next };
}
