// Plays the script of a scenario: waits until the cluster is whole, casts the parts, lets the deeds happen, undoes them,
// and judges what the script expects of each round. Invariant: a run in which the rounds were not played in full has
// failed, whatever else is true of it.
import type { Tree } from '../disk/tree.ts';
import { type CountingRandom, shuffled, uniform } from '../draws.ts';
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import type { Cast, Deed, Expectation, FaultScript, Part, Way } from './script.ts';

/** What a player asks of the scenario. */
export interface Stage {
  boot(node: SimNode): void;
  /** All nodes are up and hold everything. */
  isWhole(): boolean;
  /** Who is that now; undefined while nobody is. */
  whois(cast: Cast): SimNode | undefined;
  /** Operations whose success a client was told. */
  acknowledged(): number;
}

const PARTS: readonly Part[] = ['a', 'b', 'c', 'd', 'e'];
const POLL_MS = 100;
const ROUNDS = 2;
/** Between rounds. */
const REST_MS = 500;
const PACE = [0.8, 1.25] as const;
/** Until then the cluster is whole, or never will be. */
const WHOLE_LIMIT_MS = 90_000;

export class ScriptPlayer {
  readonly #world: World;
  readonly #script: FaultScript;
  readonly #stage: Stage;
  readonly #random: CountingRandom;
  readonly #undo = new Set<() => void>();
  readonly #down = new Set<SimNode>();
  readonly #timeline: string[] = [];
  #rounds = 0;
  /** Successes by the end of the last round: a round begins when there are more. */
  #acknowledged = 0;
  #deeds = 0;
  #isOver = false;

  constructor(world: World, script: FaultScript, stage: Stage) {
    this.#world = world;
    this.#script = script;
    this.#stage = stage;
    this.#random = world.faults.fork('script');
  }

  get isDone(): boolean {
    return this.#rounds >= (this.#script.rounds ?? ROUNDS);
  }

  get deeds(): number {
    return this.#deeds;
  }

  timeline(): readonly string[] {
    return this.#timeline;
  }

  start(): void {
    this.#waitUntilWhole(this.#world.nowMs);
  }

  /** Ends all that goes on, and starts what is down. */
  heal(): void {
    this.#isOver = true;
    for (const undo of [...this.#undo]) undo();
    for (const node of [...this.#down]) this.#start(node);
  }

  #waitUntilWhole(sinceMs: number): void {
    if (this.#isOver || this.isDone) return;
    if (this.#down.size === 0 && this.#stage.isWhole() && this.#isServed()) {
      const a = this.#stage.whois(this.#script.cast);
      if (a !== undefined) {
        this.#play(a);
        return;
      }
    }
    if (this.#world.nowMs - sinceMs > WHOLE_LIMIT_MS) {
      this.#world.fail('script/unplayed', `round ${this.#rounds + 1}: the cluster is not whole`);
      return;
    }
    this.#world.afterMs(POLL_MS, () => this.#waitUntilWhole(sinceMs), 'fault');
  }

  #isServed(): boolean {
    return this.#stage.acknowledged() > this.#acknowledged;
  }

  #play(a: SimNode): void {
    const others = this.#world.nodes('server').filter((node) => node !== a);
    const players = new Map<Part, SimNode>();
    for (const [i, node] of [a, ...shuffled(this.#random, others)].entries()) {
      players.set(PARTS[i]!, node);
    }
    const cast = [...players].map(([part, node]) => `${part} ${node.id}`).join(', ');
    this.#note(`round ${this.#rounds + 1}: ${cast}`);
    const pace = uniform(this.#random, ...PACE);
    const backups = this.#backups(players);
    let endMs = 0;
    for (const deed of this.#script.deeds) {
      const { atMs } = deed;
      const forMs = ('forMs' in deed ? deed.forMs : 0) * pace;
      this.#world.afterMs(atMs * pace, () => this.#do(deed, players, forMs, backups), 'fault');
      endMs = Math.max(endMs, atMs * pace + forMs);
    }
    for (const expectation of this.#script.expects ?? []) {
      const { fromMs, toMs } = expectation;
      this.#world.afterMs(fromMs * pace, () =>
        this.#expect(expectation, a, (toMs - fromMs) * pace),
      );
      endMs = Math.max(endMs, toMs * pace);
    }
    this.#world.afterMs(
      endMs + REST_MS,
      () => {
        this.#rounds += 1;
        this.#acknowledged = this.#stage.acknowledged();
        this.#waitUntilWhole(this.#world.nowMs);
      },
      'fault',
    );
  }

  /** As they are while they run: what was handed to the system is there, as in a copy of a running machine. */
  #backups(players: ReadonlyMap<Part, SimNode>): ReadonlyMap<SimNode, Tree> {
    const backups = new Map<SimNode, Tree>();
    for (const deed of this.#script.deeds) {
      if (deed.deed !== 'rollback') continue;
      for (const part of deed.whom) {
        const node = players.get(part)!;
        backups.set(node, node.device.backup());
      }
    }
    return backups;
  }

  // ---- deeds -----------------------------------------------------------------------------------

  #do(
    deed: Deed,
    players: ReadonlyMap<Part, SimNode>,
    forMs: number,
    backups: ReadonlyMap<SimNode, Tree>,
  ): void {
    if (this.#isOver) return;
    this.#deeds += 1;
    const whom = 'whom' in deed ? deed.whom.map((part) => players.get(part)!) : [];
    const ways = 'ways' in deed ? deed.ways.flatMap((way) => this.#links(way, players)) : [];
    const where = [...whom.map(({ id }) => id), ...ways.map((way) => way.join('>'))].join(' ');
    this.#note(`${deed.deed} ${where}${forMs > 0 ? ` for ${forMs.toFixed(0)} ms` : ''}`);
    switch (deed.deed) {
      case 'kill':
      case 'power-cut':
      case 'wipe':
      case 'rollback':
        for (const node of whom) {
          const backup = deed.deed === 'rollback' ? backups.get(node) : undefined;
          this.#takeDown(deed.deed, node, forMs, backup);
        }
        return;
      case 'cut':
        for (const [from, to] of ways) this.#later(forMs, this.#world.network.block(from, to));
        return;
      case 'slow-link':
        for (const [from, to] of ways) {
          this.#later(forMs, this.#world.network.link(from, to).slow(deed.by));
        }
        return;
      case 'reset':
        for (let i = 0; i < deed.times; i += 1) {
          this.#world.network.resetOne(this.#random, (from, to) =>
            ways.some((way) => way[0] === from && way[1] === to),
          );
        }
        return;
      default:
        for (const node of whom) this.#hinder(deed, node, forMs);
    }
  }

  #hinder(deed: Deed, node: SimNode, forMs: number): void {
    const { device } = node;
    switch (deed.deed) {
      case 'pause': {
        const { process } = node;
        node.pause();
        this.#later(forMs, () => process?.resume());
        return;
      }
      case 'disk-full':
        this.#later(forMs, device.fill());
        return;
      case 'disk-stall':
        device.stall(this.#world.nowNs + Math.round(forMs * 1e6));
        return;
      case 'disk-slow':
        this.#later(forMs, device.slow(deed.by));
        return;
      case 'write-error':
      case 'sync-error':
        device.arm(deed.deed);
        return;
      case 'clock-jump':
        node.clock.jumpWall(deed.byMs);
        return;
      case 'clock-rate':
        node.setClockRate(deed.rate);
        this.#later(forMs, () => node.setClockRate(1));
        return;
    }
  }

  #takeDown(deed: Deed['deed'], node: SimNode, forMs: number, backup: Tree | undefined): void {
    if (deed === 'kill') node.kill();
    else node.powerCut();
    if (deed === 'wipe') node.wipe();
    if (backup !== undefined) node.restore(backup);
    this.#down.add(node);
    this.#world.afterMs(forMs, () => this.#start(node), 'fault');
  }

  #start(node: SimNode): void {
    if (!this.#down.delete(node) || node.isUp) return;
    this.#note(`start ${node.id}`);
    this.#stage.boot(node);
  }

  #links(way: Way, players: ReadonlyMap<Part, SimNode>): [string, string][] {
    const isBoth = way.includes('-');
    const [from, to] = way.split(isBoth ? '-' : '>').map((end) => this.#hosts(end, players));
    const pairs = from!.flatMap((a) => to!.map((b): [string, string] => [a, b]));
    return isBoth
      ? pairs.flatMap(([a, b]): [string, string][] => [
          [a, b],
          [b, a],
        ])
      : pairs;
  }

  #hosts(end: string, players: ReadonlyMap<Part, SimNode>): string[] {
    if (end === 'clients') return this.#world.nodes('client').map(({ host }) => host);
    return [players.get(end as Part)!.host];
  }

  #later(afterMs: number, undo: () => void): void {
    const once = (): void => {
      if (this.#undo.delete(once)) undo();
    };
    this.#undo.add(once);
    this.#world.afterMs(afterMs, once, 'fault');
  }

  // ---- expectations ----------------------------------------------------------------------------

  #expect({ what }: Expectation, a: SimNode, forMs: number): void {
    const before = this.#stage.acknowledged();
    const controller = this.#stage.whois('controller');
    const round = this.#rounds + 1;
    const fail = (why: string) =>
      this.#world.fail(`script/${what}`, `round ${round}, a is ${a.id}: ${why}`);
    this.#world.afterMs(forMs, () => {
      if (this.#isOver) return;
      const count = this.#stage.acknowledged() - before;
      const now = this.#stage.whois('controller');
      if (what === 'serves' && count === 0) fail('nothing was acknowledged');
      if (what === 'refuses' && count > 0) fail(`${count} operations were acknowledged`);
      if (what === 'same-controller' && (now !== controller || now === undefined)) {
        fail(`${controller?.id ?? 'nobody'} led the metadata group, then ${now?.id ?? 'nobody'}`);
      }
      if (what === 'other-controller' && (now === undefined || now === a)) {
        fail(`${now?.id ?? 'nobody'} leads the metadata group`);
      }
    });
  }

  #note(what: string): void {
    this.#timeline.push(`${this.#world.nowMs.toFixed(1).padStart(9)} ms ${what}`);
  }
}
