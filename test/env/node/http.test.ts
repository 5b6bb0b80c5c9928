// The admin listener's HTTP below the routes: who may ask, and the shape of its own refusals.
import { get } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Listener, Log } from '../../../src/env/environment.ts';
import { createHttpServer } from '../../../src/env/node/http.ts';

/** A log that keeps its errors. */
function silentLog(onError: Log['error']): Log {
  const ignore = () => undefined;
  const log: Log = { debug: ignore, info: ignore, warn: ignore, error: onError, child: () => log };
  return log;
}

/** The status of a request with this Host header, and the code of its error. */
async function askAs(host: string): Promise<[number | undefined, string | undefined]> {
  return new Promise((resolve, reject) => {
    get(`${base}/x`, { headers: { host } }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += String(part);
      });
      response.on('end', () => {
        const code = /"code":"(\w+)"/.exec(text)?.[1];
        resolve([response.statusCode, code]);
      });
    }).on('error', reject);
  });
}

let listener: Listener;
let base: string;
let asked: string[];
let logged: Readonly<Record<string, unknown>>[];

let ended: string[];

/** Three pieces, or one and a failure, or no end. */
async function* pieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    for (let n = 1; n <= 3 || path === '/pieces/endless'; n += 1) {
      if (path === '/pieces/broken' && n === 2) throw new Error('broken');
      yield new TextEncoder().encode(`piece ${n};`.padEnd(70_000));
    }
  } finally {
    ended.push(path);
  }
}

beforeEach(async () => {
  asked = [];
  ended = [];
  logged = [];
  const log = silentLog((message, fields) => logged.push({ message, ...fields }));
  const server = createHttpServer({ log, names: ['Broker-1.example', '127.0.0.1'] });
  listener = await server.serve({ host: '127.0.0.1', port: 0 }, async ({ path }) => {
    asked.push(path);
    if (path === '/broken') throw new Error('broken');
    if (path.startsWith('/pieces')) {
      return { status: 200, contentType: 'text/plain', body: pieces(path) };
    }
    return { status: 200, contentType: 'text/plain', body: 'yes' };
  });
  base = `http://127.0.0.1:${listener.address.port}`;
});

afterEach(() => listener.close());

test('a page of another origin is refused before anything is done; its own page is not', async () => {
  for (const origin of ['http://evil.example', 'null', 'http://127.0.0.1:1']) {
    const response = await fetch(`${base}/x`, { method: 'POST', headers: { origin }, body: '{}' });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { code: 'HTTP_FOREIGN_ORIGIN' } });
  }
  expect(asked).toEqual([]);
  const own = await fetch(`${base}/x`, { method: 'POST', headers: { origin: base }, body: '{}' });
  expect(own.status).toBe(200);
  expect((await fetch(`${base}/x`)).status).toBe(200);
});

test.each([
  ['/%zz', 400, 'HTTP_BAD_URL'],
  ['/broken', 500, 'HTTP_INTERNAL'],
])('%s answers %i with a stable code', async (path, status, code) => {
  const response = await fetch(`${base}${path}`);
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ error: { code } });
});

test.each([
  'localhost',
  'LOCALHOST.:9192',
  '127.0.0.1:9192',
  '[::1]:9192',
  '[::1]',
  '192.168.1.7',
  'broker-1.example',
  'BROKER-1.example.:80',
])('Host %s is this node', async (host) => {
  expect(await askAs(host)).toEqual([200, undefined]);
});

test.each([
  'evil.example',
  'evil.example:9192',
  'localhost.evil.example',
  'broker-1.example.evil.example',
  '127.0.0.1.evil.example',
  '[evil.example]:9192',
  '127.0.0.1:80:80',
  '2130706433',
])('Host %s is not: 421, and nothing is done', async (host) => {
  expect(await askAs(host)).toEqual([421, 'HTTP_UNKNOWN_HOST']);
  expect(asked).toEqual([]);
});

test('a request that fails inside is logged once, without its query; others are not', async () => {
  await fetch(`${base}/broken?secret=1`);
  await fetch(`${base}/%zz`);
  await fetch(`${base}/x`);
  expect(logged).toEqual([
    {
      message: 'an HTTP request failed',
      method: 'GET',
      path: '/broken',
      error: expect.objectContaining({ message: 'broken' }),
    },
  ]);
});

test('a body in pieces arrives whole, or breaks where it broke, and ends when its reader goes away', async () => {
  const whole = await (await fetch(`${base}/pieces`)).text();
  expect(whole.length).toBe(3 * 70_000);
  expect(whole.match(/piece \d/g)).toEqual(['piece 1', 'piece 2', 'piece 3']);
  const broken = await fetch(`${base}/pieces/broken`);
  expect(broken.status).toBe(200);
  await expect(broken.text()).rejects.toThrow();
  await new Promise<void>((resolve) => {
    get(`${base}/pieces/endless`, (response) => {
      response.once('data', () => response.destroy());
      response.once('close', resolve);
    });
  });
  while (ended.length < 3) await new Promise((resolve) => setImmediate(resolve));
  expect(ended).toEqual(['/pieces', '/pieces/broken', '/pieces/endless']);
});
