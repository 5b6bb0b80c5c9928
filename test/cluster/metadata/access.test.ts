// Vhosts, users and permissions: what is kept, what is refused, and what goes with a vhost or a user.
import { describe, expect, test } from 'vitest';
import {
  hashImage,
  type MetadataCommand,
  MetadataImage,
  type PutPermissionCommand,
  restoreImage,
  snapshotImage,
} from '../../../src/cluster/metadata/index.ts';
import { isPasswordOf, passwordHash } from '../../../src/std/password-hash.ts';
import { bind, exchange, queue } from './routing-words.ts';
import { creation, topicId, World } from './world.ts';

const HASH = passwordHash(new Uint8Array([1, 2, 3, 4]), 'secret');

function user(name: string, over: object = {}): MetadataCommand {
  return { kind: 'put-user', name, passwordHash: HASH, tags: [], ...over };
}

function may(
  name: string,
  vhost: string,
  over: Partial<PutPermissionCommand> = {},
): PutPermissionCommand {
  const all = { configure: '.*', write: '.*', read: '.*' };
  return { kind: 'put-permission', user: name, vhost, ...all, ...over };
}

const vhost = (name: string): MetadataCommand => ({ kind: 'put-vhost', name });

function refusal(world: World, command: MetadataCommand): string | undefined {
  const before = hashImage(world.image);
  const { version } = world.image;
  const outcome = world.try(command);
  if (outcome.kind === 'ok') return undefined;
  world.image.version = version;
  expect(hashImage(world.image), 'a refused command changes nothing').toBe(before);
  return outcome.code;
}

describe('a new cluster', () => {
  test('has the vhost / and guest, an administrator with its name as password', () => {
    const { access } = new MetadataImage();
    expect(access.vhosts()).toEqual(['/']);
    expect(access.users()).toMatchObject([{ name: 'guest', tags: ['administrator'] }]);
    expect(isPasswordOf(access.user('guest')!.passwordHash, 'guest')).toBe(true);
    expect(access.allows('guest', '/', 'configure', 'anything')).toBe(true);
    expect(access.allows('guest', 'other', 'configure', 'anything')).toBe(false);
  });

  test('lets guest go like any other user', () => {
    const world = new World([1]);
    world.do({ kind: 'delete-user', name: 'guest' });
    expect(world.image.access.users()).toEqual([]);
    expect(world.image.access.permissions()).toEqual([]);
    const again = new MetadataImage();
    restoreImage(again, snapshotImage(world.image));
    expect(again.access.users()).toEqual([]);
    expect(hashImage(again)).toBe(hashImage(world.image));
  });
});

describe('a user', () => {
  test('keeps what a change does not name', () => {
    const world = new World([1]);
    world.do(user('u', { tags: ['management'] }));
    world.do(user('u', { passwordHash: undefined, tags: ['administrator'] }));
    expect(world.image.access.user('u')).toMatchObject({
      passwordHash: HASH,
      tags: ['administrator'],
    });
    world.do(user('u', { passwordHash: new Uint8Array(0), tags: undefined }));
    expect(world.image.access.user('u')).toMatchObject({
      passwordHash: new Uint8Array(0),
      tags: ['administrator'],
    });
  });

  test('without a password is none that logs in', () => {
    const world = new World([1]);
    world.do(user('u', { passwordHash: undefined, tags: undefined }));
    expect(world.image.access.user('u')).toEqual({
      name: 'u',
      passwordHash: new Uint8Array(0),
      tags: [],
    });
  });

  test.each<[string, object]>([
    ['without a name', { name: '' }],
    ['with a line end', { name: 'a\n' }],
    ['with half a hash', { passwordHash: HASH.slice(1) }],
    ['with a tag twice', { tags: ['management', 'management'] }],
    ['with tags in another order', { tags: ['management', 'administrator'] }],
  ])('%s is refused', (_, over) => {
    expect(refusal(new World([1]), user('u', over))).toBe('invalid-user');
  });

  test('goes with its permissions, which do not come back with it', () => {
    const world = new World([1]);
    world.do(user('u'));
    world.do(may('u', '/'));
    world.do({ kind: 'delete-user', name: 'u' });
    world.do(user('u'));
    expect(world.image.access.permission('u', '/')).toBeUndefined();
    expect(refusal(world, { kind: 'delete-user', name: 'x' })).toBe('unknown-user');
  });
});

describe('a permission', () => {
  test('is three patterns, found anywhere in a name; an empty one matches none', () => {
    const world = new World([1]);
    world.do(user('u'));
    world.do(may('u', '/', { configure: '^mine\\.', write: 'b', read: '' }));
    const { access } = world.image;
    expect(access.allows('u', '/', 'configure', 'mine.a')).toBe(true);
    expect(access.allows('u', '/', 'configure', 'not.mine.a')).toBe(false);
    expect(access.allows('u', '/', 'write', 'abc')).toBe(true);
    expect(access.allows('u', '/', 'read', 'abc')).toBe(false);
    expect(access.allows('u', '/', 'read', '')).toBe(false);
  });

  test('is of a user and a vhost that are there, with patterns that are ones', () => {
    const world = new World([1]);
    world.do(user('u'));
    expect(refusal(world, may('x', '/'))).toBe('unknown-user');
    expect(refusal(world, may('u', 'x'))).toBe('unknown-vhost');
    for (const verb of ['configure', 'write', 'read']) {
      expect(refusal(world, may('u', '/', { [verb]: '(' }))).toBe('invalid-permission');
    }
  });

  test('goes, once or twice', () => {
    const world = new World([1]);
    const gone = { kind: 'delete-permission', user: 'guest', vhost: '/' } as const;
    expect(world.do(gone)).toEqual([{ kind: 'access-changed' }]);
    expect(world.image.access.allows('guest', '/', 'read', 'q')).toBe(false);
    expect(world.do(gone)).toEqual([]);
  });
});

describe('a vhost', () => {
  test('keeps its names apart from those of others', () => {
    const world = new World([1]);
    world.do(vhost('v'));
    world.do(queue('q', 1));
    world.do(queue('q', 1, { vhost: 'v', topicId: topicId(50) }));
    world.do(exchange('e', { vhost: 'v' }));
    world.do(bind('e', 'q', 'k', { vhost: 'v' }));
    const { image } = world;
    expect(image.destination('v', 'q')!.logIds).not.toEqual(image.destination('/', 'q')!.logIds);
    expect(image.routing.exchange('/', 'e')).toBeUndefined();
    expect(image.routing.bindingsTo('/', 'queue', 'q')).toEqual([]);
  });

  test('goes with all that is in it, and leaves what is elsewhere', () => {
    const world = new World([1]);
    world.do(vhost('v'));
    world.do(queue('q', 1));
    world.do(user('u'));
    world.do(may('u', 'v'));
    world.do(may('u', '/'));
    const before = {
      destinations: world.image.destinations(),
      logs: world.image.logs().map(({ logId }) => logId),
    };
    world.do(queue('q', 1, { vhost: 'v', topicId: topicId(50) }));
    world.do(creation('s', { vhost: 'v', topicId: topicId(51) }));
    world.do(exchange('e', { vhost: 'v' }));
    world.do(bind('e', 'q', 'k', { vhost: 'v' }));
    world.do(bind('amq.direct', 'x:amq.fanout', 'k', { vhost: 'v' }));
    const definition = [['x-durability', '"async"']] as const;
    const policy = { name: 'p', pattern: '.', applyTo: 'all', priority: 0, definition } as const;
    world.do({ kind: 'put-policy', vhost: 'v', ...policy });
    const changes = world.do({ kind: 'delete-vhost', name: 'v' });
    expect(changes.at(-1)).toEqual({ kind: 'vhost-deleted', vhost: 'v' });
    const { image } = world;
    expect(image.destinations()).toEqual(before.destinations);
    expect(image.logs().map(({ logId }) => logId)).toEqual(before.logs);
    expect([...image.routing.bindings()]).toEqual([]);
    expect(image.routing.exchanges()).toEqual([]);
    expect(image.policies.policies()).toEqual([]);
    expect(image.access.permissions().map((each) => [each.user, each.vhost])).toEqual([
      ['guest', '/'],
      ['u', '/'],
    ]);
  });

  test('that is not there has nothing made in it', () => {
    const world = new World([1]);
    const over = { vhost: 'v' };
    const definition = [['x-durability', '"async"']] as const;
    const policy = { name: 'p', pattern: '.', applyTo: 'all', priority: 0, definition } as const;
    for (const command of [
      queue('q', 1, over),
      creation('s', over),
      exchange('e', over),
      exchange('amq.direct', over),
      bind('amq.direct', 'x:amq.fanout', 'k', over),
      { kind: 'put-policy', ...over, ...policy },
      { kind: 'delete-vhost', name: 'v' },
    ] as const) {
      expect(refusal(world, command), command.kind).toBe('unknown-vhost');
    }
  });

  test('is made once, has a name, and / stays', () => {
    const world = new World([1]);
    expect(world.do(vhost('v'))).toEqual([{ kind: 'vhost-created', vhost: 'v' }]);
    expect(world.do(vhost('v'))).toEqual([]);
    expect(world.do(vhost('/'))).toEqual([]);
    expect(refusal(world, vhost(''))).toBe('invalid-name');
    expect(refusal(world, vhost('\u0001kind'))).toBe('invalid-name');
    expect(refusal(world, { kind: 'delete-vhost', name: '/' })).toBe('default-vhost');
  });
});

test('a snapshot has all of it, and no password', () => {
  const world = new World([1]);
  world.do(vhost('v'));
  world.do(user('u', { tags: ['administrator', 'management'] }));
  world.do(may('u', 'v', { read: '' }));
  const bytes = snapshotImage(world.image);
  const again = new MetadataImage();
  restoreImage(again, bytes);
  expect(again.access.users()).toEqual(world.image.access.users());
  expect(again.access.vhosts()).toEqual(['/', 'v']);
  expect(again.access.permissions()).toEqual(world.image.access.permissions());
  expect(again.access.allows('u', 'v', 'write', 'q')).toBe(true);
  expect(hashImage(again)).toBe(hashImage(world.image));
  expect(Buffer.from(bytes).includes('secret')).toBe(false);
});

test('answers of before are known to be old', () => {
  const world = new World([1]);
  const { access } = world.image;
  const versions = [access.version];
  world.do(user('u'));
  versions.push(access.version);
  world.do(may('u', '/'));
  versions.push(access.version);
  restoreImage(world.image, snapshotImage(new MetadataImage()));
  versions.push(access.version);
  expect(new Set(versions).size).toBe(versions.length);
  expect([...versions].sort((a, b) => a - b)).toEqual(versions);
});
