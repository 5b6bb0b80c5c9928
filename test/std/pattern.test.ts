import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Pattern, PatternError } from '../../src/std/pattern.ts';

const matches = (pattern: string, text: string) => new Pattern(pattern).test(text);

describe('a pattern', () => {
  test.each([
    ['', '', true],
    ['', 'anything', true],
    ['^$', 'a', false],
    ['^amq\\.', 'amq.gen-1', true],
    ['^amq\\.', 'amqx', false],
    ['^(?!amq\\.).*', 'orders', true],
    ['^(?!amq\\.).*', 'amq.gen-1', false],
    ['^(?=.*eu)(?=.*fast)', 'fast.in.eu', true],
    ['^(?=.*eu)(?=.*fast)', 'slow.in.eu', false],
    ['^(?!(?=ab)a)', 'ab', false],
    ['^(?!(?=ab)a)', 'ac', true],
    ['(a|b)+$', 'xab', true],
    ['^(ha|two)\\.', 'two.q', true],
    ['^a{2,3}$', 'aaa', true],
    ['^a{2,3}$', 'aaaa', false],
    ['^a{2,}b{0}$', 'aaaaa', true],
    ['^a{,3}$', 'a{,3}', true],
    ['^[a-c\\d_-]+$', 'a1-_', true],
    ['^[^a-c]$', 'b', false],
    ['^[]x]$', ']', true],
    ['^\\w+\\s\\W\\x41\\x{1F600}$', 'a_1 .A\u{1F600}', true],
    ['\\bq\\b', 'a.q', true],
    ['\\bq\\b', 'aq', false],
    ['^.$', '\u{1F600}', true],
    ['^.$', '\n', false],
    ['\\Aa\\z', 'a', true],
    ['(a*)*$', 'b', true],
    ['^a\u{1F600}b?c', 'a\u{1F600}c', true],
    ['^ab{0}c', 'ac', true],
    ['^ab|c', 'c', true],
  ])('%j against %j: %s', (pattern, text, isMatch) => {
    expect(matches(pattern, text)).toBe(isMatch);
  });

  test.each([
    ['(', '( without )'],
    [')', ') without ('],
    ['[a', '[ without ]'],
    ['*a', 'nothing before *'],
    ['a**', 'nothing before *'],
    ['a*+', 'possessive'],
    ['^*', 'repetition of nothing'],
    ['a{3,2}', 'a repetition of 3 to 2'],
    ['a{256}', 'counts to 255'],
    ['(a)\\1', 'back references'],
    ['(?<=a)b', 'only (?:'],
    ['(?i)a', 'only (?:'],
    ['[[:alpha:]]', 'named classes'],
    ['[b-a]', 'a range'],
    ['[\\d-x]', 'a range'],
    ['\\', 'nothing behind'],
    ['\\pL', '\\p is not served'],
    ['\\xg', '\\x without'],
    ['(a{200}){200}', 'too large'],
    [`${'('.repeat(20)}${'){255}'.repeat(20)}`, 'too large'],
    ['a'.repeat(256), 'more than 255'],
  ])('%j is refused: %s', (pattern, why) => {
    expect(() => new Pattern(pattern)).toThrow(PatternError);
    expect(() => new Pattern(pattern)).toThrow(why);
  });

  test('that ruins other engines costs its size times the length of the text', () => {
    const text = `${'a'.repeat(254)}b`;
    for (const evil of [
      '^(a+)+$',
      '^(a|aa)*$',
      '^(a*)*c',
      '(.*)(.*)(.*)(.*)x$',
      '^(?!(a+)+$)a*$',
    ]) {
      expect(matches(evil, text)).toBe(false);
    }
  });
});

// ---- The obvious slow version ---------------------------------------------------------------------

const leaf = fc.constantFrom('a', 'b', '\\.', '.', '[ab]', '[^a]', '^', '$', '\\b', '\\w', '');
const { tree } = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `${a}${b}`),
    tie('tree').map((a) => `^a${a}`),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `(?:${a}|${b})`),
    fc
      .tuple(tie('tree'), fc.constantFrom('*', '+', '?', '{2}', '{0,2}', '{1,}'), fc.boolean())
      .map(([a, count, isLazy]) => `(?:${a})${count}${isLazy ? '?' : ''}`),
    tie('tree').map((a) => `(?=${a})`),
    tie('tree').map((a) => `(?!${a})`),
  ),
}));

test('any pattern matches what it matches elsewhere', () => {
  let found = 0;
  const texts = fc.array(fc.stringMatching(/^[ab.]{0,6}$/), { minLength: 4, maxLength: 8 });
  const property = fc.property(tree, texts, (source, all) => {
    const other = new RegExp(source);
    const own = new Pattern(source);
    for (const text of all) {
      expect([text, own.test(text)]).toEqual([text, other.test(text)]);
      if (other.test(text)) found += 1;
    }
  });
  fc.assert(property, { numRuns: 2_000, seed: 3 });
  expect(found).toBeGreaterThan(1_000);
});
