// Replicas that the controller moves by itself, against an image whose leaders bring newcomers into their sets at once:
// drains, dead nodes, shares for those that come, racks; and evenness as properties.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evenMoves, Load } from '../../../src/cluster/controller/balance.ts';
import {
  CONTROLLER_DEFAULTS,
  Controller,
  type ControllerInput,
} from '../../../src/cluster/controller/index.ts';
import { assignedOf, isReassigning, type LogRecord } from '../../../src/cluster/metadata/index.ts';
import { encodeUtf8 } from '../../../src/std/utf8.ts';
import { runs } from '../../setup/runs.ts';
import { creation, World } from '../metadata/world.ts';

class Bench {
  readonly world: World;
  readonly controller: Controller;
  nowMs = 10_000;
  /** Most logs that one node copied at once. */
  mostAtOnce = 0;
  moves = 0;

  constructor(nodes: readonly number[], racks: Readonly<Record<number, string>> = {}) {
    this.world = new World();
    for (const node of nodes) this.world.join(node, { rack: racks[node] });
    this.controller = new Controller(CONTROLLER_DEFAULTS, this.world.image);
    this.step({ kind: 'leadership', isReady: true });
  }

  step(input: ControllerInput): void {
    for (const output of this.controller.step(input, this.nowMs)) {
      if (output.kind === 'plan-moves') this.world.handOver(output.plans);
      if (output.kind !== 'propose') continue;
      if (output.command.kind === 'move-log') this.moves += 1;
      this.world.try(output.command);
      this.step({ kind: 'resolved', key: output.key });
    }
  }

  run(ms: number, alive: readonly number[]): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 500;
      for (const node of alive) {
        if (this.world.image.node(node) === undefined) continue;
        this.step({ kind: 'heartbeat', node, incarnation: this.world.incarnation(node) });
      }
      this.step({ kind: 'tick' });
      this.#copied(alive);
    }
  }

  /** Whoever is to have a log and lives has it, and its leader says so. */
  #copied(alive: readonly number[]): void {
    const { image } = this.world;
    const copies = image.reassigningLogs().flatMap((logId) => image.log(logId)!.adding);
    for (const node of copies) {
      this.mostAtOnce = Math.max(this.mostAtOnce, copies.filter((other) => other === node).length);
    }
    for (const logId of image.reassigningLogs()) {
      for (let round = 0; round < 3; round += 1) {
        const log = image.log(logId)!;
        if (log.leader < 0 || !isReassigning(log)) break;
        const assigned = assignedOf(log).filter((node) => alive.includes(node));
        const set = [...new Set([...assigned, log.leader])].sort((a, b) => a - b);
        const safeSet = set.map((node) => ({ node, incarnation: this.world.incarnation(node) }));
        const { leader, epoch, partitionEpoch } = log;
        this.world.try({
          kind: 'propose-safe-set',
          ...{ logId, node: leader, epoch, partitionEpoch, safeSet, isr: set },
        });
      }
    }
  }

  logs(): readonly LogRecord[] {
    return this.world.image.logs();
  }

  countOn(node: number): number {
    return this.world.image.logsOn(node).length;
  }

  /** The most and the least that a node leads, of those given. */
  leaders(nodes: readonly number[]): readonly [number, number] {
    const counts = nodes.map((node) => this.world.image.ledCount(node));
    return [Math.max(...counts), Math.min(...counts)];
  }

  set(key: string, value: string): void {
    this.world.do({ kind: 'set-setting', key, value: encodeUtf8(value) });
  }

  drain(node: number): void {
    const incarnation = this.world.incarnation(node);
    this.world.do({ kind: 'drain-node', node, incarnation, isLeaving: true, handsOver: true });
  }
}

const FIVE = [1, 2, 3, 4, 5];

describe('a drained node', () => {
  test('is emptied, one log at a time for each node that copies, and can be taken out', () => {
    const bench = new Bench(FIVE);
    bench.world.do(creation('t', { partitions: 12, replicationFactor: 3 }));
    bench.world.do(creation('g', { partitions: 3, replicationFactor: 3, mode: 'quorum' }));
    const before = bench.countOn(2);
    bench.drain(2);
    expect(bench.world.image.ledCount(2)).toBeGreaterThan(0);
    bench.step({ kind: 'tick' });
    expect(bench.world.image.ledCount(2)).toBe(0);
    bench.run(60_000, FIVE);
    expect(bench.countOn(2)).toBe(0);
    expect(bench.moves).toBe(before);
    expect(bench.mostAtOnce).toBe(1);
    for (const log of bench.logs()) expect(log.replicas).toHaveLength(3);
    const command = { node: 2, incarnation: bench.world.incarnation(2) };
    expect(bench.world.code({ kind: 'deregister-node', ...command })).toBe('ok');
  });
});

test('a leader whose replica is to leave hands over to one that stays, before the others have come', () => {
  const bench = new Bench(FIVE);
  bench.world.do(creation('t', { partitions: 1, replicationFactor: 3 }));
  const { logId, partitionEpoch } = bench.world.log('t');
  bench.world.do({ kind: 'reassign-log', logId, replicas: [4, 2, 3], partitionEpoch });
  expect(bench.world.log('t')).toMatchObject({ leader: 1, removing: [1] });
  bench.step({ kind: 'tick' });
  expect(bench.world.log('t')).toMatchObject({ leader: 2, removing: [1], isr: [1, 2, 3] });
});

describe('a dead node', () => {
  test('is replaced after the time that is set, and not before', () => {
    const bench = new Bench(FIVE);
    bench.set('replica.replace.after.ms', '60000');
    bench.world.do(creation('t', { partitions: 10, replicationFactor: 3 }));
    const alive = [1, 2, 3, 4];
    bench.run(50_000, alive);
    expect(bench.moves).toBe(0);
    bench.run(60_000, alive);
    expect(bench.countOn(5)).toBe(0);
    expect(bench.mostAtOnce).toBe(1);
    for (const log of bench.logs()) expect(log.isr).toHaveLength(3);
  });

  test('that returns before that is not, nor anybody where it is 0', () => {
    const bench = new Bench(FIVE);
    bench.set('replica.replace.after.ms', '60000');
    bench.world.do(creation('t', { partitions: 10, replicationFactor: 3 }));
    for (let i = 0; i < 4; i += 1) {
      bench.run(50_000, [1, 2, 3, 4]);
      bench.run(5_000, FIVE);
    }
    bench.set('replica.replace.after.ms', '0');
    bench.run(1_000_000, [1, 2, 3, 4]);
    expect(bench.moves).toBe(0);
  });

  test('is replaced by one in another rack than the others are in', () => {
    const racks = { 1: 'a', 2: 'b', 3: 'c', 4: 'a', 5: 'c', 6: 'b' };
    const nodes = [1, 2, 3, 4, 5, 6];
    const bench = new Bench(nodes, racks);
    bench.set('replica.replace.after.ms', '1000');
    bench.world.do(creation('t', { partitions: 12, replicationFactor: 3 }));
    const rackCount = ({ replicas }: LogRecord) =>
      new Set(replicas.map((node) => racks[node as 1])).size;
    for (const log of bench.logs()) expect(rackCount(log)).toBe(3);
    bench.run(60_000, [1, 2, 3, 4, 5]);
    expect(bench.countOn(6)).toBe(0);
    for (const log of bench.logs()) expect(rackCount(log)).toBe(3);
  });

  test('that was to come itself is replaced by another one', () => {
    const bench = new Bench(FIVE);
    bench.set('replica.replace.after.ms', '1000');
    bench.world.do(creation('t', { assignments: [[1, 2, 3]], partitions: -1 }));
    const { logId } = bench.world.log('t');
    bench.world.do({ kind: 'reassign-log', logId, replicas: [1, 2, 4], partitionEpoch: -1 });
    bench.run(30_000, [1, 2, 3, 5]);
    expect(bench.world.log('t')).toMatchObject({ replicas: [1, 2, 5], removing: [] });
  });
});

describe('shares', () => {
  test('a node that came gets replicas and leaders a minute later', () => {
    const bench = new Bench([1, 2, 3]);
    bench.world.do(creation('t', { partitions: 40, replicationFactor: 3 }));
    bench.run(20_000, [1, 2, 3]);
    bench.world.join(4);
    bench.run(50_000, [1, 2, 3, 4]);
    expect(bench.moves).toBe(0);
    bench.run(120_000, [1, 2, 3, 4]);
    expect(bench.countOn(4)).toBeGreaterThanOrEqual(27);
    const [most, least] = bench.leaders([1, 2, 3, 4]);
    expect(most - least).toBeLessThanOrEqual(1);
    expect(bench.world.image.setting('rebalance')).toBeUndefined();
    const done = bench.moves;
    bench.run(60_000, [1, 2, 3, 4]);
    expect(bench.moves).toBe(done);
  });

  test('what is even is left alone when somebody asks', () => {
    const bench = new Bench(FIVE);
    bench.world.do(creation('t', { partitions: 10, replicationFactor: 3 }));
    bench.set('rebalance', 'requested');
    bench.run(20_000, FIVE);
    expect(bench.moves).toBe(0);
    expect(bench.world.image.setting('rebalance')).toBeUndefined();
  });
});

describe('placement', () => {
  test.each([
    ['30 queues of one log', 30, 1],
    ['10 topics of 3', 10, 3],
  ])('%s on three nodes is even, leaders too', (_name, destinations, partitions) => {
    const world = new World([1, 2, 3]);
    for (let i = 0; i < destinations; i += 1) {
      world.do(creation(`d${i}`, { partitions, replicationFactor: 1 }));
    }
    for (const node of [1, 2, 3]) {
      expect(world.image.logsOn(node)).toHaveLength(10);
      expect(world.image.ledCount(node)).toBe(10);
    }
  });

  test('any placement becomes even, with the racks that it had, in as many moves as it needs', () => {
    const node = fc.integer({ min: 1, max: 6 });
    const assignment = fc.uniqueArray(node, { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(fc.array(assignment, { minLength: 1, maxLength: 30 }), (assignments) => {
        const racks = { 1: 'a', 2: 'b', 3: 'a', 4: 'b', 5: 'a', 6: 'b' };
        const bench = new Bench([1, 2, 3, 4, 5, 6], racks);
        bench.world.do(creation('t', { assignments, partitions: -1 }));
        const rackCount = ({ replicas }: LogRecord) =>
          new Set(replicas.map((id) => racks[id as 1])).size;
        const before = bench.logs().map(rackCount);
        bench.set('rebalance', 'requested');
        bench.run(60_000, [1, 2, 3, 4, 5, 6]);
        const left = evenMoves(bench.world.image, new Load(bench.world.image), 9);
        expect(left).toEqual([]);
        expect(bench.moves).toBeLessThanOrEqual(4 * assignments.length);
        bench.logs().forEach((log, i) => {
          expect(rackCount(log)).toBeGreaterThanOrEqual(before[i]!);
        });
        // Within a rack anything may move.
        for (const rack of [
          [1, 3, 5],
          [2, 4, 6],
        ]) {
          const counts = rack.map((id) => bench.countOn(id));
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: runs(60, 15) },
    );
  });
});
