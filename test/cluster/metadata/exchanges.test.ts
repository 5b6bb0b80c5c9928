// Exchanges and bindings: idempotent declarations, refusals that name the difference, cascades.
import { describe, expect, test } from 'vitest';
import { BUILT_IN_EXCHANGES, hashImage } from '../../../src/cluster/metadata/index.ts';
import { bind, exchange, queue, unbind } from './routing-words.ts';
import { creation, registration, World } from './world.ts';

function withQueues(...names: string[]): World {
  const world = new World([1]);
  for (const name of names) world.do(queue(name, 1));
  return world;
}

function kinds(world: World): string[] {
  return world.changes.map((change) => change.kind);
}

const remove = (name: string, ifUnused = false) =>
  ({ kind: 'delete-exchange', vhost: '/', name, ifUnused }) as const;

describe('an exchange', () => {
  test('is made once and agreed to afterwards', () => {
    const world = new World([1]);
    const wanted = exchange('e', { type: 'topic', alternate: 'other' });
    expect(world.do(wanted).map((change) => change.kind)).toEqual(['exchange-created']);
    expect(world.do(wanted)).toEqual([]);
    expect(world.image.routing.exchange('/', 'e')).toMatchObject({
      type: 'topic',
      alternate: 'other',
    });
    expect(world.image.routing.exchange('other', 'e')).toBeUndefined();
  });

  test.each([
    ['type', { type: 'fanout' }, 'fanout', 'direct'],
    ['durable', { durable: false }, 'false', 'true'],
    ['autoDelete', { autoDelete: true }, 'true', 'false'],
    ['internal', { isInternal: true }, 'true', 'false'],
    ['alternate', { alternate: 'a' }, 'a', undefined],
  ])('declared again with another %s is refused, with both values', (property, over, now, was) => {
    const world = new World([1]);
    world.do(exchange('e'));
    const outcome = world.try(exchange('e', over));
    expect(outcome).toMatchObject({
      kind: 'refused',
      code: 'inequivalent',
      difference: { property, received: now, current: was },
    });
    expect(world.changes).toEqual([]);
  });

  test('arguments beyond the alternate do not count', () => {
    const world = new World([1]);
    world.do(exchange('e'));
    expect(world.code(exchange('e', { arguments: new Uint8Array([1]) }))).toBe('ok');
  });

  test('that is built in is there, agrees, differs, and stays', () => {
    const world = new World([1]);
    for (const name of BUILT_IN_EXCHANGES) {
      expect(world.image.routing.exchange('any', name)?.durable).toBe(true);
    }
    expect(world.do(exchange('amq.fanout', { type: 'fanout' }))).toEqual([]);
    expect(world.code(exchange('amq.fanout'))).toBe('inequivalent');
    expect(world.code(exchange(''))).toBe('default-exchange');
    expect(world.code(remove('amq.match'))).toBe('built-in-exchange');
    expect(world.code(remove(''))).toBe('default-exchange');
    expect(world.image.routing.exchanges()).toEqual([]);
  });

  test('names are checked', () => {
    const world = new World([1]);
    expect(world.code(exchange('a\nb'))).toBe('invalid-name');
    expect(world.code(exchange('é'.repeat(128)))).toBe('invalid-name');
    expect(world.code(exchange('e', { type: '' }))).toBe('invalid-name');
    expect(world.code(exchange('__proto__'))).toBe('ok');
    expect(world.image.routing.exchange('/', 'toString')).toBeUndefined();
  });

  test('deleted, takes its bindings to and from it along', () => {
    const world = withQueues('q');
    for (const name of ['a', 'b', 'c']) world.do(exchange(name));
    for (const each of [bind('a', 'x:b'), bind('b', 'q'), bind('b', 'x:c')]) world.do(each);
    world.do(remove('b'));
    expect(kinds(world)).toEqual([
      'binding-deleted',
      'binding-deleted',
      'binding-deleted',
      'exchange-deleted',
    ]);
    expect(world.image.routing.bindingCount).toBe(0);
    expect(world.code(remove('b'))).toBe('unknown-exchange');
  });

  test('in use is kept when asked so; being a target is no use', () => {
    const world = withQueues('q');
    world.do(exchange('a'));
    world.do(exchange('b'));
    world.do(bind('a', 'x:b'));
    expect(world.code(remove('a', true))).toBe('exchange-in-use');
    expect(world.code(remove('b', true))).toBe('ok');
    expect(world.code(remove('a', true))).toBe('ok');
  });

  test('that is transient ends when a node registers and nobody else lives', () => {
    const world = new World([1, 2]);
    world.do(exchange('kept'));
    world.do(exchange('gone', { durable: false }));
    world.do(bind('kept', 'x:gone'));
    world.do(registration(1, { bootCounter: 2, pid: 5 }));
    expect(world.image.routing.exchange('/', 'gone')).toBeDefined();
    world.do(registration(2, { bootCounter: 2, pid: 6 }));
    expect(world.image.routing.exchange('/', 'gone')).toBeUndefined();
    expect(world.image.routing.exchange('/', 'kept')).toBeDefined();
    expect(world.image.routing.bindingCount).toBe(0);
  });
});

describe('a binding', () => {
  test('is all of its fields', () => {
    const world = withQueues('q', 'p');
    world.do(exchange('e'));
    const one = new Uint8Array([1]);
    const all = [
      bind('e', 'q'),
      bind('e', 'p'),
      bind('e', 'q', 'other'),
      bind('amq.topic', 'q'),
      bind('e', 'q', 'k', { arguments: one }),
      bind('e', 'q', 'k', { headerMatch: one }),
      // The same text when written one behind the other.
      bind('e', 'q', '01\u0000k'),
    ];
    for (const each of all) world.do(each);
    for (const each of all) expect(world.do(each)).toEqual([]);
    expect(world.image.routing.bindingCount).toBe(all.length);
    expect(world.image.routing.bindingsFrom('/', 'e')).toHaveLength(6);
    expect(world.image.routing.bindingsTo('/', 'queue', 'q')).toHaveLength(6);
    world.do(unbind('e', 'q', 'k', { arguments: one }));
    expect(world.image.routing.bindingCount).toBe(all.length - 1);
    expect(world.do(unbind('e', 'q', 'k', { arguments: one }))).toEqual([]);
  });

  test('needs both of its ends', () => {
    const world = withQueues('q');
    world.do(exchange('e'));
    world.do(creation('inner', { isInternal: true, partitions: 1 }));
    world.do(creation('stream', { partitions: 3, replicationFactor: 1 }));
    expect(world.code(bind('nothing', 'q'))).toBe('unknown-exchange');
    expect(world.code(bind('e', 'nothing'))).toBe('unknown-destination');
    expect(world.code(bind('e', 'x:nothing'))).toBe('unknown-exchange');
    expect(world.code(bind('e', 'inner'))).toBe('unknown-destination');
    expect(world.code(bind('e', 'stream'))).toBe('ok');
    expect(world.code(bind('', 'q'))).toBe('default-exchange');
    expect(world.code(bind('e', 'x:'))).toBe('default-exchange');
    expect(world.code(unbind('', 'q'))).toBe('default-exchange');
    expect(world.code(unbind('nothing', 'nobody'))).toBe('ok');
  });

  test('goes with its queue', () => {
    const world = withQueues('q');
    world.do(creation('stream', { partitions: 1 }));
    world.do(exchange('e'));
    world.do(bind('e', 'q'));
    world.do(bind('e', 'stream'));
    world.do({ kind: 'delete-queue', vhost: '/', name: 'q', logId: 0 });
    expect(kinds(world)).toEqual(['binding-deleted', 'log-deleted', 'destination-deleted']);
    world.do({ kind: 'delete-destination', vhost: '/', name: 'stream' });
    expect(world.image.routing.bindingCount).toBe(0);
    expect(world.image.routing.exchange('/', 'e')).toBeDefined();
  });
});

describe('an auto-delete exchange', () => {
  test('goes with its last binding as source, never before it had one', () => {
    const world = withQueues('q');
    world.do(exchange('e', { autoDelete: true }));
    world.do(unbind('e', 'q'));
    expect(world.image.routing.exchange('/', 'e')).toBeDefined();
    world.do(bind('e', 'q', 'a'));
    world.do(bind('e', 'q', 'b'));
    world.do(unbind('e', 'q', 'a'));
    expect(kinds(world)).toEqual(['binding-deleted']);
    world.do(unbind('e', 'q', 'b'));
    expect(kinds(world)).toEqual(['binding-deleted', 'exchange-deleted']);
  });

  test('takes a chain along, however long, and a ring only once', () => {
    const world = withQueues('q');
    const length = 20_000;
    for (let i = 0; i < length; i += 1) world.do(exchange(`e${i}`, { autoDelete: true }));
    for (let i = 1; i < length; i += 1) world.do(bind(`e${i}`, `x:e${i - 1}`));
    world.do(bind('e0', 'q'));
    world.do({ kind: 'delete-destination', vhost: '/', name: 'q' });
    expect(world.image.routing.exchanges()).toEqual([]);
    for (const name of ['a', 'b', 'c']) world.do(exchange(name, { autoDelete: true }));
    world.do(bind('a', 'x:b'));
    world.do(bind('b', 'x:c'));
    world.do(bind('c', 'x:a'));
    world.do(bind('c', 'x:c'));
    world.do(unbind('a', 'x:b'));
    const gone = world.changes.flatMap((change) =>
      change.kind === 'exchange-deleted' ? [change.name] : [],
    );
    expect(gone.sort()).toEqual(['a']);
    expect(world.image.routing.exchanges().map(({ name }) => name)).toEqual(['b', 'c']);
  });

  test('ends with its only target, exchange or queue, and ends what only leads to it', () => {
    const world = withQueues('q');
    world.do(exchange('outer', { autoDelete: true }));
    world.do(exchange('inner', { autoDelete: true }));
    world.do(bind('outer', 'x:inner'));
    world.do(bind('inner', 'q'));
    world.do({ kind: 'delete-queue', vhost: '/', name: 'q', logId: 0 });
    expect(world.image.routing.exchanges()).toEqual([]);
    expect(world.image.routing.bindingCount).toBe(0);
  });
});

test('10,000 bindings are made and removed, and the image is as before', () => {
  const world = withQueues('q');
  world.do(exchange('e'));
  const before = hashImage(world.image);
  const version = world.index;
  for (let i = 0; i < 10_000; i += 1) world.do(bind('e', 'q', `key.${i}`));
  expect(world.image.routing.countFrom('/', 'e')).toBe(10_000);
  for (let i = 9_999; i >= 0; i -= 1) world.do(unbind('e', 'q', `key.${i}`));
  world.image.version = version;
  expect(hashImage(world.image)).toBe(before);
});
