// Two vhosts with a queue of one name in each, a user who may use both, and one whose rights in the second are taken away
// and given again by an operator, while nodes are killed. Nothing comes out in another vhost than it was published in,
// and what the second user does after a bounded time without the right is refused. Links are not cut: a node that hears
// nothing of the others goes on with what it knew (docs/reference/access.md).
import type { ProbedNode } from '../../assembly/probe.ts';
import type { MetadataResult } from '../../cluster/ports.ts';
import { passwordHash } from '../../std/password-hash.ts';
import {
  ACCESS_BOUND_MS,
  type AccessHistory,
  checkAccess,
  countJudged,
} from '../checkers/access.ts';
import { between } from '../draws.ts';
import type { SimProcess } from '../process.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import { sleep } from '../workloads/amqp-session.ts';
import { AmqpVisitor } from '../workloads/amqp-visitor.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import { AMQP_PORT, CLUSTER_FAULTS, SimulatedCluster } from './simulated-cluster.ts';

const SECOND = 'second';
const QUEUE = 'q';
const PASSWORD = 'secret';
const STEADY = 'steady';
const FICKLE = 'fickle';
const CHANGE_TIMEOUT_MS = 4_000;
/** What was asked for and not answered may be done for so long. */
const UNKNOWN_MS = 12_000;
const RIGHTS_MS = [1_000, 6_000] as const;
const REFUSED_MIN = 5;
const DONE_MIN = 200;
const ALL = { configure: '.*', write: '.*', read: '.*' } as const;
const NONE = { configure: '', write: '', read: '' } as const;

type Changes = NonNullable<ProbedNode['changes']>;

export const amqpAccess: Scenario = {
  name: 'amqp-access',
  what: 'vhosts side by side, and a user whose rights are taken away and given again',
  faults: {
    ...CLUSTER_FAULTS,
    kinds: ['kill', 'power-cut', 'power-cut-all', 'kill-all', 'reset', 'slow-link'],
    meanMs: [4_000, 20_000],
    downMs: [100, 3_000],
  },
  chaosMs: 60_000,
  drainMs: 120_000,
  bugs: [],
  create: (world) => new AmqpAccessRun(world),
};

class AmqpAccessRun extends ClusterRun implements ScenarioRun {
  readonly cluster: SimulatedCluster;
  readonly #world: World;
  readonly #history: AccessHistory = { attempts: [], forbidden: [], seen: [] };
  readonly #visitors: AmqpVisitor[] = [];
  /** Of the last life of each node. */
  readonly #doors = new Map<string, { readonly process: SimProcess; readonly changes: Changes }>();
  #isGoverned = true;
  #isGovernDone = false;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, {
      onRunning: (node, process, { changes }) => {
        if (changes !== undefined) this.#doors.set(node.id, { process, changes });
      },
    });
  }

  start(): void {
    this.cluster.start();
    this.cluster.run(this.#govern());
    const visits = [
      [STEADY, '/'],
      [STEADY, SECOND],
      [FICKLE, SECOND],
      [FICKLE, SECOND],
      [FICKLE, '/'],
    ] as const;
    for (const [at, [user, vhost]] of visits.entries()) {
      const id = `c${at}`;
      const { environment: env } = this.#world.node(id, 'client', true).start();
      const random = this.#world.workload.fork(id);
      const nodes = this.cluster.addresses.map(({ host }) => ({ host, port: AMQP_PORT }));
      const login = { user, password: PASSWORD, vhost };
      const shared = { history: this.#history, queue: QUEUE, nowMs: () => this.#world.nowMs };
      const visitor = new AmqpVisitor({ env, id, random, nodes, login, ...shared });
      this.#visitors.push(visitor);
      this.cluster.run(visitor.run());
    }
  }

  // ---- The operator --------------------------------------------------------------------------

  async #govern(): Promise<void> {
    const { environment: env } = this.#world.node('operator', 'client', true).start();
    const random = this.#world.workload.fork('operator');
    const hash = passwordHash(new Uint8Array([1, 2, 3, 4]), PASSWORD);
    const surely = async (ask: (changes: Changes) => Promise<MetadataResult>): Promise<boolean> => {
      for (let tries = 1; ; tries += 1) {
        const open = [...this.#doors.values()].filter(({ process }) => process.isAlive);
        const changes = open[random.below(Math.max(1, open.length))]?.changes;
        const unanswered = sleep(env, CHANGE_TIMEOUT_MS + 1_000).then(() => undefined);
        const result =
          changes === undefined
            ? undefined
            : await Promise.race([ask(changes).catch(() => undefined), unanswered]);
        if (result?.kind === 'ok') return tries === 1;
        if (result?.kind === 'refused') throw new Error(`${result.code}: ${result.message}`);
        await sleep(env, 500);
      }
    };
    const rights = (user: string, vhost: string, patterns: typeof ALL | typeof NONE) =>
      surely((changes) => changes.putPermission({ user, vhost, ...patterns }, CHANGE_TIMEOUT_MS));
    await surely((changes) => changes.putVhost(SECOND, CHANGE_TIMEOUT_MS));
    for (const name of [STEADY, FICKLE]) {
      const user = { name, passwordHash: hash, tags: [] };
      await surely((changes) => changes.putUser(user, CHANGE_TIMEOUT_MS));
      for (const vhost of ['/', SECOND]) await rights(name, vhost, ALL);
    }
    while (this.#isGoverned) {
      await sleep(env, between(random, ...RIGHTS_MS));
      const isSure = await rights(FICKLE, SECOND, NONE);
      // An earlier try to give them may still be under way.
      if (!isSure) await sleep(env, UNKNOWN_MS);
      if (!isSure) await rights(FICKLE, SECOND, NONE);
      const fromMs = this.#world.nowMs;
      const period = { user: FICKLE, vhost: SECOND, fromMs, untilMs: Number.POSITIVE_INFINITY };
      this.#history.forbidden.push(period);
      await sleep(env, ACCESS_BOUND_MS + between(random, ...RIGHTS_MS));
      period.untilMs = this.#world.nowMs;
      const isGiven = await rights(FICKLE, SECOND, ALL);
      if (!isGiven) await sleep(env, UNKNOWN_MS);
    }
    this.#isGovernDone = true;
  }

  // ---- The end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    await this.until('all nodes recover', () => this.cluster.areNodesWhole());
    await this.until('enough was judged', () => this.#judgedEnough());
    this.#isGoverned = false;
    await this.until('the operator leaves', () => this.#isGovernDone);
    for (const visitor of this.#visitors) visitor.stop();
    await this.until('visitors leave', () => this.#visitors.every(({ isDone }) => isDone));
    await this.rest();
  }

  #judgedEnough(): boolean {
    const { refused, done } = countJudged(this.#history);
    return refused >= REFUSED_MIN && done >= DONE_MIN;
  }

  describe(): string {
    const { refused, done } = countJudged(this.#history);
    return `${done} done, ${refused} refused; down: ${this.cluster.down()}, step: ${this.step}`;
  }

  check(): readonly Violation[] {
    return [...checkAccess(this.#history), ...this.cluster.idleViolations()];
  }

  counts(): ScenarioCounts {
    const { attempts } = this.#history;
    const acknowledged = attempts.filter(({ outcome }) => outcome === 'done').length;
    return { operations: attempts.length, acknowledged, lost: 0 };
  }
}
