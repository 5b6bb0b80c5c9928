// All rings of one thread: it polls them when a turn begins, shows what was written when the turn ends,
// and rings at most one bell per peer and turn. Runs on every thread that has peers.
// Invariant: before the thread sleeps, every reader has either set its sleeping flag and seen an empty
// ring, or another turn is requested, so no record waits for a bell that nobody will ring.
import type { Doorbell, Threads } from '../../env/threads.ts';
import { readU32le } from '../../std/byte-ops.ts';
import type { EndCause } from '../actor.ts';
import type { GivesBack } from '../held-input.ts';
import { FLAG_OUT_OF_BAND, paddedSize, RECORD_HEADER_BYTES } from '../record.ts';
import type { Place } from '../ref.ts';
import { idPath } from '../ref.ts';
import type { System } from '../system.ts';
import type { Deadline } from '../timers.ts';
import type { Chunk, RingReader } from './ring.ts';
import type { RingCounters, RingPair, RouteOwner } from './ring-route.ts';
import { RingRoute } from './ring-route.ts';
import type { SlabPool, SlabReader } from './slab-pool.ts';
import { bellOf, type WaitBell } from './wait-bell.ts';

/** Records delivered per turn: half of a drain, so that what arrives is handled in the same turn. */
const RECORDS_PER_POLL = 512;
/** The same when the last drain did not get through: the rest waits in the ring, and senders hear it. */
const RECORDS_WHEN_BEHIND = 64;
/** A published record that is not taken for this long gets another bell. */
const SAFETY_BELL_MS = 100;
/**
 * A bell that is heard so long after the last turn has ended a sleep. One that comes sooner finds the thread at work:
 * its turn is the one that all events of this round of the loop share, and bells that follow each other never keep
 * sockets waiting. Who waits for an answer sleeps for about two wake-ups, and less than a stream of records pauses.
 */
const SLEPT_MS = 0.1;
const SLEPT_FOR_ANSWER_MS = 0.02;
/** Four wake-ups a second of a thread that blocks and is idle. */
const BLOCKED_MS_MAX = 250;

/** One large payload that is read where its sender wrote it. */
class SlabLoan implements GivesBack {
  readonly #hub: RingHub;
  readonly #route: RingRoute;
  readonly #slab: SlabReader;
  readonly #position: number;

  constructor(hub: RingHub, route: RingRoute, slab: SlabReader, position: number) {
    this.#hub = hub;
    this.#route = route;
    this.#slab = slab;
    this.#position = position;
  }

  give(bytes: Uint8Array): void {
    this.#hub.giveBack(this.#route, this.#slab, this.#position, bytes.length);
  }
}

export class RingHub implements RouteOwner {
  readonly place: Place;
  readonly slab: SlabPool;
  readonly counters: RingCounters = {
    bells: 0,
    safetyBells: 0,
    recordsSent: 0,
    recordsReceived: 0,
    bytesSent: 0,
    outOfBandBytes: 0,
    full: 0,
    heldBytes: 0,
  };
  readonly #system: System;
  readonly #threads: Threads;
  readonly #routes: RingRoute[] = [];
  readonly #bells = new Map<number, Doorbell>();
  #firstPolled = 0;
  #turnEndMs = Number.NEGATIVE_INFINITY;
  #safety: Deadline | undefined;

  constructor(system: System, threads: Threads, slab: SlabPool) {
    this.#system = system;
    this.#threads = threads;
    this.place = system.place;
    this.slab = slab;
    system.turn.onPoll(() => this.#poll());
    system.turn.onPhase('publish', () => this.#publish());
    threads.onBell(() => this.#heard());
  }

  /** A peer exists (again): its rings are ready, whether it has started or not. */
  attach(thread: number, pair: RingPair): void {
    let route = this.#routes.find((each) => each.thread === thread);
    if (route === undefined) {
      route = new RingRoute(this, thread);
      this.#routes.push(route);
      this.#system.setRoute(this.place.node, thread, route);
    }
    route.attach(pair);
    this.#bells.set(
      thread,
      pair.bell === undefined ? this.#threads.doorbell(thread) : bellOf(pair.bell),
    );
    this.#system.turn.request();
  }

  /** A peer is dead. What it had published is delivered first: those sends had happened. */
  detach(thread: number, cause: EndCause): void {
    const route = this.#routes.find((each) => each.thread === thread);
    if (route?.reader === undefined) return;
    try {
      while (this.#take(route, RECORDS_PER_POLL) > 0);
    } catch (error) {
      this.#system.log.error('a dead thread left a corrupt ring', { thread, error });
    }
    this.#bells.delete(thread);
    const lost = route.detach();
    if (lost > 0) {
      const path = idPath({ ...this.place, thread, slot: 0, generation: 0 });
      this.#system.deadLetters.add(path, `${lost} messages`, 'thread-lost', lost);
    }
    this.#system.threadLost(this.place.node, thread, () => true, cause);
    // What it held of our slab is free: who waits on another way may try again.
    this.#system.turn.request();
  }

  /**
   * When there is nothing to do, this thread blocks until `bell` rings. It looks after its event loop at least
   * every 250 ms: control messages from thread 0 ring, other IO does not.
   */
  blockOn(bell: WaitBell): void {
    const { turn, deadlines, clock, heartbeat } = this.#system;
    turn.onIdle(() => {
      const dueMs = deadlines.nextDueMs ?? Number.POSITIVE_INFINITY;
      const limitMs = Math.min(BLOCKED_MS_MAX, dueMs - clock.monotonicMs());
      if (limitMs > 0) {
        // A loop that is blocked counts as busy: only this tells it from one that stands still.
        heartbeat.rest();
        bell.wait(limitMs);
        heartbeat.beat();
      }
      // Promises and the event loop come round before it.
      turn.request();
    });
  }

  /** A bell. The thread that slept takes its turn at once: whoever rang may be waiting for it. */
  #heard(): void {
    const { turn, clock, asks } = this.#system;
    const sleptMs = clock.monotonicMs() - this.#turnEndMs;
    if (sleptMs >= (asks.openCount > 0 ? SLEPT_FOR_ANSWER_MS : SLEPT_MS)) turn.now();
    else turn.request();
  }

  /** RouteOwner: a turn is needed to publish. */
  wrote(): void {
    this.#system.turn.request();
  }

  /** Live peers, for inspection. */
  get peers(): readonly number[] {
    return this.#routes.filter((each) => each.reader !== undefined).map((each) => each.thread);
  }

  #poll(): void {
    const count = this.#routes.length;
    const isReleased = !this.slab.isWanting;
    let left = this.#system.turn.isBehind ? RECORDS_WHEN_BEHIND : RECORDS_PER_POLL;
    for (let i = 0; i < count; i += 1) {
      const route = this.#routes[(this.#firstPolled + i) % count]!;
      route.reader?.wake();
      if (left > 0) left -= this.#take(route, left);
      // A chunk ends where the buffer ends: the rest of a full ring is a second one.
      if (left > 0) left -= this.#take(route, left);
      if (route.wantsRoom) route.roomMade(isReleased);
    }
    if (count > 0) this.#firstPolled = (this.#firstPolled + 1) % count;
  }

  #take(route: RingRoute, recordsMax: number): number {
    const { reader } = route;
    const chunk = reader?.take(recordsMax);
    if (reader === undefined || chunk === undefined) return 0;
    if (reader.takeRoomWish()) this.ring(route.thread);
    this.counters.recordsReceived += chunk.count;
    this.#deliver(route, chunk);
    return chunk.count;
  }

  #deliver(route: RingRoute, { bytes, count }: Chunk): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const { inbound } = this.#system;
    let at = 0;
    for (let i = 0; i < count; i += 1) {
      const length = view.getUint32(at, true);
      const payloadAt = at + RECORD_HEADER_BYTES;
      if (view.getUint8(at + 7) === FLAG_OUT_OF_BAND) {
        const position = readU32le(bytes, payloadAt);
        const size = readU32le(bytes, payloadAt + 4);
        this.#deliverOutOfBand(route, view, at, position, size);
      } else inbound.receive(view, at, bytes, payloadAt, at + length);
      at += paddedSize(length);
    }
  }

  #deliverOutOfBand(
    route: RingRoute,
    view: DataView,
    at: number,
    position: number,
    size: number,
  ): void {
    const { inbound } = this.#system;
    const slab = route.peerSlab!;
    const payload = slab.bytes.subarray(position, position + size);
    if (inbound.lends(view, at)) {
      this.counters.heldBytes += size;
      inbound.receive(view, at, payload, 0, size, new SlabLoan(this, route, slab, position));
      return;
    }
    // slice copies out of shared memory, so the peer has its slab back at once.
    const copy = payload.slice();
    if (slab.release(position)) this.ring(route.thread);
    inbound.receive(view, at, copy, 0, size);
  }

  /** A loan has ended; its lender may have ended before. */
  giveBack(route: RingRoute, slab: SlabReader, position: number, size: number): void {
    this.counters.heldBytes -= size;
    if (slab.release(position) && route.peerSlab === slab) this.ring(route.thread);
  }

  #publish(): void {
    for (const route of this.#routes) {
      if (route.publish()) this.ring(route.thread);
    }
    if (this.#safety === undefined) this.#armSafety();
    const { turn } = this.#system;
    for (const { reader } of this.#routes) {
      if (reader === undefined || this.#sleep(reader)) continue;
      turn.request();
    }
    this.#turnEndMs = this.#system.clock.monotonicMs();
  }

  #sleep(reader: RingReader): boolean {
    // With another turn on its way a bell would be wasted: that turn polls.
    if (this.#system.turn.isRequested || this.#system.turn.readyCount > 0) return true;
    return reader.sleep();
  }

  ring(thread: number): void {
    this.counters.bells += 1;
    this.#bells.get(thread)?.ring();
  }

  /** Armed only while something published waits, so an idle thread has no timer for this. */
  #armSafety(): void {
    let before: Map<RingRoute, number> | undefined;
    for (const route of this.#routes) {
      const used = route.writer?.usedBytes ?? 0;
      if (used > 0 || route.isShortOfSlab)
        before = (before ?? new Map<RingRoute, number>()).set(route, used);
    }
    if (before === undefined) return;
    const waiting = before;
    this.#safety = this.#system.deadlines.after(SAFETY_BELL_MS, () => {
      this.#safety = undefined;
      for (const [route, used] of waiting) {
        if (route.isShortOfSlab) route.roomMade(true);
        if (used === 0 || route.writer === undefined || route.writer.usedBytes < used) continue;
        this.counters.safetyBells += 1;
        this.ring(route.thread);
      }
      this.#armSafety();
    });
  }
}
