// Lines of strace as data.
import { expect, test } from 'vitest';
import { parseCall } from '../../tools/conformance-disk/trace.mjs';

test('a write to a file: its path, what it begins with, what it answered', () => {
  const line = 'pwrite64(23</data/wal/00000001.wal>, "CBWF\\1\\1\\0\\0"..., 4096, 24576) = 4096';
  expect(parseCall(line)).toEqual({
    name: 'pwrite64',
    args: '23</data/wal/00000001.wal>, "CBWF\\1\\1\\0\\0"..., 4096, 24576',
    result: 4096,
    fd: 23,
    path: '/data/wal/00000001.wal',
  });
});

test('a socket has no path, a failed call its number, a call without an end no answer', () => {
  expect(parseCall('read(36<socket:[583997]>, "GET /api"..., 65536) = 182')?.path).toBeUndefined();
  const failed = 'sendfile(36<socket:[5]>, 40</data/1.seg>, [0], 524288) = -1 EAGAIN (Not yet)';
  expect(parseCall(failed)?.result).toBe(-1);
  expect(parseCall('fsync(3</data/a>)      = ?')?.result).toBeUndefined();
});

test('what is no call is none', () => {
  expect(parseCall('+++ exited with 0 +++')).toBeUndefined();
});
