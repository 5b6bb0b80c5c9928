// Metadata and DescribeCluster: who is there and who leads what. A topic that is asked for by name may be
// made on the way; its first answer may then say that it has no leader yet, and clients ask again.
import {
  type DestinationView,
  type LogView,
  type MetadataResult,
  PARTITION_KIND,
  refuseDestinationName,
} from '../../../broker/ports.ts';
import { ZERO_UUID } from '../../../std/uuid.ts';
import { controllerId, liveBrokers } from '../addresses.ts';
import type { DescribeCluster, Metadata, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { metadataOutcome } from '../outcomes.ts';
import { listedTopics, topicNamed, topicWithId } from '../visible-topics.ts';

type Topic = ResponseInput<typeof Metadata>['topics'][number];

const CREATE_TIMEOUT_MS = 5_000;
/** Topics that one request may make. */
const CREATED_PER_REQUEST_MAX = 1_000;

export function metadata(exchange: Exchange<typeof Metadata>): void {
  const { body, version } = exchange;
  const { topics } = body;
  const isAll = topics === null || (version === 0 && topics.length === 0);
  if (isAll) {
    const { view, groupDestination } = exchange.ports;
    answer(exchange, listedTopics(view, groupDestination).map(describeTopic));
    return;
  }
  const missing = missingNames(exchange);
  if (missing.length === 0) {
    answerNamed(exchange, new Map());
    return;
  }
  const results = missing.map((name) => createOne(exchange, name));
  exchange.after(Promise.all(results), (outcomes) => {
    answerNamed(exchange, new Map(missing.map((name, i) => [name, outcomes[i]!])));
  });
}

/** Names that are asked for, may be made and are not there. */
function missingNames(exchange: Exchange<typeof Metadata>): string[] {
  const { ports, body } = exchange;
  if (!ports.settings.autoCreate || !body.allowAutoTopicCreation) return [];
  const missing = new Set<string>();
  for (const { name } of body.topics ?? []) {
    if (name === null || refuseDestinationName(name) !== undefined) continue;
    if (ports.view.destination(name) !== undefined) continue;
    if (missing.size < CREATED_PER_REQUEST_MAX) missing.add(name);
  }
  return [...missing];
}

function createOne(exchange: Exchange<typeof Metadata>, name: string): Promise<MetadataResult> {
  const { ports } = exchange;
  if (name === ports.groupDestination) return ports.createGroupLogs(CREATE_TIMEOUT_MS);
  return ports.metadata.create(
    {
      name,
      partitions: ports.settings.defaultPartitions,
      replicationFactor: -1,
      assignments: [],
      config: [],
      isInternal: false,
      kind: PARTITION_KIND,
      validateOnly: false,
    },
    CREATE_TIMEOUT_MS,
  );
}

function answerNamed(
  exchange: Exchange<typeof Metadata>,
  created: ReadonlyMap<string, MetadataResult>,
): void {
  const { view } = exchange.ports;
  const topics = (exchange.body.topics ?? []).map(({ name, topicId }): Topic => {
    if (name === null) {
      const found = topicWithId(view, topicId);
      return typeof found === 'number' ? missingTopic(found, null, topicId) : describeTopic(found);
    }
    if (refuseDestinationName(name) !== undefined) {
      return missingTopic(E.INVALID_TOPIC_EXCEPTION, name, ZERO_UUID);
    }
    // Somebody else may have made it meanwhile: what is there counts more than how it came.
    const found = topicNamed(view, name);
    if (typeof found !== 'number') return describeTopic(found);
    const isMissing = found === E.UNKNOWN_TOPIC_OR_PARTITION;
    return missingTopic(isMissing ? missingCode(created.get(name)) : found, name, ZERO_UUID);
  });
  answer(exchange, topics);
}

function missingCode(result: MetadataResult | undefined): number {
  if (result === undefined) return E.UNKNOWN_TOPIC_OR_PARTITION;
  // Made, or being made, and not visible here yet; or no metadata leader now. Both pass.
  if (result.kind !== 'refused') return E.LEADER_NOT_AVAILABLE;
  return result.code === 'exists' ? E.LEADER_NOT_AVAILABLE : metadataOutcome(result).code;
}

function missingTopic(errorCode: number, name: string | null, topicId: Uint8Array): Topic {
  return { errorCode, name, topicId, isInternal: false, partitions: [] };
}

function describeTopic(destination: DestinationView): Topic {
  return {
    errorCode: E.NONE,
    name: destination.name,
    topicId: destination.id,
    isInternal: destination.isInternal,
    partitions: destination.logs.map(describePartition),
  };
}

function describePartition(log: LogView): Topic['partitions'][number] {
  return {
    errorCode: log.leader < 0 ? E.LEADER_NOT_AVAILABLE : E.NONE,
    partitionIndex: log.partition,
    leaderId: log.leader,
    leaderEpoch: log.epoch,
    replicaNodes: log.replicas,
    isrNodes: log.isr,
    offlineReplicas: log.offline,
  };
}

function answer(exchange: Exchange<typeof Metadata>, topics: readonly Topic[]): void {
  const { view } = exchange.ports;
  const brokers = liveBrokers(view, exchange.host);
  exchange.respond({
    brokers,
    clusterId: view.clusterId,
    controllerId: controllerId(view, brokers),
    topics,
  });
}

const ENDPOINT_BROKERS = 1;

export function describeCluster(exchange: Exchange<typeof DescribeCluster>): void {
  const { view } = exchange.ports;
  const { endpointType } = exchange.body;
  const isServed = endpointType === ENDPOINT_BROKERS;
  const brokers = liveBrokers(view, exchange.host);
  exchange.respond({
    errorCode: isServed ? E.NONE : E.UNSUPPORTED_ENDPOINT_TYPE,
    errorMessage: isServed ? null : 'only the endpoints of brokers are described',
    endpointType,
    clusterId: view.clusterId,
    controllerId: controllerId(view, brokers),
    brokers: isServed
      ? brokers.map(({ nodeId, ...rest }) => ({
          brokerId: nodeId,
          ...rest,
          isFenced: false,
        }))
      : [],
  });
}
