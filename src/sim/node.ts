// A simulated host: a name, an address, a clock, a device, and at most one living process. Servers and
// clients are the same to the simulator; the role only tells the fault scheduler whom it may hurt.
import { assert } from '../std/assert.ts';
import { Device, type DiskProfile } from './disk/device.ts';
import type { Tree } from './disk/tree.ts';
import { chance, uniform } from './draws.ts';
import { SimProcess } from './process.ts';
import { SimClock } from './sim-clock.ts';
import type { World } from './world.ts';

export type NodeRole = 'server' | 'client';

/** Where a program of the same machine seems to dial from, if it must: all of 127.0.0.0/8 is loopback. */
const LOOPBACK_NET = '127.0.1';
const LAN_NET = '10.0.0';
const RATE_SKEW_MAX = 0.0005;
const WALL_OFFSET_MAX_MS = 500;

export interface HostOptions {
  readonly disk: DiskProfile;
  /** Its address is a loopback one: to others it seems to be on their machine. Its links are as any. */
  readonly isLoopback: boolean;
}

export class SimNode {
  readonly id: string;
  /** 1, 2, 3 ... in order of creation. */
  readonly number: number;
  readonly host: string;
  readonly role: NodeRole;
  readonly clock: SimClock;
  readonly device: Device;
  readonly locks = new Map<string, object>();
  readonly #world: World;
  #process: SimProcess | undefined;
  #starts = 0;
  #systemBoots = 0;
  #isPowered = false;

  constructor(world: World, id: string, number: number, role: NodeRole, options: HostOptions) {
    this.#world = world;
    this.id = id;
    this.number = number;
    this.role = role;
    this.host = `${options.isLoopback ? LOOPBACK_NET : LAN_NET}.${number}`;
    const random = world.schedule.fork(`node ${id}`);
    const isSkewed = chance(random, 0.5);
    this.clock = new SimClock(
      isSkewed ? 1 + uniform(random, -RATE_SKEW_MAX, RATE_SKEW_MAX) : 1,
      isSkewed ? Math.round(uniform(random, -WALL_OFFSET_MAX_MS, WALL_OFFSET_MAX_MS)) : 0,
    );
    this.device = new Device(random.fork('disk'), options.disk);
    world.network.addHost(this.host, [id]);
  }

  /** The living process, if there is one. */
  get process(): SimProcess | undefined {
    return this.#process;
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  /** Boots of the operating system so far: differs before and after a power cut, not around a kill. */
  get systemBoots(): number {
    return this.#systemBoots;
  }

  get starts(): number {
    return this.#starts;
  }

  /** Starts a process with a fresh environment, and the system under it where it is off. */
  start(): SimProcess {
    assert(this.#process === undefined, 'SimNode.start: a process is alive', { node: this.id });
    if (!this.#isPowered) {
      this.#isPowered = true;
      this.#systemBoots += 1;
      this.#world.network.hostUp(this.host);
    }
    this.#starts += 1;
    this.#process = new SimProcess(this.#world, this, this.#starts);
    return this.#process;
  }

  /** kill -9: the process is gone, the page cache and the system live on. */
  kill(): void {
    if (this.#process === undefined) return;
    this.#bury(this.#process, true);
    this.device.processDied();
  }

  /** The plug is pulled: what was not synced is kept, dropped or torn. */
  powerCut(): void {
    this.#isPowered = false;
    this.#world.network.hostDown(this.host);
    if (this.#process !== undefined) this.#bury(this.#process, false);
    this.device.powerCut();
  }

  /** Total loss of the device. Only while nothing runs. */
  wipe(): void {
    assert(this.#process === undefined, 'SimNode.wipe: a process is alive', { node: this.id });
    this.device.wipe();
  }

  /** A copy of the device is put back. Only while nothing runs. */
  restore(backup: Tree): void {
    assert(this.#process === undefined, 'SimNode.restore: a process is alive', { node: this.id });
    this.device.restore(backup);
  }

  pause(): void {
    this.#process?.pause();
  }

  resume(): void {
    this.#process?.resume();
  }

  setClockRate(rate: number): void {
    this.clock.setRate(rate, this.#world.nowNs);
    this.#process?.clockChanged();
  }

  #bury(process: SimProcess, isSystemAlive: boolean): void {
    this.#process = undefined;
    process.die();
    this.locks.clear();
    this.#world.network.processDied(process, isSystemAlive);
  }
}
