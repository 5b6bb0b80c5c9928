import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkRegister, type RegisterOperation } from '../../../src/sim/checkers/register.ts';

const write = (value: number, startMs: number, endMs: number | undefined): RegisterOperation => ({
  kind: 'write',
  value,
  startMs,
  endMs,
});
const read = (value: number, startMs: number, endMs: number): RegisterOperation => ({
  kind: 'read',
  value,
  startMs,
  endMs,
});

test('a committed offset that goes back is found', () => {
  expect(checkRegister([write(5, 0, 1), write(9, 2, 3), read(5, 4, 5)], -1)).toBe(
    'not-linearizable',
  );
  expect(checkRegister([write(5, 0, 1), read(-1, 2, 3)], -1)).toBe('not-linearizable');
  expect(checkRegister([write(5, 0, 1), read(9, 2, 3), read(5, 4, 5)], -1)).toBe(
    'not-linearizable',
  );
});

test('overlapping operations may come in either order, but in one order for all', () => {
  expect(checkRegister([write(1, 0, 10), read(-1, 1, 2), read(1, 3, 4)], -1)).toBe('linearizable');
  expect(checkRegister([write(1, 0, 10), read(1, 1, 2), read(-1, 3, 4)], -1)).toBe(
    'not-linearizable',
  );
});

test('a write of unknown outcome may show late, or never, but not come and go', () => {
  const open = write(7, 0, undefined);
  expect(checkRegister([open, write(8, 1, 2), read(8, 3, 4), read(7, 5, 6)], -1)).toBe(
    'linearizable',
  );
  expect(checkRegister([open, write(8, 1, 2), read(8, 3, 4)], -1)).toBe('linearizable');
  expect(checkRegister([open, write(8, 1, 2), read(7, 3, 4), read(8, 5, 6)], -1)).toBe(
    'not-linearizable',
  );
});

/** A history that a real register gave: each operation takes effect at a point inside its time. */
const atomic = fc
  .array(
    fc.record({
      isRead: fc.boolean(),
      at: fc.nat(1_000),
      before: fc.nat(60),
      after: fc.nat(60),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((steps) => {
    const points = steps
      .map((step, i) => ({ ...step, at: step.at + i / 100 }))
      .sort((a, b) => a.at - b.at);
    let value = -1;
    return points.map((point, i): RegisterOperation => {
      if (!point.isRead) value = i;
      return {
        kind: point.isRead ? 'read' : 'write',
        value,
        startMs: point.at - point.before,
        endMs: point.at + point.after,
      };
    });
  });

test('what a register really did is always accepted', () => {
  fc.assert(
    fc.property(atomic, (history) => {
      expect(checkRegister(history, -1)).toBe('linearizable');
    }),
  );
});

test('the search agrees with trying every order, on small histories with wrong values', () => {
  const small = fc.array(
    fc.record({
      kind: fc.constantFrom('read' as const, 'write' as const),
      value: fc.integer({ min: -1, max: 2 }),
      startMs: fc.nat(20),
      length: fc.nat(10),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(small, (steps) => {
      const history = steps.map(({ kind, value, startMs, length }) => ({
        kind,
        value,
        startMs,
        endMs: startMs + length,
      }));
      expect(checkRegister(history, -1)).toBe(
        byPermutation(history) ? 'linearizable' : 'not-linearizable',
      );
    }),
    { numRuns: 1_500 },
  );
});

function byPermutation(left: readonly RegisterOperation[], value = -1): boolean {
  if (left.length === 0) return true;
  return left.some((next) => {
    const others = left.filter((other) => other !== next);
    if (others.some((other) => other.endMs! < next.startMs)) return false;
    if (next.kind === 'read' && next.value !== value) return false;
    return byPermutation(others, next.kind === 'write' ? next.value : value);
  });
}
