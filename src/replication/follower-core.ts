// A replica that follows: obeys the highest epoch it has seen, cuts what the leader does not have,
// takes frames in order, acknowledges what is durable, applies what is committed. Does no IO; the
// shell obeys its outputs in order. Invariants: nothing at or below the committed seq is ever cut;
// the leader's committed seq counts only after both agree where their logs are equal; an epoch
// lower than the promised one gets neither frames in nor acknowledgements out; while a snapshot is
// copied the end is the old end.
//
//   idle -> greeting -> following <-> (gap, new link) greeting
//              |  \-> truncating -> following
//              |  \-> catching-up (segments -> snapshot -> installed) -> greeting
//              \-> quarantined (an alarm was raised; for good)
import { assert } from '../std/assert.ts';
import { EpochTable } from './epoch-table.ts';
import { OutputQueue, ReusedOutput } from './outputs.ts';
import { SeqRing } from './seq-ring.ts';
import type {
  AlarmReason,
  Faults,
  Fence,
  Follower,
  FollowerConfig,
  FollowerOutput,
  FollowerPhase,
  FrameVerdict,
  HelloAnswer,
  InstalledSnapshot,
  LogPosition,
  NodeId,
  ReplicaId,
  ReplicaLog,
  SnapshotOffer,
} from './types.ts';

/** What the disk is doing to the whole log; the position is unsettled until it says so. */
type Surgery = 'none' | 'cut' | 'install' | 'discard';

interface AckOutput {
  readonly kind: 'send-ack';
  to: NodeId;
  epoch: number;
  durableSeq: number;
  chain: number;
}

interface ApplyOutput {
  readonly kind: 'apply';
  throughSeq: number;
}

export class FollowerCore implements Follower {
  readonly logId: number;
  readonly #self: ReplicaId;
  readonly #faults: Faults;
  readonly #outputs = new OutputQueue<FollowerOutput>();
  readonly #ackOutput = new ReusedOutput<AckOutput>(() => ({
    kind: 'send-ack',
    to: 0,
    epoch: 0,
    durableSeq: 0,
    chain: 0,
  }));
  readonly #applyOutput = new ReusedOutput<ApplyOutput>(() => ({ kind: 'apply', throughSeq: 0 }));
  /** Chains of the frames from the durable one to the end. */
  readonly #chains = new SeqRing();
  #epochs: EpochTable;

  #phase: FollowerPhase = 'idle';
  #surgery: Surgery = 'none';
  #surgerySeq = 0;
  #promisedEpoch: number;
  #leader: NodeId | undefined;
  #isUnclean = false;
  #helloNo = 0;
  #endSeq: number;
  #endChain: number;
  #durableSeq: number;
  #committedSeq: number;
  #firstFrameSeq: number;
  /** What the leader of the promised epoch said to be committed, since the logs were compared. */
  #leaderCommittedSeq = 0;

  constructor(config: FollowerConfig) {
    const { log } = config;
    this.logId = config.logId;
    this.#self = config.self;
    this.#faults = config.faults ?? {};
    this.#promisedEpoch = config.promisedEpoch;
    this.#epochs = new EpochTable(log.epochs);
    this.#endSeq = log.endSeq;
    this.#endChain = log.endChain;
    this.#durableSeq = log.durableSeq;
    this.#committedSeq = log.committedSeq;
    this.#firstFrameSeq = log.firstFrameSeq;
    if (log.endSeq > 0) this.#chains.push(log.endSeq, log.endChain);
  }

  get phase(): FollowerPhase {
    return this.#phase;
  }

  get promisedEpoch(): number {
    return this.#promisedEpoch;
  }

  get leader(): NodeId | undefined {
    return this.#leader;
  }

  get isSettled(): boolean {
    return this.#surgery === 'none';
  }

  get endSeq(): number {
    return this.#endSeq;
  }

  get durableSeq(): number {
    return this.#durableSeq;
  }

  get committedSeq(): number {
    return this.#committedSeq;
  }

  // ---- Leader and link -------------------------------------------------------------------------

  follow(fence: Fence): void {
    if (fence.epoch < this.#promisedEpoch) return;
    const isKnown = fence.epoch === this.#promisedEpoch && fence.leader === this.#leader;
    // A repeated fence asks for the hello again; a copy under way goes on.
    if (isKnown && this.#phase !== 'greeting') return;
    this.#promisedEpoch = fence.epoch;
    this.#leader = fence.leader;
    this.#isUnclean = fence.unclean;
    this.#greet();
  }

  linkReady(): void {
    if (this.#phase !== 'idle') this.#greet();
  }

  linkLost(): void {
    if (this.#phase === 'idle' || this.#phase === 'quarantined') return;
    // Answers to earlier hellos do not count any more.
    this.#helloNo += 1;
    this.#leaderCommittedSeq = 0;
    this.#setPhase('greeting');
  }

  helloAnswered(answer: HelloAnswer): void {
    if (this.#phase !== 'greeting' || this.#surgery !== 'none') return;
    if (answer.epoch !== this.#promisedEpoch || answer.helloNo !== this.#helloNo) return;
    switch (answer.kind) {
      case 'refused':
        this.#quarantine('cut-below-committed', answer.cutSeq);
        return;
      case 'discard':
        this.#discard();
        return;
      case 'snapshot':
        this.#setPhase('catching-up');
        this.#outputs.push({
          kind: 'copy-segments',
          from: this.#leader!,
          epoch: this.#promisedEpoch,
        });
        return;
      case 'frames':
        this.#leaderCommittedSeq = answer.committedSeq;
        if (this.#faults.hwFromStaleEpoch) this.#advanceCommitted();
        this.#cutTo(answer.cutSeq);
    }
  }

  // ---- The own log -----------------------------------------------------------------------------

  frame(
    leaderEpoch: number,
    seq: number,
    epoch: number,
    chain: number,
    previousChain: number,
  ): FrameVerdict {
    if (leaderEpoch !== this.#promisedEpoch || this.#phase !== 'following') return 'stale';
    if (seq <= this.#endSeq) return 'duplicate';
    if (seq > this.#endSeq + 1) {
      this.#greet();
      return 'gap';
    }
    const isContinued = previousChain === this.#endChain;
    if (!isContinued || epoch < this.#epochs.latestEpoch || epoch > leaderEpoch) {
      this.#quarantine('chain-mismatch', seq);
      return 'diverged';
    }
    this.#endSeq = seq;
    this.#endChain = chain;
    this.#epochs.append(epoch, seq);
    this.#chains.push(seq, chain);
    if (this.#faults.ackBeforeDurable) this.#ack(seq);
    return 'append';
  }

  durable(seq: number): void {
    if (this.#surgery === 'install' || this.#surgery === 'discard') return;
    // While the log is being cut: what lies above the cut is about to go.
    if (this.#surgery === 'cut') seq = Math.min(seq, this.#surgerySeq);
    if (seq <= this.#durableSeq) return;
    assert(seq <= this.#endSeq, 'FollowerCore: durable beyond the end');
    this.#durableSeq = seq;
    if (this.#phase !== 'following') return;
    this.#ack(seq);
    this.#advanceCommitted();
  }

  leaderCommitted(leaderEpoch: number, seq: number): void {
    if (leaderEpoch !== this.#promisedEpoch || this.#phase !== 'following') return;
    if (seq <= this.#leaderCommittedSeq) return;
    this.#leaderCommittedSeq = seq;
    this.#advanceCommitted();
  }

  truncated(position: LogPosition): void {
    if (this.#surgery !== 'cut') return;
    assert(position.seq === this.#surgerySeq, 'FollowerCore: the log was cut elsewhere', {
      position,
    });
    this.#surgery = 'none';
    this.#epochs.truncateAfter(position.seq);
    this.#moveTo(position, Math.min(this.#durableSeq, position.seq));
    if (this.#phase === 'truncating') this.#follow();
    else this.#sendHello();
  }

  framesReleasedBelow(firstFrameSeq: number): void {
    if (firstFrameSeq <= this.#firstFrameSeq) return;
    this.#firstFrameSeq = firstFrameSeq;
    this.#epochs.pruneBelow(firstFrameSeq - 1);
  }

  // ---- Catch-up: segments, then the snapshot in one step, then frames --------------------------

  segmentsCopied(epoch: number): void {
    if (!this.#isCopying(epoch)) return;
    this.#outputs.push({ kind: 'fetch-snapshot', from: this.#leader!, epoch });
  }

  snapshotOffered(offer: SnapshotOffer): void {
    if (!this.#isCopying(offer.epoch)) return;
    if (offer.seq <= this.#committedSeq) {
      // It would take us back; by now the leader may have frames or a newer one.
      this.#greet();
      return;
    }
    this.#surgery = 'install';
    this.#surgerySeq = offer.seq;
    this.#outputs.push({ kind: 'install-snapshot', seq: offer.seq });
  }

  snapshotInstalled(snapshot: InstalledSnapshot): void {
    if (this.#surgery !== 'install') return;
    assert(snapshot.seq === this.#surgerySeq, 'FollowerCore: another snapshot was installed');
    this.#surgery = 'none';
    this.#epochs = new EpochTable(snapshot.epochs);
    this.#firstFrameSeq = snapshot.seq + 1;
    // Only committed snapshots are offered.
    this.#committedSeq = snapshot.seq;
    this.#moveTo(snapshot, snapshot.seq);
    this.#greet();
  }

  discarded(): void {
    if (this.#surgery !== 'discard') return;
    this.#surgery = 'none';
    this.#epochs = new EpochTable();
    this.#firstFrameSeq = 1;
    this.#committedSeq = 0;
    this.#moveTo({ seq: 0, chain: 0 }, 0);
    this.#greet();
  }

  // ---- Questions -------------------------------------------------------------------------------

  log(): ReplicaLog {
    assert(this.#surgery === 'none', 'FollowerCore: the log is being cut or replaced');
    return {
      endSeq: this.#endSeq,
      endChain: this.#endChain,
      durableSeq: this.#durableSeq,
      committedSeq: this.#committedSeq,
      firstFrameSeq: this.#firstFrameSeq,
      epochs: this.#epochs.entries(),
    };
  }

  take(): readonly FollowerOutput[] {
    this.#ackOutput.turn();
    this.#applyOutput.turn();
    return this.#outputs.take();
  }

  // ---- Inside ----------------------------------------------------------------------------------

  /** Starts over with the leader: it must learn where our log ends before anything counts. */
  #greet(): void {
    if (this.#phase === 'quarantined' || this.#leader === undefined) return;
    this.#leaderCommittedSeq = 0;
    this.#setPhase('greeting');
    // A cut or an installation under way ends first: until then nobody knows the end.
    if (this.#surgery === 'none') this.#sendHello();
  }

  #sendHello(): void {
    if (this.#leader === undefined) return;
    this.#helloNo += 1;
    this.#outputs.push({
      kind: 'send-hello',
      to: this.#leader,
      hello: {
        from: this.#self,
        epoch: this.#promisedEpoch,
        helloNo: this.#helloNo,
        committedSeq: this.#committedSeq,
        endSeq: this.#endSeq,
        durableSeq: this.#durableSeq,
        firstFrameSeq: this.#firstFrameSeq,
        tail: this.#epochs.ends(this.#endSeq),
      },
    });
  }

  #cutTo(cutSeq: number): void {
    if (cutSeq < this.#committedSeq && !this.#faults.truncateBelowCommitted) {
      this.#quarantine('cut-below-committed', cutSeq);
      return;
    }
    if (cutSeq >= this.#endSeq) {
      this.#follow();
      return;
    }
    this.#surgery = 'cut';
    this.#surgerySeq = cutSeq;
    this.#setPhase('truncating');
    this.#outputs.push({ kind: 'truncate', toSeq: cutSeq });
  }

  #follow(): void {
    this.#setPhase('following');
    this.#ack(this.#durableSeq);
    this.#advanceCommitted();
  }

  #discard(): void {
    if (!this.#isUnclean) {
      this.#quarantine('cut-below-committed', 0);
      return;
    }
    this.#surgery = 'discard';
    this.#setPhase('truncating');
    this.#outputs.push({ kind: 'discard-log' });
  }

  #moveTo(position: LogPosition, durableSeq: number): void {
    this.#endSeq = position.seq;
    this.#endChain = position.chain;
    this.#durableSeq = durableSeq;
    this.#chains.clear();
    if (position.seq > 0) this.#chains.push(position.seq, position.chain);
  }

  #ack(durableSeq: number): void {
    const ack = this.#ackOutput.fill(this.#outputs);
    ack.to = this.#leader!;
    ack.epoch = this.#promisedEpoch;
    ack.durableSeq = durableSeq;
    ack.chain = this.#chains.at(durableSeq);
    this.#chains.dropThrough(durableSeq - 1);
  }

  #advanceCommitted(): void {
    const seq = Math.min(this.#leaderCommittedSeq, this.#durableSeq);
    if (seq <= this.#committedSeq) return;
    this.#committedSeq = seq;
    this.#applyOutput.fill(this.#outputs).throughSeq = seq;
  }

  #isCopying(epoch: number): boolean {
    return (
      this.#phase === 'catching-up' && epoch === this.#promisedEpoch && this.#surgery === 'none'
    );
  }

  #quarantine(reason: AlarmReason, seq: number): void {
    this.#outputs.push({ kind: 'alarm', reason, seq });
    this.#setPhase('quarantined');
  }

  #setPhase(phase: FollowerPhase): void {
    if (this.#phase === phase) return;
    this.#phase = phase;
    this.#outputs.push({ kind: 'phase', phase });
  }
}
