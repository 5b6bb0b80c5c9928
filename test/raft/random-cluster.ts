// A random cluster, now and then with a witness or two: drops, repeats, reordering, slow disks, crashes that lose what was not written,
// partitions, membership changes, transfers, compaction, reads. The checkers in cluster.ts watch
// every step; after healing the cluster must make progress and all replicas must be equal.
import {
  nodeOfPeer,
  peerOf,
  type RaftFaults,
  type RaftMessage,
  type Ready,
} from '../../src/raft/index.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import { Cluster, emptyDisk } from './cluster.ts';

const STEPS = 2500;

/** Rules that are broken in a run: of the core, or of whoever runs it. */
export interface Mistakes extends RaftFaults {
  /** A disk that was wiped comes back under the name that it had. */
  readonly wipeKeepsName?: boolean;
}

export interface Totals {
  committed: number;
  leaders: number;
  crashes: number;
  changes: number;
  snapshots: number;
  reads: number;
}

export function noTotals(): Totals {
  return { committed: 0, leaders: 0, crashes: 0, changes: 0, snapshots: 0, reads: 0 };
}

class World {
  readonly cluster: Cluster;
  readonly dice: SeededRandom;
  readonly totals: Totals;
  readonly ids: number[];
  /** Those with a state machine. */
  readonly keepers: number[];
  cut: ReadonlySet<string> = new Set();
  /** Processes that stand still: no clock, no message, and then all of it at once. */
  readonly paused = new Set<number>();
  /** Disks that finish nothing for a while. */
  readonly stuck = new Set<number>();
  /** Messages that come long after everybody has forgotten them. */
  readonly late: RaftMessage[] = [];
  /** Every other seed: leaders change all the time, and nobody is down for long. */
  readonly isStormy: boolean;
  requests = 0;

  constructor(seed: number, totals: Totals, mistakes: Mistakes) {
    this.#mistakes = mistakes;
    this.dice = new SeededRandom(seed);
    this.totals = totals;
    this.isStormy = seed % 2 === 0;
    this.ids = seed % 4 > 1 ? [1, 2, 3, 4, 5] : [1, 2, 3];
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
        // Of one byte, so that every command travels alone, in a third of the runs.
        appendBytesMax: this.dice.below(3) === 0 ? 1 : 4 + this.dice.below(40),
        inFlightMax: 1 + this.dice.below(5),
        applyBytesMax: 1 + this.dice.below(30),
        promotionLagMax: 1000,
        faults: mistakes,
      },
      onReady: (id, ready) => {
        if (ready.soft?.role === 'leader') totals.leaders += 1;
        if (this.isStormy) this.#doom(id, ready);
        if (ready.install !== undefined) totals.snapshots += 1;
        totals.reads += ready.reads.length;
      },
    });
    this.isChanging = isChanging;
  }

  readonly isChanging: boolean;
  readonly #mistakes: Mistakes;
  readonly #doomed = new Set<number>();

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
    if (this.paused.has(nodeOfPeer(message.to))) {
      network.push(message);
      return;
    }
    const fate = this.dice.below(20);
    if (this.isCut(message) || fate === 0) {
      if (this.isStormy && this.dice.below(2) === 0) this.late.push(message);
      return;
    }
    if (fate === 1) network.push(message);
    this.cluster.deliver(message);
  }

  fault(): void {
    const { cluster, dice } = this;
    const id = this.pick(this.ids);
    switch (dice.below(this.isStormy ? 15 : 9)) {
      case 0:
      case 1:
        if (cluster.node(id).core !== undefined) this.end(id);
        return;
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
        if (cluster.node(id).core === undefined) return;
        cluster.compact(id);
        if (this.isStormy && dice.below(2) === 0) {
          while (cluster.finishWrite(id));
          this.#doomed.add(id);
        }
        return;
      case 5: {
        const target = peerOf(this.pick(this.ids), 1);
        this.request(id, { kind: 'transfer', target });
        return;
      }
      case 6:
        if (!this.isChanging) return;
        this.changeMembership();
        if (this.isStormy && dice.below(2) === 0) this.split();
        return;
      case 7:
        cluster.nowMs += dice.below(2000);
        return;
      case 8:
        this.request(id, { kind: 'read-index' });
        return;
      case 9:
        // The others have forgotten their leader by then, and all of them stand for election at once.
        this.advance(1500);
        return;
      case 10:
        if (dice.below(2) === 0) for (const each of cluster.leaders()) this.paused.add(each);
        else this.stuck.add(id);
        return;
      case 11:
        for (const each of cluster.leaders()) this.isolate(each);
        return;
      case 12:
        for (const message of this.late.splice(0)) cluster.network.unshift(message);
        return;
      default:
        // Dead and back before anybody has noticed.
        if (cluster.node(id).core === undefined) return;
        this.end(id);
        cluster.restart(id);
    }
  }

  advance(ms: number): void {
    const { cluster } = this;
    cluster.nowMs += ms;
    for (const id of this.ids) {
      const { core } = cluster.node(id);
      const isDue = core !== undefined && core.deadlineMs <= cluster.nowMs;
      if (isDue && !this.paused.has(id)) cluster.step(id, { kind: 'tick' });
    }
  }

  /** The new members do not hear those that leave. */
  split(): void {
    const [leader] = this.cluster.leaders();
    if (leader === undefined) return;
    const { voters } = this.cluster.core(leader).status.configuration;
    const isIn = (id: number) => voters.includes(peerOf(id, 1));
    const cut = new Set<string>();
    for (const a of this.ids) {
      for (const b of this.ids) if (isIn(a) !== isIn(b)) cut.add(`${a}>${b}`);
    }
    this.cut = cut;
  }

  /** Some die right after they have given their vote, become leaders, or applied something. */
  #doom(id: number, ready: Ready): void {
    const hasVoted = ready.messages.some(
      (message) => message.kind === 'vote-response' && message.isGranted && !message.isPreVote,
    );
    const isNews = hasVoted || ready.soft?.role === 'leader';
    if (isNews && this.dice.below(4) === 0) this.#doomed.add(id);
    if (ready.committed.length > 0 && this.dice.below(40) === 0) this.#doomed.add(id);
  }

  isolate(id: number): void {
    this.cut = new Set(this.ids.flatMap((other) => [`${id}>${other}`, `${other}>${id}`]));
  }

  /** Some of the writes in flight may have reached the disk; the node does not know. */
  end(id: number): void {
    const { cluster, dice } = this;
    const node = cluster.node(id);
    if (dice.below(2) === 0 && node.pendingWrites.length > 0) cluster.finishWrite(id);
    cluster.crash(id);
    this.paused.delete(id);
    this.stuck.delete(id);
    if (this.#mistakes.wipeKeepsName === true && dice.below(4) === 0) node.disk = emptyDisk();
    this.totals.crashes += 1;
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
    for (const id of this.#doomed) {
      if (cluster.node(id).core === undefined) continue;
      this.end(id);
      if (dice.below(2) === 0) cluster.restart(id);
    }
    this.#doomed.clear();
    if (this.late.length > 0 && dice.below(10) === 0) {
      const [message] = this.late.splice(dice.below(this.late.length), 1);
      cluster.network.unshift(message);
    }
    if (this.paused.size + this.stuck.size > 0 && dice.below(80) === 0) this.wake();
    if (dice.below(50) === 0) this.cut = new Set();
    const down = this.ids.filter((id) => cluster.node(id).core === undefined);
    if (down.length > 0 && dice.below(60) === 0) cluster.restart(this.pick(down));
    if (roll < 50) {
      for (let i = 0; i < 4; i += 1) this.deliverOne();
    } else if (roll < 75) {
      for (const id of this.ids) {
        if (dice.below(3) > 0 && !this.stuck.has(id)) cluster.finishWrite(id);
      }
    } else if (roll < 88) this.advance(dice.below(this.isStormy ? 300 : 80));
    else if (roll < (this.isStormy ? 93 : 97)) {
      for (const id of cluster.leaders()) {
        if (this.paused.has(id)) continue;
        cluster.propose(id, `v${dice.below(1000)}`);
        if (this.isStormy && dice.below(3) === 0) this.request(id, { kind: 'read-index' });
      }
    } else this.fault();
  }

  /** The first thing that a process does then is to serve who has waited for it. */
  wake(): void {
    for (const id of this.paused) this.request(id, { kind: 'read-index' });
    this.paused.clear();
    this.stuck.clear();
  }

  heal(): void {
    const { cluster } = this;
    this.cut = new Set();
    this.wake();
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
    if (cluster.committedMax <= floor) throw new Error('a healed cluster commits nothing');
    const [first, ...rest] = this.keepers.map((id) => cluster.node(id).applied);
    if (first.at(-1) !== 'healed') throw new Error('what is proposed at the end is not applied');
    for (const other of rest) {
      if (other.join() !== first.join()) throw new Error('replicas differ');
    }
    this.totals.committed += cluster.committedMax;
    this.#bridge();
  }

  /** Two members hear all others but not each other: whoever led goes on leading. */
  #bridge(): void {
    const { cluster } = this;
    const [leader] = cluster.leaders();
    const other = this.keepers.find((id) => id !== leader);
    const { term } = cluster.core(leader).status;
    this.cut = new Set([`${leader}>${other}`, `${other}>${leader}`]);
    for (let round = 0; round < 100; round += 1) {
      cluster.advance(50);
      for (let i = 0; i < 20; i += 1) {
        cluster.settle((message) => this.isCut(message));
        if (!this.ids.map((id) => cluster.finishWrite(id)).includes(true)) break;
      }
    }
    const { role, term: termNow } = cluster.core(leader).status;
    if (role !== 'leader' || termNow !== term) throw new Error('a leader with a quorum is deposed');
  }
}

/** One history of the seed. Throws what is wrong with it. */
export function runRandomCluster(seed: number, totals: Totals, mistakes: Mistakes = {}): void {
  const world = new World(seed, totals, mistakes);
  for (let i = 0; i < STEPS; i += 1) world.turn();
  world.heal();
}
