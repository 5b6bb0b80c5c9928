// Who a node is, on a disk without room.
import { expect, test } from 'vitest';
import { openIdentity, writeIdentity } from '../../src/assembly/identity.ts';
import type { Environment } from '../../src/env/environment.ts';
import { createMemoryDisk } from '../../src/env/node/memory-disk.ts';
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
