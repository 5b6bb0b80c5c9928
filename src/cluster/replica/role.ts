// What the two roles of a hosted log need from their surroundings, and what they share.

import type { AnyDurableBehavior } from '../../actors/durable/behavior.ts';
import type { RefId } from '../../actors/ref.ts';
import type { Log } from '../../env/environment.ts';
import type {
  Faults,
  Fence,
  Hello,
  HelloAnswer,
  ReplicaId,
  SafeSetProposal,
  WriterId,
} from '../../replication/types.ts';
import type {
  DonationFacts,
  LoanFacts,
  LogSnapshot,
  ShardStore,
  StoredLog,
} from '../../storage/api.ts';
import type { LeaderMove } from '../metadata/commands.ts';
import type { Durability } from '../metadata/types.ts';
import type { AppendLevel, LogResult } from '../ports.ts';
import type { FrameClock } from './frame-clock.ts';
import type { LagSettings } from './lag.ts';
import type { Machine } from './machine.ts';
import type { ReplySink } from './replies.ts';
import type { UncleanLosses } from './unclean.ts';
import type { Waiters } from './waiters.ts';
import type { FramesInput } from './wire-frame.ts';

/** Messages to the same log on another node. Sending never fails here; loss shows as the end of a link. */
export interface PeerPort {
  fence(node: number, logId: number, fence: Fence): void;
  hello(node: number, logId: number, hello: Hello): void;
  answer(node: number, logId: number, answer: HelloAnswer): void;
  /** False when there is no room on the link: nothing was sent, see `whenRoom`. */
  frames(node: number, input: FramesInput): boolean;
  /** Calls once when the link to that node has room again; false, and never, for a node that is not known. */
  whenRoom(node: number, logId: number, handle: () => void): boolean;
  ack(node: number, logId: number, epoch: number, durableSeq: number, chain: number): void;
  /** Every frame up to `seq` is here, in memory at least. */
  received(node: number, logId: number, epoch: number, seq: number): void;
  /** Coalesced with other logs into one message per peer and turn. */
  committed(node: number, logId: number, epoch: number, seq: number): void;
  /** Frames [fromSeq, throughSeq] of that replica's log, or fewer. Rejects when it cannot answer. */
  pullFrames(
    node: number,
    logId: number,
    fromSeq: number,
    throughSeq: number,
  ): Promise<FramesInput>;
  donate(node: number, logId: number, epoch: number): Promise<DonationOffer>;
  /** Settled batches of that replica, for a repair. Rejects when it cannot give all, or is not sound in that epoch. */
  lend(node: number, input: LoanWish): Promise<LoanOffer>;
  pullChunk(node: number, logId: number, donationId: number, position: number): Promise<Uint8Array>;
  releaseDonation(node: number, logId: number, donationId: number): void;
}

/** A pinned snapshot with the segments below it: bytes [0, totalBytes) are whole batches back to back. */
export interface DonationOffer {
  readonly donationId: number;
  readonly totalBytes: number;
  readonly snapshot: LogSnapshot;
  readonly facts: DonationFacts;
}

export interface LoanWish {
  readonly logId: number;
  /** The borrower is sound in it. */
  readonly epoch: number;
  readonly fromOffset: number;
  readonly toOffset: number;
}

/** Bytes [0, totalBytes) are whole batches back to back, pinned. */
export interface LoanOffer {
  readonly donationId: number;
  readonly totalBytes: number;
  readonly facts: LoanFacts;
}

/** Everything a role may touch outside itself. One object per hosted log. */
export interface LogContext {
  readonly logId: number;
  readonly self: ReplicaId;
  readonly writer: WriterId;
  readonly stored: StoredLog;
  readonly store: ShardStore;
  readonly machine: Machine;
  readonly behavior: AnyDurableBehavior;
  readonly peers: PeerPort;
  readonly replies: ReplySink;
  readonly waiters: Waiters;
  /** Where the behavior counts time that leaders' clocks do not agree on; no other log looks at it. */
  readonly frameClock: FrameClock | undefined;
  /** The wall clock goes on while nobody watches, and all leaders have the same one. */
  readonly trustsWallClock: boolean;
  readonly log: Log;
  readonly uncleanLosses: UncleanLosses;
  /** Rules taken away by a simulation; undefined in production. */
  readonly faults: Faults | undefined;
  /** Of the destination, as the metadata has it now. */
  durability(): Durability;
  /**
   * So many bytes a second are copied at most for a replica that a reassignment brings to that node; 0: as many as can.
   * Of one shard.
   */
  copyRate(logId: number, node: number): number;
  /** In a turn of its own. */
  after(delayMs: number, fire: () => void): void;
  /** As they are now. */
  lagSettings(): LagSettings;
  nowMs(): number;
  wallMs(): number;
  /** Has output for peers: pumped in the durable phase of this turn. */
  markDirty(): void;
  /** Wants ticks until it is quiet. */
  markActive(): void;
  /** Records may be due to go by age or size, now or at another time than before. */
  retentionMoved(): void;
  propose(proposal: SafeSetProposal): void;
  /** Asks metadata, once, for the next epoch of a log whose appends are held. */
  moveLeader(move: LeaderMove): void;
  /** The log cannot go on (a throwing apply, a diverged history): answers stop, data stays. */
  quarantine(reason: string): void;
  /** Whom a command's token belongs to; forgotten by this call. Undefined if it was answered before. */
  takeToken(
    token: number,
  ): { readonly to: RefId; readonly token: number; readonly dueMs: number } | undefined;
  /** The role ended by itself (resigned): the owner rebuilds the machine and makes a follower. */
  roleEnded(): void;
}

export interface AppendRequest {
  readonly level: AppendLevel;
  readonly epoch: number;
  readonly timeoutMs: number;
  readonly token: number;
  readonly replyTo: RefId;
  readonly batch: Uint8Array;
}

/** The epoch a client believes in against the one that is. -1 means the client has no belief. */
export function checkEpoch(believed: number, epoch: number): LogResult {
  if (believed < 0 || believed === epoch) return 'ok';
  return believed < epoch ? 'fenced-epoch' : 'unknown-epoch';
}
