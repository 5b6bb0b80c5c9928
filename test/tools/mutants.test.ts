// The planted mistakes still fit the sources: each text is in its file exactly once, and changes it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mutated, ROOT } from '../../tools/mutants/bundle.mjs';
import { mutants } from '../../tools/mutants/storage.mjs';

test('there are at least 30, with names of their own', () => {
  expect(mutants.length).toBeGreaterThanOrEqual(30);
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
});

test.each(mutants)('$name', (mutant) => {
  const source = readFileSync(join(ROOT, mutant.file), 'utf8');
  expect(mutated(source, mutant)).not.toBe(source);
});
