// A worker is not ended while it loads native code, which would abort the process.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import { createNativeGate, loadGuarded, mayEnd } from '../../../src/env/node/native-gate.ts';
import type { ThreadExit } from '../../../src/env/threads.ts';

const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a worker that is stopped while it loads ends when it has loaded', async () => {
  const env = createNodeEnvironment({ log: quiet });
  const words = new Int32Array(new SharedArrayBuffer(20));
  words[4] = 20_000;
  const entry = new URL('./workers/loading.mjs', import.meta.url);
  const handle = env.threads.start(entry, 1, words);
  const ended = new Promise<ThreadExit>((resolve) => handle.onExit(resolve));
  while (Atomics.load(words, 0) === 0) await turn();
  handle.stop('stopped', 'enough');
  for (let turns = 0; turns < 100; turns += 1) await turn();
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  expect(await ended).toEqual({ cause: 'stopped', message: 'enough' });
  expect(Atomics.load(words, 2)).toBe(1);
});

test('a process that ends while a worker loads ends when it has loaded, with its own code', () => {
  const program = fileURLToPath(new URL('./workers/exits-early.mjs', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toBe('loaded: 1');
  expect(status).toBe(7);
});

test('a worker that is being ended loads nothing any more, whoever asks first', () => {
  const gate = createNativeGate();
  expect(mayEnd(gate)).toBe(true);
  expect(mayEnd(gate)).toBe(true);
  expect(Atomics.load(gate, 0)).not.toBe(0);
  // A thread that nobody ends this way has no gate.
  expect(loadGuarded(() => 7)).toBe(7);
});
