// Every outcome that docs/reference/actors.md states names a test, and that test is there.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const page = readFileSync(new URL('../../docs/reference/actors.md', import.meta.url), 'utf8');
/** The last cell of a row: `file: name of the test`, and where it is run. */
const NAMED = /\| `([a-z/-]+): (.+)`( \(placed\))? \|$/gm;
/** A text followed by a function: a test, or a group of them. */
const TITLE = /(['"])((?:(?!\1).)+)\1,\s*(?:async )?(?:\(|function)/g;

function titlesOf(file: string): readonly string[] {
  const source = readFileSync(new URL(`./${file}.test.ts`, import.meta.url), 'utf8');
  return [...source.matchAll(TITLE)].map(([, , title]) => title!);
}

const named = [...page.matchAll(NAMED)];
const situations = page.slice(page.indexOf('| situation |')).trim().split('\n').slice(2);

test('every situation has an outcome and a test', () => {
  expect(situations.length).toBeGreaterThan(40);
  expect(named.length).toBe(situations.length);
});

test.each(named.map(([, file, title, placed]) => ({ file: file!, title: title!, placed })))(
  '$file: $title',
  ({ file, title, placed }) => {
    const titles = titlesOf(file);
    expect(titles).toContain(title);
    // What is said to be run in every place is in a group over the places.
    const source = readFileSync(new URL(`./${file}.test.ts`, import.meta.url), 'utf8');
    if (placed !== undefined) expect(source).toContain('describe.each(PLACES)');
  },
);
