// What the session needs of the broker, in words that are not RocketMQ's: what is known now (topics, nodes,
// groups), and what is asked and answered later by token. Whoever composes a node translates it to the
// hosts of logs and to the views of queues. The numbers in here are logs, offsets and leases, never queue ids.
import type { RecordHeader } from '../../../records/batch-builder.ts';

/** Kinds of messages that a topic takes, as its maker decided. */
export type MessageKind = 'normal' | 'fifo' | 'delay' | 'transaction';

export interface TopicLog {
  readonly logId: number;
  /** -1: nobody leads it now. */
  readonly leaderNodeId: number;
}

export interface TopicView {
  readonly name: string;
  /** By partition. */
  readonly logs: readonly TopicLog[];
  /** How many names of brokers its partitions are spread over; decided when it is made, for ever. */
  readonly brokerNames: number;
  readonly kinds: readonly MessageKind[];
  /** What one group takes no other gets, and other protocols' consumers take from it too. */
  readonly isQueue: boolean;
}

/** A live node that serves RocketMQ over gRPC. */
export interface NodeAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface GroupView {
  /** One message of a key at a time, in order. */
  readonly isFifo: boolean;
  /** Deliveries of one message before it is dead; at least 1. */
  readonly deliveriesMax: number;
  /** Waits between deliveries; the last one repeats. */
  readonly backoffMs: readonly number[];
}

/** A read-only picture of now. */
export interface BrokerPicture {
  readonly nodeId: number;
  /** Topics that are asked for and not there are made. */
  readonly autoCreate: boolean;
  topic(name: string): TopicView | undefined;
  nodes(): readonly NodeAddress[];
  group(name: string): GroupView;
}

// ---- Asked, and answered later ------------------------------------------------------------------

/**
 * `unavailable`: nobody can answer now, ask again. `timed-out`: what became of it is unknown. `busy`: too
 * many are asking. `refused`: never, as it is; the reason is for people.
 */
export type Trouble = 'unavailable' | 'timed-out' | 'busy' | 'refused';

export interface CreateAsk {
  readonly kind: 'create';
  readonly token: number;
  readonly topic: string;
  readonly timeoutMs: number;
}

export interface CreateAnswer {
  readonly kind: 'create';
  /** `ok` also if it was there. */
  readonly result: 'ok' | Trouble;
  readonly reason: string;
}

export interface NewRecord {
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: readonly RecordHeader[];
}

/** Stores the records of one batch in order, and answers when they are committed. */
export interface AppendAsk {
  readonly kind: 'append';
  readonly token: number;
  readonly logId: number;
  readonly records: readonly NewRecord[];
  readonly timeoutMs: number;
}

export interface AppendAnswer {
  readonly kind: 'append';
  readonly result: 'ok' | 'too-large' | 'unknown-log' | Trouble;
  /** Of the first record. */
  readonly baseOffset: number;
  readonly reason: string;
}

/** Undefined: every message. */
export type TagFilter = ReadonlySet<string> | undefined;

/** Messages of some logs, at most one answer's worth, each leased. Answers early when there are any. */
export interface ReceiveAsk {
  readonly kind: 'receive';
  readonly token: number;
  readonly clientId: string;
  readonly group: string;
  readonly logIds: readonly number[];
  readonly tags: TagFilter;
  readonly messagesMax: number;
  readonly bytesMax: number;
  /** How long nobody else gets them. */
  readonly leaseMs: number;
  /** 0: only what is there. */
  readonly waitMs: number;
}

export interface Lease {
  readonly logId: number;
  readonly offset: number;
  /** Of the leader that gave it. */
  readonly epoch: number;
  readonly number: number;
}

export interface LeasedRecord {
  readonly lease: Lease;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  /** 1 for the first time. */
  readonly deliveryCount: number;
}

export interface ReceiveAnswer {
  readonly kind: 'receive';
  /** `ok` with no records: there were none in time. */
  readonly result: 'ok' | Trouble;
  readonly records: readonly LeasedRecord[];
  readonly reason: string;
}

/** `expired`: somebody else holds it, or it is gone. */
export type LeaseResult = 'ok' | 'expired' | Trouble;

/** The messages are done. All leases are of one log. */
export interface AcknowledgeAsk {
  readonly kind: 'acknowledge';
  readonly token: number;
  readonly group: string;
  readonly leases: readonly Lease[];
  readonly timeoutMs: number;
}

export interface AcknowledgeAnswer {
  readonly kind: 'acknowledge';
  /** In the order of the leases. */
  readonly results: readonly LeaseResult[];
}

/** The lease ends so long from now; 0: at once. */
export interface ExtendAsk {
  readonly kind: 'extend';
  readonly token: number;
  readonly group: string;
  readonly lease: Lease;
  readonly leaseMs: number;
  readonly timeoutMs: number;
}

export interface ExtendAnswer {
  readonly kind: 'extend';
  readonly result: LeaseResult;
  /** What takes the place of the old one. */
  readonly lease: Lease;
}

export type BrokerAsk = CreateAsk | AppendAsk | ReceiveAsk | AcknowledgeAsk | ExtendAsk;
export type BrokerAnswer =
  | CreateAnswer
  | AppendAnswer
  | ReceiveAnswer
  | AcknowledgeAnswer
  | ExtendAnswer;

/** The answer to an ask of kind K. */
export type AnswerTo<K extends BrokerAsk['kind']> = Extract<BrokerAnswer, { readonly kind: K }>;

/** What the broker is told and does not answer. */
export type BrokerNotice =
  /** Nobody waits for this receive any more; an answer that is on its way is given back. */
  | { readonly kind: 'abandon'; readonly token: number }
  /** Nobody saw these messages: ready again, as if they had not been delivered. */
  | { readonly kind: 'give-back'; readonly group: string; readonly leases: readonly Lease[] }
  /** The client has said goodbye, or is silent for too long. `group` is '' for producers. */
  | { readonly kind: 'client-gone'; readonly clientId: string; readonly group: string };

/** The broker as a listener sees it. */
export interface RocketBroker extends BrokerPicture {
  /** `answer` is called once, never inside this call. */
  ask(ask: BrokerAsk, answer: (answer: BrokerAnswer) => void): void;
  tell(notice: BrokerNotice): void;
}
