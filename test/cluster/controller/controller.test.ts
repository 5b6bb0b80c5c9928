// The controller against a metadata image: fencing after silence and not before a full interval,
// unfencing, preferred leaders, orderly stops, unclean elections, and a random cluster in which every
// dead node is fenced and every living one is not.
import { describe, expect, test } from 'vitest';
import {
  CONTROLLER_DEFAULTS,
  Controller,
  type ControllerInput,
  type ControllerOutput,
} from '../../../src/cluster/controller/index.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import { runs } from '../../setup/runs.ts';
import { creation, registration, World } from '../metadata/world.ts';

const SESSION_MS = CONTROLLER_DEFAULTS.sessionTimeoutMs;

/** A controller whose proposals are applied at once, unless it is told to lose them. */
class Bench {
  readonly world: World;
  readonly controller: Controller;
  nowMs = 10_000;
  outputs: ControllerOutput[] = [];
  isLosing = false;

  constructor(nodes: readonly number[]) {
    this.world = new World(nodes);
    this.controller = new Controller(CONTROLLER_DEFAULTS, this.world.image);
  }

  step(input: ControllerInput): void {
    for (const output of this.controller.step(input, this.nowMs)) {
      this.outputs.push(output);
      if (output.kind === 'plan-moves' && !this.isLosing) this.world.handOver(output.plans);
      if (output.kind !== 'propose') continue;
      if (!this.isLosing) this.world.try(output.command);
      this.step({ kind: 'resolved', key: output.key });
    }
  }

  lead(): void {
    this.step({ kind: 'leadership', isReady: true });
  }

  beat(nodes: readonly number[]): void {
    for (const node of nodes) {
      const incarnation = this.world.incarnation(node);
      this.step({ kind: 'heartbeat', node, incarnation });
    }
  }

  /** Time passes in steps of half a second, `alive` nodes beat. */
  run(ms: number, alive: readonly number[]): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 500;
      this.beat(alive);
      this.step({ kind: 'tick' });
    }
  }

  proposed(): string[] {
    return this.outputs.flatMap((o) => (o.kind === 'propose' ? [o.key] : []));
  }
}

describe('fencing', () => {
  test('follows one session of silence', () => {
    const bench = new Bench([1, 2, 3]);
    bench.lead();
    bench.run(10_000, [1, 2, 3]);
    expect(bench.proposed()).toEqual([]);
    bench.run(SESSION_MS - 500, [1, 2]);
    expect(bench.proposed()).toEqual([]);
    bench.run(500, [1, 2]);
    expect(bench.proposed()).toEqual(['fence/3/103']);
    expect(bench.world.image.isNodeLive(3)).toBe(false);
  });

  test('does not follow from the empty table of a new controller', () => {
    const bench = new Bench([1, 2, 3]);
    bench.lead();
    bench.run(SESSION_MS - 500, []);
    expect(bench.proposed()).toEqual([]);
    bench.run(500, []);
    expect(bench.proposed()).toEqual(['fence/1/101', 'fence/2/102', 'fence/3/103']);
  });

  test('comes sooner when the links are gone, but not before the first interval', () => {
    const bench = new Bench([1, 2, 3]);
    bench.lead();
    bench.beat([1, 2, 3]);
    bench.step({ kind: 'disconnected', node: 3 });
    bench.run(SESSION_MS - 500, [1, 2]);
    expect(bench.proposed()).toEqual([]);
    bench.run(500, [1, 2]);
    expect(bench.proposed()).toEqual(['fence/3/103']);
    bench.step({ kind: 'disconnected', node: 2 });
    bench.run(CONTROLLER_DEFAULTS.disconnectedTimeoutMs, [1]);
    expect(bench.proposed()).toEqual(['fence/3/103', 'fence/2/102']);
  });

  test('does not follow from a standstill of the thread of the controller, and not late from silence after it', () => {
    const bench = new Bench([1, 2, 3]);
    bench.lead();
    bench.run(10_000, [1, 2, 3]);
    bench.step({ kind: 'disconnected', node: 2 });
    // What the others said meanwhile is still to be read.
    for (const standstillMs of [SESSION_MS, 20 * SESSION_MS]) {
      bench.nowMs += standstillMs;
      bench.step({ kind: 'leadership', isReady: true });
      bench.step({ kind: 'tick' });
      expect(bench.proposed()).toEqual([]);
      bench.beat([1, 2, 3]);
    }
    bench.run(SESSION_MS - 500, [1, 2]);
    expect(bench.proposed()).toEqual([]);
    bench.run(500, [1, 2]);
    expect(bench.proposed()).toEqual(['fence/3/103']);
  });

  test('is not of the node whose thread steps the controller, whatever its timers have to wait for', () => {
    const bench = new Bench([1, 2]);
    bench.controller.registered(1, 101);
    bench.lead();
    for (let step = 0; step < 100; step += 1) {
      bench.nowMs += 100;
      bench.step({ kind: 'leadership', isReady: true });
      bench.beat([2]);
    }
    expect(bench.proposed()).toEqual([]);
    // Another life of it is over.
    bench.controller.registered(1, 900);
    bench.run(SESSION_MS, [2]);
    expect(bench.proposed()).toEqual(['fence/1/101']);
  });

  test('is not proposed twice while the first proposal is open, but again when it was lost', () => {
    const bench = new Bench([1, 2]);
    bench.isLosing = true;
    bench.lead();
    bench.run(SESSION_MS, [1]);
    bench.run(CONTROLLER_DEFAULTS.retryMs - 500, [1]);
    expect(bench.proposed()).toEqual(['fence/2/102']);
    bench.run(500, [1]);
    expect(bench.proposed()).toEqual(['fence/2/102', 'fence/2/102']);
  });

  test('nothing is proposed by who does not lead', () => {
    const bench = new Bench([1, 2]);
    bench.run(20_000, []);
    bench.lead();
    bench.step({ kind: 'leadership', isReady: false });
    bench.run(20_000, []);
    expect(bench.outputs).toEqual([]);
    expect(bench.controller.deadlineMs(bench.nowMs)).toBe(Number.POSITIVE_INFINITY);
  });

  test('the deadline never makes the shell spin', () => {
    const bench = new Bench([1, 2]);
    bench.isLosing = true;
    bench.lead();
    for (let i = 0; i < 50; i += 1) {
      const due = bench.controller.deadlineMs(bench.nowMs);
      expect(due).toBeGreaterThan(bench.nowMs);
      bench.nowMs = due;
      bench.step({ kind: 'tick' });
    }
  });
});

describe('unfencing', () => {
  test('follows the first heartbeat at once, in the registered incarnation only', () => {
    const bench = new Bench([1]);
    bench.world.do(registration(2));
    bench.lead();
    bench.step({ kind: 'heartbeat', node: 2, incarnation: 7 });
    expect(bench.proposed()).toEqual([]);
    bench.beat([2]);
    expect(bench.proposed()).toEqual(['unfence/2/102']);
    expect(bench.world.image.isNodeLive(2)).toBe(true);
  });

  test('an old heartbeat does not unfence a node that went silent', () => {
    const bench = new Bench([1, 2]);
    bench.lead();
    bench.beat([2]);
    bench.run(20_000, [1]);
    expect(bench.proposed()).toEqual(['fence/2/102']);
  });
});

describe('preferred leaders', () => {
  test('come back when they are in sync, a batch per interval', () => {
    const bench = new Bench([1, 2, 3]);
    bench.world.do(creation('t', { partitions: 240 }));
    bench.lead();
    bench.run(6000, [2, 3]);
    expect(bench.world.image.ledCount(1)).toBe(0);
    bench.run(1000, [1, 2, 3]);
    // Nobody has put node 1 back into the in-sync lists yet.
    bench.run(10_000, [1, 2, 3]);
    expect(bench.world.image.ledCount(1)).toBe(0);
    for (let p = 0; p < 240; p += 1) {
      const { logId, leader, epoch, partitionEpoch, safeSet } = bench.world.log('t', p);
      const set = { logId, node: leader, epoch, partitionEpoch, safeSet, isr: [1, 2, 3] };
      bench.world.do({ kind: 'propose-safe-set', ...set });
    }
    bench.run(CONTROLLER_DEFAULTS.preferredIntervalMs, [1, 2, 3]);
    expect(bench.world.image.ledCount(1)).toBe(CONTROLLER_DEFAULTS.preferredBatch);
    bench.run(CONTROLLER_DEFAULTS.preferredIntervalMs, [1, 2, 3]);
    expect(bench.world.image.ledCount(1)).toBe(80);
  });
});

describe('a node that is about to stop', () => {
  const plansOf = (bench: Bench) =>
    bench.outputs.flatMap((output) => (output.kind === 'plan-moves' ? output.plans : []));

  test('is to hand over what it leads, to who is in sync and stays', () => {
    const bench = new Bench([1, 2, 3]);
    bench.world.do(creation('t', { partitions: 6, replicationFactor: 3 }));
    bench.lead();
    bench.beat([1, 2, 3]);
    const incarnation = bench.world.incarnation(1);
    bench.step({ kind: 'prepare-stop', node: 1, incarnation: incarnation - 1 });
    expect(plansOf(bench)).toEqual([]);
    bench.isLosing = true;
    bench.step({ kind: 'prepare-stop', node: 2, incarnation: bench.world.incarnation(2) });
    bench.isLosing = false;
    bench.outputs = [];
    bench.step({ kind: 'prepare-stop', node: 1, incarnation });
    const plans = plansOf(bench);
    expect(plans).toHaveLength(2);
    // Not to the other one that stops.
    expect(plans.every(({ leader, target }) => leader === 1 && target === 3)).toBe(true);
    expect(bench.world.image.ledCount(1)).toBe(0);
    // Nor does it get them back, while it is there.
    bench.run(20_000, [1, 2, 3]);
    expect(bench.world.image.ledCount(1)).toBe(0);
    bench.step({ kind: 'prepare-stop', node: 3, incarnation: bench.world.incarnation(3) });
    expect(bench.world.image.ledCount(3)).toBe(4);
  });

  test('is one like the others when it has begun anew', () => {
    const bench = new Bench([1, 2, 3]);
    bench.world.do(creation('t', { partitions: 3, replicationFactor: 3 }));
    bench.lead();
    bench.step({ kind: 'prepare-stop', node: 1, incarnation: bench.world.incarnation(1) });
    expect(bench.world.image.ledCount(1)).toBe(0);
    bench.world.do({ ...registration(1), incarnation: bench.world.incarnation(1), bootCounter: 9 });
    bench.run(1_000, [1, 2, 3]);
    for (let p = 0; p < 3; p += 1) {
      const { logId, leader, epoch, partitionEpoch, safeSet } = bench.world.log('t', p);
      const set = { logId, node: leader, epoch, partitionEpoch, safeSet, isr: [1, 2, 3] };
      bench.world.do({ kind: 'propose-safe-set', ...set });
    }
    bench.run(2 * CONTROLLER_DEFAULTS.preferredIntervalMs, [1, 2, 3]);
    expect(bench.world.image.ledCount(1)).toBe(1);
  });
});

describe('unclean elections', () => {
  function lostLeader(config: [string, string][]): Bench {
    const bench = new Bench([1, 2, 3]);
    bench.world.do(creation('t', { partitions: 1, replicationFactor: 3, config }));
    bench.world.setCode('t', [1, 2]);
    bench.lead();
    bench.run(4000, [3]);
    bench.world.fence(1);
    bench.world.fence(2);
    return bench;
  }

  test('do not happen unless the destination allows them', () => {
    const bench = lostLeader([]);
    bench.run(20_000, [3]);
    expect(bench.world.log('t').leader).toBe(-1);
    expect(bench.outputs.some((o) => o.kind === 'survey')).toBe(false);
  });

  test('ask the survivors and take the longest', () => {
    const bench = lostLeader([['unclean.leader.election.enable', 'true']]);
    bench.run(500, [3]);
    const { logId } = bench.world.log('t');
    expect(bench.outputs).toContainEqual({ kind: 'survey', logId, nodes: [3] });
    expect(bench.world.log('t').leader).toBe(-1);
    bench.step({ kind: 'survivor', logId, node: 3, lastEpoch: 0, endSeq: 5 });
    expect(bench.world.log('t')).toMatchObject({ leader: 3, isUncleanEpoch: true });
  });

  test('ask no RAM node, however far its copy reaches', () => {
    const bench = new Bench([1, 2]);
    const ram = { ...registration(3), kind: 'register-node-as', kinds: [], role: 'ram' } as const;
    bench.world.do(ram);
    bench.world.unfence(3);
    const config = [['unclean.leader.election.enable', 'true'] as const];
    bench.world.do(creation('t', { partitions: -1, assignments: [[1, 2, 3]], config }));
    bench.world.setCode('t', [1]);
    bench.lead();
    bench.run(4000, [2, 3]);
    bench.world.fence(1);
    bench.run(500, [2, 3]);
    const { logId } = bench.world.log('t');
    expect(bench.outputs).toContainEqual({ kind: 'survey', logId, nodes: [2] });
    bench.step({ kind: 'survivor', logId, node: 3, lastEpoch: 0, endSeq: 9 });
    bench.step({ kind: 'survivor', logId, node: 2, lastEpoch: 0, endSeq: 5 });
    expect(bench.world.log('t')).toMatchObject({ leader: 2, isUncleanEpoch: true });
  });

  test('prefer the later epoch to the longer log', () => {
    const bench = new Bench([1, 2, 3]);
    const config = [['unclean.leader.election.enable', 'true'] as const];
    bench.world.do(creation('t', { partitions: 1, config }));
    // All three lost their data folders: the safe set is empty, all are live.
    for (const node of [1, 2, 3]) bench.world.join(node, { incarnation: 900 + node });
    bench.lead();
    bench.run(SESSION_MS, [1, 2, 3]);
    const { logId } = bench.world.log('t');
    bench.step({ kind: 'survivor', logId, node: 1, lastEpoch: 1, endSeq: 90 });
    bench.step({ kind: 'survivor', logId, node: 2, lastEpoch: 2, endSeq: 5 });
    bench.step({ kind: 'survivor', logId, node: 3, lastEpoch: 2, endSeq: 4 });
    expect(bench.world.log('t')).toMatchObject({ leader: 2, isUncleanEpoch: true });
  });
});

test('in a random life every dead node is fenced, every living one is not, and logs are led', () => {
  for (let seed = 1; seed <= runs(40, 10); seed += 1) {
    const dice = new SeededRandom(seed);
    const bench = new Bench([1, 2, 3, 4, 5]);
    bench.world.do(creation('t', { partitions: 15 }));
    bench.lead();
    let alive = [1, 2, 3, 4, 5];
    for (let round = 0; round < 12; round += 1) {
      alive = [1, 2, 3, 4, 5].filter(() => dice.below(4) > 0);
      if (dice.below(3) === 0) {
        bench.step({ kind: 'leadership', isReady: false });
        bench.lead();
      }
      bench.run(SESSION_MS * 2, alive);
      expect(bench.world.image.liveNodes().map((node) => node.id)).toEqual(alive);
      for (const log of bench.world.image.logs()) {
        const isAble = log.safeSet.some((member) => alive.includes(member.node));
        expect(log.leader !== -1).toBe(isAble);
        if (log.leader !== -1) expect(alive).toContain(log.leader);
      }
    }
  }
});
