// The rules of commit and membership as a small abstract model, walked at random: no code of the
// cores, so that a wrong rule is found as a rule. Each world has a handful of replicas, a
// controller that grants epochs to any safe member, leaders that go on although they were replaced,
// and late acknowledgements. A row with all rules must never lose or fork a committed frame; a row
// with one rule taken away must.
import { expect, test } from 'vitest';
import { SeededRandom } from '../../src/std/prng.ts';
import { runs } from '../setup/runs.ts';

interface Rules {
  readonly mode: 'all' | 'quorum';
  readonly replicas: number;
  readonly minInsync: number;
  /** Taken away when true. */
  readonly withoutRecoveryRead?: boolean;
  readonly withoutHold?: boolean;
  readonly withoutBothSets?: boolean;
  readonly withoutNewEpochAfterRestart?: boolean;
  readonly controllerShrinks?: boolean;
  /** Leaders send before their own write is durable, and may restart with less. */
  readonly restarts?: boolean;
}

interface Frame {
  readonly epoch: number;
  readonly value: number;
}

interface Reign {
  readonly epoch: number;
  set: number;
  version: number;
  asked: number | undefined;
  heard: Map<number, readonly Frame[]>;
  isReading: boolean;
  beginLength: number;
  held: number[];
  committed: number;
}

interface Replica {
  log: Frame[];
  durable: number;
  promised: number;
  reign: Reign | undefined;
}

const STEPS = 220;
const FRAMES_MAX = 10;
const EPOCHS_MAX = 5;

const has = (set: number, node: number): boolean => ((set >> node) & 1) === 1;

function count(set: number): number {
  let rest = set;
  let members = 0;
  for (; rest !== 0; rest &= rest - 1) members += 1;
  return members;
}

class World {
  readonly #rules: Rules;
  readonly #random: SeededRandom;
  readonly #replicas: Replica[] = [];
  readonly #acks: { epoch: number; to: number; from: number; length: number }[] = [];
  readonly #committed: { value: number; epoch: number }[] = [];
  readonly #written = new Map<string, number>();
  #values = 0;
  #grant: { epoch: number; leader: number; set: number; version: number };
  violation: string | undefined;

  constructor(rules: Rules, seed: number) {
    this.#rules = rules;
    this.#random = new SeededRandom(seed);
    for (let node = 0; node < rules.replicas; node += 1) {
      this.#replicas.push({ log: [], durable: 0, promised: 0, reign: undefined });
    }
    this.#grant = { epoch: 1, leader: 0, set: (1 << rules.replicas) - 1, version: 0 };
    this.#beginReign(0);
    // The first epoch needs no reading: every log is empty.
    const first = this.#replicas[0]!.reign!;
    if (first.isReading) this.#writeBegin(0, first);
  }

  walk(): string | undefined {
    for (let step = 0; step < STEPS && this.violation === undefined; step += 1) {
      const node = this.#random.below(this.#rules.replicas);
      this.#act(this.#random.below(16), node, this.#random.below(this.#rules.replicas));
    }
    return this.violation;
  }

  #act(action: number, node: number, other: number): void {
    const reign = this.#replicas[node]!.reign;
    if (action === 0) this.#elect(other);
    else if (action === 1) this.#takeOffice(this.#grant.leader);
    else if (action <= 4) this.#deliverAck();
    else if (action === 5 && this.#rules.controllerShrinks) this.#shrink(other);
    else if (action === 6 && this.#rules.restarts) this.#restart(node);
    else if (reign === undefined) return;
    else if (reign.isReading) this.#read(node, reign, other);
    else if (action <= 7) this.#append(node, reign);
    else if (action <= 11) this.#replicate(node, reign, other);
    else if (action === 12) this.#ask(node, reign);
    else if (action === 13) this.#decide(node, reign);
    else if (action === 14) this.#learn(node, reign);
    else this.#sync(node, reign);
  }

  #k(set: number): number {
    return this.#rules.mode === 'all' ? count(set) : this.#rules.minInsync;
  }

  // The controller: any safe member may lead, half of the drawn elections are skipped.
  #elect(node: number): void {
    const grant = this.#grant;
    if (grant.epoch >= EPOCHS_MAX || !has(grant.set, node) || this.#random.below(4) > 0) return;
    this.#grant = {
      epoch: grant.epoch + 1,
      leader: node,
      set: grant.set,
      version: grant.version + 1,
    };
  }

  #shrink(node: number): void {
    const grant = this.#grant;
    if (node === grant.leader || !has(grant.set, node)) return;
    if (count(grant.set) <= this.#rules.minInsync) return;
    this.#grant = { ...grant, set: grant.set & ~(1 << node), version: grant.version + 1 };
  }

  #takeOffice(node: number): void {
    if (this.#replicas[node]!.promised < this.#grant.epoch) this.#beginReign(node);
  }

  #beginReign(node: number): void {
    const replica = this.#replicas[node]!;
    const { epoch, set, version } = this.#grant;
    replica.promised = epoch;
    replica.reign = {
      epoch,
      set,
      version,
      asked: undefined,
      heard: new Map([[node, [...replica.log]]]),
      isReading: true,
      beginLength: 0,
      held: new Array<number>(this.#rules.replicas).fill(0),
      committed: 0,
    };
    this.#finishReading(node, replica.reign);
  }

  #read(node: number, reign: Reign, other: number): void {
    const peer = this.#replicas[other]!;
    if (other === node || !has(reign.set, other) || peer.promised > reign.epoch) return;
    peer.promised = reign.epoch;
    if (peer.reign !== undefined && peer.reign.epoch < reign.epoch) peer.reign = undefined;
    reign.heard.set(other, [...peer.log]);
    this.#finishReading(node, reign);
  }

  #finishReading(node: number, reign: Reign): void {
    const needed = this.#rules.withoutRecoveryRead ? 1 : count(reign.set) - this.#k(reign.set) + 1;
    if (reign.heard.size < needed) return;
    const replica = this.#replicas[node]!;
    for (const log of reign.heard.values()) {
      const theirs = log.at(-1)?.epoch ?? 0;
      const ours = replica.log.at(-1)?.epoch ?? 0;
      if (theirs > ours || (theirs === ours && log.length > replica.log.length)) {
        replica.log = [...log];
      }
    }
    this.#committed.forEach((entry, i) => {
      if (entry.epoch < reign.epoch && replica.log[i]?.value !== entry.value) {
        this.violation = `leader ${node} of epoch ${reign.epoch} lacks committed frame ${i}`;
      }
    });
    this.#writeBegin(node, reign);
  }

  #writeBegin(node: number, reign: Reign): void {
    reign.isReading = false;
    reign.beginLength = this.#replicas[node]!.log.length + 1;
    this.#write(node, reign);
    if (this.#rules.restarts) return;
    this.#sync(node, reign);
  }

  #append(node: number, reign: Reign): void {
    if (this.#replicas[node]!.log.length >= FRAMES_MAX) return;
    this.#write(node, reign);
    if (!this.#rules.restarts) this.#sync(node, reign);
  }

  #write(node: number, reign: Reign): void {
    const { log } = this.#replicas[node]!;
    this.#values += 1;
    const name = `${reign.epoch}:${log.length}`;
    if (this.#written.has(name)) this.violation = `two frames are called ${name}`;
    this.#written.set(name, this.#values);
    log.push({ epoch: reign.epoch, value: this.#values });
  }

  #sync(node: number, reign: Reign): void {
    const replica = this.#replicas[node]!;
    replica.durable = replica.log.length;
    reign.held[node] = replica.log.length;
    this.#advance(node, reign);
  }

  // A follower cuts at the first difference, takes some frames, and its acknowledgement travels.
  #replicate(node: number, reign: Reign, other: number): void {
    const leader = this.#replicas[node]!;
    const peer = this.#replicas[other]!;
    if (other === node || peer.promised > reign.epoch) return;
    if (peer.reign !== undefined && peer.reign.epoch >= reign.epoch) return;
    peer.promised = reign.epoch;
    peer.reign = undefined;
    let equal = 0;
    while (
      equal < peer.log.length &&
      equal < leader.log.length &&
      peer.log[equal]!.value === leader.log[equal]!.value
    ) {
      equal += 1;
    }
    if (has(this.#grant.set, other)) {
      for (let i = equal; i < peer.log.length; i += 1) {
        if (this.#committed[i]?.value === peer.log[i]!.value) {
          this.violation = `safe member ${other} cuts committed frame ${i}`;
        }
      }
    }
    const length = Math.min(
      leader.log.length,
      equal + 1 + this.#random.below(leader.log.length - equal + 1),
    );
    peer.log = leader.log.slice(0, length);
    peer.durable = length;
    this.#acks.push({ epoch: reign.epoch, to: node, from: other, length });
  }

  #deliverAck(): void {
    if (this.#acks.length === 0) return;
    const [ack] = this.#acks.splice(this.#random.below(this.#acks.length), 1);
    const reign = this.#replicas[ack!.to]!.reign;
    if (reign?.epoch !== ack!.epoch || reign.isReading) return;
    reign.held[ack!.from] = Math.max(reign.held[ack!.from]!, ack!.length);
    this.#advance(ack!.to, reign);
  }

  #restart(node: number): void {
    const replica = this.#replicas[node]!;
    const { reign } = replica;
    if (reign === undefined || reign.isReading) return;
    replica.log.length = replica.durable;
    if (this.#rules.withoutNewEpochAfterRestart) {
      if (replica.log.length < reign.beginLength) this.#write(node, reign);
      return;
    }
    replica.reign = undefined;
  }

  #ask(node: number, reign: Reign): void {
    const { minInsync, replicas, withoutHold } = this.#rules;
    if (reign.asked !== undefined) return;
    const set = this.#random.below(1 << replicas);
    if (!has(set, node) || count(set) < minInsync || set === reign.set) return;
    const needed = Math.max(reign.committed, reign.beginLength);
    for (let member = 0; member < replicas; member += 1) {
      if (!withoutHold && has(set, member) && reign.held[member]! < needed) return;
    }
    reign.asked = set;
  }

  #decide(node: number, reign: Reign): void {
    const grant = this.#grant;
    if (reign.asked === undefined || grant.leader !== node || grant.epoch !== reign.epoch) return;
    if (grant.version !== reign.version) return;
    this.#grant = { ...grant, set: reign.asked, version: grant.version + 1 };
  }

  #learn(node: number, reign: Reign): void {
    if (this.#grant.epoch !== reign.epoch || this.#grant.version === reign.version) return;
    reign.set = this.#grant.set;
    reign.version = this.#grant.version;
    reign.asked = undefined;
    this.#advance(node, reign);
  }

  #advance(node: number, reign: Reign): void {
    const { log } = this.#replicas[node]!;
    for (let length = log.length; length > reign.committed; length -= 1) {
      if (length < reign.beginLength || !this.#isHeld(reign, length, reign.set)) continue;
      const { asked } = reign;
      const both = asked === undefined || this.#rules.withoutBothSets;
      if (!both && !this.#isHeld(reign, length, asked)) continue;
      reign.committed = length;
      for (let i = 0; i < length; i += 1) {
        const entry = this.#committed[i];
        const { value } = log[i]!;
        if (entry === undefined) this.#committed[i] = { value, epoch: reign.epoch };
        else if (entry.value !== value) this.violation = `two frames are committed at ${i}`;
      }
    }
  }

  #isHeld(reign: Reign, length: number, set: number): boolean {
    let holders = 0;
    for (let node = 0; node < this.#rules.replicas; node += 1) {
      if (has(set, node) && reign.held[node]! >= length) holders += 1;
    }
    return holders >= this.#k(set);
  }
}

/** Seed and violation of the first bad walk, or undefined. */
function search(rules: Rules, walks: number): string | undefined {
  for (let seed = 1; seed <= walks; seed += 1) {
    const violation = new World(rules, seed).walk();
    if (violation !== undefined) return `seed ${seed}: ${violation}`;
  }
  return undefined;
}

const ALL: Rules = { mode: 'all', replicas: 3, minInsync: 2 };
const QUORUM: Rules = { mode: 'quorum', replicas: 3, minInsync: 2 };
const SOUND_WALKS = runs(3_000, 1_000);
const FAULTY_WALKS_MAX = 60_000;

test.each<[string, Rules]>([
  ['all, 3 replicas, m 2', ALL],
  ['all, m 1', { ...ALL, minInsync: 1 }],
  ['all, 4 replicas', { ...ALL, replicas: 4 }],
  ['all, the controller removes members', { ...ALL, controllerShrinks: true }],
  ['all, leaders restart into a new epoch', { ...ALL, restarts: true }],
  ['quorum, 3 replicas', QUORUM],
  ['quorum, k 3 of 5', { ...QUORUM, replicas: 5, minInsync: 3 }],
  ['quorum, k 2 of 4 during a reassignment', { ...QUORUM, replicas: 4 }],
  ['quorum, leaders restart into a new epoch', { ...QUORUM, restarts: true }],
])('with every rule nothing committed is lost or forked: %s', (_name, rules) => {
  expect(search(rules, SOUND_WALKS)).toBeUndefined();
});

test.each<[string, Rules]>([
  ['quorum leads without hearing |set| - k + 1', { ...QUORUM, withoutRecoveryRead: true }],
  ['quorum, the controller shrinks the set', { ...QUORUM, controllerShrinks: true }],
  ['quorum, members need not hold the committed', { ...QUORUM, withoutHold: true }],
  ['all, members need not hold the committed', { ...ALL, withoutHold: true }],
  ['quorum, a change under way does not count', { ...QUORUM, withoutBothSets: true }],
  ['all, a change under way does not count', { ...ALL, withoutBothSets: true }],
  [
    'all, a restarted leader goes on',
    { ...ALL, restarts: true, withoutNewEpochAfterRestart: true },
  ],
  [
    'quorum, a restarted leader goes on',
    { ...QUORUM, restarts: true, withoutNewEpochAfterRestart: true },
  ],
])('a rule taken away is caught: %s', (_name, rules) => {
  expect(search(rules, FAULTY_WALKS_MAX)).toMatch(/^seed \d+: /);
});
