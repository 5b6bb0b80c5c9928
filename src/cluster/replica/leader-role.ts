// The leader's side of one hosted log: decides and appends on the tip, streams frames to followers
// under credit, and lets replies go when the core says that their frame is safe. All rules about
// safety are in the core (src/replication); this shell obeys its outputs in their order.
import type {
  AnyDurableBehavior,
  Decision,
  DurableCommand,
  LogPosition,
} from '../../actors/durable/behavior.ts';
import { BATCH_HEADER_BYTES, recordCount, stampBatch } from '../../records/batch.ts';
import { LeaderCore } from '../../replication/leader-core.ts';
import type { Hello, Leader, LeaderConfig, LeaderOutput } from '../../replication/types.ts';
import { messageOf } from '../../std/errors.ts';
import type { LogResult, TrimInput } from '../ports.ts';
import { DueAnswers } from './due-answers.ts';
import { Forgetful } from './forgetful.ts';
import { FrameSender } from './frame-sender.ts';
import { encodeEpochBegin, encodeLogStart, NO_EVENTS } from './host-events.ts';
import { LeaderRetention, type Retainer } from './leader-retention.ts';
import { LogClock } from './log-clock.ts';
import { LogStart } from './log-start.ts';
import { copyMissing } from './recovery-copy.ts';
import { type AppendRequest, checkEpoch, type LogContext } from './role.ts';
import { Tip } from './tip.ts';
import { TipSnapshot } from './tip-snapshot.ts';

/** Decisions of a behavior in one tick. */
const TICKS_MAX = 256;

export class LeaderRole implements Retainer {
  readonly kind = 'leader';
  readonly core: Leader;
  /** The last alarm about a follower; the log has it too. */
  alarm: string | undefined;
  readonly #context: LogContext;
  readonly #answers: DueAnswers;
  readonly #sender: FrameSender;
  readonly #logStart = new LogStart();
  readonly #clock: LogClock;
  readonly #tip: Tip;
  readonly retention: LeaderRetention;
  /** The behavior's soft state; undefined until the epoch is active. */
  #soft: { readonly value: unknown } | undefined;
  /** The committed seq has moved and the behavior has not been told. */
  #owesCommitted = false;
  readonly #snapshot: TipSnapshot;
  #isCold = false;
  /** The store had no room for the epoch-begin. */
  #owesEpochBegin = false;
  #isStopped = false;
  readonly #forgetful: Forgetful;
  /** What others had behind the beginning of this epoch may be lost. */
  readonly isUnclean: boolean;

  constructor(context: LogContext, config: LeaderConfig) {
    this.#context = context;
    this.core = new LeaderCore(config);
    this.isUnclean = config.grant.unclean;
    this.#clock = new LogClock(context);
    this.#tip = new Tip(context, this.core, this.#clock);
    this.#snapshot = new TipSnapshot(context);
    this.#forgetful = new Forgetful(context);
    this.retention = new LeaderRetention(context, this);
    this.#answers = new DueAnswers(context, this.core);
    this.#sender = new FrameSender(context, this.core, config.grant.unclean);
  }

  /** Obeys the core's first outputs; the role may end itself here. */
  start(): void {
    this.#context.markActive();
    this.drain();
  }

  get epoch(): number {
    return this.core.epoch;
  }

  get canAppend(): boolean {
    return this.core.canAppend();
  }

  get isActive(): boolean {
    return this.core.phase === 'active' && this.#soft !== undefined;
  }

  /** A planned move holds what would append. */
  get isHolding(): boolean {
    return this.isActive && !this.core.canAppend();
  }

  get canDecide(): boolean {
    return this.isActive && this.core.canAppend();
  }

  committedOffset(): number {
    const { stored } = this.#context;
    return stored.offsetAt(this.core.committedSeq) ?? stored.startOffset;
  }

  logTimeMs(): number {
    return this.#clock.timeMs();
  }

  position(): LogPosition {
    const { machine } = this.#context;
    return {
      logId: this.#context.logId,
      epoch: this.core.epoch,
      logTimeMs: this.logTimeMs(),
      endOffset: machine.appliedOffset,
      committedOffset: this.committedOffset(),
      startOffset: machine.startOffset,
      endSeq: this.#context.stored.endSeq,
      committedSeq: this.core.committedSeq,
    };
  }

  // ---- Deciding -------------------------------------------------------------------------------

  append(request: AppendRequest): void {
    let result: LogResult = 'storage-error';
    try {
      result = this.#tryAppend(request);
    } finally {
      // Also when a behavior threw: the log is quarantined by the caller.
      if (result !== 'ok') this.#refuseAppend(request, result);
    }
    if (result === 'ok') this.drain();
  }

  #refuseAppend({ token, replyTo }: AppendRequest, result: LogResult): void {
    const { startOffset } = this.#context.stored;
    const leaderEpoch = this.core.epoch;
    const input = { token, result, baseOffset: -1, startOffset, leaderEpoch };
    this.#context.replies.appended(replyTo, input);
  }

  #tryAppend(request: AppendRequest): LogResult {
    const { machine, behavior } = this.#context;
    if (!this.isActive || this.#soft === undefined) return 'not-available';
    if (!this.core.canAppend()) return 'not-leader';
    const believed = checkEpoch(request.epoch, this.core.epoch);
    if (believed !== 'ok') return believed;
    const { level } = request;
    const asksAll = level === 'committed' || level === 'stored';
    if (asksAll && !this.core.canAcceptAll()) return 'not-enough-replicas';
    const { batch } = request;
    if (behavior.admit === undefined) return 'unsupported';
    if (batch.length < BATCH_HEADER_BYTES || recordCount(batch, 0) < 1) return 'corrupt';
    const refused = behavior.admit(machine.state, this.#soft.value, batch, this.position());
    if (refused !== undefined) return refused;
    const baseOffset = machine.appliedOffset;
    stampBatch(batch, 0, baseOffset, this.core.epoch);
    if (this.#forgetful.forgets()) {
      this.#answers.append({ ...request, level: 'local' }, 0, baseOffset);
      return 'ok';
    }
    const seq = this.#tip.decided(undefined, -1, batch, level !== 'none');
    if (typeof seq !== 'number') return seq;
    this.#answers.append(request, seq, baseOffset);
    return 'ok';
  }

  command(command: DurableCommand): LogResult {
    if (!this.canDecide || this.#soft === undefined) return 'not-available';
    const { behavior, machine } = this.#context;
    const position = this.position();
    this.#obey(behavior.decide(machine.state, this.#soft.value, command, position));
    // Answers may wait for a tick of the behavior, or for a deadline.
    this.#context.markActive();
    return 'ok';
  }

  /** How long until the behavior wants to be ticked; undefined if it does not. Log time goes as fast as ours. */
  behaviorDueInMs(): number | undefined {
    if (this.#soft === undefined) return undefined;
    const { behavior, machine } = this.#context;
    const dueMs = behavior.nextDueMs(machine.state, this.#soft.value);
    return dueMs === undefined ? undefined : Math.max(0, dueMs - this.logTimeMs());
  }

  /** If something of the behavior is due. */
  tickBehavior(): void {
    const { behavior, machine } = this.#context;
    for (let i = 0; i < TICKS_MAX; i += 1) {
      if (!this.canDecide || this.#soft === undefined || this.behaviorDueInMs() !== 0) return;
      const decision = behavior.tick(machine.state, this.#soft.value, this.position());
      const isTaken = this.#obey(decision);
      // What has no room now is decided anew in the next tick.
      if (!isTaken || decision.isMoreDue !== true) return;
    }
  }

  /** Whoever waits inside the behavior for what is committed now goes on. */
  tellCommitted(): void {
    if (!this.#owesCommitted || !this.canDecide || this.#soft === undefined) return;
    this.#owesCommitted = false;
    const { behavior, machine } = this.#context;
    const decision = behavior.committed?.(machine.state, this.#soft.value, this.position());
    if (decision === undefined) return;
    this.#obey(decision);
    // Something may be due sooner than before.
    this.#context.markActive();
  }

  /** Answers whether its frame was taken, if it has one. */
  #obey(decision: Decision): boolean {
    const { behavior } = this.#context;
    const { replies, releaseBelow, isReleaseDue = true } = decision;
    let seq = this.#context.stored.endSeq;
    if (releaseBelow !== undefined) {
      this.#logStart.want(releaseBelow, seq, isReleaseDue);
      // Without a frame of its own no commit follows that would have the start moved.
      if (isReleaseDue) this.#context.markDirty();
    }
    let refused: LogResult | undefined;
    if (decision.events !== undefined || decision.batch !== undefined) {
      const { batch, isAwaited = true } = decision;
      if (batch !== undefined) {
        stampBatch(batch, 0, this.#context.machine.appliedOffset, this.core.epoch);
      }
      const start = this.#safeStart();
      const answer =
        this.#shortage(behavior) ?? this.#tip.decided(decision.events, start, batch, isAwaited);
      if (typeof answer === 'number') {
        seq = answer;
        if (start >= 0) this.#logStart.moved(start);
      } else refused = answer;
    }
    for (const reply of replies ?? []) {
      const due = this.#context.takeToken(reply.token);
      if (due === undefined) continue;
      if (refused !== undefined) {
        const { to, token } = due;
        this.#context.replies.answered(to, { token, result: refused, body: NO_EVENTS });
      } else this.#answers.command(due, reply.level, seq, reply.body);
    }
    this.drain();
    return refused === undefined;
  }

  /** Why nothing is stored now, whatever it is. */
  #shortage(behavior: AnyDurableBehavior): LogResult | undefined {
    if (behavior.needsInsync === true && !this.core.canAcceptAll()) return 'not-enough-replicas';
    const isFull = behavior.storesEvents === true && this.#context.store.isShortOfSpace;
    return isFull ? 'no-space' : undefined;
  }

  // ---- Outputs of the core --------------------------------------------------------------------

  drain(): void {
    if (this.#isStopped || this.#isCold) return;
    for (let outputs = this.core.take(); outputs.length > 0; outputs = this.core.take()) {
      for (const output of outputs) {
        if (this.#isStopped) return;
        this.#act(output);
      }
    }
    if (!this.#isStopped) this.#answers.received();
  }

  #act(output: LeaderOutput): void {
    const { peers, logId } = this.#context;
    switch (output.kind) {
      case 'fence':
        peers.fence(output.node, logId, output.fence);
        return;
      case 'truncate-self':
        this.#truncateSelf(output.toSeq);
        return;
      case 'fetch-missing':
        this.#fetchMissing(output.node, output.fromSeq, output.throughSeq);
        return;
      case 'append-epoch-begin':
        this.#beginEpoch();
        return;
      case 'phase':
        this.#phaseChanged(output.phase);
        return;
      case 'committed':
        this.#advance(output.seq);
        return;
      case 'hello-answer':
        peers.answer(output.node, logId, output.answer);
        return;
      case 'stream':
        this.#sender.start(output.node);
        this.#context.markDirty();
        return;
      case 'stop-stream':
        this.#sender.stop(output.node);
        return;
      case 'propose-safe-set':
        // It may get lost: whoever asks must be ticked until the answer shows, whatever woke it.
        this.#context.markActive();
        this.#context.propose(output.proposal);
        return;
      case 'can-accept-all':
        return;
      case 'move-ready': {
        const { target: to, partitionEpoch } = output;
        this.#context.log.info('a leader hands over', { logId, to });
        this.#context.moveLeader({ logId, epoch: this.core.epoch, partitionEpoch, to });
        return;
      }
      case 'move-failed':
        this.#moveFailed(output.target);
        return;
      case 'resigned':
        this.#context.log.info('leader resigned', { logId, reason: output.reason });
        this.stop('not-leader');
        return;
      case 'alarm':
        this.alarm = output.reason;
        this.#context.log.error('replication alarm', { logId, ...output });
        return;
    }
  }

  // ---- Planned moves --------------------------------------------------------------------------

  /** What comes from now on is held until the other one has everything; if that fails, this one goes on. */
  planMove(target: number): void {
    this.core.planMove(target, this.#context.nowMs());
    this.#context.markActive();
    this.drain();
  }

  /** The metadata has changed nothing. */
  moveRefused(partitionEpoch: number): void {
    this.core.moveRefused(partitionEpoch);
    this.drain();
  }

  #moveFailed(target: number): void {
    const { log, logId } = this.#context;
    const { isInDoubt } = this.core;
    log.warn('a planned move of a leader failed: it goes on', { logId, target, isInDoubt });
    // What was held, and what was due meanwhile, comes now.
    this.#context.markActive();
    this.#context.markDirty();
    this.#context.retentionMoved();
  }

  #truncateSelf(toSeq: number): void {
    const { stored, machine } = this.#context;
    if (stored.truncate(toSeq) !== 'ok') {
      this.#context.quarantine(`recovery asked to cut committed frames above ${toSeq}`);
      return;
    }
    if (machine.appliedSeq > toSeq) machine.reset();
    this.core.selfTruncated({ seq: stored.endSeq, chain: stored.chain });
  }

  #fetchMissing(node: number, fromSeq: number, throughSeq: number): void {
    copyMissing(this.#context, this.core, { node, fromSeq, throughSeq }, () => this.#isStopped)
      .then(() => this.drain())
      .catch((error: unknown) => this.#context.quarantine(messageOf(error)));
  }

  /** The tip is applied first: decisions of the new epoch rest on everything in the log. */
  #beginEpoch(): void {
    const { machine, stored } = this.#context;
    if (machine.applyThrough(stored.endSeq)) {
      this.#appendEpochBegin();
      return;
    }
    this.#isCold = true;
    machine
      .applyColdThrough(stored.endSeq)
      .then(() => {
        this.#isCold = false;
        if (this.#isStopped) return;
        this.#appendEpochBegin();
        this.drain();
      })
      .catch((error: unknown) => this.#context.quarantine(messageOf(error)));
  }

  #appendEpochBegin(): void {
    this.#owesEpochBegin = false;
    // While frames were read back the core may have heard of a newer epoch.
    if (this.core.phase !== 'starting') return;
    const skewMs = this.#context.frameClock?.skewMs(this.logTimeMs()) ?? 0;
    const begin = encodeEpochBegin(this.core.epoch, skewMs);
    const seq = this.#tip.append(begin, true);
    const { log, logId, uncleanLosses, machine } = this.#context;
    if (typeof seq === 'number') {
      if (this.isUnclean) uncleanLosses.led(logId, this.epoch, machine.appliedOffset);
      return;
    }
    if (this.#isStopped) return;
    log.warn('no room for an epoch-begin yet', { logId, result: seq });
    this.#owesEpochBegin = true;
    this.#context.markActive();
  }

  /** The store has room again. */
  roomMade(): void {
    if (!this.#owesEpochBegin || this.#isStopped) return;
    this.#appendEpochBegin();
    this.drain();
  }

  #phaseChanged(phase: string): void {
    if (phase !== 'active') return;
    const { behavior, machine } = this.#context;
    this.#soft = { value: behavior.promote(machine.state, this.position()) };
    this.#context.waiters.advance(this.committedOffset());
    this.#context.markActive();
    // Who came early is served in this turn's durable phase.
    this.#context.markDirty();
    this.#context.retentionMoved();
  }

  #advance(seq: number): void {
    const { stored, machine } = this.#context;
    stored.setCommitted(seq);
    machine.committed(seq);
    this.#answers.committed(seq);
    this.#context.waiters.advance(this.committedOffset());
    this.#snapshot.committed(seq);
    this.#owesCommitted = this.#context.behavior.committed !== undefined;
    this.#context.markDirty();
    this.#context.retentionMoved();
  }

  /** Where the next frame may say that the log starts, or -1 if that is nothing new. */
  #safeStart(): number {
    const offset = this.#logStart.safe(this.core.committedSeq);
    return offset > this.#context.machine.startOffset ? offset : -1;
  }

  /** No frame has come that the move could ride with; what is released is committed by now. */
  #moveLogStart(): void {
    const offset = this.#logStart.due(this.core.committedSeq);
    if (offset < 0 || !this.canDecide) return;
    // A store without room is asked again in the next turn that moves anything.
    if (typeof this.#startAt(offset, false) !== 'number') return;
    this.#logStart.moved(offset);
    this.drain();
  }

  /** The frame from which on the log starts at `offset` at the latest: a new one, or the last there is. */
  #startAt(offset: number, isAwaited: boolean): number | LogResult {
    const { machine, stored } = this.#context;
    if (offset <= machine.startOffset) return stored.endSeq;
    return this.#tip.append(encodeLogStart(offset), isAwaited);
  }

  // ---- Retention ------------------------------------------------------------------------------

  /** Anything but `ok`: nothing was done, and no answer comes. */
  trim({ offset, epoch, timeoutMs, token, replyTo }: TrimInput): LogResult {
    const { behavior, stored } = this.#context;
    if (behavior.isRetained !== true) return 'unsupported';
    if (!this.isActive) return 'not-available';
    if (!this.core.canAppend()) return 'not-leader';
    const believed = checkEpoch(epoch, this.core.epoch);
    if (believed !== 'ok') return believed;
    const committedOffset = this.committedOffset();
    if (offset > committedOffset) return 'offset-out-of-range';
    const start = offset < 0 ? committedOffset : offset;
    const seq = start <= stored.startOffset ? this.core.committedSeq : this.#startAt(start, true);
    if (typeof seq !== 'number') return seq;
    const dueMs = this.#context.nowMs() + timeoutMs;
    this.#answers.trim({ to: replyTo, token, dueMs }, seq);
    this.drain();
    return 'ok';
  }

  note(events: Uint8Array): void {
    this.#tip.append(events, false);
    this.drain();
  }

  // ---- Events from outside --------------------------------------------------------------------

  localDurable(seq: number): void {
    this.core.localDurable(seq);
    this.drain();
    this.#answers.localDurable(seq);
  }

  hello(hello: Hello): void {
    this.core.framesReleasedBelow(this.#context.stored.firstSeq);
    this.core.hello(hello);
    this.drain();
  }

  acknowledged(
    node: number,
    incarnation: number,
    epoch: number,
    durableSeq: number,
    chain: number,
  ): void {
    this.core.ack(node, incarnation, epoch, durableSeq, chain);
    this.#sender.acknowledged(node, durableSeq);
    this.drain();
    this.#context.markDirty();
  }

  received(node: number, incarnation: number, epoch: number, seq: number): void {
    this.core.received(node, incarnation, epoch, seq);
    this.drain();
  }

  followerLost(node: number): void {
    this.#sender.stop(node);
    this.core.followerLost(node);
    this.drain();
  }

  /** Sends what followers have credit for, and tells them the committed seq. Once per turn. */
  pump(): void {
    if (this.#isStopped || this.#isCold) return;
    this.tellCommitted();
    this.#moveLogStart();
    if (!this.#isStopped) this.#sender.pump();
  }

  /** Answers false when nothing is going on and no tick is needed. */
  tick(nowMs: number): boolean {
    this.core.framesReleasedBelow(this.#context.stored.firstSeq);
    this.core.tick(nowMs);
    this.drain();
    this.roomMade();
    if (this.#isStopped) return false;
    this.#answers.expire(nowMs);
    const isBusy = this.#answers.size > 0 || this.core.phase !== 'active';
    if (isBusy || !this.core.isAlone) this.#context.markDirty();
    return isBusy || !this.#sender.isQuiet() || !this.core.isMembershipTold;
  }

  snapshotWanted(): { seq: number; bytes: Uint8Array } | undefined {
    return this.#isCold ? undefined : this.#snapshot.wanted(this.core.committedSeq);
  }

  /** Leadership is over: everyone who waits is told, tip state is for the owner to rebuild. */
  stop(result: LogResult): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    const { waiters } = this.#context;
    this.#demote();
    // Whoever leads next may have what these wait for.
    const outcome = result === 'not-leader' ? 'leader-lost' : result;
    this.#answers.failAll(outcome);
    waiters.tellAll();
    this.#context.roleEnded();
  }

  /** A behavior that throws here is on its way out anyway: the owner answers who is left. */
  #demote(): void {
    const soft = this.#soft;
    if (soft === undefined) return;
    this.#soft = undefined;
    const { behavior, replies, log, logId } = this.#context;
    try {
      for (const reply of behavior.demote(soft.value)) {
        const due = this.#context.takeToken(reply.token);
        if (due === undefined) continue;
        replies.answered(due.to, { token: due.token, result: 'ok', body: reply.body });
      }
    } catch (error) {
      log.error('demotion threw', { logId, error: messageOf(error) });
    }
  }
}
