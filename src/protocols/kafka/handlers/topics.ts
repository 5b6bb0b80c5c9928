// CreateTopics and DeleteTopics. Each topic of a request stands for itself: one that is refused does not
// stop the others. What can be seen to be wrong from here is refused here, by sentence; the metadata
// leader has the last word.
import {
  type CreateDestination,
  type DestinationView,
  encodeGroupCommand,
  type MetadataResult,
  PARTITION_KIND,
  refuseDestinationName,
  refuseSettings,
} from '../../../broker/ports.ts';
import { ZERO_UUID } from '../../../std/uuid.ts';
import type { CreateTopics, DeleteTopics, RequestOf, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { type MetadataOutcome, metadataOutcome } from '../outcomes.ts';
import { topicNamed, topicWithId } from '../visible-topics.ts';
import { configRows } from './configs.ts';

type Wanted = RequestOf<typeof CreateTopics>['topics'][number];
type Created = ResponseInput<typeof CreateTopics>['topics'][number];
type Deleted = ResponseInput<typeof DeleteTopics>['responses'][number];

const TIMEOUT_MAX_MS = 600_000;
const TOPICS_PER_REQUEST_MAX = 1_000;

function timeoutOf(wantedMs: number): number {
  return Math.min(Math.max(wantedMs, 1), TIMEOUT_MAX_MS);
}

function refuse(code: number, message: string): MetadataOutcome {
  return { code, message };
}

export function createTopics(exchange: Exchange<typeof CreateTopics>): void {
  const { topics, validateOnly, timeoutMs } = exchange.body;
  const { metadata } = exchange.ports;
  const counts = new Map<string, number>();
  for (const { name } of topics) counts.set(name, (counts.get(name) ?? 0) + 1);
  const results = topics.map((topic, i): Promise<MetadataOutcome> => {
    const isTooMany = i >= TOPICS_PER_REQUEST_MAX;
    const isTwice = counts.get(topic.name)! > 1;
    const refusal = isTooMany
      ? refuse(E.POLICY_VIOLATION, `one request makes at most ${TOPICS_PER_REQUEST_MAX} topics`)
      : isTwice
        ? refuse(E.INVALID_REQUEST, `topic "${topic.name}" is in the request twice`)
        : refuseTopic(exchange, topic);
    if (refusal !== undefined) return Promise.resolve(refusal);
    const what = toDestination(exchange, topic, validateOnly);
    return metadata.create(what, timeoutOf(timeoutMs)).then(metadataOutcome);
  });
  exchange.after(Promise.all(results), (outcomes) => {
    exchange.respond({
      topics: topics.map((topic, i) => createdTopic(exchange, topic, outcomes[i]!)),
    });
  });
}

function refuseTopic(
  exchange: Exchange<typeof CreateTopics>,
  topic: Wanted,
): MetadataOutcome | undefined {
  const { view } = exchange.ports;
  const badName = refuseDestinationName(topic.name);
  if (badName !== undefined) return refuse(E.INVALID_TOPIC_EXCEPTION, badName);
  const taken = view.destination(topic.name);
  if (taken !== undefined) {
    const what = taken.queue === undefined ? 'topic' : 'queue';
    return refuse(E.TOPIC_ALREADY_EXISTS, `${what} "${topic.name}" exists`);
  }
  const badConfig = refuseSettings(topic.configs.map(({ name, value }) => [name, value] as const));
  if (badConfig !== undefined) return refuse(E.INVALID_CONFIG, badConfig);
  return topic.assignments.length > 0
    ? refuseAssignments(topic, exchange.host.limits.partitionsMax)
    : refuseCounts(exchange, topic);
}

function refuseCounts(
  exchange: Exchange<typeof CreateTopics>,
  topic: Wanted,
): MetadataOutcome | undefined {
  const { numPartitions, replicationFactor } = topic;
  const { partitionsMax } = exchange.host.limits;
  if (numPartitions !== -1 && (numPartitions < 1 || numPartitions > partitionsMax)) {
    return refuse(E.INVALID_PARTITIONS, `a topic has from 1 to ${partitionsMax} partitions`);
  }
  const { view } = exchange.ports;
  const live = view.nodes().filter(({ isLive, role }) => isLive && role === 'disk').length;
  if (replicationFactor !== -1 && (replicationFactor < 1 || replicationFactor > live)) {
    const message = `replication factor ${replicationFactor} with ${live} live nodes`;
    return refuse(E.INVALID_REPLICATION_FACTOR, message);
  }
  return undefined;
}

function refuseAssignments(topic: Wanted, partitionsMax: number): MetadataOutcome | undefined {
  if (topic.numPartitions !== -1 || topic.replicationFactor !== -1) {
    const message = 'with an assignment, partitions and replication factor are both -1';
    return refuse(E.INVALID_REQUEST, message);
  }
  const { assignments } = topic;
  if (assignments.length > partitionsMax) {
    return refuse(E.INVALID_PARTITIONS, `a topic has at most ${partitionsMax} partitions`);
  }
  const indexes = assignments.map((each) => each.partitionIndex).sort((a, b) => a - b);
  const factor = assignments[0]!.brokerIds.length;
  const isGood =
    indexes.every((index, i) => index === i) &&
    assignments.every(({ brokerIds }) => {
      return brokerIds.length === factor && factor > 0 && new Set(brokerIds).size === factor;
    });
  if (isGood) return undefined;
  const message = 'partitions count from 0, each with the same number of different nodes';
  return refuse(E.INVALID_REPLICA_ASSIGNMENT, message);
}

function toDestination(
  exchange: Exchange<typeof CreateTopics>,
  topic: Wanted,
  validateOnly: boolean,
): CreateDestination {
  const sorted = [...topic.assignments].sort((a, b) => a.partitionIndex - b.partitionIndex);
  const counted =
    topic.numPartitions === -1 ? exchange.ports.settings.defaultPartitions : topic.numPartitions;
  return {
    name: topic.name,
    partitions: sorted.length > 0 ? sorted.length : counted,
    replicationFactor: sorted.length > 0 ? sorted[0]!.brokerIds.length : topic.replicationFactor,
    assignments: sorted.map((each) => each.brokerIds),
    config: topic.configs.map(({ name, value }) => [name, value ?? ''] as const),
    isInternal: false,
    kind: PARTITION_KIND,
    validateOnly,
  };
}

function createdTopic(
  exchange: Exchange<typeof CreateTopics>,
  topic: Wanted,
  outcome: MetadataOutcome,
): Created {
  const { name } = topic;
  const destination = outcome.code === E.NONE ? exchange.ports.view.destination(name) : undefined;
  return {
    name,
    topicId: destination?.id ?? ZERO_UUID,
    errorCode: outcome.code,
    errorMessage: outcome.message,
    numPartitions: destination?.logs.length ?? -1,
    replicationFactor: destination?.logs[0]?.replicas.length ?? -1,
    configs:
      destination === undefined
        ? []
        : configRows(destination).map(({ name: key, value, source }) => ({
            name: key,
            value,
            readOnly: false,
            configSource: source,
            isSensitive: false,
          })),
  };
}

export function deleteTopics(exchange: Exchange<typeof DeleteTopics>): void {
  const { body, version } = exchange;
  const wanted =
    version >= 6
      ? body.topics.map(({ name, topicId }) => ({ name, topicId }))
      : body.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
  const results = wanted.map((each) => deleteOne(exchange, each.name, each.topicId));
  exchange.after(Promise.all(results), (responses) => exchange.respond({ responses }));
}

function deleteOne(
  exchange: Exchange<typeof DeleteTopics>,
  name: string | null,
  topicId: Uint8Array,
): Promise<Deleted> {
  const { view } = exchange.ports;
  const found = name === null ? topicWithId(view, topicId) : topicNamed(view, name);
  if (typeof found === 'number') {
    const errorMessage = 'there is no such topic, or it is not for everybody';
    return Promise.resolve({ name, topicId, errorCode: found, errorMessage });
  }
  const of = { name: found.name, topicId: found.id };
  if (found.isInternal) {
    const errorMessage = 'an internal topic cannot be deleted';
    return Promise.resolve({ ...of, errorCode: E.INVALID_REQUEST, errorMessage });
  }
  const logIds = found.logs.map((log) => log.logId);
  return remove(exchange, found).then((result) => {
    if (result.kind === 'ok') forgetCursors(exchange, logIds);
    const { code, message } = metadataOutcome(result);
    return { ...of, errorCode: code, errorMessage: message };
  });
}

/** A queue goes as its own clients would let it go: with its messages, whoever consumes from it. */
function remove(
  { ports, body }: Exchange<typeof DeleteTopics>,
  { name, queue, logs }: DestinationView,
): Promise<MetadataResult> {
  const timeoutMs = timeoutOf(body.timeoutMs);
  if (queue === undefined) return ports.metadata.remove(name, timeoutMs);
  return ports.metadata.deleteQueue(name, logs[0]!.logId, timeoutMs);
}

/**
 * Cursors name logs, so those of removed logs can never be read again; this only gives their space back.
 * Nobody waits for the answers.
 */
function forgetCursors(exchange: Exchange<typeof DeleteTopics>, logIds: readonly number[]): void {
  const body = encodeGroupCommand({ kind: 'forget', logIds });
  for (const log of exchange.ports.groupLogs()) {
    // Best effort, so nothing waits for room and nobody's end is listened for.
    exchange.ports.logHost(log.logId)?.tell('command', {
      logId: log.logId,
      body,
      timeoutMs: TIMEOUT_MAX_MS,
      // Below every token that this connection waits for.
      token: 0,
      replyTo: exchange.host.replyTo,
    });
  }
}
