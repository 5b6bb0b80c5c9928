// Users, vhosts and permissions over HTTP, as RabbitMQ's management API has them, and requests that say who they are from.
import { expect, test } from 'vitest';
import type { AdminPorts } from '../../src/admin/ports.ts';
import { adminHandler } from '../../src/admin/routes.ts';
import {
  applyCommand,
  decodeCommand,
  type MetadataCommand,
  MetadataImage,
} from '../../src/cluster/metadata/index.ts';
import { MetadataChanges } from '../../src/cluster/metadata-shell/changes.ts';
import { isPasswordOf } from '../../src/std/password-hash.ts';

function node() {
  const image = new MetadataImage();
  const done: MetadataCommand[] = [];
  const changes = new MetadataChanges(
    image,
    async (bytes) => {
      const command = decodeCommand(bytes);
      done.push(command);
      const { outcome } = applyCommand(image, command, image.version + 1);
      const none = { code: '', message: '', difference: undefined };
      if (outcome.kind === 'ok') return { kind: 'done', index: image.version, ...none };
      return { ...none, index: 0, difference: undefined, ...outcome, kind: 'refused' };
    },
    { u32: () => 7 } as never,
  );
  const salt = () => new Uint8Array([1, 2, 3, 4]);
  const view = { access: image.access, policies: () => image.policies.policies() };
  const handle = adminHandler({ view, changes, salt } as unknown as AdminPorts);
  const ask = async (
    method: string,
    path: string,
    body?: unknown,
    { as, remote = '127.0.0.1' }: { as?: string; remote?: string } = {},
  ) => {
    const encoded = as === undefined ? undefined : Buffer.from(as).toString('base64');
    const answer = await handle({
      method,
      path: decodeURIComponent(path),
      parts: path.slice(1).split('/').map(decodeURIComponent),
      query: new Map(),
      body: new TextEncoder().encode(body === undefined ? '' : JSON.stringify(body)),
      remote,
      ...(encoded === undefined ? {} : { authorization: `Basic ${encoded}` }),
    });
    const text = String(answer.body);
    return [answer.status, text === '' ? undefined : JSON.parse(text)] as const;
  };
  return { image, ask, done };
}

const all = { configure: '.*', write: '.*', read: '.*' };

test('a user is made, changed in part, shown without its password, and deleted', async () => {
  const { ask, image } = node();
  expect(await ask('PUT', '/api/users/u', { password: 'p:w', tags: 'management' })).toEqual([
    201,
    undefined,
  ]);
  expect(isPasswordOf(image.access.user('u')!.passwordHash, 'p:w')).toBe(true);
  expect(await ask('PUT', '/api/users/u', { tags: ['administrator'] })).toEqual([204, undefined]);
  expect(isPasswordOf(image.access.user('u')!.passwordHash, 'p:w')).toBe(true);
  const shown = {
    name: 'u',
    tags: ['administrator'],
    hashing_algorithm: 'rabbit_password_hashing_sha256',
    limits: {},
  };
  expect(await ask('GET', '/api/users/u')).toEqual([200, shown]);
  expect((await ask('GET', '/api/users'))[1]).toEqual([{ ...shown, name: 'guest' }, shown]);
  expect((await ask('DELETE', '/api/users/u'))[0]).toBe(204);
  expect((await ask('GET', '/api/users/u'))[0]).toBe(404);
  expect((await ask('DELETE', '/api/users/u'))[0]).toBe(404);
});

test('a hash of RabbitMQ’s definitions is taken as it is', async () => {
  const { ask, image } = node();
  const hash = {
    password_hash: 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR',
    hashing_algorithm: 'rabbit_password_hashing_sha256',
    tags: '',
  };
  expect((await ask('PUT', '/api/users/u', hash))[0]).toBe(201);
  expect(isPasswordOf(image.access.user('u')!.passwordHash, 'test12')).toBe(true);
});

test.each<[string, object]>([
  ['another algorithm', { password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha512' }],
  ['a hash that is no base64', { password_hash: '???' }],
  ['half a hash', { password_hash: 'kI3GCqW5' }],
  ['password and hash', { password: 'a', password_hash: '' }],
  ['an empty password', { password: '' }],
  ['an unknown tag', { tags: ['policymaker'] }],
  ['another name', { name: 'v' }],
  ['an unknown field', { limits: { 'max-channels': 3 } }],
])('a user with %s is refused', async (_, body) => {
  const { ask, done } = node();
  expect(await ask('PUT', '/api/users/u', body)).toEqual([
    400,
    { error: 'bad_request', reason: expect.any(String) },
  ]);
  expect(done.filter(({ kind }) => kind !== 'put-user')).toEqual([]);
});

test('vhosts and permissions', async () => {
  const { ask } = node();
  expect((await ask('PUT', '/api/vhosts/a%2Fb', {}))[0]).toBe(201);
  expect((await ask('PUT', '/api/vhosts/a%2Fb'))[0]).toBe(204);
  expect((await ask('PUT', '/api/vhosts/c', { tracing: true }))[0]).toBe(400);
  expect((await ask('GET', '/api/vhosts'))[1].map((each: { name: string }) => each.name)).toEqual([
    '/',
    'a/b',
  ]);
  expect((await ask('DELETE', '/api/vhosts/%2F'))[0]).toBe(400);
  const at = '/api/permissions/a%2Fb/guest';
  expect((await ask('PUT', at, { ...all, read: '^r' }))[0]).toBe(201);
  expect((await ask('PUT', at, { ...all, read: '^r' }))[0]).toBe(204);
  expect((await ask('PUT', at, { ...all, read: '(' }))[0]).toBe(400);
  expect((await ask('PUT', at, { read: '' }))[0]).toBe(400);
  expect((await ask('PUT', '/api/permissions/a%2Fb/nobody', all))[0]).toBe(404);
  const permission = { user: 'guest', vhost: 'a/b', ...all, read: '^r' };
  expect(await ask('GET', at)).toEqual([200, permission]);
  expect((await ask('GET', '/api/vhosts/a%2Fb/permissions'))[1]).toEqual([permission]);
  expect((await ask('GET', '/api/users/guest/permissions'))[1]).toHaveLength(2);
  expect((await ask('DELETE', at))[0]).toBe(204);
  expect((await ask('GET', at))[0]).toBe(404);
  expect((await ask('GET', '/api/permissions'))[1]).toEqual([
    { user: 'guest', vhost: '/', ...all },
  ]);
  expect((await ask('PUT', '/api/topic-permissions/%2F/guest', {}))[0]).toBe(400);
});

test('whoever says who it is is held to that', async () => {
  const { ask } = node();
  await ask('PUT', '/api/users/boss', { password: 'b', tags: ['administrator'] });
  await ask('PUT', '/api/users/looks', { password: 'l', tags: ['management'] });
  await ask('PUT', '/api/users/none', { password: 'n' });
  const login = [401, { error: 'not_authorized', reason: 'Login failed' }];
  expect(await ask('GET', '/api/whoami')).toEqual(login);
  expect(await ask('GET', '/api/whoami', undefined, { as: 'boss:x' })).toEqual(login);
  expect(await ask('GET', '/api/whoami', undefined, { as: 'nobody:' })).toEqual(login);
  expect(await ask('GET', '/api/whoami', undefined, { as: 'looks:l' })).toEqual([
    200,
    { name: 'looks', tags: ['management'] },
  ]);
  expect((await ask('GET', '/api/users', undefined, { as: 'none:n' }))[0]).toBe(401);
  expect((await ask('GET', '/api/users', undefined, { as: 'looks:l' }))[0]).toBe(200);
  expect((await ask('DELETE', '/api/users/none', undefined, { as: 'looks:l' }))[0]).toBe(401);
  expect((await ask('DELETE', '/api/users/none', undefined, { as: 'boss:b' }))[0]).toBe(204);
  const far = { as: 'guest:guest', remote: '192.0.2.1' };
  expect((await ask('GET', '/api/users', undefined, far))[0]).toBe(401);
  expect((await ask('GET', '/api/users', undefined, { as: 'guest:guest' }))[0]).toBe(200);
});

test('whoever makes a vhost may use it', async () => {
  const { ask, image } = node();
  await ask('PUT', '/api/vhosts/v', undefined, { as: 'guest:guest' });
  expect(image.access.permission('guest', 'v')).toEqual({ user: 'guest', vhost: 'v', ...all });
});
