// One living actor: its mailbox, its handlers and its way through life. A cell is queued at most once
// in its thread's run queue and handles one message at a time; while an async handler is pending the
// user lane waits and the system lane still runs.
//
//   new -> running (setup in its first turn) -> stopping (children end first) -> stopped
//          running -> suspended (failed, back-off) -> new
//
// Invariant: everything that arrived is handled, stashed or a dead letter; every ask is settled.
import type { AnyActor, EndCause, Shown, Signal } from './actor.ts';
import type { CellHost, Identity, Method, SystemMessage } from './cell-host.ts';
import { CellWatches } from './cell-watches.ts';
import { Children } from './children.ts';
import type { DeadReason } from './dead-letters.ts';
import type { Ended } from './elsewhere.ts';
import { ActorError, asError, discarded } from './errors.ts';
import { HeldInput } from './held-input.ts';
import { KeyedTimers } from './keyed-timers.ts';
import { isPromise, LaterReply } from './later.ts';
import type { ReplyTo } from './mailbox.ts';
import { DEFAULT_MAILBOX, NO_REPLY, UserLane } from './mailbox.ts';
import type { ClassRecord } from './metrics.ts';
import { OpenAnswers } from './open-answers.ts';
import { atLimit } from './overflow.ts';
import type { OpEntry } from './protocol.ts';
import type { Admission, AnyRef, RefId } from './ref.ts';
import { idPath } from './ref.ts';
import { RoomWaiters } from './room.ts';
import { Stash } from './stash.ts';
import { STATUS_OP, showHandling } from './status.ts';
import { DEFAULT_SUPERVISION, directiveOf, RestartBudget } from './supervise.ts';
import type { Deadline } from './timers.ts';
import type { Runnable } from './turn.ts';

const STATE_NEW = 0;
const STATE_RUNNING = 1;
const STATE_SUSPENDED = 2;
const STATE_STOPPING = 3;
export const STATE_STOPPED = 4;
export const STATE_NAMES = ['new', 'running', 'suspended', 'stopping', 'stopped'] as const;

export class Cell implements Runnable {
  readonly host: CellHost;
  readonly actor: AnyActor;
  readonly args: unknown;
  readonly id: RefId;
  /** Among its siblings. */
  readonly name: string;
  readonly parent: Cell | undefined;
  /** The parent on another thread, if that is where it was spawned from. */
  readonly remoteParent: AnyRef | undefined;
  readonly metrics: ClassRecord;
  readonly lane: UserLane;
  ref: AnyRef | undefined;
  state = STATE_NEW;
  /** Whose ask the present message is. */
  presentReply: ReplyTo = NO_REPLY;
  restarts = 0;
  handled = 0;
  failed = 0;
  dropped = 0;
  depthMax = 0;
  /** An async handler is at work: user messages wait. */
  isHeld = false;
  /** Changes with every restart, so that results of the life before are recognised. */
  epoch = 0;
  signalHandler: ((signal: Signal) => void) | undefined;
  inspectHandler: (() => Shown) | undefined;
  children: Children | undefined;
  watches: CellWatches | undefined;
  #handlers: object | undefined;
  #methods: readonly Method[] = NO_METHODS;
  #isQueued = false;
  #heldReply: ReplyTo = NO_REPLY;
  /** The message that is being handled, as it arrived. */
  op: OpEntry | undefined;
  input: unknown;
  #system: SystemMessage[] | undefined;
  #stash: Stash | undefined;
  #timers: KeyedTimers | undefined;
  /** While it is suspended: when it starts again. */
  #backoff: Deadline | undefined;
  #answers: OpenAnswers | undefined;
  #roomWaiters: RoomWaiters | undefined;
  #budget: RestartBudget | undefined;
  #abort: AbortController | undefined;
  /** Why it ended, or `stopped` while it lives. */
  cause: EndCause = 'stopped';

  constructor(
    host: CellHost,
    actor: AnyActor,
    args: unknown,
    identity: Identity,
    metrics: ClassRecord,
  ) {
    this.host = host;
    this.actor = actor;
    this.args = args;
    this.id = identity.id;
    this.name = identity.name;
    this.parent = identity.parent;
    this.remoteParent = identity.remoteParent;
    this.metrics = metrics;
    this.lane = new UserLane((actor.options.mailbox ?? DEFAULT_MAILBOX).capacity);
    metrics.spawned += 1;
    this.#enqueue();
  }

  // ---- Receiving ----------------------------------------------------------------------------------

  /** Takes a user message, or says why not. */
  post(op: OpEntry, input: unknown, reply: ReplyTo): Admission {
    if (this.state >= STATE_STOPPING) return 'gone';
    const lane = this.lane;
    if (lane.count >= lane.limit) {
      const refused = atLimit(this, op, input, reply);
      if (refused !== undefined) return refused;
    }
    lane.push(op, input, reply);
    if (!this.#isQueued) this.#enqueue();
    return 'accepted';
  }

  /** Takes a system message: never refused, never dropped while the actor lives. */
  postSystem(message: SystemMessage): void {
    if (this.state === STATE_STOPPED) return;
    if (this.#system === undefined) this.#system = [message];
    else this.#system.push(message);
    if (!this.#isQueued) this.#enqueue();
  }

  requestStop(): void {
    this.postSystem(STOP);
  }

  /** Resolves when the mailbox has room or the actor is gone. */
  roomAvailable(): Promise<void> {
    if (this.state >= STATE_STOPPING || !this.lane.isFull) return Promise.resolve();
    this.#roomWaiters ??= new RoomWaiters();
    return this.#roomWaiters.wait();
  }

  /** The asker gave up: a handler that still works on the answer can see it. */
  cancelAsk(reply: ReplyTo): void {
    if (this.state >= STATE_STOPPING) return;
    const present = this.presentReply === NO_REPLY ? 0 : 1;
    const waitingMax = this.lane.count + (this.#stash?.count ?? 0) + present;
    this.#openAnswers().giveUp(reply, this.#heldReply, waitingMax);
  }

  /** Of asks that wait, are put aside, are worked on or are answered later. */
  openReplies(): ReplyTo[] {
    const worked = [this.presentReply, this.#heldReply, ...(this.#answers?.replies() ?? [])];
    return [...worked, ...this.lane.replies(), ...(this.#stash?.replies() ?? [])];
  }

  /** Aborts when the asker of the present message gives up, and with this life of the actor. */
  get cancelledSignal(): AbortSignal {
    return this.#openAnswers().signalOf(this.presentReply);
  }

  #openAnswers(): OpenAnswers {
    this.#answers ??= new OpenAnswers(this.host);
    return this.#answers;
  }

  // ---- The turn of this actor ---------------------------------------------------------------------

  run(budget: number): number {
    this.#isQueued = false;
    let handled = this.#runSystem();
    if (this.state === STATE_NEW) this.#start();
    const { lane, metrics } = this;
    if (lane.count > this.depthMax) this.host.observer.deeper(this);
    const isObserved = metrics.handled >= metrics.observeAt;
    if (isObserved) handled = this.host.observer.run(this, handled, budget);
    while (handled < budget && this.canHandle) {
      if (this.#timers?.hasDue === true) {
        const { op, input } = this.#timers.takeDue()!;
        this.handle(op, input, NO_REPLY);
      } else if (lane.take()) this.handle(lane.op!, lane.input, lane.reply);
      else break;
      handled += 1;
      if (this.#system !== undefined) handled += this.#runSystem();
    }
    lane.clearTaken();
    if (this.#answers !== undefined && lane.count === 0 && this.#stash === undefined) {
      this.#answers.noneWaits();
    }
    this.handled += handled;
    metrics.handled += handled;
    if (isObserved) this.host.observer.runEnded(metrics);
    if (this.#roomWaiters !== undefined) this.#wakeSenders();
    if (this.#hasWork()) this.#enqueue();
    return handled;
  }

  get canHandle(): boolean {
    return this.state === STATE_RUNNING && !this.isHeld;
  }

  /** A timer or a system message is due: it goes before the next user message. */
  get isInterrupted(): boolean {
    return this.#system !== undefined || this.#timers?.hasDue === true;
  }

  #hasWork(): boolean {
    if (this.#isQueued || this.state === STATE_STOPPED) return false;
    if (this.#system !== undefined) return true;
    if (this.state === STATE_NEW) return true;
    if (this.state !== STATE_RUNNING || this.isHeld) return false;
    return this.lane.count > 0 || this.#timers?.hasDue === true;
  }

  #enqueue(): void {
    this.#isQueued = true;
    this.host.turn.enqueue(this);
  }

  #runSystem(): number {
    let handled = 0;
    while (this.#system !== undefined) {
      const messages = this.#system;
      this.#system = undefined;
      this.host.observer.forget(this);
      for (const message of messages) {
        if (message.kind === 'stop') this.stop('stopped');
        else if (message.kind === 'fail') this.#fail(message.error);
        else this.#signal(message.signal);
      }
      handled += messages.length;
    }
    return handled;
  }

  #start(): void {
    this.state = STATE_RUNNING;
    try {
      this.become(this.host.setup(this));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Installs one method per opcode. */
  become(handlers: object): void {
    this.#handlers = handlers;
    this.#methods = this.host.methodsOf(handlers, this);
  }

  handle(op: OpEntry, raw: unknown, reply: ReplyTo): void {
    const { status } = this.host;
    showHandling(status, this.id.slot, op.code, this.actor.protocol.hash);
    this.op = op;
    this.input = raw;
    this.presentReply = reply;
    if (raw instanceof HeldInput) this.#handleHeld(op, raw, reply);
    else this.#call(op, raw, reply);
    status[STATUS_OP] = 0;
    this.op = undefined;
    this.input = undefined;
    this.presentReply = NO_REPLY;
    if (this.#stash !== undefined && !this.isHeld) this.#leaveAside();
  }

  /** Bytes that cannot be decoded are no fault of this actor; its own views live until it has answered. */
  #handleHeld(op: OpEntry, raw: HeldInput, reply: ReplyTo): void {
    const { tracer } = this.host;
    if (tracer !== undefined) tracer.incoming = raw.origin;
    let input: unknown;
    try {
      input = raw.decode(op);
    } catch (error) {
      this.host.codecFailed(this.path, op.name, error);
      this.discard(op, raw, reply, 'malformed');
      return;
    }
    this.#call(op, input, reply);
    if (!this.#isAside) raw.release();
  }

  #call(op: OpEntry, input: unknown, reply: ReplyTo): void {
    try {
      const result = this.#methods[op.code]!.call(this.#handlers!, input);
      if (result !== undefined || reply !== NO_REPLY) this.#finish(op, reply, result);
    } catch (error) {
      this.#dropAside();
      this.#failMessage(op, reply, error);
    }
  }

  #finish(op: OpEntry, reply: ReplyTo, result: unknown): void {
    if (result instanceof LaterReply) {
      if (reply === NO_REPLY || this.#isAside) return;
      this.#openAnswers().bind(result, op, reply);
    } else if (isPromise(result)) this.#hold(op, reply, result);
    else if (reply !== NO_REPLY && !this.#isAside) {
      this.#answers?.settled(reply);
      this.host.answer(op, reply, result);
    }
  }

  #hold(op: OpEntry, reply: ReplyTo, work: PromiseLike<unknown>): void {
    this.isHeld = true;
    const isAside = this.#isAside;
    if (!isAside) this.#heldReply = reply;
    const epoch = this.epoch;
    const { observer } = this.host;
    const startMs = observer.nowMs();
    const release = (): boolean => {
      observer.handled(this, op, observer.nowMs() - startMs);
      if (this.epoch !== epoch || this.state >= STATE_STOPPING) return false;
      this.isHeld = false;
      this.#heldReply = NO_REPLY;
      if (this.#hasWork()) this.#enqueue();
      return true;
    };
    Promise.resolve(work).then(
      (value) => {
        if (!release()) return;
        if (isAside) this.#leaveAside();
        else if (reply !== NO_REPLY) {
          this.#answers?.settled(reply);
          this.host.answer(op, reply, value);
        }
      },
      (error: unknown) => {
        if (!release()) return;
        const input = this.#dropAside();
        if (input instanceof HeldInput) input.release();
        this.#failMessage(op, reply, error);
      },
    );
  }

  makeLater<R>(): LaterReply<R> {
    return this.#openAnswers().makeLater<R>();
  }

  // ---- Stash and timers ---------------------------------------------------------------------------

  stash(): boolean {
    if (this.op === undefined) return false;
    this.#stash ??= new Stash();
    return this.#stash.take(this.op, this.input, this.presentReply, this.lane.capacity);
  }

  unstash(): void {
    if (this.#stash?.putBack(this.lane) !== true) return;
    this.host.observer.forget(this);
    this.#stash = undefined;
    if (this.#hasWork()) this.#enqueue();
  }

  /** The message that is being handled was put aside. */
  get #isAside(): boolean {
    return this.#stash?.hasPresent === true;
  }

  /** The handler is done: what it put aside is as the others, and they go if it wanted them back. */
  #leaveAside(): void {
    const stash = this.#stash;
    if (stash !== undefined && (stash.release() || stash.count === 0)) this.unstash();
  }

  /** What fails is never delivered again, so it does not stay in the stash either. Answers its input if it was there. */
  #dropAside(): unknown {
    const input = this.#stash?.dropPresent();
    this.#leaveAside();
    return input;
  }

  schedule(key: string, delayMs: number, op: OpEntry, input: unknown): void {
    if (this.state >= STATE_STOPPING) return;
    this.#timers ??= new KeyedTimers(this.host.deadlines, () => {
      if (!this.#isQueued) this.#enqueue();
    });
    this.#timers.set(key, delayMs, op, input);
  }

  cancelTimer(key: string): void {
    this.#timers?.cancel(key);
  }

  get stashCount(): number {
    return this.#stash?.count ?? 0;
  }

  /** Asks that it has taken and not answered: of an async handler, and of answers given later. */
  get asksOpen(): number {
    return (this.#answers?.laterCount ?? 0) + (this.#heldReply === NO_REPLY ? 0 : 1);
  }

  get timerCount(): number {
    return this.#timers?.count ?? 0;
  }

  // ---- Watching -----------------------------------------------------------------------------------

  watch(target: AnyRef): void {
    if (this.state >= STATE_STOPPING) return;
    this.watches ??= new CellWatches(this.host, this);
    this.watches.watch(target);
  }

  addWatcher(watcher: RefId, as: RefId): void {
    if (this.state === STATE_STOPPED) {
      this.host.sendEnded(watcher, as, this.cause);
      return;
    }
    this.watches ??= new CellWatches(this.host, this);
    this.watches.addWatcher(watcher, as);
  }

  #signal(signal: Signal): void {
    if (this.signalHandler === undefined || this.state === STATE_STOPPED) return;
    const { epoch } = this;
    const failed = (error: unknown) => {
      if (signal.type === 'stopping' || this.state >= STATE_STOPPING) {
        this.host.log.error('actor failed while stopping', { path: this.path, error });
      } else if (this.epoch === epoch) this.#fail(error);
    };
    try {
      // Its type says void, which lets an async function through: its failure must not be lost.
      const result: unknown = this.signalHandler(signal);
      if (isPromise(result)) Promise.resolve(result).then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  }

  // ---- Failing, stopping --------------------------------------------------------------------------

  #failMessage(op: OpEntry, reply: ReplyTo, error: unknown): void {
    if (reply === NO_REPLY) this.host.deadLetters.add(this.path, op.name, 'failed');
    else {
      this.#answers?.settled(reply);
      this.host.failAnswer(reply, asError(error));
    }
    this.#fail(error);
  }

  #fail(error: unknown): void {
    if (this.state >= STATE_STOPPING) return;
    const supervision = this.actor.options.supervision ?? DEFAULT_SUPERVISION;
    const directive = directiveOf(supervision, error, (broken) => {
      this.host.log.error('supervision threw', { path: this.path, error: broken });
    });
    this.metrics.failed += 1;
    this.failed += 1;
    this.host.observer.failed(this, error, directive);
    const isSetUp = this.#handlers !== undefined;
    this.host.log.warn('actor failed', { path: this.path, directive, error });
    if (directive === 'resume' && isSetUp) return;
    const self = this.ref!;
    if (this.parent !== undefined) {
      const signal: Signal = { type: 'child-failed', child: self, error };
      this.parent.postSystem({ kind: 'signal', signal });
    } else if (this.remoteParent !== undefined) {
      this.host.childFailed(this.remoteParent, self, error);
    }
    if (directive === 'stop') this.stop('failed');
    else if (directive === 'escalate') {
      this.stop('failed');
      if (this.parent !== undefined) this.parent.postSystem({ kind: 'fail', error });
      else this.host.escalated(this, this.remoteParent, error);
    } else this.#restart(supervision);
  }

  #restart(supervision: typeof DEFAULT_SUPERVISION): void {
    this.#budget ??= new RestartBudget(supervision);
    const delayMs = this.#budget.next(this.host.clock.monotonicMs(), this.host.random);
    if (delayMs === undefined) {
      this.host.log.error('actor restarted too often', { path: this.path });
      this.stop('failed');
      return;
    }
    this.restarts += 1;
    this.metrics.restarted += 1;
    this.#endLife('ACTOR_FAILED', 'restarted');
    this.state = STATE_SUSPENDED;
    this.#retireChildren();
    this.#backoff = this.host.deadlines.after(delayMs, () => {
      this.#backoff = undefined;
      this.state = STATE_NEW;
      this.unstash();
      if (!this.#isQueued) this.#enqueue();
    });
  }

  /** Ends what belongs to the present life: timers, open answers, handlers, watches. */
  #endLife(code: 'ACTOR_FAILED' | 'ACTOR_STOPPED', how: string): void {
    this.epoch += 1;
    this.#timers?.clear();
    this.#timers = undefined;
    if (this.#backoff !== undefined) this.host.deadlines.cancel(this.#backoff);
    this.#backoff = undefined;
    this.#stash?.release();
    const error = () => new ActorError(code, `${this.path} ${how}`);
    this.#answers?.endLife(error);
    this.#answers = undefined;
    if (this.#heldReply !== NO_REPLY) this.host.failAnswer(this.#heldReply, error());
    this.#heldReply = NO_REPLY;
    this.isHeld = false;
    this.watches?.forgetAll();
    this.signalHandler = undefined;
    this.inspectHandler = undefined;
    this.#handlers = undefined;
    this.#methods = NO_METHODS;
  }

  #retireChildren(): void {
    this.children?.retire((id) => this.host.sendStop(id));
  }

  /** Stops after the present message: children first, then this actor, then its watchers hear. */
  stop(cause: EndCause): void {
    if (this.state >= STATE_STOPPING) return;
    this.state = STATE_STOPPING;
    this.cause = cause;
    if (this.signalHandler !== undefined) this.#signal({ type: 'stopping' });
    this.#endLife('ACTOR_STOPPED', 'stopped');
    this.#abort?.abort();
    this.#retireChildren();
    this.#endIfAlone();
  }

  #endIfAlone(): void {
    if (this.state === STATE_STOPPING && this.children?.haveEnded !== false) this.#end();
  }

  adopt(name: string, child: Cell): void {
    this.children ??= new Children();
    this.children.add(name, child);
  }

  adoptElsewhere(name: string, child: AnyRef): void {
    this.children ??= new Children();
    this.children.addElsewhere(name, child);
  }

  /** A child has ended. */
  childEnded(child: Cell): void {
    this.children?.ended(child);
    this.#endIfAlone();
  }

  /** Children on other threads have ended: one by itself, or all of a thread that is lost. */
  childrenEndedElsewhere(which: Ended): void {
    this.children?.endedElsewhere(which);
    this.#endIfAlone();
  }

  /** For people. Made when somebody asks: most actors are never named in a message or a log. */
  get path(): string {
    const { parent, remoteParent, name } = this;
    if (remoteParent !== undefined) return `${idPath(remoteParent.id)}/${name}`;
    return `${parent?.path ?? ''}/${name}`;
  }

  get stoppedSignal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.state >= STATE_STOPPING) this.#abort.abort();
    return this.#abort.signal;
  }

  #end(): void {
    this.state = STATE_STOPPED;
    this.metrics.stopped += 1;
    const reason = this.cause === 'failed' ? 'failed' : 'stopped';
    const { lane } = this;
    this.#stash?.putBack(lane);
    this.#stash = undefined;
    if (lane.count > 0) this.host.observer.forget(this);
    while (lane.take()) this.discard(lane.op!, lane.input, lane.reply, reason);
    lane.clearTaken();
    this.#system = undefined;
    if (this.#roomWaiters !== undefined) this.#wakeSenders();
    this.host.release(this);
    this.watches?.tellWatchers(this.cause);
    this.parent?.childEnded(this);
  }

  discard(op: OpEntry, input: unknown, reply: ReplyTo, reason: DeadReason): void {
    if (input instanceof HeldInput) input.release();
    if (reply === NO_REPLY) this.host.deadLetters.add(this.path, op.name, reason);
    else {
      this.#answers?.settled(reply);
      this.host.failAnswer(reply, discarded(this.path, op.name, reason));
    }
  }

  #wakeSenders(): void {
    if (this.state >= STATE_STOPPING || !this.lane.isFull) this.#roomWaiters!.wake();
  }
}

const STOP: SystemMessage = { kind: 'stop' };
const NO_METHODS: readonly Method[] = [];
