import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';

test('with a data root the disk is there, without one it is in memory', () => {
  const dataRoot = join(fs.mkdtempSync(join(tmpdir(), 'callboard-env-')), 'made');
  const onDisk = createNodeEnvironment({ dataRoot, logLevel: 'silent' });
  onDisk.disk.replaceFile('x', new Uint8Array([1]));
  expect(fs.readFileSync(join(dataRoot, 'x'))).toEqual(Buffer.from([1]));
  const inMemory = createNodeEnvironment({ logLevel: 'silent' });
  inMemory.disk.replaceFile('x', new Uint8Array([2]));
  expect(inMemory.disk.readFile('x')).toEqual(new Uint8Array([2]));
  expect(inMemory.disk.root).toBe('(memory)');
  fs.rmSync(dataRoot, { recursive: true });
});

test('the capability table names every accelerator, and says what is done where one is missing', () => {
  const names = ['dup', 'sendfile', 'preadv2', 'crc32c'];
  const off = createNodeEnvironment({ logLevel: 'silent', isNativeEnabled: false });
  expect(off.capabilities.map(({ name }) => name)).toEqual(names);
  expect(off.capabilities.every(({ isUsed, note }) => !isUsed && note !== '')).toBe(true);
  expect(off.threads.canHandOver).toBe(false);
  const digits = new TextEncoder().encode('123456789'.repeat(100));
  const on = createNodeEnvironment({ logLevel: 'silent' });
  expect(on.crc32c(digits, 0, digits.length)).toBe(off.crc32c(digits, 0, digits.length));
  if (process.platform === 'linux')
    expect(on.capabilities.every(({ isUsed }) => isUsed)).toBe(true);
});

test('two environments never draw the same random numbers, and nothing is buggified', () => {
  const [a, b] = [
    createNodeEnvironment({ logLevel: 'silent' }),
    createNodeEnvironment({ logLevel: 'silent' }),
  ];
  const draw = ({ random }: typeof a): number[] => Array.from({ length: 4 }, () => random.u32());
  expect(draw(a)).not.toEqual(draw(b));
  expect(a.buggify('any site')).toBe(false);
});
