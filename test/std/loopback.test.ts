import { expect, test } from 'vitest';
import { isLoopback } from '../../src/std/loopback.ts';

test.each(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1', 'localhost'])(
  '%s never leaves this machine',
  (host) => expect(isLoopback(host)).toBe(true),
);

test.each(['10.0.0.1', '::ffff:10.0.0.1', '127.evil.example', 'localhost.example', '::', ''])(
  '"%s" may be anywhere',
  (host) => expect(isLoopback(host)).toBe(false),
);
