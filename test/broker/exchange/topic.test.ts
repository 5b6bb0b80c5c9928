// Topic patterns: the table that RabbitMQ's own suite expects of these bindings, a naive matcher as the
// judge of random ones, and the cost of patterns that defeat backtracking.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TopicMatcher } from '../../../src/broker/exchange/topic-matcher.ts';
import { bind, exchange, queue, unbind } from '../../cluster/metadata/routing-words.ts';
import { topicId } from '../../cluster/metadata/world.ts';
import { RoutedNode, to } from './harness.ts';
import { topicMatches, wordsOf } from './naive.ts';

function topics(patterns: readonly string[]): RoutedNode {
  const node = new RoutedNode();
  node.do(exchange('t', { type: 'topic' }));
  patterns.forEach((pattern, i) => {
    node.do(queue(`q${i}`, 1, { topicId: topicId(i) }), bind('t', `q${i}`, pattern));
  });
  return node;
}

const PATTERNS = [
  ...['a.b.c', 'a.*.c', 'a.#.b', 'a.b.b.c', '#', '#.#', '#.b', '*.*', 'a.*', '*.b.c', 'a.#'],
  ...['a.#.#', 'b.b.c', 'a.b.b', 'a.b', 'b.c', '', '*.*.*', 'vodka.martini', 'a.b.c', '*.#'],
  ...['#.*.#', '*.#.#', '#.#.#', '*', '#.b.#'],
];

describe('a topic exchange', () => {
  test.each([
    ['a.b.c', [1, 2, 5, 6, 10, 11, 12, 18, 20, 21, 22, 23, 24, 26]],
    ['a.b', [3, 5, 6, 7, 8, 9, 11, 12, 15, 21, 22, 23, 24, 26]],
    ['a.b.b', [3, 5, 6, 7, 11, 12, 14, 18, 21, 22, 23, 24, 26]],
    ['', [5, 6, 17, 24]],
    ['b.c.c', [5, 6, 18, 21, 22, 23, 24, 26]],
    ['a.a.a.a.a', [5, 6, 11, 12, 21, 22, 23, 24]],
    ['vodka.gin', [5, 6, 8, 21, 22, 23, 24]],
    ['vodka.martini', [5, 6, 8, 19, 21, 22, 23, 24]],
    ['b.b.c', [5, 6, 10, 13, 18, 21, 22, 23, 24, 26]],
    ['nothing.here.at.all', [5, 6, 21, 22, 23, 24]],
    ['oneword', [5, 6, 21, 22, 23, 24, 25]],
  ])('routes "%s" as the table says', (key, numbers) => {
    const expected = numbers.map((n) => `q${n - 1}`).sort();
    expect(topics(PATTERNS).routed(to('t', key))).toEqual(expected);
  });

  test.each([
    ['a.', ['a.', 'a.*', '*.*', '#']],
    ['.', ['.', '*.*', '#']],
    ['.a', ['.a', '*.a', '*.*', '#']],
    ['a..b', ['a..b', 'a.*.b', '#']],
    ['*', ['*', '#']],
  ])('takes the empty words of "%s" for words', (key, matching) => {
    const patterns = ['a.', '.', '.a', 'a..b', 'a.*', '*.*', '*.a', 'a.*.b', '*', '#', 'a', ''];
    const expected = matching.map((pattern) => `q${patterns.indexOf(pattern)}`).sort();
    expect(topics(patterns).routed(to('t', key))).toEqual(expected);
  });

  const word = fc.constantFrom('a', 'b', 'ab', '', 'é');
  const wild = fc.oneof({ weight: 3, arbitrary: word }, fc.constantFrom('*', '#', '#'));
  const patterns = fc.array(
    fc.array(wild, { maxLength: 6, size: 'max' }).map((words) => words.join('.')),
    { minLength: 10, maxLength: 30 },
  );
  const keys = fc.array(
    fc.array(word, { maxLength: 7, size: 'max' }).map((words) => words.join('.')),
    { minLength: 5, maxLength: 10 },
  );

  test('agrees with the naive matcher, before and after bindings go', () => {
    let matched = 0;
    const property = fc.property(patterns, keys, fc.nat(), (all, asked, bits) => {
      const node = topics(all);
      const check = (isBound: (i: number) => boolean) => {
        for (const key of asked) {
          const expected = all.flatMap((pattern, i) =>
            isBound(i) && topicMatches(wordsOf(pattern), wordsOf(key)) ? [`q${i}`] : [],
          );
          matched += expected.length;
          expect(node.routed(to('t', key))).toEqual(expected.sort());
        }
      };
      check(() => true);
      all.forEach((pattern, i) => {
        if ((bits >> (i % 20)) % 2 === 1) node.do(unbind('t', `q${i}`, pattern));
      });
      check((i) => (bits >> (i % 20)) % 2 === 0);
    });
    fc.assert(property, { numRuns: 200, seed: 3 });
    expect(matched).toBeGreaterThan(2000);
  });

  test('ends soon however many `#` a pattern has', () => {
    const many = Array.from({ length: 40 }, () => '#').join('.a.');
    const node = topics([many, `${many}.b`]);
    const key = Array.from({ length: 120 }, () => 'a').join('.');
    // Backtracking would need some 10^30 steps.
    expect(node.routed(to('t', key))).toEqual(['q0']);
    expect(node.routed(to('t', `${key}.b`))).toEqual(['q0', 'q1']);
  });

  test('patterns that come and go leave nothing behind', () => {
    const matcher = new TopicMatcher();
    const patterns = ['a.*.b', 'a.#', '*.#.c', 'a.b.c.d', '', '#', 'a.*'];
    const bindings = patterns.map((pattern) => bind('t', 'q', pattern));
    for (let i = 0; i < 3; i += 1) {
      for (const binding of bindings) matcher.add(binding, 1);
      expect(matcher.nodeCount).toBe(12);
      for (const binding of [...bindings, ...bindings]) matcher.remove(binding, 1);
      expect(matcher.nodeCount).toBe(1);
    }
  });

  test('a queue bound twice gets one copy, until the last binding goes', () => {
    const node = topics(['a.#', 'b']);
    node.do(bind('t', 'q0', '*.b'));
    expect(node.routed(to('t', 'a.b'))).toEqual(['q0']);
    node.do(unbind('t', 'q0', 'a.#'));
    expect(node.routed(to('t', 'a.b'))).toEqual(['q0']);
    expect(node.routed(to('t', 'a.c'))).toEqual([]);
    node.do(unbind('t', 'q0', '*.b'));
    expect(node.routed(to('t', 'a.b'))).toEqual([]);
  });
});
