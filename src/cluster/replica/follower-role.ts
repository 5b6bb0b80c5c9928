// The follower's side of one hosted log: greets the leader, cuts what the leader says, appends its
// frames, acknowledges what is durable and applies what is committed. The rules are in the core; this
// shell obeys. When the store refuses a frame that the core had accepted, the core is made anew from
// what the store really holds, and greets again when there is room, or later and later.
import { FollowerCore } from '../../replication/follower-core.ts';
import type {
  Fence,
  Follower,
  FollowerOutput,
  FollowerPhase,
  HelloAnswer,
  ReplicaLog,
} from '../../replication/types.ts';
import { messageOf } from '../../std/errors.ts';
import type { StoredLog } from '../../storage/api.ts';
import { CatchUp, startOver } from './catch-up.ts';
import { EARLY_BYTES_MAX } from './durability.ts';
import { DAMAGED } from './loss.ts';
import type { LogContext } from './role.ts';
import type { Discarded } from './unclean.ts';
import type { FramesInput } from './wire-frame.ts';

/** First wait for the answer to a hello, or before the next one; doubled at each repetition. */
const GREET_MIN_MS = 200;
const GREET_MAX_MS = 5_000;

const NOTHING: ReplicaLog = {
  endSeq: 0,
  endChain: 0,
  durableSeq: 0,
  committedSeq: 0,
  firstFrameSeq: 1,
  epochs: [],
};

/** What a core continues from, as the store has it. */
export function replicaLogOf(stored: StoredLog): ReplicaLog {
  return {
    endSeq: stored.endSeq,
    endChain: stored.chain,
    durableSeq: stored.durableSeq,
    committedSeq: stored.committedSeq,
    firstFrameSeq: stored.firstSeq,
    epochs: [...stored.epochEntries()],
  };
}

export class FollowerRole {
  readonly kind = 'follower';
  core: Follower;
  readonly #context: LogContext;
  /** The last order to follow that was obeyed. */
  #fence: Fence | undefined;
  #catchUp: CatchUp | undefined;
  #applying: Promise<void> | undefined;
  #applyThrough = 0;
  /** An installation or a new beginning: the store is being rewritten. */
  #surgery: Promise<void> | undefined;
  /** The one that makes a damaged replica anew is under way: nobody is followed meanwhile. */
  #isReplacing = false;
  /** When the next hello is due, or -1. */
  #greetAtMs = -1;
  #greetDelayMs = GREET_MIN_MS;
  /** The same after a frame that the store refused; only a frame that it took makes it short again. */
  #refusedDelayMs = GREET_MIN_MS;
  #waitsForRoom = false;
  /** What was here before an unclean election, until it is known what of it is lost. */
  #discarded: Discarded | undefined;
  #isStopped = false;

  constructor(context: LogContext, promisedEpoch: number) {
    this.#context = context;
    this.core = this.#newCore(promisedEpoch);
  }

  /** Applies what recovery knows to be committed. */
  start(): void {
    if (!this.#isLossy) this.#apply(this.#context.stored.committedSeq);
  }

  #newCore(promisedEpoch: number): Follower {
    const { logId, self, stored, faults } = this.#context;
    const log = this.#isLossy ? NOTHING : replicaLogOf(stored);
    const config = { logId, self, log, promisedEpoch };
    return new FollowerCore(faults === undefined ? config : { ...config, faults });
  }

  /** What is on disk is not all that was acknowledged: until it is replaced it counts for nothing. */
  get #isLossy(): boolean {
    return this.#context.stored.needsRepair;
  }

  get epoch(): number {
    return this.core.promisedEpoch;
  }

  get leader(): number | undefined {
    return this.core.leader;
  }

  /** What is here is of the leader's history, and nothing of it is being rewritten. */
  get isFollowing(): boolean {
    return this.core.phase === 'following' && this.#surgery === undefined;
  }

  // ---- The leader and the way to it --------------------------------------------------------------

  follow(fence: Fence): void {
    if (fence.epoch < this.core.promisedEpoch) return;
    const isNew = fence.epoch > this.core.promisedEpoch || fence.leader !== this.#fence?.leader;
    this.#fence = fence;
    if (this.#isReplacing) return;
    if (isNew) this.#greetDelayMs = GREET_MIN_MS;
    else if (this.#waitsForRoom) return;
    this.#waitsForRoom = false;
    this.#releaseFrames();
    this.core.follow(fence);
    this.drain();
  }

  /** What the leader sent meanwhile may be lost: greet again, soon. */
  linkLost(): void {
    this.core.linkLost();
    this.drain();
    this.#greetLater();
  }

  helloAnswered(answer: HelloAnswer): void {
    this.core.helloAnswered(answer);
    this.drain();
  }

  /** Greets anew; waits longer each time, so that a slow leader gets to answer one of them. */
  #greet(): void {
    this.#greetAtMs = -1;
    if (this.#isReplacing) return;
    this.#waitsForRoom = false;
    this.#releaseFrames();
    if (this.#fence !== undefined) this.core.follow(this.#fence);
    // `follow` greets where the leader was not known, or nobody answered yet.
    this.drain();
  }

  #greetLater(): void {
    this.#greetAtMs = this.#context.nowMs() + this.#greetDelayMs;
    this.#greetDelayMs = Math.min(GREET_MAX_MS, 2 * this.#greetDelayMs);
    this.#context.markActive();
  }

  /** The store has room again. */
  roomMade(): void {
    if (this.#waitsForRoom) this.#greet();
  }

  // ---- Frames ------------------------------------------------------------------------------------

  frames(input: FramesInput): void {
    const { stored } = this.#context;
    const { endSeq } = stored;
    let previousChain = input.previousChain;
    for (const frame of input.frames) {
      const { seq, epoch, chain } = frame;
      const verdict = this.core.frame(input.leaderEpoch, seq, epoch, chain, previousChain);
      previousChain = chain;
      if (verdict === 'duplicate') continue;
      if (verdict !== 'append') break;
      const taken = stored.appendReplica(frame, frame.events, frame.batch, true);
      if (taken !== 'ok') {
        this.#refused(taken);
        return;
      }
      this.#refusedDelayMs = GREET_MIN_MS;
    }
    this.#context.frameClock?.look();
    this.core.leaderCommitted(input.leaderEpoch, input.committedSeq);
    this.drain();
    if (stored.endSeq > endSeq) this.#tellReceived();
  }

  /**
   * Whose answers wait for receivers is told before anything is durable here, unless too much is unwritten: then the
   * acknowledgement says it, and a sender is no faster than the slowest disk for long.
   */
  #tellReceived(): void {
    const { peers, logId, store } = this.#context;
    const { leader, phase, promisedEpoch, endSeq } = this.core;
    if (this.#context.durability() !== 'replicated' || this.#isStopped) return;
    if (store.unwrittenBytes > EARLY_BYTES_MAX) return;
    if (phase === 'following' && leader !== undefined) {
      peers.received(leader, logId, promisedEpoch, endSeq);
    }
  }

  /** The core counts a frame that is not there: a new one begins with what is, and greets later. */
  #refused(why: string): void {
    const { log, logId, stored } = this.#context;
    if (stored.needsRepair) {
      this.#context.quarantine(DAMAGED);
      return;
    }
    const isPassing = why === 'full' || why === 'pinned' || why === 'no-space';
    if (isPassing) log.debug('a replicated frame waits for room', { logId, why });
    else log.warn('a replicated frame was refused', { logId, why });
    // Outputs of the old core (an acknowledgement, something committed) count as before.
    this.drain();
    if (this.#isStopped) return;
    this.core = this.#newCore(this.core.promisedEpoch);
    this.#waitsForRoom = true;
    this.#greetAtMs = this.#context.nowMs() + this.#refusedDelayMs;
    this.#refusedDelayMs = Math.min(GREET_MAX_MS, 2 * this.#refusedDelayMs);
    this.#context.markActive();
  }

  leaderCommitted(epoch: number, seq: number): void {
    this.core.leaderCommitted(epoch, seq);
    this.drain();
  }

  localDurable(seq: number): void {
    if (this.#isLossy) return;
    this.core.durable(seq);
    this.drain();
  }

  /** Answers false when no further tick is needed. */
  tick(nowMs: number): boolean {
    if (this.#greetAtMs >= 0 && nowMs >= this.#greetAtMs) this.#greet();
    return this.#greetAtMs >= 0;
  }

  #releaseFrames(): void {
    this.core.framesReleasedBelow(this.#context.stored.firstSeq);
  }

  // ---- Outputs of the core -----------------------------------------------------------------------

  drain(): void {
    const { core } = this;
    for (let outputs = core.take(); outputs.length > 0; outputs = core.take()) {
      for (const output of outputs) {
        if (this.#isStopped || this.core !== core) return;
        this.#act(output);
      }
    }
  }

  #act(output: FollowerOutput): void {
    const { peers, logId, log } = this.#context;
    switch (output.kind) {
      case 'send-hello':
        peers.hello(output.to, logId, output.hello);
        // Nobody may answer: the leader does not know of it yet, or the link ends.
        this.#greetLater();
        return;
      case 'truncate':
        this.#truncate(output.toSeq);
        return;
      case 'send-ack':
        peers.ack(output.to, logId, output.epoch, output.durableSeq, output.chain);
        return;
      case 'apply':
        this.#context.stored.setCommitted(output.throughSeq);
        this.#apply(output.throughSeq);
        this.#context.retentionMoved();
        return;
      case 'copy-segments':
        this.#copySegments(output.from, output.epoch);
        return;
      case 'fetch-snapshot':
        this.#catchUp?.offer(this.core);
        return;
      case 'install-snapshot':
        this.#install();
        return;
      case 'discard-log':
        log.warn('unclean election: this replica starts over', { logId });
        this.#discarded = this.#context.uncleanLosses.discarding(
          this.#context.machine,
          this.#context.stored.endOffset,
        );
        this.#discard();
        return;
      case 'phase':
        this.#phaseChanged(output.phase);
        return;
      case 'alarm':
        log.error('replication alarm', { logId, reason: output.reason, seq: output.seq });
        return;
    }
  }

  #phaseChanged(phase: FollowerPhase): void {
    if (phase === 'following' && this.#isLossy) {
      this.#replaceAll();
      return;
    }
    // A copy that the core does not wait for any more holds segments and blocks the next one.
    if (phase !== 'catching-up' && this.#surgery === undefined) this.#dropCatchUp();
    if (phase !== 'greeting') this.#greetAtMs = -1;
    // What commits elsewhere is not heard of here: who waits looks for another replica.
    if (phase !== 'following') this.#context.waiters.tellAll();
    if (phase === 'following') {
      this.#greetDelayMs = GREET_MIN_MS;
      this.#apply(0);
      this.#tellReceived();
    }
    if (phase === 'quarantined') this.#context.quarantine('histories differ');
  }

  #truncate(toSeq: number): void {
    const { stored, machine, uncleanLosses, logId } = this.#context;
    const toOffset = stored.endOffset;
    if (stored.truncate(toSeq) !== 'ok') {
      this.#context.quarantine(`asked to cut committed frames above ${toSeq}`);
      return;
    }
    if (this.#fence?.unclean === true && stored.endOffset < toOffset) {
      const fromOffset = stored.endOffset;
      uncleanLosses.lost(logId, { fromOffset, committedTo: fromOffset, toOffset });
    }
    if (machine.appliedSeq > toSeq) machine.reset();
    this.core.truncated({ seq: stored.endSeq, chain: stored.chain });
  }

  // ---- Catch-up: segments, then the snapshot in one step, then frames --------------------------

  #copySegments(from: number, epoch: number): void {
    this.#dropCatchUp();
    const catchUp = new CatchUp(this.#context, from, epoch);
    this.#catchUp = catchUp;
    catchUp
      .copySegments()
      .then(() => {
        if (this.#isStopped || this.#catchUp !== catchUp) return;
        this.core.segmentsCopied(epoch);
        this.drain();
      })
      .catch((error: unknown) => this.#catchUpFailed(catchUp, error));
  }

  #dropCatchUp(): void {
    const catchUp = this.#catchUp;
    this.#catchUp = undefined;
    catchUp?.abort();
  }

  #install(): void {
    const catchUp = this.#catchUp;
    if (catchUp === undefined) return;
    this.#operate(catchUp, async () => {
      const installed = await catchUp.install();
      this.#catchUp = undefined;
      return () => this.core.snapshotInstalled(installed);
    });
  }

  /** The leader has every frame: what is left here goes, and they come from the first on. */
  #replaceAll(): void {
    const { log, logId } = this.#context;
    log.warn('a damaged replica starts over', { logId });
    // Frames that come meanwhile find a core that follows nobody.
    this.core = this.#newCore(this.core.promisedEpoch);
    this.#isReplacing = true;
    this.#applyThrough = 0;
    this.#operate(undefined, async () => {
      await startOver(this.#context);
      return () => {
        this.#isReplacing = false;
        this.core = this.#newCore(this.core.promisedEpoch);
        this.#greet();
      };
    });
  }

  #discard(): void {
    this.#dropCatchUp();
    this.#applyThrough = 0;
    this.#operate(undefined, async () => {
      await startOver(this.#context);
      return () => this.core.discarded();
    });
  }

  /** The log is rewritten as a whole; what it was applied to begins anew from what is stored then. */
  #operate(catchUp: CatchUp | undefined, work: () => Promise<() => void>): void {
    const surgery = (this.#applying ?? Promise.resolve())
      .then(work)
      .then((done) => {
        this.#surgery = undefined;
        this.#guard('the installed state cannot be read', () => {
          // Also when the role is over: the next one goes on with this machine.
          this.#context.machine.reset();
          if (this.#isStopped) return;
          done();
          this.drain();
        });
      })
      .catch((error: unknown) => {
        this.#surgery = undefined;
        this.#catchUpFailed(catchUp, error);
      });
    this.#surgery = surgery;
  }

  #catchUpFailed(catchUp: CatchUp | undefined, error: unknown): void {
    catchUp?.abort();
    this.#isReplacing = false;
    if (this.#isStopped || this.#catchUp !== catchUp) return;
    this.#catchUp = undefined;
    const { log, logId } = this.#context;
    log.warn('catch-up failed, it starts again', { logId, error: messageOf(error) });
    this.#guard('catch-up', () => {
      // A core that waits for the end of an installation would wait for ever.
      if (!this.core.isSettled) this.core = this.#newCore(this.core.promisedEpoch);
      this.linkLost();
    });
  }

  #guard(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#context.quarantine(`${what}: ${messageOf(error)}`);
    }
  }

  // ---- Applying --------------------------------------------------------------------------------

  #apply(throughSeq: number): void {
    this.#applyThrough = Math.max(this.#applyThrough, throughSeq);
    if (this.#applying !== undefined || this.#catchUp !== undefined) return;
    if (this.#surgery !== undefined) return;
    const { machine } = this.#context;
    try {
      if (machine.applyThrough(this.#applyThrough)) {
        this.#applied();
        return;
      }
    } catch (error) {
      this.#context.quarantine(`apply threw: ${messageOf(error)}`);
      return;
    }
    this.#applying = machine
      .applyColdThrough(this.#applyThrough)
      .then(() => {
        this.#applying = undefined;
        this.#applied();
        if (!this.#isStopped && machine.appliedSeq < this.#applyThrough) this.#apply(0);
      })
      .catch((error: unknown) => {
        this.#applying = undefined;
        if (!this.#isStopped) this.#context.quarantine(`apply threw: ${messageOf(error)}`);
      });
  }

  #applied(): void {
    const { machine, waiters, uncleanLosses, logId } = this.#context;
    waiters.advance(machine.appliedOffset);
    const discarded = this.#discarded;
    if (discarded === undefined || machine.epochs.latestEpoch <= discarded.lastEpoch) return;
    this.#discarded = undefined;
    uncleanLosses.replaced(logId, discarded, machine);
  }

  /** Resolves when nothing of this role touches the store or the machine any more. */
  async settled(): Promise<void> {
    await this.#applying;
    await this.#surgery;
  }

  snapshotWanted(): { seq: number; bytes: Uint8Array } | undefined {
    const { machine, stored } = this.#context;
    if (this.#isLossy) return undefined;
    if (this.#applying !== undefined || this.#surgery !== undefined) return undefined;
    if (machine.appliedSeq === 0 || machine.appliedSeq > stored.committedSeq) return undefined;
    return { seq: machine.appliedSeq, bytes: machine.snapshot() };
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#surgery === undefined) this.#dropCatchUp();
  }
}
