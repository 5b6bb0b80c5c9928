// Nodes: fencing re-elects all logs in one record, grants name one life of one shard, and a restart
// keeps its place in the safe sets exactly as far as nothing can be lost (F2, F7, F25).
import { describe, expect, test } from 'vitest';
import { shardOf } from '../../../src/cluster/metadata/index.ts';
import { creation, registration, World } from './world.ts';

function threeWithTopic(over = {}): World {
  const world = new World([1, 2, 3]);
  world.do(creation('t', { partitions: 1, ...over }));
  return world;
}

describe('fencing', () => {
  test('one record re-elects every log of the node, in assigned order, as a new epoch', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('t', { partitions: 30 }));
    const led = world.image.logsLedBy(1);
    expect(led).toHaveLength(10);
    const changes = world.fence(1);
    expect(changes[0]).toEqual({ kind: 'node-changed', node: 1 });
    for (const logId of led) {
      const log = world.image.log(logId)!;
      expect(log).toMatchObject({ leader: log.replicas[1], epoch: 2 });
      expect(log.isr).not.toContain(1);
      expect(log.safeSet).toHaveLength(3);
    }
    expect(world.image.logsLedBy(1)).toEqual([]);
  });

  test('prefers the shown ISR to the assigned order, and any safe member to nobody', () => {
    const world = threeWithTopic();
    expect(world.setCode('t', [1, 2, 3], [1, 3])).toBe('ok');
    world.fence(1);
    expect(world.log('t')).toMatchObject({ leader: 3, isr: [3] });
    world.fence(3);
    expect(world.log('t')).toMatchObject({ leader: 2, isr: [2] });
  });

  test('nobody outside the safe set leads: the log goes offline and comes back with its member', () => {
    const world = threeWithTopic();
    expect(world.setCode('t', [1, 2])).toBe('ok');
    world.fence(2);
    world.fence(1);
    expect(world.log('t')).toMatchObject({ leader: -1, epoch: 2, leaderIncarnation: 0 });
    expect(world.image.offlineLogs()).toEqual([world.log('t').logId]);
    world.unfence(2);
    expect(world.log('t')).toMatchObject({ leader: 2, epoch: 3 });
  });

  test('a command about an earlier incarnation is refused, a repeat does nothing', () => {
    const world = threeWithTopic();
    const stale = { kind: 'fence-node', node: 1, incarnation: 7 } as const;
    expect(world.code(stale)).toBe('stale-incarnation');
    expect(world.code({ ...stale, node: 9 })).toBe('unknown-node');
    world.fence(1);
    expect(world.fence(1)).toEqual([]);
  });
});

describe('a restart', () => {
  test('ends the grant: the node leads again only in a new epoch', () => {
    const world = new World([1]);
    world.do(creation('t', { partitions: 1 }));
    const before = world.log('t');
    world.do(registration(1, { bootCounter: 2, pid: 7, shardIncarnations: [3, 4] }));
    expect(world.log('t')).toMatchObject({ leader: -1, safeSet: before.safeSet });
    world.unfence(1);
    const { epoch, leaderShardIncarnation } = world.log('t');
    expect(epoch).toBeGreaterThan(before.epoch);
    const shard = shardOf(world.log('t').logId, 2);
    expect(leaderShardIncarnation).toBe([3, 4][shard]);
  });

  test('kill -9 is lossless for sync logs; a new incarnation keeps its place under its new name', () => {
    const world = threeWithTopic();
    const incarnation = 555;
    world.do(registration(2, { incarnation, previousIncarnation: 102, bootCounter: 2 }));
    expect(world.log('t').safeSet).toContainEqual({ node: 2, incarnation });
    expect(world.log('t').isr).toEqual([1, 3]);
    expect(world.log('t').leader).toBe(1);
  });

  test.each([
    ['async', { osBootId: 'os-2' }, true],
    ['async', { hasFailedSync: true }, false],
    ['replicated', { osBootId: 'os-2' }, true],
    ['replicated', { previousIncarnation: 0 }, false],
    ['sync', { osBootId: 'os-2' }, true],
    ['sync', { hasFailedSync: true }, false],
    ['sync', { previousIncarnation: 0 }, false],
  ])('a %s log with %j is lossless: %s', (durability, facts, isKept) => {
    const world = threeWithTopic({ config: [['callboard.durability', durability]] });
    const incarnation = 555;
    const base = { incarnation, previousIncarnation: 102, bootCounter: 2 };
    world.do(registration(2, { ...base, ...facts }));
    expect(world.log('t').safeSet.some((m) => m.node === 2)).toBe(isKept);
  });

  test('what may be lost must not keep its name', () => {
    const world = threeWithTopic();
    const command = registration(2, { bootCounter: 2, hasFailedSync: true });
    expect(world.code(command)).toBe('new-incarnation-needed');
  });

  test('incarnations grow: data that comes under a lower one must take another', () => {
    const world = threeWithTopic();
    const lower = registration(2, { incarnation: 50, bootCounter: 9, pid: 9 });
    expect(world.code(lower)).toBe('new-incarnation-needed');
    expect(world.code({ ...lower, previousIncarnation: 102 })).toBe('new-incarnation-needed');
    expect(world.code({ ...lower, incarnation: 103 })).toBe('ok');
  });

  test('a boot counter that does not grow is an old copy of the data', () => {
    const world = threeWithTopic();
    world.do(registration(2, { bootCounter: 5, pid: 9 }));
    expect(world.code(registration(2, { bootCounter: 5, pid: 10 }))).toBe('rolled-back');
    expect(world.code(registration(2, { bootCounter: 3, pid: 10 }))).toBe('rolled-back');
  });

  test('the same registration again changes nothing', () => {
    const world = threeWithTopic();
    expect(world.do(registration(2))).toEqual([]);
    expect(world.image.isNodeLive(2)).toBe(true);
  });

  test('in quorum sets a lost member stays listed, and cannot lead', () => {
    const world = threeWithTopic({ mode: 'quorum' });
    const lost = registration(1, { incarnation: 555, bootCounter: 1 });
    world.do(lost);
    world.unfence(1);
    expect(world.log('t').safeSet).toContainEqual({ node: 1, incarnation: 101 });
    expect(world.log('t').leader).toBe(2);
    world.fence(2);
    world.fence(3);
    expect(world.log('t').leader).toBe(-1);
  });

  test('the only replica that lost its data leads nothing until somebody decides', () => {
    const world = new World([1]);
    world.do(creation('t', { partitions: 1 }));
    world.do(registration(1, { incarnation: 555 }));
    world.unfence(1);
    const { logId, epoch } = world.log('t');
    expect(world.log('t')).toMatchObject({ leader: -1, safeSet: [] });
    const elect = { kind: 'elect-unclean', logId, node: 1, epoch } as const;
    expect(world.code({ ...elect, isForced: false })).toBe('unclean-not-allowed');
    expect(world.code({ ...elect, epoch: epoch - 1, isForced: true })).toBe('stale-epoch');
    expect(world.code({ ...elect, isForced: true })).toBe('ok');
    expect(world.log('t')).toMatchObject({
      leader: 1,
      isUncleanEpoch: true,
      safeSet: [{ node: 1, incarnation: 555 }],
    });
  });
});

describe('a shard that starts again', () => {
  test('ends the grants of its own logs and of no others', () => {
    const world = new World([1]);
    world.do(creation('t', { partitions: 20 }));
    const restart = { node: 1, incarnation: 101, shard: 1, shardIncarnation: 9 };
    world.do({ kind: 'restart-shard', ...restart });
    for (const log of world.image.logs()) {
      const isHit = shardOf(log.logId, 2) === 1;
      expect(log.epoch).toBe(isHit ? 2 : 1);
      expect(log.leaderShardIncarnation).toBe(isHit ? 9 : 1);
      expect(log.leader).toBe(1);
    }
    expect(world.do({ kind: 'restart-shard', ...restart })).toEqual([]);
  });
});

describe('an orderly stop', () => {
  test('moves leaders away first and elects the node only if nobody else is there', () => {
    const world = threeWithTopic({ partitions: 3 });
    world.do({ kind: 'resign-node', node: 1, incarnation: 101 });
    expect(world.image.logsLedBy(1)).toEqual([]);
    world.fence(2);
    expect(world.image.logsLedBy(1)).toEqual([]);
    world.fence(3);
    expect(world.image.logsLedBy(1)).toHaveLength(3);
  });

  test('a log that nobody else can lead stays', () => {
    const world = new World([1, 2]);
    world.do(creation('t', { partitions: 1, replicationFactor: 1 }));
    world.do({ kind: 'resign-node', node: 1, incarnation: 101 });
    expect(world.log('t')).toMatchObject({ leader: 1, epoch: 1 });
  });
});

test('a node is forgotten when it is fenced and hosts nothing', () => {
  const world = threeWithTopic();
  const forget = { kind: 'deregister-node', node: 3, incarnation: 103 } as const;
  expect(world.code(forget)).toBe('node-in-use');
  world.fence(3);
  expect(world.code(forget)).toBe('node-in-use');
  world.do({ kind: 'delete-destination', vhost: '/', name: 't' });
  expect(world.code(forget)).toBe('too-few-voters');
  world.join(4);
  expect(world.do(forget)).toEqual([{ kind: 'node-removed', node: 3 }]);
});
