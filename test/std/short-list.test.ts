import { expect, test } from 'vitest';
import { added, noItems } from '../../src/std/short-list.ts';

test('lists without items are one list, which nothing is ever put into', () => {
  const first = added(noItems<string>(), 'a');
  const second = added(noItems<string>(), 'b');
  expect(noItems()).toBe(noItems());
  expect(noItems()).toEqual([]);
  expect([first, second]).toEqual([['a'], ['b']]);
  expect(added(first, 'c')).toBe(first);
  expect([first, second]).toEqual([['a', 'c'], ['b']]);
});
