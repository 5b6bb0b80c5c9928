// A small cluster around the real cores: late metadata, links with delay and loss, crashes, power
// loss, elections of any safe member, changes of the set. Every step is drawn from one seed; a walk
// ends in a healing phase after which everything that was answered must be everywhere.

import type { CommitMode, Faults } from '../../src/replication/types.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import { WorldChecker } from './world-checker.ts';
import { type Verdict, WorldController } from './world-controller.ts';
import { type Message, WorldNode, type WorldPort } from './world-node.ts';

export interface WorldRules {
  readonly mode: CommitMode;
  readonly nodes: number;
  /** The last nodes are spares that join by reassignment. */
  readonly replicas: number;
  readonly minInsync: number;
  readonly steps: number;
  readonly faults?: Faults;
  readonly judgesWriters?: boolean;
  /** Shells report a cut when it is logged, and not when it is durable. */
  readonly cutsAtOnce?: boolean;
  /** An alarm is a violation too (it is none where a fault makes alarms right). */
  readonly judgesAlarms?: boolean;
}

const HEAL_ROUNDS_MAX = 400;

export class World {
  readonly checker = new WorldChecker();
  readonly nodes: WorldNode[] = [];
  readonly controller: WorldController;
  readonly alarms: string[] = [];
  readonly #rules: WorldRules;
  readonly #random: SeededRandom;
  readonly #links = new Map<number, Message[]>();
  readonly #downLinks = new Set<number>();
  #verdicts: { readonly to: number; readonly verdict: Verdict }[] = [];
  #proposals: (() => void)[] = [];
  #nowMs = 0;
  #values = 0;
  #isHealing = false;

  constructor(rules: WorldRules, seed: number) {
    this.#rules = rules;
    this.#random = new SeededRandom(seed);
    this.checker.judgesWriters = rules.judgesWriters ?? true;
    const port = this.#port();
    for (let node = 0; node < rules.nodes; node += 1) this.nodes.push(new WorldNode(node, port));
    this.controller = new WorldController(
      rules.mode,
      rules.minInsync,
      this.nodes.map((node) => node.registration()),
      this.nodes.slice(0, rules.replicas).map(({ node }) => node),
    );
  }

  #port(): WorldPort {
    return {
      mode: this.#rules.mode,
      minInsync: this.#rules.minInsync,
      faults: this.#rules.faults ?? {},
      cutsAtOnce: this.#rules.cutsAtOnce ?? false,
      checker: this.checker,
      nowMs: () => this.#nowMs,
      metadata: () => this.controller.now,
      nextValue: () => {
        this.#values += 1;
        return this.#values;
      },
      send: (from, to, message) => this.#send(from, to, message),
      propose: (from, proposal) => {
        this.#proposals.push(() => {
          const sizeBefore = this.controller.now.set.safeSet.length;
          const verdict = this.controller.propose(from, proposal);
          if (verdict.kind === 'accepted') {
            this.checker.setChanged(sizeBefore, proposal.newSet, this.#rules.minInsync);
          } else this.#verdicts.push({ to: from, verdict });
        });
      },
      safeSetNow: () => this.controller.now.set.safeSet,
      alarm: (what) => {
        this.alarms.push(what);
        if (this.#rules.judgesAlarms ?? true) this.checker.violation ??= what;
      },
      resigned: (epoch) => this.controller.resigned(epoch),
    };
  }

  /** The violation found, or undefined. */
  walk(): string | undefined {
    for (let step = 0; step < this.#rules.steps && !this.checker.violation; step += 1) {
      this.#act(this.#random.below(1_000));
      this.#judge();
    }
    if (this.checker.violation === undefined) this.#heal();
    return this.checker.violation;
  }

  #judge(): void {
    const { safeSet } = this.controller.now.set;
    const k = this.#rules.mode === 'all' ? safeSet.length : this.#rules.minInsync;
    this.checker.heldBySet(safeSet, k, this.nodes);
    for (const node of this.nodes) node.answer();
  }

  #draw(): WorldNode {
    return this.nodes[this.#random.below(this.nodes.length)]!;
  }

  #act(dice: number): void {
    const node = this.#draw();
    const other = this.#draw();
    if (dice < 400) this.#deliverAny();
    else if (dice < 940) this.#work(dice - 400, node, other);
    else if (dice < 950) this.#breakLink(node, other, this.#random.below(3) > 0);
    else if (dice < 970) this.#mendLink(node, other);
    else if (dice < 974) this.#crash(node);
    else if (dice < 990) this.#restart(node);
    else if (dice < 997) this.#elect(this.#random.below(6) === 0);
    else this.#reassign();
  }

  #work(dice: number, node: WorldNode, other: WorldNode): void {
    if (!node.isUp) return;
    if (dice < 200) node.completeWrite();
    else if (dice < 270) node.append(dice % 2 === 0 ? 'local' : 'committed');
    else if (dice < 410 && node !== other) node.pump(other.node, 1 + (dice % 4));
    else if (dice < 470) this.#learn(node);
    else if (dice < 500) this.#decideOne();
    else if (dice < 525) this.#tick();
    else if (dice < 540) node.checkpoint(dice % 3 === 0);
  }

  #deliverAny(): void {
    const names = this.nodes.length ** 2;
    const first = this.#random.below(names);
    for (let i = 0; i < names; i += 1) if (this.#deliver((first + i) % names)) return;
  }

  #learn(node: WorldNode): void {
    if (!node.isUp) return;
    const behind = this.controller.versions.length - 1 - node.metadataSeen;
    if (behind > 0) node.metadataSeen += 1 + this.#random.below(behind);
    node.learn(this.controller.versions[node.metadataSeen]!);
  }

  #decideOne(): void {
    if (this.#random.below(2) === 0 && this.#proposals.length > 0) this.#proposals.shift()!();
    const answer = this.#verdicts.shift();
    // One answer in four is lost.
    if (answer?.verdict.kind !== 'rejected' || (!this.#isHealing && this.#random.below(4) === 0)) {
      return;
    }
    const { attempt, current } = answer.verdict;
    if (this.nodes[answer.to]!.isUp) this.nodes[answer.to]!.rejected(attempt, current);
  }

  #tick(): void {
    this.#nowMs += 300;
    for (const node of this.nodes) if (node.isUp) node.tick(this.#nowMs);
  }

  #crash(node: WorldNode): void {
    if (!node.isUp) return;
    node.crash();
    for (const other of this.nodes) this.#breakLink(node, other);
  }

  #restart(node: WorldNode): void {
    if (node.isUp) {
      // A dead node is noticed late or, if it comes back soon, never.
      return;
    }
    if (this.#random.below(3) === 0) {
      this.controller.fence(node.node);
      return;
    }
    if (this.#random.below(4) === 0 && this.#mayLose(node)) {
      node.disk.loseTail(this.#random.below(node.disk.durable.length + 1));
      node.incarnation += 1;
    }
    node.nodeIncarnation += 1;
    this.controller.register(node.registration());
    node.nodeIncarnation -= 1;
    node.metadataSeen = this.controller.versions.length - 1;
    node.restart(this.controller.now);
  }

  // More losses at a time than the replication factor is made for need an operator.
  #mayLose(node: WorldNode): boolean {
    const { safeSet } = this.controller.now.set;
    const intact = safeSet.filter((member) => {
      const judged = this.nodes[member.node]!;
      return judged !== node && judged.incarnation === member.incarnation;
    });
    const { mode, minInsync } = this.#rules;
    const needed = mode === 'all' ? 1 : safeSet.length - minInsync + 1;
    return this.#rules.faults === undefined && intact.length >= Math.max(1, needed);
  }

  #elect(isSpurious: boolean): void {
    if (!this.controller.needsElection && !isSpurious) return;
    const candidates = this.controller.candidates();
    if (candidates.length === 0) return;
    this.controller.elect(candidates[this.#random.below(candidates.length)]!);
  }

  #reassign(): void {
    if (this.nodes.length === this.#rules.replicas || this.#random.below(4) > 0) return;
    const order = this.nodes.map(({ node }) => node);
    const skipped = this.#random.below(order.length);
    this.controller.assign(order.filter((node) => node !== skipped).slice(0, this.#rules.replicas));
  }

  // ---- Links -----------------------------------------------------------------------------------

  #name(from: number, to: number): number {
    return from * this.nodes.length + to;
  }

  #isDown(a: number, b: number): boolean {
    return this.#downLinks.has(this.#name(Math.min(a, b), Math.max(a, b)));
  }

  #send(from: number, to: number, message: Message): void {
    if (from === to || this.#isDown(from, to) || !this.nodes[to]!.isUp) return;
    const name = this.#name(from, to);
    const queue = this.#links.get(name);
    if (queue === undefined) this.#links.set(name, [message]);
    else queue.push(message);
  }

  #deliver(name: number): boolean {
    const message = this.#links.get(name)?.shift();
    if (message === undefined) return false;
    const to = this.nodes[name % this.nodes.length]!;
    if (to.isUp) to.receive(Math.floor(name / this.nodes.length), message);
    return true;
  }

  #breakLink(a: WorldNode, b: WorldNode, isSpared = false): void {
    if (isSpared || a === b || this.#isDown(a.node, b.node)) return;
    this.#downLinks.add(this.#name(Math.min(a.node, b.node), Math.max(a.node, b.node)));
    this.#links.delete(this.#name(a.node, b.node));
    this.#links.delete(this.#name(b.node, a.node));
    if (a.isUp) a.linkLost(b.node);
    if (b.isUp) b.linkLost(a.node);
  }

  #mendLink(a: WorldNode, b: WorldNode): void {
    if (a === b || !a.isUp || !b.isUp || !this.#isDown(a.node, b.node)) return;
    this.#downLinks.delete(this.#name(Math.min(a.node, b.node), Math.max(a.node, b.node)));
    a.linkReady(b.node);
    b.linkReady(a.node);
  }

  // ---- The end of a walk -----------------------------------------------------------------------

  #heal(): void {
    this.#isHealing = true;
    for (let round = 0; round < HEAL_ROUNDS_MAX && !this.checker.violation; round += 1) {
      for (const node of this.nodes) {
        if (!node.isUp) this.#restart(node);
        for (const other of this.nodes) this.#mendLink(node, other);
      }
      this.#settleRound();
      if (this.#isHealed()) {
        const leader = this.nodes[this.controller.now.leader]!;
        this.checker.finished(this.#assigned(), leader.leader!.committedSeq);
        return;
      }
    }
    this.checker.violation ??= `no progress after healing: ${this.#picture()}`;
  }

  #settleRound(): void {
    if (this.controller.needsElection) this.#elect(false);
    this.#tick();
    for (const node of this.nodes) {
      if (node.isUp) {
        node.metadataSeen = this.controller.versions.length - 1;
        node.learn(this.controller.now);
      }
    }
    this.#decideOne();
    for (let turn = 0; turn < 6; turn += 1) {
      for (const node of this.nodes) {
        for (let writes = 0; writes < 8 && node.isUp; writes += 1) node.completeWrite();
        for (const other of this.nodes) if (node.isUp && node !== other) node.pump(other.node, 8);
      }
      for (let name = 0; name < this.nodes.length ** 2; name += 1) while (this.#deliver(name));
      this.#judge();
    }
  }

  #assigned(): WorldNode[] {
    return this.nodes.filter(({ node }) => this.controller.now.replicas.includes(node));
  }

  #isHealed(): boolean {
    const { leader: leading, set } = this.controller.now;
    const leader = this.nodes[leading]?.leader;
    if (leader?.phase !== 'active' || leader.committedSeq !== leader.endSeq) return false;
    return this.#assigned().every(({ node, incarnation, disk, follower }) => {
      const isMember = set.safeSet.some((m) => m.node === node && m.incarnation === incarnation);
      const knows = node === leading || follower?.committedSeq === leader.endSeq;
      return isMember && knows && disk.durable.length === leader.endSeq;
    });
  }

  #picture(): string {
    const { grant, leader, set, replicas } = this.controller.now;
    const nodes = this.nodes.map(({ node, incarnation, disk, leader: l, follower: f }) => {
      const role = l === undefined ? `follows ${f?.leader}, ${f?.phase}` : `leads, ${l.phase}`;
      return `${node}.${incarnation} ${role}, end ${disk.durable.length}`;
    });
    return JSON.stringify({ epoch: grant.epoch, leader, set, replicas, nodes });
  }
}
