import { expect, test } from 'vitest';
import { isPasswordOf, passwordHash } from '../../src/std/password-hash.ts';

// The example of RabbitMQ's guide to passwords.
const SALT = new Uint8Array([0x90, 0x8d, 0xc6, 0x0a]);
const TEST12 = new Uint8Array(
  Buffer.from('kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR', 'base64'),
);

test('a password is kept as RabbitMQ keeps it', () => {
  expect(passwordHash(SALT, 'test12')).toEqual(TEST12);
  expect(() => passwordHash(new Uint8Array(5), 'x')).toThrow(RangeError);
});

test('it is its own password’s and nobody else’s', () => {
  expect(isPasswordOf(TEST12, 'test12')).toBe(true);
  for (const other of ['', 'test1', 'test123', 'Test12']) {
    expect(isPasswordOf(TEST12, other), other).toBe(false);
  }
  for (let at = 0; at < TEST12.length; at += 1) {
    const damaged = TEST12.slice();
    damaged[at]! ^= 1;
    expect(isPasswordOf(damaged, 'test12'), `byte ${at}`).toBe(false);
  }
});

test('an empty hash is no password’s', () => {
  expect(isPasswordOf(new Uint8Array(0), '')).toBe(false);
  expect(isPasswordOf(TEST12.subarray(0, 35), 'test12')).toBe(false);
});
