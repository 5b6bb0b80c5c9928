import { describe, expect, it } from 'vitest';
import {
  type Codec,
  describeOpcodes,
  none,
  opcodesOf,
  type ProtocolShape,
  protocolsHash,
  u32,
  utf8,
} from '../../src/codec/index.ts';

const queue: ProtocolShape = {
  name: 'queue',
  version: 1,
  ops: {
    publish: { input: utf8 as Codec<never> },
    depth: { input: none as Codec<never>, reply: u32 as Codec<never> },
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

  it('hash to one number that sees order, version and shape, not the order of protocols', () => {
    const other = { ...queue, name: 'other' };
    expect(protocolsHash([queue, other])).toBe(protocolsHash([other, queue]));
    const changed: ProtocolShape[] = [
      { ...queue, version: 2 },
      { ...queue, ops: { depth: queue.ops['depth']!, publish: queue.ops['publish']! } },
      { ...queue, ops: { ...queue.ops, publish: { input: u32 as Codec<never> } } },
    ];
    for (const shape of changed) expect(protocolsHash([shape])).not.toBe(protocolsHash([queue]));
  });
});
