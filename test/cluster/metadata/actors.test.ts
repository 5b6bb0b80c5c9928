// Durable actors of applications in the metadata: who may bring which kind, where actors go, and their limits.
import { describe, expect, test } from 'vitest';
import { actorVhost } from '../../../src/cluster/metadata/actor-kinds.ts';
import {
  type ActorKind,
  type CreateActor,
  MetadataImage,
  type RegisterNodeWithKinds,
  restoreImage,
  snapshotImage,
} from '../../../src/cluster/metadata/index.ts';
import { creation, registration, topicId, World } from './world.ts';

const account: ActorKind = { name: 'app.account', version: 1, hash: 0xabc };
const other: ActorKind = { name: 'app.other', version: 1, hash: 7 };

function bringing(
  node: number,
  kinds: readonly ActorKind[],
  over: Partial<RegisterNodeWithKinds> = {},
): RegisterNodeWithKinds {
  return { ...registration(node), kind: 'register-node-with-kinds', kinds, ...over };
}

function create(name: string, over: Partial<CreateActor> = {}): CreateActor {
  const id = topicId([...name].reduce((sum, c) => sum * 37 + c.charCodeAt(0), 7) % 2 ** 31);
  const counts = { replicationFactor: -1, minInsync: -1 };
  return { kind: 'create-actor', actor: account, name, topicId: id, ...counts, ...over };
}

function worldOf(...kinds: readonly (readonly ActorKind[])[]): World {
  const world = new World();
  kinds.forEach((brought, at) => {
    world.do(brought.length === 0 ? registration(at + 1) : bringing(at + 1, brought));
    world.unfence(at + 1);
  });
  return world;
}

const logOf = (world: World, name: string, kind = account.name) =>
  world.image.log(world.image.destination(actorVhost(kind), name)!.logIds[0]!)!;

describe('an actor', () => {
  test('goes where its kind is, by the rules of queues', () => {
    const world = worldOf([account], [], [account], [account, other]);
    world.do(create('ada'));
    expect(logOf(world, 'ada')).toMatchObject({ kind: 'actor', mode: 'quorum', minInsync: 2 });
    for (let i = 0; i < 9; i += 1) {
      world.do(create(`a${i}`, { replicationFactor: 2 }));
      expect(logOf(world, `a${i}`).replicas).not.toContain(2);
    }
    expect(logOf(world, 'a3')).toMatchObject({ mode: 'all', minInsync: 1 });
    world.do(create('strict', { replicationFactor: 3, minInsync: 3 }));
    expect(logOf(world, 'strict')).toMatchObject({ mode: 'all', minInsync: 3 });
  });

  test('that cannot be placed is refused with who lacks its kind', () => {
    const world = worldOf([account], [], [account]);
    expect(world.try(create('ada', { replicationFactor: 3 }))).toMatchObject({
      code: 'invalid-replication-factor',
      message:
        '3 replicas of app.account version 1, 2 live nodes bring it; nodes 2 do not bring it',
    });
    expect(world.code(create('ada', { actor: { ...account, version: 2 } }))).toBe(
      'invalid-replication-factor',
    );
    expect(world.code(create('ada', { replicationFactor: 0 }))).toBe('invalid-replication-factor');
    expect(world.code(create('ada', { minInsync: 3 }))).toBe('invalid-config');
    expect(world.code(create(''))).toBe('invalid-name');
    expect(world.code(creation('t', { logKind: 'actor' }))).toBe('malformed');
    expect(world.image.actorCount).toBe(0);
  });

  test('is made once, and says what is otherwise', () => {
    const world = worldOf([account], [account]);
    world.do(create('ada', { replicationFactor: 2 }));
    const { logId } = logOf(world, 'ada');
    world.do(create('ada', { topicId: topicId(5) }));
    world.do(create('ada', { replicationFactor: 2, minInsync: 1 }));
    expect(world.try(create('ada', { replicationFactor: 1 }))).toMatchObject({
      code: 'inequivalent',
      difference: { property: 'replicationFactor', received: '1', current: '2' },
    });
    expect(logOf(world, 'ada').logId).toBe(logId);
  });

  test('that is deleted is another one when it is made again', () => {
    const world = worldOf([account]);
    world.do(create('ada'));
    const { logId } = logOf(world, 'ada');
    const remove = { kind: 'delete-actor', actorKind: account.name, name: 'ada' } as const;
    expect(world.code({ ...remove, logId: logId + 1 })).toBe('stale-log');
    world.do({ ...remove, logId });
    expect(world.image.isDeleted(logId)).toBe(true);
    expect(world.code({ ...remove, logId: 0 })).toBe('unknown-destination');
    world.do(create('ada'));
    expect(logOf(world, 'ada').logId).toBeGreaterThan(logId);
  });

  test('has its name within its kind, apart from topics and queues', () => {
    const world = worldOf([account, other]);
    world.do(creation('ada'));
    for (const name of ['eve', 'ada', 'bob']) world.do(create(name));
    world.do(create('ada', { actor: other, topicId: topicId(6) }));
    expect(world.image.actorsIn(actorVhost(account.name))).toEqual(['ada', 'bob', 'eve']);
    expect(world.image.actorsIn(actorVhost(other.name))).toEqual(['ada']);
    expect(world.image.actorCount).toBe(4);
    const copy = new MetadataImage();
    restoreImage(copy, snapshotImage(world.image));
    expect(snapshotImage(copy)).toEqual(snapshotImage(world.image));
    expect(copy.actorCount).toBe(4);
    expect(copy.node(1)!.kinds).toEqual([account, other]);
  });
});

describe('a node', () => {
  test('with another shape of a kind is told which and where', () => {
    const world = worldOf([account]);
    expect(world.try(bringing(2, [{ ...account, hash: 0xdef }]))).toEqual({
      kind: 'refused',
      code: 'other-kind',
      message:
        'node 2 brings app.account version 1 (00000def), node 1 app.account version 1 (00000abc)',
    });
    expect(world.image.node(2)).toBeUndefined();
  });

  test('comes back with the kind that it brought, or with a newer version', () => {
    const world = worldOf([account]);
    const back = (kind: ActorKind) => bringing(1, [kind], { bootCounter: 2, pid: 77 });
    expect(world.try(back({ ...account, hash: 0xdef }))).toEqual({
      kind: 'refused',
      code: 'other-kind',
      message:
        'node 1 brings app.account version 1 (00000def), and brought app.account version 1 (00000abc)',
    });
    const newer = { ...account, version: 2, hash: 0x123 };
    world.do(back(newer));
    expect(world.code(bringing(1, [account], { bootCounter: 3, pid: 78 }))).toBe('other-kind');
    expect(world.image.node(1)!.kinds).toEqual([newer]);
  });

  test('takes a newer version in when no node with the older one is live', () => {
    const world = worldOf([account], [account]);
    const newer = { ...account, version: 2, hash: 0x123 };
    const again = (node: number) => ({ bootCounter: 2, pid: 77, node });
    expect(world.code(bringing(1, [newer], again(1)))).toBe('older-kind-live');
    world.fence(2);
    world.do(bringing(1, [newer], again(1)));
    world.unfence(1);
    expect(world.code(bringing(2, [account], again(2)))).toBe('other-kind');
    world.do(bringing(2, [newer], again(2)));
    expect(world.code(create('ada'))).toBe('invalid-replication-factor');
    world.do(create('ada', { actor: newer }));
  });

  test('that has replicas of a kind must bring it', () => {
    const world = worldOf([account], [account]);
    world.do(create('ada', { replicationFactor: 2 }));
    world.do(create('bob', { replicationFactor: 2 }));
    expect(world.try(registration(2, { bootCounter: 2, pid: 5 }))).toMatchObject({
      code: 'missing-kind',
      message: 'node 2 has replicas of 2 actors of app.account, and does not bring it',
    });
    expect(world.code(registration(3))).toBe('ok');
  });

  test('brings each kind once, not too many, and by a name', () => {
    const world = new World();
    expect(world.code(bringing(1, [account, account]))).toBe('invalid-registration');
    expect(world.code(bringing(1, [{ ...account, name: '' }]))).toBe('invalid-registration');
    const many = Array.from({ length: 257 }, (_, i) => ({ ...account, name: `k${i}` }));
    expect(world.code(bringing(1, many))).toBe('invalid-registration');
  });
});
