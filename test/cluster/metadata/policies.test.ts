// Policies: judged, kept, laid on what is there and what is made, and outdone by what is declared.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Durability,
  definitionNotes,
  hashImage,
  MetadataImage,
  type PutPolicyCommand,
  restoreImage,
  snapshotImage,
} from '../../../src/cluster/metadata/index.ts';
import { runs } from '../../setup/runs.ts';
import { exclusive, queue } from './routing-words.ts';
import { creation, topicId, World } from './world.ts';

type Definition = Readonly<Record<string, unknown>>;

function policy(
  name: string,
  definition: Definition = { 'x-durability': 'async' },
  over: Partial<PutPolicyCommand> = {},
): PutPolicyCommand {
  const pairs = Object.entries(definition).map(
    ([key, value]) => [key, JSON.stringify(value)] as const,
  );
  pairs.sort(([a], [b]) => (a < b ? -1 : 1));
  const fields = { vhost: '/', pattern: '', applyTo: 'all', priority: 0 } as const;
  return { kind: 'put-policy', ...fields, name, definition: pairs, ...over };
}

const says = (durability: string) => ({ 'x-durability': durability });
const remove = (name: string) => ({ kind: 'delete-policy', vhost: '/', name }) as const;
const topic = (name: string, over = {}) => creation(name, { partitions: 2, ...over });
const policyOf = (world: World, name: string) => world.image.destination('/', name)!.policy;
const replicasOf = (world: World, name: string) => world.log(name).replicas;

/** The policy and the durability of each, and that all logs of it have the same. */
function seen(world: World): Record<string, string> {
  const entries = world.image.destinations().map(({ name, policy: own, logIds }) => {
    const all = new Set(logIds.map((id) => world.image.log(id)!.durability));
    return [name, `${own ?? '-'} ${[...all].join('+')}`];
  });
  return Object.fromEntries(entries);
}

describe('a policy', () => {
  test('gives what is made under it its durability, and what is there', () => {
    const world = new World([1, 2, 3]);
    world.do(queue('q-old', 1));
    world.do(topic('t-old'));
    world.do(policy('p'));
    world.do(queue('q-new', 1));
    world.do(topic('t-new'));
    const all = { 'q-old': 'p async', 'q-new': 'p async', 't-old': 'p async', 't-new': 'p async' };
    expect(seen(world)).toEqual(all);
    world.do(policy('p', says('replicated')));
    expect(Object.values(seen(world))).toEqual(Array(4).fill('p replicated'));
    world.do(remove('p'));
    expect(Object.values(seen(world))).toEqual(Array(4).fill('- sync'));
  });

  test('tells what it changed and nothing else: logs in a new partition epoch', () => {
    const world = new World([1]);
    world.do(queue('a', 1));
    world.do(queue('b', 1));
    const { logId, partitionEpoch } = world.log('a');
    const changes = world.do(policy('p', says('async'), { pattern: '^a' }));
    expect(changes).toEqual([
      { kind: 'policy-changed', vhost: '/', name: 'p' },
      { kind: 'destination-changed', vhost: '/', name: 'a' },
      { kind: 'log-changed', logId },
    ]);
    expect(world.log('a').partitionEpoch).toBe(partitionEpoch + 1);
    expect(world.do(policy('p', says('async'), { pattern: '^a' }))).toHaveLength(1);
  });

  test('does not outdo what is declared', () => {
    const world = new World([1, 2, 3]);
    world.do(queue('q', 1, { durability: 'replicated' }));
    world.do(topic('t', { config: [['callboard.durability', 'replicated']] }));
    world.do(policy('p'));
    expect(seen(world)).toEqual({ q: 'p replicated', t: 'p replicated' });
    const entries = [['callboard.durability', undefined]] as const;
    world.do({ kind: 'configure-destination', vhost: '/', name: 't', replace: false, entries });
    expect(seen(world)['t']).toBe('p async');
  });

  test('of a higher priority is the only one that counts; of equal ones the first by name', () => {
    const world = new World([1]);
    world.do(queue('q', 1));
    world.do(policy('b', says('async')));
    world.do(policy('c', says('replicated')));
    expect(seen(world)['q']).toBe('b async');
    world.do(policy('a', says('sync')));
    expect(seen(world)['q']).toBe('a sync');
    world.do(policy('c', says('replicated'), { priority: 1 }));
    expect(seen(world)['q']).toBe('c replicated');
    world.do(policy('c', says('replicated'), { priority: -1 }));
    expect(seen(world)['q']).toBe('a sync');
    // Not of a queue with another name any more.
    world.do(policy('a', says('sync'), { pattern: 'x' }));
    expect(seen(world)['q']).toBe('b async');
    world.do(remove('b'));
    expect(seen(world)['q']).toBe('c replicated');
  });

  test('concerns what it says it does, and never what is internal, a group or an actor', () => {
    const world = new World([1]);
    world.do(queue('q', 1));
    world.do(exclusive('e', 1));
    world.do(topic('t'));
    world.do(topic('i', { isInternal: true }));
    world.do(topic('g', { logKind: 'group' }));
    const having = (applyTo: PutPolicyCommand['applyTo']) => {
      world.do(policy('p', says('async'), { applyTo }));
      const all = world.image.destinations();
      return all.filter((each) => each.policy === 'p').map(({ name }) => name);
    };
    expect(having('all')).toEqual(['e', 'q', 't']);
    expect(having('queues')).toEqual(['e', 'q', 't']);
    expect(having('classic_queues')).toEqual(['e', 'q']);
    expect(having('streams')).toEqual(['t']);
  });

  test('is for quorum queues where all of its keys are', () => {
    const world = new World([1, 2, 3]);
    world.do(queue('q', 1));
    world.do(topic('t'));
    world.do(queue('k', 1, { quorum: {} }));
    const having = (definition: Definition, applyTo: PutPolicyCommand['applyTo'] = 'all') => {
      world.do(policy('p', definition, { applyTo }));
      const all = world.image.destinations();
      return all.filter((each) => each.policy === 'p').map(({ name }) => name);
    };
    expect(having(says('async'))).toEqual(['q', 't']);
    expect(having({ 'ha-mode': 'all' }, 'classic_queues')).toEqual(['q']);
    expect(having({ 'delivery-limit': 3 })).toEqual(['k']);
    expect(having({ 'delivery-limit': 3 }, 'quorum_queues')).toEqual(['k']);
    expect(having({ 'delivery-limit': 3 }, 'classic_queues')).toEqual([]);
    expect(having({ 'delivery-limit': 3, ...says('async') })).toEqual([]);
    expect(world.log('k')).toMatchObject({ mode: 'quorum', minInsync: 2, durability: 'sync' });
  });

  test('that says memory is for what is made from then on, and stays there', () => {
    const world = new World([1, 2, 3]);
    world.do(queue('q-old', 1));
    world.do(topic('t-old'));
    world.do(policy('p', says('memory')));
    world.do(queue('q-new', 2));
    world.do(topic('t-new'));
    // These do not go with it.
    world.do(topic('t-three', { replicationFactor: 3 }));
    world.do(topic('t-compact', { config: [['cleanup.policy', 'compact']] }));
    expect(seen(world)).toEqual({
      'q-new': 'p memory',
      'q-old': 'p sync',
      't-compact': 'p sync',
      't-new': 'p memory',
      't-old': 'p sync',
      't-three': 'p sync',
    });
    expect(replicasOf(world, 'q-new')).toEqual([2]);
    expect(replicasOf(world, 't-new')).toHaveLength(1);
    const configure = (value: string, key = 'callboard.durability') =>
      world.code({
        kind: 'configure-destination',
        vhost: '/',
        name: 't-new',
        replace: false,
        entries: [[key, value]],
      });
    expect(configure('1000', 'retention.ms')).toBe('ok');
    expect(configure('async')).toBe('invalid-config');
    expect(configure('compact', 'cleanup.policy')).toBe('invalid-config');
    world.do(remove('p'));
    expect(seen(world)).toMatchObject({ 'q-new': '- memory', 't-new': '- memory' });
    expect(configure('2000', 'retention.ms')).toBe('ok');
  });

  test('makes something else of a queue than who names the default asks for', () => {
    const world = new World([1]);
    world.do(policy('p'));
    world.do(queue('q', 1));
    world.do(queue('q', 1));
    const outcome = world.try(queue('q', 1, { durability: 'sync' }));
    const difference = { property: 'durability', received: 'sync', current: 'async' };
    expect(outcome).toMatchObject({ code: 'inequivalent', difference });
  });

  test.each<[Definition, readonly number[], number]>([
    [{ 'ha-mode': 'all' }, [1, 2, 3, 4], 4],
    [{ 'ha-mode': 'exactly', 'ha-params': 2 }, [1, 2], 2],
    [{ 'ha-mode': 'exactly', 'ha-params': 9 }, [1, 2, 3], 3],
    [{ 'ha-mode': 'nodes', 'ha-params': ['rabbit@n3', 'n1', 'node-9'] }, [3, 1], 2],
    [{ 'ha-mode': 'nodes', 'ha-params': ['n4'] }, [2], 1],
  ])('%j mirrors queues when they are made', (definition, nodes, count) => {
    const world = new World([1, 2, 3, 4]);
    world.fence(4);
    world.do(queue('before', 2));
    world.do(policy('p', { ...definition, 'ha-sync-mode': 'automatic' }));
    const before = replicasOf(world, 'before');
    world.do(queue('q', 2));
    world.do(queue('one', 2, { replicationFactor: 1 }));
    for (const name of ['q', 'one']) {
      const log = world.log(name);
      expect(log).toMatchObject({ mode: 'all', minInsync: 1, durability: 'sync' });
      expect(log.replicas).toHaveLength(count);
      expect(log.isr).toEqual([...log.replicas].filter((id) => id !== 4).sort());
    }
    if (definition['ha-mode'] !== 'exactly') {
      expect([...replicasOf(world, 'q')].sort()).toEqual([...nodes].sort());
    }
    if (definition['ha-mode'] === 'nodes') expect(replicasOf(world, 'q')).toEqual(nodes);
    expect(replicasOf(world, 'before')).toEqual(before);
    // What ends with a node or a connection stays on it.
    world.do(exclusive('e', 1));
    world.do(queue('t', 2, { durable: false }));
    world.do(queue('a', 2, { autoDelete: true }));
    for (const name of ['e', 't', 'a']) expect(replicasOf(world, name)).toHaveLength(1);
  });

  test.each<[Definition, string]>([
    [{}, 'at least one key'],
    [{ 'message-ttl': 5 }, 'message-ttl is not honoured by this version'],
    [{ durability: 'sync' }, 'durability is not a key of a policy; known: delivery-limit, ha-mode'],
    [{ 'delivery-limit': '3' }, 'delivery-limit is a whole number, not "3"'],
    [{ 'delivery-limit': 0.5 }, 'delivery-limit is a whole number, not 0.5'],
    [{ 'x-durability': 'disk' }, 'must be one of sync, replicated, async, memory, not "disk"'],
    [{ 'x-durability': 1 }, 'must be one of'],
    [{ 'ha-params': 2 }, 'ha-params goes with ha-mode'],
    [{ 'ha-mode': 'some' }, 'ha-mode must be one of all, exactly, nodes'],
    [{ 'ha-mode': 'all', 'ha-params': 2 }, 'ha-mode "all" has no ha-params'],
    [{ 'ha-mode': 'exactly' }, 'a whole number from 1'],
    [{ 'ha-mode': 'exactly', 'ha-params': 0 }, 'a whole number from 1'],
    [{ 'ha-mode': 'nodes', 'ha-params': [] }, 'a list of 1 to 64 nodes'],
    [{ 'ha-mode': 'nodes', 'ha-params': ['rabbit@host'] }, 'a list of 1 to 64 nodes'],
    [{ 'ha-mode': 'nodes', 'ha-params': ['n1', 1] }, 'names a node twice'],
    [{ 'ha-mode': 'all', 'ha-sync-mode': 'never' }, 'ha-sync-mode must be one of'],
    [{ 'ha-mode': 'all', 'ha-promote-on-failure': 'often' }, 'when-synced, always'],
    [{ 'ha-mode': 'all', 'ha-promote-on-shutdown': 'always' }, 'hands over'],
  ])('with the definition %j is refused: %s', (definition, why) => {
    const world = new World([1]);
    const outcome = world.try(policy('p', definition));
    expect(outcome).toMatchObject({ code: 'invalid-policy' });
    expect(outcome).toMatchObject({ message: expect.stringContaining(why) as string });
    expect(world.image.policies.policies()).toEqual([]);
    expect(world.changes).toEqual([]);
  });

  test.each<[Partial<PutPolicyCommand>, string]>([
    [{ pattern: '(' }, 'invalid-policy'],
    [{ pattern: '(a)\\1' }, 'invalid-policy'],
    [{ name: '' }, 'invalid-policy'],
    [{ vhost: 'other' }, 'unknown-vhost'],
    [{ priority: 2 ** 31 }, 'invalid-policy'],
    [{ definition: [['x-durability', 'sync']] }, 'invalid-policy'],
    [
      {
        definition: [
          ['x-durability', '"sync"'],
          ['x-durability', '"async"'],
        ],
      },
      'malformed',
    ],
  ])('with %j is refused: %s', (over, code) => {
    const world = new World([1]);
    expect(world.code(policy('p', undefined, over))).toBe(code);
    expect(world.image.policies.count).toBe(0);
  });

  test('that is not there is not deleted, and of more than 1,000 the next is refused', () => {
    const world = new World([1]);
    expect(world.code(remove('p'))).toBe('unknown-policy');
    for (let i = 0; i < 1_000; i += 1) world.do(policy(`p${i}`, undefined, { pattern: `${i}$` }));
    expect(world.code(policy('more'))).toBe('too-many');
    expect(world.code(policy('p7', says('sync')))).toBe('ok');
    world.do(remove('p8'));
    expect(world.code(policy('more'))).toBe('ok');
  });
});

test('what cannot be said again is told to whoever sets it', () => {
  const notes = (definition: Definition) => definitionNotes(policy('p', definition).definition);
  expect(notes(says('async'))).toEqual([]);
  expect(notes(says('memory')).join()).toContain('from now on');
  expect(notes({ 'delivery-limit': 1 })).toEqual([expect.stringContaining('no other destination')]);
  expect(notes({ 'delivery-limit': 1, ...says('sync') }).join()).toContain('is for nothing');
  expect(notes({ 'ha-mode': 'all' }).join()).toContain('ha-sync-mode');
  const always = { 'ha-mode': 'all', 'ha-promote-on-failure': 'always' };
  expect(notes(always).join()).toContain('is lost');
  expect(notes({ 'ha-mode': 'all', 'ha-sync-mode': 'manual' }).join()).toContain('ha-sync-mode');
  expect(notes({ 'ha-mode': 'all', 'ha-sync-mode': 'automatic' }).join()).not.toContain(
    'sync-mode',
  );
});

// ---- Random histories -----------------------------------------------------------------------------

const DURABILITIES = ['sync', 'replicated', 'async', 'memory'] as const;

/** Said once more, in the plainest way: of all that match the first in order. */
function expected(world: World, name: string): string | undefined {
  const { queue: own, isInternal } = world.image.destination('/', name)!;
  const all = world.image.policies.policies().filter(({ pattern, applyTo }) => {
    if (isInternal || !new RegExp(pattern).test(name)) return false;
    if (applyTo === 'quorum_queues') return false;
    return applyTo === 'classic_queues'
      ? own !== undefined
      : applyTo !== 'streams' || own === undefined;
  });
  const best = Math.max(...all.map(({ priority }) => priority));
  return all
    .filter(({ priority }) => priority === best)
    .map((each) => each.name)
    .sort()[0];
}

test('in any history each destination has its policy, and replicas agree from any point', () => {
  let laid = 0;
  const moves = fc.array(fc.tuple(fc.nat(7), fc.nat(60), fc.nat(60)), {
    minLength: 30,
    maxLength: 60,
  });
  const property = fc.property(moves, fc.nat(50), (history, cut) => {
    const world = new World([1, 2, 3]);
    const late = new World();
    history.forEach(([what, a, b], i) => {
      const durability: Durability = DURABILITIES[b % 4]!;
      const applyTo = (['all', 'queues', 'classic_queues', 'streams'] as const)[b % 4]!;
      const over = { pattern: ['', '^a', 'b|c', '[cd]$'][a % 4]!, applyTo, priority: (a % 3) - 1 };
      const name = `${'abcd'[b % 4]}${a % 5}${'abcd'[a % 4]}`;
      const id = topicId(world.index);
      const command =
        what < 3
          ? policy(`p${a % 4}`, says(durability), over)
          : what === 3
            ? remove(`p${a % 4}`)
            : what === 4
              ? queue(name, 1 + (b % 3), { topicId: id, durable: b % 2 === 0 })
              : what === 5
                ? topic(name, { topicId: id, isInternal: a % 7 === 0 })
                : what === 6
                  ? ({ kind: 'delete-destination', vhost: '/', name } as const)
                  : queue(name, 1, { topicId: id, durability });
      const outcome = world.try(command);
      for (const destination of world.image.destinations()) {
        expect(destination.policy).toBe(expected(world, destination.name));
        if (destination.policy !== undefined) laid += 1;
        const modes = new Set(destination.logIds.map((log) => world.image.log(log)!.durability));
        expect(modes.size).toBe(1);
        const own = destination.queue?.durability;
        if (own !== undefined) expect([...modes]).toEqual([own]);
      }
      if (i === cut) restoreImage(late.image, snapshotImage(world.image));
      if (i > cut) {
        late.index = world.index - 1;
        expect(late.try(command)).toEqual(outcome);
        expect(late.changes).toEqual(world.changes);
      }
    });
    if (history.length > cut) expect(hashImage(late.image)).toBe(hashImage(world.image));
  });
  fc.assert(property, { numRuns: runs(100, 25), seed: 5 });
  expect(laid).toBeGreaterThan(runs(1_000, 250));
});

test('a policy in a snapshot that this version cannot read is refused, not taken for none', () => {
  const world = new World([1]);
  world.do(policy('p'));
  const bytes = snapshotImage(world.image);
  const copy = new MetadataImage();
  restoreImage(copy, bytes);
  expect(copy.policies.policies()).toEqual(world.image.policies.policies());
  const text = Buffer.from(bytes).indexOf('"async"');
  bytes[text + 1] = 'z'.charCodeAt(0);
  expect(() => restoreImage(copy, bytes)).toThrow();
  expect(copy.policies.count).toBe(1);
});

test('a policy costs one pattern for each destination, not all policies for each', () => {
  const world = new World([1]);
  for (let i = 0; i < 50; i += 1) world.do(policy(`p${i}`, undefined, { pattern: `^p${i}$` }));
  for (let i = 0; i < 40; i += 1) world.do(queue(`q${i}`, 1));
  const tested: string[] = [];
  const { match, doesMatch } = world.image.policies;
  world.image.policies.match = function counted(subject) {
    tested.push(`all ${subject.name}`);
    return match.call(this, subject);
  };
  world.image.policies.doesMatch = function counted(name, subject) {
    tested.push(name);
    return doesMatch.call(this, name, subject);
  };
  world.do(policy('last', undefined, { pattern: '^q7$' }));
  expect(tested.filter((each) => each.startsWith('all'))).toEqual(['all q7']);
  expect(tested).toHaveLength(41);
  expect(policyOf(world, 'q7')).toBe('last');
});
