// The table as a whole: exchanges that lead to each other, alternates, names; and random histories in
// which it must equal one that is built anew, and a naive router.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BindingView, RouteInput, RoutingTable } from '../../../src/broker/ports.ts';
import type { MetadataCommand } from '../../../src/cluster/metadata/index.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import { bind, exchange, queue, unbind } from '../../cluster/metadata/routing-words.ts';
import { creation, topicId } from '../../cluster/metadata/world.ts';
import { runs } from '../../setup/runs.ts';
import { matchBytes, RoutedNode, routed, to } from './harness.ts';
import { type Message, type Model, routeNaively, type Wanted } from './naive.ts';

function node(...names: string[]): RoutedNode {
  const made = new RoutedNode();
  names.forEach((name, i) => {
    made.do(queue(name, 1, { topicId: topicId(i) }));
  });
  return made;
}

describe('a message', () => {
  test('to the exchange without a name goes to the queue or stream that is called like its key', () => {
    const it = node('q');
    it.do(creation('stream', { partitions: 3, topicId: topicId(90) }));
    it.do(creation('inner', { isInternal: true, topicId: topicId(91) }));
    expect(it.routed(to('', 'q'))).toEqual(['q']);
    expect(it.routed(to('', 'stream'))).toEqual(['stream']);
    expect(it.routed(to('', 'inner'))).toEqual([]);
    expect(it.routed(to('', 'nobody'))).toEqual([]);
    it.do({ kind: 'delete-destination', vhost: '/', name: 'q' });
    expect(it.routed(to('', 'q'))).toEqual([]);
    it.do({ kind: 'delete-destination', vhost: '/', name: 'inner' });
  });

  test('to a direct exchange needs the very key; to a fanout none', () => {
    const it = node('a', 'b');
    it.do(bind('amq.direct', 'a', 'ké'), bind('amq.direct', 'b', 'ké'), bind('amq.fanout', 'a'));
    it.do(bind('amq.fanout', 'a', 'other'), bind('amq.fanout', 'b'));
    expect(it.routed(to('amq.direct', 'ké'))).toEqual(['a', 'b']);
    expect(it.routed(to('amq.direct', 'k'))).toEqual([]);
    expect(it.routed(to('amq.fanout', 'whatever'))).toEqual(['a', 'b']);
    it.do(unbind('amq.fanout', 'a'));
    expect(it.routed(to('amq.fanout', ''))).toEqual(['a', 'b']);
  });

  test('with several keys goes where any of them leads, once', () => {
    const it = node('a', 'b', 'c');
    it.do(bind('amq.direct', 'a', '1'), bind('amq.direct', 'b', '2'), bind('amq.direct', 'a', '2'));
    const keys = ['1', '2', '3', '4', '5', '6'];
    expect(it.routed(to('amq.direct', ...keys))).toEqual(['a', 'b']);
    expect(it.routed(to('', 'a', 'c', 'a'))).toEqual(['a', 'c']);
    it.do(bind('amq.topic', 'c', '*.x'), bind('amq.topic', 'b', '#'));
    expect(it.routed(to('amq.topic', '1.x', '2.x'))).toEqual(['b', 'c']);
  });

  test('through exchanges in a ring ends, and each queue has one copy', () => {
    const it = node('q', 'p');
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) it.do(exchange(name, { type: 'fanout' }));
    for (const from of names) for (const target of names) it.do(bind(from, `x:${target}`));
    for (const name of names) it.do(bind(name, 'q'));
    it.do(bind('d', 'p'));
    for (const name of names) expect(it.routed(to(name, 'k'))).toEqual(['p', 'q']);
  });

  test('goes to the alternate when no binding of the exchange matched, along a chain, not in a ring', () => {
    const it = node('q', 'p', 'end');
    it.do(exchange('a', { alternate: 'b' }), exchange('b', { alternate: 'c' }));
    it.do(exchange('c', { type: 'fanout', alternate: 'a' }), bind('a', 'q', 'known'));
    expect(it.routed(to('a', 'unknown'))).toEqual([]);
    it.do(bind('c', 'end'));
    expect(it.routed(to('a', 'known'))).toEqual(['q']);
    expect(it.routed(to('a', 'unknown'))).toEqual(['end']);
    // One that leads on has matched, wherever that ends.
    it.do(exchange('nowhere'), bind('a', 'x:nowhere', 'lost'));
    expect(it.routed(to('a', 'lost'))).toEqual([]);
    // Made later, deleted, made again.
    it.do(exchange('x', { alternate: 'later' }));
    expect(it.routed(to('x', 'k'))).toEqual([]);
    it.do(exchange('later', { type: 'fanout' }), bind('later', 'p'));
    expect(it.routed(to('x', 'k'))).toEqual(['p']);
    it.do({ kind: 'delete-exchange', vhost: '/', name: 'later', ifUnused: false });
    expect(it.routed(to('x', 'k'))).toEqual([]);
  });

  test('through an exchange of a type of a newer version goes nowhere', () => {
    const it = node('q');
    it.do(exchange('new', { type: 'of-tomorrow' }), bind('new', 'q'));
    expect(it.routed(to('new', 'k'))).toEqual([]);
    it.do(unbind('new', 'q'));
  });
});

describe('the table', () => {
  test('finds exchanges by their bytes and tells what they are', () => {
    const it = node();
    it.do(exchange('é', { isInternal: true, type: 'topic' }));
    const chunk = encodeUtf8('..é..');
    const index = it.table.exchangeAt(chunk, 2, 4);
    expect(it.table.exchange(index)).toMatchObject({ name: 'é', isInternal: true });
    expect(it.table.exchangeAt(chunk, 1, 4)).toBe(-1);
    expect(it.table.exchangeAt(chunk, 0, 0)).toBeGreaterThanOrEqual(0);
  });

  test('asks for headers only where they can matter', () => {
    const it = node('q');
    const wants = (name: string) => {
      const bytes = encodeUtf8(name);
      return it.table.wantsHeaders(it.table.exchangeAt(bytes, 0, bytes.length));
    };
    expect(wants('amq.headers')).toBe(false);
    it.do(bind('amq.headers', 'q'));
    expect([wants('amq.headers'), wants('amq.fanout')]).toEqual([true, false]);
    it.do(bind('amq.fanout', 'x:amq.headers'), exchange('alt', { alternate: 'amq.headers' }));
    expect([wants('amq.fanout'), wants('alt'), wants('amq.topic')]).toEqual([true, true, false]);
    it.do(unbind('amq.fanout', 'x:amq.headers'), unbind('amq.headers', 'q'));
    expect([wants('amq.headers'), wants('amq.fanout'), wants('alt')]).toEqual([
      false,
      false,
      false,
    ]);
  });

  test('gives the index of a deleted queue to another only when told that it is free', () => {
    const it = node('a', 'b');
    const indexOf = (name: string) => {
      const bytes = encodeUtf8(name);
      const input = new RouteInput();
      input.setKey(bytes, 0, bytes.length);
      const count = it.table.route(it.table.exchangeAt(bytes, 0, 0), input);
      return count === 0 ? -1 : it.table.targets[0]!;
    };
    const old = indexOf('a');
    it.do({ kind: 'delete-queue', vhost: '/', name: 'a', logId: 0 });
    it.do(queue('c', 1, { topicId: topicId(50) }));
    expect(indexOf('c')).not.toBe(old);
    expect(it.table.queueName(old)).toBe('a');
    it.table.recycle();
    it.do(queue('d', 1, { topicId: topicId(51) }));
    expect(indexOf('d')).toBe(old);
    expect(it.table.queueName(old)).toBe('d');
    expect(it.table.queuesEnd).toBe(3);
  });

  test('takes 10,000 bindings of each type and lets them go', () => {
    const it = node('q', 'p');
    const sources = ['amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers'] as const;
    const each = (apply: (source: string, i: number) => void) => {
      for (const source of sources) for (let i = 0; i < 2_500; i += 1) apply(source, i);
    };
    const over = (i: number) => ({
      headerMatch: matchBytes({ mode: 'all', headers: [['a', { kind: 'number', value: i }]] }),
    });
    each((source, i) => it.do(bind(source, i % 2 === 0 ? 'q' : 'p', `k.${i}`, over(i))));
    const message = (exchange: string): Message => ({
      exchange,
      keys: ['k.2499'],
      headers: [['a', { kind: 'number', value: 2499 }]],
    });
    expect(sources.map((source) => it.routed(message(source)))).toEqual([
      ['p'],
      ['p', 'q'],
      ['p'],
      ['p'],
    ]);
    each((source, i) => it.do(unbind(source, i % 2 === 0 ? 'q' : 'p', `k.${i}`, over(i))));
    for (const source of sources) expect(it.routed(message(source))).toEqual([]);
  });

  test('is built anew when the metadata is replaced', () => {
    const it = node('a');
    it.do(bind('amq.direct', 'a'));
    const other = node('b', 'c');
    const version = other.table.version;
    other.replica.restore(it.replica.snapshot());
    other.replica.publish();
    expect(other.table.version).toBeGreaterThan(version);
    expect(other.routed(to('amq.direct', 'k'))).toEqual(['a']);
    expect(other.routed(to('', 'b'))).toEqual([]);
  });
});

// ---- Random histories ------------------------------------------------------------------------------

const WISHES: readonly Wanted[] = [
  { mode: 'all', headers: [['a', { kind: 'number', value: 1 }]] },
  { mode: 'any', headers: [['a', { kind: 'nothing' }]] },
  { mode: 'all', headers: [] },
];
const TYPES = ['direct', 'fanout', 'topic', 'headers'] as const;
const KEYS = ['', 'a', 'a.b', '*.b', '#', 'a.#'] as const;

function wantedOf(binding: BindingView): Wanted {
  const hex = binding.headerMatch.join();
  return WISHES.find((each) => matchBytes(each).join() === hex) ?? { mode: 'all', headers: [] };
}

type Step = readonly [number, number, number, number];

function command([what, a, b, c]: Step): MetadataCommand {
  const name = `e${a % 5}`;
  const target = b % 3 === 0 ? `x:e${b % 5}` : `q${b % 6}`;
  const over = { headerMatch: c % 2 === 0 ? matchBytes(WISHES[c % 3]!) : new Uint8Array(0) };
  const key = KEYS[c % KEYS.length]!;
  switch (what % 9) {
    case 0: {
      const alternate = b % 3 === 0 ? `e${c % 5}` : undefined;
      return exchange(name, { type: TYPES[a % 4]!, autoDelete: c % 4 === 0, alternate });
    }
    case 1:
      return queue(`q${b % 6}`, 1, { topicId: topicId(b % 6) });
    case 2:
      return { kind: 'delete-exchange', vhost: '/', name, ifUnused: c % 2 === 0 };
    case 3:
      return { kind: 'delete-queue', vhost: '/', name: `q${b % 6}`, logId: 0 };
    case 4:
      return unbind(name, target, key, over);
    default:
      return bind(name, target, key, over);
  }
}

const MESSAGES: readonly Message[] = ['', 'e0', 'e1', 'e2', 'e3', 'e4'].flatMap((name) =>
  ['', 'a', 'a.b', 'q1'].map((key, i) => ({
    exchange: name,
    keys: i === 3 ? [key, 'a'] : [key],
    headers: i % 2 === 0 ? [] : [['a', { kind: 'number', value: i % 4 === 1 ? 1 : 2 }] as const],
  })),
);

test('after any changes the table equals one built anew, and a naive router', () => {
  let copies = 0;
  const steps = fc.array(fc.tuple(fc.nat(80), fc.nat(60), fc.nat(60), fc.nat(60)), {
    minLength: 60,
    maxLength: 120,
  });
  const property = fc.property(steps, (history) => {
    const it = node('q0', 'q1', 'q2');
    for (const name of ['e0', 'e1', 'e2', 'e3']) it.do(exchange(name, { type: TYPES[+name[1]!]! }));
    history.forEach((step, i) => {
      it.try(command(step));
      if (i % 7 === 0) it.table.recycle();
      if (i % 20 !== 19 && i !== history.length - 1) return;
      const { view } = it.replica;
      const anew = new RoutingTable(view);
      const model: Model = {
        exchanges: view.exchanges(),
        queues: view.destinations().map(({ name }) => name),
        bindingsFrom: (name) => view.bindingsFrom(name),
        wantedOf,
      };
      for (const message of MESSAGES) {
        const expected = routeNaively(model, message);
        copies += expected.length;
        expect(it.routed(message)).toEqual(expected);
        expect(routed(anew, message)).toEqual(expected);
      }
    });
  });
  fc.assert(property, { numRuns: runs(150, 40), seed: 21 });
  expect(copies).toBeGreaterThan(runs(3_000, 800));
});
