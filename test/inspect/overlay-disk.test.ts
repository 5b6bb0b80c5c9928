// What is written through an overlay is seen through it, and the folder below stays as it is.
import { describe, expect, test } from 'vitest';
import type { Disk } from '../../src/env/environment.ts';
import { createMemoryDisk } from '../../src/env/node/memory-disk.ts';
import { OverlayDisk } from '../../src/inspect/overlay-disk.ts';
import { decodeUtf8, encodeUtf8 } from '../../src/std/utf8.ts';

function world(): { readonly base: Disk; readonly disk: OverlayDisk; below(): string } {
  const base = createMemoryDisk();
  base.makeDirectory('a/b');
  for (const [path, text] of [
    ['top', 'one'],
    ['a/x', 'two'],
    ['a/b/y', 'three'],
  ] as const) {
    base.replaceFile(path, encodeUtf8(text));
  }
  const below = () => ['top', 'a/x', 'a/b/y'].map((path) => textOf(base, path)).join();
  return { base, disk: new OverlayDisk(base, createMemoryDisk()), below };
}

function textOf(disk: Disk, path: string): string | undefined {
  const bytes = disk.readFile(path);
  return bytes && decodeUtf8(bytes);
}

function namesOf(disk: Disk, path: string): string[] {
  return disk.list(path).map(({ name }) => name);
}

describe('an overlay', () => {
  test('shows the folder below as it is', () => {
    const { disk } = world();
    expect(namesOf(disk, '')).toEqual(['a', 'top']);
    expect(namesOf(disk, 'a')).toEqual(['b', 'x']);
    expect(textOf(disk, 'a/b/y')).toBe('three');
    expect(disk.fileSize('a/x')).toBe(3);
    expect(() => disk.list('nowhere')).toThrow(/ENOENT/);
    expect(() => disk.open('nowhere', { mode: 'read' })).toThrow(/ENOENT/);
  });

  test('a write copies the file, for all who have it open, and changes nothing below', () => {
    const { disk, below } = world();
    const before = disk.open('a/x', { mode: 'read' });
    const writer = disk.open('a/x', { mode: 'write' });
    writer.writeSync(encodeUtf8('T'), 0);
    writer.writeSync(encodeUtf8('!'), 3);
    const seen = new Uint8Array(9);
    expect(before.readSync(seen, 0)).toBe(4);
    expect(decodeUtf8(seen.subarray(0, 4))).toBe('Two!');
    writer.truncate(1);
    expect(disk.fileSize('a/x')).toBe(1);
    expect(before.size()).toBe(1);
    expect(below()).toBe('one,two,three');
  });

  test('new, renamed and removed files and folders', async () => {
    const { disk, below } = world();
    disk.makeDirectory('c');
    disk.open('c/new', { mode: 'create' }).writeSync(encodeUtf8('n'), 0);
    disk.rename('a/x', 'c/moved');
    disk.remove('top');
    expect(namesOf(disk, '')).toEqual(['a', 'c']);
    expect(namesOf(disk, 'c')).toEqual(['moved', 'new']);
    expect(textOf(disk, 'c/moved')).toBe('two');
    expect(disk.exists('a/x')).toBe(false);
    expect(textOf(disk, 'top')).toBeUndefined();
    expect(() => disk.open('top', { mode: 'read' })).toThrow(/ENOENT/);
    await disk.removeTree('a');
    expect(disk.exists('a/b/y')).toBe(false);
    expect(namesOf(disk, '')).toEqual(['c']);
    disk.replaceFile('top', encodeUtf8('again'));
    expect(textOf(disk, 'top')).toBe('again');
    expect(below()).toBe('one,two,three');
  });
});
