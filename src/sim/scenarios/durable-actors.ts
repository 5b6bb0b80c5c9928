// Three nodes with an application in each: accounts that are durable actors, clients in every process that use them
// all, and everything that can happen to nodes, disks, links and clocks. In the end the books are read, everything
// loses its power, and they are read again.

import type { ProbedNode } from '../../assembly/probe.ts';
import { PROBE_DESTINATION } from '../../broker/destination/kinds.ts';
import { checkLedger, countLostCommands } from '../checkers/ledger.ts';
import { emptyLedger, type LedgerEntry, type LedgerHistory } from '../checkers/ledger-history.ts';
import { between } from '../draws.ts';
import type { SimNode } from '../node.ts';
import type { SimProcess } from '../process.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from '../scenario.ts';
import { ACCOUNTS, AccountClient, accountKind } from '../workloads/accounts.ts';
import type { World } from '../world.ts';
import { ClusterRun } from './cluster-run.ts';
import { CLUSTER_FAULTS, REPLICATION_BUGS, SimulatedCluster } from './simulated-cluster.ts';

const ACKNOWLEDGED_MIN = 600;
/** The last of them is a reader. */
const CLIENTS_PER_NODE = 3;
/** Timers that have not rung then are a finding. */
const RING_LIMIT_MS = 60_000;
const CHECKPOINT_BYTES = 262_144;
const within = { timeoutMs: 60_000 };

export const durableActors: Scenario = {
  name: 'durable-actors',
  faults: CLUSTER_FAULTS,
  chaosMs: 30_000,
  drainMs: 300_000,
  probeEvery: 100,
  bugs: [...REPLICATION_BUGS, 'decide-again', 'answer-at-once', 'trust-clocks', 'fire-twice'],
  create: (world) => new DurableActorsRun(world),
};

interface Application {
  readonly node: SimNode;
  readonly process: SimProcess;
  readonly running: ProbedNode;
  readonly clients: AccountClient[];
}

class DurableActorsRun extends ClusterRun implements ScenarioRun {
  readonly #world: World;
  readonly cluster: SimulatedCluster;
  readonly #history: LedgerHistory = emptyLedger();
  readonly #kind = accountKind((id) => this.#rang(id));
  readonly #applications: Application[] = [];
  #isClosing = false;

  constructor(world: World) {
    super();
    this.#world = world;
    this.cluster = new SimulatedCluster(world, {
      kinds: [this.#kind],
      checkpointBytes: CHECKPOINT_BYTES,
      onRunning: (node, process, running) => this.#begin(node, process, running),
    });
  }

  start(): void {
    this.cluster.start();
  }

  override mayDamage(node: SimNode): boolean {
    // The cluster's own logs have a replica less if a node was down when it was founded.
    return this.cluster.isEverywhere(PROBE_DESTINATION) && super.mayDamage(node);
  }

  #rang(id: number): void {
    const { rings } = this.#history;
    if (!rings.has(id)) rings.set(id, this.#world.nowMs);
  }

  // ---- applications --------------------------------------------------------------------------

  #begin(node: SimNode, process: SimProcess, running: ProbedNode): void {
    const application: Application = { node, process, running, clients: [] };
    this.#applications.push(application);
    if (this.#isClosing) return;
    for (let i = 0; i < CLIENTS_PER_NODE; i += 1) {
      const name = `${process.name}/${i}`;
      const random = this.#world.workload.fork(`client ${name}`);
      const client = new AccountClient({
        name,
        env: process.environment,
        actors: running.durable,
        kind: this.#kind,
        random,
        history: this.#history,
        nowMs: () => this.#world.nowMs,
        meanGapMs: between(random, 30, 200),
        isReader: i === CLIENTS_PER_NODE - 1,
      });
      application.clients.push(client);
      this.cluster.run(client.run());
    }
  }

  get #living(): readonly Application[] {
    return this.#applications.filter(({ node, process }) => node.process === process);
  }

  // ---- the end -------------------------------------------------------------------------------

  startDrain(): void {
    this.cluster.run(this.#drain());
  }

  async #drain(): Promise<void> {
    await this.until('all nodes recover', () => this.cluster.areNodesWhole());
    await this.until('workload', () => this.#acknowledged() >= ACKNOWLEDGED_MIN);
    this.#isClosing = true;
    for (const { clients } of this.#living) for (const client of clients) client.stop();
    await this.until('clients finish', () =>
      this.#living.every(({ clients }) => clients.every(({ isDone }) => isDone)),
    );
    const limitMs = this.#world.nowMs + RING_LIMIT_MS;
    do {
      this.step = 'timers ring';
      await this.cluster.pause(1_000);
      await this.#read(this.#history.books);
    } while (this.#silent() > 0 && this.#world.nowMs < limitMs);
    for (const node of this.#world.nodes('server')) {
      node.powerCut();
      this.cluster.boot(node);
    }
    await this.until('all nodes recover again', () => this.cluster.areNodesWhole());
    await this.#read(this.#history.booksAgain);
    await this.rest();
  }

  /** Each account by another node. */
  async #read(books: Map<string, readonly LedgerEntry[]>): Promise<void> {
    this.step = 'the books are read';
    for (const [at, name] of ACCOUNTS.entries()) {
      const { running } = this.#living[at % this.#living.length]!;
      books.set(name, await running.durable.ref(this.#kind, name).ask('look', undefined, within));
    }
  }

  /** Timers that are set, as far as the books say. */
  #silent(): number {
    let count = 0;
    for (const book of this.#history.books.values()) {
      for (const { kind, amount } of book) {
        if (kind === 'wait') count += 1;
        if (kind === 'ring' || (kind === 'drop' && amount === 1)) count -= 1;
      }
    }
    return count;
  }

  describe(): string {
    const busy = this.#living.flatMap(({ clients }) => clients.filter(({ isDone }) => !isDone));
    return [
      `${this.#acknowledged()} acknowledged, ${busy.length} clients at work`,
      `down: ${this.cluster.down()}, step: ${this.step}`,
    ].join('; ');
  }

  check(): readonly Violation[] {
    const history = this.#history;
    const found = [...checkLedger(history), ...this.cluster.idleViolations()];
    if (found.length === 0 && history.rings.size === 0) {
      found.push({ check: 'workload', message: 'no timer rang' });
    }
    return found;
  }

  counts(): ScenarioCounts {
    return {
      // What an account says no to is an answer too, and owes nothing.
      operations: this.#history.commands.filter(({ outcome }) => outcome !== 'refused').length,
      acknowledged: this.#acknowledged(),
      lost: countLostCommands(this.#history),
    };
  }

  #acknowledged(): number {
    return this.#history.commands.filter(({ outcome }) => outcome === 'done').length;
  }
}
