// ListOffsets and OffsetForLeaderEpoch: questions about positions, one per partition, answered together
// when the last log has answered.
import type { OffsetQuery } from '../../../broker/ports.ts';
import type { ListOffsets, OffsetForLeaderEpoch } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { LocateFlow, type Question } from './locate-flow.ts';

const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
/** The earliest offset on this machine: all of a log is. */
const EARLIEST_LOCAL = -4;
/** The latest offset in remote storage, of which there is none. */
const LATEST_TIERED = -5;
function queryOf(timestamp: number): OffsetQuery | number {
  if (timestamp >= 0) return { kind: 'at-time', timestampMs: timestamp };
  switch (timestamp) {
    case LATEST:
      return { kind: 'latest' };
    case EARLIEST:
    case EARLIEST_LOCAL:
      return { kind: 'earliest' };
    case MAX_TIMESTAMP:
      return { kind: 'max-timestamp' };
    case LATEST_TIERED:
      return E.NONE;
    default:
      return E.INVALID_REQUEST;
  }
}

export function listOffsets(exchange: Exchange<typeof ListOffsets>): void {
  const { topics } = exchange.body;
  const questions = topics.flatMap(({ name, partitions }) =>
    partitions.map(
      (each): Question => ({
        destination: name,
        partition: each.partitionIndex,
        epoch: each.currentLeaderEpoch,
        query: queryOf(each.timestamp),
      }),
    ),
  );
  new LocateFlow(exchange, (answers) => {
    let at = 0;
    const answered = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, timestamp }) => {
        const { errorCode, offset, timestampMs, epoch } = answers[at++]!;
        // Only a question about time is answered with a time.
        const isTimed = timestamp >= 0 || timestamp === MAX_TIMESTAMP;
        const time = isTimed ? timestampMs : -1;
        return { partitionIndex, errorCode, timestamp: time, offset, leaderEpoch: epoch };
      }),
    }));
    exchange.respond({ topics: answered });
  }).start(questions);
}

export function offsetForLeaderEpoch(exchange: Exchange<typeof OffsetForLeaderEpoch>): void {
  const { topics } = exchange.body;
  const questions = topics.flatMap(({ topic, partitions }) =>
    partitions.map(
      (each): Question => ({
        destination: topic,
        partition: each.partition,
        epoch: each.currentLeaderEpoch,
        query: { kind: 'end-of-epoch', wanted: each.leaderEpoch },
      }),
    ),
  );
  new LocateFlow(exchange, (answers) => {
    let at = 0;
    const answered = topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => {
        const { errorCode, offset, epoch } = answers[at++]!;
        return { errorCode, partition, leaderEpoch: epoch, endOffset: offset };
      }),
    }));
    exchange.respond({ topics: answered });
  }).start(questions);
}
