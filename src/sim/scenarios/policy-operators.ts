// Operators, one at each node as long as its process lives, who change now and then which nodes have the queues of a
// pattern. When they are told to stop each of them asks for all nodes, once, and nothing more.
import type { ProbedNode } from '../../assembly/probe.ts';
import type { PolicyRecord } from '../../cluster/ports.ts';
import { between, pick } from '../draws.ts';
import type { SimNode } from '../node.ts';
import type { SimProcess } from '../process.ts';
import type { World } from '../world.ts';

const EVERY_MS = [2_000, 12_000] as const;
const TIMEOUT_MS = 5_000;
/** Every one leaves a copy when one node loses its disk. `undefined`: no policy. */
const WISHES = [
  { 'ha-mode': 'all' },
  { 'ha-mode': 'exactly', 'ha-params': 2 },
  { 'ha-mode': 'exactly', 'ha-params': 3 },
  { 'ha-mode': 'nodes', 'ha-params': ['n1', 'n2'] },
  { 'ha-mode': 'nodes', 'ha-params': ['n3', 'n2'] },
  undefined,
] as const;

type Wish = (typeof WISHES)[number];

export class PolicyOperators {
  readonly #world: World;
  readonly #pattern: string;
  #isStopped = false;
  /** Changes that were answered as made. */
  changed = 0;

  constructor(world: World, pattern: string) {
    this.#world = world;
    this.#pattern = pattern;
  }

  stop(): void {
    this.#isStopped = true;
  }

  readonly onRunning = (
    node: SimNode,
    process: SimProcess,
    { changes }: Pick<ProbedNode, 'changes'>,
  ): void => {
    const { clock, timers } = process.environment;
    const random = this.#world.workload.fork(`operator ${node.id} ${node.starts}`);
    const later = (work: () => void) =>
      timers.at(clock.monotonicMs() + between(random, ...EVERY_MS), work);
    const next = (): void => {
      const isLast = this.#isStopped;
      const wish = isLast ? WISHES[0] : pick(random, WISHES);
      void this.#ask(changes, wish);
      if (!isLast) later(next);
    };
    later(next);
  };

  async #ask(changes: ProbedNode['changes'], wish: Wish): Promise<void> {
    const result =
      wish === undefined
        ? await changes?.deletePolicy('/', 'p', TIMEOUT_MS)
        : await changes?.putPolicy(this.#policyOf(wish), TIMEOUT_MS);
    if (result?.kind === 'ok') this.changed += 1;
  }

  #policyOf(wish: NonNullable<Wish>): PolicyRecord {
    const definition = Object.entries(wish).map(([key, value]): [string, string] => {
      return [key, JSON.stringify(value)];
    });
    const place = { vhost: '/', name: 'p', pattern: this.#pattern, priority: 0 };
    return { ...place, applyTo: 'classic_queues', definition };
  }
}
