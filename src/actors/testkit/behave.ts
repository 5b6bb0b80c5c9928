// One actor without a system: run a message or a signal, then read what it did as plain data. For
// logic; the order and bounds of mailboxes are the fixture's subject.
import type { Actor, Context, Handlers, Later, Placement, Shown, Signal } from '../actor.ts';
import type { AnyProtocol, AskOp, Input, Ops, Protocol, Reply, TellOp } from '../protocol.ts';
import type { Admission, AnyRef, Ref, RefId } from '../ref.ts';
import { idPath } from '../ref.ts';
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
  /** Calls a handler and answers what it returned: a reply, a promise, or a Later that was taken. */
  run<K extends keyof O & string>(op: K, input: Input<O[K]>): unknown;
  signal(signal: Signal): void;
  /** The effects since the last call. */
  effects(): Effect[];
  readonly env: ManualEnvironment;
  readonly self: Ref<O>;
}

/**
 * Sets the actor up and lets it behave.
 *
 * @example
 * const queue = behave(Queue, { limit: 1 });
 * queue.run('publish', body);
 * expect(queue.effects()).toEqual([]);
 */
export function behave<O extends Ops, A>(actor: Actor<O, A>, args: A, seed = 1): Behaviour<O> {
  const env = new ManualEnvironment(seed);
  const effects: Effect[] = [];
  const self = recordingRef(actor.protocol, '/self', 1, effects);
  const context = new RecordingContext<O>(env, self, effects);
  context.become(actor.setup(context, args));
  effects.length = 0;
  return {
    env,
    self,
    run(op, input) {
      const handler = (context.handlers as Record<string, (input: unknown) => unknown>)[op]!;
      return handler.call(context.handlers, input);
    },
    signal: (signal) => context.signalHandler?.(signal),
    effects: () => effects.splice(0),
  };
}

/** A ref that records what it is told or asked. Asks never settle: the test reads the effect. */
function recordingRef<O extends Ops>(
  protocol: Protocol<O>,
  path: string,
  slot: number,
  effects: Effect[],
): Ref<O> {
  const id: RefId = { node: 0, incarnation: 1, thread: 0, slot, generation: 1 };
  return new RecordingRef<O>(protocol, path, id, effects);
}

class RecordingRef<O extends Ops> implements Ref<O> {
  readonly id: RefId;
  readonly path: string;
  readonly #effects: Effect[];
  readonly #protocol: AnyProtocol;

  constructor(protocol: AnyProtocol, path: string, id: RefId, effects: Effect[]) {
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
    this.#record('asked', op, input);
    return new Promise(() => undefined);
  }

  #record(kind: 'told' | 'asked', op: string, input: unknown): void {
    if (!this.#protocol.byName.has(op)) throw new Error(`${this.path} has no op ${op}`);
    this.#effects.push({ kind, to: this.path, op, input });
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
  readonly #abort = new AbortController();
  #children = 0;

  constructor(env: ManualEnvironment, self: Ref<O>, effects: Effect[]) {
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
    return recordingRef(actor.protocol, path, 1 + this.#children, this.#effects);
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

  become(handlers: Handlers<O>): void {
    this.handlers = handlers;
    this.#effects.push({ kind: 'became' });
  }

  stash(): boolean {
    this.#effects.push({ kind: 'stashed' });
    return true;
  }

  unstash(): void {
    this.#effects.push({ kind: 'unstashed' });
  }

  later<R>(): Later<R> & { readonly outcome: () => unknown } {
    let outcome: unknown;
    return {
      isCancelled: false,
      ok: (reply: R) => {
        outcome ??= { reply };
      },
      fail: (error: Error) => {
        outcome ??= { error };
      },
      outcome: () => outcome,
    };
  }

  retain(): () => void {
    this.#effects.push({ kind: 'retained' });
    let isHeld = true;
    return () => {
      if (isHeld) this.#effects.push({ kind: 'released' });
      isHeld = false;
    };
  }

  ref<P extends Ops>(protocol: Protocol<P>, id: RefId): Ref<P> {
    return new RecordingRef<P>(protocol, idPath(id), id, this.#effects);
  }
}
