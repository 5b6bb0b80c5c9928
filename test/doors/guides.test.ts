// Every block of code in the guides is run, and says what the guide lets expect: in the text behind it, or here.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { GuideRun } from './guide.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const guides = new URL('docs/guides/', `file://${root}`);

/** Guide and heading -> what its blocks print, where the guide does not show it. */
const PRINTED = new Map([
  ['actors.md: An actor', '1'],
  ['actors.md: Full, gone and dead letters', 'it had to wait'],
  ['actors.md: Failing, and being told', 'did one\nthe worker failed'],
  ['actors.md: Threads', '25'],
  ['actors.md: Looking into a thread, and changing it', '16\n(root)\ntrue'],
  ['actors.md: Tests', 'scheduled\n0\n1'],
  ['durable.md: An account', '70\nthere is only 70\n70'],
  ['durable.md: A timer', 'paid'],
  ['shared-memory.md: Two threads and a ring', '5050'],
  ['shared-memory.md: Which bell', 'awake'],
  ['shared-memory.md: Is that thread alive', 'false false false\nfalse false true'],
  ['shared-memory.md: Large payloads', '7 131072\n0'],
]);

const seen = new Set<string>();
const open: GuideRun[] = [];
afterAll(() => {
  for (const each of open) each.close();
});

test.concurrent.each(readdirSync(guides))('%s', { timeout: 120_000 }, async (file) => {
  const run = new GuideRun(root, readFileSync(new URL(file, guides), 'utf8'));
  open.push(run);
  await run.run((heading, printed, shown) => {
    const name = `${file}: ${heading}`;
    seen.add(name);
    expect(printed, name).toBe(shown ?? PRINTED.get(name) ?? 'something that the guide shows');
  });
});

test('the index names every guide', () => {
  const index = readFileSync(new URL('README.md', guides), 'utf8');
  for (const file of readdirSync(guides)) {
    if (file !== 'README.md') expect(index).toContain(`[${file}](${file})`);
  }
});

const examples = new URL('examples/', `file://${root}`);
const LINES_MAX = 150;

test.each(readdirSync(examples))('the example %s is short', (name) => {
  const texts = readdirSync(new URL(name, examples)).map((file) =>
    readFileSync(new URL(`${name}/${file}`, examples), 'utf8'),
  );
  expect(texts.join('').split('\n').length - 1).toBeLessThanOrEqual(LINES_MAX);
});

test.each(['chat', 'raft', 'worker-pool'])(
  'the guide %s shows the files of its example',
  (name) => {
    const guide = readFileSync(new URL(`${name}.md`, guides), 'utf8');
    for (const file of readdirSync(new URL(name, examples))) {
      const text = readFileSync(new URL(`${name}/${file}`, examples), 'utf8');
      expect(guide).toContain(`\n// file: ${file}\n${text}\`\`\`\n`);
    }
  },
);

test('every block that is expected is there', () => {
  for (const name of PRINTED.keys()) expect(seen).toContain(name);
});
