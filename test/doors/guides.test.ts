// Every block of code in the guides is run as a module of its own, and says what the guide lets expect.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const BLOCK = /^## (.+)$|^```js\n([\s\S]*?)^```$/gm;

/** Guide and heading -> what its blocks print. */
const PRINTED = new Map([
  ['actors.md: An actor', '1'],
  ['actors.md: Full, gone and dead letters', 'it had to wait'],
  ['actors.md: Failing, and being told', 'did one\nthe worker failed'],
  ['actors.md: Tests', 'scheduled\n0\n1'],
  ['durable.md: An account', '70\nthere is only 70\n70'],
]);

interface Block {
  readonly name: string;
  readonly code: string;
}

function blocks(): Block[] {
  const found: Block[] = [];
  for (const file of readdirSync(new URL('docs/guides', `file://${root}`))) {
    const text = readFileSync(new URL(`docs/guides/${file}`, `file://${root}`), 'utf8');
    let heading = '';
    for (const [, title, code] of text.matchAll(BLOCK)) {
      if (title !== undefined) heading = title;
      if (code !== undefined) found.push({ name: `${file}: ${heading}`, code });
    }
  }
  return found;
}

test.each(blocks())('$name', ({ name, code }) => {
  const args = ['--input-type=module', '-e', code];
  const printed = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' }).trim();
  expect(printed).toBe(PRINTED.get(name));
});

test('every block that is expected is there', () => {
  expect(blocks().map(({ name }) => name)).toEqual([...PRINTED.keys()]);
});
