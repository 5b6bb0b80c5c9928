// The admin listener's HTTP below the routes: who may ask, and the shape of its own refusals.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Listener } from '../../../src/env/environment.ts';
import { createHttpServer } from '../../../src/env/node/http.ts';

let listener: Listener;
let base: string;
let asked: string[];

beforeEach(async () => {
  asked = [];
  listener = await createHttpServer().serve({ host: '127.0.0.1', port: 0 }, async ({ path }) => {
    asked.push(path);
    if (path === '/broken') throw new Error('broken');
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
