// Destinations: defaults, placement, validation as values, growth, configuration and deletion.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CreateDestinationCommand, hashImage } from '../../../src/cluster/metadata/index.ts';
import { placementOrder, placeReplicas } from '../../../src/cluster/metadata/placement.ts';
import { creation, registration, topicId, World } from './world.ts';

describe('placement', () => {
  test('puts replica j of log i on node (i + j) mod n, i counted over the whole cluster', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('a', { partitions: 2, replicationFactor: 2 }));
    world.do(creation('b', { partitions: 2, replicationFactor: 2 }));
    const placed = [world.log('a'), world.log('a', 1), world.log('b'), world.log('b', 1)];
    expect(placed.map((log) => log.replicas)).toEqual([
      [1, 2],
      [2, 3],
      [3, 1],
      [1, 2],
    ]);
    expect(placed.map((log) => log.leader)).toEqual([1, 2, 3, 1]);
  });

  test('leaders and replicas are even to within one, for any cluster and any number of logs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 60 }), (n, logs) => {
        const ids = Array.from({ length: n }, (_, i) => i * 3 + 1);
        const rf = Math.min(3, n);
        const all = Array.from({ length: logs }, (_, i) => placeReplicas(ids, i, rf));
        const spread = (counts: number[]) => Math.max(...counts) - Math.min(...counts);
        const leads = ids.map((id) => all.filter((replicas) => replicas[0] === id).length);
        const holds = ids.map((id) => all.filter((replicas) => replicas.includes(id)).length);
        expect(spread(leads)).toBeLessThanOrEqual(1);
        expect(spread(holds)).toBeLessThanOrEqual(rf);
        for (const replicas of all) expect(new Set(replicas).size).toBe(rf);
      }),
    );
  });

  test('with racks, the replicas of a log lie in different racks', () => {
    const world = new World();
    for (const id of [1, 2, 3]) world.join(id, { rack: 'east' });
    for (const id of [4, 5, 6]) world.join(id, { rack: 'west' });
    const order = placementOrder(world.image.liveNodes());
    for (let i = 0; i < 12; i += 1) {
      const racks = placeReplicas(order, i, 2).map((id) => world.image.node(id)!.rack);
      expect(new Set(racks).size).toBe(2);
    }
  });

  test('uses live nodes only', () => {
    const world = new World([1, 2, 3]);
    world.fence(2);
    world.do(creation('a'));
    expect(world.image.logsOn(2)).toEqual([]);
    expect(world.log('a').replicas).toEqual([1, 3]);
  });
});

describe('defaults', () => {
  test.each([
    [1, 1, 1],
    [2, 2, 1],
    [3, 3, 2],
    [5, 3, 2],
  ])('%i nodes: RF %i, min in-sync %i', (nodes, rf, m) => {
    const world = new World(Array.from({ length: nodes }, (_, i) => i + 1));
    world.do(creation('a'));
    expect(world.log('a')).toMatchObject({ minInsync: m, mode: 'all' });
    expect(world.log('a').replicas).toHaveLength(rf);
  });

  test('stay as they were when the cluster grows', () => {
    const world = new World([1]);
    world.do(creation('a'));
    world.join(2);
    world.join(3);
    expect(world.log('a')).toMatchObject({ minInsync: 1, replicas: [1] });
  });

  test('explicit values are kept', () => {
    const world = new World([1, 2, 3]);
    const config = [['min.insync.replicas', '1'] as const];
    world.do(creation('a', { replicationFactor: 3, config }));
    expect(world.log('a').minInsync).toBe(1);
  });

  test('groups commit on a majority from three replicas on, on all of two', () => {
    const three = new World([1, 2, 3]);
    three.do(creation('g', { logKind: 'group' }));
    expect(three.log('g')).toMatchObject({ mode: 'quorum', minInsync: 2 });
    const two = new World([1, 2]);
    two.do(creation('g', { logKind: 'group' }));
    expect(two.log('g').mode).toBe('all');
  });
});

describe('validation', () => {
  const bad: [string, string, Partial<CreateDestinationCommand>][] = [
    ['invalid-name', '', {}],
    ['invalid-name', '..', {}],
    ['invalid-name', 'a\nb', {}],
    ['invalid-name', 'é'.repeat(128), {}],
    ['invalid-partitions', 'a', { partitions: 0 }],
    ['invalid-partitions', 'a', { partitions: 10_001 }],
    ['invalid-replication-factor', 'a', { replicationFactor: 0 }],
    ['invalid-replication-factor', 'a', { replicationFactor: 4 }],
    ['invalid-assignment', 'a', { assignments: [[1, 9]] }],
    ['invalid-assignment', 'a', { assignments: [[1, 1]] }],
    ['invalid-assignment', 'a', { assignments: [[1, 2], [1]] }],
    ['invalid-assignment', 'a', { assignments: [[]] }],
    ['invalid-assignment', 'a', { partitions: 3, assignments: [[1]] }],
    ['invalid-config', 'a', { config: [['min.insync.replicas', 'x']] }],
    ['invalid-config', 'a', { config: [['min.insync.replicas', '4']] }],
    ['invalid-config', 'a', { config: [['callboard.durability', 'disk']] }],
    [
      'invalid-replication-factor',
      'a',
      { config: [['callboard.durability', 'memory']], replicationFactor: 2 },
    ],
    ['malformed', 'a', { topicId: new Uint8Array(3) }],
    ['exists', 'taken', {}],
  ];
  test.each(bad)('refuses %s (%j) and changes nothing', (code, name, over) => {
    const world = new World([1, 2, 3]);
    world.do(creation('taken'));
    const before = hashImage(world.image);
    const command = creation(name, { partitions: -1, ...over });
    expect(world.code(command)).toBe(code);
    expect(world.changes).toEqual([]);
    world.image.version -= 1;
    expect(hashImage(world.image)).toBe(before);
  });

  test('names that are dangerous as object keys are names like any other', () => {
    const world = new World([1]);
    for (const name of ['__proto__', 'constructor', '🎭']) {
      world.do(creation(name));
      expect(world.log(name).destination).toBe(name);
    }
    expect(world.image.destination('/', 'toString')).toBeUndefined();
  });

  test('vhosts are separate', () => {
    const world = new World([1]);
    world.do(creation('a'));
    world.do({ kind: 'put-vhost', name: 'other' });
    world.do(creation('a', { vhost: 'other', topicId: topicId(99) }));
    expect(world.image.destinations().map((d) => d.vhost)).toEqual(['/', 'other']);
  });
});

describe('life', () => {
  test('growth adds logs at the end, with the same rules', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('a', { partitions: 1, config: [['min.insync.replicas', '1']] }));
    const add = { kind: 'add-partitions', vhost: '/', name: 'a', assignments: [] } as const;
    expect(world.do({ ...add, partitions: 3 }).map((c) => c.kind)).toEqual([
      'log-created',
      'log-created',
      'destination-changed',
    ]);
    expect([0, 1, 2].map((p) => world.log('a', p).minInsync)).toEqual([1, 1, 1]);
    expect(world.code({ ...add, partitions: 2 })).toBe('invalid-partitions');
    expect(world.code({ ...add, name: 'x', partitions: 9 })).toBe('unknown-destination');
  });

  test('a deleted log is named with its replicas, and its id never comes back', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('a', { partitions: 1 }));
    const { logId, replicas } = world.log('a');
    const changes = world.do({ kind: 'delete-destination', vhost: '/', name: 'a' });
    expect(changes).toEqual([
      { kind: 'log-deleted', logId, replicas },
      { kind: 'destination-deleted', vhost: '/', name: 'a' },
    ]);
    expect([world.image.isDeleted(logId), world.image.isDeleted(logId + 1)]).toEqual([true, false]);
    world.do(creation('a', { partitions: 1 }));
    expect(world.log('a').logId).toBe(logId + 1);
    expect(world.image.logsOn(1)).toEqual([logId + 1]);
  });

  test('configuration changes and replaces, and reaches the logs', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('a', { config: [['retention.ms', '5']] }));
    const configure = { kind: 'configure-destination', vhost: '/', name: 'a' } as const;
    world.do({ ...configure, replace: false, entries: [['min.insync.replicas', '3']] });
    expect(world.log('a').minInsync).toBe(3);
    expect(world.image.destination('/', 'a')!.config).toEqual([
      ['min.insync.replicas', '3'],
      ['retention.ms', '5'],
    ]);
    world.do({ ...configure, replace: false, entries: [['min.insync.replicas', undefined]] });
    expect(world.log('a').minInsync).toBe(2);
    world.do({
      ...configure,
      replace: true,
      entries: [['unclean.leader.election.enable', 'true']],
    });
    expect(world.log('a').isUncleanAllowed).toBe(true);
    expect(world.image.destination('/', 'a')!.config).toHaveLength(1);
    const bad = { ...configure, replace: false, entries: [['min.insync.replicas', '9']] } as const;
    expect(world.code(bad)).toBe('invalid-config');
  });

  test('look-ups agree', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('b'));
    world.do(creation('a'));
    const { image } = world;
    expect(image.destinations().map((d) => d.name)).toEqual(['a', 'b']);
    const a = image.destination('/', 'a')!;
    expect(image.destinationByTopicId(a.topicId)).toBe(a);
    const led = [1, 2, 3].flatMap((node) => image.logsLedBy(node));
    expect(led.sort((x, y) => x - y)).toEqual(image.logs().map((log) => log.logId));
  });
});

test('a cluster is initialized once', () => {
  const world = new World();
  const init = { kind: 'init-cluster', clusterId: 'c1' } as const;
  const defaults = { partitions: 7, replicationFactor: 2 };
  world.do({ ...init, defaults });
  expect(world.code({ ...init, clusterId: 'c2', defaults })).toBe('already-initialized');
  world.do(registration(1));
  expect(world.code(creation('a'))).toBe('invalid-replication-factor');
  world.unfence(1);
  world.join(2);
  world.do(creation('a', { partitions: -1 }));
  expect(world.image.destination('/', 'a')!.logIds).toHaveLength(7);
});
