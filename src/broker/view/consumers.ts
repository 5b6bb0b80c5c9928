// Who takes messages from a queue, as its leader knows it: consumers by the node that speaks for them,
// each with the one receive that it may have waiting. Soft state: after a move everybody attaches anew.
import type { Runs } from './runs.ts';

/** A node in one life: what it holds comes back when that life is over. */
export interface Owner {
  readonly node: number;
  readonly incarnation: number;
}

export interface ConsumerOptions {
  /** Messages count as acknowledged when they are delivered. */
  readonly isAutoAcknowledging: boolean;
  /** Nobody else may consume. */
  readonly isExclusive: boolean;
  /** Fetches now and then: counts for nobody as a consumer, and minds no exclusive one. */
  readonly isPassive: boolean;
  readonly priority: number;
}

export class Consumer {
  readonly slot: number;
  readonly id: number;
  readonly owner: Owner;
  readonly options: ConsumerOptions;
  /** It was detached, and holds messages that may still be settled. */
  isDetached = false;
  /** The receive that waits, or -1. */
  token = -1;
  /** Messages that the receive may still be answered with. */
  credit = 0;
  /** How long messages of this receive are leased; 0: until they are settled. */
  leaseMs = 0;
  /** The receive asks what is there now and waits for nothing that is yet to come. */
  isImmediate = false;
  /** Has room for more and will ask again: lower priorities wait for a moment. */
  isExpected = false;
  /** What the decision under way gives it. */
  runs: Runs | undefined;
  // Neighbours among those of one priority whose receive waits.
  before: Consumer | undefined;
  after: Consumer | undefined;

  constructor(slot: number, id: number, owner: Owner, options: ConsumerOptions) {
    this.slot = slot;
    this.id = id;
    this.owner = owner;
    this.options = options;
  }

  get isWaiting(): boolean {
    return this.token >= 0;
  }
}

interface OwnerEntry {
  incarnation: number;
  /** Incarnations up to here are gone for good. */
  goneThrough: number;
  readonly consumers: Map<number, Consumer>;
}

export class Consumers {
  /** Those that count: not passive, not detached. */
  count = 0;
  /** All, by slot. */
  readonly slots: (Consumer | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #owners = new Map<number, OwnerEntry>();
  #exclusive: Consumer | undefined;

  get total(): number {
    return this.slots.length - this.#free.length;
  }

  find({ node, incarnation }: Owner, id: number): Consumer | undefined {
    const entry = this.#owners.get(node);
    return entry?.incarnation === incarnation ? entry.consumers.get(id) : undefined;
  }

  /** Whether a later incarnation of that node is known, or this one was given up. */
  isGone({ node, incarnation }: Owner): boolean {
    const entry = this.#owners.get(node);
    return (
      entry !== undefined && (incarnation < entry.incarnation || incarnation <= entry.goneThrough)
    );
  }

  /** Whether an exclusive consumer keeps others out, or others keep an exclusive one out. */
  isRefused(options: ConsumerOptions): boolean {
    if (options.isPassive) return false;
    return this.#exclusive !== undefined || (options.isExclusive && this.count > 0);
  }

  add(id: number, owner: Owner, options: ConsumerOptions): Consumer {
    let entry = this.#owners.get(owner.node);
    if (entry === undefined) {
      entry = { incarnation: owner.incarnation, goneThrough: -1, consumers: new Map() };
      this.#owners.set(owner.node, entry);
    }
    // Of an earlier life only those are left that are detached: their leases find them by slot.
    if (entry.incarnation !== owner.incarnation) entry.consumers.clear();
    entry.incarnation = owner.incarnation;
    const slot = this.#free.pop() ?? this.slots.length;
    const consumer = new Consumer(slot, id, owner, options);
    this.slots[slot] = consumer;
    entry.consumers.set(id, consumer);
    if (!options.isPassive) this.count += 1;
    if (options.isExclusive) this.#exclusive = consumer;
    return consumer;
  }

  /** It consumes no more; what it holds stays with it. */
  detach(consumer: Consumer): void {
    if (consumer.isDetached) return;
    consumer.isDetached = true;
    if (!consumer.options.isPassive) this.count -= 1;
    if (this.#exclusive === consumer) this.#exclusive = undefined;
  }

  /** Forgets a detached consumer that holds nothing. */
  remove(consumer: Consumer): void {
    this.slots[consumer.slot] = undefined;
    this.#free.push(consumer.slot);
    const known = this.#owners.get(consumer.owner.node)?.consumers;
    if (known?.get(consumer.id) === consumer) known.delete(consumer.id);
  }

  /** All consumers of a node in incarnations up to this one, which never come back. */
  giveUp({ node, incarnation }: Owner): Consumer[] {
    let entry = this.#owners.get(node);
    if (entry === undefined) {
      entry = { incarnation: -1, goneThrough: -1, consumers: new Map() };
      this.#owners.set(node, entry);
    }
    entry.goneThrough = Math.max(entry.goneThrough, incarnation);
    return entry.incarnation <= incarnation ? [...entry.consumers.values()] : [];
  }

  /** Consumers of earlier incarnations of a node that is here with a new one. */
  earlier({ node, incarnation }: Owner): Consumer[] {
    const entry = this.#owners.get(node);
    return entry !== undefined && entry.incarnation < incarnation
      ? [...entry.consumers.values()]
      : [];
  }
}
