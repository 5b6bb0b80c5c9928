// `callboard actors top --attach` against a process with two worker threads, one of them blocked; and what it does
// when the process is gone.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import type { ApiInspection } from '../../src/admin/api-types.ts';
import { shardsWanted, startDev } from '../../tools/lib/dev-cluster.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const processes: ChildProcess[] = [];
afterEach(() => {
  for (const each of processes.splice(0)) each.kill('SIGKILL');
});

async function startApp(...args: readonly string[]) {
  const app = spawn(process.execPath, ['test/fixtures/inspected-app.mjs', ...args], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  processes.push(app);
  const [url] = (await once(createInterface({ input: app.stdout }), 'line')) as [string];
  return { url, app, say: (order: string) => void app.stdin.write(`${order}\n`) };
}

function start(...words: readonly string[]): ChildProcess & { readonly text: () => string } {
  const child = spawn(process.execPath, ['bin/callboard.cjs', 'actors', 'top', ...words], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  processes.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  return Object.assign(child, { text: () => text });
}

async function top(...words: readonly string[]) {
  const child = start(...words);
  const [code] = (await once(child, 'close')) as [number];
  return { code, text: child.text() };
}

test('a thread that stands still is shown with what it handles, beside those that work', async () => {
  const { url, say } = await startApp();
  say('fail');
  say('lose');
  say('block');
  await vi.waitFor(async () => {
    const { code, text } = await top('--attach', url, '--once', '--every', '200ms');
    expect(code).toBe(0);
    expect(text).toMatch(/^callboard top {2}shop {2}/);
    expect(text).toMatch(/^n1\/2 +SILENT, handling job\.block \(slot 10\)$/m);
    expect(text).toMatch(/^n1\/0 +busy [\d.]+% /m);
    expect(text).toMatch(/^n1\/1 +busy [\d.]+% /m);
    expect(text).toMatch(/^restart +n1\/1 +\d+s +\/job +failed on purpose$/m);
    expect(text).toMatch(/^unknown-op +n1\/0 +1 /m);
  }, 40_000);
  const json = await top('--attach', url, '--once', '--json', '--every', '100ms');
  expect(JSON.parse(json.text)).toMatchObject({
    version: 1,
    name: 'shop',
    threads: [{ state: 'answering' }, { state: 'answering' }, { state: 'silent' }],
  });
});

test('without a terminal it goes on line by line until the process is gone, and says so', async () => {
  const { url, app } = await startApp();
  const running = start('--attach', url, '--every', '100ms', '--shape', 'tree');
  const closed = once(running, 'close');
  await vi.waitFor(() => {
    expect(running.text().split('callboard top').length).toBeGreaterThan(2);
  }, 40_000);
  app.kill('SIGKILL');
  const [code] = (await closed) as [number];
  expect(code).toBe(7);
  expect(running.text()).toContain('[CLI_UNREACHABLE]');
});

test('a door with a token wants it', async () => {
  const token = 'correct-horse-battery';
  const { url } = await startApp(token);
  expect(await top('--attach', url, '--once')).toMatchObject({
    code: 6,
    text: expect.stringContaining('[TOKEN_WRONG]'),
  });
  expect((await top('--attach', url, '--once', '--token', token)).code).toBe(0);
});

test.each([
  [['--attach', 'ftp://x', '--once'], 2],
  [['--attach', 'http://127.0.0.1:9', '--once'], 7],
  [['--attach', 'http://127.0.0.1:9', '--url', 'x'], 2],
  [['--token', 'x'], 2],
  [['--sort', 'size'], 2],
  [['--every', '1ms'], 2],
])('%j ends with %i', async (words, code) => {
  expect(await top(...words)).toMatchObject({ code });
});

test('of a cluster it shows every thread of every node, or of one', async () => {
  const cluster = await startDev({ nodes: 3 });
  try {
    const url = cluster.nodes[0]!.http;
    const { code, text } = await top('--url', url, '--once', '--every', '200ms');
    expect(code).toBe(0);
    const threads = [1, 2, 3].flatMap((node) =>
      Array.from({ length: 1 + shardsWanted() }, (_, thread) => `n${node}/${thread}`),
    );
    expect(text.match(/^n\d\/\d(?= +busy)/gm)).toEqual(threads);
    expect(text).toMatch(/^callboard\.runtime +\d+ /m);
    const json = await top('--url', url, '--once', '--json', '--every', '100ms', '--node', 'n2');
    const { threads: shown } = JSON.parse(json.text) as ApiInspection;
    expect(shown.map(({ node, state }) => [node, state])).toEqual(
      Array(1 + shardsWanted()).fill([2, 'answering']),
    );
    expect(await top('--url', url, '--once', '--node', '9')).toMatchObject({ code: 4 });
  } finally {
    await cluster.stop();
  }
});
