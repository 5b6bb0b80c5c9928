// Control calls below the actors: what a service answers, what cannot cross, and who never answers.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from '../../../src/env/environment.ts';
import type { NodeEnvironment } from '../../../src/env/node/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import type { ThreadHandle } from '../../../src/env/threads.ts';

const entry = new URL('./workers/controlled.mjs', import.meta.url);
const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const SOON = { timeoutMs: 10_000 };

let env: NodeEnvironment;
let handle: ThreadHandle;

beforeEach(async () => {
  env = createNodeEnvironment({ log: quiet });
  handle = env.threads.start(entry, 1, undefined);
  await handle.ready;
});

afterEach(async () => {
  await new Promise<void>((resolve) => {
    handle.onExit(() => resolve());
    handle.stop();
  });
});

const call = (name: string, argument?: unknown) => handle.control.call(name, argument, SOON);

test('answers and promises of answers cross, with what can be cloned in them', async () => {
  const value = {
    text: 'a',
    list: [1, undefined],
    bytes: new Uint8Array([1, 2]),
    map: new Map([[1, 2]]),
  };
  expect(await call('echo', value)).toEqual(value);
  expect(await call('later', 7)).toBe(7);
  expect(await call('echo')).toBeUndefined();
  // The thread itself needs no channel for it.
  expect(await call('own')).toBe(4);
});

test.each([
  ['throws', 'THREAD_CONTROL_FAILED', 'thrown on purpose'],
  ['rejects', 'THREAD_CONTROL_FAILED', 'rejected on purpose'],
  ['rejectsText', 'THREAD_CONTROL_FAILED', 'a text'],
  ['notClonable', 'THREAD_CONTROL_FAILED', 'Unserializable'],
  ['missing', 'THREAD_CONTROL_UNKNOWN', 'nothing answers missing'],
  ['toString', 'THREAD_CONTROL_UNKNOWN', 'nothing answers toString'],
])('%s is refused with %s', async (name, code, message) => {
  await expect(call(name)).rejects.toMatchObject({
    name: 'ThreadControlError',
    code,
    message: expect.stringContaining(message),
  });
});

test('an argument that cannot be cloned never leaves, and does no harm', async () => {
  await expect(call('echo', ignore)).rejects.toMatchObject({ code: 'THREAD_CONTROL_FAILED' });
  expect(await call('echo', 1)).toBe(1);
});

test('a call that is never answered ends with its timeout, and others go on meanwhile', async () => {
  const never = handle.control.call('never', undefined, { timeoutMs: 200 });
  const isOver = never.then(ignore, ignore).then(() => true);
  let answered = 0;
  while (!(await Promise.race([isOver, call('echo', false)]))) answered += 1;
  expect(answered).toBeGreaterThan(0);
  await expect(never).rejects.toMatchObject({ code: 'THREAD_CONTROL_TIMEOUT' });
});

test('a call before the thread is up waits for it; one that nobody awaits harms nobody', async () => {
  const second = env.threads.start(entry, 2, undefined);
  expect(await second.control.call('echo', 2, SOON)).toBe(2);
  second.control.call('never', undefined, { timeoutMs: 600_000 }).catch(ignore);
  await new Promise<void>((resolve) => {
    second.onExit(() => resolve());
    second.stop();
  });
  await expect(second.control.facts(SOON)).rejects.toMatchObject({
    code: 'THREAD_CONTROL_LOST',
    message: 'thread 2 has ended: stopped',
  });
});

test('this thread serves itself', async () => {
  env.threads.serveControl({ twice: (n) => 2 * (n as number) });
  expect(await env.threads.control.call('twice', 4, SOON)).toBe(8);
  await expect(env.threads.control.call('never', undefined, SOON)).rejects.toMatchObject({
    code: 'THREAD_CONTROL_UNKNOWN',
  });
  expect(env.threads.counters.controlCalls).toBe(0);
});
