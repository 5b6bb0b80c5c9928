// Queues as destinations: where they lie, what a second declaration must agree with, and what ends them.
import { describe, expect, test } from 'vitest';
import type { ComparedArgument, DeclareQueueCommand } from '../../../src/cluster/metadata/index.ts';
import { bind, exclusive, owner, queue } from './routing-words.ts';
import { creation, registration, topicId, World } from './world.ts';

const argument = (name: string, value: string): ComparedArgument => ({
  name,
  value,
  shown: `the value ${value}`,
});

function nodes(count: number): World {
  return new World(Array.from({ length: count }, (_, i) => i + 1));
}

function names(world: World): string[] {
  return world.image.destinations().map(({ name }) => name);
}

describe('a queue lies', () => {
  test.each([
    [1, 1, 'all', 1],
    [2, 2, 'all', 1],
    [3, 3, 'quorum', 2],
    [5, 3, 'quorum', 2],
  ] as const)('on %i nodes, durable: on %i, %s, m = %i', (count, rf, mode, m) => {
    const world = nodes(count);
    world.do(queue('q', 1));
    expect(world.log('q')).toMatchObject({ kind: 'queue', mode, minInsync: m, durability: 'sync' });
    expect(world.log('q').replicas).toHaveLength(rf);
    expect(world.image.destination('/', 'q')).toMatchObject({ kind: 'queue', isInternal: false });
  });

  test.each([
    ['exclusive', exclusive('q', 2)],
    ['auto-delete', queue('q', 2, { autoDelete: true })],
    ['transient', queue('q', 2, { durable: false })],
    ['told one replica', queue('q', 2, { replicationFactor: 1 })],
  ])('%s: on the node that asks', (_, command) => {
    const world = nodes(3);
    world.do(command);
    expect(world.log('q')).toMatchObject({ replicas: [2], leader: 2, mode: 'all', minInsync: 1 });
  });

  test.each([
    [1, -1, 1, 'all', 1],
    [3, -1, 3, 'quorum', 2],
    [5, 5, 5, 'quorum', 3],
    [3, 9, 3, 'quorum', 2],
    [3, 1, 1, 'all', 1],
  ] as const)('on %i nodes, quorum of %i: on %i, %s, m = %i', (count, wanted, rf, mode, m) => {
    const world = nodes(count);
    world.do(queue('q', 1, { quorum: {}, replicationFactor: wanted }));
    expect(world.log('q')).toMatchObject({ kind: 'queue', mode, minInsync: m, durability: 'sync' });
    expect(world.log('q').replicas).toHaveLength(rf);
  });

  test('on as many nodes as are live, whatever was asked, decided once', () => {
    const world = nodes(3);
    world.fence(3);
    world.do(queue('q', 1, { replicationFactor: 5 }));
    expect(world.log('q').replicas).toEqual([1, 2]);
    world.unfence(3);
    expect(world.image.destination('/', 'q')!.replicationFactor).toBe(2);
  });
});

describe('a declaration', () => {
  test.each<[string, Partial<DeclareQueueCommand>]>([
    ['invalid-name', { name: '' }],
    ['malformed', { topicId: new Uint8Array(3) }],
    ['malformed', { quorum: {}, durable: false }],
    ['malformed', { quorum: {}, autoDelete: true }],
    ['malformed', { quorum: {}, durability: 'async' }],
    ['exists', { topicId: topicId(55) }],
    ['invalid-replication-factor', { replicationFactor: 0 }],
    ['node-not-live', { node: 3 }],
    ['node-not-live', { node: 9 }],
    ['malformed', { node: 2, owner: owner(1) }],
    ['stale-incarnation', { owner: { ...owner(1), incarnation: 9 } }],
    ['stale-incarnation', { owner: { ...owner(1), shardIncarnation: 9 } }],
    ['stale-incarnation', { owner: { ...owner(1), shard: 9 } }],
    ['exists', { name: 'stream' }],
  ])('is refused as %s: %j', (code, over) => {
    const world = nodes(3);
    world.fence(3);
    world.do(creation('stream', { partitions: 1, topicId: topicId(55) }));
    expect(world.code(queue('q', 1, over))).toBe(code);
    expect(world.changes).toEqual([]);
  });

  test('and a topic: the first has the name, the other is refused', () => {
    const world = nodes(1);
    world.do(queue('a', 1));
    expect(world.code(creation('a'))).toBe('exists');
    world.do(creation('b'));
    expect(world.code(queue('b', 1))).toBe('exists');
    expect(world.code(creation('c', { logKind: 'queue' }))).toBe('malformed');
  });

  test('agrees when all that counts is equal', () => {
    const world = nodes(1);
    const compared = [argument('b', '1'), argument('a', '2')];
    world.do(queue('q', 1, { compared }));
    const again = queue('q', 1, {
      compared: [argument('a', '2'), { ...argument('b', '1'), shown: 'of another width' }],
      arguments: new Uint8Array([9]),
      topicId: topicId(77),
    });
    expect(world.do(again)).toEqual([]);
  });

  test.each<[string, Partial<DeclareQueueCommand>, string | undefined, string | undefined]>([
    ['durable', { durable: false }, 'false', 'true'],
    ['autoDelete', { autoDelete: true }, 'true', 'false'],
    ['a', { compared: [argument('a', '3')] }, 'the value 3', 'the value 2'],
    ['a', { compared: [] }, undefined, 'the value 2'],
    ['b', { compared: [argument('a', '2'), argument('b', '1')] }, 'the value 1', undefined],
  ])('differs in %s and is told both values', (property, over, received, current) => {
    const world = nodes(1);
    const compared = [argument('a', '2')];
    world.do(queue('q', 1, { compared }));
    expect(world.try(queue('q', 1, { compared, ...over }))).toMatchObject({
      code: 'inequivalent',
      difference: { property, received, current },
    });
  });

  test('names the type before whatever else follows from it', () => {
    const world = nodes(1);
    const compared = [argument('a', '2'), argument('x-queue-type', 'quorum')];
    world.do(queue('q', 1, { compared }));
    const other = queue('q', 1, { compared: [argument('a', '3')], durability: 'async' });
    expect(world.try(other)).toMatchObject({ difference: { property: 'x-queue-type' } });
  });

  test('of an exclusive queue is its owner’s alone, before anything else is compared', () => {
    const world = nodes(2);
    world.do(exclusive('q', 1));
    expect(world.code(exclusive('q', 1))).toBe('ok');
    expect(world.code(exclusive('q', 1, 8))).toBe('locked');
    expect(world.code(exclusive('q', 2))).toBe('locked');
    expect(world.code(queue('q', 1, { autoDelete: true }))).toBe('locked');
    world.do(queue('open', 1));
    expect(world.code(exclusive('open', 1))).toBe('locked');
  });

  test('takes no second log', () => {
    const world = nodes(1);
    world.do(queue('q', 1));
    const more = { kind: 'add-partitions', vhost: '/', name: 'q', partitions: 2, assignments: [] };
    expect(world.code(more as never)).toBe('invalid-partitions');
  });
});

describe('a queue ends', () => {
  test('when it is still the one that was judged', () => {
    const world = nodes(1);
    world.do(queue('q', 1));
    const { logId } = world.log('q');
    const remove = { kind: 'delete-queue', vhost: '/', name: 'q', logId } as const;
    world.do(remove);
    expect(world.code(remove)).toBe('unknown-destination');
    world.do(queue('q', 1));
    expect(world.log('q').logId).toBe(logId + 1);
    expect(world.code(remove)).toBe('stale-log');
    world.do(creation('stream', { partitions: 1 }));
    expect(world.code({ ...remove, name: 'stream', logId: 0 })).toBe('unknown-destination');
  });

  test('with its connection, in one record, bindings and all', () => {
    const world = nodes(1);
    world.do(exclusive('a', 1));
    world.do(exclusive('b', 1));
    world.do(exclusive('other', 1, 8));
    world.do(bind('amq.direct', 'a'));
    world.do({ kind: 'release-owner', owner: owner(1) });
    expect(names(world)).toEqual(['other']);
    expect(world.image.routing.bindingCount).toBe(0);
    expect(world.do({ kind: 'release-owner', owner: owner(1) })).toEqual([]);
  });

  test('with its node: exclusive and transient ones are deleted in the record of the fence', () => {
    const world = nodes(3);
    world.do(exclusive('mine', 1));
    world.do(exclusive('theirs', 2));
    world.do(queue('transient', 1, { durable: false }));
    world.do(queue('auto', 1, { autoDelete: true }));
    world.do(queue('durable', 1));
    world.do(bind('amq.direct', 'mine'));
    const changes = world.fence(1);
    expect(changes[0]).toEqual({ kind: 'node-changed', node: 1 });
    expect(names(world)).toEqual(['auto', 'durable', 'theirs']);
    expect(world.image.routing.bindingCount).toBe(0);
    expect(world.log('auto').leader).toBe(-1);
    expect(world.log('durable').leader).not.toBe(1);
    world.unfence(1);
    expect(world.log('auto').leader).toBe(1);
  });

  test('with its process, also when nobody saw it die', () => {
    const world = nodes(2);
    world.do(exclusive('mine', 1));
    world.do(queue('transient', 1, { durable: false }));
    const again = registration(1, { bootCounter: 2, pid: 99, shardIncarnations: [3, 4] });
    world.do(again);
    expect(names(world)).toEqual([]);
    world.unfence(1);
    expect(world.code(exclusive('mine', 1))).toBe('stale-incarnation');
  });

  test('not when a registration is only repeated', () => {
    const world = nodes(1);
    world.do(exclusive('mine', 1));
    expect(world.do(registration(1))).toEqual([]);
    expect(names(world)).toEqual(['mine']);
  });

  test('and a transient queue never asks its node for a new incarnation', () => {
    const world = nodes(1);
    world.do(queue('transient', 1, { durable: false }));
    expect(world.code(registration(1, { bootCounter: 2, pid: 9, osBootId: 'os-2' }))).toBe('ok');
  });

  test('with its shard, if it is exclusive', () => {
    const world = nodes(1);
    world.do(exclusive('zero', 1));
    world.do(exclusive('one', 1, 7, 1));
    world.do(queue('transient', 1, { durable: false }));
    const restart = { node: 1, incarnation: 101, shard: 1, shardIncarnation: 50 };
    world.do({ kind: 'restart-shard', ...restart });
    expect(names(world)).toEqual(['transient', 'zero']);
  });
});
