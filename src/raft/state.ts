// The mutable state of one peer and the few moves that every part of the protocol shares: sending,
// changing term, following. No decisions here. Invariant: term, commit and applied never fall.
import { assert } from '../std/assert.ts';
import { RaftLog } from './log.ts';
import { ConfigurationHistory, isVoter, isWitness, membersOf } from './membership.ts';
import type { RaftMessage } from './message.ts';
import { Persistence } from './persistence.ts';
import { Progress } from './progress.ts';
import {
  type Accepted,
  type Configuration,
  NO_PEER,
  type PeerId,
  type RaftConfig,
  type RaftInitial,
  type RaftRandom,
  type ReadState,
  type Refusal,
  type RefusalReason,
  type Role,
  type Snapshot,
} from './types.ts';

/** Reads whose answer waits for a quorum to confirm the leader. */
export interface ReadBatch {
  readonly seq: number;
  readonly index: number;
  readonly requestIds: readonly number[];
}

/** Chunks of a snapshot that are here so far. */
export interface IncomingSnapshot {
  readonly index: number;
  readonly term: number;
  readonly checksum: number;
  readonly bytes: Uint8Array;
  received: number;
}

export class RaftState {
  readonly config: RaftConfig;
  readonly random: RaftRandom;
  readonly log: RaftLog;
  readonly persistence: Persistence;
  readonly configurations: ConfigurationHistory;
  readonly self: PeerId;
  readonly founding: Configuration;

  nowMs = 0;
  term: number;
  vote: PeerId;
  role: Role = 'follower';
  leader: PeerId = NO_PEER;
  /** When a leader was last heard; -Infinity when never in this life. */
  leaderHeardMs = Number.NEGATIVE_INFINITY;
  electionDeadlineMs: number;
  /** The newest snapshot of this peer. */
  snapshot: Snapshot | undefined;
  incoming: IncomingSnapshot | undefined;
  /** A received snapshot that the state machine must load. */
  install: Snapshot | undefined;

  readonly votes = new Map<PeerId, boolean>();
  /** Leader only. */
  readonly progress = new Map<PeerId, Progress>();
  heartbeatDueMs = 0;
  quorumCheckDueMs = 0;
  uncommittedBytes = 0;
  /** Index of this term's no-op: nothing is promised before it commits. */
  termStartIndex = 0;
  transfer: { readonly target: PeerId; readonly deadlineMs: number } | undefined;
  isReplicationDue = false;
  readSeq = 0;
  readBatches: ReadBatch[] = [];
  waitingReads: number[] = [];

  // Outputs gathered until the next Ready.
  outbox: RaftMessage[] = [];
  gated: RaftMessage[] = [];
  accepted: Accepted[] = [];
  refusals: Refusal[] = [];
  reads: ReadState[] = [];

  constructor(config: RaftConfig, initial: RaftInitial, random: RaftRandom) {
    this.config = config;
    this.random = random;
    this.self = config.self;
    const { snapshot, hardState } = initial;
    this.log = new RaftLog(snapshot?.index ?? 0, snapshot?.term ?? 0, initial.entries);
    this.log.commit = Math.max(this.log.commit, Math.min(hardState.commit, this.log.lastIndex));
    this.snapshot = snapshot;
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.founding = initial.configuration;
    this.persistence = new Persistence(hardState);
    assert(this.term >= this.log.lastTerm, 'raft: the recovered term covers the log', {
      term: this.term,
      lastTerm: this.log.lastTerm,
    });
    this.configurations = new ConfigurationHistory(
      snapshot?.index ?? 0,
      snapshot?.configuration ?? initial.configuration,
    );
    this.electionDeadlineMs = this.drawElectionTimeoutMs();
  }

  get configuration(): Configuration {
    return this.configurations.current;
  }

  /**
   * May this peer stand for election? A voter that its own, uncommitted, newest configuration
   * removes still may: it can be the only one whose log is long enough to win (Raft thesis 4.2.2).
   */
  get isElectable(): boolean {
    if (this.isWitness && this.config.faults?.witnessLeads !== true) return false;
    if (isVoter(this.configuration, this.self)) return true;
    const { currentIndex } = this.configurations;
    if (currentIndex <= this.log.commit) return false;
    return isVoter(this.configurations.at(this.log.commit), this.self);
  }

  /** It keeps no commands, so it can lead nobody. */
  get isWitness(): boolean {
    return this.config.isWitness === true;
  }

  /** Called with every configuration that this peer hears of: what it keeps cannot be changed by a word. */
  assertKind(): void {
    const { configuration, self } = this;
    if (!membersOf(configuration).includes(self)) return;
    assert(isWitness(configuration, self) === this.isWitness, 'raft: a witness is a witness', {
      self,
      isWitness: this.isWitness,
    });
  }

  /** A leader that has committed in its own term. */
  get isReady(): boolean {
    if (this.role !== 'leader') return false;
    return this.log.commit >= this.termStartIndex || this.config.faults?.readyAtOnce === true;
  }

  /** While this holds, votes are refused: the leader that others do not hear is heard here. */
  get isLeaderHeard(): boolean {
    if (this.config.faults?.noLease === true) return false;
    if (this.role === 'leader') return true;
    const isKnown = this.leader !== NO_PEER;
    return isKnown && this.nowMs - this.leaderHeardMs < this.config.electionTimeoutMs;
  }

  drawElectionTimeoutMs(): number {
    const { electionTimeoutMs } = this.config;
    return this.nowMs + electionTimeoutMs + this.random.below(electionTimeoutMs);
  }

  /** For what the leader of a durable term says: it may overtake the leader's own disk. */
  send(message: RaftMessage): void {
    assert(this.persistence.durable.term >= message.term, 'raft: a leader is durable', {
      term: message.term,
    });
    this.outbox.push(message);
  }

  /** For everything else: it leaves when all that was decided up to now is durable. */
  sendWhenDurable(message: RaftMessage): void {
    const isEarly = this.config.faults?.ackBeforeDurable === true && message.to !== this.self;
    if (isEarly) this.outbox.push(message);
    else this.gated.push(message);
  }

  refuse(requestId: number, reason: RefusalReason): void {
    this.refusals.push({ requestId, reason });
  }

  /** Ends any other role. A new term forgets the vote and what was held for the old one. */
  becomeFollower(term: number, leader: PeerId): void {
    assert(term >= this.term, 'raft: the term never falls', { term, current: this.term });
    if (term > this.term) this.enterTerm(term, NO_PEER);
    if (this.role === 'leader') this.#endLeadership();
    if (this.role !== 'follower') this.electionDeadlineMs = this.drawElectionTimeoutMs();
    this.role = 'follower';
    this.leader = leader;
    this.votes.clear();
  }

  enterTerm(term: number, vote: PeerId): void {
    assert(term > this.term, 'raft: a new term is a higher term', { term, current: this.term });
    assert(term < Number.MAX_SAFE_INTEGER, 'raft: terms are exhausted');
    this.term = term;
    this.vote = vote;
    this.gated = this.gated.filter((message) => message.term >= term);
    this.persistence.dropBelow(term);
  }

  leaderHeard(leader: PeerId): void {
    this.leader = leader;
    this.leaderHeardMs = this.nowMs;
    this.electionDeadlineMs = this.drawElectionTimeoutMs();
  }

  /** Makes the progress table fit the configuration in force. */
  syncProgress(): void {
    const members = new Set(membersOf(this.configuration));
    for (const peer of [...this.progress.keys()]) {
      if (!members.has(peer)) this.progress.delete(peer);
    }
    for (const peer of members) {
      if (peer === this.self || this.progress.has(peer)) continue;
      this.progress.set(peer, new Progress(this.log.lastIndex + 1, this.nowMs));
    }
    if (this.transfer !== undefined && !isVoter(this.configuration, this.transfer.target)) {
      this.transfer = undefined;
    }
  }

  #endLeadership(): void {
    for (const batch of this.readBatches) {
      for (const requestId of batch.requestIds) this.refuse(requestId, 'leadership-lost');
    }
    for (const requestId of this.waitingReads) this.refuse(requestId, 'leadership-lost');
    this.readBatches = [];
    this.waitingReads = [];
    this.progress.clear();
    this.transfer = undefined;
    this.uncommittedBytes = 0;
    this.isReplicationDue = false;
    // The outbox stays: what a leader of a durable term said remains true.
  }
}
