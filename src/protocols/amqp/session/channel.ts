// One channel: its commands one after another, in the order in which they came. A command that has to ask somebody
// makes those behind it wait, on this channel only; what waits is copied, because the tape is lent.
//
// Invariant: each command is answered before the next one is looked at, and after a mistake nothing is done any more.
import type {
  NamesView,
  Publisher,
  PublishOutcome,
  PublishSink,
  RecordParts,
} from '../../../broker/ports.ts';
import {
  AmqpError,
  ENTRY_INTS,
  type Fault,
  METHOD_CODECS,
  type Method,
  type MethodInput,
  type MethodName,
  OP_ACK,
  OP_FAULT,
  OP_METHOD,
  OP_NACK,
  OP_PUBLISH,
  OP_REJECT,
  type Refusal,
  writeMethod,
} from '../codec/index.ts';
import { Confirms } from './confirms.ts';
import { Consumer, Prefetch } from './consumers.ts';
import { requeueAll, settle } from './consuming.ts';
import { copyEntry, type DeferredEntry } from './deferred.ts';
import type { ChannelHost } from './host.ts';
import { handleMethod } from './methods.ts';
import type { Answers, QuestionKind, QuestionOf } from './ports.ts';
import { publish, sendReturn } from './publishing.ts';
import type { FoundQueue } from './queues.ts';
import type { Rights } from './rights.ts';
import { Unacked } from './unacked.ts';

/** Who the channel waits for: a queue that has not said whether it takes a consumer, or what a get finds. */
export interface Awaited {
  readonly consumer: Consumer;
  readonly hasReply: boolean;
}

export class Channel implements PublishSink {
  readonly number: number;
  readonly host: ChannelHost;
  /** The queue that an empty name stands for. */
  lastQueue = '';
  readonly prefetch: Prefetch;
  readonly unacked = new Unacked();
  /** Once the client has asked for them. */
  confirms: Confirms | undefined;
  awaited: Awaited | undefined;
  /** Nothing is done any more. */
  isOver = false;
  #isBusy = false;
  /** The method at work, which errors name. */
  #method: MethodName = 'channel.open';
  #deferred: (DeferredEntry | (() => void))[] = [];
  #publisher: Publisher | undefined;
  #getter: Consumer | undefined;
  #lastTag = 0;

  constructor(host: ChannelHost, number: number) {
    this.host = host;
    this.number = number;
    this.prefetch = new Prefetch(host.reader);
  }

  // ---- Commands ---------------------------------------------------------------------------------

  /** An entry of the tape, at ints[at]; `object` is its method or fault. */
  entry(
    ints: Int32Array,
    at: number,
    bytes: Uint8Array | undefined,
    object: Method | Fault | undefined,
  ): void {
    if (this.isOver) return;
    if (this.#isBusy) {
      const size = ENTRY_INTS[ints[at]!]!;
      const copy = copyEntry(ints.slice(at, at + size), bytes, object);
      this.#deferred.push(copy);
      this.host.defer(copy.heldBytes);
    } else {
      this.#run(ints, at, bytes, object);
    }
  }

  /** Calls `then` behind all that has come so far, or when the channel ends. */
  afterAll(then: () => void): void {
    if (this.#isBusy && !this.isOver) this.#deferred.push(then);
    else then();
  }

  #run(
    ints: Int32Array,
    at: number,
    bytes: Uint8Array | undefined,
    object: Method | Fault | undefined,
  ): void {
    const op = ints[at]!;
    switch (op) {
      case OP_PUBLISH:
        this.#method = 'basic.publish';
        this.#end(publish(this, ints, at, bytes!));
        return;
      case OP_ACK:
      case OP_NACK:
      case OP_REJECT:
        this.#method = op === OP_ACK ? 'basic.ack' : op === OP_NACK ? 'basic.nack' : 'basic.reject';
        this.#end(settle(this, op, ints, at));
        return;
      case OP_METHOD: {
        const method = object as Method;
        this.#method = method.name;
        this.#end(handleMethod(this, method));
        return;
      }
      case OP_FAULT:
        this.host.fail(this, (object as Fault).error);
        return;
      default:
        throw new RangeError(`no channel does ${op}`);
    }
  }

  #end(refusal: Refusal | undefined): void {
    if (refusal === undefined || this.isOver) return;
    this.host.fail(this, new AmqpError(...refusal, METHOD_CODECS[this.#method]));
  }

  reply<N extends MethodName>(name: N, args: MethodInput<N>): void {
    if (!this.isOver) writeMethod(this.host.ports.writer(), this.number, name, args);
  }

  /** Nothing else is done until the answer is there and `then` has looked at it. */
  ask<K extends QuestionKind>(
    question: QuestionOf<K>,
    then: (answer: Answers[K]) => Refusal | undefined,
  ): void {
    this.#isBusy = true;
    this.host.ports.ask(question, (answer) => {
      if (this.isOver) return;
      this.#isBusy = false;
      this.#end(then(answer));
      this.#drain();
    });
  }

  await(awaited: Awaited): void {
    this.#isBusy = true;
    this.awaited = awaited;
    this.host.ports.awaitQueue(this.number);
  }

  /** Who was waited for has answered. */
  goOn(refusal?: Refusal): void {
    this.awaited = undefined;
    this.host.ports.doneWaiting(this.number);
    this.#isBusy = false;
    this.#end(refusal);
    this.#drain();
  }

  #drain(): void {
    let done = 0;
    for (const next of this.#deferred) {
      if (this.#isBusy || this.isOver) break;
      done += 1;
      if (typeof next === 'function') {
        next();
      } else {
        this.host.undefer(next.heldBytes);
        this.#run(next.ints, 0, next.bytes, next.object);
      }
    }
    if (!this.isOver) this.#deferred.splice(0, done);
  }

  get vhost(): string {
    return this.host.rights.vhost;
  }

  /** What there is in the vhost. */
  get names(): NamesView {
    return this.host.names;
  }

  get rights(): Rights {
    return this.host.rights;
  }

  // ---- What commands use ------------------------------------------------------------------------

  get publisher(): Publisher {
    this.#publisher ??= this.host.exchanges.publisher(this);
    return this.#publisher;
  }

  /** What basic.get asks with. */
  getter({ name: queue, destination }: FoundQueue, isAutoAcknowledging: boolean): Consumer {
    const known = this.#getter;
    const isQuorum = destination.queue?.quorum !== undefined;
    if (known !== undefined) {
      const { facts } = known;
      const isSame = facts.queue === queue && facts.isQuorum === isQuorum;
      if (isSame && facts.isAutoAcknowledging === isAutoAcknowledging) return known;
      known.isAttached = false;
      if (known.held === 0) this.host.forget(known);
    }
    this.#getter = new Consumer({
      number: this.host.nextConsumer(),
      channel: this,
      tag: undefined,
      queue,
      logId: 0,
      isStream: false,
      isQuorum,
      isAutoDelete: false,
      isAutoAcknowledging,
      prefetch: Number.POSITIVE_INFINITY,
    });
    this.#getter.isAttached = true;
    this.host.register(this.#getter);
    return this.#getter;
  }

  nextDeliveryTag(): number {
    this.#lastTag += 1;
    return this.#lastTag;
  }

  selectConfirms(): void {
    this.confirms ??= new Confirms();
  }

  // ---- What the broker tells of publishes ---------------------------------------------------------

  unroutable(_ticket: number, message: RecordParts): void {
    if (!this.isOver) sendReturn(this, message);
  }

  resolved(ticket: number, outcome: PublishOutcome): void {
    if (this.isOver || ticket < 0 || this.confirms === undefined) return;
    if (!this.confirms.hasFresh) this.host.confirmLater(this);
    this.confirms.resolve(ticket, outcome === 'stored');
  }

  full(): void {
    this.host.full(this, true);
  }

  room(): void {
    this.host.full(this, false);
  }

  blocked(): void {
    this.host.blocked(this, true);
  }

  unblocked(): void {
    this.host.blocked(this, false);
  }

  // ---- The end ----------------------------------------------------------------------------------

  /** Gives everything back that the channel has; `then` is called when its queues know. */
  close(then: () => void): void {
    if (this.isOver) return;
    const { host } = this;
    this.isOver = true;
    if (this.awaited !== undefined) host.ports.doneWaiting(this.number);
    const waiting: (() => void)[] = [];
    for (const next of this.#deferred.splice(0)) {
      if (typeof next === 'function') waiting.push(next);
      else host.undefer(next.heldBytes);
    }
    requeueAll(this);
    const orphans = new Map<number, string>();
    for (const consumer of [...this.prefetch.consumers.values()]) {
      const { logId, queue, isAutoDelete } = consumer.facts;
      host.reader.detach(consumer.number, false);
      this.prefetch.remove(consumer);
      host.forget(consumer);
      if (isAutoDelete) orphans.set(logId, queue);
    }
    if (this.#getter !== undefined) host.forget(this.#getter);
    this.#publisher?.close();
    host.full(this, false);
    host.blocked(this, false);
    this.#deleteUnused(orphans, then);
    for (const next of waiting) next();
  }

  #deleteUnused(orphans: ReadonlyMap<number, string>, then: () => void): void {
    let waiting = orphans.size;
    if (waiting === 0) {
      then();
      return;
    }
    for (const [logId, name] of orphans) {
      this.host.ports.ask({ kind: 'delete-unused', name, logId }, () => {
        waiting -= 1;
        if (waiting === 0) then();
      });
    }
  }
}
