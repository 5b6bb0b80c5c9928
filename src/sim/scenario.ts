// What a simulation is about: which hosts there are, what runs on them, which clients drive them, and what
// must be true. The runner knows nothing of brokers; a scenario knows nothing of heaps and seeds.
import type { FaultPolicy } from './faults/policy.ts';
import type { Cast, FaultScript } from './faults/script.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/** Something a checker found. */
export interface Violation {
  /** The checker and the class of anomaly, such as `kafka-log/lost-write`. */
  readonly check: string;
  readonly message: string;
  readonly details?: unknown;
}

export interface ScenarioCounts {
  /** Operations that clients began. */
  readonly operations: number;
  /** Operations whose success a client was told. */
  readonly acknowledged: number;
  /** Acknowledged operations whose effect was not found in the end. */
  readonly lost: number;
  /** Those that are gone as the promise allows, where it does. */
  readonly allowed?: number;
}

export interface ScenarioOptions {
  readonly bug?: string;
}

/** One seed's run of a scenario. All calls come from the runner, between events. */
export interface ScenarioRun {
  /** Boots the cluster and starts the clients. */
  start(): void;
  /** Called for a server whose process is gone: start it again. */
  boot(node: SimNode): void;
  /** True when the node has taken up its role and holds all it must: it may be hurt again. */
  hasRecovered(node: SimNode): boolean;
  /** False while the loss of that node's data could break the promise; always true if left out. */
  mayDamage?(node: SimNode): boolean;
  /** For scripts: all nodes are up and hold everything. */
  isWhole?(): boolean;
  /** For scripts: who that is now; undefined while nobody is. */
  whois?(cast: Cast): SimNode | undefined;
  /** Checks what must hold at every moment; called every few events. */
  probe?(): Violation | undefined;
  /** All faults are over: clients begin nothing new, finish, and read everything back. */
  startDrain(): void;
  isDrained(): boolean;
  /** What is still waited for, in one line, for a drain that did not end. */
  describe?(): string;
  /** What the checkers say in the end. */
  check(): readonly Violation[];
  counts(): ScenarioCounts;
}

export interface Scenario {
  readonly name: string;
  readonly faults: FaultPolicy;
  /** Faults of a story, beside those that the policy draws. The run must be able to say who is who. */
  readonly script?: FaultScript;
  /** For people: what it is about. */
  readonly what?: string;
  /** How long faults happen, from the start. Virtual milliseconds. */
  readonly chaosMs: number;
  /** How long after healing everything must be drained. Virtual milliseconds. */
  readonly drainMs: number;
  /** Known mistakes that this scenario can switch on. */
  readonly bugs: readonly string[];
  /** So many seeds in which nothing of what may be lost was lost are too tame: the command fails. */
  readonly tameAfter?: number;
  /** Events between two probes; 50 if left out. */
  readonly probeEvery?: number;
  create(world: World, options: ScenarioOptions): ScenarioRun;
}
