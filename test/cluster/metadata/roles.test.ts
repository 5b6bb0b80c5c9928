// What roles of nodes make of placement, sets and membership.
import { describe, expect, test } from 'vitest';
import type { NodeRole, RegisterNode } from '../../../src/cluster/metadata/index.ts';
import { countsOn, votersFault } from '../../../src/cluster/metadata/roles.ts';
import { queue } from './routing-words.ts';
import { creation, registration, World } from './world.ts';

function joinAs(world: World, node: number, role: NodeRole, over: Partial<RegisterNode> = {}) {
  const lives = role === 'witness' ? { shardIncarnations: [] } : {};
  const base = registration(node, { ...lives, ...over });
  const code = world.code({ ...base, kind: 'register-node-as', kinds: [], role });
  if (code === 'ok') world.unfence(node);
  return code;
}

/** Disk nodes 1 and 2, RAM node 3, witness 4. */
function four(): World {
  const world = new World([1, 2]);
  joinAs(world, 3, 'ram');
  joinAs(world, 4, 'witness');
  return world;
}

const reassign = (world: World, replicas: readonly number[], name = 't') =>
  world.code({
    kind: 'reassign-log',
    logId: world.log(name).logId,
    replicas,
    partitionEpoch: -1,
  });

describe('who may vote', () => {
  test.each<[NodeRole[], string | undefined]>([
    [['disk'], undefined],
    [['disk', 'ram'], undefined],
    [['disk', 'disk', 'witness'], undefined],
    [['disk', 'disk', 'disk', 'ram'], undefined],
    [['disk', 'disk'], 'two nodes that vote'],
    [['disk', 'witness', 'ram'], 'two nodes that vote'],
    [['ram', 'ram'], 'at least one is a disk node'],
    [['witness'], 'at least one is a disk node'],
    [['disk', 'witness', 'witness'], 'not fewer than'],
    [['disk', 'disk', 'witness', 'witness'], 'not fewer than'],
  ])('%j', (roles, fault) => {
    if (fault === undefined) expect(votersFault(roles)).toBeUndefined();
    else expect(votersFault(roles)).toContain(fault);
  });

  test('a node is not removed that would leave two, one that does not vote is', () => {
    const world = four();
    const remove = (node: number) =>
      world.code({ kind: 'deregister-node', node, incarnation: world.incarnation(node) });
    for (const node of [2, 3, 4]) world.fence(node);
    expect(remove(2)).toBe('too-few-voters');
    expect(remove(4)).toBe('too-few-voters');
    expect(remove(3)).toBe('ok');
    world.join(5);
    expect(remove(2)).toBe('ok');
  });

  test('with as many witnesses as disk nodes left a node stays too', () => {
    const world = new World([1, 2, 3]);
    joinAs(world, 4, 'witness');
    joinAs(world, 5, 'witness');
    world.fence(3);
    const removal = { kind: 'deregister-node', node: 3, incarnation: 103 } as const;
    expect(world.code(removal)).toBe('too-few-voters');
  });

  test('a role is kept until the node is removed', () => {
    const world = new World([1, 2, 5]);
    joinAs(world, 3, 'ram');
    expect(joinAs(world, 3, 'witness', { incarnation: 900 })).toBe('other-role');
    expect(world.code(registration(3, { incarnation: 900 }))).toBe('other-role');
    world.fence(3);
    world.do({ kind: 'deregister-node', node: 3, incarnation: 103 });
    expect(world.code(registration(3, { incarnation: 900 }))).toBe('ok');
  });

  test('a witness has no shards, and others have', () => {
    const world = new World([1]);
    expect(joinAs(world, 2, 'witness', { shardIncarnations: [7] })).toBe('invalid-registration');
    expect(joinAs(world, 2, 'ram', { shardIncarnations: [] })).toBe('invalid-registration');
  });
});

describe('placement', () => {
  test('is on disk nodes, and so is what is counted by default', () => {
    const world = four();
    world.do(creation('t'));
    for (let partition = 0; partition < 3; partition += 1) {
      const log = world.log('t', partition);
      expect([...log.replicas].sort()).toEqual([1, 2]);
      expect(log.minInsync).toBe(1);
    }
    expect(world.code(creation('u', { replicationFactor: 3 }))).toBe('invalid-replication-factor');
  });

  test('a RAM node that is named has a copy: in no set, never leader, and m does not count it', () => {
    const world = four();
    world.do(creation('t', { partitions: -1, assignments: [[3, 1, 2]] }));
    const log = world.log('t');
    expect(log).toMatchObject({ replicas: [3, 1, 2], leader: 1, isr: [1, 2], minInsync: 1 });
    expect(log.safeSet.map(({ node }) => node)).toEqual([1, 2]);
    expect(countsOn(world.image, log, 3)).toBe(false);
    expect(world.setCode('t', [1, 2, 3])).toBe('invalid-safe-set');
    world.fence(1);
    world.fence(2);
    expect(world.log('t').leader).toBe(-1);
    const { logId, epoch } = world.log('t');
    const unclean = { kind: 'elect-unclean', logId, node: 3, epoch, isForced: true } as const;
    expect(world.code(unclean)).toBe('no-candidate');
  });

  test('no log is on RAM nodes alone, and none on a witness', () => {
    const world = four();
    const on = (...nodes: number[]) =>
      world.code(creation('x', { partitions: -1, assignments: [nodes] }));
    expect(on(3)).toBe('invalid-assignment');
    expect(on(1, 4)).toBe('invalid-assignment');
    expect(
      world.code(
        creation('y', {
          partitions: -1,
          assignments: [
            [1, 2],
            [1, 3],
          ],
        }),
      ),
    ).toBe('invalid-assignment');
    expect(world.image.destination('/', 'x')).toBeUndefined();
  });

  test('what ends with a process may be on a RAM node alone, what is durable goes to a disk', () => {
    const world = four();
    world.do(queue('transient', 3, { durable: false }));
    expect(world.log('transient')).toMatchObject({ replicas: [3], leader: 3 });
    expect(world.log('transient').safeSet).toEqual([{ node: 3, incarnation: 103 }]);
    world.do(queue('kept', 3, { replicationFactor: 1 }));
    expect([1, 2]).toContain(world.log('kept').leader);
    world.do(queue('gone', 3, { autoDelete: true }));
    expect([1, 2]).toContain(world.log('gone').leader);
  });

  test('mirrors on all nodes are on all disk nodes', () => {
    const world = four();
    const definition = [['ha-mode', '"all"']] as const;
    const rules = { pattern: '^m', applyTo: 'queues', priority: 1, definition } as const;
    world.do({ kind: 'put-policy', vhost: '/', name: 'p', ...rules });
    world.do(queue('m', 3));
    const log = world.log('m');
    expect([...log.replicas].sort()).toEqual([1, 2]);
    expect([1, 2]).toContain(log.leader);
    expect(log.safeSet.map(({ node }) => node)).toEqual([1, 2]);
  });

  test('a queue where no disk node is live is refused', () => {
    const world = four();
    world.fence(1);
    world.fence(2);
    expect(world.code(queue('q', 3))).toBe('invalid-replication-factor');
    expect(world.code(queue('t', 3, { durable: false }))).toBe('ok');
  });

  test('partitions that are added have as many replicas that count', () => {
    const world = four();
    world.do(creation('t', { partitions: -1, assignments: [[1, 2, 3]] }));
    const add = (partitions: number, assignments: number[][] = []) =>
      world.code({ kind: 'add-partitions', vhost: '/', name: 't', partitions, assignments });
    expect(add(2)).toBe('ok');
    expect([...world.log('t', 1).replicas].sort()).toEqual([1, 2]);
    expect(add(3, [[1, 3]])).toBe('invalid-assignment');
  });

  test.each([
    ['comes', [[1, 2]], [1, 5, 3]],
    ['goes', [[1, 2, 3]], [1, 5]],
  ])('and no fewer or more while a copy %s with a disk node', (_what, assignments, replicas) => {
    const world = four();
    world.join(5);
    world.do(creation('t', { partitions: -1, assignments }));
    expect(reassign(world, replicas)).toBe('ok');
    expect(world.log('t').adding).toContain(5);
    const add = { kind: 'add-partitions', vhost: '/', name: 't', partitions: 2 } as const;
    expect(world.code({ ...add, assignments: [] })).toBe('ok');
    expect(world.log('t', 1).replicas).toHaveLength(2);
  });
});

describe('replicas that change', () => {
  test('a copy comes and goes at once: no set waits for it', () => {
    const world = four();
    world.do(creation('t', { partitions: 1, replicationFactor: 2 }));
    expect(reassign(world, [1, 2, 3])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [1, 2, 3], adding: [], removing: [] });
    expect(reassign(world, [2, 1])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [2, 1], adding: [], removing: [] });
    expect(reassign(world, [2, 4])).toBe('invalid-assignment');
    expect(reassign(world, [3])).toBe('invalid-replication-factor');
  });

  test('a majority counts disk nodes', () => {
    const world = new World([1, 2, 5]);
    joinAs(world, 3, 'ram');
    world.do(creation('g', { partitions: 1, replicationFactor: 3, mode: 'quorum' }));
    expect(reassign(world, [1, 2, 5, 3], 'g')).toBe('ok');
    expect(world.log('g')).toMatchObject({ minInsync: 2, adding: [] });
    expect(reassign(world, [1, 2, 3], 'g')).toBe('invalid-replication-factor');
  });

  test('a RAM node can always be drained, the last disk node cannot', () => {
    const world = four();
    world.do(creation('t', { partitions: -1, assignments: [[1, 2, 3]] }));
    const drain = (node: number) =>
      world.code({
        kind: 'drain-node',
        node,
        incarnation: world.incarnation(node),
        isLeaving: true,
      });
    expect(drain(3)).toBe('ok');
    expect(drain(4)).toBe('ok');
    expect(drain(2)).toBe('too-few-nodes');
  });
});

test('a RAM node that comes back has nothing, and is counted for nothing', () => {
  const world = four();
  world.do(creation('t', { partitions: -1, assignments: [[1, 2, 3]] }));
  world.do(queue('transient', 3, { durable: false }));
  const before = world.log('t');
  const again = { incarnation: 500, bootCounter: 1, shardIncarnations: [8, 9] };
  expect(joinAs(world, 3, 'ram', again)).toBe('ok');
  expect(world.image.destination('/', 'transient')).toBeUndefined();
  expect(world.log('t').safeSet).toEqual(before.safeSet);
  expect(world.log('t').leader).toBe(before.leader);
});
