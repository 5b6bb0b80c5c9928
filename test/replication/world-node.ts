// A node of a walk: a disk and one of the two cores, with a shell that does what the real one must
// do, one operation at a time. Messages leave through `send`; nothing happens between two inputs.
import { FollowerCore } from '../../src/replication/follower-core.ts';
import { LeaderCore } from '../../src/replication/leader-core.ts';
import type {
  CommitMode,
  Faults,
  Fence,
  FollowerOutput,
  Hello,
  HelloAnswer,
  LeaderOutput,
  SafeSetProposal,
} from '../../src/replication/types.ts';
import type { WorldChecker } from './world-checker.ts';
import type { Metadata, Registration } from './world-controller.ts';
import { makeFrame, WorldDisk, type WorldFrame } from './world-disk.ts';

export type Message =
  | { readonly kind: 'fence'; readonly fence: Fence }
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'answer'; readonly answer: HelloAnswer }
  | { readonly kind: 'frame'; readonly epoch: number; readonly frame: WorldFrame }
  | {
      readonly kind: 'ack';
      readonly incarnation: number;
      readonly epoch: number;
      readonly seq: number;
      readonly chain: number;
    }
  | { readonly kind: 'committed'; readonly epoch: number; readonly seq: number }
  | { readonly kind: 'fetch'; readonly epoch: number; readonly from: number; readonly to: number }
  | { readonly kind: 'fetched'; readonly epoch: number; readonly frame: WorldFrame }
  | { readonly kind: 'segments?'; readonly epoch: number }
  | { readonly kind: 'segments'; readonly epoch: number }
  | { readonly kind: 'snapshot?'; readonly epoch: number }
  | { readonly kind: 'snapshot'; readonly epoch: number; readonly frames: readonly WorldFrame[] };

export interface WorldPort {
  readonly mode: CommitMode;
  readonly minInsync: number;
  readonly faults: Faults;
  readonly cutsAtOnce: boolean;
  readonly checker: WorldChecker;
  nowMs(): number;
  metadata(): Metadata;
  nextValue(): number;
  send(from: number, to: number, message: Message): void;
  propose(from: number, proposal: SafeSetProposal): void;
  /** Newest metadata, for the checker only. */
  safeSetNow(): Metadata['set']['safeSet'];
  alarm(what: string): void;
  resigned(epoch: number): void;
}

export class WorldNode {
  readonly node: number;
  readonly disk = new WorldDisk();
  incarnation = 1;
  nodeIncarnation = 1;
  isUp = true;
  metadataSeen = 0;
  leader: LeaderCore | undefined;
  follower: FollowerCore | undefined;
  readonly #port: WorldPort;
  #ledEpoch = 0;
  #offer: readonly WorldFrame[] = [];
  #appliedSeq = 0;
  #waiting: { readonly frame: WorldFrame; readonly level: 'local' | 'committed' }[] = [];

  constructor(node: number, port: WorldPort) {
    this.node = node;
    this.#port = port;
    this.#becomeFollower(0);
  }

  registration(): Registration {
    const { node, incarnation, nodeIncarnation } = this;
    return { node, incarnation, nodeIncarnation, shardIncarnation: 1 };
  }

  crash(): void {
    this.isUp = false;
    this.leader = undefined;
    this.follower = undefined;
    this.#waiting = [];
    this.disk.crash();
  }

  /**
   * Comes back under metadata as new as its registration: that carries the promise over the
   * restart.
   */
  restart(metadata: Metadata): void {
    this.isUp = true;
    this.nodeIncarnation += 1;
    this.#ledEpoch = 0;
    this.#becomeFollower(metadata.grant.epoch);
  }

  learn(metadata: Metadata): void {
    const { leader, follower } = this;
    const { epoch } = metadata.grant;
    leader?.superseded(epoch);
    leader?.liveChanged(metadata.live);
    leader?.replicasChanged(metadata.replicas);
    if (leader?.epoch === epoch) leader.safeSetChanged(metadata.set);
    this.#obey();
    if (metadata.leader === this.node) this.#lead(metadata);
    else if (metadata.leader >= 0 && this.leader === undefined) {
      const fence = { epoch, leader: metadata.leader, unclean: metadata.grant.unclean };
      (follower ?? this.follower)?.follow(fence);
    }
    this.#obey();
  }

  #lead(metadata: Metadata): void {
    const { epoch } = metadata.grant;
    const follower = this.follower;
    if (follower === undefined || !follower.isSettled || epoch <= this.#ledEpoch) return;
    if (epoch < follower.promisedEpoch || follower.phase === 'quarantined') return;
    this.#ledEpoch = epoch;
    this.leader = new LeaderCore({
      logId: 1,
      self: { node: this.node, incarnation: this.incarnation },
      writer: { nodeIncarnation: this.nodeIncarnation, shardIncarnation: 1 },
      grant: metadata.grant,
      replicas: metadata.replicas,
      safeSet: metadata.set.safeSet,
      isr: metadata.set.isr,
      partitionEpoch: metadata.set.partitionEpoch,
      mode: this.#port.mode,
      minInsync: this.#port.minInsync,
      log: follower.log(),
      live: metadata.live,
      nowMs: this.#port.nowMs(),
      limits: { lagTimeMaxMs: 2_000, ownStallMaxMs: 3_000, proposalRetryMs: 500 },
      faults: this.#port.faults,
    });
    this.follower = undefined;
  }

  #becomeFollower(promisedEpoch: number): void {
    const log = this.leader?.log() ?? this.disk.recover();
    this.leader = undefined;
    this.#waiting = [];
    this.#appliedSeq = Math.min(this.#appliedSeq, log.committedSeq);
    this.follower = new FollowerCore({
      logId: 1,
      self: { node: this.node, incarnation: this.incarnation },
      log,
      promisedEpoch,
      faults: this.#port.faults,
    });
  }

  // ---- What may happen -------------------------------------------------------------------------

  tick(nowMs: number): void {
    this.leader?.tick(nowMs);
    this.#obey();
  }

  completeWrite(): void {
    const done = this.disk.complete();
    if (done === undefined || done.kind === 'silent') return;
    if (done.kind === 'durable') {
      this.leader?.localDurable(done.seq);
      this.follower?.durable(done.seq);
    } else if (done.kind === 'cut') {
      this.leader?.selfTruncated({ seq: done.seq, chain: done.chain });
      this.follower?.truncated({ seq: done.seq, chain: done.chain });
    } else {
      this.#appliedSeq = done.seq;
      const installed = { seq: done.seq, chain: done.chain, epochs: this.disk.epochs() };
      this.follower?.snapshotInstalled(installed);
    }
    this.#obey();
  }

  append(level: 'local' | 'committed'): void {
    const { leader } = this;
    if (!leader?.canAppend() || (level === 'committed' && !leader.canAcceptAll())) return;
    const frame = this.#write(leader);
    this.#waiting.push({ frame, level });
    this.#obey();
  }

  /** Streams some frames and the committed seq to one follower. */
  pump(to: number, framesMax: number): void {
    const { leader } = this;
    const progress = leader?.progress(to);
    if (leader === undefined || !progress?.isStreaming) return;
    for (let i = 0; i < framesMax && progress.nextSeq <= leader.endSeq; i += 1) {
      const frame = this.disk.frames[progress.nextSeq - 1]!;
      this.#port.send(this.node, to, { kind: 'frame', epoch: leader.epoch, frame });
      leader.sent(to, frame.seq);
    }
    const seq = leader.committedToSend(to);
    if (seq < 0) return;
    this.#port.send(this.node, to, { kind: 'committed', epoch: leader.epoch, seq });
    leader.committedSent(to, seq);
  }

  /** Writes the committed seq down and lets go of frames that a snapshot covers. */
  checkpoint(release: boolean): void {
    const core = this.leader ?? this.follower;
    // A cut or an installation under way owns the position.
    if (core === undefined || !this.disk.isIdle) return;
    this.disk.committedSeq = Math.min(core.committedSeq, this.disk.durable.length);
    if (!release) return;
    this.disk.firstFrameSeq = Math.max(this.disk.firstFrameSeq, this.disk.committedSeq + 1);
    core.framesReleasedBelow(this.disk.firstFrameSeq);
  }

  linkLost(peer: number): void {
    this.leader?.followerLost(peer);
    if (this.follower?.leader === peer) this.follower.linkLost();
    this.#obey();
  }

  linkReady(peer: number): void {
    if (this.follower?.leader === peer) this.follower.linkReady();
    this.#obey();
  }

  rejected(attempt: number, current: Metadata['set']): void {
    this.leader?.safeSetRejected(attempt, current);
    this.#obey();
  }

  receive(from: number, message: Message): void {
    if (this.leader !== undefined) this.#receiveAsLeader(this.leader, from, message);
    else if (this.follower !== undefined) this.#receiveAsFollower(this.follower, from, message);
    this.#obey();
  }

  #receiveAsLeader(leader: LeaderCore, from: number, message: Message): void {
    if (message.kind === 'hello') leader.hello(message.hello);
    else if (message.kind === 'ack') {
      leader.ack(from, message.incarnation, message.epoch, message.seq, message.chain);
    } else if (message.kind === 'fence') {
      leader.superseded(message.fence.epoch);
      this.#obey();
      this.follower?.follow(message.fence);
    } else if (message.kind === 'fetched') this.#fetched(leader, message.epoch, message.frame);
    else if (message.kind === 'segments?' && message.epoch === leader.epoch) {
      this.#port.send(this.node, from, { kind: 'segments', epoch: leader.epoch });
    } else if (message.kind === 'snapshot?' && message.epoch === leader.epoch) {
      const frames = this.disk.frames.slice(0, leader.committedSeq);
      this.#port.send(this.node, from, { kind: 'snapshot', epoch: leader.epoch, frames });
    }
  }

  #fetched(leader: LeaderCore, epoch: number, frame: WorldFrame): void {
    if (leader.epoch !== epoch || leader.phase !== 'recovering') return;
    if (!leader.isSettled) return;
    const end = this.disk.end;
    if (frame.seq !== leader.endSeq + 1 || frame.previousChain !== (end?.chain ?? 0)) return;
    this.disk.append(frame);
    leader.appended(frame.seq, frame.epoch, frame.chain);
  }

  #receiveAsFollower(follower: FollowerCore, from: number, message: Message): void {
    if (message.kind === 'fence') {
      // The same epoch again means that the leader lost us: greet anew.
      if (message.fence.epoch === follower.promisedEpoch) follower.linkLost();
      follower.follow(message.fence);
    } else if (message.kind === 'answer') follower.helloAnswered(message.answer);
    else if (message.kind === 'committed') follower.leaderCommitted(message.epoch, message.seq);
    else if (message.kind === 'frame') {
      const { seq, epoch, chain, previousChain } = message.frame;
      const verdict = follower.frame(message.epoch, seq, epoch, chain, previousChain);
      if (verdict === 'append') this.disk.append(message.frame);
    } else if (message.kind === 'fetch') {
      if (follower.promisedEpoch !== message.epoch || !follower.isSettled) return;
      for (let seq = message.from; seq <= message.to; seq += 1) {
        const frame = this.disk.durable[seq - 1];
        if (frame === undefined) return;
        this.#port.send(this.node, from, { kind: 'fetched', epoch: message.epoch, frame });
      }
    } else if (message.kind === 'segments') follower.segmentsCopied(message.epoch);
    else if (message.kind === 'snapshot') {
      this.#offer = message.frames;
      follower.snapshotOffered({ epoch: message.epoch, seq: message.frames.length });
    }
  }

  // ---- The shell: obeys the outputs in order ---------------------------------------------------

  #obey(): void {
    for (;;) {
      const { leader, follower } = this;
      const forLeader = leader?.take() ?? [];
      for (const output of forLeader) this.#obeyLeader(leader!, output);
      const forFollower = follower?.take() ?? [];
      for (const output of forFollower) this.#obeyFollower(follower!, output);
      if (leader?.phase === 'resigned' && leader.isSettled) this.#becomeFollower(leader.epoch);
      else if (forLeader.length + forFollower.length === 0) return;
    }
  }

  #write(leader: LeaderCore): WorldFrame {
    const frame = makeFrame(this.disk.end, leader.epoch, this.#port.nextValue());
    this.#port.checker.written(this.node, `${this.node}/${this.nodeIncarnation}`, frame);
    this.disk.append(frame);
    leader.appended(frame.seq, frame.epoch, frame.chain);
    return frame;
  }

  #cut(toSeq: number): void {
    this.#port.checker.cuts(this, toSeq, this.#port.safeSetNow());
    if (!this.#port.cutsAtOnce) {
      this.disk.cut(toSeq);
      return;
    }
    this.disk.cutAtOnce(toSeq);
    const position = { seq: toSeq, chain: this.disk.end?.chain ?? 0 };
    this.leader?.selfTruncated(position);
    this.follower?.truncated(position);
  }

  #obeyLeader(leader: LeaderCore, output: LeaderOutput): void {
    const { checker } = this.#port;
    switch (output.kind) {
      case 'fence':
        this.#port.send(this.node, output.node, { kind: 'fence', fence: output.fence });
        return;
      case 'truncate-self':
        this.#cut(output.toSeq);
        return;
      case 'fetch-missing': {
        const { fromSeq: from, throughSeq: to } = output;
        this.#port.send(this.node, output.node, { kind: 'fetch', epoch: leader.epoch, from, to });
        return;
      }
      case 'append-epoch-begin':
        checker.began(this.node, leader.epoch, this.disk.frames);
        this.#write(leader);
        return;
      case 'committed':
        checker.announced(leader.epoch, output.seq, this.disk.frames);
        return;
      case 'hello-answer':
        this.#port.send(this.node, output.node, { kind: 'answer', answer: output.answer });
        return;
      case 'propose-safe-set':
        this.#port.propose(this.node, output.proposal);
        return;
      case 'resigned':
        this.#port.resigned(leader.epoch);
        return;
      case 'alarm':
        this.#port.alarm(`leader ${this.node}: ${output.reason}`);
        return;
      default:
        return;
    }
  }

  #obeyFollower(follower: FollowerCore, output: FollowerOutput): void {
    const { node } = this;
    const { checker } = this.#port;
    switch (output.kind) {
      case 'send-hello':
        this.#port.send(node, output.to, { kind: 'hello', hello: output.hello });
        return;
      case 'truncate':
        this.#cut(output.toSeq);
        return;
      case 'send-ack': {
        const { epoch, durableSeq: seq, chain } = output;
        const { incarnation } = this;
        this.#port.send(node, output.to, { kind: 'ack', incarnation, epoch, seq, chain });
        return;
      }
      case 'apply':
        checker.applied(node, this.#appliedSeq + 1, output.throughSeq, this.disk.frames);
        this.#appliedSeq = output.throughSeq;
        return;
      case 'copy-segments':
        this.#port.send(node, output.from, { kind: 'segments?', epoch: output.epoch });
        return;
      case 'fetch-snapshot':
        this.#port.send(node, output.from, { kind: 'snapshot?', epoch: output.epoch });
        return;
      case 'install-snapshot':
        this.disk.install(this.#offer);
        return;
      case 'alarm':
        this.#port.alarm(`follower ${node} at ${follower.endSeq}: ${output.reason}`);
        return;
      default:
        return;
    }
  }

  /** Answers the clients whose frames have reached their level. */
  answer(): void {
    const { leader } = this;
    if (leader === undefined) return;
    this.#waiting = this.#waiting.filter(({ frame, level }) => {
      if (!leader.hasReached(frame.seq, level)) return true;
      if (level === 'committed') this.#port.checker.answeredCommitted(frame);
      else this.#port.checker.answeredLocal(this, frame);
      return false;
    });
  }
}
