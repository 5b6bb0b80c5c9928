// Replicas of a log change (KIP-455): what is refused, what follows from each set, how it is cancelled; and nodes that
// are drained and taken out.
import { describe, expect, test } from 'vitest';
import {
  hashImage,
  MetadataImage,
  restoreImage,
  snapshotImage,
} from '../../../src/cluster/metadata/index.ts';
import { exclusive, queue } from './routing-words.ts';
import { type creation as Creation, creation, registration, World } from './world.ts';

function five(over: Parameters<typeof Creation>[1] = {}): World {
  const world = new World([1, 2, 3, 4, 5]);
  world.do(creation('t', { assignments: [[1, 2, 3]], partitions: -1, ...over }));
  return world;
}

function reassign(world: World, replicas: readonly number[], partitionEpoch = -1, name = 't') {
  return world.code({
    kind: 'reassign-log',
    logId: world.log(name).logId,
    replicas,
    partitionEpoch,
  });
}

const drain = (world: World, node: number, isLeaving = true) =>
  world.code({ kind: 'drain-node', node, incarnation: world.incarnation(node), isLeaving });
const drainSlowly = (world: World, node: number) => {
  const incarnation = world.incarnation(node);
  return world.code({ kind: 'drain-node', node, incarnation, isLeaving: true, handsOver: true });
};
const remove = (world: World, node: number) =>
  world.code({ kind: 'deregister-node', node, incarnation: world.incarnation(node) });

describe('a reassignment', () => {
  test('lists all who host the log until those assigned are the set', () => {
    const world = five();
    expect(reassign(world, [4, 2, 1])).toBe('ok');
    expect(world.log('t')).toMatchObject({
      replicas: [4, 2, 1, 3],
      adding: [4],
      removing: [3],
      assignedAt: world.index,
      leader: 1,
      epoch: 1,
    });
    expect(world.image.reassigningLogs()).toEqual([world.log('t').logId]);
    expect(world.setCode('t', [1, 2, 3, 4])).toBe('ok');
    expect(world.log('t').removing).toEqual([3]);
    expect(world.image.logsOn(3)).toHaveLength(1);
    expect(world.setCode('t', [1, 2, 4])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [4, 2, 1], adding: [], removing: [] });
    expect(world.image.logsOn(3)).toEqual([]);
    expect(world.image.reassigningLogs()).toEqual([]);
  });

  test('another order is no move', () => {
    const world = five();
    expect(reassign(world, [3, 1, 2])).toBe('ok');
    expect(world.log('t')).toMatchObject({
      replicas: [3, 1, 2],
      adding: [],
      removing: [],
      assignedAt: 0,
    });
    expect(world.do({ kind: 'prefer-leaders', logIds: [world.log('t').logId] })).toHaveLength(1);
    expect(world.log('t').leader).toBe(3);
  });

  test('a leader that leaves is followed when all that stay are in sync', () => {
    const world = five();
    expect(reassign(world, [4, 2, 3])).toBe('ok');
    expect(world.setCode('t', [1, 2, 3, 4], [1, 2, 4])).toBe('ok');
    expect(world.log('t').leader).toBe(1);
    expect(world.setCode('t', [1, 2, 3, 4])).toBe('ok');
    expect(world.log('t')).toMatchObject({ leader: 4, epoch: 2, removing: [1] });
    expect(world.setCode('t', [2, 3, 4])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [4, 2, 3], leader: 4 });
  });

  test('a leader that leaves hands over where the reassignment says so', () => {
    const world = five();
    const { logId } = world.log('t');
    const wanted = { kind: 'move-log', logId, partitionEpoch: -1 } as const;
    world.do({ ...wanted, replicas: [4, 2, 3] });
    expect(world.setCode('t', [1, 2, 3, 4])).toBe('ok');
    expect(world.log('t')).toMatchObject({ leader: 1, epoch: 1, removing: [1], handsOver: true });
    world.handOver([{ logId, epoch: 1, leader: 1, target: 4 }]);
    expect(world.log('t')).toMatchObject({ leader: 4, epoch: 2, removing: [1] });
    expect(world.setCode('t', [2, 3, 4])).toBe('ok');
    const arrived = { replicas: [4, 2, 3], removing: [], leader: 4, handsOver: false };
    expect(world.log('t')).toMatchObject(arrived);
    world.do({ ...wanted, replicas: [2, 4, 3] });
    expect(world.log('t')).toMatchObject({ replicas: [2, 4, 3], handsOver: false });
  });

  test('of an absent member is one change of the set (F47)', () => {
    const world = five({ mode: 'quorum' });
    world.fence(2);
    expect(reassign(world, [1, 4, 3])).toBe('ok');
    expect(world.setCode('t', [1, 3, 4])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [1, 4, 3], removing: [] });
  });

  test('ends where the last one to leave is taken out by the metadata itself', () => {
    const world = five();
    expect(reassign(world, [1, 2, 4])).toBe('ok');
    expect(world.setCode('t', [1, 2, 3, 4])).toBe('ok');
    world.do(registration(3, { incarnation: 900 }));
    expect(world.log('t')).toMatchObject({ replicas: [1, 2, 4], removing: [] });
  });

  test('is cancelled: who came in vain leaves at once, or when the set is without it', () => {
    const world = five();
    expect(reassign(world, [])).toBe('no-reassignment');
    reassign(world, [1, 4, 5]);
    expect(reassign(world, [])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [1, 2, 3], adding: [], removing: [] });
    reassign(world, [1, 2, 4]);
    expect(world.setCode('t', [1, 2, 3, 4])).toBe('ok');
    expect(reassign(world, [])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [1, 2, 3, 4], removing: [4] });
    expect(world.setCode('t', [1, 2, 3])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [1, 2, 3], removing: [] });
  });

  test('may be changed on the way', () => {
    const world = five();
    reassign(world, [1, 2, 4]);
    expect(reassign(world, [1, 2, 5])).toBe('ok');
    expect(world.log('t')).toMatchObject({ replicas: [1, 2, 5, 3], adding: [5], removing: [3] });
  });

  test('a proposal made before it counts no more', () => {
    const world = five();
    const { logId, leader, epoch, partitionEpoch, safeSet } = world.log('t');
    reassign(world, [1, 2, 4]);
    const proposal = { logId, node: leader, epoch, partitionEpoch, safeSet, isr: [1, 2, 3] };
    expect(world.code({ kind: 'propose-safe-set', ...proposal })).toBe('stale-partition-epoch');
  });

  test('is refused with its reason', () => {
    const world = five();
    expect(reassign(world, [1, 1, 2])).toBe('invalid-assignment');
    expect(reassign(world, [1, 2, 9])).toBe('invalid-assignment');
    expect(reassign(world, [1, 2, 4], 99)).toBe('stale-partition-epoch');
    expect(reassign(world, [1])).toBe('invalid-replication-factor');
    world.fence(4);
    expect(reassign(world, [1, 2, 4])).toBe('invalid-assignment');
    expect(drain(world, 5)).toBe('ok');
    expect(reassign(world, [1, 2, 5])).toBe('invalid-assignment');
    expect(world.code({ kind: 'reassign-log', logId: 99, replicas: [1], partitionEpoch: -1 })).toBe(
      'unknown-log',
    );
    world.do(creation('m', { partitions: 1, config: [['callboard.durability', 'memory']] }));
    expect(reassign(world, [2], -1, 'm')).toBe('invalid-assignment');
    world.do(exclusive('x', 1));
    expect(reassign(world, [2], -1, 'x')).toBe('invalid-assignment');
    world.do(queue('q', 1));
    expect(reassign(world, [1, 2], -1, 'q')).toBe('invalid-replication-factor');
  });

  test('the number of replicas may change where all must hold a frame', () => {
    const world = five();
    expect(reassign(world, [1, 2, 3, 4])).toBe('ok');
    expect(world.image.destination('/', 't')!.replicationFactor).toBe(3);
    expect(world.setCode('t', [1, 2, 3, 4])).toBe('ok');
    expect(world.image.destination('/', 't')!.replicationFactor).toBe(4);
    expect(reassign(world, [1, 2])).toBe('ok');
    expect(world.setCode('t', [1, 2])).toBe('ok');
    expect(world.image.destination('/', 't')!.replicationFactor).toBe(2);
  });

  test('is in the snapshot', () => {
    const world = five();
    reassign(world, [1, 2, 4]);
    drain(world, 3);
    drain(world, 5);
    remove(world, 5);
    const copy = new MetadataImage();
    restoreImage(copy, snapshotImage(world.image));
    expect(hashImage(copy)).toBe(hashImage(world.image));
    expect(copy.reassigningLogs()).toEqual([world.log('t').logId]);
    expect(copy.node(3)!.isLeaving).toBe(true);
    expect(copy.removedNodes()).toEqual([{ id: 5, incarnation: 105 }]);
  });
});

describe('a node that leaves', () => {
  test('leads nothing that others can lead, and gets no replica any more', () => {
    const world = five();
    expect(drain(world, 1)).toBe('ok');
    expect(world.log('t')).toMatchObject({ leader: 2, replicas: [1, 2, 3] });
    world.do(creation('u', { partitions: 12, replicationFactor: 3 }));
    expect(world.image.logsOn(1)).toEqual([world.log('t').logId]);
    world.do(registration(1, { bootCounter: 2, pid: 7 }));
    world.unfence(1);
    expect(world.image.node(1)!.isLeaving).toBe(true);
    expect(world.code({ kind: 'prefer-leaders', logIds: [world.log('t').logId] })).toBe('ok');
    expect(world.log('t').leader).toBe(2);
    expect(drain(world, 1, false)).toBe('ok');
    expect(world.image.node(1)!.isLeaving).toBe(false);
  });

  test('leads on until it has handed over, where it is asked so', () => {
    const world = five();
    expect(drainSlowly(world, 1)).toBe('ok');
    expect(world.image.node(1)!.isLeaving).toBe(true);
    expect(world.log('t')).toMatchObject({ leader: 1, epoch: 1 });
    const { logId, epoch, partitionEpoch } = world.log('t');
    const moves = [{ logId, epoch, partitionEpoch, to: 3 }];
    world.do({ kind: 'move-leaders', node: 1, moves });
    expect(world.log('t')).toMatchObject({ leader: 3, epoch: 2 });
  });

  test('is refused where a log would have too few nodes, or nobody else is in sync', () => {
    const three = new World([1, 2, 3]);
    three.do(creation('t', { partitions: 1, replicationFactor: 3 }));
    expect(drain(three, 1)).toBe('too-few-nodes');
    expect(drain(new World([1]), 1)).toBe('too-few-nodes');
    const world = five({ config: [['min.insync.replicas', '1']] });
    expect(world.setCode('t', [1])).toBe('ok');
    expect(drain(world, 1)).toBe('last-in-sync');
    expect(drain(world, 2)).toBe('ok');
  });

  test('is taken out when it has nothing, and its data never comes back', () => {
    const world = five();
    expect(remove(world, 4)).toBe('node-in-use');
    expect(drain(world, 1)).toBe('ok');
    expect(remove(world, 1)).toBe('node-in-use');
    reassign(world, [4, 2, 3]);
    world.setCode('t', [1, 2, 3, 4]);
    world.setCode('t', [2, 3, 4]);
    expect(remove(world, 1)).toBe('ok');
    expect(world.image.removedNodes()).toEqual([{ id: 1, incarnation: 101 }]);
    expect(world.code(registration(1, { bootCounter: 2 }))).toBe('node-removed');
    const renamed = registration(1, { incarnation: 500, previousIncarnation: 101 });
    expect(world.code(renamed)).toBe('node-removed');
    expect(world.code(registration(1, { incarnation: 50 }))).toBe('new-incarnation-needed');
    expect(world.code(registration(1, { incarnation: 500 }))).toBe('ok');
    expect(world.image.removedNodes()).toEqual([]);
  });
});

describe('a quorum queue', () => {
  const move = (world: World, replicas: readonly number[]) => reassign(world, replicas, -1, 'q');
  const made = (replicationFactor: number) => {
    const world = new World([1, 2, 3]);
    world.do(queue('q', 1, { quorum: {}, replicationFactor }));
    return world;
  };

  test('of two is confirmed by both, and of three by two', () => {
    expect(made(1).log('q')).toMatchObject({ mode: 'all', minInsync: 1 });
    expect(made(2).log('q')).toMatchObject({ mode: 'all', minInsync: 2 });
    expect(made(3).log('q')).toMatchObject({ mode: 'quorum', minInsync: 2 });
  });

  test('that grows has the rule of its new number once all of them are in its set', () => {
    const world = made(1);
    const [first] = world.log('q').replicas;
    const [second, third] = [1, 2, 3].filter((node) => node !== first);
    const two = [first!, second!];
    expect(move(world, two)).toBe('ok');
    expect(world.log('q').minInsync).toBe(1);
    expect(world.setCode('q', two)).toBe('ok');
    expect(world.log('q')).toMatchObject({ mode: 'all', minInsync: 2, adding: [] });
    const { epoch } = world.log('q');
    expect(world.setCode('q', two, [first!])).toBe('ok');
    expect(world.log('q')).toMatchObject({ minInsync: 2, epoch });
    expect(move(world, [...two, third!])).toBe('ok');
    expect(world.setCode('q', [...two, third!])).toBe('ok');
    expect(world.log('q')).toMatchObject({ mode: 'quorum', minInsync: 2, adding: [] });
  });
});
