// Threads and nodes of a fixture: several systems over one manual environment, joined by routes that carry
// encoded records one task at a time. A thread that is killed loses what it was told and had not handled,
// and what it was doing; what it had sent arrives. A link that is cut loses what was under way both ways.
import type { Environment, Random } from '../../env/environment.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import { abortable } from '../actor-ref.ts';
import type { Codec } from '../protocol.ts';
import { KIND_ASK, KIND_TELL, RECORD_HEADER_BYTES, writeRecordHeader } from '../record.ts';
import type { Place, RefId } from '../ref.ts';
import { idPath, isOfThreadIncarnation } from '../ref.ts';
import type { Route, RouteAdmission } from '../route.ts';
import { encodeExact } from '../strict.ts';
import type { System } from '../system.ts';
import type { Tracer } from '../tracer.ts';
import type { FaultPlan } from './faults.ts';
import { delayOf, keyOf } from './faults.ts';
import type { ManualEnvironment } from './manual-environment.ts';

/** Records that may be under way from one thread to another before senders hear `full`. */
const RECORDS_MAX = 64;
const RESTART_MS = 1;
const KIND_AT = 6;

/** Makes the system of a place; `incarnation` counts the starts of its thread from 1. */
export type MakeSystem = (
  env: Environment,
  place: { readonly node: number; readonly thread: number },
  incarnation: number,
) => System;

interface Seat {
  readonly node: number;
  readonly thread: number;
  incarnation: number;
  isAlive: boolean;
  system: System;
}

export class Places {
  readonly #env: ManualEnvironment;
  readonly #plan: FaultPlan;
  readonly #make: MakeSystem;
  readonly #seats: Seat[] = [];
  readonly #routes: MemoryRoute[] = [];
  readonly #tracer: Tracer;
  /** Chances so far. */
  #kills = 0;

  constructor(
    env: ManualEnvironment,
    plan: FaultPlan,
    tracer: Tracer,
    make: MakeSystem,
    places: readonly { readonly node: number; readonly thread: number }[],
  ) {
    this.#env = env;
    this.#plan = plan;
    this.#tracer = tracer;
    this.#make = make;
    for (const { node, thread } of places) {
      const seat = { node, thread, incarnation: 0, isAlive: false } as Seat;
      this.#seats.push(seat);
      this.#start(seat);
    }
  }

  /** Of the living threads and of those that are about to start again, in order of their places. */
  get systems(): readonly System[] {
    return this.#seats.map(({ system }) => system);
  }

  /** Records under way. */
  get underWay(): number {
    return this.#routes.reduce((sum, route) => sum + route.size, 0);
  }

  /** Kills a thread of node 1; it starts again a millisecond later, with nothing. */
  kill(thread: number): void {
    const seat = this.#seats.find((each) => each.node === 1 && each.thread === thread);
    if (seat === undefined || thread === 0) throw new Error(`thread ${thread} cannot be killed`);
    if (!seat.isAlive) return;
    seat.isAlive = false;
    seat.system.turn.close();
    seat.system.deadlines.close();
    for (const route of [...this.#routes]) {
      if (route.from !== seat && route.to !== seat) continue;
      if (route.from === seat) route.flush();
      else route.lose('thread-lost');
      this.#routes.splice(this.#routes.indexOf(route), 1);
      route.from.system.setRoute(route.to.node, route.to.thread, undefined);
    }
    for (const each of this.#seats) {
      if (!each.isAlive) continue;
      // Another node sees a broken link, and hears of the death when it asks again.
      if (each.node === 1) each.system.threadLost(1, thread, () => true, 'thread-lost');
      else each.system.wayLost(1, thread);
    }
    this.#env.timers.at(this.#env.nowMs + RESTART_MS, () => this.#start(seat));
  }

  /** A chance that a thread dies now. */
  mayKill(): void {
    const count = this.#seats.filter(({ node }) => node === 1).length;
    if (count < 2) return;
    this.#kills += 1;
    const victim = (dice: Random) => 1 + dice.below(count - 1);
    const dice = this.#plan.draw('kill', String(this.#kills), (d) => `thread ${victim(d)} dies`);
    if (dice !== undefined) this.kill(victim(dice));
  }

  /** Cuts the link between two nodes: a new one is there at once. */
  cut(a: number, b: number): void {
    const broken = this.#routes.filter(({ from, to }) => {
      return (from.node === a && to.node === b) || (from.node === b && to.node === a);
    });
    for (const route of broken) route.lose('unreachable');
    for (const { from, to } of broken) {
      from.system.wayLost(to.node, to.thread);
      from.system.resendWatches(to.node, to.thread);
    }
  }

  #start(seat: Seat): void {
    seat.incarnation += 1;
    seat.isAlive = true;
    const { incarnation } = seat;
    const isLife = () => seat.isAlive && seat.incarnation === incarnation;
    seat.system = this.#make(livingEnvironment(this.#env, isLife), seat, incarnation);
    for (const other of this.#seats) {
      if (other === seat || !other.isAlive) continue;
      this.#join(seat, other);
      this.#join(other, seat);
      if (other.node !== seat.node) other.system.resendWatches(seat.node, seat.thread);
    }
  }

  #join(from: Seat, to: Seat): void {
    const isLink = from.node !== to.node;
    const route = new MemoryRoute(this.#env, from, to, isLink ? 0 : to.incarnation, () => {
      const broken = `the link of nodes ${from.node} and ${to.node} breaks`;
      // The number of a message between the two is the same in every run in which it is sent.
      const key = keyOf(this.#tracer.nextLineage);
      if (isLink && this.#plan.draw('cut', key, () => broken) !== undefined) {
        this.cut(from.node, to.node);
      }
      const slow = (dice: Random) =>
        `a record to ${to.node}/${to.thread} waits ${delayOf(dice)} ms`;
      const dice = this.#plan.draw('delay', keyOf(this.#tracer.send().lineage), slow);
      return dice === undefined ? 0 : delayOf(dice);
    });
    this.#routes.push(route);
    from.system.setRoute(to.node, to.thread, route);
  }
}

class MemoryRoute implements Route {
  readonly threadIncarnation: number;
  readonly from: Seat;
  readonly to: Seat;
  readonly #env: ManualEnvironment;
  readonly #place: Place;
  readonly #delayMs: () => number;
  readonly #records = new RingQueue<{ readonly bytes: Uint8Array; readonly dueMs: number }>();
  #lastDueMs = 0;
  #isScheduled = false;
  #waiters: (() => void)[] = [];

  constructor(
    env: ManualEnvironment,
    from: Seat,
    to: Seat,
    threadIncarnation: number,
    delayMs: () => number,
  ) {
    this.#env = env;
    this.from = from;
    this.to = to;
    this.#place = from.system.place;
    this.threadIncarnation = threadIncarnation;
    this.#delayMs = delayMs;
  }

  get size(): number {
    return this.#records.size;
  }

  send(
    kind: number,
    code: number,
    target: RefId,
    fromSlot: number,
    fromGeneration: number,
    codec: Codec<unknown> | undefined,
    value: unknown,
  ): RouteAdmission {
    const isUser = kind <= KIND_ASK;
    const peer = this.to.system.place;
    if (target.incarnation !== 0 && target.incarnation !== peer.incarnation) return 'gone';
    if (isUser && this.threadIncarnation !== 0) {
      if (!isOfThreadIncarnation(target.generation, this.threadIncarnation)) return 'gone';
    }
    if (isUser && this.#records.size >= RECORDS_MAX) return 'full';
    const payload = codec === undefined ? new Uint8Array(0) : encodeExact(codec, value);
    const bytes = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
    bytes.set(payload, RECORD_HEADER_BYTES);
    const view = new DataView(bytes.buffer);
    const place = this.#place;
    writeRecordHeader(
      view,
      0,
      bytes.length,
      kind,
      code,
      0,
      target,
      place,
      fromSlot,
      fromGeneration,
    );
    // A cut that is drawn here loses what is already under way, not this.
    const dueMs = Math.max(this.#lastDueMs, this.#env.nowMs + this.#delayMs());
    this.#lastDueMs = dueMs;
    this.#records.push({ bytes, dueMs });
    this.#schedule();
    return 'accepted';
  }

  ready(signal?: AbortSignal): Promise<void> {
    if (this.#records.size < RECORDS_MAX) return Promise.resolve();
    return abortable(new Promise((resolve) => this.#waiters.push(resolve)), signal);
  }

  /** Delivers what is under way, now. */
  flush(): void {
    while (this.#records.size > 0) this.#deliver();
  }

  /** What is under way is lost: tells are counted by their sender. */
  lose(reason: 'thread-lost' | 'unreachable'): void {
    let lost = 0;
    for (let each = this.#records.shift(); each !== undefined; each = this.#records.shift()) {
      if (each.bytes[KIND_AT] === KIND_TELL) lost += 1;
    }
    this.#wake();
    if (lost === 0 || !this.from.isAlive) return;
    const { node, thread } = this.to;
    const path = idPath({ node, incarnation: 0, thread, slot: 0, generation: 0 });
    this.from.system.deadLetters.add(path, `${lost} messages`, reason, lost);
  }

  #schedule(): void {
    const first = this.#records.peek();
    if (this.#isScheduled || first === undefined) return;
    this.#isScheduled = true;
    const deliver = (): void => {
      this.#isScheduled = false;
      this.#deliver();
      this.#schedule();
    };
    if (first.dueMs <= this.#env.nowMs) this.#env.runQueue.soon(deliver);
    else this.#env.timers.at(first.dueMs, deliver);
  }

  #deliver(): void {
    const record = this.#records.shift();
    if (record === undefined) return;
    const { bytes } = record;
    const view = new DataView(bytes.buffer);
    if (this.to.isAlive) {
      this.to.system.inbound.receive(view, 0, bytes, RECORD_HEADER_BYTES, bytes.length);
    }
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }
}

/** The environment of a thread that may die: its tasks and timers die with it. */
function livingEnvironment(env: ManualEnvironment, isAlive: () => boolean): Environment {
  const whileAlive = (call: () => void) => () => {
    if (isAlive()) call();
  };
  return {
    clock: env.clock,
    random: env.random,
    log: env.log,
    net: env.net,
    disk: env.disk,
    threads: env.threads,
    buggify: env.buggify,
    unguessable: env.unguessable,
    crc32c: (bytes, start, end, seed) => env.crc32c(bytes, start, end, seed),
    timers: { at: (dueMs, fire) => env.timers.at(dueMs, whileAlive(fire)) },
    runQueue: { soon: (task) => env.runQueue.soon(whileAlive(task)) },
  };
}
