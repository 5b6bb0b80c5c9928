// Policies as RabbitMQ's management API has them, over changes that a test makes fail.
import { expect, test } from 'vitest';
import type { AdminPorts } from '../../src/admin/ports.ts';
import { adminHandler } from '../../src/admin/routes.ts';
import { AccessImage } from '../../src/cluster/metadata/access-image.ts';
import type { MetadataResult, PolicyRecord } from '../../src/cluster/ports.ts';

const KNOWN: PolicyRecord = {
  vhost: '/',
  name: 'a/b',
  pattern: 'p',
  applyTo: 'streams',
  priority: -1,
  definition: [['x-durability', '"memory"']],
};

function node(result: MetadataResult = { kind: 'ok', version: 1 }) {
  const asked: unknown[] = [];
  const note = (words: readonly unknown[]) => {
    asked.push(words);
    return Promise.resolve(result);
  };
  const changes = {
    putPolicy: (...words: unknown[]) => note(words),
    deletePolicy: (...words: unknown[]) => note(words),
  };
  const ports = {
    view: { policies: () => [KNOWN], access: new AccessImage() },
    changes,
  } as unknown as AdminPorts;
  const handle = adminHandler(ports);
  return async (method: string, parts: readonly string[], body = '', query = {}) => {
    const answer = await handle({
      method,
      path: `/${parts.join('/')}`,
      parts,
      query: new Map(Object.entries(query)),
      body: new TextEncoder().encode(body),
      remote: '127.0.0.1',
    });
    return { ...answer, asked };
  };
}

const AT = ['api', 'policies', '/'];
const good = (over = {}) =>
  JSON.stringify({
    pattern: '^q',
    definition: { 'ha-mode': 'all', 'x-durability': 'sync' },
    ...over,
  });

test('a name with a slash is one name, and a policy is shown as RabbitMQ shows it, with notes', async () => {
  const { status, body } = await node()('GET', [...AT, 'a/b']);
  expect([status, JSON.parse(body as string)]).toEqual([
    200,
    {
      vhost: '/',
      name: 'a/b',
      pattern: 'p',
      'apply-to': 'streams',
      priority: -1,
      definition: { 'x-durability': 'memory' },
      notes: [expect.stringContaining('from now on')],
    },
  ]);
});

test('what is set is passed on, keys and values as JSON', async () => {
  const fields = { 'apply-to': 'queues', priority: 4, vhost: '/', name: 'new' };
  const { status, asked } = await node()('PUT', [...AT, 'new'], good(fields));
  expect(status).toBe(201);
  const definition = [
    ['ha-mode', '"all"'],
    ['x-durability', '"sync"'],
  ];
  const policy = { vhost: '/', name: 'new', pattern: '^q', applyTo: 'queues', priority: 4 };
  expect(asked).toEqual([[{ ...policy, definition }, 8_000]]);
  expect((await node()('PUT', [...AT, 'a/b'], good())).status).toBe(204);
});

test.each<
  [string, Parameters<ReturnType<typeof node>>, MetadataResult | undefined, number, string]
>([
  ['an unknown field', ['PUT', [...AT, 'p'], good({ applyTo: 'all' })], undefined, 400, 'applyTo'],
  ['another vhost', ['PUT', [...AT, 'p'], good({ vhost: 'x' })], undefined, 400, 'vhost'],
  ['another name', ['PUT', [...AT, 'p'], good({ name: 'x' })], undefined, 400, 'name'],
  ['exchanges', ['PUT', [...AT, 'p'], good({ 'apply-to': 'exchanges' })], undefined, 400, 'exch'],
  ['a far priority', ['PUT', [...AT, 'p'], good({ priority: 2 ** 60 })], undefined, 400, 'prio'],
  ['half a priority', ['PUT', [...AT, 'p'], good({ priority: 0.5 })], undefined, 400, 'prio'],
  ['no JSON', ['PUT', [...AT, 'p'], 'x'], undefined, 400, 'no JSON'],
  ['too much', ['PUT', [...AT, 'p'], ' '.repeat(16_385)], undefined, 400, '16384 bytes'],
  ['a parameter', ['GET', AT, '', { page: '1' }], undefined, 400, 'parameters'],
  ['an unknown vhost', ['GET', ['api', 'policies', 'x']], undefined, 404, 'Not Found'],
  ['a list that is set', ['PUT', AT], undefined, 405, 'GET, HEAD are served'],
  [
    'no leader',
    ['DELETE', [...AT, 'p']],
    { kind: 'unavailable', message: 'no quorum' },
    503,
    'no quorum',
  ],
  [
    'a bad one',
    ['PUT', [...AT, 'p'], good()],
    { kind: 'refused', code: 'invalid-policy', message: 'why' },
    400,
    'why',
  ],
  [
    'none',
    ['DELETE', [...AT, 'p']],
    { kind: 'refused', code: 'unknown-policy', message: 'p' },
    404,
    'Not Found',
  ],
])('%s is refused in the words of RabbitMQ', async (_what, words, result, status, reason) => {
  const { body, ...answer } = await node(result)(...words);
  const parsed = JSON.parse(body as string) as Record<string, string>;
  expect(answer.status).toBe(status);
  expect(Object.keys(parsed)).toEqual(['error', 'reason']);
  expect(parsed['reason']).toContain(reason);
});
