// What an actor sees of the runtime: its own cell, through the calls of Context. One object per actor
// and life; a context of a life before a restart does nothing any more.
import type { Clock, Log, Random } from '../env/environment.ts';
import type { Actor, Context, Handlers, Later, Placement, Shown, Signal } from './actor.ts';
import type { Cell } from './cell.ts';
import { ActorError } from './errors.ts';
import { retained } from './held-input.ts';
import type { Input, OpEntry, Ops, Protocol, TellOp } from './protocol.ts';
import type { AnyRef, Ref, RefId } from './ref.ts';
import { sameId } from './ref.ts';
import type { AcceptOptions, IncomingStream, StreamReader } from './streams/incoming-stream.ts';
import { acceptStream, openStream } from './streams/open.ts';
import type { OpenOptions, OutgoingStream } from './streams/outgoing-stream.ts';
import type { StreamAddress } from './streams/protocols.ts';
import type { StreamTable } from './streams/stream-table.ts';

/** What a context needs of the system beyond its cell. */
export interface ContextHost {
  spawnChild<P extends Ops, A>(
    parent: Cell,
    name: string,
    actor: Actor<P, A>,
    args: A,
    where: Placement,
  ): Ref<P>;
  ref<P extends Ops>(protocol: Protocol<P>, id: RefId): Ref<P>;
  readonly streams: StreamTable;
}

export class CellContext<O extends Ops> implements Context<O> {
  readonly #host: ContextHost;
  readonly #cell: Cell;
  readonly #epoch: number;
  #random: Random | undefined;
  #log: Log | undefined;

  constructor(host: ContextHost, cell: Cell) {
    this.#host = host;
    this.#cell = cell;
    this.#epoch = cell.epoch;
  }

  get self(): Ref<O> {
    return this.#cell.ref as Ref<O>;
  }

  get clock(): Clock {
    return this.#cell.host.clock;
  }

  get random(): Random {
    this.#random ??= this.#cell.host.random.fork(this.#cell.path);
    return this.#random;
  }

  get log(): Log {
    this.#log ??= this.#cell.host.log.child({ actor: this.#cell.path });
    return this.#log;
  }

  get cancelled(): AbortSignal {
    return this.#isCurrent ? this.#cell.cancelledSignal : this.#cell.stoppedSignal;
  }

  get stopped(): AbortSignal {
    return this.#cell.stoppedSignal;
  }

  spawn<P extends Ops, A>(
    name: string,
    actor: Actor<P, A>,
    args: A,
    where: Placement = 'here',
  ): Ref<P> {
    if (!this.#isCurrent) {
      const { path } = this.#cell;
      throw new ActorError('ACTOR_STOPPED', `${path} has ended: it spawns no ${name}`, { name });
    }
    return this.#host.spawnChild(this.#cell, name, actor, args, where);
  }

  stop(child?: AnyRef): void {
    const cell = this.#cell;
    if (child === undefined || sameId(child.id, cell.id)) {
      if (this.#isCurrent) cell.requestStop();
      return;
    }
    const near = cell.host.childOf(cell, child.id);
    if (near !== undefined) {
      near.requestStop();
      return;
    }
    for (const each of cell.children?.elsewhere.values() ?? []) {
      if (sameId(each.id, child.id)) cell.host.sendStop(each.id);
    }
  }

  watch(ref: AnyRef): void {
    if (this.#isCurrent) this.#cell.watch(ref);
  }

  unwatch(ref: AnyRef): void {
    this.#cell.watches?.unwatch(ref);
  }

  onSignal(handle: (signal: Signal) => void): void {
    if (this.#isCurrent) this.#cell.signalHandler = handle;
  }

  onInspect(show: () => Shown): void {
    if (this.#isCurrent) this.#cell.inspectHandler = show;
  }

  schedule<K extends TellOp<O>>(key: string, delayMs: number, op: K, input: Input<O[K]>): void {
    if (!Number.isFinite(delayMs)) {
      throw new ActorError('ACTOR_MISUSE', `${delayMs} is no delay for ${op}`, { op });
    }
    if (this.#isCurrent) this.#cell.schedule(key, delayMs, this.#entry(op), input);
  }

  cancel(key: string): void {
    if (this.#isCurrent) this.#cell.cancelTimer(key);
  }

  pipe<T, K extends TellOp<O>>(
    work: Promise<T>,
    op: K,
    map: (result: PromiseSettledResult<T>) => Input<O[K]>,
  ): void {
    const { tracer } = this.#cell.host;
    const settled = (result: PromiseSettledResult<T>): void => {
      const cell = this.#cell;
      if (!this.#isCurrent) {
        cell.host.deadLetters.add(cell.path, op, 'stopped');
        return;
      }
      try {
        this.self.tell(op, map(result));
      } catch (error) {
        cell.postSystem({ kind: 'fail', error });
      }
    };
    const deliver = tracer === undefined ? settled : tracer.bind(settled);
    work.then(
      (value) => deliver({ status: 'fulfilled', value }),
      (reason: unknown) => deliver({ status: 'rejected', reason }),
    );
  }

  become(handlers: Handlers<O>): void {
    if (this.#isCurrent) this.#cell.become(handlers);
  }

  stash(): boolean {
    return this.#isCurrent && this.#cell.stash();
  }

  unstash(): void {
    if (this.#isCurrent) this.#cell.unstash();
  }

  later<R>(): Later<R> {
    return this.#cell.makeLater<R>();
  }

  retain(): () => void {
    if (this.#isCurrent && this.#cell.op !== undefined) return retained(this.#cell.input);
    const message = 'retain is for the message that is being handled, before the first await';
    throw new ActorError('ACTOR_MISUSE', message);
  }

  ref<P extends Ops>(protocol: Protocol<P>, id: RefId): Ref<P> {
    return this.#host.ref(protocol, id);
  }

  openStream(options?: OpenOptions): OutgoingStream {
    return openStream(this.#host.streams, this, options);
  }

  acceptStream(
    address: StreamAddress,
    reader: StreamReader,
    options?: AcceptOptions,
  ): IncomingStream {
    return acceptStream(this.#host.streams, this, address, reader, options);
  }

  get #isCurrent(): boolean {
    return this.#cell.epoch === this.#epoch;
  }

  #entry(op: string): OpEntry {
    const entry = this.#cell.actor.protocol.byName.get(op);
    if (entry === undefined || entry.isAsk) {
      throw new ActorError('ACTOR_MISUSE', `${this.#cell.path} has no tell ${op}`, { op });
    }
    return entry;
  }
}
