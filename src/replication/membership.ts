// Who a leader counts: its peers, the safe set, the one change of it that is under way, and the ISR
// that clients are shown. Decides when to ask for another set; safe-set.ts decides which. Does not
// know what is committed: the leader core tells the seq that new members must hold. Invariants:
// while a change is under way a frame counts only if both sets hold it; the newest partition epoch
// seen wins. Under a steady load a replica whose acknowledgements come a little later than the members'
// never holds what is committed when it says so: commits wait for it, once and shortly.
import type { OutputQueue } from './outputs.ts';
import { Peer } from './peer.ts';
import { PendingChange } from './pending-change.ts';
import { commitCount, isSameNodes, type Member, planChange, SafeSet } from './safe-set.ts';
import type {
  LeaderConfig,
  LeaderLimits,
  LeaderOutput,
  NodeId,
  ReplicaId,
  SafeSetProposal,
  SafeSetState,
} from './types.ts';

/** So long a replica keeps up and finds no moment to join before commits wait for it. */
const LATE_MS = 1_000;
/** Time between ticks beyond this is the leader's own sleep and is held against nobody. */
const TICK_GAP_MAX_MS = 1_000;
/**
 * Attempts are numbered over all epochs: an answer to an older leader's attempt names none of ours.
 */
const ATTEMPTS_PER_EPOCH = 2 ** 20;

export class Membership {
  readonly peers: Peer[] = [];
  readonly self: Peer;
  readonly #config: LeaderConfig;
  readonly #limits: LeaderLimits;
  readonly #outputs: OutputQueue<LeaderOutput>;
  #set: SafeSet = new SafeSet([]);
  #live: readonly ReplicaId[];
  #partitionEpoch: number;
  #shownIsr: readonly NodeId[];
  #inSyncCount = 0;
  #pending: PendingChange | undefined;
  /** Keeps up, a little late: nothing commits before it holds it, until it joins or the time is over. */
  #late: { readonly peer: Peer; readonly untilMs: number } | undefined;
  #nextLateMs = Number.NEGATIVE_INFINITY;
  #attempts: number;
  #nextProposalMs = Number.NEGATIVE_INFINITY;
  #nowMs: number;
  #endAtTickSeq = 0;
  #lagTimeMaxMs: number;

  constructor(config: LeaderConfig, limits: LeaderLimits, outputs: OutputQueue<LeaderOutput>) {
    this.#config = config;
    this.#limits = limits;
    this.#outputs = outputs;
    this.#live = config.live;
    this.#nowMs = config.nowMs;
    this.#lagTimeMaxMs = limits.lagTimeMaxMs;
    this.#partitionEpoch = config.partitionEpoch;
    this.#shownIsr = config.isr;
    this.#attempts = config.grant.epoch * ATTEMPTS_PER_EPOCH;
    this.self = this.#peer(config.self.node);
    this.self.incarnation = config.self.incarnation;
    this.assign(config.replicas, config.observers);
    // The shown ISR has the benefit of the doubt: it may take a lag time to say hello.
    for (const node of config.isr) this.#peer(node).caughtUpMs = config.nowMs;
    for (const peer of this.peers) this.#setLive(peer);
    this.#adopt(config.safeSet);
    this.refreshInSync();
  }

  get set(): SafeSet {
    return this.#set;
  }

  get isAlone(): boolean {
    return this.peers.length === 1;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get canAcceptAll(): boolean {
    return this.#inSyncCount >= this.#config.minInsync;
  }

  find(node: NodeId): Peer | undefined {
    const { peers } = this;
    for (let i = 0; i < peers.length; i += 1) if (peers[i]!.node === node) return peers[i];
    return undefined;
  }

  /** The leader first. */
  isr(): readonly NodeId[] {
    const others = this.peers.filter((peer) => peer.isInSync && !peer.isSelf);
    return [this.self.node, ...others.map((peer) => peer.node)];
  }

  /** Highest seq that enough members hold, of the set and of the one asked for. */
  heldSeq(): number {
    const held = this.#heldBy(this.#set);
    const late = this.#late?.peer;
    const seq = late === undefined ? held : Math.min(held, late.matchSeq);
    const pending = this.#pending;
    if (pending === undefined || this.#config.faults?.commitUnderOldSetOnly) return seq;
    return Math.min(seq, this.#heldBy(pending.set));
  }

  /** The same of what is received, whatever is durable. */
  receivedSeq(): number {
    const { mode, minInsync } = this.#config;
    const receivedBy = (set: SafeSet) => set.seqReceivedBy(commitCount(mode, minInsync, set.size));
    const received = receivedBy(this.#set);
    const late = this.#late?.peer;
    const seq =
      late === undefined ? received : Math.min(received, late.receivedOf(late.incarnation));
    return this.#pending === undefined ? seq : Math.min(seq, receivedBy(this.#pending.set));
  }

  #heldBy(set: SafeSet): number {
    const { mode, minInsync } = this.#config;
    return set.seqHeldBy(commitCount(mode, minInsync, set.size));
  }

  // ---- What the metadata says ------------------------------------------------------------------

  setLive(live: readonly ReplicaId[]): void {
    this.#live = live;
    for (const peer of this.peers) this.#setLive(peer);
    this.refreshInSync();
  }

  /** Answers who was not assigned before. */
  assign(replicas: readonly NodeId[], observers: readonly NodeId[] = []): readonly Peer[] {
    const newcomers: Peer[] = [];
    for (const node of replicas) if (!this.#peer(node).isAssigned) newcomers.push(this.#peer(node));
    for (const peer of this.peers) {
      peer.isAssigned = replicas.includes(peer.node);
      peer.isObserver = observers.includes(peer.node);
    }
    return newcomers;
  }

  /** The change that is under way would make it a member. */
  isAskedFor(peer: Peer): boolean {
    return this.#pending?.set.members.some((member) => member.peer === peer) ?? false;
  }

  /** False if this is not newer than what is known. */
  adopt(state: SafeSetState): boolean {
    if (state.partitionEpoch <= this.#partitionEpoch) return false;
    this.#partitionEpoch = state.partitionEpoch;
    this.#shownIsr = state.isr;
    // Whatever was under way expected an older partition epoch: it won, or it cannot win any more.
    this.#pending = undefined;
    this.#late = undefined;
    this.#adopt(state.safeSet);
    this.refreshInSync();
    return true;
  }

  /** The controller refused the attempt, at the partition epoch that we know. */
  refused(attempt: number): void {
    const pending = this.#pending;
    if (!pending?.isUndecided(attempt)) return;
    this.#nextProposalMs = this.#nowMs + this.#limits.proposalRetryMs;
    const wasWithdrawal = pending.isWithdrawal(attempt);
    if (pending.refused(attempt)) this.#pending = undefined;
    // A withdrawal that was refused waits for the next tick that is due: never a loop without a pause.
    else if (!wasWithdrawal) this.#withdraw(pending);
  }

  /** The set as it is, and of it who is in sync: this can be accepted whatever became of the newcomer. */
  #withdraw(pending: PendingChange): void {
    const attempt = this.#nextAttempt();
    this.#send(pending.withdrawal(attempt, this.#nowMs, this.#set, this.#trueIsr));
  }

  // ---- Time ------------------------------------------------------------------------------------

  /** Marks who holds what there is. Returns for how many milliseconds the leader itself slept. */
  tick(nowMs: number, endSeq: number): number {
    const sleptMs = Math.max(0, nowMs - this.#nowMs - TICK_GAP_MAX_MS);
    const previousMs = this.#nowMs + sleptMs;
    for (const peer of this.peers) {
      peer.caughtUpMs += sleptMs;
      if (!peer.isLinked) continue;
      if (peer.matchSeq >= endSeq) peer.caughtUpMs = nowMs;
      else if (peer.matchSeq >= this.#endAtTickSeq) {
        peer.caughtUpMs = Math.max(peer.caughtUpMs, previousMs);
      }
    }
    this.#nowMs = nowMs;
    this.#endAtTickSeq = endSeq;
    this.#lookAtLag();
    this.refreshInSync();
    const pending = this.#pending;
    if (pending?.isOverdue(nowMs, this.#limits.proposalRetryMs)) {
      this.#send(pending.attempt(this.#nextAttempt(), nowMs));
    }
    return sleptMs;
  }

  #lookAtLag(): void {
    const { lag } = this.#config;
    if (lag === undefined) return;
    this.#lagTimeMaxMs = lag.timeMaxMs();
    const recordsMax = lag.recordsMax();
    for (const peer of this.peers) {
      peer.isFar = recordsMax > 0 && !peer.isSelf && lag.recordsBehind(peer.matchSeq) > recordsMax;
    }
  }

  /**
   * True if the peer now holds what there was at the last tick: between ticks that is caught up.
   */
  markCaughtUp(peer: Peer, endSeq: number): boolean {
    if (!peer.isLinked) return false;
    if (peer.matchSeq < endSeq && peer.matchSeq < this.#endAtTickSeq) return false;
    peer.caughtUpMs = this.#nowMs;
    this.refreshInSync();
    return true;
  }

  refreshInSync(): void {
    const couldAcceptAll = this.canAcceptAll;
    let count = 0;
    for (const peer of this.peers) {
      const isLiveMember =
        peer.memberIncarnation >= 0 && peer.memberIncarnation === peer.liveIncarnation;
      peer.isInSync = isLiveMember && !this.#lags(peer);
      if (peer.isInSync) count += 1;
    }
    this.#inSyncCount = count;
    const can = this.canAcceptAll;
    if (can !== couldAcceptAll) this.#outputs.push({ kind: 'can-accept-all', can });
  }

  #lags(peer: Peer): boolean {
    if (peer.isSelf) return false;
    return peer.isFar || this.#nowMs - peer.caughtUpMs > this.#lagTimeMaxMs;
  }

  // ---- Changes ---------------------------------------------------------------------------------

  /** Asks for a better set, or for a truer ISR, if there is one and nothing is under way. */
  considerChange(holdSeq: number, answeredSeq: number): void {
    if (this.#pending !== undefined || this.#nowMs < this.#nextProposalMs) return;
    if (this.#isSelfShown) return;
    const goal = planChange({
      mode: this.#config.mode,
      minInsync: this.#config.minInsync,
      current: this.#set,
      peers: this.peers,
      holdSeq,
      answeredSeq,
      nowMs: this.#nowMs,
      lagTimeMaxMs: this.#lagTimeMaxMs,
      noHoldRule: this.#config.faults?.noHoldRule === true,
    });
    if (goal !== undefined) {
      const members = goal.map((peer) => ({ peer, incarnation: peer.incarnation }));
      const isr = goal.filter((peer) => !this.#lags(peer)).map((peer) => peer.node);
      this.#propose(new SafeSet(members), isr);
      return;
    }
    if (!this.#isShown) this.#propose(this.#set, this.#trueIsr);
  }

  /**
   * To be called at a tick, when no change was found: whoever has kept up for long and never held what was committed
   * is waited for, and joins when it does. True when commits go on without it.
   */
  lookForLate(): boolean {
    const nowMs = this.#nowMs;
    const late = this.#late;
    if (late !== undefined) {
      if (this.#pending === undefined && nowMs < late.untilMs && this.#keepsUp(late.peer))
        return false;
      this.#late = undefined;
      this.#nextLateMs = nowMs + this.#lagTimeMaxMs;
      return true;
    }
    for (const peer of this.peers) {
      if (!this.#keepsUp(peer)) peer.lateSinceMs = Number.POSITIVE_INFINITY;
      else if (nowMs < peer.lateSinceMs) peer.lateSinceMs = nowMs;
      else if (nowMs - peer.lateSinceMs >= LATE_MS) this.#waitFor(peer);
    }
    return false;
  }

  /** Commits wait for nobody who is not a member. */
  stopWaiting(): void {
    this.#late = undefined;
  }

  #waitFor(peer: Peer): void {
    const nowMs = this.#nowMs;
    const isPausing = nowMs < this.#nextLateMs || nowMs < this.#nextProposalMs;
    if (isPausing || this.#pending !== undefined || this.#late !== undefined) return;
    this.#late = { peer, untilMs: nowMs + this.#limits.joinHoldMaxMs };
  }

  /** Not a member, and holds what there was a moment ago. */
  #keepsUp(peer: Peer): boolean {
    const isMember = peer.memberIncarnation >= 0 && peer.memberIncarnation === peer.incarnation;
    const isFit = peer.isAssigned && !peer.isObserver && peer.isLive && peer.isStreaming;
    if (peer.isSelf || isMember || !isFit) return false;
    return this.#nowMs - peer.caughtUpMs <= TICK_GAP_MAX_MS;
  }

  get #trueIsr(): NodeId[] {
    return this.#set.members.filter(({ peer }) => peer.isInSync).map(({ peer }) => peer.node);
  }

  /** Nobody else has the log, and the metadata says so: there is no other set, as of most of many thousands of logs. */
  get #isSelfShown(): boolean {
    const { self } = this;
    if (!this.isAlone || this.#set.size !== 1 || !self.isInSync) return false;
    const isMember = self.memberIncarnation >= 0 && self.memberIncarnation === self.incarnation;
    return isMember && this.#shownIsr.length === 1 && this.#shownIsr[0] === self.node;
  }

  get #isShown(): boolean {
    return this.#isSelfShown || isSameNodes(this.#trueIsr, this.#shownIsr);
  }

  /**
   * The metadata knows who is in sync, nobody is a member who is to leave, and nothing is asked for. Until then time has
   * to go on; also while nothing may be asked after a refusal: whoever comes back in that pause would not be asked for
   * after it. Those who stay hold what a leaver may leave with at a moment at which nothing else need happen.
   */
  get isSettled(): boolean {
    const isPausing = this.#nowMs < this.#nextProposalMs;
    const isLeft = this.#set.members.every(({ peer }) => peer.isAssigned || peer.isSelf);
    return !this.isAsking && !isPausing && isLeft && this.#isShown;
  }

  get partitionEpoch(): number {
    return this.#partitionEpoch;
  }

  /** A change is under way, or about to be: the partition epoch will not stay. */
  get isAsking(): boolean {
    return this.#pending !== undefined || this.#late !== undefined;
  }

  /** Asks for the set as it is, until it has another partition epoch: what names this one has no effect then. */
  reaffirm(): void {
    if (this.#pending !== undefined || this.#nowMs < this.#nextProposalMs) return;
    this.#propose(this.#set, this.#trueIsr);
  }

  /** The leader resigned: it asks for nothing any more. */
  close(): void {
    this.#pending = undefined;
    this.#late = undefined;
  }

  #propose(set: SafeSet, isr: readonly NodeId[]): void {
    this.#pending = new PendingChange(set, isr, {
      logId: this.#config.logId,
      epoch: this.#config.grant.epoch,
      partitionEpoch: this.#partitionEpoch,
    });
    this.#send(this.#pending.attempt(this.#nextAttempt(), this.#nowMs));
  }

  #nextAttempt(): number {
    this.#attempts += 1;
    return this.#attempts;
  }

  #send(proposal: SafeSetProposal): void {
    this.#outputs.push({ kind: 'propose-safe-set', proposal });
  }

  #adopt(replicas: readonly ReplicaId[]): void {
    for (const peer of this.peers) peer.memberIncarnation = -1;
    const members: Member[] = replicas.map(({ node, incarnation }) => {
      const peer = this.#peer(node);
      peer.memberIncarnation = incarnation;
      return { peer, incarnation };
    });
    this.#set = new SafeSet(members);
  }

  #peer(node: NodeId): Peer {
    const found = this.find(node);
    if (found !== undefined) return found;
    const peer = new Peer(node, node === this.#config.self.node);
    this.peers.push(peer);
    this.#setLive(peer);
    return peer;
  }

  // The leader does not doubt itself: that its node is fenced arrives as a higher epoch.
  #setLive(peer: Peer): void {
    const known = this.#live.find((replica) => replica.node === peer.node);
    peer.liveIncarnation = peer.isSelf ? peer.incarnation : (known?.incarnation ?? -1);
  }
}
