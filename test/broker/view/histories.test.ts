import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { QueueFaults } from '../../../src/broker/view/config.ts';
import { runs } from '../../setup/runs.ts';
import { QueueWorld, type Step, Violation } from './world.ts';

const small = (max: number) => fc.integer({ min: 0, max });
const pick = fc.constantFrom(255, 1, 0x55, 0x0e);

const steps: Record<Step['op'], { weight: number; arbitrary: fc.Arbitrary<Step> }> = {
  publish: weighed(8, { op: fc.constant('publish'), client: small(1), count: small(4).map(plus1) }),
  resend: weighed(1, { op: fc.constant('resend'), client: small(1) }),
  append: weighed(2, { op: fc.constant('append'), count: small(4).map(plus1) }),
  commit: weighed(8, { op: fc.constant('commit'), frames: fc.constantFrom(1, 2, 100) }),
  receive: weighed(10, {
    op: fc.constant('receive'),
    who: small(3),
    credit: small(7),
    waits: fc.boolean(),
    leaseMs: fc.constantFrom(0, 0, 5_000),
    isLost: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  }),
  acknowledge: weighed(5, { op: fc.constant('acknowledge'), who: small(3), pick }),
  drop: weighed(1, { op: fc.constant('drop'), who: small(3), pick }),
  requeue: weighed(3, { op: fc.constant('requeue'), who: small(3), pick, counts: fc.boolean() }),
  extend: weighed(1, {
    op: fc.constant('extend'),
    who: small(3),
    pick,
    ms: fc.constantFrom(0, 3_000, 9_000),
  }),
  detach: weighed(1, { op: fc.constant('detach'), who: small(3), keeps: fc.boolean() }),
  attach: weighed(1, { op: fc.constant('attach'), who: small(3) }),
  'node-gone': weighed(1, { op: fc.constant('node-gone'), node: small(1) }),
  purge: weighed(0.5, { op: fc.constant('purge') }),
  wait: weighed(2, { op: fc.constant('wait'), ms: fc.constantFrom(50, 1_000, 5_000, 25_000) }),
  move: weighed(1, { op: fc.constant('move'), kept: fc.constantFrom(0, 0, 1, 100) }),
  refuse: weighed(1, { op: fc.constant('refuse') }),
};

function weighed(weight: number, fields: Record<string, fc.Arbitrary<unknown>>) {
  return { weight: weight * 2, arbitrary: fc.record(fields) as fc.Arbitrary<Step> };
}

function plus1(n: number): number {
  return n + 1;
}

const history = fc.array(fc.oneof(...Object.values(steps)), {
  minLength: 10,
  maxLength: 80,
  size: 'max',
});

function property(faults: QueueFaults, isHosted = false) {
  return fc.property(history, (all) => {
    new QueueWorld(faults, isHosted).play(all);
  });
}

describe('random histories', () => {
  it('are what a naive model says: nothing lost, nothing twice, nothing unmarked, nothing beyond credit', () => {
    fc.assert(property({}), { numRuns: runs(3_000, 600) });
  });

  it('of a group on a stream, while another group uses the same log, are what the model says', () => {
    fc.assert(property({}, true), { numRuns: runs(3_000, 600) });
  });
});

describe('a rule that is taken away is missed', () => {
  const faults: Record<keyof QueueFaults, true> = {
    deliverUncommitted: true,
    noReservation: true,
    forgetDelivered: true,
    forgetReturned: true,
    noDedup: true,
    noGapRule: true,
    ackIgnoresHolder: true,
    keepDeadLeases: true,
    dropLease: true,
    confirmEarly: true,
    purgeLeased: true,
    trustFrames: true,
    ignoreCredit: true,
    forgetUnseen: true,
    giveTwice: true,
    forgetReturns: true,
  };
  for (const fault of Object.keys(faults)) {
    it(`within some histories: ${fault}`, () => {
      const options = { numRuns: 5_000, seed: 7, endOnFailure: true };
      const found = fc.check(property({ [fault]: true }), options);
      expect(found.errorInstance).toBeInstanceOf(Violation);
    });
  }

  for (const fault of Object.keys(faults)) {
    it(`within some histories of a group on a stream: ${fault}`, () => {
      const options = { numRuns: 5_000, seed: 7, endOnFailure: true };
      const found = fc.check(property({ [fault]: true }, true), options);
      expect(found.errorInstance).toBeInstanceOf(Violation);
    });
  }
});
