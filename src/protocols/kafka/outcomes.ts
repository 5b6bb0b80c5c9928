// From Callboard's words to Kafka's error numbers. Which number a client gets decides whether it tries
// again, looks for another leader, or gives up: the tables are the whole policy.
import type { GroupOutcome, LogResult, MetadataResult } from '../../broker/ports.ts';
import type { BatchFault } from '../../records/batch.ts';
import { KafkaErrorCode as E } from './errors.ts';

// Consumers throw on codes they do not expect in a fetch, so whatever passes by itself is told as "look
// for the leader again" (6) or, for appends that find no room, as too few replicas now (19).
const LOG_CODES: { readonly [R in LogResult]: number } = {
  ok: E.NONE,
  'not-leader': E.NOT_LEADER_OR_FOLLOWER,
  'unknown-log': E.NOT_LEADER_OR_FOLLOWER,
  'fenced-epoch': E.FENCED_LEADER_EPOCH,
  'unknown-epoch': E.UNKNOWN_LEADER_EPOCH,
  'offset-out-of-range': E.OFFSET_OUT_OF_RANGE,
  'not-enough-replicas': E.NOT_ENOUGH_REPLICAS,
  'too-large': E.MESSAGE_TOO_LARGE,
  corrupt: E.CORRUPT_MESSAGE,
  invalid: E.INVALID_RECORD,
  unsupported: E.UNSUPPORTED_FOR_MESSAGE_FORMAT,
  throttled: E.NOT_ENOUGH_REPLICAS,
  'timed-out': E.REQUEST_TIMED_OUT,
  // Kafka's for a log whose disk has failed or is full: producers look for the leader again, and try again.
  'no-space': E.KAFKA_STORAGE_ERROR,
  'storage-error': E.KAFKA_STORAGE_ERROR,
  'not-available': E.NOT_LEADER_OR_FOLLOWER,
  'leader-lost': E.NOT_LEADER_OR_FOLLOWER,
};

export function logCode(result: LogResult): number {
  return LOG_CODES[result];
}

/** The same outcome of a group log: clients look for the coordinator, not for a leader. */
export function coordinatorCode(result: LogResult): number {
  switch (result) {
    case 'ok':
      return E.NONE;
    case 'not-leader':
    case 'leader-lost':
    case 'unknown-log':
    case 'fenced-epoch':
    case 'unknown-epoch':
      return E.NOT_COORDINATOR;
    case 'not-available':
      return E.COORDINATOR_LOAD_IN_PROGRESS;
    default:
      return E.COORDINATOR_NOT_AVAILABLE;
  }
}

const GROUP_CODES: { readonly [O in GroupOutcome]: number } = {
  ok: E.NONE,
  moved: E.NOT_COORDINATOR,
  'unknown-member': E.UNKNOWN_MEMBER_ID,
  'wrong-generation': E.ILLEGAL_GENERATION,
  rebalancing: E.REBALANCE_IN_PROGRESS,
  'inconsistent-protocol': E.INCONSISTENT_GROUP_PROTOCOL,
  'member-id-required': E.MEMBER_ID_REQUIRED,
  'fenced-instance': E.FENCED_INSTANCE_ID,
  'bad-session-timeout': E.INVALID_SESSION_TIMEOUT,
  'bad-group': E.INVALID_GROUP_ID,
  'group-full': E.GROUP_MAX_SIZE_REACHED,
  'metadata-too-large': E.OFFSET_METADATA_TOO_LARGE,
  'group-not-found': E.GROUP_ID_NOT_FOUND,
  'bad-command': E.INVALID_REQUEST,
};

export function groupCode(outcome: GroupOutcome): number {
  return GROUP_CODES[outcome];
}

export function batchCode(fault: BatchFault): number {
  switch (fault) {
    case 'bad-magic':
      return E.UNSUPPORTED_FOR_MESSAGE_FORMAT;
    case 'truncated':
    case 'bad-length':
    case 'bad-crc':
      return E.CORRUPT_MESSAGE;
    case 'bad-attributes':
      return E.UNSUPPORTED_COMPRESSION_TYPE;
    case 'bad-value':
    case 'bad-count':
    case 'control':
      return E.INVALID_RECORD;
  }
}

/** Codes with which the metadata leader refuses a change. */
const REFUSALS: ReadonlyMap<string, number> = new Map([
  ['exists', E.TOPIC_ALREADY_EXISTS],
  ['unknown-destination', E.UNKNOWN_TOPIC_OR_PARTITION],
  // Another one has taken its name meanwhile.
  ['stale-log', E.UNKNOWN_TOPIC_OR_PARTITION],
  ['invalid-name', E.INVALID_TOPIC_EXCEPTION],
  ['invalid-partitions', E.INVALID_PARTITIONS],
  ['invalid-replication-factor', E.INVALID_REPLICATION_FACTOR],
  ['invalid-assignment', E.INVALID_REPLICA_ASSIGNMENT],
  ['invalid-config', E.INVALID_CONFIG],
  ['no-reassignment', E.NO_REASSIGNMENT_IN_PROGRESS],
  ['unknown-log', E.UNKNOWN_TOPIC_OR_PARTITION],
]);

export interface MetadataOutcome {
  readonly code: number;
  readonly message: string | null;
}

export function metadataOutcome(result: MetadataResult): MetadataOutcome {
  switch (result.kind) {
    case 'ok':
      return { code: E.NONE, message: null };
    case 'refused':
      return { code: REFUSALS.get(result.code) ?? E.INVALID_REQUEST, message: result.message };
    case 'unavailable':
      return { code: E.REQUEST_TIMED_OUT, message: result.message };
  }
}
