// The log of programs that bring none: warnings and errors as lines, with what they are about.
import { expect, test } from 'vitest';
import { createPlainLog } from '../../../src/env/node/plain-log.ts';

test('warnings and errors are lines with their fields, and the rest is silent', () => {
  const lines: string[] = [];
  const log = createPlainLog((line) => lines.push(line)).child({ actor: '/a' });
  log.debug('nothing');
  log.info('nothing');
  log.warn('slow', { ms: 12, left: undefined });
  log.error('failed', {
    error: Object.assign(new Error('no'), { stack: 'Error: no\n    at here' }),
  });
  expect(lines).toEqual([
    'warn slow actor=/a ms=12\n',
    'error failed actor=/a error=Error: no\n    at here\n',
  ]);
});

test('its level may change, for children that exist as well', () => {
  const lines: string[] = [];
  const log = createPlainLog((line) => lines.push(line));
  const child = log.child({ actor: '/a' });
  expect(log.level).toBe('warn');
  child.info('before');
  log.setLevel?.('debug');
  child.debug('after');
  child.setLevel?.('silent');
  log.error('silent');
  expect(lines).toEqual(['debug after actor=/a\n']);
});
