// The consumers of one connection, by the number under which the broker knows them, and how many messages each may
// hold: its own limit, and what is left of the one that its channel shares.
import type { QueueReader } from '../../../broker/ports.ts';
import { encodeUtf8 } from '../../../std/bytes.ts';
import type { Channel } from './channel.ts';

export interface ConsumerFacts {
  readonly number: number;
  readonly channel: Channel;
  /** Undefined: what basic.get asks with, and no consumer to its client. */
  readonly tag: string | undefined;
  readonly queue: string;
  /** Of a queue. */
  readonly logId: number;
  /** Its messages stay, and say where they are. */
  readonly isStream: boolean;
  /** Whether the queue goes with its last consumer. */
  readonly isAutoDelete: boolean;
  /** Whatever comes back to the queue counts, and is told how often it did. */
  readonly isQuorum: boolean;
  /** Messages count as acknowledged when they are delivered. */
  readonly isAutoAcknowledging: boolean;
  /** Messages that it may hold; Infinity: no limit of its own. */
  readonly prefetch: number;
}

export class Consumer {
  readonly facts: ConsumerFacts;
  readonly number: number;
  readonly tagBytes: Uint8Array;
  /** Messages that the client has and has not settled. */
  held = 0;
  /** The queue has said yes, and nobody has said no since. */
  isAttached = false;

  constructor(facts: ConsumerFacts) {
    this.facts = facts;
    this.number = facts.number;
    this.tagBytes = encodeUtf8(facts.tag ?? '');
  }
}

/** The consumers of one channel and the limits they are under. */
export class Prefetch {
  readonly #reader: QueueReader;
  readonly #consumers = new Map<string, Consumer>();
  /** Of consumers that start from now on. */
  next = Number.POSITIVE_INFINITY;
  /** Shared by all consumers of the channel. */
  #shared = Number.POSITIVE_INFINITY;
  /** Messages that they hold, also those that are consumers no more. */
  held = 0;
  #isStopped = false;

  constructor(reader: QueueReader) {
    this.#reader = reader;
  }

  get consumers(): ReadonlyMap<string, Consumer> {
    return this.#consumers;
  }

  byTag(tag: string): Consumer | undefined {
    return this.#consumers.get(tag);
  }

  add(consumer: Consumer): void {
    this.#consumers.set(consumer.facts.tag!, consumer);
  }

  remove(consumer: Consumer): void {
    consumer.isAttached = false;
    this.#consumers.delete(consumer.facts.tag!);
  }

  /** All consumers of the channel share a limit. */
  get isShared(): boolean {
    return this.#shared !== Number.POSITIVE_INFINITY;
  }

  set shared(limit: number) {
    this.#shared = limit;
    this.lendAll();
  }

  /** The client is slow: nobody gets anything until `start`. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.lendAll();
  }

  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.lendAll();
  }

  /** The consumer may get messages. */
  lend(consumer: Consumer): void {
    if (consumer.isAttached) this.#reader.credit(consumer.number, this.#creditOf(consumer));
  }

  lendAll(): void {
    for (const consumer of this.#consumers.values()) this.lend(consumer);
  }

  /** The client has a message that it must settle. */
  delivered(consumer: Consumer): void {
    consumer.held += 1;
    if (consumer.facts.tag === undefined) return;
    this.held += 1;
    if (this.isShared) this.lendAll();
  }

  /** `refill` follows when all of a command are settled. */
  settled(consumer: Consumer): void {
    consumer.held -= 1;
    if (consumer.facts.tag !== undefined) this.held -= 1;
  }

  /** Something was settled: what is shared may be used by others. */
  refill(): void {
    if (this.isShared) this.lendAll();
  }

  #creditOf(consumer: Consumer): number {
    if (this.#isStopped) return 0;
    if (consumer.facts.isAutoAcknowledging) return Number.POSITIVE_INFINITY;
    const left = Math.max(0, this.#shared - this.held);
    return Math.min(consumer.facts.prefetch, consumer.held + left);
  }
}
