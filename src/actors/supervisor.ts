// Supervision of siblings that depend on each other, as an ordinary actor: when one child ends for any
// reason but a wish of this actor, it is started again together with all its siblings (`one-for-all`)
// or with those started after it (`rest-for-one`). The children's own supervision should be `stop`;
// restarting one alone needs no supervisor. Past the budget the supervisor fails itself.
import { none } from '../codec/scalars.ts';
import type { Actor, AnyActor, Context } from './actor.ts';
import { actor } from './actor.ts';
import { ActorError } from './errors.ts';
import { protocol, tell } from './protocol.ts';
import type { AnyRef } from './ref.ts';
import { sameRef } from './ref.ts';
import type { RestartPolicy } from './supervise.ts';
import { DEFAULT_SUPERVISION, RestartBudget } from './supervise.ts';

const SupervisorProtocol = protocol('callboard.supervisor', 1, { startAgain: tell(none) });
type SupervisorOps = typeof SupervisorProtocol.ops;

export interface ChildSpec {
  readonly name: string;
  readonly actor: AnyActor;
  readonly args: unknown;
}

export interface SupervisorArgs {
  readonly strategy: 'one-for-all' | 'rest-for-one';
  /** In order of start. */
  readonly children: readonly ChildSpec[];
  readonly restart?: RestartPolicy;
  /** Called with the new refs, by child name, after every start. */
  readonly onStarted?: (refs: ReadonlyMap<string, AnyRef>) => void;
}

export const Supervisor: Actor<SupervisorOps, SupervisorArgs> = actor(
  SupervisorProtocol,
  (ctx, args: SupervisorArgs) => {
    const siblings = new Siblings(ctx, args);
    siblings.start();
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') siblings.ended(signal.ref);
    });
    return { startAgain: () => siblings.start() };
  },
  { supervision: { ...DEFAULT_SUPERVISION, decide: () => 'escalate' } },
);

class Siblings {
  readonly #ctx: Context<SupervisorOps>;
  readonly #args: SupervisorArgs;
  readonly #budget: RestartBudget;
  readonly #refs = new Map<string, AnyRef>();
  /** Children that were told to stop and must end before the next start. */
  readonly #ending: AnyRef[] = [];
  #isRestarting = false;

  constructor(ctx: Context<SupervisorOps>, args: SupervisorArgs) {
    this.#ctx = ctx;
    this.#args = args;
    this.#budget = new RestartBudget(args.restart ?? DEFAULT_SUPERVISION);
  }

  start(): void {
    this.#isRestarting = false;
    for (const { name, actor: child, args } of this.#args.children) {
      if (this.#refs.has(name)) continue;
      const ref = this.#ctx.spawn(name, child as Actor<never, unknown>, args);
      this.#ctx.watch(ref);
      this.#refs.set(name, ref);
    }
    this.#args.onStarted?.(new Map(this.#refs));
  }

  ended(ref: AnyRef): void {
    const at = this.#ending.findIndex((each) => sameRef(each, ref));
    if (at >= 0) this.#ending.splice(at, 1);
    else this.#fell(ref);
    if (this.#isRestarting && this.#ending.length === 0) this.#scheduleStart(ref);
  }

  #fell(ref: AnyRef): void {
    const { strategy, children } = this.#args;
    const fallen = children.findIndex(({ name }) => {
      const known = this.#refs.get(name);
      return known !== undefined && sameRef(known, ref);
    });
    if (fallen < 0) return;
    this.#refs.delete(children[fallen]!.name);
    this.#isRestarting = true;
    const first = strategy === 'one-for-all' ? 0 : fallen;
    // The last started ends first, as in a shutdown.
    for (const { name } of children.slice(first).reverse()) {
      const other = this.#refs.get(name);
      if (other === undefined) continue;
      this.#refs.delete(name);
      this.#ending.push(other);
      this.#ctx.stop(other);
    }
  }

  #scheduleStart(last: AnyRef): void {
    const delayMs = this.#budget.next(this.#ctx.clock.monotonicMs(), this.#ctx.random);
    if (delayMs === undefined) {
      const facts = { last: last.path };
      throw new ActorError('ACTOR_FAILED', `${this.#ctx.self.path}: too many restarts`, facts);
    }
    this.#ctx.schedule('start', delayMs, 'startAgain', undefined);
  }
}
