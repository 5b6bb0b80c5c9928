// A simulated world: virtual time, one event queue, a network, hosts with devices, all drawn from one seed.
// Everything runs in one thread. Separate streams for the schedule, the workload and the faults: a draw
// more in one does not move the others. Invariant: equal seeds and equal programs give equal traces.
import { SeededRandom } from '../std/prng.ts';
import { BuggifySites, type SiteCount } from './buggify.ts';
import { DEFAULT_DISK, type DiskProfile } from './disk/device.ts';
import { CountingRandom } from './draws.ts';
import { type NetProfile, Network } from './net/network.ts';
import { type NodeRole, SimNode } from './node.ts';
import type { SimProcess } from './process.ts';
import { Scheduler, type Step } from './scheduler.ts';
import { LogRing } from './sim-log.ts';
import { Trace } from './trace.ts';

const NS_PER_MS = 1_000_000;

export interface WorldOptions {
  readonly seed: number;
  /** A known mistake to switch on: makes buggify(`bug.${bug}`) true. */
  readonly bug?: string;
  /** Whether other buggify sites may be armed; true if left out. */
  readonly buggify?: boolean;
  readonly disk?: Partial<DiskProfile>;
  readonly net?: Partial<NetProfile>;
  /** Runs every microtask that is waiting, and all that they queue. From the runner. */
  readonly drain: () => Promise<void>;
}

/** Why a run failed. `check` names the checker or the trip-wire. */
export interface Failure {
  readonly check: string;
  readonly message: string;
  readonly timeMs: number;
  readonly details?: unknown;
}

export class World {
  readonly seed: number;
  readonly trace = new Trace();
  readonly log = new LogRing();
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly buggify: BuggifySites;
  /** Ties, latencies, skews: the order of things. */
  readonly schedule: CountingRandom;
  /** Small delays inside processes. */
  readonly delays: CountingRandom;
  /** What the programs under test draw. */
  readonly products: CountingRandom;
  readonly workload: CountingRandom;
  readonly faults: CountingRandom;
  readonly #nodes = new Map<string, SimNode>();
  readonly #disk: DiskProfile;
  readonly #drain: () => Promise<void>;
  readonly #failures: Failure[] = [];
  readonly #counter = { draws: 0 };

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.#drain = options.drain;
    this.#disk = { ...DEFAULT_DISK, ...options.disk };
    const root = new CountingRandom(new SeededRandom(options.seed), this.#counter);
    this.schedule = root.fork('schedule');
    this.delays = this.schedule.fork('delays');
    this.products = root.fork('products');
    this.workload = root.fork('workload');
    this.faults = root.fork('faults');
    this.scheduler = new Scheduler(this.schedule.fork('ties'), this.trace, this.#counter);
    this.network = new Network(
      {
        nowNs: () => this.nowNs,
        at: (atNs, kind, run) => {
          this.scheduler.at(atNs, kind, undefined, run);
        },
      },
      this.schedule.fork('network'),
      options.net,
    );
    this.buggify = new BuggifySites(root.fork('buggify'), {
      isOn: options.buggify ?? true,
      ...(options.bug === undefined ? {} : { bug: options.bug }),
    });
  }

  get nowNs(): number {
    return this.scheduler.nowNs;
  }

  get nowMs(): number {
    return this.scheduler.nowNs / NS_PER_MS;
  }

  /** The first failure, if the run failed. */
  get failure(): Failure | undefined {
    return this.#failures[0];
  }

  get failures(): readonly Failure[] {
    return this.#failures;
  }

  /** The node of that name, made at the first call. */
  node(id: string, role: NodeRole = 'server', isLoopback = false): SimNode {
    const known = this.#nodes.get(id);
    if (known !== undefined) return known;
    const made = new SimNode(this, id, this.#nodes.size + 1, role, {
      disk: this.#disk,
      isLoopback,
    });
    this.#nodes.set(id, made);
    return made;
  }

  nodes(role?: NodeRole): readonly SimNode[] {
    const all = [...this.#nodes.values()];
    return role === undefined ? all : all.filter((node) => node.role === role);
  }

  /** An event of the world itself: a fault, a check, a step of a scenario. */
  afterMs(delayMs: number, run: () => void, kind: 'fault' | 'harness' = 'harness'): void {
    this.scheduler.at(
      this.nowNs + Math.max(0, Math.round(delayMs * NS_PER_MS)),
      kind,
      undefined,
      run,
    );
  }

  fail(check: string, message: string, details?: unknown): void {
    this.#failures.push({
      check,
      message,
      timeMs: this.nowMs,
      ...(details === undefined ? {} : { details }),
    });
  }

  /** Something a process threw reached its event loop: in the real world, the end of the process. */
  uncaught(process: SimProcess, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.fail('uncaught', `${process.name}: ${text}`);
  }

  buggifyCounts(): readonly SiteCount[] {
    return this.buggify.counts();
  }

  /** Runs until `untilMs` of virtual time, until `isDone`, or until a failure; true if `isDone`. */
  async runUntil(untilMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    const untilNs = Math.round(untilMs * NS_PER_MS);
    await this.#drain();
    while (this.#failures.length === 0) {
      if (isDone()) return true;
      const step = this.#step(untilNs);
      if (step === 'idle') return isDone();
      if (step === 'code') await this.#drain();
    }
    return false;
  }

  /** What the harness or a fault throws is the scenario's mistake, and fails the run like any other. */
  #step(untilNs: number): Step {
    try {
      return this.scheduler.step(untilNs);
    } catch (error) {
      this.fail('harness', error instanceof Error ? (error.stack ?? error.message) : String(error));
      return 'skipped';
    }
  }

  /** The world goes on for that long. */
  async advance(byMs: number): Promise<void> {
    await this.runUntil(this.nowMs + byMs);
  }
}
