// Owners of commands: each is found once, in whatever order they are answered, and those that are left are
// told in the order in which they came, however many there are.
import { describe, expect, it } from 'vitest';
import type { AnsweredInput } from '../../../src/cluster/ports.ts';
import { CommandOwners } from '../../../src/cluster/replica/command-owners.ts';

const to = { node: 1, thread: 0, slot: 7, generation: 1 } as never;

function owners() {
  const told: string[] = [];
  const sink = {
    appended: () => undefined,
    located: () => undefined,
    answered: (_to: unknown, { token, result }: AnsweredInput) => told.push(`${token} ${result}`),
  };
  return { told, owners: new CommandOwners(sink) };
}

describe('owners of commands', () => {
  it('are found once, in any order', () => {
    const { owners: all } = owners();
    const tokens = Array.from({ length: 11 }, (_, i) => all.add({ to, token: 100 + i, dueMs: 5 })!);
    expect(new Set(tokens).size).toBe(11);
    const order = [3, 0, 10, 5, 4, 1, 9, 2, 8, 6, 7];
    expect(order.map((at) => all.take(tokens[at]!)?.token)).toEqual(order.map((at) => 100 + at));
    expect(order.map((at) => all.take(tokens[at]!))).toEqual(order.map(() => undefined));
    expect(all.dueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('that are left fail in the order in which they came', () => {
    const { owners: all, told } = owners();
    const tokens = Array.from({ length: 7 }, (_, i) => all.add({ to, token: i, dueMs: 5 })!);
    all.take(tokens[1]!);
    all.take(tokens[5]!);
    // Later than those in the map, and among the first few.
    all.add({ to, token: 7, dueMs: 5 });
    all.failAll('not-leader');
    expect(told).toEqual([0, 2, 3, 4, 6, 7].map((token) => `${token} not-leader`));
    all.failAll('not-leader');
    expect(told).toHaveLength(6);
  });

  it('whose time is over are told so, and the next one is waited for', () => {
    const { owners: all, told } = owners();
    const tokens = [30, 10, 40, 10, 20, 10].map((dueMs, token) => all.add({ to, token, dueMs })!);
    expect(all.dueMs).toBe(10);
    all.expire(9);
    expect(told).toEqual([]);
    all.expire(10);
    expect(told).toEqual(['1 timed-out', '3 timed-out', '5 timed-out']);
    expect(all.dueMs).toBe(20);
    expect(all.take(tokens[1]!)).toBeUndefined();
    expect(all.take(tokens[4]!)?.token).toBe(4);
  });
});
