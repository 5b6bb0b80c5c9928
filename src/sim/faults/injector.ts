// Makes the faults of a plan happen, within the budget of the policy, and undoes them. Invariant: after
// heal() nothing is broken any more except what a device has already lost. Draws come from the fault
// stream only.

import type { Tree } from '../disk/tree.ts';
import {
  between,
  type CountingRandom,
  chance,
  exponential,
  logUniform,
  pick,
  shuffled,
  uniform,
} from '../draws.ts';
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import type { FaultPlan } from './plan.ts';
import type { FaultKind, FaultPolicy } from './policy.ts';

/** What the injector asks of the scenario. */
export interface FaultHost {
  boot(node: SimNode): void;
  hasRecovered(node: SimNode): boolean;
  /** False while the loss of that node's data could break the promise; always true if left out. */
  mayDamage?(node: SimNode): boolean;
}

const CUT_MS = [200, 8_000] as const;
const CLOG_MS = [20, 2_000] as const;
const PAUSE_MS = [20, 6_000] as const;
const STALL_MS = [50, 8_000] as const;
const SLOW_MS = [500, 10_000] as const;
const FULL_MS = [500, 6_000] as const;
const LOW_MS = [500, 8_000] as const;
const RECOVERY_POLL_MS = 100;
/** How long an armed fault waits for its operation, and how long after it what it broke may stay unseen. */
const ARMED_MS = 5_000;
const UNSEEN_MS = 500;

export class FaultInjector {
  readonly #world: World;
  readonly #policy: FaultPolicy;
  readonly #plan: FaultPlan;
  readonly #host: FaultHost;
  readonly #random: CountingRandom;
  readonly #counts = new Map<FaultKind, number>();
  /** Nodes without a process, or damaged and not yet whole. */
  readonly #down = new Set<SimNode>();
  readonly #damaged = new Set<SimNode>();
  /** Of nodes that were down, as their devices were then, and how often they had been started. */
  readonly #backups = new Map<SimNode, { readonly tree: Tree; readonly starts: number }>();
  readonly #undo = new Set<() => void>();
  /** The rate that was last given to each clock. */
  readonly #rates = new Map<SimNode, number>();
  readonly #timeline: string[] = [];
  #isOver = false;

  constructor(world: World, policy: FaultPolicy, plan: FaultPlan, host: FaultHost) {
    this.#world = world;
    this.#policy = policy;
    this.#plan = plan;
    this.#host = host;
    this.#random = world.faults.fork('injector');
  }

  /** Faults that happened, by kind. */
  counts(): ReadonlyMap<FaultKind, number> {
    return this.#counts;
  }

  total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** One line per fault: when, what, whom. */
  timeline(): readonly string[] {
    return this.#timeline;
  }

  start(): void {
    for (const [kind, meanMs] of this.#plan.meanMs) this.#schedule(kind, meanMs);
  }

  /** Injects one fault now if the budget allows it; true if it happened. */
  inject(kind: FaultKind): boolean {
    const happened = this.#inject(kind);
    if (happened) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    return happened;
  }

  /** Ends all faults and starts what is down. */
  heal(): void {
    this.#isOver = true;
    for (const undo of [...this.#undo]) undo();
    this.#world.network.heal();
    for (const node of this.#world.nodes()) {
      node.device.heal();
      node.resume();
    }
    this.#note('heal', '');
    for (const node of [...this.#down]) this.#start(node);
  }

  #schedule(kind: FaultKind, meanMs: number): void {
    const delayMs = 1 + exponential(this.#random, meanMs);
    this.#world.afterMs(
      delayMs,
      () => {
        if (this.#isOver) return;
        this.inject(kind);
        this.#schedule(kind, meanMs);
      },
      'fault',
    );
  }

  #inject(kind: FaultKind): boolean {
    switch (kind) {
      case 'kill':
        return this.#takeDown(kind, (node) => node.kill());
      case 'power-cut':
        return this.#takeDown(kind, (node) => node.powerCut());
      case 'wipe':
        return this.#wipe();
      case 'rollback':
        return this.#rollBack();
      case 'rot-at-rest':
        return this.#rotAtRest();
      case 'kill-all':
        return this.#takeAllDown(kind, (node) => node.kill());
      case 'power-cut-all':
        return this.#takeAllDown(kind, (node) => node.powerCut());
      case 'pause':
        return this.#pause();
      case 'reset':
        return this.#reset();
      case 'cut-one-way':
      case 'isolate':
      case 'bridge':
      case 'split':
      case 'cut-client':
        return this.#cut(kind);
      case 'clog':
        return this.#clog();
      case 'slow-link':
        return this.#slowLink();
      case 'disk-stall':
      case 'disk-slow':
      case 'disk-full':
        return this.#hinderDisk(kind);
      case 'disk-low':
        return this.#takeSpace();
      case 'write-error':
      case 'sync-error':
      case 'lost-write':
      case 'misdirected-write':
      case 'bit-rot':
        return this.#damageDisk(kind);
      case 'clock-jump':
      case 'clock-rate':
        return this.#clock(kind);
      case 'script':
        return false;
    }
  }

  // ---- processes -----------------------------------------------------------------------------

  #servers(): readonly SimNode[] {
    return this.#world.nodes('server');
  }

  #takeDown(kind: FaultKind, act: (node: SimNode) => void): boolean {
    const node = pick(
      this.#random,
      this.#servers().filter((server) => server.isUp),
    );
    const downMs = logUniform(this.#random, ...this.#policy.downMs);
    if (node === undefined || this.#down.size >= this.#policy.downMax) return false;
    this.#note(kind, `${node.id} for ${downMs.toFixed(0)} ms`);
    act(node);
    if (this.#plan.meanMs.has('rollback') && !this.#damaged.has(node)) {
      this.#backups.set(node, { tree: node.device.backup(), starts: node.starts });
    }
    this.#downFor(node, downMs);
    return true;
  }

  #takeAllDown(kind: FaultKind, act: (node: SimNode) => void): boolean {
    if (this.#down.size > 0 || this.#damaged.size > 0) return false;
    this.#note(kind, '');
    for (const node of shuffled(this.#random, this.#servers())) {
      act(node);
      this.#downFor(node, uniform(this.#random, 1, 1_500));
    }
    return true;
  }

  #wipe(): boolean {
    const node = pick(this.#random, this.#servers());
    if (node === undefined || !this.#mayDamage(node)) return false;
    this.#note('wipe', node.id);
    node.powerCut();
    node.wipe();
    this.#damage(node);
    this.#downFor(node, logUniform(this.#random, ...this.#policy.downMs));
    return true;
  }

  /** Back to an earlier state of it; the cluster must have seen the node in a later one since. */
  #rollBack(): boolean {
    const node = pick(this.#random, this.#servers());
    const backup = node === undefined ? undefined : this.#backups.get(node);
    if (node === undefined || backup === undefined || node.starts <= backup.starts) return false;
    if (!this.#mayDamage(node) || !node.isUp || !this.#host.hasRecovered(node)) return false;
    this.#note('rollback', `${node.id} to its state after start ${backup.starts}`);
    node.powerCut();
    node.restore(backup.tree);
    this.#damage(node);
    this.#downFor(node, logUniform(this.#random, ...this.#policy.downMs));
    return true;
  }

  #rotAtRest(): boolean {
    const node = pick(this.#random, this.#servers());
    if (node === undefined || !this.#mayDamage(node)) return false;
    node.kill();
    const hit = this.#policy.rotsAtRest?.(node.device, this.#random);
    this.#note('rot-at-rest', `${node.id} ${hit ?? 'nothing'}`);
    if (hit !== undefined) this.#damage(node);
    this.#downFor(node, logUniform(this.#random, ...this.#policy.downMs));
    return true;
  }

  #downFor(node: SimNode, downMs: number): void {
    this.#down.add(node);
    this.#world.afterMs(downMs, () => this.#start(node), 'fault');
  }

  #start(node: SimNode): void {
    if (node.isUp || !this.#down.has(node)) return;
    this.#note('start', node.id);
    this.#down.delete(node);
    this.#host.boot(node);
  }

  #pause(): boolean {
    const node = pick(
      this.#random,
      this.#servers().filter((server) => server.isUp),
    );
    const pauseMs = logUniform(this.#random, ...PAUSE_MS);
    if (node?.process === undefined || node.process.isPaused) return false;
    this.#note('pause', `${node.id} for ${pauseMs.toFixed(0)} ms`);
    node.pause();
    const { process } = node;
    this.#later(pauseMs, () => process.resume());
    return true;
  }

  // ---- network -------------------------------------------------------------------------------

  #reset(): boolean {
    const host = pick(this.#random, this.#servers())?.host;
    const happened = this.#world.network.resetOne(
      this.#random,
      (from, to) => from === host || to === host,
    );
    if (happened) this.#note('reset', `a connection of ${host}`);
    return happened;
  }

  #cut(kind: FaultKind): boolean {
    const servers = shuffled(
      this.#random,
      this.#servers().map((node) => node.host),
    );
    const clients = this.#world.nodes('client').map((node) => node.host);
    const cutMs = logUniform(this.#random, ...CUT_MS);
    const withClients = chance(this.#random, 0.3);
    const [first, second, ...rest] = servers;
    if (first === undefined) return false;
    const pairs: [string, string][] = [];
    const both = (a: string, b: string): void => {
      pairs.push([a, b], [b, a]);
    };
    if (kind === 'cut-client') {
      const client = pick(this.#random, clients);
      if (client === undefined) return false;
      both(client, first);
    } else if (second === undefined) return false;
    else if (kind === 'cut-one-way') pairs.push([first, second]);
    else if (kind === 'isolate') {
      for (const other of [second, ...rest]) both(first, other);
      if (withClients) for (const client of clients) both(first, client);
    } else if (kind === 'bridge') both(first, second);
    else {
      const half = Math.ceil(servers.length / 2);
      for (const a of servers.slice(0, half)) for (const b of servers.slice(half)) both(a, b);
    }
    this.#note(kind, `${pairs.map(([a, b]) => `${a}>${b}`).join(' ')} for ${cutMs.toFixed(0)} ms`);
    const mends = pairs.map(([from, to]) => this.#world.network.block(from, to));
    this.#later(cutMs, () => {
      // Released one by one in random order: each step is a shape of its own.
      for (const mend of shuffled(this.#random, mends)) {
        this.#later(this.#isOver ? 0 : uniform(this.#random, 0, 300), mend);
      }
    });
    return true;
  }

  #clog(): boolean {
    const hosts = this.#world.network.hosts();
    const from = pick(this.#random, hosts);
    const to = pick(this.#random, hosts);
    const clogMs = logUniform(this.#random, ...CLOG_MS);
    if (from === undefined || to === undefined || from === to) return false;
    this.#note('clog', `${from}>${to} for ${clogMs.toFixed(0)} ms`);
    this.#later(clogMs, this.#world.network.block(from, to));
    return true;
  }

  #slowLink(): boolean {
    const hosts = this.#world.network.hosts();
    const from = pick(this.#random, hosts);
    const to = pick(this.#random, hosts);
    const factor = logUniform(this.#random, 5, 500);
    const slowMs = logUniform(this.#random, ...SLOW_MS);
    if (from === undefined || to === undefined || from === to) return false;
    this.#note('slow-link', `${from}>${to} by ${factor.toFixed(0)} for ${slowMs.toFixed(0)} ms`);
    this.#later(slowMs, this.#world.network.link(from, to).slow(factor));
    return true;
  }

  // ---- disks ---------------------------------------------------------------------------------

  #hinderDisk(kind: 'disk-stall' | 'disk-slow' | 'disk-full'): boolean {
    const node = pick(this.#random, this.#servers());
    if (node === undefined) return false;
    const { device } = node;
    if (kind === 'disk-stall') {
      const stallMs = logUniform(this.#random, ...STALL_MS);
      device.stall(this.#world.nowNs + stallMs * 1e6);
      this.#note(kind, `${node.id} for ${stallMs.toFixed(0)} ms`);
    } else if (kind === 'disk-slow') {
      const factor = logUniform(this.#random, 3, 100);
      const slowMs = logUniform(this.#random, ...SLOW_MS);
      this.#note(kind, `${node.id} by ${factor.toFixed(0)} for ${slowMs.toFixed(0)} ms`);
      this.#later(slowMs, device.slow(factor));
    } else {
      const fullMs = logUniform(this.#random, ...FULL_MS);
      this.#note(kind, `${node.id} for ${fullMs.toFixed(0)} ms`);
      this.#later(fullMs, device.fill());
    }
    return true;
  }

  /** Of one node's disk, or of all of them. */
  #takeSpace(): boolean {
    const { lowBytes } = this.#policy;
    if (lowBytes === undefined) return false;
    const isOne = chance(this.#random, 0.7);
    const nodes = shuffled(this.#random, this.#servers()).slice(0, isOne ? 1 : undefined);
    const lowMs = logUniform(this.#random, ...LOW_MS);
    for (const { id, device } of nodes) {
      const left = between(this.#random, ...lowBytes);
      this.#note('disk-low', `${id} has ${left} bytes left for ${lowMs.toFixed(0)} ms`);
      this.#later(lowMs, device.leave(left));
    }
    return nodes.length > 0;
  }

  #damageDisk(
    kind: 'write-error' | 'sync-error' | 'lost-write' | 'misdirected-write' | 'bit-rot',
  ): boolean {
    const node = pick(this.#random, this.#servers());
    if (node === undefined || !this.#mayDamage(node)) return false;
    const fits = this.#policy.damages ?? (() => true);
    if (kind === 'bit-rot') {
      const path = node.device.rot(fits);
      if (path === undefined) return false;
      this.#note(kind, `${node.id} ${path}`);
    } else {
      node.device.arm(kind, fits);
      this.#later(ARMED_MS, () => node.device.disarm(kind));
      this.#note(kind, `${node.id}, next fitting operation`);
    }
    this.#damage(node);
    return true;
  }

  #mayDamage(node: SimNode): boolean {
    if (this.#damaged.has(node)) return true;
    const othersDown = [...this.#down].some((down) => down !== node);
    if (othersDown || this.#damaged.size >= this.#policy.damagedMax) return false;
    return this.#host.mayDamage?.(node) ?? true;
  }

  /** Counts as damaged until the scenario says that the node is whole again. */
  #damage(node: SimNode): void {
    if (this.#damaged.has(node)) return;
    this.#damaged.add(node);
    let sinceMs = this.#world.nowMs;
    const poll = (): void => {
      const isUp = node.isUp && !this.#down.has(node);
      // What is broken must have been met, seen and made good.
      if (node.device.isArmed || !isUp || !this.#host.hasRecovered(node)) {
        sinceMs = this.#world.nowMs;
      }
      if (this.#world.nowMs - sinceMs >= UNSEEN_MS) this.#damaged.delete(node);
      else if (!this.#isOver) this.#world.afterMs(RECOVERY_POLL_MS, poll, 'fault');
    };
    this.#world.afterMs(RECOVERY_POLL_MS, poll, 'fault');
  }

  // ---- clocks --------------------------------------------------------------------------------

  #clock(kind: 'clock-jump' | 'clock-rate'): boolean {
    const node = pick(this.#random, this.#servers());
    if (node === undefined) return false;
    if (kind === 'clock-jump') {
      const size = Math.round(logUniform(this.#random, 10, 86_400_000));
      const byMs = chance(this.#random, 0.5) ? size : -size;
      node.clock.jumpWall(byMs);
      this.#note(kind, `${node.id} by ${byMs} ms`);
    } else {
      const rate = uniform(this.#random, 0.9, 1.1);
      node.setClockRate(rate);
      this.#note(kind, `${node.id} to ${rate.toFixed(3)}`);
      this.#rates.set(node, rate);
      this.#later(between(this.#random, 1_000, 20_000), () => {
        // A later rate ends at its own time.
        if (this.#rates.get(node) === rate) node.setClockRate(1);
      });
    }
    return true;
  }

  // ---- undoing -------------------------------------------------------------------------------

  /** Undoes a fault after that time, or at heal(). */
  #later(afterMs: number, undo: () => void): void {
    const once = (): void => {
      if (this.#undo.delete(once)) undo();
    };
    this.#undo.add(once);
    if (this.#isOver) once();
    else this.#world.afterMs(afterMs, once, 'fault');
  }

  #note(kind: string, whom: string): void {
    this.#timeline.push(`${this.#world.nowMs.toFixed(1).padStart(9)} ms ${kind} ${whom}`);
  }
}
