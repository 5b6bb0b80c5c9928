// One actor without a system: run a message or a signal, then read what it did as plain data. For
// logic; the order and bounds of mailboxes are the fixture's subject.
import type { Actor, Context, Handlers, Later, Placement, Shown, Signal } from '../actor.ts';
import { ActorError } from '../errors.ts';
import { isPromise } from '../later.ts';
import type {
  AnyProtocol,
  AskOp,
  Input,
  OpEntry,
  Ops,
  Protocol,
  Reply,
  TellOp,
} from '../protocol.ts';
import type { Admission, AnyRef, Ref, RefId } from '../ref.ts';
import { idPath } from '../ref.ts';
import { roundTrip } from '../strict.ts';
import { ManualEnvironment } from './manual-environment.ts';

/** What an actor did, in order. Targets are paths. */
export type Effect =
  | {
      readonly kind: 'spawned';
      readonly name: string;
      readonly protocol: string;
      readonly args: unknown;
      readonly where: Placement;
    }
  | { readonly kind: 'told'; readonly to: string; readonly op: string; readonly input: unknown }
  | { readonly kind: 'asked'; readonly to: string; readonly op: string; readonly input: unknown }
  | {
      readonly kind: 'scheduled';
      readonly key: string;
      readonly delayMs: number;
      readonly op: string;
      readonly input: unknown;
    }
  | { readonly kind: 'cancelled'; readonly key: string }
  | { readonly kind: 'watched' | 'unwatched' | 'stopped'; readonly target: string }
  | { readonly kind: 'piped'; readonly op: string }
  | { readonly kind: 'became' | 'stashed' | 'unstashed' | 'retained' | 'released' };

export interface Behaviour<O extends Ops> {
  /**
   * Calls a handler and answers what it returned: a reply, a promise, or a Later that was taken. Input and
   * reply are copied through their codecs, as between threads; what a codec refuses is thrown.
   */
  run<K extends keyof O & string>(op: K, input: Input<O[K]>): unknown;
  /** Settles the oldest ask of the actor that is still open. Throws when there is none. */
  answer(reply: unknown): void;
  fail(error: Error): void;
  signal(signal: Signal): void;
  /** What the actor shows to who looks (`ctx.onInspect`): nothing of its own is {}. Throws what it throws. */
  inspect(): Shown;
  /** The effects since the last call. */
  effects(): Effect[];
  readonly env: ManualEnvironment;
  readonly self: Ref<O>;
}

/** Makes a ref whose messages are effects of the actor that behaves. */
export type MakeRef = <P extends Ops>(protocol: Protocol<P>, path: string) => Ref<P>;

/**
 * Sets the actor up and lets it behave. `args` may be a function that makes them, with refs for the actor to
 * talk to. What setup does is in `effects` first.
 *
 * @example
 * const relay = behave(Relay, (ref) => ({ to: ref(Out, '/out') }));
 * relay.run('pass', 1);
 * expect(relay.effects()).toEqual([{ kind: 'told', to: '/out', op: 'value', input: 1 }]);
 */
export function behave<O extends Ops, A>(
  actor: Actor<O, A>,
  args: NoInfer<A> | ((ref: MakeRef) => NoInfer<A>),
  seed = 1,
): Behaviour<O> {
  const env = new ManualEnvironment(seed);
  const effects: Effect[] = [];
  const asks = new OpenAsks();
  const self = recordingRef(actor.protocol, '/self', 1, effects, asks);
  const context = new RecordingContext<O>(env, self, effects, asks);
  let refs = 1;
  const makeRef: MakeRef = (protocol, path) => {
    refs += 1;
    return recordingRef(protocol, path, FIRST_REF_SLOT + refs, effects, asks);
  };
  const given = typeof args === 'function' ? (args as (ref: MakeRef) => A)(makeRef) : args;
  context.handlers = actor.setup(context, given);
  return {
    env,
    self,
    run(op, input) {
      const entry = actor.protocol.byName.get(op);
      if (entry === undefined) throw new Error(`${actor.protocol.name} has no op ${op}`);
      const handler = (context.handlers as Record<string, (input: unknown) => unknown>)[op]!;
      const copy = roundTrip(entry.input, input);
      const { result, isAside } = context.handle(() => handler.call(context.handlers, copy));
      const isReply = entry.reply !== undefined && !isOpen(result) && !isAside;
      return isReply ? roundTrip(entry.reply, result) : result;
    },
    answer: (reply) => asks.next().answer(reply),
    fail: (error) => asks.next().fail(error),
    signal: (signal) => context.signalHandler?.(signal),
    inspect: () => context.inspectHandler?.() ?? {},
    effects: () => effects.splice(0),
  };
}

const FIRST_REF_SLOT = 1_000_000;

/** A ref that records what it is told or asked. Asks wait for `answer` and `fail` of the test. */
function recordingRef<O extends Ops>(
  protocol: Protocol<O>,
  path: string,
  slot: number,
  effects: Effect[],
  asks: OpenAsks,
): Ref<O> {
  const id: RefId = { node: 0, incarnation: 1, thread: 0, slot, generation: 1 };
  return new RecordingRef<O>(protocol, path, id, effects, asks);
}

/** A promise or a Later: what `run` answers is not a reply yet. */
function isOpen(result: unknown): boolean {
  return isPromise(result) || result instanceof RecordedLater;
}

interface OpenAsk {
  answer(reply: unknown): void;
  fail(error: Error): void;
}

/** The asks of the actor that nobody has answered, oldest first. */
class OpenAsks {
  readonly #open: OpenAsk[] = [];

  add(ask: OpenAsk): void {
    this.#open.push(ask);
  }

  next(): OpenAsk {
    const oldest = this.#open.shift();
    if (oldest === undefined) throw new Error('no ask of the actor is open');
    return oldest;
  }
}

class RecordingRef<O extends Ops> implements Ref<O> {
  readonly id: RefId;
  readonly path: string;
  readonly #effects: Effect[];
  readonly #protocol: AnyProtocol;
  readonly #asks: OpenAsks;

  constructor(protocol: AnyProtocol, path: string, id: RefId, effects: Effect[], asks: OpenAsks) {
    this.#asks = asks;
    this.#protocol = protocol;
    this.path = path;
    this.id = id;
    this.#effects = effects;
  }

  tell<K extends TellOp<O>>(op: K, input: Input<O[K]>): void {
    this.#record('told', op, input);
  }

  offer<K extends TellOp<O>>(op: K, input: Input<O[K]>): Admission {
    this.#record('told', op, input);
    return 'accepted';
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  ask<K extends AskOp<O>>(op: K, input: Input<O[K]>): Promise<Reply<O[K]>> {
    const { reply } = this.#record('asked', op, input);
    const promise = new Promise<Reply<O[K]>>((resolve, reject) => {
      this.#asks.add({
        answer: (value) => resolve(roundTrip(reply!, value) as Reply<O[K]>),
        fail: reject,
      });
    });
    promise.catch(() => undefined);
    return promise;
  }

  #record(kind: 'told' | 'asked', op: string, input: unknown): OpEntry {
    const entry = this.#protocol.byName.get(op);
    if (entry === undefined || entry.isAsk !== (kind === 'asked')) {
      throw new Error(`${this.path} has no op ${op} that could be ${kind}`);
    }
    // A copy: what the actor changes afterwards was not sent.
    this.#effects.push({ kind, to: this.path, op, input: roundTrip(entry.input, input) });
    return entry;
  }
}

class RecordingContext<O extends Ops> implements Context<O> {
  readonly self: Ref<O>;
  readonly clock: ManualEnvironment['clock'];
  readonly random: ManualEnvironment['random'];
  readonly log: ManualEnvironment['log'];
  readonly stopped: AbortSignal;
  readonly cancelled: AbortSignal;
  handlers: Handlers<O> | undefined;
  signalHandler: ((signal: Signal) => void) | undefined;
  inspectHandler: (() => Shown) | undefined;
  readonly #effects: Effect[];
  readonly #asks: OpenAsks;
  readonly #abort = new AbortController();
  #children = 0;
  /** A handler runs, and has not returned yet. */
  #isHandling = false;
  /** It has put its message aside. */
  #isAside = false;

  constructor(env: ManualEnvironment, self: Ref<O>, effects: Effect[], asks: OpenAsks) {
    this.#asks = asks;
    this.self = self;
    this.clock = env.clock;
    this.random = env.random;
    this.log = env.log;
    this.stopped = this.#abort.signal;
    this.cancelled = this.#abort.signal;
    this.#effects = effects;
  }

  spawn<P extends Ops, A>(
    name: string,
    actor: Actor<P, A>,
    args: A,
    where: Placement = 'here',
  ): Ref<P> {
    this.#effects.push({ kind: 'spawned', name, protocol: actor.protocol.name, args, where });
    this.#children += 1;
    const path = `${this.self.path}/${name}`;
    return recordingRef(actor.protocol, path, 1 + this.#children, this.#effects, this.#asks);
  }

  stop(child?: AnyRef): void {
    if (child === undefined) this.#abort.abort();
    this.#effects.push({ kind: 'stopped', target: (child ?? this.self).path });
  }

  watch(ref: AnyRef): void {
    this.#effects.push({ kind: 'watched', target: ref.path });
  }

  unwatch(ref: AnyRef): void {
    this.#effects.push({ kind: 'unwatched', target: ref.path });
  }

  onSignal(handle: (signal: Signal) => void): void {
    this.signalHandler = handle;
  }

  onInspect(show: () => Shown): void {
    this.inspectHandler = show;
  }

  schedule<K extends TellOp<O>>(key: string, delayMs: number, op: K, input: Input<O[K]>): void {
    this.#effects.push({ kind: 'scheduled', key, delayMs, op, input });
  }

  cancel(key: string): void {
    this.#effects.push({ kind: 'cancelled', key });
  }

  pipe<T, K extends TellOp<O>>(
    work: Promise<T>,
    op: K,
    map: (result: PromiseSettledResult<T>) => Input<O[K]>,
  ): void {
    this.#effects.push({ kind: 'piped', op });
    work.then(
      (value) => this.self.tell(op, map({ status: 'fulfilled', value })),
      (reason: unknown) => this.self.tell(op, map({ status: 'rejected', reason })),
    );
  }

  openStream(): never {
    throw noStreams();
  }

  acceptStream(): never {
    throw noStreams();
  }

  become(handlers: Handlers<O>): void {
    this.handlers = handlers;
    this.#effects.push({ kind: 'became' });
  }

  /** Runs a handler. What one returns whose message was put aside is no reply. */
  handle(run: () => unknown): { readonly result: unknown; readonly isAside: boolean } {
    this.#isHandling = true;
    this.#isAside = false;
    try {
      const result = run();
      return { result, isAside: this.#isAside };
    } finally {
      this.#isHandling = false;
    }
  }

  stash(): boolean {
    if (!this.#isHandling || this.#isAside) return false;
    this.#effects.push({ kind: 'stashed' });
    this.#isAside = true;
    return true;
  }

  unstash(): void {
    this.#effects.push({ kind: 'unstashed' });
  }

  later<R>(): Later<R> {
    return new RecordedLater<R>();
  }

  retain(): () => void {
    if (!this.#isHandling) {
      const message = 'retain is for the message that is being handled, before the first await';
      throw new ActorError('ACTOR_MISUSE', message);
    }
    this.#effects.push({ kind: 'retained' });
    let isHeld = true;
    return () => {
      if (isHeld) this.#effects.push({ kind: 'released' });
      isHeld = false;
    };
  }

  ref<P extends Ops>(protocol: Protocol<P>, id: RefId): Ref<P> {
    return new RecordingRef<P>(protocol, idPath(id), id, this.#effects, this.#asks);
  }
}

/** A Later whose test looks at what the actor answered. */
class RecordedLater<R> implements Later<R> {
  readonly isCancelled = false;
  #outcome: { readonly reply: R } | { readonly error: Error } | undefined;

  ok(reply: R): void {
    this.#outcome ??= { reply };
  }

  fail(error: Error): void {
    this.#outcome ??= { error };
  }

  outcome(): { readonly reply: R } | { readonly error: Error } | undefined {
    return this.#outcome;
  }
}

function noStreams(): ActorError {
  return new ActorError('ACTOR_MISUSE', 'behave has no streams: use `fixture`, which has a system');
}
