// What figures mean: one measured disk, varied by one fact at a time.
import { describe, expect, test } from 'vitest';
import { type DiskFigures, latenciesOf } from '../../../src/cli/doctor/measure.ts';
import { findMount } from '../../../src/cli/doctor/mount.ts';
import { type DiskFacts, judge } from '../../../src/cli/doctor/verdict.ts';

const syncOf = (p50Us: number) => ({ count: 100, p50Us, p99Us: p50Us * 2, maxUs: p50Us * 3 });

const FACTS: DiskFacts = {
  mount: { type: 'ext4', point: '/data', options: ['rw', 'relatime'] },
  freeBytes: 50 * 2 ** 30,
  totalBytes: 100 * 2 ** 30,
  filesMax: 65_536,
  preload: '',
};
const FIGURES: DiskFigures = {
  fileBytes: 1 << 27,
  sequentialWriteBytesPerS: 1e9,
  sequentialReadBytesPerS: 1e9,
  randomRead: syncOf(80),
  isReadFromDevice: true,
  syncBlock: syncOf(90),
  syncGroup: syncOf(128),
  hasDsync: true,
};

function mounted(type: string, ...options: string[]): DiskFacts {
  return { ...FACTS, mount: { type, point: '/data', options } };
}

function syncing(p50Us: number): DiskFigures {
  return { ...FIGURES, syncBlock: syncOf(p50Us) };
}

function warnings(facts: DiskFacts, figures = FIGURES): string[] {
  return judge(facts, figures).findings.flatMap(({ level, text }) =>
    level === 'ok' ? [] : [`${level}: ${text}`],
  );
}

describe('what a disk carries', () => {
  test('an honest disk carries sync, and no word of warning', () => {
    expect(judge(FACTS, FIGURES)).toMatchObject({ durability: 'sync', messagesPerS: 500_000 });
    expect(warnings(FACTS)).toEqual([]);
  });

  test.each([
    ['tmpfs', 'is memory'],
    ['ramfs', 'is memory'],
    ['overlay', 'layer of a container'],
  ])('%s keeps nothing', (type, because) => {
    expect(judge(mounted(type), syncing(1)).durability).toBe('memory');
    expect(warnings(mounted(type))[0]).toContain(because);
  });

  test('a sync of 4 us is none; one of 20 us needs a protected drive', () => {
    expect(judge(FACTS, syncing(4)).durability).toBe('replicated');
    expect(warnings(FACTS, syncing(4))).toEqual([
      'warn: a sync takes 4 us (p99 8 us): no device is that fast, it is skipped',
    ]);
    expect(judge(FACTS, syncing(20)).durability).toBe('sync');
    expect(warnings(FACTS, syncing(20))[0]).toContain('power-loss protection');
    expect(warnings(FACTS, syncing(30_000))[0]).toContain('confirms will wait');
  });

  test('switched-off barriers and skipped syncs are seen however slow the sync is', () => {
    expect(judge(mounted('ext4', 'nobarrier'), FIGURES).durability).toBe('replicated');
    expect(judge(mounted('xfs', 'barrier=0'), FIGURES).durability).toBe('replicated');
    expect(judge({ ...FACTS, preload: 'libeatmydata.so' }, FIGURES).durability).toBe('replicated');
  });

  test.each(['nfs4', 'cifs', '9p', 'virtiofs', 'fuse.sshfs'])(
    '%s is somebody else’s word',
    (type) => {
      expect(warnings(mounted(type))[0]).toContain('another program or machine');
    },
  );

  test('little room and few files are warnings', () => {
    expect(warnings({ ...FACTS, freeBytes: 2 ** 20 })[0]).toContain('little for a log');
    expect(warnings({ ...FACTS, filesMax: 1024 })[0]).toContain('ulimit -n');
  });
});

describe('mounts', () => {
  const MOUNTINFO = [
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro',
    '40 22 0:30 / /mnt rw shared:2 - tmpfs tmpfs rw,size=64k',
    '41 40 8:2 / /mnt/my\\040disk ro,noatime - xfs /dev/sdb rw,nobarrier',
    '42 22 0:31 / /mnt rw - btrfs /dev/sdc rw',
  ].join('\n');

  test('the longest mount point above a path, the last of equal ones, names unescaped', () => {
    expect(findMount(MOUNTINFO, '/var/lib')?.type).toBe('ext4');
    expect(findMount(MOUNTINFO, '/mnt')?.type).toBe('btrfs');
    expect(findMount(MOUNTINFO, '/mnt2')?.type).toBe('ext4');
    expect(findMount(MOUNTINFO, '/mnt/my disk/a')).toEqual({
      type: 'xfs',
      point: '/mnt/my disk',
      options: ['ro', 'noatime', 'rw', 'nobarrier'],
    });
    expect(findMount('', '/')).toBeUndefined();
  });
});

test('percentiles are of the sorted times', () => {
  const times = Array.from({ length: 100 }, (_, i) => (100 - i) / 1000);
  expect(latenciesOf(times)).toEqual({ count: 100, p50Us: 51, p99Us: 100, maxUs: 100 });
});
