// The lock file's text: what a newer or older build, and `callboard inspect`, must be able to read.
import fs from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lockHolder, processStart, takeLock } from '../../../src/env/node/lock.ts';

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'callboard-lock-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** What differs from process to process, by name. */
function named(text: string, takenAtMs: number): string {
  return text
    .replace(`"pid":${process.pid},`, '"pid":PID,')
    .replace(`"started":"${processStart(process.pid)}"`, '"started":"BOOT/TICK"')
    .replace(`"takenAtMs":${takenAtMs},`, '"takenAtMs":TIME,')
    .replace(`"host":"${hostname()}"`, '"host":"HOST"');
}

test('a lock file is the one in the golden file, and says who holds it', () => {
  const path = join(folder, 'LOCK');
  const lock = takeLock(path, 'node 3')!;
  const text = fs.readFileSync(path, 'utf8');
  const { takenAtMs } = lockHolder(path)!;
  const golden = new URL('./golden/LOCK.txt', import.meta.url);
  if (process.env['UPDATE'] === '1') fs.writeFileSync(golden, named(text, takenAtMs));
  expect(named(text, takenAtMs)).toBe(fs.readFileSync(golden, 'utf8'));
  lock.release();
  expect(fs.existsSync(path)).toBe(false);
});

test('members that are not known are no harm, a text that cannot be read holds nothing', () => {
  const path = join(folder, 'LOCK');
  const lock = takeLock(path, 'node 3')!;
  const held = JSON.parse(fs.readFileSync(path, 'utf8')) as object;
  fs.writeFileSync(path, JSON.stringify({ ...held, lease: 7 }));
  expect(lockHolder(path)).toMatchObject({ pid: process.pid, text: 'node 3' });
  expect(takeLock(path, 'another')).toBeUndefined();
  lock.release();
  fs.writeFileSync(path, '{"pid":');
  expect(lockHolder(path)).toBeUndefined();
  const second = takeLock(path, 'another')!;
  expect(lockHolder(path)?.text).toBe('another');
  second.release();
});
