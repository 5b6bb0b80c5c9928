// What the metadata makes of the four durabilities: where they are kept, what may change, and how a log in memory
// ends and begins again.
import { describe, expect, test } from 'vitest';
import {
  type Durability,
  hashImage,
  MetadataImage,
  restoreImage,
  snapshotImage,
} from '../../../src/cluster/metadata/index.ts';
import { queue } from './routing-words.ts';
import { creation, registration, World } from './world.ts';

const KEY = 'callboard.durability';
const topic = (durability: Durability, over = {}) =>
  creation('t', { config: [[KEY, durability]], ...over });
const configure = (entries: readonly (readonly [string, string | undefined])[], replace = false) =>
  ({ kind: 'configure-destination', vhost: '/', name: 't', replace, entries }) as const;

test.each(['sync', 'replicated', 'async', 'memory'] as const)(
  '%s: a topic and a queue have it in their logs, and in a snapshot',
  (durability) => {
    const world = new World([1, 2, 3]);
    world.do(topic(durability));
    world.do(queue('q', 1, { durability }));
    expect(world.log('t').durability).toBe(durability);
    expect(world.log('q').durability).toBe(durability);
    expect(world.image.destination('/', 'q')!.queue!.durability).toBe(durability);
    const copy = new MetadataImage();
    restoreImage(copy, snapshotImage(world.image));
    expect(hashImage(copy)).toBe(hashImage(world.image));
    expect(copy.log(world.log('q').logId)!.durability).toBe(durability);
  },
);

test('a queue that names none: sync if it is durable, async if it ends with its node', () => {
  const world = new World([1]);
  world.do(queue('durable', 1));
  world.do(queue('transient', 1, { durable: false }));
  expect(world.log('durable').durability).toBe('sync');
  expect(world.log('transient').durability).toBe('async');
  // What it would have anyway is the same, said or not.
  world.do(queue('durable', 1, { durability: 'sync' }));
  world.do(queue('transient', 1, { durable: false, durability: 'async' }));
});

test('a queue that is declared again as something else is refused with the difference', () => {
  const world = new World([1]);
  world.do(queue('q', 1, { durability: 'async' }));
  const outcome = world.try(queue('q', 1));
  expect(outcome).toMatchObject({
    code: 'inequivalent',
    difference: { property: 'durability', received: undefined, current: 'async' },
  });
});

test('a topic changes it, but not to memory or from it', () => {
  const world = new World([1, 2, 3]);
  world.do(topic('sync'));
  world.do(configure([[KEY, 'async']]));
  expect(world.log('t').durability).toBe('async');
  world.do(configure([[KEY, undefined]]));
  expect(world.log('t').durability).toBe('sync');
  expect(world.code(configure([[KEY, 'memory']]))).toBe('invalid-config');
  expect(world.code(configure([[KEY, 'never']]))).toBe('invalid-config');
  expect(world.log('t').durability).toBe('sync');
});

test('a queue stays what it was declared as: the refusal says so', () => {
  const world = new World([1]);
  world.do(queue('t', 1, { durability: 'async' }));
  for (const replace of [false, true]) {
    const outcome = world.try(configure([['retention.ms', '5']], replace));
    expect(outcome).toMatchObject({ code: 'invalid-config' });
    expect(outcome).toMatchObject({ message: expect.stringContaining('t is a queue') as string });
  }
  expect(world.log('t').durability).toBe('async');
});

test('what was good when it was asked for is refused with what came in between', () => {
  const world = new World([1]);
  world.do(creation('t'));
  world.do(configure([['min.compaction.lag.ms', '2000']]));
  const outcome = world.try(configure([['max.compaction.lag.ms', '1000']]));
  expect(outcome).toMatchObject({
    code: 'invalid-config',
    message: 'min.compaction.lag.ms: must not be more than max.compaction.lag.ms',
  });
  world.do(configure([['max.compaction.lag.ms', '9223372036854775807']]));
});

describe('in memory', () => {
  test('there is one replica, whatever the cluster has by default', () => {
    const world = new World([1, 2, 3]);
    world.do(topic('memory'));
    world.do(queue('q', 2, { durability: 'memory' }));
    for (const name of ['t', 'q']) {
      expect(world.log(name)).toMatchObject({ mode: 'all', minInsync: 1 });
      expect(world.log(name).replicas).toHaveLength(1);
    }
    expect(world.log('q').replicas).toEqual([2]);
    const two = creation('two', { config: [[KEY, 'memory']], replicationFactor: 2 });
    expect(world.code(two)).toBe('invalid-replication-factor');
  });

  test('it stays so where a whole new config does not name it', () => {
    const world = new World([1]);
    world.do(topic('memory'));
    world.do(configure([['retention.ms', '5']], true));
    expect(world.log('t').durability).toBe('memory');
    expect(world.image.destination('/', 't')!.config).toContainEqual([KEY, 'memory']);
    expect(world.code(configure([[KEY, undefined]]))).toBe('invalid-config');
  });

  test.each([true, false])('it is not compacted, as a whole new config (%s) or not', (replace) => {
    const world = new World([1]);
    world.do(topic('memory'));
    expect(world.code(configure([['cleanup.policy', 'delete, compact']], replace))).toBe(
      'invalid-config',
    );
    expect(world.image.destination('/', 't')!.config).toEqual([[KEY, 'memory']]);
    const both = [
      [KEY, 'memory'],
      ['cleanup.policy', 'compact'],
    ] as const;
    expect(world.code(creation('both', { config: both }))).toBe('invalid-config');
  });

  test('a new process has another, empty log, whose epochs go on; the node keeps its name', () => {
    const world = new World([1, 2]);
    world.do(topic('memory', { partitions: 1 }));
    const before = world.log('t');
    const node = before.replicas[0]!;
    const changes = world.do(registration(node, { bootCounter: 2, pid: 9 }));
    expect(changes).toContainEqual({
      kind: 'log-deleted',
      logId: before.logId,
      replicas: [node],
    });
    expect(world.log('t').leader).toBe(-1);
    world.unfence(node);
    const after = world.log('t');
    expect(after.logId).toBeGreaterThan(before.logId);
    expect(after.epoch).toBeGreaterThan(before.epoch);
    expect(after).toMatchObject({ leader: node, partition: 0, durability: 'memory' });
    expect(after.safeSet).toEqual([{ node, incarnation: 100 + node }]);
    expect(world.image.isDeleted(before.logId)).toBe(true);
  });

  test('it waits for a node that only counts as dead', () => {
    const world = new World([1, 2]);
    world.do(topic('memory', { partitions: 1 }));
    const { logId, replicas } = world.log('t');
    world.fence(replicas[0]!);
    expect(world.log('t')).toMatchObject({ logId, leader: -1 });
    world.unfence(replicas[0]!);
    expect(world.log('t')).toMatchObject({ logId, leader: replicas[0] });
  });

  test('the worker of its shard begins anew: only the logs of that shard do', () => {
    const world = new World([1]);
    world.do(topic('memory', { partitions: 8 }));
    const logs = () => world.image.destination('/', 't')!.logIds.map((id) => world.image.log(id)!);
    const before = logs();
    const shardIncarnation = 77;
    const restart = { kind: 'restart-shard', node: 1, incarnation: 101, shard: 1 } as const;
    world.do({ ...restart, shardIncarnation });
    const after = logs();
    const same = after.filter((log, i) => log.logId === before[i]!.logId).length;
    expect(same).toBeGreaterThan(0);
    expect(same).toBeLessThan(8);
    expect(after.map(({ leader }) => leader)).toEqual(after.map(() => 1));
    expect(after.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
