// Opcodes: the numbers of a protocol's operations on the wire, by order of declaration. The order
// is a promise, so a golden test compares `describeOpcodes` with a text that is kept in the
// repository.
import { assert } from '../std/assert.ts';
import type { Codec } from './codec.ts';

/** What opcodes need to know of an operation: its codecs. */
export interface OperationShape {
  readonly input: Codec<unknown>;
  readonly reply?: Codec<unknown>;
}

export interface ProtocolShape {
  readonly name: string;
  readonly version: number;
  readonly ops: { readonly [op: string]: OperationShape };
}

const OPCODES_MAX = 0x1_0000;

/** The u16 number of every operation, in the order of declaration. */
export function opcodesOf(ops: { readonly [op: string]: unknown }): ReadonlyMap<string, number> {
  const names = Object.keys(ops);
  assert(names.length <= OPCODES_MAX, 'a protocol has at most 65,536 operations');
  for (const name of names) {
    // Integer-like keys would be moved to the front, whatever the order of declaration.
    assert(!/^\d+$/.test(name), 'an operation is not named by a number', { name });
  }
  return new Map(names.map((name, opcode) => [name, opcode]));
}

/** One line per operation: `queue/1 0 publish bytes` or `queue/1 1 depth none -> u32`. */
export function describeOpcodes(protocol: ProtocolShape): string {
  const lines = [...opcodesOf(protocol.ops)].map(([name, opcode]) => {
    const { input, reply } = protocol.ops[name]!;
    const answer = reply === undefined ? '' : ` -> ${reply.shape}`;
    return `${protocol.name}/${protocol.version} ${opcode} ${name} ${input.shape}${answer}`;
  });
  return lines.join('\n');
}
