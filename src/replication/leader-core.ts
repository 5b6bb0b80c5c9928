// The leader of one log: who holds what, what is committed, who belongs to the safe set. Does no IO
// and reads no clock; the shell feeds it and obeys its outputs in order. It does not hold frames.
// Invariants: one writer per epoch; a frame is committed when it and the epoch-begin are durable on
// k members of the safe set, and of the set asked for while a change is under way; the own log
// counts only as far as it is durable. Phases: recovering -> starting -> active, and from each of
// them -> resigned.
import { assert } from '../std/assert.ts';
import { EpochTable } from './epoch-table.ts';
import { Membership } from './membership.ts';
import { OutputQueue, ReusedOutput } from './outputs.ts';
import type { Peer } from './peer.ts';
import { PlannedMove } from './planned-move.ts';
import { nextRecoveryStep } from './recovery-read.ts';
import { recoveryCount } from './safe-set.ts';
import { SeqRing } from './seq-ring.ts';
import { StallWatch } from './stall-watch.ts';
import { type StreamedLog, Streams } from './streams.ts';
import type {
  AlarmReason,
  FollowerProgress,
  Hello,
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
} from './types.ts';

const DEFAULT_LIMITS: LeaderLimits = {
  lagTimeMaxMs: 10_000,
  ownStallMaxMs: 1_000,
  proposalRetryMs: 2_000,
  moveHoldMaxMs: 2_000,
  joinHoldMaxMs: 1_000,
};
/** Chains kept to check acknowledgements of followers that are behind. */
const CHAINS_MAX = 1_024;
const FENCE_RETRY_MS = 500;

interface CommittedOutput {
  readonly kind: 'committed';
  seq: number;
}

export class LeaderCore implements Leader, StreamedLog {
  readonly logId: number;
  readonly epoch: number;
  readonly #config: LeaderConfig;
  readonly #limits: LeaderLimits;
  readonly #members: Membership;
  readonly #streams: Streams;
  readonly #stall: StallWatch;
  readonly epochs: EpochTable;
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
  #answeredSeq = 0;
  #assignedAt: number;
  #isEpochBeginAsked = false;
  #cutAskedSeq = -1;
  #fetch: { readonly from: Peer; readonly throughSeq: number } | undefined;

  #fencedMs: number;
  readonly #move: PlannedMove;

  constructor(config: LeaderConfig) {
    const { log } = config;
    this.#config = config;
    this.#limits = { ...DEFAULT_LIMITS, ...config.limits };
    this.logId = config.logId;
    this.epoch = config.grant.epoch;
    this.epochs = new EpochTable(log.epochs);
    this.#endSeq = log.endSeq;
    this.#endChain = log.endChain;
    this.#firstFrameSeq = log.firstFrameSeq;
    this.#committedSeq = log.committedSeq;
    this.#fencedMs = config.nowMs;
    this.#assignedAt = config.assignedAt ?? 0;
    if (log.endSeq > 0) this.#chains.push(log.endSeq, log.endChain);
    this.#streams = new Streams(config.grant, config.faults ?? {}, this.#outputs);
    this.#stall = new StallWatch(this.#limits.ownStallMaxMs);
    this.#members = new Membership(config, this.#limits, this.#outputs);
    this.#move = new PlannedMove(this.#members, this.#outputs, config.faults);
    this.#members.self.matchSeq = log.durableSeq;
    this.#members.self.receivedSeq = log.endSeq;
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      this.#resign(refusal);
      return;
    }
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
    return this.#members.self.matchSeq;
  }

  get epochBeginSeq(): number {
    return this.#epochBeginSeq;
  }

  get firstFrameSeq(): number {
    return this.#firstFrameSeq;
  }

  get isSettled(): boolean {
    return this.#cutAskedSeq < 0;
  }

  // ---- The own log -----------------------------------------------------------------------------

  appended(seq: number, epoch: number, chain: number): void {
    assert(seq === this.#endSeq + 1, 'LeaderCore: frames must be appended in order');
    assert(this.#cutAskedSeq < 0, 'LeaderCore: nothing may be appended before the cut');
    const phase = this.#phase;
    const isWriting = phase === 'starting' || phase === 'active';
    assert(!isWriting || epoch === this.epoch, 'LeaderCore: a frame of another epoch');
    assert(
      phase !== 'starting' || (this.#isEpochBeginAsked && this.#epochBeginSeq === 0),
      'LeaderCore: nothing but the epoch-begin may be appended before it is committed',
    );
    // Also after resigning: what is in the log belongs to the position that a follower takes over.
    this.epochs.append(epoch, seq);
    this.#endSeq = seq;
    this.#endChain = chain;
    this.#members.self.receivedSeq = seq;
    this.#chains.push(seq, chain);
    if (phase === 'recovering') this.#recover();
    else if (phase === 'starting') this.#epochBeginSeq = seq;
  }

  localDurable(seq: number): void {
    // While the log is being cut: what lies above the cut is about to go.
    if (this.#cutAskedSeq >= 0) seq = Math.min(seq, this.#cutAskedSeq);
    if (seq <= this.#members.self.matchSeq) return;
    assert(seq <= this.#endSeq, 'LeaderCore: durable beyond the end');
    this.#members.self.matchSeq = seq;
    if (seq > this.#committedSeq) this.#advanceCommit();
  }

  selfTruncated(position: LogPosition): void {
    // Also after resigning: the position must be right before a follower takes over.
    if (this.#cutAskedSeq < 0) return;
    assert(position.seq === this.#cutAskedSeq, 'LeaderCore: the log was cut elsewhere', {
      position,
    });
    this.#cutAskedSeq = -1;
    this.epochs.truncateAfter(position.seq);
    this.#endSeq = position.seq;
    this.#endChain = position.chain;
    this.#members.self.matchSeq = Math.min(this.durableSeq, position.seq);
    this.#members.self.receivedSeq = position.seq;
    this.#chains.clear();
    if (position.seq > 0) this.#chains.push(position.seq, position.chain);
    this.#recover();
  }

  framesReleasedBelow(firstFrameSeq: number): void {
    if (firstFrameSeq <= this.#firstFrameSeq) return;
    this.#firstFrameSeq = firstFrameSeq;
    // A follower that ends just before the first frame must still find its epoch here.
    this.epochs.pruneBelow(firstFrameSeq - 1);
  }

  // ---- Followers -------------------------------------------------------------------------------

  hello(hello: Hello): void {
    if (this.#phase === 'resigned') return;
    if (hello.epoch > this.epoch) {
      this.#resign('superseded');
      return;
    }
    const peer = this.#members.find(hello.from.node);
    if (peer === undefined || peer.isSelf || !this.#mayGreet(peer, hello)) return;
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

  /** A replica that does not know yet that it was assigned anew may be about to delete what it speaks of. */
  #mayGreet(peer: Peer, { from, assignedAt = Number.POSITIVE_INFINITY }: Hello): boolean {
    if (peer.memberIncarnation === from.incarnation || this.#config.faults?.hearOldReplicas) {
      return true;
    }
    return peer.isAssigned && assignedAt >= this.#assignedAt;
  }

  ack(node: NodeId, incarnation: number, epoch: number, durableSeq: number, chain: number): void {
    if (this.#phase === 'resigned') return;
    if (epoch !== this.epoch) {
      if (epoch > this.epoch) this.#resign('superseded');
      return;
    }
    const peer = this.#members.find(node);
    if (peer === undefined || peer.incarnation !== incarnation || peer.isSelf) return;
    if (durableSeq > this.#endSeq || !this.#hasChain(durableSeq, chain)) {
      this.#alarm('chain-mismatch', peer, durableSeq);
      this.#streams.stop(peer);
      return;
    }
    if (peer.awaitsCut && durableSeq < peer.nextSeq) this.#streams.start(peer);
    if (durableSeq <= peer.matchSeq) return;
    peer.matchSeq = durableSeq;
    if (peer.streamClass === 'catch-up' && durableSeq >= peer.catchUpEndSeq) {
      this.#streams.changeClass(peer, 'tail');
    }
    if (durableSeq > this.#committedSeq) this.#advanceCommit();
    if (!peer.isInSync && durableSeq >= Math.max(this.#committedSeq, this.#epochBeginSeq)) {
      this.#caughtUp(peer);
    }
    this.#checkMove();
  }

  received(node: NodeId, incarnation: number, epoch: number, seq: number): void {
    if (this.#phase === 'resigned' || epoch !== this.epoch) return;
    const peer = this.#members.find(node);
    if (peer === undefined || peer.incarnation !== incarnation || peer.isSelf) return;
    if (!peer.isStreaming || seq > this.#endSeq || seq <= peer.receivedSeq) return;
    peer.receivedSeq = seq;
    if (peer.memberIncarnation !== incarnation && seq >= this.#answeredSeq) this.#considerChange();
  }

  get receivedSeq(): number {
    if (this.#epochBeginSeq === 0 || this.#phase === 'resigned') return 0;
    return Math.max(this.#committedSeq, this.#members.receivedSeq());
  }

  answered(seq: number): void {
    if (seq > this.#answeredSeq) this.#answeredSeq = seq;
  }

  followerLost(node: NodeId): void {
    const peer = this.#members.find(node);
    if (this.#phase === 'resigned' || peer === undefined) return;
    if (peer.isStreaming || peer.awaitsCut) this.#streams.stop(peer);
    const keptForRecovery = this.#phase === 'recovering' ? peer.hello : undefined;
    peer.unlink();
    // What it said stands: it promised to obey this epoch, so no older leader can add to it.
    peer.hello = keptForRecovery;
    this.#move.lost(peer);
    if (this.#fetch?.from !== peer) return;
    this.#fetch = undefined;
    this.#recover();
  }

  sent(node: NodeId, throughSeq: number): void {
    const peer = this.#members.find(node);
    if (peer?.isStreaming && throughSeq >= peer.nextSeq) peer.nextSeq = throughSeq + 1;
  }

  progress(node: NodeId): FollowerProgress | undefined {
    const peer = this.#members.find(node);
    return peer?.isSelf ? undefined : peer;
  }

  committedToSend(node: NodeId): number {
    const peer = this.#members.find(node);
    if (!peer?.isStreaming || peer.toldCommittedSeq >= this.#committedSeq) return -1;
    return this.#committedSeq;
  }

  committedSent(node: NodeId, seq: number): void {
    const peer = this.#members.find(node);
    if (peer !== undefined && seq > peer.toldCommittedSeq) peer.toldCommittedSeq = seq;
  }

  // ---- Metadata --------------------------------------------------------------------------------

  liveChanged(live: readonly ReplicaId[]): void {
    if (this.#phase === 'resigned') return;
    this.#members.setLive(live);
    this.#considerChange();
  }

  replicasChanged(nodes: readonly NodeId[], assignedAt = 0, observers?: readonly NodeId[]): void {
    if (this.#phase === 'resigned') return;
    this.#assignedAt = assignedAt;
    const newcomers = this.#members.assign(nodes, observers);
    this.#forgetLeavers();
    // Who left and came back may not have heard of it, and still believe that it is followed.
    for (const peer of newcomers) if (!peer.isSelf && !peer.isLinked) this.#fence(peer);
    this.#considerChange();
  }

  safeSetChanged(state: SafeSetState): void {
    if (this.#phase === 'resigned' || !this.#members.adopt(state)) return;
    this.#move.adopted(state.partitionEpoch);
    if (!this.#members.set.has(this.#config.self)) {
      this.#resign('removed-from-safe-set');
      return;
    }
    this.#forgetLeavers();
    this.#recover();
    this.#advanceCommit();
    this.#checkMove();
    this.#considerChange();
  }

  /** What those said that are replicas no more counts for nothing: they delete what they have. */
  #forgetLeavers(): void {
    for (const peer of this.#members.peers) {
      if (peer.isSelf || peer.isAssigned || peer.memberIncarnation >= 0) continue;
      if (peer.incarnation < 0 || this.#members.isAskedFor(peer)) continue;
      this.#streams.stop(peer);
      peer.forget();
      this.#move.lost(peer);
      if (this.#fetch?.from === peer) this.#fetch = undefined;
    }
  }

  safeSetRejected(attempt: number, current: SafeSetState): void {
    if (this.#phase === 'resigned') return;
    this.safeSetChanged(current);
    this.#members.refused(attempt);
    this.#advanceCommit();
    this.#checkMove();
  }

  superseded(epoch: number): void {
    if (epoch > this.epoch) this.#resign('superseded');
  }

  tick(nowMs: number): void {
    if (this.#phase === 'resigned') return;
    const sleptMs = this.#members.tick(nowMs, this.#endSeq);
    if (this.#stall.tick(nowMs, sleptMs, this.durableSeq, this.#endSeq)) {
      this.#resign('own-disk-stalled');
      return;
    }
    if (nowMs - this.#fencedMs >= FENCE_RETRY_MS) this.#sendFences();
    this.#move.tick(nowMs);
    this.#considerChange();
    const mayWait = this.#epochBeginSeq > 0 && !this.#move.isHolding;
    if (mayWait && this.#members.lookForLate()) this.#advanceCommit();
    this.#checkMove();
  }

  planMove(target: NodeId, nowMs: number): void {
    const peer = this.#members.find(target);
    if (this.#phase !== 'active' || peer === undefined || peer.isSelf) return;
    if (!this.#move.begin(peer, nowMs, this.#limits.moveHoldMaxMs)) return;
    this.#advanceCommit();
    this.#checkMove();
  }

  moveRefused(partitionEpoch: number): void {
    this.#move.refused(partitionEpoch);
  }

  resign(): void {
    this.#resign('asked');
  }

  // ---- Questions -------------------------------------------------------------------------------

  canAppend(): boolean {
    return this.#phase === 'active' && !this.#move.isHolding;
  }

  get isInDoubt(): boolean {
    return this.#move.isInDoubt;
  }

  canAcceptAll(): boolean {
    return this.#members.canAcceptAll;
  }

  hasReached(seq: number, level: ReplyLevel): boolean {
    if (level === 'none') return true;
    return seq <= (level === 'local' ? this.#members.self.matchSeq : this.#committedSeq);
  }

  get isAlone(): boolean {
    return this.#members.isAlone;
  }

  get isMembershipTold(): boolean {
    return this.#members.isSettled && !this.#move.isGoingOn;
  }

  isr(): readonly NodeId[] {
    return this.#members.isr();
  }

  log(): ReplicaLog {
    assert(this.#cutAskedSeq < 0, 'LeaderCore: the log is being cut');
    return {
      endSeq: this.#endSeq,
      endChain: this.#endChain,
      durableSeq: this.#members.self.matchSeq,
      committedSeq: this.#committedSeq,
      firstFrameSeq: this.#firstFrameSeq,
      epochs: this.epochs.entries(),
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
      // Only its leader writes frames of an epoch: we have led it before, and what we wrote then
      // and lost may be on a follower.
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
    const fetch = this.#fetch;
    // A copy that runs is finished first; the members cannot grow any more.
    if (fetch?.from.isLinked && this.#endSeq < fetch.throughSeq) return;
    this.#fetch = undefined;
    if (mode === 'all' || faults?.noRecoveryRead) {
      this.#start();
      return;
    }
    const { set } = this.#members;
    const toHear = recoveryCount(mode, minInsync, set.size);
    const step = nextRecoveryStep(set, toHear, this.epochs, this.#endSeq);
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
    for (const peer of this.#members.peers) {
      if (peer.hello !== undefined && peer.isLinked) this.#answer(peer, peer.hello);
    }
  }

  #answer(peer: Peer, hello: Hello): void {
    this.#streams.answer(peer, hello, this);
    this.#advanceCommit();
    this.#caughtUp(peer);
  }

  #sendFences(): void {
    this.#fencedMs = this.#members.nowMs;
    if (this.#phase !== 'recovering' || this.#config.mode === 'all') return;
    for (const peer of this.#members.peers) {
      if (!peer.isSelf && peer.hello === undefined) this.#fence(peer);
    }
  }

  #fence(peer: Peer): void {
    const { epoch } = this;
    const fence = { epoch, leader: this.#members.self.node, unclean: this.#config.grant.unclean };
    this.#outputs.push({ kind: 'fence', node: peer.node, fence });
  }

  #hasChain(seq: number, chain: number): boolean {
    if (chain < 0) return true;
    const own = this.#chains.at(seq);
    return own < 0 || own === chain;
  }

  // ---- Commit ----------------------------------------------------------------------------------

  #advanceCommit(): void {
    if (this.#epochBeginSeq === 0 || this.#phase === 'resigned') return;
    const seq = this.#members.heldSeq();
    if (seq <= this.#committedSeq) return;
    if (seq < this.#epochBeginSeq && !this.#config.faults?.hwFromStaleEpoch) return;
    assert(seq <= this.#endSeq, 'LeaderCore: commit beyond the end');
    this.#committedSeq = seq;
    this.#committedOutput.fill(this.#outputs).seq = seq;
    this.#dropChains();
    if (this.#phase === 'starting' && seq >= this.#epochBeginSeq) this.#setPhase('active');
    this.#checkMove();
  }

  #dropChains(): void {
    let keepFromSeq = this.#committedSeq;
    for (const peer of this.#members.peers) {
      if (peer.isStreaming && peer.matchSeq < keepFromSeq) keepFromSeq = peer.matchSeq;
    }
    this.#chains.dropThrough(keepFromSeq - 1);
  }

  #caughtUp(peer: Peer): void {
    if (this.#members.markCaughtUp(peer, this.#endSeq)) this.#considerChange();
  }

  #considerChange(): void {
    const isBusy = this.#move.isAsked || this.#phase === 'resigned';
    if (this.#epochBeginSeq === 0 || isBusy) return;
    const holdSeq = Math.max(this.#committedSeq, this.#epochBeginSeq);
    this.#members.considerChange(holdSeq, this.#answeredSeq);
  }

  // ---- The rest --------------------------------------------------------------------------------

  #checkMove(): void {
    if (this.#move.isGoingOn) this.#move.consider(this.#endSeq, this.#committedSeq);
  }

  #resign(reason: ResignReason): void {
    if (this.#phase === 'resigned') return;
    this.#resignReason = reason;
    this.#members.close();
    this.#move.close();
    this.#setPhase('resigned');
    this.#outputs.push({ kind: 'resigned', reason });
  }

  #setPhase(phase: LeaderPhase): void {
    this.#phase = phase;
    this.#outputs.push({ kind: 'phase', phase });
  }

  #alarm(reason: AlarmReason, peer: Peer, seq: number): void {
    this.#outputs.push({ kind: 'alarm', reason, node: peer.node, seq });
  }
}
