// Headers of a message against those that bindings want. A wish (a header with its value, or its mere
// presence) is a fact with an index; a message makes some facts true. A binding that wants any of its facts
// is listed at each of them, one that wants all at the one that was rarest when it was made, where the
// others are then checked. So a message costs its headers and the bindings at its facts, not all bindings.
import type { BindingView } from '../../cluster/ports.ts';
import { readU32, toHex } from '../../std/bytes.ts';
import { ByteMap } from './byte-map.ts';
import type { Collector } from './collector.ts';
import { growInts } from './grow.ts';
import {
  decodeHeaderMatch,
  ENTRY_SIZE_BYTES,
  type HeaderMatch,
  isPresenceWish,
} from './header-form.ts';
import { Marks } from './marks.ts';
import type { Matcher } from './matcher.ts';
import type { RouteInput } from './route-input.ts';
import { Slots } from './slots.ts';
import { type Target, Targets } from './targets.ts';

/** Of bytes that only a newer version reads: any of nothing. */
const NEVER: HeaderMatch = { isAny: true, entries: [] };

interface Fact {
  readonly table: ByteMap;
  readonly key: Uint8Array;
  /** Patterns that want it, wherever they are listed. */
  uses: number;
  /** Indexes of the patterns that are listed here. */
  readonly patterns: Targets;
}

interface Pattern {
  readonly index: number;
  readonly isAny: boolean;
  readonly target: Target;
  readonly facts: readonly number[];
  /** The facts where it is listed. */
  readonly listed: readonly number[];
  /** Bindings that want the same for the same target. */
  uses: number;
}

export class HeaderMatcher implements Matcher {
  /** Patterns that want all of nothing. */
  readonly #always = new Targets();
  readonly #byKey = new Map<string, Pattern>();
  readonly #patternSlots = new Slots();
  readonly #patterns: Pattern[] = [];

  readonly #byValue = new ByteMap();
  readonly #byName = new ByteMap();
  readonly #factSlots = new Slots();
  readonly #facts: Fact[] = [];

  // Of one message: the facts that are true, as a list and as a set.
  #true: Int32Array = new Int32Array(16);
  readonly #isTrue = new Marks();

  add(binding: BindingView, target: Target): void {
    const match = decodeHeaderMatch(binding.headerMatch) ?? NEVER;
    const key = patternKey(match, target);
    const known = this.#byKey.get(key);
    if (known !== undefined) known.uses += 1;
    else this.#byKey.set(key, this.#makePattern(match, target));
  }

  remove(binding: BindingView, target: Target): void {
    const match = decodeHeaderMatch(binding.headerMatch) ?? NEVER;
    const key = patternKey(match, target);
    const pattern = this.#byKey.get(key);
    if (pattern === undefined) return;
    pattern.uses -= 1;
    if (pattern.uses > 0) return;
    this.#byKey.delete(key);
    this.#dropPattern(pattern);
  }

  match(input: RouteInput, into: Collector): void {
    if (!this.#always.isEmpty) into.take(this.#always);
    const count = this.#learn(input);
    for (let i = 0; i < count; i += 1) {
      const { items } = this.#facts[this.#true[i]!]!.patterns;
      for (let j = 0; j < items.length; j += 1) {
        const pattern = this.#patterns[items[j]!]!;
        if (pattern.isAny || this.#areTrue(pattern.facts)) into.takeOne(pattern.target);
      }
    }
  }

  /** Leaves the facts that the message makes true, each once, in `#true` and answers how many. */
  #learn({ headers, headersStart, headersEnd }: RouteInput): number {
    this.#isTrue.clear();
    let count = 0;
    for (let at = headersStart; at < headersEnd; ) {
      const start = at + ENTRY_SIZE_BYTES;
      at = start + readU32(headers, at);
      const byName = this.#byName.find(headers, start, start + 1 + headers[start]!);
      if (byName >= 0 && this.#isTrue.add(byName)) {
        this.#true[count] = byName;
        count += 1;
      }
      const byValue = this.#byValue.find(headers, start, at);
      if (byValue >= 0 && this.#isTrue.add(byValue)) {
        this.#true[count] = byValue;
        count += 1;
      }
    }
    return count;
  }

  #areTrue(facts: readonly number[]): boolean {
    for (let i = 0; i < facts.length; i += 1) if (!this.#isTrue.has(facts[i]!)) return false;
    return true;
  }

  // ---- The index -------------------------------------------------------------------------------------

  #makePattern({ isAny, entries }: HeaderMatch, target: Target): Pattern {
    const index = this.#patternSlots.take();
    const facts = entries.map((entry) => this.#useFact(entry));
    const usesOf = (fact: number) => this.#facts[fact]!.uses;
    const rarest = [...facts].sort((a, b) => usesOf(a) - usesOf(b)).slice(0, 1);
    const pattern = { index, isAny, target, facts, listed: isAny ? facts : rarest, uses: 1 };
    this.#patterns[index] = pattern;
    for (const fact of pattern.listed) this.#facts[fact]!.patterns.add(index);
    if (!isAny && facts.length === 0) this.#always.add(target);
    return pattern;
  }

  #dropPattern({ index, isAny, target, facts, listed }: Pattern): void {
    for (const fact of listed) this.#facts[fact]!.patterns.remove(index);
    for (const fact of facts) this.#releaseFact(fact);
    if (!isAny && facts.length === 0) this.#always.remove(target);
    this.#patternSlots.giveBack(index);
  }

  #useFact(entry: Uint8Array): number {
    const isPresence = isPresenceWish(entry);
    const table = isPresence ? this.#byName : this.#byValue;
    const key = isPresence ? entry.subarray(0, 1 + entry[0]!) : entry;
    let fact = table.get(key);
    if (fact < 0) {
      fact = this.#factSlots.take();
      this.#facts[fact] = { table, key, uses: 0, patterns: new Targets() };
      table.set(key, fact);
      this.#isTrue.reserve(this.#factSlots.end);
      if (fact >= this.#true.length) this.#true = growInts(this.#true, fact + 1);
    }
    this.#facts[fact]!.uses += 1;
    return fact;
  }

  #releaseFact(index: number): void {
    const fact = this.#facts[index]!;
    fact.uses -= 1;
    if (fact.uses > 0) return;
    fact.table.delete(fact.key);
    this.#factSlots.giveBack(index);
  }
}

function patternKey(match: HeaderMatch, target: Target): string {
  return `${target}/${match.isAny}/${match.entries.map(toHex).join('/')}`;
}
