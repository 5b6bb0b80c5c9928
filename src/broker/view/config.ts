// What a queue is told about its limits. Decisions use it, `apply` never does, so nodes with different
// settings still agree on every state.

/** Rules taken away, for tests that prove that each one is needed. Absent in production. */
export interface QueueFaults {
  /** Records are delivered before they are committed. */
  readonly deliverUncommitted?: boolean;
  /** Messages are delivered above the committed reservation, so a later leader calls them new. */
  readonly noReservation?: boolean;
  /** A new leader does not mark what its predecessor may have delivered. */
  readonly forgetDelivered?: boolean;
  /** A returned message is delivered as if it were new. */
  readonly forgetReturned?: boolean;
  /** A batch that comes again is stored again. */
  readonly noDedup?: boolean;
  /** A gap in a client's numbers is let through. */
  readonly noGapRule?: boolean;
  /** Whoever names a message may acknowledge it. */
  readonly ackIgnoresHolder?: boolean;
  /** Leases of a consumer that is gone stay. */
  readonly keepDeadLeases?: boolean;
  /** What a lease held is not ready again when it ends unsettled. */
  readonly dropLease?: boolean;
  /** A publish is answered before its frame is committed. */
  readonly confirmEarly?: boolean;
  /** A purge takes leased messages too. */
  readonly purgeLeased?: boolean;
  /** Nobody looks whether the frame of the last decision was taken. */
  readonly trustFrames?: boolean;
  /** Consumers get whatever is there. */
  readonly ignoreCredit?: boolean;
  /** An answer that got lost is not given again. */
  readonly forgetUnseen?: boolean;
  /** A message whose lease is made longer is ready for others as well. */
  readonly giveTwice?: boolean;
  /** A message that comes back and counts is not counted in the frame. */
  readonly forgetReturns?: boolean;
}

export interface QueueConfig {
  /** Consumers of one queue, those that only fetch now and then included. */
  readonly consumersMax: number;
  /** Messages that are out with consumers, of the queue and of one consumer. */
  readonly leasesMax: number;
  readonly consumerLeasesMax: number;
  /** Messages of one answer to a receive. */
  readonly answerMessagesMax: number;
  /** Messages that one command may name. */
  readonly commandMessagesMax: number;
  /** Largest batch, in bytes. */
  readonly batchBytesMax: number;
  /** The reservation runs ahead of deliveries by so many offsets. */
  readonly reserveAhead: number;
  /**
   * The log start follows the floor with every frame; without one when it is so many offsets behind, or at this age.
   * Infinity: never.
   */
  readonly releaseOffsets: number;
  readonly releaseAfterMs: number;
  /** Leases that expire in one decision. */
  readonly expiredPerTickMax: number;
  /** How long lower priorities wait for a preferred consumer that has room to ask again. */
  readonly preferMs: number;
  /** A receive that does not wait is still answered later while what is there commits: so long at most. */
  readonly settleMs: number;
  /**
   * Messages are given out when a frame behind their decision is committed, so never by a leader that is none any
   * more and does not know what was acknowledged since. Costs a frame where there would be none.
   */
  readonly givesCommitted: boolean;
  /**
   * Of a quorum queue: how often a message may come back in a way that counts before it is dropped; below 0: without
   * limit. What is published to one is answered when it is committed. Undefined: another kind, and nothing is dropped.
   */
  deliveryLimitOf(logId: number): number | undefined;
  readonly faults?: QueueFaults;
}

export const QUEUE_DEFAULTS: QueueConfig = {
  consumersMax: 65_536,
  leasesMax: 2_000_000,
  consumerLeasesMax: 1_000_000,
  answerMessagesMax: 4_096,
  commandMessagesMax: 1_000_000,
  batchBytesMax: 16 * 1024 * 1024,
  reserveAhead: 4_096,
  releaseOffsets: 1_024,
  releaseAfterMs: 1_000,
  expiredPerTickMax: 10_000,
  preferMs: 200,
  settleMs: 10_000,
  // Whoever consumes from a queue may see a message again while its leader changes, and it is marked.
  givesCommitted: false,
  deliveryLimitOf: () => undefined,
};
