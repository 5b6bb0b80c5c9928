// One run of a program on a simulated host: from start to death it has one Environment. Invariant: after
// its death nothing of it runs again; an event that belongs to it is dropped, a call from it throws.
import type { Environment } from '../env/environment.ts';
import { assert } from '../std/assert.ts';
import { crc32c } from '../std/crc32c.ts';
import { drawBytes } from '../std/prng.ts';
import { simCrew } from './crew.ts';
import { SimDisk } from './disk/sim-disk.ts';
import { between, chance } from './draws.ts';
import type { NetHost } from './net/endpoint.ts';
import type { SimNode } from './node.ts';
import { ProcessTimers } from './process-timers.ts';
import type { Owner, SimEvent } from './scheduler.ts';
import { DeadProcessError } from './sim-error.ts';
import { ringLog } from './sim-log.ts';
import { singleThread } from './sim-threads.ts';
import type { EventKind } from './trace.ts';
import type { World } from './world.ts';

const SOON_MAX_NS = 3_000;
const TIMER_LATE_MAX_NS = 150_000;
const TIMER_VERY_LATE_MAX_NS = 8_000_000;
const VERY_LATE_PROBABILITY = 0.005;

export class SimProcess implements Owner, NetHost {
  readonly name: string;
  readonly number: number;
  readonly host: string;
  readonly environment: Environment;
  readonly #world: World;
  readonly #node: SimNode;
  readonly #timers: ProcessTimers;
  readonly #startLocalNs: number;
  readonly #originMs: number;
  #state: 'running' | 'paused' | 'dead' = 'running';
  #parked: SimEvent[] = [];
  #tasks: (() => void)[] = [];
  #wake: SimEvent | undefined;

  constructor(world: World, node: SimNode, incarnation: number) {
    this.#world = world;
    this.#node = node;
    this.name = `${node.id}#${incarnation}`;
    this.number = node.number;
    this.host = node.host;
    const random = world.schedule.fork(`process ${this.name}`);
    this.#startLocalNs = node.clock.localNs(world.nowNs);
    // Monotonic clocks of two processes must not be comparable by accident.
    this.#originMs = random.below(1_000_000);
    this.#timers = new ProcessTimers({
      monotonicMs: () => this.monotonicMs(),
      wakeAt: (dueMs) => this.#wakeAt(dueMs),
    });
    this.environment = this.#makeEnvironment();
  }

  get isAlive(): boolean {
    return this.#state !== 'dead';
  }

  get isPaused(): boolean {
    return this.#state === 'paused';
  }

  monotonicMs(): number {
    const localNs = this.#node.clock.localNs(this.#world.nowNs) - this.#startLocalNs;
    return this.#originMs + localNs / 1e6;
  }

  // ---- as an owner of events -----------------------------------------------------------------

  readonly guard = (call: string): void => {
    if (this.#state === 'dead') {
      const error = new DeadProcessError(this.name, call);
      this.#world.fail('dead-process', error.message);
      throw error;
    }
  };

  readonly event = (kind: EventKind, atNs: number, run: () => void): SimEvent =>
    this.#world.scheduler.at(atNs, kind, this, run);

  park(event: SimEvent): void {
    this.#parked.push(event);
  }

  enter(run: () => void): void {
    assert(this.#state === 'running', 'SimProcess: only a running process runs', {
      name: this.name,
    });
    try {
      run();
    } catch (error) {
      this.#world.uncaught(this, error);
    }
  }

  // ---- life ----------------------------------------------------------------------------------

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.#world.scheduler.unpark(this.#parked);
    this.#parked = [];
  }

  /** For ever. What it was doing is gone; the node deals with its disk and its connections. */
  die(): void {
    assert(this.isAlive, 'SimProcess.die: dead already', { name: this.name });
    this.#state = 'dead';
    this.#parked = [];
    this.#tasks = [];
  }

  clockChanged(): void {
    if (this.isAlive) this.#timers.rearm();
  }

  // ---- environment ---------------------------------------------------------------------------

  #makeEnvironment(): Environment {
    const world = this.#world;
    const node = this.#node;
    const challenges = world.products.fork(`${this.name} challenges`);
    return {
      facts: { osBootId: `${node.id} boot ${node.systemBoots}`, pid: 1_000 + node.number },
      clock: {
        monotonicMs: () => this.monotonicMs(),
        wallMs: () => Math.floor(node.clock.wallMs(world.nowNs)),
      },
      random: world.products.fork(this.name),
      timers: {
        at: (dueMs, fire) => {
          this.guard('timers.at');
          return this.#timers.at(dueMs, fire);
        },
      },
      runQueue: { soon: (task) => this.#soon(task) },
      net: world.network.netOf(this),
      disk: new SimDisk(`/${node.id}`, node.device, {
        nowNs: () => world.nowNs,
        guard: this.guard,
        complete: (atNs, fire) => {
          this.event('disk', atNs, fire);
        },
        locks: node.locks,
        owner: this,
      }),
      threads: singleThread(this.guard),
      log: ringLog(world.log, this.name, () => world.nowNs),
      buggify: world.buggify.visit,
      unguessable: (count) => drawBytes(challenges, count),
      crc32c: (bytes, start, end, seed) => crc32c(bytes, start, end, seed),
      crew: simCrew((minNs, maxNs, fire) => {
        this.guard('crew.run');
        this.event('soon', world.nowNs + between(world.delays, minNs, maxNs), fire);
      }),
    };
  }

  #soon(task: () => void): void {
    this.guard('runQueue.soon');
    this.#tasks.push(task);
    if (this.#tasks.length > 1) return;
    const delayNs = between(this.#world.delays, 1, SOON_MAX_NS);
    this.event('soon', this.#world.nowNs + delayNs, () => {
      const tasks = this.#tasks;
      this.#tasks = [];
      for (const run of tasks) run();
    });
  }

  #wakeAt(dueMs: number): void {
    if (this.#wake !== undefined) this.#wake.run = undefined;
    const localNs = this.#startLocalNs + (dueMs - this.#originMs) * 1e6;
    const dueNs = Math.max(this.#world.nowNs, this.#node.clock.worldNs(localNs));
    const { delays } = this.#world;
    const lateMaxNs = chance(delays, VERY_LATE_PROBABILITY)
      ? TIMER_VERY_LATE_MAX_NS
      : TIMER_LATE_MAX_NS;
    const atNs = dueNs + between(delays, 1, lateMaxNs);
    this.#wake = this.event('timer', atNs, () => {
      this.#wake = undefined;
      this.#timers.wake();
    });
  }
}
