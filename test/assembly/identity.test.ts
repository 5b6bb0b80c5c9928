// Who a node is: on a disk without room, as the bytes of its file, and in a file of another version.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openIdentity, writeIdentity } from '../../src/assembly/identity.ts';
import type { Environment } from '../../src/env/environment.ts';
import { createMemoryDisk } from '../../src/env/node/memory-disk.ts';
import { decodeUtf8, encodeUtf8 } from '../../src/std/bytes.ts';
import { SeededRandom } from '../../src/std/prng.ts';

test('a new folder on a full disk is told as such', () => {
  const disk = createMemoryDisk();
  disk.replaceFile = () => {
    throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
  };
  const env = { disk, random: new SeededRandom(1) } as unknown as Environment;
  expect(() => openIdentity(env, 'here', 1, true)).toThrow('no space left');
});

test('a start with no byte free is counted in the place of the last one', () => {
  const disk = createMemoryDisk();
  const env = { disk, random: new SeededRandom(1) } as unknown as Environment;
  const open = () => openIdentity(env, 'here', 1, true);
  const first = open();
  // A longer text: what is written over it must not end with a part of it.
  writeIdentity(env, { ...first, osBootId: 'x'.repeat(50) }, true);
  const { replaceFile } = disk;
  let code = 'ENOSPC';
  disk.replaceFile = () => {
    throw Object.assign(new Error('no'), { code });
  };
  expect(open()).toMatchObject({ bootCounter: 2, isClean: true, isNewFolder: false });
  expect(open()).toMatchObject({ bootCounter: 3, isClean: false, incarnation: first.incarnation });
  code = 'EIO';
  expect(open).toThrow('no');
  disk.replaceFile = replaceFile;
  expect(open()).toMatchObject({ bootCounter: 4, isClean: false });
});

test('the file is byte for byte the one in the golden file', () => {
  const disk = createMemoryDisk();
  const facts = { osBootId: '0f7c5b1e-boot' };
  const env = { disk, facts, random: new SeededRandom(1) } as unknown as Environment;
  openIdentity(env, 'cluster-1', 3, false);
  writeIdentity(env, openIdentity(env, 'cluster-1', 3, false), true);
  const text = decodeUtf8(disk.readFile('node.json')!);
  // It goes with the format's number and with docs/internals/storage-format.md.
  const path = new URL('./golden/node.json', import.meta.url);
  if (process.env['UPDATE'] === '1') writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, 'utf8'));

  const known = createMemoryDisk();
  known.replaceFile('node.json', readFileSync(path));
  const read = openIdentity({ ...env, disk: known }, 'cluster-1', 3, false);
  expect(read).toMatchObject({ bootCounter: 3, toldBoot: 0, isClean: true, isNewFolder: false });
  expect(read.incarnation).toBe((JSON.parse(text) as { incarnation: number }).incarnation);
});

test.each([0, 2, '1', undefined])('a file of format %s is refused, and stays', (format) => {
  const disk = createMemoryDisk();
  const env = { disk, random: new SeededRandom(1) } as unknown as Environment;
  openIdentity(env, 'here', 1, true);
  const stored = JSON.parse(decodeUtf8(disk.readFile('node.json')!)) as object;
  const newer = JSON.stringify({ ...stored, format });
  disk.replaceFile('node.json', encodeUtf8(newer));
  expect(() => openIdentity(env, 'here', 1, true)).toThrow(
    expect.objectContaining({
      code: 'NODE_FOLDER_FOREIGN',
      message: expect.stringMatching(
        `^node.json in .* was written by a newer version: its format is ${format}, this build reads 1$`,
      ) as string,
    }) as Error,
  );
  expect(decodeUtf8(disk.readFile('node.json')!)).toBe(newer);
});

test('what a newer build has added to the file stays in it', () => {
  const disk = createMemoryDisk();
  const env = { disk, random: new SeededRandom(1) } as unknown as Environment;
  openIdentity(env, 'here', 1, true);
  const stored = JSON.parse(decodeUtf8(disk.readFile('node.json')!)) as object;
  disk.replaceFile('node.json', encodeUtf8(JSON.stringify({ ...stored, zone: { name: 'a' } })));
  const identity = openIdentity(env, 'here', 1, true);
  writeIdentity(env, identity, true);
  expect(JSON.parse(decodeUtf8(disk.readFile('node.json')!))).toMatchObject({
    bootCounter: 2,
    isClean: true,
    zone: { name: 'a' },
  });
});
