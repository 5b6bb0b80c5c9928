// The follower's side of one hosted log: greets the leader, cuts what the leader says, appends its
// frames, acknowledges what is durable and applies what is committed. The rules are in the core; this
// shell obeys. When the store refuses a frame that the core had accepted, the core is made anew from
// what the store really holds, and greets again.
import { FollowerCore } from '../../replication/follower-core.ts';
import type {
  Fence,
  Follower,
  FollowerOutput,
  HelloAnswer,
  ReplicaLog,
} from '../../replication/types.ts';
import { messageOf } from '../../std/errors.ts';
import type { StoredLog } from '../../storage/api.ts';
import { CatchUp } from './catch-up.ts';
import type { LogContext } from './role.ts';
import type { FramesInput } from './wire-frame.ts';

const REFUSED_RETRY_MS = 200;
const LINK_RETRY_MS = 100;

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
  #catchUp: CatchUp | undefined;
  #applying: Promise<void> | undefined;
  #applyThrough = 0;
  #greetAtMs = -1;
  #isStopped = false;

  constructor(context: LogContext, promisedEpoch: number) {
    this.#context = context;
    this.core = this.#newCore(promisedEpoch);
    this.#apply(context.stored.committedSeq);
  }

  #newCore(promisedEpoch: number): Follower {
    const { logId, self, stored } = this.#context;
    return new FollowerCore({ logId, self, log: replicaLogOf(stored), promisedEpoch });
  }

  get epoch(): number {
    return this.core.promisedEpoch;
  }

  get leader(): number | undefined {
    return this.core.leader;
  }

  follow(fence: Fence): void {
    this.core.follow(fence);
    this.core.linkReady();
    this.drain();
  }

  linkLost(): void {
    this.core.linkLost();
    this.drain();
    this.#greetLater(LINK_RETRY_MS);
  }

  helloAnswered(answer: HelloAnswer): void {
    this.core.helloAnswered(answer);
    this.drain();
  }

  frames(input: FramesInput): void {
    const { stored } = this.#context;
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
    }
    this.core.leaderCommitted(input.leaderEpoch, input.committedSeq);
    this.drain();
  }

  #refused(why: string): void {
    const { log, logId } = this.#context;
    log.warn('a replicated frame was refused', { logId, why });
    const leader = this.core.leader;
    const epoch = this.core.promisedEpoch;
    this.core = this.#newCore(epoch);
    if (leader !== undefined) this.core.follow({ epoch, leader, unclean: false });
    this.drain();
    this.#greetLater(REFUSED_RETRY_MS);
  }

  #greetLater(delayMs: number): void {
    this.#greetAtMs = this.#context.nowMs() + delayMs;
    this.#context.markActive();
  }

  leaderCommitted(epoch: number, seq: number): void {
    this.core.leaderCommitted(epoch, seq);
    this.drain();
  }

  localDurable(seq: number): void {
    this.core.durable(seq);
    this.drain();
  }

  /** Answers false when no further tick is needed. */
  tick(nowMs: number): boolean {
    if (this.#greetAtMs >= 0 && nowMs >= this.#greetAtMs) {
      this.#greetAtMs = -1;
      this.core.linkReady();
      this.drain();
      // A greeting that nobody answers (the leader does not know of it yet) is repeated.
      if (this.core.phase === 'greeting') this.#greetLater(LINK_RETRY_MS * 3);
    } else if (this.#greetAtMs < 0 && this.core.phase === 'greeting') {
      this.core.linkLost();
      this.#greetLater(LINK_RETRY_MS);
    }
    return this.#greetAtMs >= 0 || this.core.phase === 'greeting';
  }

  drain(): void {
    for (let outputs = this.core.take(); outputs.length > 0; outputs = this.core.take()) {
      for (const output of outputs) {
        if (this.#isStopped) return;
        this.#act(output);
      }
    }
  }

  #act(output: FollowerOutput): void {
    const { peers, logId, log } = this.#context;
    switch (output.kind) {
      case 'send-hello':
        peers.hello(output.to, logId, output.hello);
        this.#context.markActive();
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
        this.core.discarded();
        return;
      case 'phase':
        if (output.phase === 'greeting') this.#context.markActive();
        if (output.phase === 'quarantined') this.#context.quarantine('histories differ');
        return;
      case 'alarm':
        log.error('replication alarm', { logId, reason: output.reason, seq: output.seq });
        return;
    }
  }

  #truncate(toSeq: number): void {
    const { stored, machine } = this.#context;
    if (stored.truncate(toSeq) !== 'ok') {
      this.#context.quarantine(`asked to cut committed frames above ${toSeq}`);
      return;
    }
    if (machine.appliedSeq > toSeq) machine.reset();
    this.core.truncated({ seq: stored.endSeq, chain: stored.chain });
  }

  // ---- Catch-up: segments, then the snapshot in one step, then frames --------------------------

  #copySegments(from: number, epoch: number): void {
    this.#catchUp?.abort();
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

  #install(): void {
    const catchUp = this.#catchUp;
    if (catchUp === undefined) return;
    catchUp
      .install()
      .then((installed) => {
        if (this.#isStopped || this.#catchUp !== catchUp) return;
        this.#catchUp = undefined;
        this.#context.machine.reset();
        this.core.snapshotInstalled(installed);
        this.drain();
      })
      .catch((error: unknown) => this.#catchUpFailed(catchUp, error));
  }

  #catchUpFailed(catchUp: CatchUp, error: unknown): void {
    catchUp.abort();
    if (this.#isStopped || this.#catchUp !== catchUp) return;
    this.#catchUp = undefined;
    const { log, logId } = this.#context;
    log.warn('catch-up failed, it starts again', { logId, error: messageOf(error) });
    this.linkLost();
  }

  // ---- Applying --------------------------------------------------------------------------------

  #apply(throughSeq: number): void {
    this.#applyThrough = Math.max(this.#applyThrough, throughSeq);
    if (this.#applying !== undefined || this.#catchUp !== undefined) return;
    const { machine } = this.#context;
    try {
      if (machine.applyThrough(this.#applyThrough)) return;
    } catch (error) {
      this.#context.quarantine(`apply threw: ${messageOf(error)}`);
      return;
    }
    this.#applying = machine
      .applyColdThrough(this.#applyThrough)
      .then(() => {
        this.#applying = undefined;
        if (!this.#isStopped && machine.appliedSeq < this.#applyThrough) this.#apply(0);
      })
      .catch((error: unknown) => {
        this.#applying = undefined;
        if (!this.#isStopped) this.#context.quarantine(`apply threw: ${messageOf(error)}`);
      });
  }

  /** Resolves when no background reading of the machine is under way. */
  async settled(): Promise<void> {
    await this.#applying;
  }

  snapshotWanted(): { seq: number; bytes: Uint8Array } | undefined {
    const { machine, stored } = this.#context;
    if (this.#applying !== undefined || machine.appliedSeq === 0) return undefined;
    if (machine.appliedSeq > stored.committedSeq) return undefined;
    return { seq: machine.appliedSeq, bytes: machine.snapshot() };
  }

  stop(): void {
    this.#isStopped = true;
    this.#catchUp?.abort();
    this.#catchUp = undefined;
  }
}
