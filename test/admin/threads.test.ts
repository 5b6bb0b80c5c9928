// The control of threads as HTTP has it, over a control that a test has made.
import { expect, test } from 'vitest';
import type { MemberControl } from '../../src/actors/threads/control.ts';
import type { AdminPorts } from '../../src/admin/ports.ts';
import { adminHandler } from '../../src/admin/routes.ts';
import type { HttpResponse } from '../../src/env/http.ts';

type Asked = { method?: string; path: string; query?: Record<string, string>; body?: string };

function failing(code: string): Error {
  return Object.assign(new Error(`failed with ${code}`), { code });
}

/** Node 2 with threads 0 and 1. */
function node(control: Partial<MemberControl> = {}) {
  const ports = {
    view: { nodeId: 2 },
    control: (thread: number) => (thread <= 1 ? (control as MemberControl) : undefined),
  } as unknown as AdminPorts;
  const handle = adminHandler(ports);
  return ({ method = 'POST', path, query = {}, body = '' }: Asked): Promise<HttpResponse> =>
    handle({
      method,
      path,
      parts: path.slice(1).split('/'),
      query: new Map(Object.entries(query)),
      body: new TextEncoder().encode(body),
      remote: '127.0.0.1',
    });
}

function problemOf({ status, body }: HttpResponse) {
  return [status, JSON.parse(body as string).error.code];
}

test('a profile is taken for as long as was asked, and is what the thread says', async () => {
  const asked: unknown[] = [];
  const cpuProfile = async (...words: unknown[]) => {
    asked.push(words);
    return '{"nodes":[]}';
  };
  const ask = node({ cpuProfile });
  const answer = await ask({ path: '/api/threads/1/profile', query: { seconds: '7', node: '2' } });
  expect(answer).toEqual({ status: 200, contentType: 'application/json', body: '{"nodes":[]}' });
  await ask({ path: '/api/threads/0/profile' });
  const within = { timeoutMs: 5_000 };
  expect(asked).toEqual([
    [7_000, within],
    [5_000, within],
  ]);
});

test.each<[Asked, number, string]>([
  [{ method: 'GET', path: '/api/threads/1/profile' }, 405, 'METHOD_NOT_ALLOWED'],
  [{ method: 'GET', path: '/api/threads/1/heap-snapshot' }, 405, 'METHOD_NOT_ALLOWED'],
  [{ method: 'GET', path: '/api/threads/1/settings' }, 405, 'METHOD_NOT_ALLOWED'],
  [{ method: 'POST', path: '/api/threads/1' }, 405, 'METHOD_NOT_ALLOWED'],
  [{ path: '/api/threads/2/profile' }, 404, 'THREAD_UNKNOWN'],
  [{ path: '/api/threads/999/profile' }, 405, 'METHOD_NOT_ALLOWED'],
  [{ method: 'GET', path: '/api/threads/1/secrets' }, 404, 'PATH_UNKNOWN'],
  [{ path: '/api/threads/1/profile', query: { node: '1' } }, 404, 'NODE_NOT_HERE'],
  [{ path: '/api/threads/1/profile', query: { seconds: '0' } }, 400, 'REQUEST_INVALID'],
  [{ path: '/api/threads/1/profile', query: { seconds: '301' } }, 400, 'REQUEST_INVALID'],
  [{ path: '/api/threads/1/profile', query: { speed: '1' } }, 400, 'REQUEST_INVALID'],
  [{ path: '/api/threads/1/settings', body: 'x' }, 400, 'REQUEST_INVALID'],
  [{ path: '/api/threads/1/settings', body: '[]' }, 400, 'REQUEST_INVALID'],
])('%j is refused', async (asked, status, code) => {
  expect(problemOf(await node()(asked))).toEqual([status, code]);
});

test.each([
  ['THREAD_CONTROL_BUSY', 409],
  ['THREAD_CONTROL_FAILED', 409],
  ['THREAD_CONTROL_LOST', 503],
  ['THREAD_CONTROL_TIMEOUT', 504],
  ['ACTOR_MISUSE', 400],
])(
  '%s of the thread is status %i, also before the first piece of a snapshot',
  async (code, status) => {
    const fail = async (): Promise<never> => {
      throw failing(code);
    };
    const ask = node({
      cpuProfile: fail,
      configure: fail,
      facts: fail,
      counters: fail,
      // biome-ignore lint/correctness/useYield: it fails before its first piece.
      async *heapSnapshot() {
        throw failing(code);
      },
    });
    for (const path of ['profile', 'heap-snapshot']) {
      expect(problemOf(await ask({ path: `/api/threads/1/${path}` }))).toEqual([status, code]);
    }
    const settings = { path: '/api/threads/1/settings', body: '{}' };
    expect(problemOf(await ask(settings))).toEqual([status, code]);
    expect(problemOf(await ask({ method: 'GET', path: '/api/threads/1' }))).toEqual([status, code]);
  },
);

test('a bug is no answer: it is for the log of the node', async () => {
  const ask = node({ cpuProfile: () => Promise.reject(new Error('a bug')) });
  await expect(ask({ path: '/api/threads/1/profile' })).rejects.toThrow('a bug');
});

test('a snapshot is sent in its pieces, and ended when nobody reads on', async () => {
  let isEnded = false;
  const ask = node({
    async *heapSnapshot() {
      try {
        for (let n = 0; n < 3; n += 1) yield new Uint8Array([n]);
      } finally {
        isEnded = true;
      }
    },
  });
  const read = async (max: number) => {
    const { body } = await ask({ path: '/api/threads/1/heap-snapshot' });
    const got: number[] = [];
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      got.push(piece[0]!);
      if (got.length === max) break;
    }
    return got;
  };
  expect(await read(9)).toEqual([0, 1, 2]);
  for (const max of [1, 2]) {
    isEnded = false;
    expect((await read(max)).length).toBe(max);
    expect(isEnded).toBe(true);
  }
});
