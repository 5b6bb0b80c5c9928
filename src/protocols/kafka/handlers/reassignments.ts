// AlterPartitionReassignments and ListPartitionReassignments (KIP-455). Each partition stands for itself; the metadata
// leader judges what is asked for, and an answer without an error says that it has begun.
import type { LogView } from '../../../broker/ports.ts';
import type {
  AlterPartitionReassignments,
  ListPartitionReassignments,
  RequestOf,
  ResponseInput,
} from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { type MetadataOutcome, metadataOutcome } from '../outcomes.ts';
import { topicNamed } from '../visible-topics.ts';

type Altering = Exchange<typeof AlterPartitionReassignments>;
type Partition = RequestOf<
  typeof AlterPartitionReassignments
>['topics'][number]['partitions'][number];
type Listed = ResponseInput<typeof ListPartitionReassignments>['topics'][number];

const TIMEOUT_MAX_MS = 600_000;
const PARTITIONS_PER_REQUEST_MAX = 1_000;

export function alterReassignments(exchange: Altering): void {
  const { topics } = exchange.body;
  let count = 0;
  const results = topics.flatMap(({ name, partitions }) =>
    partitions.map((partition) => {
      count += 1;
      return count > PARTITIONS_PER_REQUEST_MAX ? tooMany() : alterOne(exchange, name, partition);
    }),
  );
  exchange.after(Promise.all(results), (outcomes) => {
    let at = 0;
    exchange.respond({
      errorCode: E.NONE,
      errorMessage: null,
      responses: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          const { code, message } = outcomes[at++]!;
          return { partitionIndex, errorCode: code, errorMessage: message };
        }),
      })),
    });
  });
}

function tooMany(): Promise<MetadataOutcome> {
  const message = `one request moves at most ${PARTITIONS_PER_REQUEST_MAX} partitions`;
  return Promise.resolve({ code: E.POLICY_VIOLATION, message });
}

async function alterOne(
  { ports, body }: Altering,
  name: string,
  { partitionIndex, replicas }: Partition,
): Promise<MetadataOutcome> {
  const found = topicNamed(ports.view, name);
  if (typeof found === 'number') return { code: found, message: `there is no topic "${name}"` };
  const log = found.logs[partitionIndex];
  if (log === undefined) {
    return { code: E.UNKNOWN_TOPIC_OR_PARTITION, message: `${name} has no ${partitionIndex}` };
  }
  if (replicas?.length === 0) {
    return { code: E.INVALID_REPLICA_ASSIGNMENT, message: 'a partition has a replica at least' };
  }
  const timeoutMs = Math.min(Math.max(body.timeoutMs, 1), TIMEOUT_MAX_MS);
  return metadataOutcome(await ports.metadata.reassign(log.logId, replicas ?? [], timeoutMs));
}

export function listReassignments(exchange: Exchange<typeof ListPartitionReassignments>): void {
  const { view } = exchange.ports;
  const wanted =
    exchange.body.topics ??
    view.destinations().map(({ name }) => ({ name, partitionIndexes: undefined }));
  const topics = wanted.flatMap(({ name, partitionIndexes }): Listed[] => {
    const found = topicNamed(view, name);
    if (typeof found === 'number') return [];
    const partitions = found.logs
      .filter(({ partition }) => partitionIndexes?.includes(partition) ?? true)
      .filter(isMoving)
      .map(({ partition, replicas, adding, removing }) => ({
        partitionIndex: partition,
        replicas: [...replicas],
        addingReplicas: [...adding],
        removingReplicas: [...removing],
      }));
    return partitions.length === 0 ? [] : [{ name, partitions }];
  });
  exchange.respond({ errorCode: E.NONE, errorMessage: null, topics });
}

function isMoving({ adding, removing }: LogView): boolean {
  return adding.length + removing.length > 0;
}
