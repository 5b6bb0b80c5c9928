// Queues that a policy mirrors, and mirrors no more: where they go, when their rule changes, who leads.
import { describe, expect, test } from 'vitest';
import type { PutPolicyCommand } from '../../../src/cluster/metadata/index.ts';
import { mirroredReplicas } from '../../../src/cluster/metadata/mirrors.ts';
import { exclusive, queue } from './routing-words.ts';
import { World } from './world.ts';

function policy(definition: object): PutPolicyCommand {
  const pairs = Object.entries(definition)
    .map(([key, value]) => [key, JSON.stringify(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const fields = { vhost: '/', name: 'p', pattern: '', applyTo: 'all', priority: 0 } as const;
  return { kind: 'put-policy', ...fields, definition: pairs };
}

const exactly = (count: number) => policy({ 'ha-mode': 'exactly', 'ha-params': count });
const named = (...nodes: string[]) => policy({ 'ha-mode': 'nodes', 'ha-params': nodes });
const all = policy({ 'ha-mode': 'all' });
const none = { kind: 'delete-policy', vhost: '/', name: 'p' } as const;

/** What the controller asks for and the leader answers, until nothing changes. The rules it had on the way. */
function settle(world: World, name = 'q'): string[] {
  const seen: string[] = [];
  for (let i = 0; i < 30; i += 1) {
    const log = world.log(name);
    seen.push(`${log.mode} ${[...log.safeSet.map(({ node }) => node)].join()}`);
    const isMoving = log.adding.length + log.removing.length > 0;
    const wanted = isMoving ? undefined : mirroredReplicas(world.image, log);
    const before = world.log(name).partitionEpoch;
    if (wanted !== undefined) {
      const { logId } = log;
      world.do({ kind: 'reassign-log', logId, replicas: wanted, partitionEpoch: -1 });
    } else {
      const set = log.safeSet.map(({ node }) => node);
      const assigned = log.replicas.filter((node) => !log.removing.includes(node));
      const live = assigned.filter((node) => world.image.isNodeLive(node));
      const isReady = assigned.every((node) => set.includes(node));
      const next = isReady ? assigned : [...new Set([...set, ...live])];
      const isSame = next.length === set.length && next.every((node) => set.includes(node));
      if (!isSame || log.leader < 0) expect(world.setCode(name, next)).toBe('ok');
    }
    if (world.log(name).partitionEpoch === before) return [...new Set(seen)];
  }
  throw new Error('it does not come to an end');
}

describe('a queue that is there', () => {
  test('becomes mirrored by way of a set in which each member holds everything', () => {
    const world = new World([1, 2, 3, 4]);
    world.do(queue('q', 1));
    expect(world.log('q')).toMatchObject({ mode: 'quorum', minInsync: 2 });
    const { epoch, leader } = world.log('q');
    world.do(all);
    const rules = settle(world);
    expect(rules[0]).toMatch(/^quorum .,.,.$/);
    const last = world.log('q');
    expect(last).toMatchObject({ mode: 'all', minInsync: 1, leader, isUncleanAllowed: false });
    expect([...last.replicas].sort()).toEqual([1, 2, 3, 4]);
    expect(last.epoch).toBe(epoch + 1);
    // Never the rule of all with a set that was larger than what a commit needed.
    expect(rules.filter((rule) => rule.startsWith('all'))[0]).toMatch(/^all .,.$/);
  });

  test('follows its policy from nodes to nodes, and back to what others have', () => {
    const world = new World([1, 2, 3, 4, 5]);
    world.do(queue('q', 1));
    world.do(exactly(2));
    settle(world);
    expect(world.log('q').replicas).toHaveLength(2);
    world.do(named('n4', 'rabbit@n5', 'n9'));
    settle(world);
    expect([...world.log('q').replicas].sort()).toEqual([4, 5]);
    expect([4, 5]).toContain(world.log('q').leader);
    world.do(exactly(4));
    settle(world);
    expect(world.log('q').replicas).toHaveLength(4);
    world.do(none);
    settle(world);
    expect(world.log('q')).toMatchObject({ mode: 'quorum', minInsync: 2 });
    expect(world.log('q').replicas).toHaveLength(3);
    expect(world.image.destination('/', 'q')!.replicationFactor).toBe(3);
  });

  test('of one replica becomes mirrored too; what is of one node stays there, and a quorum queue as it is', () => {
    const world = new World([1, 2, 3]);
    world.do(queue('q', 2, { replicationFactor: 1 }));
    world.do(exclusive('e', 1));
    world.do(queue('k', 1, { quorum: {} }));
    world.do(queue('m', 1, { durability: 'memory' }));
    world.do(all);
    settle(world);
    expect([...world.log('q').replicas].sort()).toEqual([1, 2, 3]);
    for (const name of ['e', 'k', 'm']) {
      expect(mirroredReplicas(world.image, world.log(name))).toBeUndefined();
    }
  });

  test('is on nodes that come later, where it is to be on all, and leaves those that leave', () => {
    const world = new World([1, 2]);
    world.do(all);
    world.do(queue('q', 1));
    world.join(3);
    settle(world);
    expect([...world.log('q').replicas].sort()).toEqual([1, 2, 3]);
    const { incarnation } = world.image.node(3)!;
    world.do({ kind: 'drain-node', node: 3, incarnation, isLeaving: true });
    settle(world);
    expect([...world.log('q').replicas].sort()).toEqual([1, 2]);
  });

  test('waits where too few are in sync, and while nobody leads it', () => {
    const world = new World([1, 2, 3]);
    world.do(queue('q', 1));
    const { leader } = world.log('q');
    world.setCode('q', [1, 2, 3], [leader]);
    world.do(all);
    expect(mirroredReplicas(world.image, world.log('q'))).toBeUndefined();
    for (const node of [1, 2, 3]) world.fence(node);
    expect(mirroredReplicas(world.image, world.log('q'))).toBeUndefined();
  });
});

describe('a mirrored queue', () => {
  function mirrored(definition: object = {}): World {
    const world = new World([1, 2, 3]);
    world.do(policy({ 'ha-mode': 'all', ...definition }));
    world.do(queue('q', 1));
    return world;
  }

  test('is led by the oldest mirror that is in sync', () => {
    const world = mirrored();
    const [first, second, third] = world.log('q').replicas as [number, number, number];
    world.fence(first);
    expect(world.log('q').leader).toBe(second);
    expect(world.setCode('q', [second, third])).toBe('ok');
    world.unfence(first);
    expect(world.setCode('q', [first, second, third])).toBe('ok');
    // It came back last.
    expect(world.log('q').replicas).toEqual([second, third, first]);
    world.fence(second);
    expect(world.log('q').leader).toBe(third);
  });

  test('is led by one that lacks something only where its policy says so, in an epoch that says so', () => {
    const elect = (world: World) => {
      const [first, second, third] = world.log('q').replicas as [number, number, number];
      world.setCode('q', [first]);
      world.fence(first);
      expect(world.log('q').leader).toBe(-1);
      const { logId, epoch } = world.log('q');
      const code = world.code({
        kind: 'elect-unclean',
        logId,
        node: third,
        epoch,
        isForced: false,
      });
      return { code, log: world.log('q'), second, third };
    };
    expect(elect(mirrored()).code).toBe('unclean-not-allowed');
    const { code, log, third } = elect(mirrored({ 'ha-promote-on-failure': 'always' }));
    expect(code).toBe('ok');
    expect(log).toMatchObject({ leader: third, isUncleanEpoch: true, isr: [third] });
  });

  test('takes on what its policy says of such a mirror, and gives it up', () => {
    const world = mirrored();
    world.do(policy({ 'ha-mode': 'all', 'ha-promote-on-failure': 'always' }));
    expect(world.log('q').isUncleanAllowed).toBe(true);
    world.do(none);
    expect(world.log('q').isUncleanAllowed).toBe(false);
  });
});
