// A whole system stepped by hand: one message per step, strict by default, time moved by the test.
// `advance` drains before it moves time, so that telling and then advancing does what it reads like.
import type { Actor, AnyActor, Placement } from '../actor.ts';
import { actor } from '../actor.ts';
import type { Cell } from '../cell.ts';
import type { AskOp, Input, Ops, Protocol, Reply, TellOp } from '../protocol.ts';
import type { AnyRef, Ref, RefId } from '../ref.ts';
import { RuntimeProtocol } from '../runtime-actor.ts';
import { DEFAULT_SUPERVISION } from '../supervise.ts';
import type { System } from '../system.ts';
import { createSystem } from '../system.ts';
import type { SystemOptions } from '../system-options.ts';
import type { AskCycle, Handled } from '../tracer.ts';
import { Tracer } from '../tracer.ts';
import type { FaultRates } from './faults.ts';
import { FaultPlan, ThreadFaults } from './faults.ts';
import type { ManualOptions } from './manual-environment.ts';
import { ManualEnvironment } from './manual-environment.ts';
import type { MakeSystem } from './places.ts';
import { Places } from './places.ts';

export interface FixtureOptions {
  readonly system?: Partial<SystemOptions>;
  readonly environment?: ManualOptions;
  /** Of node 1; default 1. Each has a system of its own, and messages between them are encoded. */
  readonly threads?: number;
  /** Default 1. The others have one thread each. */
  readonly nodes?: number;
  /** Spawns what a thread has from its start; called for every thread, and again when one starts again. */
  readonly start?: (system: System) => void;
  /** Default: nothing goes wrong. */
  readonly faults?: Partial<FaultRates>;
  /** Of the faults and steps that the seed would bring, only these happen: what `forAllSeeds` prints. */
  readonly only?: readonly string[];
}

/** A message that a probe recorded. */
export interface Recorded {
  readonly op: string;
  readonly input: unknown;
}

/** What a step should have handled. */
export interface Expected {
  to(ref: AnyRef): void;
}

/** How a probe answers asks. */
export type Answers<O extends Ops> = {
  readonly [K in AskOp<O>]?: (input: Input<O[K]>) => Reply<O[K]>;
};

/** An actor that records what it gets. All times are virtual. */
export interface Probe<O extends Ops> {
  readonly ref: Ref<O>;
  /** The oldest recorded message; drains first, then moves time, and throws when there is none in time. */
  next(withinMs?: number): Recorded;
  /** Drains, and throws if anything was recorded within `ms`. */
  none(ms: number): void;
  /** Takes messages until one satisfies `isIt`; throws when no more come in time. */
  fish(isIt: (message: Recorded) => boolean, withinMs?: number): Recorded;
}

export class Fixture {
  readonly env: ManualEnvironment;
  readonly plan: FaultPlan;
  readonly #tracer = new Tracer();
  readonly #places: Places;
  readonly #faults: ThreadFaults;
  readonly #probes = new Set<AnyActor>();
  #stepsBegun = 0;

  constructor(seed: number, options: FixtureOptions = {}) {
    const { faults = {}, only, threads = 1, nodes = 1 } = options;
    this.env = new ManualEnvironment(seed, options.environment);
    this.plan = new FaultPlan(seed, faults, only, () => this.env.nowMs);
    const isSpared = (cell: Cell) =>
      cell.actor.protocol === RuntimeProtocol || this.#probes.has(cell.actor);
    this.#faults = new ThreadFaults(this.plan, this.env, this.#tracer, isSpared);
    const places = [
      ...Array.from({ length: threads }, (_, thread) => ({ node: 1, thread })),
      ...Array.from({ length: nodes - 1 }, (_, index) => ({ node: 2 + index, thread: 0 })),
    ];
    const make: MakeSystem = (env, { node, thread }, threadIncarnation) => {
      const system = createSystem(env, {
        name: 'fixture',
        node,
        incarnation: 1,
        thread,
        threadCount: node === 1 ? threads : 1,
        threadIncarnation,
        strict: true,
        tracer: this.#tracer,
        interposer: this.#faults,
        ...options.system,
        limits: { messagesPerCell: 1, messagesPerDrain: 1, ...options.system?.limits },
      });
      options.start?.(system);
      return system;
    };
    this.#places = new Places(this.env, this.plan, this.#tracer, make, places);
    this.env.onStep = () => this.#places.mayKill();
    this.env.run();
  }

  /** Of thread 0 of node 1. */
  get system(): System {
    return this.#places.systems[0]!;
  }

  /** Of all threads of node 1, then of the other nodes. One that was killed is followed by another. */
  get systems(): readonly System[] {
    return this.#places.systems;
  }

  /** Asks that wait for each other in a circle, as far as they were seen. */
  get askCycles(): readonly AskCycle[] {
    return this.#tracer.cycles;
  }

  /** Kills a thread of node 1, but not thread 0: it starts again after a millisecond. */
  kill(thread: number): void {
    this.#places.kill(thread);
  }

  /** Breaks the link between two nodes: what was under way is lost. */
  cut(a: number, b: number): void {
    this.#places.cut(a, b);
  }

  /** Does `step` up to `count` times: as often as `forAllSeeds` has not found it to be without need. */
  steps(count: number, step: (index: number) => void): void {
    this.#stepsBegun += 1;
    for (let i = 0; i < count; i += 1) {
      if (!this.plan.step(`step ${i} of ${count}`)) continue;
      // What a step sends has the same faults, whichever other steps are left out.
      this.#tracer.beginRoot(`steps ${this.#stepsBegun} step ${i}`);
      step(i);
    }
    this.#tracer.beginRoot(`behind steps ${this.#stepsBegun}`);
  }

  spawn<P extends Ops, A>(name: string, spawned: Actor<P, A>, args: A, where?: Placement): Ref<P> {
    return this.system.spawn(name, spawned, args, where);
  }

  /** Actors with something to do, and messages on their way to another thread or node. */
  pending(): number {
    const ready = this.systems.reduce((sum, { turn }) => sum + turn.readyCount, 0);
    return ready + this.#places.underWay;
  }

  /** Handles one message (or the signals of one actor), or carries one elsewhere; false when all rest. */
  step(): boolean {
    return this.env.step();
  }

  /** @throws Error after `stepsMax` steps: something never rests. */
  stepUntilIdle(stepsMax?: number): number {
    return this.env.run(stepsMax);
  }

  /**
   * Steps once and throws unless that step handled this op of this actor, and came from that actor if one
   * is named. What the test told itself comes from nobody.
   *
   * @example
   * f.expect('value').from(relay).to(probe.ref);
   */
  expect(op: string): Expected & { from(sender: AnyRef): Expected } {
    const expected = (from: AnyRef | undefined): Expected => ({
      to: (ref) => this.#expect(op, from, ref),
    });
    return { ...expected(undefined), from: expected };
  }

  #expect(op: string, from: AnyRef | undefined, to: AnyRef): void {
    const tracer = this.#tracer;
    const sender = from === undefined ? '' : ` from ${from.path}`;
    const wanted = `${op}${sender} to ${to.path}`;
    tracer.takeLast();
    let last: Handled | undefined;
    do {
      if (!this.step()) throw new Error(`expected ${wanted}, but everything rests`);
      last = tracer.takeLast();
      // An actor that starts handles nothing yet.
    } while (last === undefined || last.op === SETUP);
    const { cell, op: handled, from: came } = last;
    const isRight = sameActor(cell.id, to.id) && handled === op;
    if (isRight && (from === undefined || came === from.path)) return;
    const was = `${handled}${came === undefined ? '' : ` from ${came}`} to ${cell.path}`;
    throw new Error(`expected ${wanted}; it was ${was}`);
  }

  /** Drains, then moves the clock, firing what becomes due in order. */
  advance(ms: number): void {
    this.env.advance(ms);
  }

  /** The same, settling promises in between: for asks and async handlers. */
  advanceAsync(ms: number): Promise<void> {
    return this.env.advanceAsync(ms);
  }

  /** Moves to the next timer, whatever it is; false when there is none. */
  triggerNextTimer(): boolean {
    return this.env.triggerNextTimer();
  }

  /** Puts a message into an actor's mailbox. */
  inject<P extends Ops, K extends TellOp<P>>(ref: Ref<P>, op: K, input: Input<P[K]>): void {
    ref.tell(op, input);
  }

  /**
   * Asks and settles: the reply, or the error as a rejection. Time stands still, so an answer that needs time
   * rejects at once: use `ref.ask` and `advanceAsync` for it. No fault meets the question itself.
   */
  async ask<P extends Ops, K extends AskOp<P>>(
    ref: Ref<P>,
    op: K,
    input: Input<P[K]>,
  ): Promise<Reply<P[K]>> {
    let isOpen = true;
    const settled = (): void => {
      isOpen = false;
    };
    this.#faults.isPaused = true;
    const reply = ref.ask(op, input, { timeoutMs: 60_000 });
    this.#faults.isPaused = false;
    reply.then(settled, settled);
    await this.env.settle();
    if (isOpen) throw new Error(`${op} of ${ref.path} is not answered while time stands still`);
    return reply;
  }

  /** Stops an actor as its parent would. */
  stop(ref: AnyRef): void {
    this.system.sendStop(ref.id);
    this.env.run();
  }

  /**
   * An actor of the protocol that records what it gets. It answers asks as `answers` says; asks without an
   * answer fail. No fault is ever its own.
   */
  probe<O extends Ops>(
    protocol: Protocol<O>,
    name = `probe-${protocol.name}`,
    answers: Answers<O> = {},
  ): Probe<O> {
    const recorded: Recorded[] = [];
    const handlers: Record<string, (input: unknown) => unknown> = {};
    for (const op of protocol.table) {
      const answer = answers[op.name as keyof Answers<O>] as
        | ((input: unknown) => unknown)
        | undefined;
      handlers[op.name] = (input) => {
        if (op.isAsk && answer === undefined)
          throw new Error(`${name} has no answer to ${op.name}`);
        recorded.push({ op: op.name, input });
        return answer?.(input);
      };
    }
    const Recorder = actor(protocol, (_ctx, _args: undefined) => handlers as never, {
      supervision: { ...DEFAULT_SUPERVISION, decide: () => 'resume' },
    });
    this.#probes.add(Recorder as AnyActor);
    const ref = this.system.spawn(name, Recorder, undefined);
    const next = (withinMs = 0): Recorded => {
      const endMs = this.env.nowMs + withinMs;
      this.env.run();
      while (recorded.length === 0) {
        const dueMs = this.env.nextTimerMs;
        if (dueMs === undefined || dueMs > endMs) break;
        this.env.advance(Math.max(0, dueMs - this.env.nowMs));
      }
      const first = recorded.shift();
      if (first !== undefined) return first;
      this.env.advance(endMs - this.env.nowMs);
      throw new Error(`${name} got nothing within ${withinMs} ms`);
    };
    return {
      ref,
      next,
      none: (ms) => {
        this.env.advance(ms);
        if (recorded.length > 0) throw new Error(`${name} got ${recorded[0]!.op} within ${ms} ms`);
      },
      fish: (isIt, withinMs = 0) => {
        const endMs = this.env.nowMs + withinMs;
        for (;;) {
          const message = next(Math.max(0, endMs - this.env.nowMs));
          if (isIt(message)) return message;
        }
      },
    };
  }
}

const SETUP = 'setup';

/** A well-known ref names whoever holds the slot. */
function sameActor(a: RefId, b: RefId): boolean {
  return a.node === b.node && a.thread === b.thread && a.slot === b.slot;
}

export function fixture(seed: number, options?: FixtureOptions): Fixture {
  return new Fixture(seed, options);
}
