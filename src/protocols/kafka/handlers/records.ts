// DeleteRecords (KIP-107): a partition starts later, for ever and on every replica. Answered when that is committed,
// with where the partition starts then: in the log of every replica that is in sync.
import { isDeleting } from '../../../broker/ports.ts';
import type { DeleteRecords } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { topicNamed } from '../visible-topics.ts';
import { LocateFlow, type Question } from './locate-flow.ts';

const HIGH_WATERMARK = -1;
const TIMEOUT_MAX_MS = 600_000;
/** By how much the flow's deadline is behind the log's. */
const SLACK_MS = 500;

export function deleteRecords(exchange: Exchange<typeof DeleteRecords>): void {
  const { topics } = exchange.body;
  const timeoutMs = Math.min(Math.max(exchange.body.timeoutMs, 1), TIMEOUT_MAX_MS);
  const questions = topics.flatMap(({ name, partitions }) => {
    const refusal = refuse(exchange, name);
    return partitions.map(({ partitionIndex, offset }): Question => {
      const query = refusal ?? trimAt(offset, timeoutMs);
      return { destination: name, partition: partitionIndex, epoch: -1, query };
    });
  });
  new LocateFlow(exchange, (answers) => {
    let at = 0;
    exchange.respond({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          const { errorCode, offset } = answers[at++]!;
          return { partitionIndex, errorCode, lowWatermark: offset };
        }),
      })),
    });
  }).start(questions, timeoutMs + SLACK_MS);
}

function trimAt(offset: number, timeoutMs: number): Question['query'] {
  return offset < HIGH_WATERMARK ? E.OFFSET_OUT_OF_RANGE : { kind: 'trim', offset, timeoutMs };
}

/** What lets go of records by itself, and what the cluster keeps for itself, has no records to delete. */
function refuse({ ports }: Exchange<typeof DeleteRecords>, name: string): number | undefined {
  const found = topicNamed(ports.view, name);
  if (typeof found === 'number') return undefined;
  if (found.isInternal) return E.INVALID_TOPIC_EXCEPTION;
  // As Kafka: a topic that is only compacted keeps its keys.
  return found.queue === undefined && isDeleting(found.config) ? undefined : E.POLICY_VIOLATION;
}
