// The two kinds of usable refs. A CellRef holds the actor of its own thread; an IdRef knows only an id
// and finds the way with every message, so it serves well-known slots, ids that arrived in messages,
// and every other thread and node.
import { messageOf } from '../std/errors.ts';
import type { AskSlab } from './ask.ts';
import { ASKS_MAX } from './ask.ts';
import type { Cell } from './cell.ts';
import type { DeadLetters, DeadReason } from './dead-letters.ts';
import { ActorError } from './errors.ts';
import type { Interposer } from './interposer.ts';
import { NO_REPLY } from './mailbox.ts';
import type { AnyProtocol, AskOp, Input, OpEntry, Ops, Reply, TellOp } from './protocol.ts';
import { KIND_ASK, KIND_CANCEL, KIND_TELL } from './record.ts';
import type { Admission, AskOptions, Place, Ref, RefId } from './ref.ts';
import type { Route, RouteAdmission } from './route.ts';
import { EncodedInput } from './strict.ts';
import type { Tracer } from './tracer.ts';

/** What refs need of the system that made them. */
export interface RefHost {
  readonly isStrict: boolean;
  readonly place: Place;
  readonly tracer: Tracer | undefined;
  readonly interposer: Interposer | undefined;
  readonly asks: AskSlab;
  readonly deadLetters: DeadLetters;
  /** The living actor of a slot of this thread, if the id is of this thread. */
  cellOf(id: RefId): Cell | undefined;
  isHere(id: RefId): boolean;
  routeTo(node: number, thread: number, lane?: 0 | 1): Route | undefined;
  /** Logs what the codec of a message threw. */
  codecFailed(path: string, op: string, error: unknown): void;
}

type Outcome = RouteAdmission | 'malformed' | 'unknown-op';

abstract class BaseRef<O extends Ops> implements Ref<O> {
  abstract readonly id: RefId;
  abstract readonly path: string;
  protected readonly host: RefHost;

  constructor(host: RefHost) {
    this.host = host;
  }

  protected abstract entry(op: string): OpEntry | undefined;
  /** Sends; `askId` is 0 for a tell. Throws only what the codec throws. */
  protected abstract send(op: OpEntry, input: unknown, askId: number): Outcome;
  protected abstract cancelAsk(askId: number): void;
  abstract ready(signal?: AbortSignal): Promise<void>;

  tell<K extends TellOp<O>>(op: K, input: Input<O[K]>): void {
    const entry = this.entry(op);
    const outcome =
      entry === undefined || entry.isAsk ? 'unknown-op' : this.#sendTell(entry, input);
    if (outcome !== 'accepted') this.host.deadLetters.add(this.path, op, reasonOf(outcome));
  }

  offer<K extends TellOp<O>>(op: K, input: Input<O[K]>): Admission {
    const entry = this.entry(op);
    const outcome =
      entry === undefined || entry.isAsk ? 'unknown-op' : this.#sendTell(entry, input);
    if (outcome === 'accepted' || outcome === 'full') return outcome;
    if (outcome === 'unreachable') return 'full';
    if (outcome === 'gone') return 'gone';
    this.host.deadLetters.add(this.path, op, reasonOf(outcome));
    return 'gone';
  }

  ask<K extends AskOp<O>>(op: K, input: Input<O[K]>, options: AskOptions): Promise<Reply<O[K]>> {
    const { asks } = this.host;
    const entry = this.entry(op);
    if (entry === undefined || !entry.isAsk) {
      const error = new ActorError('ACTOR_MISUSE', `${this.path} has no ask ${op}`, { op });
      return refused(error);
    }
    const { timeoutMs, signal } = options ?? NO_OPTIONS;
    if (!Number.isFinite(timeoutMs)) {
      const error = new ActorError('ACTOR_MISUSE', `an ask needs timeoutMs: ${timeoutMs}`, { op });
      return refused(error);
    }
    const askId = asks.open(entry, this.id);
    if (askId === 0) return refused(refusal(asks.isClosed, op));
    const givenUp = () => this.cancelAsk(askId);
    const waitMs = this.host.interposer?.timeoutOf(this.path, op, timeoutMs) ?? timeoutMs;
    let reply = asks.promise(askId, waitMs, signal, givenUp) as Promise<Reply<O[K]>>;
    if (signal?.aborted === true) return reply;
    const { tracer, place } = this.host;
    if (tracer !== undefined) reply = tracer.asked(place, askId, this.id, this.path, op, reply);
    try {
      const outcome = this.send(entry, input, askId);
      if (outcome !== 'accepted') asks.fail(askId, admissionError(outcome, this.path, op));
    } catch (error) {
      this.host.codecFailed(this.path, op, error);
      const message = `the input of ${op} cannot be encoded: ${messageOf(error)}`;
      asks.fail(askId, new ActorError('ACTOR_MALFORMED', message, { op }, error));
    }
    return reply;
  }

  /** As `send`, but what the codec threw is logged and an outcome. */
  #sendTell(entry: OpEntry, input: unknown): Outcome {
    try {
      return this.send(entry, input, 0);
    } catch (error) {
      this.host.codecFailed(this.path, entry.name, error);
      return 'malformed';
    }
  }
}

const NO_OPTIONS: { readonly timeoutMs: number; readonly signal?: AbortSignal } = {
  timeoutMs: Number.NaN,
};

function refusal(isClosed: boolean, op: string): ActorError {
  if (isClosed) return new ActorError('ACTOR_STOPPED', 'the system has shut down', { op });
  return new ActorError('ACTOR_ASK_LIMIT', 'too many asks are waiting', { op });
}

/** A ref to an actor of this thread, made by spawn. */
export class CellRef<O extends Ops> extends BaseRef<O> {
  readonly #cell: Cell;

  constructor(host: RefHost, cell: Cell) {
    super(host);
    this.#cell = cell;
  }

  get id(): RefId {
    return this.#cell.id;
  }

  get path(): string {
    return this.#cell.path;
  }

  override tell<K extends TellOp<O>>(op: K, input: Input<O[K]>): void {
    const entry = this.#cell.actor.protocol.byName.get(op);
    if (entry !== undefined && !entry.isAsk && !this.host.isStrict) {
      const admission = this.#cell.post(entry, input, NO_REPLY);
      if (admission !== 'accepted') this.host.deadLetters.add(this.path, op, admission);
    } else super.tell(op, input);
  }

  ready(signal?: AbortSignal): Promise<void> {
    return abortable(this.#cell.roomAvailable(), signal);
  }

  protected entry(op: string): OpEntry | undefined {
    return this.#cell.actor.protocol.byName.get(op);
  }

  protected send(op: OpEntry, input: unknown, askId: number): Outcome {
    return postLocal(this.host, this.#cell, op, input, askId);
  }

  protected cancelAsk(askId: number): void {
    this.#cell.cancelAsk(askId);
  }
}

/** A ref that finds its target anew with every message. */
export class IdRef<O extends Ops> extends BaseRef<O> {
  readonly id: RefId;
  readonly path: string;
  readonly #protocol: AnyProtocol;

  constructor(host: RefHost, protocol: AnyProtocol, id: RefId, path: string) {
    super(host);
    this.#protocol = protocol;
    this.id = id;
    this.path = path;
  }

  ready(signal?: AbortSignal): Promise<void> {
    const { id, host } = this;
    if (host.isHere(id)) {
      return abortable(host.cellOf(id)?.roomAvailable() ?? Promise.resolve(), signal);
    }
    return (
      host.routeTo(id.node, id.thread, this.#protocol.lane)?.ready(signal) ?? Promise.resolve()
    );
  }

  protected entry(op: string): OpEntry | undefined {
    return this.#protocol.byName.get(op);
  }

  protected send(op: OpEntry, input: unknown, askId: number): Outcome {
    const { id, host } = this;
    if (host.isHere(id)) {
      const cell = host.cellOf(id);
      if (cell === undefined) return 'gone';
      if (cell.actor.protocol !== this.#protocol) return 'unknown-op';
      return postLocal(host, cell, op, input, askId);
    }
    const route = host.routeTo(id.node, id.thread, this.#protocol.lane);
    // Without a route there is nobody whose room `ready` could wait for: an offer must not say `full`.
    if (route === undefined) return askId === 0 ? 'gone' : 'unreachable';
    if (askId === 0) return route.send(KIND_TELL, op.code, id, 0, 0, op.input, input, op.isLent);
    const slot = askId % ASKS_MAX;
    const generation = Math.floor(askId / ASKS_MAX);
    return route.send(KIND_ASK, op.code, id, slot, generation, op.input, input, op.isLent);
  }

  protected cancelAsk(askId: number): void {
    const { id, host } = this;
    if (host.isHere(id)) {
      host.cellOf(id)?.cancelAsk(askId);
      return;
    }
    const route = host.routeTo(id.node, id.thread, this.#protocol.lane);
    const generation = Math.floor(askId / ASKS_MAX);
    route?.send(KIND_CANCEL, 0, id, askId % ASKS_MAX, generation, undefined, undefined);
  }
}

function postLocal(
  host: RefHost,
  cell: Cell,
  op: OpEntry,
  input: unknown,
  askId: number,
): Admission {
  if (!host.isStrict) return cell.post(op, input, askId);
  const held = new EncodedInput(op.input, input, host.tracer?.send());
  return host.interposer?.post(cell, op, held, askId) ?? cell.post(op, held, askId);
}

function reasonOf(outcome: Exclude<Outcome, 'accepted'>): DeadReason {
  return outcome;
}

function admissionError(outcome: Outcome, path: string, op: string): ActorError {
  const details = { path, op };
  switch (outcome) {
    case 'full':
      return new ActorError('ACTOR_FULL', `${path} is full`, details);
    case 'unreachable':
      return new ActorError('ACTOR_UNREACHABLE', `${path} cannot be reached`, details);
    case 'unknown-op':
      return new ActorError('ACTOR_MISUSE', `${path} has no ask ${op}`, details);
    default:
      return new ActorError('ACTOR_GONE', `${path} is gone`, details);
  }
}

/** `work`, or a rejection as soon as the signal aborts. */
export function abortable(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  const cancelled = () => new ActorError('ACTOR_CANCELLED', 'the wait was cancelled');
  if (signal.aborted) return refused(cancelled());
  const wait = new Promise<void>((resolve, reject) => {
    const abort = () => reject(cancelled());
    signal.addEventListener('abort', abort, { once: true });
    work.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, reject);
  });
  wait.catch(() => undefined);
  return wait;
}

/** A rejection that may be left alone: whoever awaits it gets it all the same. */
function refused<T>(error: Error): Promise<T> {
  const rejection = Promise.reject<T>(error);
  rejection.catch(() => undefined);
  return rejection;
}
