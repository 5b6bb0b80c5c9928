// Who publishes on this shard, and how much of each is under way. Whoever has too much, or sends into a
// log or a shard that has, is told to stop reading its connection, and told again when there is room.
import { Slots } from '../exchange/slots.ts';
import { PUBLISH_HEAD_BYTES_MAX } from '../view/commands.ts';
import type { PublishOutcome, PublishSink } from './queue-api.ts';

export interface PublishLimits {
  /** Bytes under way of one publisher, of one log, and of the shard: above, publishers are told to wait. */
  readonly publisherBytesMax: number;
  readonly logBytesMax: number;
  readonly shardBytesMax: number;
  /** Bytes of one batch, as far as its first message leaves room. */
  readonly batchBytesMax: number;
  /** Batches of one log that wait for an answer at a time. */
  readonly batchesInFlightMax: number;
  readonly confirmTimeoutMs: number;
}

const MIB = 1024 * 1024;

export const PUBLISH_DEFAULTS: PublishLimits = {
  publisherBytesMax: 8 * MIB,
  logBytesMax: 16 * MIB,
  shardBytesMax: 64 * MIB,
  /** With what is in front of it, it fits into an array of 1 MiB. */
  batchBytesMax: MIB - PUBLISH_HEAD_BYTES_MAX,
  batchesInFlightMax: 8,
  confirmTimeoutMs: 30_000,
};

interface Entry {
  readonly sink: PublishSink;
  bytes: number;
  flights: number;
  /** Why it waits: one for its own bytes, for the shard's, and for each log. */
  reasons: number;
  /** Logs whose leader has no room on its disk for what it published. */
  blocks: number;
  isOver: boolean;
  isClosed: boolean;
}

export class Publishers {
  readonly #limits: PublishLimits;
  readonly #slots = new Slots();
  readonly #entries: (Entry | undefined)[] = [];
  #shardBytes = 0;
  readonly #heldByShard = new Set<number>();

  constructor(limits: PublishLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#slots.count;
  }

  add(sink: PublishSink): number {
    const slot = this.#slots.take();
    const counts = { bytes: 0, flights: 0, reasons: 0, blocks: 0 };
    this.#entries[slot] = { sink, ...counts, isOver: false, isClosed: false };
    return slot;
  }

  sinkOf(slot: number): PublishSink | undefined {
    const entry = this.#entries[slot];
    return entry === undefined || entry.isClosed ? undefined : entry.sink;
  }

  took(slot: number, bytes: number): void {
    const entry = this.#entries[slot]!;
    entry.bytes += bytes;
    entry.flights += 1;
    this.#shardBytes += bytes;
    if (!entry.isOver && entry.bytes > this.#limits.publisherBytesMax) {
      entry.isOver = true;
      this.hold(slot);
    }
    if (this.#shardBytes <= this.#limits.shardBytesMax || this.#heldByShard.has(slot)) return;
    this.#heldByShard.add(slot);
    this.hold(slot);
  }

  told(slot: number, ticket: number, outcome: PublishOutcome, offset: number): void {
    this.sinkOf(slot)?.resolved(ticket, outcome, offset);
  }

  /** Every log has answered. */
  landed(slot: number, bytes: number): void {
    const entry = this.#entries[slot]!;
    entry.bytes -= bytes;
    entry.flights -= 1;
    this.#shardBytes -= bytes;
    if (entry.isOver && entry.bytes <= this.#limits.publisherBytesMax / 2) {
      entry.isOver = false;
      this.release(slot);
    }
    if (this.#heldByShard.size > 0 && this.#shardBytes <= this.#limits.shardBytesMax / 2) {
      const held = [...this.#heldByShard];
      this.#heldByShard.clear();
      for (const each of held) this.release(each);
    }
    this.#forgetIfDone(slot, entry);
  }

  hold(slot: number): void {
    const entry = this.#entries[slot]!;
    entry.reasons += 1;
    if (entry.reasons === 1 && !entry.isClosed) entry.sink.full();
  }

  release(slot: number): void {
    const entry = this.#entries[slot]!;
    entry.reasons -= 1;
    if (entry.reasons === 0 && !entry.isClosed) entry.sink.room();
    this.#forgetIfDone(slot, entry);
  }

  block(slot: number): void {
    const entry = this.#entries[slot]!;
    entry.blocks += 1;
    if (entry.blocks === 1 && !entry.isClosed) entry.sink.blocked();
  }

  unblock(slot: number): void {
    const entry = this.#entries[slot]!;
    entry.blocks -= 1;
    if (entry.blocks === 0 && !entry.isClosed) entry.sink.unblocked();
    this.#forgetIfDone(slot, entry);
  }

  close(slot: number): void {
    const entry = this.#entries[slot]!;
    entry.isClosed = true;
    this.#forgetIfDone(slot, entry);
  }

  /** What it published is stored all the same, so its slot is another's only when all of that has landed. */
  #forgetIfDone(slot: number, entry: Entry): void {
    const isBusy = entry.flights > 0 || entry.reasons > 0 || entry.blocks > 0;
    if (!entry.isClosed || isBusy || this.#entries[slot] !== entry) return;
    this.#entries[slot] = undefined;
    this.#slots.giveBack(slot);
  }
}
