// The table of docs/explanation/durability.md: every row names tests, and every test that it names is there.
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DURABILITIES } from '../../src/cluster/ports.ts';

const text = readFileSync('docs/explanation/durability.md', 'utf8');

/** Cells of the tables' lines, without their rules. */
function rows(): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  return lines
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
    .filter(([first]) => !/^-+$/.test(first ?? ''));
}

const faults = rows().filter((cells) => cells.length === 9);
const proofs = new Map(
  rows()
    .filter(([name, proof, ...rest]) => /^T\d+$/.test(name ?? '') && proof && rest.length === 0)
    .map(([name, proof]) => [name!, proof!] as const),
);

test('the table has a row for every durability, and a cell for every fault', () => {
  const [head, ...body] = faults;
  expect(head!.slice(2, 8)).toEqual([
    "leader's process killed",
    "leader's power cut",
    "leader's disk lost",
    "leader's node lost",
    'all processes killed',
    'power cut everywhere',
  ]);
  expect(body.length).toBeGreaterThanOrEqual(7);
  for (const mode of DURABILITIES) {
    expect(body.some(([cell]) => cell!.includes(`\`${mode}\``))).toBe(true);
  }
  for (const cells of body) for (const cell of cells) expect(cell).not.toBe('');
});

test('every row is proven by tests that are named, and no name is left over', () => {
  const named = new Set<string>();
  for (const cells of faults.slice(1)) {
    const names = cells[8]!.split(', ');
    for (const name of names) {
      expect(proofs.has(name), `${name} of the row ${cells[0]}`).toBe(true);
      named.add(name);
    }
  }
  expect([...named].sort()).toEqual([...proofs.keys()].sort());
});

test.each([...proofs])('%s is there: %s', (_, proof) => {
  const [, file, name] = /^`([^`]+)`: (.+)$/.exec(proof)!;
  expect(existsSync(file!), file).toBe(true);
  const source = readFileSync(file!, 'utf8');
  const isThere = [`'${name}'`, `"${name}"`, `\`${name}\``].some((each) => source.includes(each));
  expect(isThere, `${file} has no test "${name}"`).toBe(true);
});
