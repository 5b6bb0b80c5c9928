// What a group coordinator is told about its limits. Decisions use it, `apply` never does, so nodes with
// different settings still agree on every state.
import type { Crc32c } from '../../std/crc32c.ts';

export interface GroupConfig {
  readonly crc32c: Crc32c;
  readonly sessionTimeoutMinMs: number;
  readonly sessionTimeoutMaxMs: number;
  /**
   * How long the first round of an empty group waits for more members, again for each newcomer, up to
   * the rebalance timeout. Kafka's default is 3,000; 100 is enough for consumers that start together
   * and nobody notices it on a laptop.
   */
  readonly initialRebalanceDelayMs: number;
  readonly membersMax: number;
  /** All subscriptions of one member together. */
  readonly subscriptionBytesMax: number;
  /** The note beside a cursor. */
  readonly metadataBytesMax: number;
  /** How long cursors outlive the last member, or the last commit of a group without members. */
  readonly cursorRetentionMs: number;
  /** How long an empty group without cursors is remembered. */
  readonly emptyGroupRetentionMs: number;
  /** How long a newcomer waits for a round to close before it is taken for dead. */
  readonly newMemberTimeoutMs: number;
}

export const GROUP_DEFAULTS: Omit<GroupConfig, 'crc32c'> = {
  sessionTimeoutMinMs: 6_000,
  sessionTimeoutMaxMs: 1_800_000,
  initialRebalanceDelayMs: 100,
  membersMax: 10_000,
  subscriptionBytesMax: 1024 * 1024,
  metadataBytesMax: 4_096,
  cursorRetentionMs: 7 * 24 * 3_600_000,
  emptyGroupRetentionMs: 600_000,
  newMemberTimeoutMs: 300_000,
};
