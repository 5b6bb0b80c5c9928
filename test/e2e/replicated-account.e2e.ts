// The example with three processes, of which the one that leads is killed, does what it says.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('an account loses its leader by kill -9 and no answered deposit, and counts none twice', () => {
  const text = execFileSync(process.execPath, ['examples/replicated-account/main.mjs'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(text).toMatch(/^node \d led the account and was killed after \d+ deposits$/m);
  for (const id of [1, 2, 3]) expect(text).toContain(`node ${id}: every answered deposit, once\n`);
  expect(text).toMatch(/^\d{3} answered, \d asked of a process that was killed$/m);
}, 120_000);
