// A random cluster, now and then with a witness or two: drops, repeats, reordering, slow disks, crashes that lose what was not written,
// partitions, membership changes, transfers, compaction, reads. The checkers in cluster.ts watch
// every step; after healing the cluster must make progress and all replicas must be equal.
import { describe, expect, test } from 'vitest';
import { peerOf, type RaftMessage } from '../../src/raft/index.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import { runs } from '../setup/runs.ts';
import { Cluster } from './cluster.ts';

const STEPS = 2500;
const FIRST_SEED = Number(process.env['RAFT_SEED'] ?? 1);
const SEEDS = Number(process.env['RAFT_SEEDS'] ?? runs(40, 12));

interface Totals {
  committed: number;
  leaders: number;
  crashes: number;
  changes: number;
  snapshots: number;
  reads: number;
}

class World {
  readonly cluster: Cluster;
  readonly dice: SeededRandom;
  readonly totals: Totals;
  readonly ids: number[];
  /** Those with a state machine. */
  readonly keepers: number[];
  cut: ReadonlySet<string> = new Set();
  requests = 0;

  constructor(seed: number, totals: Totals) {
    this.dice = new SeededRandom(seed);
    this.totals = totals;
    this.ids = seed % 4 === 0 ? [1, 2, 3, 4, 5] : [1, 2, 3];
    const isChanging = seed % 3 === 0;
    // The last one of three, the last two of five.
    const witnesses = seed % 7 < 2 ? this.ids.slice(this.ids.length === 3 ? 2 : 3) : [];
    this.keepers = this.ids.filter((id) => !witnesses.includes(id));
    const draws = this.dice.fork('timeouts');
    this.cluster = new Cluster({
      ids: this.ids,
      // With changing membership the checker of durable majorities does not know the quorum.
      ...(isChanging ? { voters: this.ids } : {}),
      witnesses,
      random: () => draws,
      isDiskInstant: false,
      isEncoded: seed % 5 === 0,
      config: {
        trailingEntries: this.dice.below(5),
        snapshotChunkBytes: 8 + this.dice.below(64),
        appendBytesMax: 4 + this.dice.below(40),
        inFlightMax: 1 + this.dice.below(5),
        applyBytesMax: 1 + this.dice.below(30),
        promotionLagMax: 1000,
      },
      onReady: (_id, ready) => {
        if (ready.soft?.role === 'leader') totals.leaders += 1;
        if (ready.install !== undefined) totals.snapshots += 1;
        totals.reads += ready.reads.length;
      },
    });
    this.isChanging = isChanging;
  }

  readonly isChanging: boolean;

  pick<T>(items: readonly T[]): T {
    return items[this.dice.below(items.length)];
  }

  isCut(message: RaftMessage): boolean {
    const from = Math.floor(message.from / 2 ** 32);
    return this.cut.has(`${from}>${Math.floor(message.to / 2 ** 32)}`);
  }

  deliverOne(): void {
    const { network } = this.cluster;
    if (network.length === 0) return;
    const at = this.dice.below(4) === 0 ? this.dice.below(network.length) : 0;
    const [message] = network.splice(at, 1);
    const fate = this.dice.below(20);
    if (this.isCut(message) || fate === 0) return;
    if (fate === 1) network.push(message);
    this.cluster.deliver(message);
  }

  fault(): void {
    const { cluster, dice } = this;
    const id = this.pick(this.ids);
    switch (dice.below(9)) {
      case 0:
      case 1: {
        // Some of the writes in flight may have reached the disk; the node does not know.
        const node = cluster.node(id);
        if (node.core !== undefined) {
          if (dice.below(2) === 0 && node.pendingWrites.length > 0) cluster.finishWrite(id);
          cluster.crash(id);
          this.totals.crashes += 1;
        }
        return;
      }
      case 2: {
        const cut = new Set<string>();
        for (const a of this.ids) {
          for (const b of this.ids) if (a !== b && dice.below(3) === 0) cut.add(`${a}>${b}`);
        }
        this.cut = cut;
        return;
      }
      case 3:
        this.cut = new Set();
        return;
      case 4:
        if (cluster.node(id).core !== undefined) cluster.compact(id);
        return;
      case 5: {
        const target = peerOf(this.pick(this.ids), 1);
        this.request(id, { kind: 'transfer', target });
        return;
      }
      case 6:
        if (this.isChanging) this.changeMembership();
        return;
      case 7:
        cluster.nowMs += dice.below(2000);
        return;
      default:
        this.request(id, { kind: 'read-index' });
    }
  }

  changeMembership(): void {
    const all = this.ids.map((id) => peerOf(id, 1));
    const voters = all.filter(() => this.dice.below(3) > 0);
    for (const id of this.cluster.leaders()) {
      const before = this.cluster.node(id).accepted.length;
      const learners = all.filter((peer) => !voters.includes(peer));
      this.request(id, { kind: 'change-membership', voters, learners });
      this.totals.changes += this.cluster.node(id).accepted.length - before;
    }
  }

  request(
    id: number,
    input:
      | { kind: 'read-index' }
      | { kind: 'transfer'; target: number }
      | { kind: 'change-membership'; voters: number[]; learners: number[] },
  ): void {
    this.requests += 1;
    this.cluster.step(id, { ...input, requestId: this.requests });
  }

  turn(): void {
    const { cluster, dice } = this;
    const roll = dice.below(100);
    if (dice.below(50) === 0) this.cut = new Set();
    const down = this.ids.filter((id) => cluster.node(id).core === undefined);
    if (down.length > 0 && dice.below(60) === 0) cluster.restart(this.pick(down));
    if (roll < 50) {
      for (let i = 0; i < 4; i += 1) this.deliverOne();
    } else if (roll < 75) {
      for (const id of this.ids) if (dice.below(3) > 0) cluster.finishWrite(id);
    } else if (roll < 88) cluster.advance(dice.below(80));
    else if (roll < 97) {
      for (const id of cluster.leaders()) cluster.propose(id, `v${dice.below(1000)}`);
    } else this.fault();
  }

  heal(): void {
    const { cluster } = this;
    this.cut = new Set();
    for (const id of this.ids) if (cluster.node(id).core === undefined) cluster.restart(id);
    const floor = cluster.committedMax;
    for (let round = 0; round < 400; round += 1) {
      cluster.advance(50);
      for (let i = 0; i < 50; i += 1) {
        cluster.settle();
        if (!this.ids.map((id) => cluster.finishWrite(id)).includes(true)) break;
      }
      for (const id of cluster.leaders()) {
        // Bring everybody back in, so that all replicas can be compared.
        const voters = this.ids.map((other) => peerOf(other, 1));
        const isWhole = cluster.core(id).status.configuration.voters.length === voters.length;
        if (this.isChanging && !isWhole)
          this.request(id, { kind: 'change-membership', voters, learners: [] });
        if (round === 200) cluster.propose(id, 'healed');
      }
    }
    expect(cluster.committedMax).toBeGreaterThan(floor);
    const [first, ...rest] = this.keepers.map((id) => cluster.node(id).applied);
    expect(first.at(-1)).toBe('healed');
    for (const other of rest) expect(other).toEqual(first);
    this.totals.committed += cluster.committedMax;
  }
}

describe('a random cluster', () => {
  test('keeps every rule of Raft through faults, and heals', { timeout: 180_000 }, () => {
    const totals = { committed: 0, leaders: 0, crashes: 0, changes: 0, snapshots: 0, reads: 0 };
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
      const world = new World(seed, totals);
      try {
        for (let i = 0; i < STEPS; i += 1) world.turn();
        world.heal();
      } catch (thrown) {
        throw new Error(`seed ${seed}`, { cause: thrown });
      }
    }
    // The run must have been eventful, or it proves nothing.
    const floor = (inForty: number) => (inForty * SEEDS) / 40;
    expect(totals.committed).toBeGreaterThan(floor(2000));
    expect(totals.leaders).toBeGreaterThan(floor(150));
    expect(totals.crashes).toBeGreaterThan(floor(200));
    expect(totals.changes).toBeGreaterThan(floor(20));
    expect(totals.snapshots).toBeGreaterThan(floor(20));
    expect(totals.reads).toBeGreaterThan(floor(20));
  });
});
