import { describe, expect, it } from 'vitest';
import {
  describeOpcodes,
  none,
  opcodesOf,
  type ProtocolShape,
  u32,
  utf8,
} from '../../src/codec/index.ts';

const queue: ProtocolShape = {
  name: 'queue',
  version: 1,
  ops: {
    publish: { input: utf8 },
    depth: { input: none, reply: u32 },
  },
};

describe('opcodes', () => {
  it('number operations in the order of declaration', () => {
    expect([...opcodesOf({ b: 0, a: 0 })]).toEqual([
      ['b', 0],
      ['a', 1],
    ]);
    expect(() => opcodesOf({ 7: 0 })).toThrow('not named by a number');
  });

  it('describe a protocol in lines for a golden test', () => {
    expect(describeOpcodes(queue)).toBe('queue/1 0 publish utf8\nqueue/1 1 depth none -> u32');
  });
});
