// A replica that keeps up under a steady load, a little later than the members of the set: it joins, and commits wait
// for it no longer than they may.
import { expect, test } from 'vitest';
import type { LeaderCore } from '../../src/replication/leader-core.ts';
import type { LeaderOutput } from '../../src/replication/types.ts';
import { ack, helloOf, leader, members, only, write } from './rig.ts';

const MEMBER_LATE_MS = 1;
const LATE_MS = 5;
const TICK_MS = 100;

interface Run {
  readonly core: LeaderCore;
  readonly outputs: LeaderOutput[];
  nowMs: number;
  /** The longest time in which nothing was committed. */
  standMs: number;
}

function begun(mode: 'all' | 'quorum'): Run {
  const minInsync = mode === 'quorum' ? 2 : 1;
  const core = leader({ safeSet: members(1, 2), isr: [1, 2], mode, minInsync });
  core.hello(helloOf(2, 1));
  core.hello(helloOf(3, 1));
  const begin = write(core);
  ack(core, 2, begin);
  core.take();
  return { core, outputs: [], nowMs: 0, standMs: 0 };
}

/** A frame every millisecond; `until` is asked after each. */
function load(run: Run, ms: number, isThirdHeard: () => boolean, until: () => boolean): void {
  const { core } = run;
  let committedMs = run.nowMs;
  for (const endMs = run.nowMs + ms; run.nowMs < endMs && !until(); ) {
    run.nowMs += 1;
    const before = core.committedSeq;
    const seq = write(core);
    core.sent(3, seq);
    ack(core, 2, Math.max(1, seq - MEMBER_LATE_MS));
    if (isThirdHeard() && seq > LATE_MS) ack(core, 3, seq - LATE_MS);
    if (run.nowMs % TICK_MS === 0) core.tick(run.nowMs);
    if (core.committedSeq > before) committedMs = run.nowMs;
    run.standMs = Math.max(run.standMs, run.nowMs - committedMs);
    run.outputs.push(...core.take());
  }
}

const proposal = ({ outputs }: Run) => only(outputs, 'propose-safe-set')[0]?.proposal;

test.each(['all', 'quorum'] as const)('%s: it joins, and holds then what is committed', (mode) => {
  const run = begun(mode);
  const { core } = run;
  load(
    run,
    10_000,
    () => true,
    () => proposal(run) !== undefined,
  );
  expect(proposal(run)!.newSet.map(({ node }) => node)).toEqual([1, 2, 3]);
  expect(core.progress(3)!.matchSeq).toBeGreaterThanOrEqual(core.committedSeq);
  expect(run.standMs).toBeLessThan(2 * TICK_MS);
  const { attempt: _, expectedPartitionEpoch, newSet: safeSet, isr } = proposal(run)!;
  core.safeSetChanged({ partitionEpoch: expectedPartitionEpoch + 1, safeSet, isr });
  const committed = core.committedSeq;
  load(
    run,
    50,
    () => true,
    () => false,
  );
  expect(core.committedSeq).toBeGreaterThan(committed + 20);
});

test('one that falls silent then stops nobody for longer than it may, nor soon again', () => {
  const run = begun('all');
  const { core } = run;
  let isSilent = false;
  const isHeard = () => {
    // As soon as commits wait for it.
    isSilent ||= run.standMs > 2;
    return !isSilent;
  };
  load(run, 10_000, isHeard, () => false);
  expect(isSilent).toBe(true);
  expect(proposal(run)).toBeUndefined();
  expect(run.standMs).toBeGreaterThan(TICK_MS);
  expect(run.standMs).toBeLessThanOrEqual(1_000 + TICK_MS);
  expect(core.committedSeq).toBeGreaterThan(core.endSeq - 10);
});

test('nobody waits for it while a leader is to hand over', () => {
  const run = begun('all');
  const { core } = run;
  let isSilent = false;
  const isHeard = () => {
    isSilent ||= run.standMs > 2;
    return !isSilent;
  };
  load(run, 10_000, isHeard, () => isSilent);
  expect(core.committedSeq).toBeLessThan(core.endSeq - 1);
  core.planMove(2, run.nowMs);
  ack(core, 2, core.endSeq);
  expect(only(core.take(), 'move-ready')).toMatchObject([{ target: 2 }]);
});
