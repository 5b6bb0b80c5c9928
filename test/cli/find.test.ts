import { expect, test } from 'vitest';
import { lineOf } from '../../src/cli/find.ts';

test.each([
  [0, '1970-01-01T00:00:00.000Z'],
  [8.64e15, '+275760-09-13T00:00:00.000Z'],
  [8.64e15 + 1, ''],
  [Number.MAX_SAFE_INTEGER, ''],
  [-1, ''],
])('a message of time %d has a line, whatever its client said', (timestampMs, shown) => {
  const message = { partition: 1, offset: 2, timestampMs, key: 'k', value: 'v', headers: [] };
  expect(lineOf(message)).toBe(`1:2\t${shown}\tk\tv`);
});
