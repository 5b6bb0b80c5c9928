// What clients saw of Kafka logs: every send with its outcome, every poll with what it returned. Pure data,
// written by workloads and read by checkers. An operation whose outcome is not known stays open for ever:
// it is never counted as failed.

export interface Send {
  readonly producer: string;
  readonly topic: string;
  readonly partition: number;
  /** Unique in the whole history. */
  readonly id: number;
  readonly bodyHash: number;
  /** -1 all, 1 leader, 0 none. */
  readonly acks: -1 | 0 | 1;
  /** Order of the sends of one producer to one partition: it begins one when the last is over. */
  readonly order: number;
  /** How often it was put on the wire: each time may append once. */
  attempts: number;
  /** `failed` only if the broker said that nothing was appended, for every attempt. */
  outcome: 'acknowledged' | 'unknown' | 'failed';
  /** Offset from the acknowledgement. */
  offset: number | undefined;
  /** Of its body. */
  readonly bytes?: number;
  /** World time when it was begun, and when it was acknowledged; where somebody wants to know. */
  readonly beganMs?: number;
  endedMs?: number;
  /** Number of the node that acknowledged it. */
  answeredBy?: number;
}

export interface Poll {
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  /** Changes whenever the consumer takes a new position: within one, offsets grow. */
  readonly session: number;
  readonly offsets: readonly number[];
  readonly ids: readonly number[];
  readonly bodyHashes: readonly number[];
}

/** Where a log was said to start. */
export interface StartSeen {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly beganMs: number;
  readonly endedMs: number;
}

/** Records of a log that somebody asked to delete. */
export interface Trim {
  readonly topic: string;
  readonly partition: number;
  /** The first that stays; Infinity: whatever is there goes. */
  readonly offset: number;
  readonly beganMs: number;
  endedMs: number | undefined;
  /** `failed` only if the broker said that nothing was done, for the one attempt. */
  outcome: 'acknowledged' | 'unknown' | 'failed';
  /** Where the log starts, from the acknowledgement. */
  low: number | undefined;
}

/** A history as a workload grows it. */
export interface KafkaHistory {
  readonly sends: Send[];
  readonly polls: Poll[];
  /** Polls of the read-back after all faults: from the log start to the end, by one reader per partition. */
  readonly finalPolls: Poll[];
  /** By log: where the read-back began, and when. What is below may be gone if something explains it. */
  readonly finalStarts: Map<string, { readonly offset: number; readonly atMs: number }>;
}

export function emptyHistory(): KafkaHistory {
  return { sends: [], polls: [], finalPolls: [], finalStarts: new Map() };
}

/** One record that a poll returned. */
export interface Seen {
  readonly offset: number;
  readonly id: number;
  readonly bodyHash: number;
}

export function* recordsOf(poll: Poll): Generator<Seen> {
  for (let i = 0; i < poll.offsets.length; i += 1) {
    yield { offset: poll.offsets[i]!, id: poll.ids[i]!, bodyHash: poll.bodyHashes[i]! };
  }
}

export function logName(entry: { readonly topic: string; readonly partition: number }): string {
  return `${entry.topic}-${entry.partition}`;
}
