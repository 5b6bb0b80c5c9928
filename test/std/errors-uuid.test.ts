import { describe, expect, it } from 'vitest';
import { AssertionError, assert, unreachable } from '../../src/std/assert.ts';
import { toHex } from '../../src/std/bytes.ts';
import { BrokerError, messageOf } from '../../src/std/errors.ts';
import { uuidFromDraws } from '../../src/std/uuid.ts';

class SampleError extends BrokerError {
  readonly code = 'STD_SAMPLE';
  override readonly retryable = true;
}

describe('errors', () => {
  it('a BrokerError carries its code, facts and cause', () => {
    const cause = new Error('disk');
    const error = new SampleError('no luck', { queue: 'q' }, cause);
    expect(error.facts()).toEqual({
      code: 'STD_SAMPLE',
      message: 'no luck',
      retryable: true,
      details: { queue: 'q' },
    });
    expect([error.name, error.cause]).toEqual(['SampleError', cause]);
    expect([messageOf(error), messageOf('text')]).toEqual(['no luck', 'text']);
  });

  it('assert throws with details only when broken', () => {
    assert(true, 'fine');
    expect(() => assert(0, 'broken', { a: 1 })).toThrow(AssertionError);
    expect(() => unreachable(1 as never)).toThrow(AssertionError);
  });
});

describe('uuid', () => {
  it('draws become a version 4 UUID', () => {
    const all = 0xffffffff;
    expect(toHex(uuidFromDraws(all, all, all, all))).toBe('ffffffffffff4fffbfffffffffffffff');
    expect(toHex(uuidFromDraws(1, 2, 3, 4))).toBe('00000001000040028000000300000004');
  });
});
