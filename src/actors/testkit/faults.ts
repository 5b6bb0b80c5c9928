// What may go wrong in a fixture, drawn from its seed: each chance of a fault has a name that hangs on what led
// to it (a message: who sent it, while handling what), and its dice hang on the seed and that name alone. So
// the same run can be had again with only some of its faults and steps.
// Only what the contract allows: messages are delayed in the order of their pair, or lost with a thread or a
// link; mailboxes overflow as their actors say; asks time out. Nothing is ever delivered twice.
import type { Random } from '../../env/environment.ts';
import { SeededRandom } from '../../std/prng.ts';
import type { Cell } from '../cell.ts';
import type { DeadLetters } from '../dead-letters.ts';
import { ActorError } from '../errors.ts';
import type { HeldInput } from '../held-input.ts';
import type { Interposer } from '../interposer.ts';
import type { ReplyTo } from '../mailbox.ts';
import { NO_REPLY } from '../mailbox.ts';
import type { OpEntry } from '../protocol.ts';
import type { Admission } from '../ref.ts';
import type { Tracer } from '../tracer.ts';
import type { ManualEnvironment } from './manual-environment.ts';

/** The chance of each kind of fault, from 0 (never, the default) to 1 (always). */
export interface FaultRates {
  /** A message waits up to `delayMsMax`, and with it what the same sender sends to the same actor. */
  readonly delay: number;
  /** A new actor has a mailbox of 1 to 4 messages, with its own overflow policy. */
  readonly mailbox: number;
  /** An ask has less time than it wanted, down to none. */
  readonly squeeze: number;
  /** At a step: a thread dies, and starts again. Never thread 0. */
  readonly kill: number;
  /** At a message to another node: the link breaks. What was under way, both ways, is lost. */
  readonly cut: number;
}

/** A little of everything. */
export const ALL_FAULTS: FaultRates = {
  delay: 0.05,
  mailbox: 0.1,
  squeeze: 0.05,
  kill: 0.002,
  cut: 0.01,
};

export type FaultKind = keyof FaultRates;

/** Something of a run that can be left out: a fault that happened, or a step of the scenario. */
export interface RunEvent {
  /** Such as `step#3` or `delay#1f3a9c2b`. */
  readonly name: string;
  readonly what: string;
  readonly atMs: number;
}

const DELAY_MS_MAX = 100;
const SHRUNK_CAPACITY_MAX = 4;
const TWO_32 = 0x1_0000_0000;

/** The faults of one run. */
export class FaultPlan {
  /** What happened, in order. */
  readonly events: RunEvent[] = [];
  readonly #seed: number;
  readonly #rates: Partial<FaultRates>;
  readonly #only: ReadonlySet<string> | undefined;
  readonly #nowMs: () => number;
  readonly #counts = new Map<string, number>();
  #steps = 0;

  constructor(
    seed: number,
    rates: Partial<FaultRates>,
    only: readonly string[] | undefined,
    nowMs: () => number,
  ) {
    this.#seed = seed;
    this.#rates = rates;
    this.#only = only === undefined ? undefined : new Set(only);
    this.#nowMs = nowMs;
  }

  /** One chance of a fault, named by `key`: its dice if it happens. `what` says for people what it then is. */
  draw(kind: FaultKind, key: string, what: (dice: Random) => string): Random | undefined {
    const rate = this.#rates[kind] ?? 0;
    if (rate <= 0) return undefined;
    const name = this.#next(`${kind}#${key}`);
    const dice = new SeededRandom(this.#seed).fork(name);
    if (dice.u32() / TWO_32 >= rate || !this.#isAllowed(name)) return undefined;
    this.events.push({ name, what: what(dice.fork('what')), atMs: this.#nowMs() });
    return dice.fork('what');
  }

  /** True if the next step of a scenario is to be done. */
  step(what: string): boolean {
    this.#steps += 1;
    const name = `step#${this.#steps}`;
    if (!this.#isAllowed(name)) return false;
    this.events.push({ name, what, atMs: this.#nowMs() });
    return true;
  }

  /** The same name again is another chance. */
  #next(name: string): string {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    return count === 1 ? name : `${name}:${count}`;
  }

  #isAllowed(name: string): boolean {
    return this.#only === undefined || this.#only.has(name);
  }
}

/** A lineage as the key of a chance. */
export function keyOf(lineage: number): string {
  return lineage.toString(16);
}

/** How long a drawn delay is, in milliseconds. */
export function delayOf(dice: Random): number {
  return 1 + dice.below(DELAY_MS_MAX);
}

interface Delayed {
  readonly op: OpEntry;
  readonly input: HeldInput;
  readonly reply: ReplyTo;
}

/** The faults between actors of one thread. */
export class ThreadFaults implements Interposer {
  /** While it is true nothing that is sent is hurt. */
  isPaused = false;
  readonly #plan: FaultPlan;
  readonly #env: ManualEnvironment;
  readonly #isSpared: (cell: Cell) => boolean;
  readonly #tracer: Tracer;
  /** Messages that wait, by sender and target. */
  readonly #delayed = new Map<Cell, Map<string, Delayed[]>>();

  constructor(
    plan: FaultPlan,
    env: ManualEnvironment,
    tracer: Tracer,
    isSpared: (cell: Cell) => boolean,
  ) {
    this.#plan = plan;
    this.#tracer = tracer;
    this.#env = env;
    this.#isSpared = isSpared;
  }

  capacityOf(cell: Cell, capacity: number): number {
    if (this.#isSpared(cell)) return capacity;
    const sizeOf = (dice: Random) => 1 + dice.below(Math.min(SHRUNK_CAPACITY_MAX, capacity));
    const dice = this.#plan.draw(
      'mailbox',
      cell.path,
      (d) => `${cell.path} holds ${sizeOf(d)} messages`,
    );
    return dice === undefined ? capacity : sizeOf(dice);
  }

  timeoutOf(path: string, op: string, timeoutMs: number): number {
    if (this.isPaused) return timeoutMs;
    const shorter = (dice: Random) => dice.below(Math.max(1, Math.floor(timeoutMs)));
    const dice = this.#plan.draw(
      'squeeze',
      keyOf(this.#tracer.nextLineage),
      (d) => `${op} of ${path} has ${shorter(d)} ms`,
    );
    return dice === undefined ? timeoutMs : shorter(dice);
  }

  post(cell: Cell, op: OpEntry, input: HeldInput, reply: ReplyTo): Admission | undefined {
    if (this.isPaused || input.origin === undefined) return undefined;
    const sender = input.origin.from ?? 'the test';
    const waiting = this.#delayed.get(cell)?.get(sender);
    if (waiting !== undefined) {
      waiting.push({ op, input, reply });
      return 'accepted';
    }
    const describe = (dice: Random) =>
      `${op.name} from ${sender} to ${cell.path} waits ${delayOf(dice)} ms`;
    const dice = this.#plan.draw('delay', keyOf(input.origin.lineage), describe);
    if (dice === undefined) return undefined;
    const pairs = this.#delayed.get(cell) ?? new Map<string, Delayed[]>();
    const messages = [{ op, input, reply }];
    this.#delayed.set(cell, pairs.set(sender, messages));
    this.#env.timers.at(this.#env.nowMs + delayOf(dice), () => {
      pairs.delete(sender);
      if (pairs.size === 0) this.#delayed.delete(cell);
      for (const each of messages) this.#deliver(cell, each);
    });
    return 'accepted';
  }

  #deliver(cell: Cell, { op, input, reply }: Delayed): void {
    const admission = cell.post(op, input, reply);
    if (admission !== 'accepted') refuse(cell, op, reply, admission, cell.host.deadLetters);
  }
}

function refuse(
  cell: Cell,
  op: OpEntry,
  reply: ReplyTo,
  reason: 'full' | 'gone',
  deadLetters: DeadLetters,
): void {
  if (reply === NO_REPLY) {
    deadLetters.add(cell.path, op.name, reason);
    return;
  }
  const code = reason === 'full' ? 'ACTOR_FULL' : 'ACTOR_GONE';
  cell.host.failAnswer(reply, new ActorError(code, `${cell.path} is ${reason}`, { op: op.name }));
}
