import { expect, test } from 'vitest';
import { ReplicaChecker, type ReplicaProbe } from '../../../src/sim/checkers/replicas.ts';

interface Sketch {
  readonly node?: string;
  readonly life?: number;
  readonly epoch?: number;
  readonly isLeader?: boolean;
  readonly committed?: number;
  readonly start?: number;
  readonly tipStart?: number;
  readonly hole?: number;
  /** Seq and hash of the state. */
  readonly applied?: readonly [number, number];
  /** Chain per seq from 0; a frame's epoch is the hundreds of its chain. */
  readonly chains: readonly number[];
}

function probe(sketch: Sketch): ReplicaProbe {
  return {
    node: sketch.node ?? 'n1',
    life: sketch.life ?? 1,
    logId: 1,
    epoch: sketch.epoch ?? 1,
    isLeader: sketch.isLeader ?? false,
    startOffset: sketch.start ?? 0,
    tipStart: sketch.tipStart,
    firstHole: () => sketch.hole,
    applied: sketch.applied && { seq: sketch.applied[0], hash: () => sketch.applied![1] },
    committedSeq: sketch.committed ?? sketch.chains.length - 1,
    endSeq: sketch.chains.length - 1,
    frameAt: (seq) => {
      const chain = sketch.chains[seq];
      return chain === undefined ? undefined : { epoch: Math.floor(chain / 100), chain };
    },
  };
}

function observe(...moments: Sketch[][]): string | undefined {
  const checker = new ReplicaChecker();
  for (const moment of moments) {
    const violation = checker.observe(moment.map(probe));
    if (violation !== undefined) return violation.check;
  }
  return undefined;
}

test('replicas that agree, lag, and cut what was never committed are fine', () => {
  expect(
    observe(
      [
        { node: 'n1', chains: [100, 101, 102], committed: 1, isLeader: true },
        { node: 'n2', chains: [100], committed: 0 },
      ],
      [
        { node: 'n1', life: 2, chains: [100, 101, 202], committed: 2, epoch: 2 },
        { node: 'n2', chains: [100, 101, 202], committed: 2, epoch: 2, isLeader: true },
      ],
    ),
  ).toBeUndefined();
});

test('a queue that has another state after the same frame is found, and one after another frame is not', () => {
  const chains = [100, 101, 102];
  const states = (...applied: (readonly [number, number])[]) =>
    observe(applied.map((each, i) => ({ node: `n${i + 1}`, chains, applied: each })));
  expect(states([2, 5], [2, 5], [1, 9])).toBeUndefined();
  expect(states([2, 5], [2, 6])).toBe('replicas/log-state');
  // A frame that was cut is another one, though it has its number.
  expect(
    observe([
      { node: 'n1', chains: [100, 101, 102], committed: 1, applied: [2, 5] },
      { node: 'n2', chains: [100, 101, 202], committed: 2, applied: [2, 6] },
    ]),
  ).toBeUndefined();
});

test('two leaders in one epoch are found, also if one is the same node restarted', () => {
  const leader = { chains: [100], isLeader: true };
  expect(observe([leader, { ...leader, node: 'n2' }])).toBe('replicas/one-leader');
  expect(observe([leader], [{ ...leader, life: 2 }])).toBe('replicas/one-leader');
  expect(observe([leader], [{ ...leader, node: 'n2', epoch: 2 }])).toBeUndefined();
});

test('one epoch and seq with two chains is found before anything is committed', () => {
  expect(
    observe([
      { chains: [100, 101], committed: 0 },
      { node: 'n2', chains: [100, 150], committed: 0 },
    ]),
  ).toBe('replicas/chain');
});

test('a committed frame that another replica committed differently is found, also much later', () => {
  expect(
    observe([{ chains: [100, 101] }], [{ node: 'n2', life: 3, chains: [100, 201], epoch: 2 }]),
  ).toBe('replicas/committed-prefix');
});

test('a committed seq never falls within one life and never passes the end', () => {
  expect(observe([{ chains: [100, 101] }], [{ chains: [100, 101], committed: 0 }])).toBe(
    'replicas/committed-backwards',
  );
  expect(
    observe([{ chains: [100, 101] }], [{ life: 2, chains: [100, 101], committed: 0 }]),
  ).toBeUndefined();
  expect(observe([{ chains: [100], committed: 3 }])).toBe('replicas/committed-past-end');
});

test('unequal state after one index is found', () => {
  const checker = new ReplicaChecker();
  expect(checker.observeState({ node: 'n1', index: 4, hash: 1 })).toBeUndefined();
  expect(checker.observeState({ node: 'n2', index: 4, hash: 1 })).toBeUndefined();
  expect(checker.observeState({ node: 'n3', index: 4, hash: 2 })?.check).toBe('replicas/state');
});

test('replicas at rest are copies with one leader, all of it committed', () => {
  const full = { chains: [0, 101, 102] };
  const leader = { ...full, isLeader: true };
  const rest = (...sketches: Sketch[]): string | undefined =>
    new ReplicaChecker().converged(sketches.map(probe), new Map([[1, 2]]))?.message;
  expect(rest(leader, { ...full, node: 'n2' })).toBeUndefined();
  expect(rest(leader, { node: 'n2', chains: [0, 101] })).toContain('n2 1/1');
  expect(rest(leader, { ...full, node: 'n2', committed: 1 })).toContain('n2 1/2');
  expect(rest({ ...leader, committed: 1 }, { ...full, node: 'n2', committed: 1 })).toContain('1/2');
  expect(rest(leader)).toContain('2 replicas expected');
  expect(rest()).toContain('found on none');
  expect(rest(full, { ...full, node: 'n2' })).toContain('0 leaders');
  expect(rest(leader, { ...leader, node: 'n2' })).toContain('2 leaders');
  expect(rest(leader, { node: 'n2', chains: [0, 101, 152] })).toContain('differ at seq 2');
  expect(rest(leader, { node: 'n2', chains: [0, 151, 102] })).toContain('differ at seq 1');
});

test('a leader that counts a follower for more than is on its disk is found, one that lags is not', () => {
  const check = (durableSeq: number, epoch: number): string | undefined => {
    const leader = probe({ node: 'n1', isLeader: true, chains: [100, 101], committed: 0 });
    const follower = probe({ node: 'n2', epoch, chains: [100, 101], committed: 0 });
    return new ReplicaChecker().observe([
      { ...leader, number: 1, durableSeq: 1, heldBy: () => 1 },
      { ...follower, number: 2, durableSeq },
    ])?.check;
  };
  expect(check(1, 1)).toBeUndefined();
  expect(check(2, 1)).toBeUndefined();
  expect(check(0, 1)).toBe('replicas/acknowledged');
  // In another epoch it may have cut what this leader still counts.
  expect(check(0, 2)).toBeUndefined();
});

test('a set of which too few hold what is committed is found', () => {
  const check = (durable: readonly number[], holders: number, incarnations = [1, 1, 1]) => {
    const probes = durable.map((durableSeq, i) => ({
      ...probe({ node: `n${i + 1}`, chains: [100, 101, 102], committed: i === 0 ? 2 : 0 }),
      number: i + 1,
      incarnation: 1,
      durableSeq,
    }));
    const members = incarnations.map((incarnation, i) => ({ node: i + 1, incarnation }));
    return new ReplicaChecker().observe(probes, () => ({ holders, members }))?.check;
  };
  expect(check([2, 2, 2], 3)).toBeUndefined();
  expect(check([2, 2, 1], 3)).toBe('replicas/safe-set');
  expect(check([2, 2, 1], 2)).toBeUndefined();
  expect(check([2, 1, 1], 2)).toBe('replicas/safe-set');
  // Who is down, and who came back with other data, may hold it; who is no member need not.
  expect(check([2, 2], 3)).toBeUndefined();
  expect(check([2, 2, 1], 3, [1, 1, 9])).toBeUndefined();
  expect(check([2, 2, 1], 2, [1, 1])).toBeUndefined();
});

test('a start that falls, or that a later leader does not know, is found', () => {
  const at = { chains: [100], epoch: 1 };
  expect(observe([{ ...at, start: 5 }], [{ ...at, start: 4 }])).toBe('replicas/start-backwards');
  // A new life reads its log first.
  expect(observe([{ ...at, start: 5 }], [{ ...at, life: 2, start: 4 }])).toBeUndefined();
  const later = { chains: [100], node: 'n2', epoch: 2, isLeader: true };
  expect(observe([{ ...at, start: 5 }], [{ ...later, tipStart: 4 }])).toBe('replicas/start-undone');
  expect(observe([{ ...at, start: 5 }], [{ ...later, tipStart: 5, start: 3 }])).toBeUndefined();
  expect(observe([{ ...at, start: 5 }], [{ ...later, epoch: 1, tipStart: 4 }])).toBeUndefined();
});

test('at rest replicas start alike and lack nothing', () => {
  const checker = new ReplicaChecker();
  const rest = (other: Partial<Sketch>) => {
    const leader = probe({ chains: [100], isLeader: true, start: 3 });
    const follower = probe({ chains: [100], node: 'n2', start: 3, ...other });
    return checker.converged([leader, follower], new Map([[1, 2]]))?.message;
  };
  expect(rest({})).toBeUndefined();
  expect(rest({ start: 2 })).toBe('log 1: n1 starts at 3, n2 at 2');
  expect(rest({ hole: 7 })).toBe('log 1: n2 cannot read 7');
});
