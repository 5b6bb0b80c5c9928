// What the broker offers to sessions whose groups share the logs of streams, message by message: leased messages,
// and what becomes of them. On a queue all groups are one: they share its messages with whoever else consumes
// from it. Types alone. `done` is called once, in a turn of the
// shard's actor, never inside the call that asked.
import type { LogResult } from '../../cluster/ports.ts';
import type { RecordHeader } from '../../records/batch-builder.ts';

export interface StreamMessage {
  readonly logId: number;
  readonly offset: number;
  /** With the number, the name of the lease. */
  readonly epoch: number;
  readonly number: number;
  /** How often it came back in a way that counts. */
  readonly returns: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

export interface StreamWish {
  readonly group: string;
  /** Whichever has something; those of one answer are of one log. */
  readonly logIds: readonly number[];
  readonly messagesMax: number;
  /** Of one answer: at least one message, however large. */
  readonly bytesMax: number;
  /** The messages come back after so long. */
  readonly leaseMs: number;
  /** 0: only what is there. */
  readonly waitMs: number;
  /** Messages that are none of the group's: they count as acknowledged. */
  readonly accepts?: ((headers: readonly RecordHeader[]) => boolean) | undefined;
}

export interface StreamLease {
  readonly offset: number;
  readonly epoch: number;
  readonly number: number;
}

/** What is said about messages. `give-back`: nobody saw them. `extend` to 0: back at once, and it counts. */
export type StreamVerdict =
  | { readonly kind: 'acknowledge' | 'give-back' }
  | { readonly kind: 'extend'; readonly leaseMs: number };

export interface StreamAccess {
  /** Answers how to stop waiting: `done` then says what there is so far. */
  receive(
    wish: StreamWish,
    done: (result: LogResult, messages: readonly StreamMessage[]) => void,
  ): () => void;
  /** Leases of one log. `held` says for each whether it was as the verdict needs it. */
  settle(
    group: string,
    logId: number,
    verdict: StreamVerdict,
    leases: readonly StreamLease[],
    timeoutMs: number,
    done: (result: LogResult, held: readonly boolean[]) => void,
  ): void;
}
