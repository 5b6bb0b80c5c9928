// A member of a classic consumer group: join, sync, heartbeat, read what it is assigned, commit. It records
// its polls, and every commit and fetch of a committed offset as operations on one register per partition.
// A time-out of the client, a lost answer and a refusal are told apart: only a refusal did not happen.
import type { Api, RequestInput, ResponseOf } from '../../protocols/kafka/codec/index.ts';
import {
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  OffsetCommit,
  OffsetFetch,
  SyncGroup,
} from '../../protocols/kafka/codec/index.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import type { Poll } from '../checkers/kafka-history.ts';
import type { RegisterOperation } from '../checkers/register.ts';
import type { World } from '../world.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';
import type { TopicPlan } from './kafka-producer.ts';
import { fetchOnce } from './kafka-reader.ts';

const SESSION_MS = 6_000;
const REBALANCE_MS = 6_000;
const HEARTBEAT_MS = 1_000;
const JOIN_VERSION = 4;
const SYNC_VERSION = 2;
const HEARTBEAT_VERSION = 2;
const LEAVE_VERSION = 2;
const COMMIT_VERSION = 6;
const FETCH_VERSION = 5;
const MEMBER_ID_REQUIRED = 79;
const COMMIT_EVERY = 3;

/** Committed offsets as registers, by `group/topic-partition`. Times are the world's. */
export type OffsetRegisters = Map<string, RegisterOperation[]>;

export interface GroupOptions {
  readonly group: string;
  readonly topic: TopicPlan;
}

interface Round {
  readonly coordinator: number;
  readonly memberId: string;
  readonly generation: number;
  readonly partitions: readonly number[];
}

export class GroupMember {
  readonly #world: World;
  readonly #client: KafkaClient;
  readonly #polls: Poll[];
  readonly #registers: OffsetRegisters;
  readonly #options: GroupOptions;
  #memberId = '';
  #session = 0;
  #isStopping = false;
  #isDone = false;
  rounds = 0;

  constructor(
    world: World,
    client: KafkaClient,
    polls: Poll[],
    registers: OffsetRegisters,
    options: GroupOptions,
  ) {
    this.#world = world;
    this.#client = client;
    this.#polls = polls;
    this.#registers = registers;
    this.#options = options;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      const round = await this.#join();
      if (round === undefined) {
        await this.#client.sleep(200);
        continue;
      }
      this.rounds += 1;
      await this.#serve(round);
    }
    this.#isDone = true;
  }

  // ---- joining -------------------------------------------------------------------------------

  async #join(): Promise<Round | undefined> {
    try {
      const coordinator = await this.#client.coordinator(this.#options.group);
      if (coordinator === undefined) {
        this.#say('without coordinator', {});
        return undefined;
      }
      this.#say('joins', { coordinator });
      const joined = await this.#client.call(
        coordinator,
        JoinGroup,
        JOIN_VERSION,
        {
          groupId: this.#options.group,
          sessionTimeoutMs: SESSION_MS,
          rebalanceTimeoutMs: REBALANCE_MS,
          memberId: this.#memberId,
          protocolType: 'consumer',
          protocols: [{ name: 'range', metadata: subscription(this.#options.topic.name) }],
        },
        REBALANCE_MS + 5_000,
      );
      this.#say('joined', { code: joined.errorCode, generation: joined.generationId });
      if (joined.errorCode === MEMBER_ID_REQUIRED) this.#memberId = joined.memberId;
      if (joined.errorCode !== 0) {
        if (joined.errorCode !== MEMBER_ID_REQUIRED) this.#memberId = '';
        return undefined;
      }
      this.#memberId = joined.memberId;
      const isLeader = joined.leader === joined.memberId;
      const members = joined.members.map((member) => member.memberId);
      const synced = await this.#client.call(
        coordinator,
        SyncGroup,
        SYNC_VERSION,
        {
          groupId: this.#options.group,
          generationId: joined.generationId,
          memberId: joined.memberId,
          assignments: isLeader ? this.#assign(members) : [],
        },
        REBALANCE_MS + 5_000,
      );
      this.#say('synced', { code: synced.errorCode, members: members.length });
      if (synced.errorCode !== 0) return undefined;
      return {
        coordinator,
        memberId: joined.memberId,
        generation: joined.generationId,
        partitions: partitionsIn(synced.assignment),
      };
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
      this.#say('unanswered', { error: error.message });
      return undefined;
    }
  }

  #assign(members: readonly string[]): { memberId: string; assignment: Uint8Array }[] {
    const { name, partitions } = this.#options.topic;
    return members.map((memberId, at) => ({
      memberId,
      assignment: assignment(
        name,
        Array.from({ length: partitions }, (_, i) => i).filter((i) => i % members.length === at),
      ),
    }));
  }

  // ---- serving -------------------------------------------------------------------------------

  async #serve(round: Round): Promise<void> {
    this.#session += 1;
    const positions = new Map<number, number>();
    for (const partition of round.partitions) {
      const committed = await this.#fetchCommitted(round, partition);
      if (committed === undefined) return;
      positions.set(partition, Math.max(0, committed));
    }
    let heartbeatMs = this.#world.nowMs;
    for (let turn = 0; !this.#isStopping; turn += 1) {
      if (this.#world.nowMs - heartbeatMs >= HEARTBEAT_MS) {
        if (!(await this.#heartbeat(round))) return;
        heartbeatMs = this.#world.nowMs;
      }
      for (const [partition, position] of positions) {
        const next = await this.#poll(partition, position);
        positions.set(partition, next);
        if (next > position && turn % COMMIT_EVERY === 0) {
          if (!(await this.#commit(round, partition, next))) return;
        }
      }
      if (positions.size === 0) await this.#client.sleep(200);
    }
    await this.#leave(round);
  }

  async #poll(partition: number, position: number): Promise<number> {
    const batch = await fetchOnce(this.#client, this.#options.topic.name, partition, position);
    if (batch === undefined || batch === 'out-of-range') {
      await this.#client.sleep(100);
      return position;
    }
    if (batch.poll.offsets.length > 0) {
      this.#polls.push({ ...batch.poll, consumer: this.#client.id, session: this.#session });
    }
    return batch.next;
  }

  async #heartbeat(round: Round): Promise<boolean> {
    const answer = await this.#try(round, Heartbeat, HEARTBEAT_VERSION, {
      groupId: this.#options.group,
      generationId: round.generation,
      memberId: round.memberId,
    });
    if (answer?.errorCode !== 0) this.#say('heartbeat', { code: answer?.errorCode });
    return answer?.errorCode === 0;
  }

  async #leave(round: Round): Promise<void> {
    await this.#try(round, LeaveGroup, LEAVE_VERSION, {
      groupId: this.#options.group,
      memberId: round.memberId,
    });
  }

  // ---- registers -----------------------------------------------------------------------------

  async #commit(round: Round, partition: number, offset: number): Promise<boolean> {
    const startMs = this.#world.nowMs;
    const answer = await this.#try(round, OffsetCommit, COMMIT_VERSION, {
      groupId: this.#options.group,
      generationIdOrMemberEpoch: round.generation,
      memberId: round.memberId,
      topics: [
        {
          name: this.#options.topic.name,
          partitions: [
            { partitionIndex: partition, committedOffset: offset, committedMetadata: '' },
          ],
        },
      ],
    });
    const code = answer?.topics[0]?.partitions[0]?.errorCode;
    // Whatever is not a success may still have been written.
    const endMs = code === 0 ? this.#world.nowMs : undefined;
    this.#note(partition, { kind: 'write', value: offset, startMs, endMs });
    if (code !== 0) this.#say('commit', { code, partition });
    return code === 0;
  }

  async #fetchCommitted(round: Round, partition: number): Promise<number | undefined> {
    const startMs = this.#world.nowMs;
    const answer = await this.#try(round, OffsetFetch, FETCH_VERSION, {
      groupId: this.#options.group,
      topics: [{ name: this.#options.topic.name, partitionIndexes: [partition] }],
    });
    const found = answer?.topics[0]?.partitions[0];
    this.#say('offset', { code: found?.errorCode, partition, offset: found?.committedOffset });
    if (answer === undefined || answer.errorCode !== 0 || found?.errorCode !== 0) return undefined;
    const value = found.committedOffset;
    this.#note(partition, { kind: 'read', value, startMs, endMs: this.#world.nowMs });
    return value;
  }

  #say(what: string, fields: Readonly<Record<string, unknown>>): void {
    this.#client.env.log.debug(`group member ${what}`, { member: this.#memberId, ...fields });
  }

  #note(partition: number, operation: RegisterOperation): void {
    const key = `${this.#options.group}/${this.#options.topic.name}-${partition}`;
    const register = this.#registers.get(key);
    if (register === undefined) this.#registers.set(key, [operation]);
    else register.push(operation);
  }

  async #try<A extends Api>(
    round: Round,
    api: A,
    version: number,
    body: RequestInput<A>,
  ): Promise<ResponseOf<A> | undefined> {
    try {
      return await this.#client.call(round.coordinator, api, version, body);
    } catch (error) {
      if (error instanceof CallFailedError) return undefined;
      throw error;
    }
  }
}

// The consumer protocol's own bytes, version 0: topics of a subscription, partitions of an assignment.

function subscription(topic: string): Uint8Array {
  const writer = new ByteWriter();
  writer.u16(0);
  writer.u32(1);
  writeText(writer, topic);
  writer.u32(0xffff_ffff);
  return writer.bytes.slice(0, writer.size);
}

function assignment(topic: string, partitions: readonly number[]): Uint8Array {
  const writer = new ByteWriter();
  writer.u16(0);
  writer.u32(1);
  writeText(writer, topic);
  writer.u32(partitions.length);
  for (const partition of partitions) writer.u32(partition);
  writer.u32(0xffff_ffff);
  return writer.bytes.slice(0, writer.size);
}

function partitionsIn(bytes: Uint8Array): readonly number[] {
  if (bytes.length === 0) return [];
  const reader = new ByteReader(bytes);
  reader.u16();
  const topics = reader.u32();
  const out: number[] = [];
  for (let i = 0; i < topics; i += 1) {
    const size = reader.u16();
    for (let k = 0; k < size; k += 1) reader.u8();
    const count = reader.u32();
    for (let k = 0; k < count; k += 1) out.push(reader.u32());
  }
  return out;
}

function writeText(writer: ByteWriter, text: string): void {
  writer.u16(text.length);
  for (let i = 0; i < text.length; i += 1) writer.u8(text.charCodeAt(i));
}
