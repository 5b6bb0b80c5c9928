import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Disk, DiskFile } from '../../../src/env/environment.ts';
import { createNodeDisk } from '../../../src/env/node/disk.ts';
import { isProcessAlive, lockHolder, processStart } from '../../../src/env/node/lock.ts';
import { createMemoryDisk } from '../../../src/env/node/memory-disk.ts';

let base: string;
beforeAll(() => {
  base = fs.mkdtempSync(join(tmpdir(), 'callboard disk ü '));
});
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (from: Uint8Array | undefined): string => new TextDecoder().decode(from);

function written(file: DiskFile, data: Uint8Array, position: number): Promise<string | undefined> {
  return new Promise((resolve) => file.write(data, position, (error) => resolve(error?.code)));
}

function readBack(file: DiskFile, size: number, position: number): Promise<[string, number]> {
  const into = new Uint8Array(size);
  return new Promise((resolve, reject) =>
    file.read(into, position, (error, count) =>
      error === undefined ? resolve([text(into.subarray(0, count)), count]) : reject(error),
    ),
  );
}

const kinds: readonly [string, () => Disk][] = [
  ['the real disk', () => createNodeDisk(fs.mkdtempSync(join(base, 'd')))],
  ['the disk in memory', createMemoryDisk],
];

describe.each(kinds)('%s', (_name, make) => {
  test('writes and reads whole ranges, and a read at the end answers with the smaller count', async () => {
    const disk = make();
    const file = disk.open('a.log', { mode: 'create', dsync: true });
    expect(await written(file, bytes('hello world'), 3)).toBeUndefined();
    expect(file.size()).toBe(14);
    expect(await readBack(file, 5, 9)).toEqual(['world', 5]);
    expect(await readBack(file, 50, 9)).toEqual(['world', 5]);
    expect(await readBack(file, 50, 14)).toEqual(['', 0]);
    file.writeSync(bytes('HELLO'), 3);
    const into = new Uint8Array(20);
    expect(file.readSync(into, 3)).toBe(11);
    expect(text(into.subarray(0, 11))).toBe('HELLO world');
    file.truncate(5);
    expect(disk.fileSize('a.log')).toBe(5);
    file.close();
  });

  test('callbacks come in a later turn, also for a closed file', async () => {
    const file = make().open('a', { mode: 'create' });
    let isReturned = false;
    const first = new Promise<boolean>((resolve) =>
      file.write(bytes('x'), 0, () => resolve(isReturned)),
    );
    file.close();
    const second = new Promise<[boolean, string | undefined]>((resolve) =>
      file.sync((error) => resolve([isReturned, error?.code])),
    );
    isReturned = true;
    expect(await first).toBe(true);
    expect(await second).toEqual([true, 'EBADF']);
    expect(() => file.size()).toThrow(/EBADF/);
  });

  test('opening tells a missing file from one that is made', () => {
    const disk = make();
    expect(() => disk.open('none', { mode: 'read' })).toThrow(/ENOENT/);
    expect(() => disk.open('none', { mode: 'write' })).toThrow(/ENOENT/);
    expect(() => disk.open('no-folder/none', { mode: 'create' })).toThrow(/ENOENT/);
    disk.open('made', { mode: 'create' }).close();
    expect(() => disk.open('made', { mode: 'read' }).writeSync(bytes('x'), 0)).toThrow(/EBADF/);
    expect(disk.fileSize('none')).toBeUndefined();
    expect(disk.readFile('none')).toBeUndefined();
  });

  test('folders are made with parents, listed in order, renamed and removed', async () => {
    const disk = make();
    disk.makeDirectory('x/y');
    disk.makeDirectory('x/y');
    disk.replaceFile('x/b', bytes('B'));
    disk.replaceFile('x/a', bytes('A'));
    disk.replaceFile('x/a', bytes('A2'));
    disk.syncDirectory('x');
    expect(disk.list('x')).toEqual([
      { name: 'a', isDirectory: false },
      { name: 'b', isDirectory: false },
      { name: 'y', isDirectory: true },
    ]);
    disk.rename('x', 'z');
    expect(text(disk.readFile('z/a'))).toBe('A2');
    expect(disk.exists('x')).toBe(false);
    disk.remove('z/b');
    expect(() => disk.remove('z/b')).toThrow(/ENOENT/);
    await disk.removeTree('z');
    expect(disk.list('')).toEqual([]);
  });

  test.each(['../out', 'a/../../out', '/etc/passwd', 'a//b', 'a/./b', 'a\0b', 'a\\b'])(
    'the path %j cannot leave the root',
    (path) => {
      const disk = make();
      expect(() => disk.open(path, { mode: 'create' })).toThrow(/EINVAL/);
      expect(() => disk.replaceFile(path, bytes('x'))).toThrow(/EINVAL/);
      expect(() => disk.exists(path)).toThrow(/EINVAL/);
    },
  );

  test('a lock is held once and free after its release', () => {
    const disk = make();
    const lock = disk.lock('lock', 'node 1');
    expect(lock).toBeDefined();
    expect(disk.lock('lock', 'node 2')).toBeUndefined();
    lock?.release();
    expect(disk.lock('lock', 'node 3')).toBeDefined();
  });

  test('the lock of a dead thread of this process can be released for it', () => {
    const disk = make();
    disk.releaseOwnLock('lock');
    expect(disk.lock('lock', 'shard 1')).toBeDefined();
    disk.releaseOwnLock('lock');
    expect(disk.lock('lock', 'shard 1')).toBeDefined();
  });
});

describe('the real disk', () => {
  test('a file closed with a write under way still takes that write', async () => {
    const disk = createNodeDisk(fs.mkdtempSync(join(base, 'd')));
    const file = disk.open('big', { mode: 'create' });
    const data = new Uint8Array(8 << 20).fill(7);
    const done = written(file, data, 0);
    file.close();
    expect(file.fd).toBe(-1);
    expect(await done).toBeUndefined();
    expect(disk.fileSize('big')).toBe(data.length);
  });

  test('memory shared between threads can be written from and read into', async () => {
    const disk = createNodeDisk(fs.mkdtempSync(join(base, 'd')));
    const file = disk.open('shared', { mode: 'create' });
    const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(65);
    expect(await written(file, shared, 0)).toBeUndefined();
    expect((await readBack(file, 8, 0))[0]).toBe('AAAAAAAA');
    file.close();
  });

  test('free space is what the file system says', () => {
    const disk = createNodeDisk(base);
    const { bavail, bsize } = fs.statfsSync(base);
    expect(Math.abs(disk.freeBytes() - bavail * bsize)).toBeLessThan(1 << 30);
  });

  test('an error of the system carries its errno name', () => {
    fs.writeFileSync(join(base, 'file'), '');
    expect(() => createNodeDisk(join(base, 'file', 'below'))).toThrow(/ENOTDIR|EEXIST/);
  });
});

describe('the lock of a process that is gone', () => {
  const take = (path: string, then: string): string =>
    `import('${new URL('../../../dist/env/node/lock.js', import.meta.url).href}').then((m) => {
       const lock = m.takeLock(${JSON.stringify(path)}, 'x'); ${then} })`;

  test('is not held, though the file is still there', () => {
    const path = join(base, 'killed.lock');
    spawnSync(process.execPath, ['-e', take(path, "process.kill(process.pid, 'SIGKILL')")]);
    expect(fs.existsSync(path)).toBe(true);
    expect(lockHolder(path)).toBeUndefined();
    expect(createNodeDisk(base).lock('killed.lock', 'me')).toBeDefined();
    expect(lockHolder(path)?.text).toBe('me');
  });

  test('is taken over in its place when the disk has no room for another file, by one alone', () => {
    const path = join(base, 'full.lock');
    const dead = { pid: 2 ** 22 + 1, started: '1', takenAtMs: 0, text: 'dead, and longer than us' };
    fs.writeFileSync(path, JSON.stringify(dead).padEnd(400));
    const noRoom = Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    const real = fs.writeFileSync;
    const spy = vi.spyOn(fs, 'writeFileSync').mockImplementation((at, data, options) => {
      // Only what has its blocks already can be written.
      if (typeof at === 'string' && !fs.existsSync(at)) throw noRoom;
      real(at, data, options);
    });
    try {
      const disk = createNodeDisk(base);
      expect(() => disk.lock('none.lock', 'me')).toThrow('no space left');
      const lock = disk.lock('full.lock', 'me');
      expect(lockHolder(path)?.text).toBe('me');
      expect(disk.lock('full.lock', 'another')).toBeUndefined();
      expect(lockHolder(path)?.text).toBe('me');
      lock?.release();
      expect(fs.existsSync(path)).toBe(false);
      const left = fs.readdirSync(base).filter((name) => name.includes('.lock.'));
      expect(left).toEqual([]);
    } finally {
      spy.mockRestore();
    }
  });

  test.runIf(process.platform === 'linux')(
    'is not held by another process that got its number',
    () => {
      const raw = { pid: 1, started: `${processStart(1)}0`, takenAtMs: Date.now(), text: 'old' };
      fs.writeFileSync(join(base, 'reused.lock'), JSON.stringify(raw));
      expect(isProcessAlive(1)).toBe(true);
      expect(createNodeDisk(base).lock('reused.lock', 'me')).toBeDefined();
    },
  );

  test('a live holder in another process keeps it, and a garbled file is nobody', () => {
    const holder = { pid: process.ppid, started: processStart(process.ppid), takenAtMs: 0 };
    fs.writeFileSync(join(base, 'live.lock'), JSON.stringify({ ...holder, text: 'parent' }));
    expect(createNodeDisk(base).lock('live.lock', 'me')).toBeUndefined();
    createNodeDisk(base).releaseOwnLock('live.lock');
    expect(createNodeDisk(base).lock('live.lock', 'me')).toBeUndefined();
    fs.writeFileSync(join(base, 'garbled.lock'), '{"pid":');
    expect(createNodeDisk(base).lock('garbled.lock', 'me')).toBeDefined();
  });
});
