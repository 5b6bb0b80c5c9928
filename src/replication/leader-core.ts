// The leader of one log: who holds what, what is committed, who belongs to the safe set. Does no IO and
// reads no clock; the shell feeds it and obeys its outputs in order. It does not hold frames.
// Invariants: one writer per epoch; a frame is committed when it and the epoch-begin are durable on k
// members of the safe set, and of the set asked for while a change is under way; the own log counts only
// as far as it is durable. Phases: recovering -> starting -> active, and from each of them -> resigned.
import { assert } from '../std/assert.ts';
import { EpochTable } from './epoch-table.ts';
import { OutputQueue, ReusedOutput } from './outputs.ts';
import { Peer } from './peer.ts';
import { PendingChange } from './pending-change.ts';
import { nextRecoveryStep } from './recovery-read.ts';
import {
  commitCount,
  isSameNodes,
  type Member,
  planChange,
  recoveryCount,
  SafeSet,
} from './safe-set.ts';
import { SeqRing } from './seq-ring.ts';
import type {
  FollowerProgress,
  Hello,
  HelloAnswer,
  Leader,
  LeaderConfig,
  LeaderLimits,
  LeaderOutput,
  LeaderPhase,
  LogPosition,
  NodeId,
  ReplicaId,
  ReplicaLog,
  ReplyLevel,
  ResignReason,
  SafeSetState,
  StreamClass,
} from './types.ts';

const DEFAULT_LIMITS: LeaderLimits = {
  lagTimeMaxMs: 10_000,
  ownStallMaxMs: 1_000,
  proposalRetryMs: 2_000,
  moveHoldMaxMs: 1_000,
};
/** A follower that lacks more frames than this when it says hello is served in the catch-up class. */
const TAIL_FRAMES_MAX = 128;
/** Chains kept to check acknowledgements of followers that are behind. */
const CHAINS_MAX = 1_024;
/** Time between ticks beyond this is the leader's own sleep and is held against nobody. */
const TICK_GAP_MAX_MS = 1_000;
const FENCE_RETRY_MS = 500;

interface CommittedOutput {
  readonly kind: 'committed';
  seq: number;
}

export class LeaderCore implements Leader {
  readonly logId: number;
  readonly epoch: number;
  readonly #config: LeaderConfig;
  readonly #limits: LeaderLimits;
  readonly #self: Peer;
  readonly #peers: Peer[] = [];
  readonly #epochs: EpochTable;
  readonly #chains = new SeqRing(CHAINS_MAX);
  readonly #outputs = new OutputQueue<LeaderOutput>();
  readonly #committedOutput = new ReusedOutput<CommittedOutput>(() => ({
    kind: 'committed',
    seq: 0,
  }));

  #phase: LeaderPhase = 'recovering';
  #resignReason: ResignReason | undefined;
  #endSeq: number;
  #endChain: number;
  #firstFrameSeq: number;
  #committedSeq: number;
  #epochBeginSeq = 0;
  #isEpochBeginAsked = false;
  #cutAskedSeq = -1;
  #fetch: { readonly from: Peer; readonly throughSeq: number } | undefined;

  #set: SafeSet = new SafeSet([]);
  #partitionEpoch: number;
  #shownIsr: readonly NodeId[];
  #live: readonly ReplicaId[];
  #inSyncCount = 0;
  #pending: PendingChange | undefined;
  #attempts = 0;
  #nextProposalMs = Number.NEGATIVE_INFINITY;

  #nowMs: number;
  #endAtTickSeq = 0;
  #durableAtTickSeq = 0;
  #stalledSinceMs = -1;
  #fencedMs: number;
  #move: { readonly target: Peer; deadlineMs: number; isReady: boolean } | undefined;

  constructor(config: LeaderConfig) {
    const { log } = config;
    this.#config = config;
    this.#limits = { ...DEFAULT_LIMITS, ...config.limits };
    this.logId = config.logId;
    this.epoch = config.grant.epoch;
    this.#epochs = new EpochTable(log.epochs);
    this.#endSeq = log.endSeq;
    this.#endChain = log.endChain;
    this.#firstFrameSeq = log.firstFrameSeq;
    this.#committedSeq = log.committedSeq;
    this.#partitionEpoch = config.partitionEpoch;
    this.#shownIsr = config.isr;
    this.#live = config.live;
    this.#nowMs = config.nowMs;
    this.#fencedMs = config.nowMs;
    if (log.endSeq > 0) this.#chains.push(log.endSeq, log.endChain);
    this.#self = this.#peer(config.self.node);
    this.#self.incarnation = config.self.incarnation;
    this.#setLive(this.#self);
    this.#self.matchSeq = log.durableSeq;
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      this.#resign(refusal);
      return;
    }
    for (const node of config.replicas) this.#peer(node).isAssigned = true;
    // The shown ISR has the benefit of the doubt: it may take a lag time to say hello.
    for (const node of config.isr) this.#peer(node).caughtUpMs = config.nowMs;
    this.#adoptSet(config.safeSet);
    this.#refreshInSync();
    this.#sendFences();
    this.#recover();
  }

  get phase(): LeaderPhase {
    return this.#phase;
  }

  get resignReason(): ResignReason | undefined {
    return this.#resignReason;
  }

  get committedSeq(): number {
    return this.#committedSeq;
  }

  get endSeq(): number {
    return this.#endSeq;
  }

  get durableSeq(): number {
    return this.#self.matchSeq;
  }

  get epochBeginSeq(): number {
    return this.#epochBeginSeq;
  }

  get isSettled(): boolean {
    return this.#cutAskedSeq < 0;
  }

  // ---- The own log -----------------------------------------------------------------------------

  appended(seq: number, epoch: number, chain: number): void {
    if (this.#phase === 'resigned') return;
    assert(seq === this.#endSeq + 1, 'LeaderCore: frames must be appended in order');
    const isRecovery = this.#phase === 'recovering';
    assert(isRecovery || epoch === this.epoch, 'LeaderCore: a frame of another epoch');
    assert(
      isRecovery || this.#phase === 'active' || (this.#isEpochBeginAsked && !this.#epochBeginSeq),
      'LeaderCore: nothing but the epoch-begin may be appended before it is committed',
    );
    this.#epochs.append(epoch, seq);
    this.#endSeq = seq;
    this.#endChain = chain;
    this.#chains.push(seq, chain);
    if (this.#phase === 'active') return;
    if (isRecovery) this.#recover();
    else this.#epochBeginSeq = seq;
  }

  localDurable(seq: number): void {
    // Until the cut is durable these are notices of frames that are about to go.
    if (this.#phase === 'resigned' || this.#cutAskedSeq >= 0) return;
    if (seq <= this.#self.matchSeq) return;
    assert(seq <= this.#endSeq, 'LeaderCore: durable beyond the end');
    this.#self.matchSeq = seq;
    if (seq > this.#committedSeq) this.#advanceCommit();
  }

  selfTruncated(position: LogPosition): void {
    // Also after resigning: the position must be right before a follower takes over.
    if (this.#cutAskedSeq < 0) return;
    assert(position.seq === this.#cutAskedSeq, 'LeaderCore: the log was cut elsewhere', {
      position,
    });
    this.#cutAskedSeq = -1;
    this.#epochs.truncateAfter(position.seq);
    this.#endSeq = position.seq;
    this.#endChain = position.chain;
    this.#self.matchSeq = position.seq;
    this.#chains.clear();
    if (position.seq > 0) this.#chains.push(position.seq, position.chain);
    this.#recover();
  }

  framesReleasedBelow(firstFrameSeq: number): void {
    if (firstFrameSeq <= this.#firstFrameSeq) return;
    this.#firstFrameSeq = firstFrameSeq;
    // A follower that ends just before the first frame must still find its epoch here.
    this.#epochs.pruneBelow(firstFrameSeq - 1);
  }

  // ---- Followers -------------------------------------------------------------------------------

  hello(hello: Hello): void {
    if (this.#phase === 'resigned') return;
    if (hello.epoch > this.epoch) {
      this.#resign('superseded');
      return;
    }
    const peer = this.#find(hello.from.node);
    if (peer === undefined || peer.isSelf) return;
    if (hello.epoch < this.epoch) {
      this.#fence(peer);
      return;
    }
    const { incarnation } = hello.from;
    if (incarnation < peer.incarnation || incarnation < peer.liveIncarnation) return;
    peer.unlink();
    // Its frames travelled on the old link: asked for again from where we are.
    if (this.#fetch?.from === peer) this.#fetch = undefined;
    if (incarnation !== peer.incarnation) {
      peer.incarnation = incarnation;
      peer.matchSeq = 0;
    }
    peer.isLinked = true;
    peer.hello = hello;
    if (this.#phase === 'recovering') this.#recover();
    else this.#answer(peer, hello);
    this.#considerChange();
  }

  ack(node: NodeId, incarnation: number, epoch: number, durableSeq: number, chain: number): void {
    if (this.#phase === 'resigned') return;
    if (epoch !== this.epoch) {
      if (epoch > this.epoch) this.#resign('superseded');
      return;
    }
    const peer = this.#find(node);
    if (peer === undefined || peer.incarnation !== incarnation || peer.isSelf) return;
    if (durableSeq > this.#endSeq || !this.#hasChain(durableSeq, chain)) {
      this.#alarm('chain-mismatch', peer, durableSeq);
      this.#stopStream(peer);
      return;
    }
    if (peer.awaitsCut && durableSeq < peer.nextSeq) this.#startStream(peer);
    if (durableSeq <= peer.matchSeq) return;
    peer.matchSeq = durableSeq;
    if (peer.streamClass === 'catch-up' && durableSeq >= peer.catchUpEndSeq) {
      this.#changeClass(peer, 'tail');
    }
    if (durableSeq > this.#committedSeq) this.#advanceCommit();
    if (!peer.isInSync && durableSeq >= Math.max(this.#committedSeq, this.#epochBeginSeq)) {
      this.#caughtUp(peer);
    }
    if (this.#move !== undefined) this.#checkMove();
  }

  followerLost(node: NodeId): void {
    const peer = this.#find(node);
    if (this.#phase === 'resigned' || peer === undefined) return;
    if (peer.isStreaming || peer.awaitsCut) this.#stopStream(peer);
    const keptForRecovery = this.#phase === 'recovering' ? peer.hello : undefined;
    peer.unlink();
    // What it said stands: it promised to obey this epoch, so no older leader can add to it.
    peer.hello = keptForRecovery;
    if (this.#move?.target === peer) this.#failMove();
    if (this.#fetch?.from !== peer) return;
    this.#fetch = undefined;
    this.#recover();
  }

  sent(node: NodeId, throughSeq: number): void {
    const peer = this.#find(node);
    if (peer?.isStreaming && throughSeq >= peer.nextSeq) peer.nextSeq = throughSeq + 1;
  }

  progress(node: NodeId): FollowerProgress | undefined {
    const peer = this.#find(node);
    return peer?.isSelf ? undefined : peer;
  }

  committedToSend(node: NodeId): number {
    const peer = this.#find(node);
    if (!peer?.isStreaming || peer.toldCommittedSeq >= this.#committedSeq) return -1;
    return this.#committedSeq;
  }

  committedSent(node: NodeId, seq: number): void {
    const peer = this.#find(node);
    if (peer !== undefined && seq > peer.toldCommittedSeq) peer.toldCommittedSeq = seq;
  }

  // ---- Metadata --------------------------------------------------------------------------------

  liveChanged(live: readonly ReplicaId[]): void {
    if (this.#phase === 'resigned') return;
    this.#live = live;
    for (const peer of this.#peers) this.#setLive(peer);
    this.#refreshInSync();
    this.#considerChange();
  }

  replicasChanged(replicas: readonly NodeId[]): void {
    if (this.#phase === 'resigned') return;
    for (const peer of this.#peers) peer.isAssigned = false;
    for (const node of replicas) this.#peer(node).isAssigned = true;
    this.#considerChange();
  }

  safeSetChanged(state: SafeSetState): void {
    if (this.#phase === 'resigned' || state.partitionEpoch <= this.#partitionEpoch) return;
    this.#partitionEpoch = state.partitionEpoch;
    this.#shownIsr = state.isr;
    // Whatever was under way expected an older partition epoch: it won, or it cannot win any more.
    this.#pending = undefined;
    this.#adoptSet(state.safeSet);
    if (!this.#set.has(this.#config.self)) {
      this.#resign('removed-from-safe-set');
      return;
    }
    this.#refreshInSync();
    this.#recover();
    this.#advanceCommit();
    this.#considerChange();
  }

  safeSetRejected(attempt: number, current: SafeSetState): void {
    if (this.#phase === 'resigned') return;
    if (current.partitionEpoch > this.#partitionEpoch) {
      this.safeSetChanged(current);
      return;
    }
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#nextProposalMs = this.#nowMs + this.#limits.proposalRetryMs;
    if (pending.refused(attempt)) {
      this.#pending = undefined;
      this.#advanceCommit();
      return;
    }
    this.#attempts += 1;
    const proposal = pending.withdrawal(this.#attempts, this.#nowMs, this.#set);
    this.#outputs.push({ kind: 'propose-safe-set', proposal });
  }

  superseded(epoch: number): void {
    if (epoch > this.epoch) this.#resign('superseded');
  }

  tick(nowMs: number): void {
    if (this.#phase === 'resigned') return;
    const sleptMs = Math.max(0, nowMs - this.#nowMs - TICK_GAP_MAX_MS);
    const previousMs = this.#nowMs + sleptMs;
    for (const peer of this.#peers) {
      peer.caughtUpMs += sleptMs;
      if (!peer.isLinked) continue;
      if (peer.matchSeq >= this.#endSeq) peer.caughtUpMs = nowMs;
      else if (peer.matchSeq >= this.#endAtTickSeq) {
        peer.caughtUpMs = Math.max(peer.caughtUpMs, previousMs);
      }
    }
    this.#nowMs = nowMs;
    this.#endAtTickSeq = this.#endSeq;
    if (this.#hasStalled(sleptMs)) {
      this.#resign('own-disk-stalled');
      return;
    }
    this.#refreshInSync();
    this.#tickPending();
    if (nowMs - this.#fencedMs >= FENCE_RETRY_MS) this.#sendFences();
    if (this.#move !== undefined && nowMs >= this.#move.deadlineMs) this.#failMove();
    this.#considerChange();
  }

  planMove(target: NodeId): void {
    const peer = this.#find(target);
    if (this.#phase !== 'active' || peer === undefined || peer.isSelf || !peer.isInSync) {
      this.#outputs.push({ kind: 'move-failed', target });
      return;
    }
    if (this.#move !== undefined) this.#failMove();
    const deadlineMs = this.#nowMs + this.#limits.moveHoldMaxMs;
    this.#move = { target: peer, deadlineMs, isReady: false };
    this.#checkMove();
  }

  cancelMove(): void {
    this.#move = undefined;
  }

  resign(): void {
    this.#resign('asked');
  }

  // ---- Questions -------------------------------------------------------------------------------

  canAppend(): boolean {
    return this.#phase === 'active' && this.#move === undefined;
  }

  canAcceptAll(): boolean {
    return this.#inSyncCount >= this.#config.minInsync;
  }

  hasReached(seq: number, level: ReplyLevel): boolean {
    if (level === 'none') return true;
    return seq <= (level === 'local' ? this.#self.matchSeq : this.#committedSeq);
  }

  isr(): readonly NodeId[] {
    const others = this.#peers.filter((peer) => peer.isInSync && !peer.isSelf);
    return [this.#self.node, ...others.map((peer) => peer.node)];
  }

  log(): ReplicaLog {
    assert(this.#cutAskedSeq < 0, 'LeaderCore: the log is being cut');
    return {
      endSeq: this.#endSeq,
      endChain: this.#endChain,
      durableSeq: this.#self.matchSeq,
      committedSeq: this.#committedSeq,
      firstFrameSeq: this.#firstFrameSeq,
      epochs: this.#epochs.entries(),
    };
  }

  take(): readonly LeaderOutput[] {
    this.#committedOutput.turn();
    return this.#outputs.take();
  }

  // ---- Recovery --------------------------------------------------------------------------------

  #refusal(): ResignReason | undefined {
    const { grant, writer, faults, log, safeSet, self } = this.#config;
    if (!faults?.sameEpochAfterRestart) {
      const isForUs =
        grant.nodeIncarnation === writer.nodeIncarnation &&
        grant.shardIncarnation === writer.shardIncarnation;
      if (!isForUs) return 'grant-for-another-writer';
      // Only its leader writes frames of an epoch: we have led it before, and what we wrote then and
      // lost may be on a follower.
      if ((log.epochs.at(-1)?.epoch ?? 0) >= grant.epoch) return 'epoch-already-written';
    }
    const isMember = safeSet.some(
      (member) => member.node === self.node && member.incarnation === self.incarnation,
    );
    return isMember ? undefined : 'not-in-safe-set';
  }

  #recover(): void {
    if (this.#phase !== 'recovering' || this.#cutAskedSeq >= 0) return;
    const { mode, minInsync, faults } = this.#config;
    const count = faults?.noRecoveryRead ? 1 : recoveryCount(mode, minInsync, this.#set.size);
    const fetch = this.#fetch;
    // A copy that runs is finished first; the members cannot grow any more.
    if (fetch !== undefined && fetch.from.isLinked && this.#endSeq < fetch.throughSeq) return;
    this.#fetch = undefined;
    const ownOnly = mode === 'all' || faults?.noRecoveryRead;
    if (ownOnly) {
      this.#start();
      return;
    }
    const step = nextRecoveryStep(this.#set, count, this.#epochs, this.#endSeq);
    if (step.kind === 'complete') this.#start();
    else if (step.kind === 'too-far-behind') this.#resign('too-far-behind');
    else if (step.kind === 'copy') this.#copyFrom(step.from, step.cutSeq, step.throughSeq);
  }

  #copyFrom(from: Peer, cutSeq: number, throughSeq: number): void {
    if (cutSeq < this.#endSeq) {
      if (cutSeq < this.#committedSeq && !this.#config.grant.unclean) {
        this.#alarm('cut-below-committed', from, cutSeq);
        this.#resign('diverged');
        return;
      }
      this.#cutAskedSeq = cutSeq;
      this.#outputs.push({ kind: 'truncate-self', toSeq: cutSeq });
      return;
    }
    if (!from.isLinked) return;
    this.#fetch = { from, throughSeq };
    const fromSeq = this.#endSeq + 1;
    this.#outputs.push({ kind: 'fetch-missing', node: from.node, fromSeq, throughSeq });
  }

  #start(): void {
    this.#isEpochBeginAsked = true;
    this.#setPhase('starting');
    const { epoch } = this;
    this.#outputs.push({ kind: 'append-epoch-begin', seq: this.#endSeq + 1, epoch });
    for (const peer of this.#peers) {
      if (peer.hello !== undefined && peer.isLinked) this.#answer(peer, peer.hello);
    }
  }

  #sendFences(): void {
    this.#fencedMs = this.#nowMs;
    if (this.#phase !== 'recovering' || this.#config.mode === 'all') return;
    for (const peer of this.#peers) {
      if (!peer.isSelf && peer.hello === undefined) this.#fence(peer);
    }
  }

  #fence(peer: Peer): void {
    const { epoch } = this;
    const fence = { epoch, leader: this.#self.node, unclean: this.#config.grant.unclean };
    this.#outputs.push({ kind: 'fence', node: peer.node, fence });
  }

  // ---- Streams ---------------------------------------------------------------------------------

  #answer(peer: Peer, hello: Hello): void {
    peer.hello = undefined;
    const cutSeq = this.#cutFor(hello);
    const answer = this.#answerOf(hello, cutSeq);
    this.#outputs.push({ kind: 'hello-answer', node: peer.node, answer });
    peer.toldCommittedSeq = this.#committedSeq;
    if (answer.kind === 'refused') {
      this.#alarm('cut-below-committed', peer, cutSeq);
      return;
    }
    // Where a snapshot is needed our epochs may not reach back to where the logs are equal.
    const equalSeq = answer.kind === 'snapshot' ? Math.max(cutSeq, peer.matchSeq) : cutSeq;
    const matchSeq = answer.kind === 'discard' ? 0 : Math.min(equalSeq, hello.durableSeq);
    if (matchSeq < peer.matchSeq && answer.kind !== 'discard') {
      this.#alarm('acknowledged-frames-lost', peer, matchSeq);
    }
    peer.matchSeq = matchSeq;
    if (answer.kind !== 'frames') return;
    peer.nextSeq = cutSeq + 1;
    peer.catchUpEndSeq = this.#endSeq;
    peer.streamClass = this.#endSeq - cutSeq > TAIL_FRAMES_MAX ? 'catch-up' : 'tail';
    if (hello.endSeq > cutSeq) peer.awaitsCut = true;
    else this.#startStream(peer);
    if (matchSeq > this.#committedSeq) this.#advanceCommit();
    if (matchSeq >= this.#endSeq) this.#caughtUp(peer);
  }

  /** Last frame that the follower may keep. */
  #cutFor(hello: Hello): number {
    const common = this.#epochs.commonEnd(hello.tail, this.#endSeq);
    if (this.#config.faults?.truncateBelowCommitted) {
      return Math.max(0, this.#epochs.startOf(this.#epochs.epochAt(common)) - 1);
    }
    if (common >= 0) return common;
    // No epoch in common. If our table goes back to the first frame, nothing is equal; else all that
    // differs is older than our snapshot, and what the follower knows to be committed is a prefix of it.
    return this.#epochs.firstSeq > 1 ? hello.committedSeq : 0;
  }

  #answerOf(hello: Hello, cutSeq: number): HelloAnswer {
    const { helloNo } = hello;
    const base = { epoch: this.epoch, helloNo, committedSeq: this.#committedSeq };
    if (cutSeq < hello.committedSeq && !this.#config.faults?.truncateBelowCommitted) {
      if (this.#config.grant.unclean) return { kind: 'discard', ...base };
      return { kind: 'refused', ...base, cutSeq };
    }
    const kind = cutSeq + 1 < this.#firstFrameSeq ? 'snapshot' : 'frames';
    return { kind, ...base, cutSeq };
  }

  #startStream(peer: Peer): void {
    peer.awaitsCut = false;
    peer.isStreaming = true;
    this.#changeClass(peer, peer.streamClass);
  }

  #changeClass(peer: Peer, streamClass: StreamClass): void {
    peer.streamClass = streamClass;
    if (!peer.isStreaming) return;
    const { node, nextSeq } = peer;
    this.#outputs.push({ kind: 'stream', node, fromSeq: nextSeq, streamClass });
  }

  #stopStream(peer: Peer): void {
    peer.isStreaming = false;
    peer.awaitsCut = false;
    this.#outputs.push({ kind: 'stop-stream', node: peer.node });
  }

  #hasChain(seq: number, chain: number): boolean {
    if (chain < 0) return true;
    const own = this.#chains.at(seq);
    return own < 0 || own === chain;
  }

  // ---- Commit ----------------------------------------------------------------------------------

  #advanceCommit(): void {
    if (this.#epochBeginSeq === 0 || this.#phase === 'resigned') return;
    let seq = this.#heldBySet(this.#set);
    if (this.#pending !== undefined && !this.#config.faults?.commitUnderOldSetOnly) {
      seq = Math.min(seq, this.#heldBySet(this.#pending.set));
    }
    if (seq <= this.#committedSeq) return;
    if (seq < this.#epochBeginSeq && !this.#config.faults?.hwFromStaleEpoch) return;
    assert(seq <= this.#endSeq, 'LeaderCore: commit beyond the end');
    this.#committedSeq = seq;
    this.#committedOutput.fill(this.#outputs).seq = seq;
    this.#dropChains();
    if (this.#phase === 'starting' && seq >= this.#epochBeginSeq) this.#setPhase('active');
  }

  #heldBySet(set: SafeSet): number {
    const { mode, minInsync } = this.#config;
    return set.seqHeldBy(commitCount(mode, minInsync, set.size));
  }

  #dropChains(): void {
    let keepFromSeq = this.#committedSeq;
    for (const peer of this.#peers) {
      if (peer.isStreaming && peer.matchSeq < keepFromSeq) keepFromSeq = peer.matchSeq;
    }
    this.#chains.dropThrough(keepFromSeq - 1);
  }

  // ---- Safe set and shown ISR ------------------------------------------------------------------

  #adoptSet(replicas: readonly ReplicaId[]): void {
    for (const peer of this.#peers) peer.memberIncarnation = -1;
    const members: Member[] = replicas.map(({ node, incarnation }) => {
      const peer = this.#peer(node);
      peer.memberIncarnation = incarnation;
      return { peer, incarnation };
    });
    this.#set = new SafeSet(members);
  }

  #caughtUp(peer: Peer): void {
    if (!peer.isLinked) return;
    if (peer.matchSeq >= this.#endSeq || peer.matchSeq >= this.#endAtTickSeq) {
      peer.caughtUpMs = this.#nowMs;
    }
    this.#refreshInSync();
    this.#considerChange();
  }

  #refreshInSync(): void {
    const couldAcceptAll = this.canAcceptAll();
    let count = 0;
    for (const peer of this.#peers) {
      const isLiveMember =
        peer.memberIncarnation >= 0 && peer.memberIncarnation === peer.liveIncarnation;
      const lagMs = this.#nowMs - peer.caughtUpMs;
      peer.isInSync = isLiveMember && (peer.isSelf || lagMs <= this.#limits.lagTimeMaxMs);
      if (peer.isInSync) count += 1;
    }
    this.#inSyncCount = count;
    const can = this.canAcceptAll();
    if (can !== couldAcceptAll) this.#outputs.push({ kind: 'can-accept-all', can });
  }

  #considerChange(): void {
    if (this.#epochBeginSeq === 0 || this.#pending !== undefined) return;
    if (this.#phase === 'resigned' || this.#nowMs < this.#nextProposalMs) return;
    const goal = planChange({
      mode: this.#config.mode,
      minInsync: this.#config.minInsync,
      current: this.#set,
      peers: this.#peers,
      holdSeq: Math.max(this.#committedSeq, this.#epochBeginSeq),
      nowMs: this.#nowMs,
      lagTimeMaxMs: this.#limits.lagTimeMaxMs,
      noHoldRule: this.#config.faults?.noHoldRule === true,
    });
    if (goal !== undefined) {
      const members = goal.map((peer) => ({ peer, incarnation: peer.incarnation }));
      const isr = goal.filter((peer) => this.#willBeInSync(peer)).map((peer) => peer.node);
      this.#propose(new SafeSet(members), isr);
      return;
    }
    const isr = this.#set.members.filter(({ peer }) => peer.isInSync).map(({ peer }) => peer.node);
    if (!isSameNodes(isr, this.#shownIsr)) this.#propose(this.#set, isr);
  }

  #willBeInSync(peer: Peer): boolean {
    return peer.isSelf || this.#nowMs - peer.caughtUpMs <= this.#limits.lagTimeMaxMs;
  }

  #propose(set: SafeSet, isr: readonly NodeId[]): void {
    const base = { logId: this.logId, epoch: this.epoch, partitionEpoch: this.#partitionEpoch };
    this.#pending = new PendingChange(set, isr, base);
    this.#attempts += 1;
    const proposal = this.#pending.attempt(this.#attempts, this.#nowMs);
    this.#outputs.push({ kind: 'propose-safe-set', proposal });
  }

  #tickPending(): void {
    const pending = this.#pending;
    if (!pending?.isOverdue(this.#nowMs, this.#limits.proposalRetryMs)) return;
    this.#attempts += 1;
    const proposal = pending.attempt(this.#attempts, this.#nowMs);
    this.#outputs.push({ kind: 'propose-safe-set', proposal });
  }

  // ---- The rest --------------------------------------------------------------------------------

  #hasStalled(sleptMs: number): boolean {
    const durableSeq = this.#self.matchSeq;
    const isWaiting = durableSeq < this.#endSeq;
    if (!isWaiting || this.#stalledSinceMs < 0 || durableSeq > this.#durableAtTickSeq) {
      this.#stalledSinceMs = isWaiting ? this.#nowMs : -1;
    } else this.#stalledSinceMs += sleptMs;
    this.#durableAtTickSeq = durableSeq;
    return isWaiting && this.#nowMs - this.#stalledSinceMs > this.#limits.ownStallMaxMs;
  }

  #checkMove(): void {
    const move = this.#move;
    if (move === undefined || move.isReady || move.target.matchSeq < this.#endSeq) return;
    move.isReady = true;
    this.#outputs.push({ kind: 'move-ready', target: move.target.node });
  }

  #failMove(): void {
    const target = this.#move!.target.node;
    this.#move = undefined;
    this.#outputs.push({ kind: 'move-failed', target });
  }

  #resign(reason: ResignReason): void {
    if (this.#phase === 'resigned') return;
    this.#resignReason = reason;
    this.#pending = undefined;
    this.#move = undefined;
    this.#setPhase('resigned');
    this.#outputs.push({ kind: 'resigned', reason });
  }

  #setPhase(phase: LeaderPhase): void {
    this.#phase = phase;
    this.#outputs.push({ kind: 'phase', phase });
  }

  #alarm(
    reason: 'cut-below-committed' | 'chain-mismatch' | 'acknowledged-frames-lost',
    peer: Peer,
    seq: number,
  ): void {
    this.#outputs.push({ kind: 'alarm', reason, node: peer.node, seq });
  }

  #find(node: NodeId): Peer | undefined {
    const peers = this.#peers;
    for (let i = 0; i < peers.length; i += 1) if (peers[i]!.node === node) return peers[i];
    return undefined;
  }

  #peer(node: NodeId): Peer {
    const found = this.#find(node);
    if (found !== undefined) return found;
    const peer = new Peer(node, node === this.#config.self.node);
    this.#peers.push(peer);
    this.#setLive(peer);
    return peer;
  }

  // The leader does not doubt itself: its node's fencing arrives as a higher epoch.
  #setLive(peer: Peer): void {
    const known = this.#live.find((replica) => replica.node === peer.node);
    peer.liveIncarnation = peer.isSelf ? peer.incarnation : (known?.incarnation ?? -1);
  }
}
