import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssertionError, assert, unreachable } from '../../src/std/assert.ts';
import { equalBytes } from '../../src/std/bytes.ts';
import { BrokerError, messageOf } from '../../src/std/errors.ts';
import {
  formatUuid,
  formatUuidBase64,
  parseUuid,
  parseUuidBase64,
  uuidFromDraws,
} from '../../src/std/uuid.ts';

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
  it('both text forms round trip', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect(equalBytes(parseUuid(formatUuid(bytes))!, bytes)).toBe(true);
        const text = formatUuidBase64(bytes);
        expect(text).toBe(Buffer.from(bytes).toString('base64url'));
        expect(equalBytes(parseUuidBase64(text)!, bytes)).toBe(true);
      }),
    );
  });

  it('other texts are not UUIDs', () => {
    for (const text of ['', 'zz', '00000000-0000-0000-0000-00000000000g']) {
      expect(parseUuid(text)).toBeUndefined();
      expect(parseUuidBase64(text)).toBeUndefined();
    }
    expect(parseUuidBase64('AAAAAAAAAAAAAAAAAAAAAB')).toBeUndefined();
  });

  it('draws become a version 4 UUID', () => {
    const all = 0xffffffff;
    expect(formatUuid(uuidFromDraws(all, all, all, all))).toBe(
      'ffffffff-ffff-4fff-bfff-ffffffffffff',
    );
    expect(formatUuid(uuidFromDraws(1, 2, 3, 4))).toBe('00000001-0000-4002-8000-000300000004');
  });
});
