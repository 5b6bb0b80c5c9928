// How often and how soon something that failed may start again: a window of restarts and an
// exponential back-off with jitter. Pure: time and dice come in. Used for actors and for threads.
import type { Random } from '../env/environment.ts';
import type { Directive, Supervision } from './actor.ts';
import { ActorError } from './errors.ts';

/** Restart up to 10 times a minute, soon at first; then the actor stops as failed. */
export const DEFAULT_SUPERVISION: Supervision = {
  decide: () => 'restart',
  maxRestarts: 10,
  windowMs: 60_000,
  backoff: { minMs: 10, maxMs: 5_000, jitter: 0.2 },
};

export type RestartPolicy = Pick<Supervision, 'maxRestarts' | 'windowMs' | 'backoff'>;

export class RestartBudget {
  readonly #policy: RestartPolicy;
  #startedMs: number[] = [];

  constructor(policy: RestartPolicy) {
    this.#policy = policy;
  }

  /** Restarts within the window that ends at `nowMs`. */
  used(nowMs: number): number {
    this.#startedMs = this.#startedMs.filter((at) => nowMs - at < this.#policy.windowMs);
    return this.#startedMs.length;
  }

  /** The delay before the next start in milliseconds, or undefined when the budget is used up. */
  next(nowMs: number, random: Random): number | undefined {
    const used = this.used(nowMs);
    if (used >= this.#policy.maxRestarts) return undefined;
    this.#startedMs.push(nowMs);
    const { minMs, maxMs, jitter } = this.#policy.backoff;
    const fullMs = Math.min(maxMs, minMs * 2 ** used);
    return fullMs * (1 - jitter * (random.u32() / 0x1_0000_0000));
  }
}

const DIRECTIVES: readonly Directive[] = ['resume', 'restart', 'stop', 'escalate'];

/** What the supervision decides. One that throws, or answers nonsense, stops the actor. */
export function directiveOf(
  supervision: Supervision,
  error: unknown,
  onBroken: (error: unknown) => void,
): Directive {
  try {
    const directive = supervision.decide(error);
    if (DIRECTIVES.includes(directive)) return directive;
    throw new ActorError('ACTOR_MISUSE', `${String(directive)} is no directive`);
  } catch (broken) {
    onBroken(broken);
    return 'stop';
  }
}
