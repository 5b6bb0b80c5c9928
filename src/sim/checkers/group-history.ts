// What clients of groups that share streams saw, in the order in which it happened in the whole world: every send
// with its outcome, every receive, every message that came with its lease, everything that was said about one and
// the answer to it. Pure data, written by workloads and read by the checker. `at` is a number that grows with every
// entry of the history, `atMs` virtual milliseconds.

export interface GroupFacts {
  readonly group: string;
  readonly topic: string;
  /** What its consumers ask for; undefined: everything. */
  readonly tags: readonly string[] | undefined;
}

export interface Send {
  /** Unique in the whole history, the same for every attempt. */
  readonly id: string;
  readonly topic: string;
  /** A producer and what it keeps in order: a message group, or one request. */
  readonly lane: string;
  /** Its place in the lane. */
  readonly order: number;
  /** '' for none: those of one group have one partition. */
  readonly messageGroup: string;
  readonly tag: string;
  /** Of everything that must come out as it went in. */
  readonly digest: number;
  /** When it was asked for the first time. */
  readonly at: number;
  attempts: number;
  /** `refused`: never, by every attempt alike. */
  outcome: 'unknown' | 'stored' | 'refused';
  /** When `stored` was heard, and where it is said to be. */
  storedAt: number;
  offset: number;
}

export interface Lease {
  readonly partition: number;
  readonly offset: number;
  /** Of the leader that gave it, and its number there. */
  readonly epoch: number;
  readonly number: number;
}

export type GroupEvent =
  | {
      readonly kind: 'asks';
      readonly at: number;
      readonly atMs: number;
      readonly receive: number;
      readonly consumer: string;
      readonly group: string;
      readonly topic: string;
      readonly leaseMs: number;
    }
  /** A message of an answer that was whole. */
  | {
      readonly kind: 'delivered';
      readonly at: number;
      readonly atMs: number;
      readonly receive: number;
      /** Unique number of this delivery. */
      readonly delivery: number;
      readonly lease: Lease;
      readonly id: string;
      readonly tag: string;
      readonly messageGroup: string;
      readonly digest: number;
      readonly attempt: number;
    }
  | {
      readonly kind: 'says';
      readonly at: number;
      readonly atMs: number;
      readonly call: number;
      readonly deliveries: readonly number[];
      /** It is done with them, or wants the lease to end so long from now. */
      readonly what: 'done' | number;
    }
  | {
      readonly kind: 'heard';
      readonly at: number;
      readonly atMs: number;
      readonly call: number;
      /** For each delivery of the call. */
      readonly results: readonly ('ok' | 'refused' | 'unknown')[];
    }
  /** By now everything that was stored has to be done with. */
  | { readonly kind: 'drained'; readonly at: number; readonly atMs: number };

export interface GroupHistory {
  readonly groups: GroupFacts[];
  readonly sends: Send[];
  readonly events: GroupEvent[];
}

export function emptyGroupHistory(): GroupHistory {
  return { groups: [], sends: [], events: [] };
}
