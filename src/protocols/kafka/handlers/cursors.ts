// OffsetCommit and OffsetFetch. The client names topics and partitions; the coordinator keeps cursors by
// log, so a topic that was deleted and made again starts without any.
import type { CursorCommit, CursorKey, CursorRead } from '../../../broker/ports.ts';
import type { OffsetCommit, OffsetFetch, RequestOf, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { groupCode } from '../outcomes.ts';
import { topicNamed } from '../visible-topics.ts';
import { askCoordinators, askGroup, type GroupReply } from './coordinator.ts';

/** offsets.commit.timeout.ms of Kafka. */
const TIMEOUT_MS = 5_000;

export function offsetCommit(exchange: Exchange<typeof OffsetCommit>): void {
  const { body, ports } = exchange;
  const cursors: CursorCommit[] = [];
  /** Where in `cursors` each partition is; -1: there is no such log. */
  const places = body.topics.map(({ name, partitions }) =>
    partitions.map((partition) => {
      const found = topicNamed(ports.view, name);
      const log = typeof found === 'number' ? undefined : found.logs[partition.partitionIndex];
      if (log === undefined) return -1;
      const { committedOffset, committedLeaderEpoch, committedMetadata } = partition;
      return (
        cursors.push({
          destination: name,
          partition: log.partition,
          logId: log.logId,
          offset: committedOffset,
          leaderEpoch: committedLeaderEpoch,
          metadata: committedMetadata ?? '',
        }) - 1
      );
    }),
  );
  const command = {
    kind: 'commit',
    group: body.groupId,
    memberId: body.memberId,
    instanceId: body.groupInstanceId ?? undefined,
    generation: body.generationIdOrMemberEpoch,
    cursors,
  } as const;
  askGroup(exchange, body.groupId, command, TIMEOUT_MS, (reply) => {
    const topics = body.topics.map(({ name, partitions }, t) => ({
      name,
      partitions: partitions.map(({ partitionIndex }, p) => {
        const errorCode = commitCode(reply, places[t]![p]!);
        return { partitionIndex, errorCode };
      }),
    }));
    exchange.respond({ topics });
  });
}

function commitCode(reply: GroupReply, place: number): number {
  if (place < 0) return E.UNKNOWN_TOPIC_OR_PARTITION;
  const { answer } = reply;
  if (answer === undefined) return reply.code;
  const each = answer.kind === 'plain' ? answer.each[place] : undefined;
  return groupCode(each ?? answer.outcome);
}

// ---- OffsetFetch -------------------------------------------------------------------------------

type WantedTopics = RequestOf<typeof OffsetFetch>['topics'];
type FoundTopics = NonNullable<ResponseInput<typeof OffsetFetch>['topics']>;
type FoundPartition = FoundTopics[number]['partitions'][number];
/** Before this version errors have no place but in each partition. */
const GROUP_ERROR_VERSION = 2;

interface GroupAsked {
  readonly groupId: string;
  readonly topics: WantedTopics;
}

export function offsetFetch(exchange: Exchange<typeof OffsetFetch>): void {
  const { body, version, ports } = exchange;
  const isBatched = version >= 8;
  const asked: readonly GroupAsked[] = isBatched
    ? body.groups
    : [{ groupId: body.groupId, topics: body.topics }];
  const questions = asked.map(({ groupId, topics }) => ({
    log: ports.coordinatorLog(groupId),
    command: { kind: 'read', group: groupId, cursors: keysOf(exchange, topics) } as const,
  }));
  askCoordinators(exchange, questions, TIMEOUT_MS, (replies) => {
    const groups = asked.map(({ groupId, topics }, i) => {
      const errorCode = readCode(replies[i]!);
      const found = foundTopics(exchange, topics, replies[i]!, errorCode);
      return { groupId, topics: found, errorCode };
    });
    if (isBatched) {
      exchange.respond({ groups });
      return;
    }
    const { topics, errorCode } = groups[0]!;
    exchange.respond({ topics, errorCode });
  });
}

/** undefined: all cursors. Partitions without a log are left out: nothing can be committed on them. */
function keysOf(
  exchange: Exchange<typeof OffsetFetch>,
  topics: WantedTopics,
): CursorKey[] | undefined {
  if (topics === null) return undefined;
  const keys: CursorKey[] = [];
  for (const { name, partitionIndexes } of topics) {
    const found = topicNamed(exchange.ports.view, name);
    if (typeof found === 'number') continue;
    for (const partition of partitionIndexes) {
      const log = found.logs[partition];
      if (log !== undefined) keys.push({ destination: name, partition, logId: log.logId });
    }
  }
  return keys;
}

function readCode(reply: GroupReply): number {
  return reply.answer === undefined ? reply.code : groupCode(reply.answer.outcome);
}

function foundTopics(
  exchange: Exchange<typeof OffsetFetch>,
  wanted: WantedTopics,
  reply: GroupReply,
  errorCode: number,
): FoundTopics {
  const cursors = reply.answer?.kind === 'read' ? reply.answer.cursors : [];
  if (wanted === null) return allTopics(exchange, cursors);
  if (errorCode !== E.NONE && exchange.version >= GROUP_ERROR_VERSION) return [];
  const byPlace = new Map(cursors.map((cursor) => [placeOf(cursor), cursor]));
  return wanted.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partition) =>
      foundPartition(partition, byPlace.get(placeOf({ destination: name, partition })), errorCode),
    ),
  }));
}

function placeOf(of: { readonly destination: string; readonly partition: number }): string {
  return `${of.partition}/${of.destination}`;
}

function foundPartition(
  partitionIndex: number,
  cursor: CursorRead | undefined,
  errorCode: number,
): FoundPartition {
  return {
    partitionIndex,
    committedOffset: cursor?.offset ?? -1,
    committedLeaderEpoch: cursor?.leaderEpoch ?? -1,
    metadata: cursor?.metadata ?? '',
    errorCode,
  };
}

/** Every cursor on a log that still is what the name says. */
function allTopics(
  exchange: Exchange<typeof OffsetFetch>,
  cursors: readonly CursorRead[],
): FoundTopics {
  const byName = new Map<string, FoundPartition[]>();
  for (const cursor of cursors) {
    const log = exchange.ports.view.log(cursor.logId);
    if (log === undefined || log.destination !== cursor.destination) continue;
    const partitions = byName.get(cursor.destination) ?? [];
    partitions.push(foundPartition(cursor.partition, cursor, E.NONE));
    byName.set(cursor.destination, partitions);
  }
  return [...byName].map(([name, partitions]) => ({ name, partitions }));
}
