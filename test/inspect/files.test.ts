// What `callboard inspect FILE` says of every kind of file of a data folder: a transcript of the golden run of
// storage, and of files that are damaged, of another version, or left over.
import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type FileLine, fileLines } from '../../src/inspect/files.ts';
import { encodeUtf8, readU32le, writeU32, writeU32le } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import type { FaultDisk } from '../storage/support/fault-disk.ts';
import { FILES, folderOfRun } from '../storage/support/format-run.ts';

let disk: FaultDisk;
beforeAll(async () => {
  ({ disk } = await folderOfRun());
  const members = new URL('../assembly/golden/node.json', import.meta.url);
  disk.replaceFile('node.json', Uint8Array.from(readFileSync(members)));
  disk.replaceFile('LOCK', encodeUtf8('{"pid":7,"started":"b/1","takenAtMs":5,"text":"node 3"}\n'));
});

function linesOf(path: string): FileLine[] {
  return [...fileLines(disk, path, crc32c)];
}

/** The lines of a file that has another name, and changed bytes. */
function linesOfChanged(
  path: string,
  change: (bytes: Uint8Array) => void,
  name = path.slice(path.lastIndexOf('/') + 1),
): FileLine[] {
  const bytes = disk.contents(path).slice();
  change(bytes);
  disk.makeDirectory('changed');
  disk.replaceFile(`changed/${name}`, bytes);
  return linesOf(`changed/${name}`);
}

function withHeaderSum(bytes: Uint8Array, at = 0): void {
  writeU32le(bytes, at + 60, crc32c(bytes, at, at + 60));
}

describe('every kind of file', () => {
  it('is shown with all that is in it', () => {
    const paths = [...Object.values(FILES), 'shard-0/wal/00000002.wal', 'node.json', 'LOCK'];
    const shown = paths.map((path) => {
      const lines = linesOf(path).map((line) => JSON.stringify(line));
      return [path, ...lines, ''].join('\n');
    });
    const path = new URL('./golden/files.txt', import.meta.url);
    if (process.env['UPDATE'] === '1') writeFileSync(path, shown.join('\n'));
    expect(shown.join('\n')).toBe(readFileSync(path, 'utf8'));
    expect(shown.join('\n')).not.toMatch(/"damage"|unknown|"sound":false/);
  });

  it('that is left over is told as such', () => {
    const change = (): void => undefined;
    for (const name of ['0000000000000000-1-1-0000000000000008.seg.clean', 'store.super.tmp']) {
      const lines = linesOfChanged(FILES.segment, change, name);
      expect(lines.map(({ what }) => what)).toEqual(['file', 'left-over']);
    }
    const aside = linesOfChanged(FILES.wal, change, '00000001.wal.damaged');
    expect(aside.slice(1)).toEqual(linesOf(FILES.wal).slice(1));
    expect(linesOfChanged(FILES.wal, change, 'notes')[1]).toMatchObject({ what: 'unknown' });
  });
});

describe('damage', () => {
  it.each([
    ['superblock', 30],
    ['checkpointA', 60],
    ['segment', 9],
    ['index', 9],
    ['state', 30],
    ['wal', 9],
  ] as const)('of a %s is a line', (kind, at) => {
    const lines = linesOfChanged(FILES[kind], (bytes) => {
      bytes[at]! ^= 1;
    });
    expect(lines.map(({ what }) => what)).toEqual(['file', 'damage']);
  });

  it('of a batch is told of that batch', () => {
    const lines = linesOfChanged(FILES.segment, (bytes) => {
      bytes[200]! ^= 1;
    });
    const batches = lines.filter(({ what }) => what === 'batch');
    expect(batches.map(({ sound }) => sound)).toEqual([false, true, true, true]);
  });

  it('of a name is told, where the name is that of a segment', () => {
    const change = (): void => undefined;
    const renamed = linesOfChanged(FILES.segment, change, '0000000000000008-2.seg');
    expect(renamed).toContainEqual(expect.objectContaining({ what: 'damage' }));
    const copied = linesOfChanged(FILES.segment, change, 'copy.seg');
    expect(copied.slice(1)).toEqual(linesOf(FILES.segment).slice(1));
  });

  it('of a text is a line', () => {
    expect(linesOf(FILES.scrub)[1]).toEqual({ what: 'scrub', endMs: 1000, isDamageKnown: false });
    for (const name of ['node.json', 'LOCK', FILES.scrub]) {
      const lines = linesOfChanged(name, (bytes) => bytes.fill(0x5b, 0, 1));
      expect(lines.map(({ what }) => what)).toEqual(['file', 'damage']);
    }
  });
});

describe('a record index', () => {
  it.each([
    ['header', 10, 'the header fails'],
    ['entries', 68 + 3, 'a block of entries fails'],
    ['directory', 68 + 4 * 16 + 2, 'the directory fails'],
  ])('that rots in its %s says so', (_, at, because) => {
    const lines = linesOfChanged(FILES.recordIndex, (bytes) => {
      bytes[at]! ^= 1;
    });
    const damage = lines.filter(({ what }) => what === 'damage');
    expect(damage).toEqual([
      expect.objectContaining({ because: expect.stringContaining(because) }),
    ]);
  });
});

describe('another version', () => {
  const newer = { what: 'unknown-version', because: expect.stringContaining('newer version') };

  it('of a file is a line, and no damage', () => {
    const changes: Partial<Record<keyof typeof FILES, (bytes: Uint8Array) => void>> = {
      superblock: (bytes) => {
        bytes[9] = 2;
        writeU32(bytes, 4, crc32c(bytes, 8, bytes.length));
      },
      checkpointB: (bytes) => {
        writeU32(bytes, 4, 2);
        writeU32(bytes, 44, crc32c(bytes, 0, 44));
      },
      wal: (bytes) => {
        writeU32le(bytes, 4, 2);
        withHeaderSum(bytes);
      },
      segment: (bytes) => {
        writeU32le(bytes, 4, 2);
        withHeaderSum(bytes);
      },
      state: (bytes) => {
        bytes[16] = 2;
        writeU32(bytes, 4, crc32c(bytes, 8, bytes.length));
      },
    };
    for (const [kind, change] of Object.entries(changes)) {
      const lines = linesOfChanged(FILES[kind as keyof typeof FILES], change);
      expect([kind, lines.slice(1)]).toEqual([kind, [newer]]);
    }
    const node = linesOfChanged('node.json', (bytes) => {
      bytes['{"format":'.length] = 0x32;
    });
    expect(node.slice(1)).toEqual([newer]);
  });

  it('or another feature than is known', () => {
    const lines = linesOfChanged(FILES.superblock, (bytes) => {
      writeU32(bytes, 12, 4);
      writeU32(bytes, 20, 7);
      writeU32(bytes, 4, crc32c(bytes, 8, bytes.length));
    });
    expect(lines[1]).toMatchObject({
      what: 'superblock',
      features: [
        'rewritten-segments',
        'needless-records-gone',
        'incompatible:0x4',
        'compatible:0x4',
      ],
    });
    expect(lines.slice(2)).toEqual([newer]);
  });

  it('of a group, of a frame, and a kind of frame, behind what is sound', () => {
    const at = 4096;
    const group = linesOfChanged(FILES.wal, (bytes) => {
      const second = at + 64 + readU32le(bytes, at + 44);
      bytes[second + 4] = 2;
      withHeaderSum(bytes, second);
    });
    expect(group.map(({ what }) => what)).toEqual([
      'file',
      'wal-file',
      'group',
      'data',
      'unknown-version',
    ]);
    expect(group.at(-1)).toEqual(newer);
    const frame = linesOfChanged(FILES.wal, (bytes) => {
      bytes[at + 64 + 4] = 2;
      withHeaderSum(bytes, at + 64);
    });
    expect(frame.slice(3)).toEqual([newer]);
    const kind = linesOfChanged(FILES.wal, (bytes) => {
      bytes[at + 64 + 5] = 9;
      withHeaderSum(bytes, at + 64);
    });
    expect(kind[3]).toEqual({
      what: 'unknown-version',
      lsn: 64,
      because: 'frames of type 9 are not known here',
    });
  });
});
