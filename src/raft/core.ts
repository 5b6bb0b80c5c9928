// The core of one peer: inputs in, Ready out. Pure and synchronous; time enters with every input,
// randomness at construction. The shell obeys each Ready in any order it likes (see README), because
// everything that must wait for the disk is kept back here until `persisted`.
import { assert } from '../std/assert.ts';
import { hasEnoughData } from './membership.ts';
import type { RaftMessage } from './message.ts';
import { decodeConfiguration } from './message-codec.ts';
import { requestRead, startReads } from './read-index.ts';
import { receive } from './receive.ts';
import { advanceCommit, sendAppends } from './replication.ts';
import {
  campaign,
  changeMembership,
  leaderLost,
  propose,
  tick,
  transferLeadership,
} from './requests.ts';
import { applyAsWitness, compact } from './snapshot.ts';
import { RaftState } from './state.ts';
import {
  type Accepted,
  type Entry,
  NO_PEER,
  type PeerId,
  type PeerStatus,
  type RaftConfig,
  type RaftInitial,
  type RaftRandom,
  type RaftStatus,
  type ReadState,
  type Refusal,
  type Snapshot,
  type SoftState,
  type Write,
} from './types.ts';

export type RaftInput =
  | { readonly kind: 'tick' }
  /** A peer that has just started need not wait for silence to prove that there is no leader. */
  | { readonly kind: 'campaign' }
  /** The connection to the leader ended: it is not waited for any more. */
  | { readonly kind: 'leader-lost' }
  | { readonly kind: 'message'; readonly message: RaftMessage }
  /** Leader only. Answered by `accepted` or `refusals` of a Ready. `data` is kept, not copied. */
  | { readonly kind: 'propose'; readonly requestId: number; readonly data: Uint8Array }
  /** Leader only. Answered by `reads` or `refusals`. */
  | { readonly kind: 'read-index'; readonly requestId: number }
  /** Leader only: the whole wanted membership. Answered like a proposal; commits twice. */
  | {
      readonly kind: 'change-membership';
      readonly requestId: number;
      readonly voters: readonly PeerId[];
      readonly learners: readonly PeerId[];
      /** Members that keep no commands. Without it those stay witnesses that are. */
      readonly witnesses?: readonly PeerId[];
    }
  /** Leader only: hand over to a voter, within one election timeout or not at all. */
  | { readonly kind: 'transfer'; readonly requestId: number; readonly target: PeerId }
  /** The write with this attempt, and all before it, are durable. */
  | { readonly kind: 'persisted'; readonly attempt: number }
  /** The state machine has applied everything up to `index`, or loaded a snapshot at it. */
  | { readonly kind: 'applied'; readonly index: number }
  /** The state machine's image at an applied index; entries below it may be dropped. */
  | { readonly kind: 'compact'; readonly index: number; readonly data: Uint8Array };

/** What happened since the last one. Absent things are empty arrays or undefined. */
export interface Ready {
  readonly soft: SoftState | undefined;
  readonly write: Write | undefined;
  /** To send now, in any order; losing some is allowed. */
  readonly messages: readonly RaftMessage[];
  /** To load into the state machine before `committed` is applied. */
  readonly install: Snapshot | undefined;
  /** To apply in order; all of it is durable here. `noop` and `config` entries are included. */
  readonly committed: readonly Entry[];
  readonly accepted: readonly Accepted[];
  readonly refusals: readonly Refusal[];
  readonly reads: readonly ReadState[];
}

export interface RaftCore {
  /** `nowMs` is a monotonic clock and must not go back. Throws only when a rule of Raft is broken. */
  step(input: RaftInput, nowMs: number): void;
  /** Call until it returns undefined. */
  takeReady(): Ready | undefined;
  /** The next time at which a `tick` does something; Infinity when only inputs can. */
  readonly deadlineMs: number;
  /** Of `status`, which is made anew at each look: it leads, and has committed its own no-op. */
  readonly isReady: boolean;
  readonly status: RaftStatus;
  /** Of the entry at that index; undefined above the end, and where it is compacted. */
  termAt(index: number): number | undefined;
}

/** A peer with what recovery found. `nowMs` starts its election timeout. */
export function createRaft(
  config: RaftConfig,
  initial: RaftInitial,
  random: RaftRandom,
  nowMs = 0,
): RaftCore {
  assert(config.heartbeatMs < config.electionTimeoutMs, 'raft: heartbeats fit the timeout');
  return new Core(config, initial, random, nowMs);
}

/** The class behind `createRaft`; its state is open to the explorations of the tests only. */
export class Core implements RaftCore {
  readonly state: RaftState;
  #soft: SoftState;
  #commitSeen = 0;

  constructor(config: RaftConfig, initial: RaftInitial, random: RaftRandom, nowMs: number) {
    const state = new RaftState(config, initial, random);
    this.state = state;
    state.nowMs = nowMs;
    state.electionDeadlineMs = state.drawElectionTimeoutMs();
    for (let index = state.log.baseIndex + 1; index <= state.log.lastIndex; index += 1) {
      const entry = state.log.entryAt(index)!;
      if (entry.kind === 'config')
        state.configurations.push(index, decodeConfiguration(entry.data));
    }
    const isFounded = initial.configuration.voters.length > 0;
    assert(!isFounded || hasEnoughData(initial.configuration), 'raft: fewer witnesses than others');
    state.assertKind();
    this.#soft = this.#softNow();
    this.#commitSeen = state.log.commit;
  }

  step(input: RaftInput, nowMs: number): void {
    const state = this.state;
    state.nowMs = Math.max(state.nowMs, nowMs);
    const termBefore = state.term;
    this.#dispatch(input);
    this.#checkInvariants(termBefore);
  }

  #dispatch(input: RaftInput): void {
    const state = this.state;
    switch (input.kind) {
      case 'tick':
        tick(state);
        return;
      case 'campaign':
        campaign(state);
        return;
      case 'leader-lost':
        leaderLost(state);
        return;
      case 'message':
        receive(state, input.message);
        return;
      case 'propose':
        propose(state, input.requestId, input.data);
        return;
      case 'read-index':
        requestRead(state, input.requestId);
        return;
      case 'change-membership':
        changeMembership(state, input);
        return;
      case 'transfer':
        transferLeadership(state, input.requestId, input.target);
        return;
      case 'persisted':
        this.#persisted(input.attempt);
        return;
      case 'applied':
        assert(input.index <= state.log.handed, 'raft: only what was given out is applied', {
          index: input.index,
          handed: state.log.handed,
        });
        state.log.applied = Math.max(state.log.applied, input.index);
        return;
      case 'compact':
        compact(state, input.index, input.data);
        return;
    }
  }

  #persisted(attempt: number): void {
    const state = this.state;
    const released = state.persistence.completed(attempt, state.log);
    if (state.role === 'leader') advanceCommit(state);
    for (const message of released) this.#release(message);
  }

  /** A message whose write is durable: to a peer, or to this peer itself. */
  #release(message: RaftMessage): void {
    const state = this.state;
    if (message.term < state.term) return;
    state.persistence.assertDurable(message, state.log);
    if (message.to === state.self) receive(state, message);
    else state.outbox.push(message);
  }

  takeReady(): Ready | undefined {
    const state = this.state;
    if (state.role === 'leader') {
      if (state.isReplicationDue) sendAppends(state);
      startReads(state);
    }
    if (state.isWitness) applyAsWitness(state);
    const { log, persistence } = state;
    const hardState = { term: state.term, vote: state.vote, commit: log.commit };
    const taken = persistence.take(log, hardState);
    const forgets = state.config.faults?.forgetVote === true && taken?.hardState !== undefined;
    const write = forgets ? { ...taken, hardState: { ...taken.hardState, vote: NO_PEER } } : taken;
    const gated = state.gated;
    state.gated = [];
    if (persistence.isIdle) for (const message of gated) this.#release(message);
    else persistence.hold(gated);
    const install = state.install;
    state.install = undefined;
    const committed = log.slice(
      log.handed + 1,
      Math.min(log.commit, log.stable),
      state.config.applyBytesMax,
    );
    log.handed += committed.length;
    const soft = this.#takeSoft();
    const { outbox: messages, accepted, refusals, reads } = state;
    const isEmpty =
      soft === undefined &&
      write === undefined &&
      install === undefined &&
      messages.length + committed.length + accepted.length + refusals.length + reads.length === 0;
    if (isEmpty) return undefined;
    state.outbox = [];
    state.accepted = [];
    state.refusals = [];
    state.reads = [];
    return { soft, write, messages, install, committed, accepted, refusals, reads };
  }

  get deadlineMs(): number {
    const state = this.state;
    if (state.role === 'leader') {
      const transferMs = state.transfer?.deadlineMs ?? Number.POSITIVE_INFINITY;
      return Math.min(state.heartbeatDueMs, state.quorumCheckDueMs, transferMs);
    }
    return state.isElectable ? state.electionDeadlineMs : Number.POSITIVE_INFINITY;
  }

  termAt(index: number): number | undefined {
    return this.state.log.termAt(index);
  }

  get isReady(): boolean {
    return this.state.isReady;
  }

  get status(): RaftStatus {
    const state = this.state;
    const progress = new Map<PeerId, PeerStatus>();
    for (const [peer, { match, next, state: phase, lastHeardMs }] of state.progress) {
      progress.set(peer, { match, next, state: phase, lastHeardMs });
    }
    return {
      ...this.#softNow(),
      commit: state.log.commit,
      applied: state.log.applied,
      lastIndex: state.log.lastIndex,
      durableIndex: state.log.stable,
      durableTerm: state.persistence.durable.term,
      durableVote: state.persistence.durable.vote,
      snapshotIndex: state.snapshot?.index ?? 0,
      configuration: state.configuration,
      committedConfiguration: state.configurations.at(state.log.commit),
      isReady: state.isReady,
      leaderHeardMs: state.leaderHeardMs,
      progress,
    };
  }

  #softNow(): SoftState {
    const { role, leader, term } = this.state;
    return { role, leader, term };
  }

  #takeSoft(): SoftState | undefined {
    const { role, leader, term } = this.state;
    const old = this.#soft;
    if (old.role === role && old.leader === leader && old.term === term) return undefined;
    this.#soft = { role, leader, term };
    return this.#soft;
  }

  #checkInvariants(termBefore: number): void {
    const { log, progress, term } = this.state;
    assert(term >= termBefore, 'raft: the term never falls');
    assert(log.commit >= this.#commitSeen, 'raft: the commit never falls');
    this.#commitSeen = log.commit;
    const isOrdered =
      log.handed <= log.commit &&
      log.commit <= log.lastIndex &&
      log.stable <= log.issued &&
      log.issued <= log.lastIndex;
    assert(isOrdered, 'raft: the marks of the log are in order');
    for (const { match, next } of progress.values()) {
      assert(match < next && next <= log.lastIndex + 1, 'raft: match < next <= end + 1');
    }
  }
}
