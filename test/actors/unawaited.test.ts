// Rejections that nobody handles, in processes of their own: what the runtime promises may be left alone, what a
// program promises itself is its own affair, and ends its process as Node has it.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('./workers/unawaited.mjs', import.meta.url));

function run(...args: readonly string[]) {
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
}

test('what the runtime promises and nobody awaits ends no process, however it fails', () => {
  const { status, stdout, stderr } = run('--unhandled-rejections=strict', program);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const counts = JSON.parse(stdout);
  expect(counts).toMatchObject({ answered: 0, open: 0 });
  expect(counts.failed).toBe(counts.asked);
  // Each way was taken: by time, by its signal or a full mailbox, and for want of a slot.
  expect(counts.timedOut).toBeGreaterThan(0);
  expect(counts.asked).toBeGreaterThan(counts.timedOut);
  expect(counts.refused).toBeGreaterThan(0);
});

test('a promise that the program made itself ends its process on the main thread', () => {
  const { status, stdout, stderr } = run(program, 'own');
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('ActorError: the system has shut down');
  expect(stderr).toContain('unawaited.mjs');
});
