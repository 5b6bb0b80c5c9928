// What an application writes: an actor is a protocol and a setup function that returns one handler
// per op. These are the types of that contract; nothing here runs messages. State lives in the
// closure or the instance that setup returns, so a restart is another call of setup.
import type { Clock, Log, Random } from '../env/environment.ts';
import type { AnyProtocol, Ask, Codec, Input, Ops, Protocol, Tell, TellOp } from './protocol.ts';
import type { AnyRef, Ref, RefId } from './ref.ts';
import type { AcceptOptions, IncomingStream, StreamReader } from './streams/incoming-stream.ts';
import type { OpenOptions, OutgoingStream } from './streams/outgoing-stream.ts';
import type { StreamAddress } from './streams/protocols.ts';

/** Why an actor ended, as its watchers hear it. */
export type EndCause = 'stopped' | 'failed' | 'thread-lost' | 'node-lost';

export type Signal =
  | { readonly type: 'terminated'; readonly ref: AnyRef; readonly cause: EndCause }
  /** A child failed; its own supervision has already decided what happens to it. */
  | { readonly type: 'child-failed'; readonly child: AnyRef; readonly error: unknown }
  | { readonly type: 'stopping' };

export type Directive = 'resume' | 'restart' | 'stop' | 'escalate';

export interface Supervision {
  readonly decide: (error: unknown) => Directive;
  /** More restarts than this within `windowMs` stop the actor as failed. */
  readonly maxRestarts: number;
  readonly windowMs: number;
  /** `jitter` in [0, 1]: the share of each delay that is drawn at random. */
  readonly backoff: { readonly minMs: number; readonly maxMs: number; readonly jitter: number };
}

export interface Mailbox {
  readonly capacity: number;
  /** `reject`: the sender hears `full`. The others answer `accepted` and count what they drop. */
  readonly overflow: 'reject' | 'drop-oldest' | 'drop-newest';
}

/** An answer given after the handler returned. The first call counts, later ones do nothing. */
export interface Later<R> {
  ok(reply: R): void;
  fail(error: Error): void;
  /** True once the asker has given up, by its signal or its timeout: no answer is needed any more. */
  readonly isCancelled: boolean;
}

type Handler<T> =
  T extends Ask<infer I, infer R>
    ? (input: I) => R | Promise<R> | Later<R>
    : T extends Tell<infer I>
      ? (input: I) => void | Promise<void>
      : never;

/** What an actor lets be seen of itself. Counts only grow: who looks twice sees rates. */
export interface Shown {
  readonly counts?: Readonly<Record<string, number>>;
  readonly facts?: Readonly<Record<string, number | string>>;
}

/** One handler per op; leaving one out does not compile. */
export type Handlers<O extends Ops> = { readonly [K in keyof O]: Handler<O[K]> };

export interface ActorOptions<A> {
  readonly mailbox?: Mailbox;
  readonly supervision?: Supervision;
  /** Needed to spawn this actor on another thread: arguments travel as bytes. */
  readonly args?: Codec<A>;
}

export interface Actor<O extends Ops, A> {
  readonly protocol: Protocol<O>;
  readonly setup: (ctx: Context<O>, args: A) => Handlers<O>;
  readonly options: ActorOptions<A>;
}

/** An actor of any type, as the manifest and the cells hold it. */
export interface AnyActor {
  readonly protocol: AnyProtocol;
  readonly setup: (ctx: never, args: never) => object;
  readonly options: {
    readonly mailbox?: Mailbox;
    readonly supervision?: Supervision;
    readonly args?: Codec<unknown>;
  };
}

export function actor<O extends Ops, A>(
  protocol: Protocol<O>,
  setup: (ctx: Context<O>, args: A) => Handlers<O>,
  options: ActorOptions<A> = {},
): Actor<O, A> {
  return { protocol, setup, options };
}

/** `any` is the thread with the fewest actors spawned from here; `key` hashes over the threads. */
export type Placement = 'here' | 'any' | { readonly thread: number } | { readonly key: string };

export interface Spawner {
  /** Setup runs in the child's first turn. Throws ActorError for a name that is taken or misuse. */
  spawn<P extends Ops, A>(name: string, actor: Actor<P, A>, args: A, where?: Placement): Ref<P>;
}

export interface Context<O extends Ops> extends Spawner {
  readonly self: Ref<O>;
  readonly clock: Clock;
  /** A stream of its own, named by the path: another actor never shifts these dice. */
  readonly random: Random;
  readonly log: Log;
  /** Aborts when the actor stops. */
  readonly stopped: AbortSignal;
  /**
   * Read it before the first `await`: aborts when the asker of the present message gives up, by its
   * signal or its timeout, and when this life of the actor ends. Its answer is not needed any more.
   */
  readonly cancelled: AbortSignal;
  /** Stops this actor, or one of its children. The present message is finished first. */
  stop(child?: AnyRef): void;
  watch(ref: AnyRef): void;
  unwatch(ref: AnyRef): void;
  onSignal(handle: (signal: Signal) => void): void;
  /** What is shown beside what the runtime knows; called when somebody looks. */
  onInspect(show: () => Shown): void;
  /** A keyed timer: setting a key again replaces it; stop and restart cancel all. */
  schedule<K extends TellOp<O>>(key: string, delayMs: number, op: K, input: Input<O[K]>): void;
  cancel(key: string): void;
  /** Brings the outcome of a promise back as a message, without holding the mailbox. */
  pipe<T, K extends TellOp<O>>(
    work: Promise<T>,
    op: K,
    map: (result: PromiseSettledResult<T>) => Input<O[K]>,
  ): void;
  become(handlers: Handlers<O>): void;
  /** Puts the present message aside, at most as many as the mailbox holds; true if there was room. */
  stash(): boolean;
  /**
   * Puts the stashed messages back in front of the mailbox, in their order: as soon as the handler is done if the present
   * message is among them.
   */
  unstash(): void;
  later<R>(): Later<R>;
  /**
   * Keeps the memory behind the views of the present message beyond its handler, until the answered function
   * is called; calling that again does nothing. Who retains for ever makes senders of lent messages hear
   * `full`. It is also kept when the actor stops: a write may still be reading it.
   *
   * @throws ActorError ACTOR_MISUSE outside of a handler, and after its first `await`.
   */
  retain(): () => void;
  /**
   * Opens a stream of bytes that somebody else reads: who gets its `address` in a message and accepts it first.
   *
   * @throws ActorError ACTOR_FULL when this thread has as many streams as it may (`streamsMax`).
   */
  openStream(options?: OpenOptions): OutgoingStream;
  /**
   * Reads the stream of an address that arrived in a message, wherever it is written.
   *
   * @throws ActorError ACTOR_FULL as `openStream`; ACTOR_MISUSE for a window that is none.
   */
  acceptStream(
    address: StreamAddress,
    reader: StreamReader,
    options?: AcceptOptions,
  ): IncomingStream;
  /** A usable ref of an id that arrived in a message. */
  ref<P extends Ops>(protocol: Protocol<P>, id: RefId): Ref<P>;
}
