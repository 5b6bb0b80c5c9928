// What AMQP clients saw of queues, in the order in which it happened in the whole world: every publish with its
// outcome, every delivery, every settlement, and when answers proved that earlier words were heard. Pure data,
// written by workloads and read by the checker. Times are virtual milliseconds.

export interface QueueFacts {
  readonly name: string;
  /** It outlives nodes and connections: what was confirmed must come out. */
  readonly isDurable: boolean;
  /** Not every node has it: while those are down that do, nobody can put anything into it. */
  readonly isPartial?: boolean;
  /** Of a quorum queue: how often a message may come back. */
  readonly deliveryLimit?: number;
  /** Exchanges that may put messages into it; of durable queues `Publish.queues` says more. */
  readonly exchanges: readonly string[];
}

export interface Publish {
  /** Unique in the whole history; sent once. */
  readonly id: number;
  /** Channel of a connection and exchange: AMQP keeps the order within one. */
  readonly lane: string;
  /** Its place in the lane. */
  readonly order: number;
  readonly exchange: string;
  readonly key: string;
  readonly bodyHash: number;
  /** Durable queues that the bindings name. */
  readonly queues: readonly string[];
  /** Streams that they name. */
  readonly streams: readonly string[];
  readonly isMandatory: boolean;
  /** It has delivery mode 1. */
  readonly isTransient?: boolean;
  /** When it was written, where somebody asks. */
  readonly beganMs?: number;
  /** When its confirm came. */
  endedMs?: number;
  /** Of its queues, those that must not lose it if it was confirmed; all if left out. */
  readonly owed?: readonly string[];
  /** A negative acknowledgement says that nobody knows. */
  outcome: 'confirmed' | 'unknown';
  isReturned: boolean;
}

export type Settling = 'acknowledged' | 'dropped' | 'requeued';

export type QueueEvent =
  | {
      readonly kind: 'consumes';
      readonly atMs: number;
      /** Unique: one consumer on one channel, or the gets of one channel. */
      readonly consumer: string;
      readonly queue: string;
      /** Messages that may be out at once; 0 is no bound. */
      readonly prefetch: number;
      /** What it gets counts as acknowledged. */
      readonly isAutomatic: boolean;
    }
  | {
      readonly kind: 'delivered';
      readonly atMs: number;
      readonly consumer: string;
      /** Unique number of this delivery. */
      readonly delivery: number;
      readonly id: number;
      readonly bodyHash: number;
      readonly exchange: string;
      readonly key: string;
      readonly isRedelivered: boolean;
      /** What it says of how often it came back; left out: nothing. */
      readonly count?: number;
    }
  | {
      /** The client has written it. */
      readonly kind: 'settled';
      readonly atMs: number;
      readonly delivery: number;
      readonly how: Settling;
    }
  /** An answer on the consumer's channel: all that was written there before the question was heard. */
  | {
      readonly kind: 'synced';
      readonly atMs: number;
      readonly consumer: string;
      /** How many events there were when the question was written. */
      readonly asked: number;
    }
  /** cancel-ok: nothing may be delivered behind it. */
  | { readonly kind: 'cancelled'; readonly atMs: number; readonly consumer: string }
  /** The channel or its connection is gone, as far as the client knows. */
  | { readonly kind: 'ended'; readonly atMs: number; readonly consumer: string }
  /** From here on nothing fails: all nodes are up and in sync, and all links are whole. */
  | { readonly kind: 'calm'; readonly atMs: number }
  /** Here it ends. What was confirmed has to be settled by now. */
  | { readonly kind: 'disturbed'; readonly atMs: number };

export interface QueueHistory {
  readonly queues: QueueFacts[];
  readonly publishes: Publish[];
  readonly events: QueueEvent[];
  /** Streams that not every node has. */
  readonly partialStreams?: readonly string[];
}

export function emptyQueueHistory(): QueueHistory {
  return { queues: [], publishes: [], events: [] };
}
