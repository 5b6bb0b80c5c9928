// A whole system stepped by hand: one message per step, strict by default, time moved by the test.
// `advance` drains before it moves time, so that telling and then advancing does what it reads like.
import type { Actor, Placement } from '../actor.ts';
import { actor } from '../actor.ts';
import type { AskOp, Input, Ops, Protocol, TellOp } from '../protocol.ts';
import type { AnyRef, Ref } from '../ref.ts';
import { STATUS_HANDLED, STATUS_SLOT } from '../status.ts';
import type { System } from '../system.ts';
import { createSystem } from '../system.ts';
import type { SystemOptions } from '../system-options.ts';
import type { ManualOptions } from './manual-environment.ts';
import { ManualEnvironment } from './manual-environment.ts';

export interface FixtureOptions {
  readonly system?: Partial<SystemOptions>;
  readonly environment?: ManualOptions;
}

/** A message that a probe recorded. */
export interface Recorded {
  readonly op: string;
  readonly input: unknown;
}

/** An actor that records what it gets. All times are virtual. */
export interface Probe<O extends Ops> {
  readonly ref: Ref<O>;
  /** The oldest recorded message; drains first, and throws when there is none. */
  next(): Recorded;
  /** Drains, and throws if anything was recorded within `ms`. */
  none(ms: number): void;
  /** Takes messages until one satisfies `isIt`; throws when there are no more. */
  fish(isIt: (message: Recorded) => boolean): Recorded;
}

class Fixture {
  readonly env: ManualEnvironment;
  readonly system: System;

  constructor(seed: number, options: FixtureOptions = {}) {
    this.env = new ManualEnvironment(seed, options.environment);
    this.system = createSystem(this.env, {
      name: 'fixture',
      node: 1,
      incarnation: 1,
      thread: 0,
      threadCount: 1,
      strict: true,
      ...options.system,
      limits: { messagesPerCell: 1, messagesPerDrain: 1, ...options.system?.limits },
    });
    this.env.run();
  }

  spawn<P extends Ops, A>(name: string, spawned: Actor<P, A>, args: A, where?: Placement): Ref<P> {
    return this.system.spawn(name, spawned, args, where);
  }

  /** Actors with something to do. */
  pending(): number {
    return this.system.turn.readyCount;
  }

  /** Handles one message (or the signals of one actor); false when all rest. */
  step(): boolean {
    return this.env.step();
  }

  stepUntilIdle(stepsMax?: number): number {
    return this.env.run(stepsMax);
  }

  /** Steps once and throws unless that step handled this op of this actor. */
  expect(op: string): { to(ref: AnyRef): void } {
    return {
      to: (ref) => {
        const { status } = this.system;
        status[STATUS_SLOT] = 0;
        if (!this.step()) throw new Error(`expected ${op}, but everything rests`);
        const cell = this.system.cellOf(ref.id);
        const handled = cell?.actor.protocol.table[status[STATUS_HANDLED]!]?.name;
        if (status[STATUS_SLOT] !== ref.id.slot || handled !== op) {
          throw new Error(`expected ${op} to ${ref.path}; slot ${status[STATUS_SLOT]} ran`);
        }
      },
    };
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

  /** Asks and settles: the reply, or the error as a rejection. Time stands still. */
  async ask<P extends Ops, K extends AskOp<P>>(ref: Ref<P>, op: K, input: Input<P[K]>) {
    const reply = ref.ask(op, input, { timeoutMs: 60_000 });
    reply.catch(() => undefined);
    await this.env.settle();
    return reply;
  }

  /** Stops an actor as its parent would. */
  stop(ref: AnyRef): void {
    this.system.sendStop(ref.id);
    this.env.run();
  }

  /** An actor of the protocol that records every tell. Asks to it fail: it has no answers. */
  probe<O extends Ops>(protocol: Protocol<O>, name = `probe-${protocol.name}`): Probe<O> {
    const recorded: Recorded[] = [];
    const handlers: Record<string, (input: unknown) => void> = {};
    for (const op of protocol.table) {
      handlers[op.name] = (input) => {
        if (op.isAsk) throw new Error(`a probe does not answer ${op.name}`);
        recorded.push({ op: op.name, input });
      };
    }
    const Recorder = actor(protocol, (_ctx, _args: undefined) => handlers as never);
    const ref = this.system.spawn(name, Recorder, undefined);
    const next = (): Recorded => {
      this.env.run();
      const first = recorded.shift();
      if (first === undefined) throw new Error(`${name} got nothing`);
      return first;
    };
    return {
      ref,
      next,
      none: (ms) => {
        this.env.advance(ms);
        if (recorded.length > 0) throw new Error(`${name} got ${recorded[0]!.op} within ${ms} ms`);
      },
      fish: (isIt) => {
        for (let message = next(); ; message = next()) if (isIt(message)) return message;
      },
    };
  }
}

export function fixture(seed: number, options?: FixtureOptions): Fixture {
  return new Fixture(seed, options);
}

/**
 * Runs a scenario under `count` seeds; the error of a failing seed names the seed, so that
 * `forAllSeeds(1, scenario, seed)` repeats it. A scenario draws its faults from the fixture's dice; on
 * failure it is run again with `faultLimit` 0, 1, 2 ... and the smallest failing limit is reported.
 */
export async function forAllSeeds(
  count: number,
  scenario: (fixture: Fixture, faultLimit: number) => void | Promise<void>,
  firstSeed = 1,
  options?: FixtureOptions,
): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
    const error = await failure(() => scenario(fixture(seed, options), Number.POSITIVE_INFINITY));
    if (error === undefined) continue;
    let limit = 0;
    let smallest: unknown = error;
    for (; limit < SHRINK_LIMIT; limit += 1) {
      const again = await failure(() => scenario(fixture(seed, options), limit));
      if (again === undefined) continue;
      smallest = again;
      break;
    }
    const faults = limit === SHRINK_LIMIT ? 'all its faults' : `${limit} faults`;
    throw new Error(`seed ${seed} fails with ${faults}`, { cause: smallest });
  }
}

const SHRINK_LIMIT = 32;

async function failure(run: () => void | Promise<void>): Promise<unknown> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error ?? new Error('thrown without an error');
  }
}
