// The opcodes and shapes that two nodes of one cluster must agree on. A change of the golden file is a
// change of the wire: nodes before and after it do not talk. UPDATE=1 accepts what the code says now.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PROTOCOLS } from '../../src/assembly/protocols.ts';

/** One line per operation: `log/1 0 append {...} -> {...}`. */
function linesOf({ name, version, table }: (typeof PROTOCOLS)[number]): string[] {
  return table.map(({ code, name: op, input, reply }) => {
    const answer = reply === undefined ? '' : ` -> ${reply.shape}`;
    return `${name}/${version} ${code} ${op} ${input.shape}${answer}`;
  });
}

test('the protocols of a node are, opcode by opcode, the ones in the golden file', () => {
  const text = `${PROTOCOLS.flatMap(linesOf).join('\n')}\n`;
  const path = new URL('./golden/protocols.txt', import.meta.url);
  if (process.env['UPDATE'] === '1') writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, 'utf8'));
});
