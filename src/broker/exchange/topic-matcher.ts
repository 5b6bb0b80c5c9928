// Keys of words between dots against patterns of words, `*` (one word) and `#` (any number, also none).
// The patterns are a trie. A message walks it with the set of all nodes that its words so far can lead to,
// each at most once per word: the cost is words times live nodes, whatever the patterns are, where plain
// backtracking grows with the power of the number of `#`. The empty key has no words (as RabbitMQ has it:
// `#` matches it, `*` does not); two dots in a row have an empty word between them.
import type { BindingView } from '../../cluster/ports.ts';
import { encodeUtf8 } from '../../std/bytes.ts';
import { ByteMap } from './byte-map.ts';
import type { Collector } from './collector.ts';
import { growInts } from './grow.ts';
import { Marks } from './marks.ts';
import type { Matcher } from './matcher.ts';
import { PairMap } from './pair-map.ts';
import type { RouteInput } from './route-input.ts';
import { Slots } from './slots.ts';
import { type Target, Targets } from './targets.ts';

const DOT = 0x2e;
const STAR = 0x2a;
const HASH = 0x23;
const NONE = -1;
const ROOT = 0;

/** Edges that are no words: where the column of a node says so. */
const BY_STAR = -2;
const BY_HASH = -3;

interface Node {
  readonly parent: number;
  /** Id of the word on the edge from the parent, BY_STAR, BY_HASH, or NONE for the root. */
  readonly edge: number;
  /** Edges by word that leave here. */
  wordEdges: number;
  readonly targets: Targets;
}

export class TopicMatcher implements Matcher {
  // Words have ids, so that edges are pairs of integers.
  readonly #wordIds = new ByteMap();
  readonly #wordSlots = new Slots();
  readonly #wordUses: number[] = [];
  readonly #words: Uint8Array[] = [];

  readonly #nodeSlots = new Slots();
  readonly #nodes: (Node | undefined)[] = [];
  readonly #edges = new PairMap();
  // Columns by node, for the walk: the child behind `*`, behind `#`; whether the node is behind a `#`; and
  // how many targets it has.
  #star: Int32Array = new Int32Array(16);
  #hash: Int32Array = new Int32Array(16);
  #isHash: Int32Array = new Int32Array(16);
  #counts: Int32Array = new Int32Array(16);

  // Of one walk.
  readonly #marks = new Marks();
  #current: Int32Array = new Int32Array(16);
  #next: Int32Array = new Int32Array(16);
  #reached = 0;

  constructor() {
    this.#makeNode(NONE, NONE);
  }

  get nodeCount(): number {
    return this.#nodeSlots.count;
  }

  add(binding: BindingView, target: Target): void {
    let node = ROOT;
    for (const word of wordsOf(binding.routingKey)) {
      const child = this.#child(node, word);
      node = child >= 0 ? child : this.#grow(node, word);
    }
    const { targets } = this.#nodes[node]!;
    targets.add(target);
    this.#counts[node] = targets.items.length;
  }

  remove(binding: BindingView, target: Target): void {
    let node = ROOT;
    for (const word of wordsOf(binding.routingKey)) {
      node = this.#child(node, word);
      if (node < 0) return;
    }
    const { targets } = this.#nodes[node]!;
    targets.remove(target);
    this.#counts[node] = targets.items.length;
    this.#prune(node);
  }

  match(input: RouteInput, into: Collector): void {
    const { bytes, spans, keyCount } = input;
    for (let i = 0; i < keyCount; i += 1) {
      this.#walk(bytes, spans[2 * i]!, spans[2 * i + 1]!);
      for (let j = 0; j < this.#reached; j += 1) {
        const node = this.#current[j]!;
        if (this.#counts[node]! > 0) into.take(this.#nodes[node]!.targets);
      }
    }
  }

  /** Leaves the nodes at the end of the key in `#current`. */
  #walk(bytes: Uint8Array, start: number, end: number): void {
    this.#marks.clear();
    this.#reached = 0;
    this.#enter(this.#current, ROOT);
    for (let at = start; at < end; ) {
      const wordStart = at;
      while (at < end && bytes[at] !== DOT) at += 1;
      this.#step(this.#wordIds.find(bytes, wordStart, at));
      if (this.#reached === 0) return;
      // A dot at the end has an empty word behind it.
      if (at === end - 1) this.#step(this.#wordIds.find(bytes, end, end));
      at += 1;
    }
  }

  /** One word further; NONE is a word that no pattern has. */
  #step(word: number): void {
    const from = this.#current;
    const to = this.#next;
    const count = this.#reached;
    this.#marks.clear();
    this.#reached = 0;
    for (let i = 0; i < count; i += 1) {
      const node = from[i]!;
      if (this.#isHash[node] === 1) this.#enter(to, node);
      const star = this.#star[node]!;
      if (star !== NONE) this.#enter(to, star);
      if (word === NONE) continue;
      const child = this.#edges.get(node, word);
      if (child !== NONE) this.#enter(to, child);
    }
    this.#current = to;
    this.#next = from;
  }

  /** Into the set, with what is behind `#`: it may stand for no word at all. */
  #enter(set: Int32Array, node: number): void {
    for (let each = node; each !== NONE; each = this.#hash[each]!) {
      if (!this.#marks.add(each)) return;
      set[this.#reached] = each;
      this.#reached += 1;
    }
  }

  // ---- The trie --------------------------------------------------------------------------------------

  #child(node: number, word: Uint8Array): number {
    if (isOnly(word, STAR)) return this.#star[node]!;
    if (isOnly(word, HASH)) return this.#hash[node]!;
    const id = this.#wordIds.get(word);
    return id < 0 ? NONE : this.#edges.get(node, id);
  }

  #grow(parent: number, word: Uint8Array): number {
    if (isOnly(word, STAR)) {
      const node = this.#makeNode(parent, BY_STAR);
      this.#star[parent] = node;
      return node;
    }
    if (isOnly(word, HASH)) {
      const node = this.#makeNode(parent, BY_HASH);
      this.#hash[parent] = node;
      this.#isHash[node] = 1;
      return node;
    }
    const id = this.#useWord(word);
    const node = this.#makeNode(parent, id);
    this.#edges.set(parent, id, node);
    this.#nodes[parent]!.wordEdges += 1;
    return node;
  }

  #makeNode(parent: number, edge: number): number {
    const node = this.#nodeSlots.take();
    this.#nodes[node] = { parent, edge, wordEdges: 0, targets: new Targets() };
    const size = this.#nodeSlots.end;
    if (size > this.#star.length) {
      this.#star = growInts(this.#star, size);
      this.#hash = growInts(this.#hash, size);
      this.#isHash = growInts(this.#isHash, size);
      this.#counts = growInts(this.#counts, size);
      this.#current = growInts(this.#current, size);
      this.#next = growInts(this.#next, size);
    }
    this.#marks.reserve(size);
    this.#star[node] = NONE;
    this.#hash[node] = NONE;
    this.#isHash[node] = 0;
    this.#counts[node] = 0;
    return node;
  }

  /** Takes away the node, and those above it, that lead nowhere any more. */
  #prune(from: number): void {
    for (let node = from; node !== ROOT; ) {
      const { parent, edge, wordEdges, targets } = this.#nodes[node]!;
      const leadsOn = wordEdges > 0 || this.#star[node] !== NONE || this.#hash[node] !== NONE;
      if (leadsOn || !targets.isEmpty) return;
      if (edge === BY_STAR) this.#star[parent] = NONE;
      else if (edge === BY_HASH) this.#hash[parent] = NONE;
      else {
        this.#edges.delete(parent, edge);
        this.#nodes[parent]!.wordEdges -= 1;
        this.#releaseWord(edge);
      }
      this.#nodes[node] = undefined;
      this.#nodeSlots.giveBack(node);
      node = parent;
    }
  }

  #useWord(word: Uint8Array): number {
    let id = this.#wordIds.get(word);
    if (id < 0) {
      id = this.#wordSlots.take();
      this.#wordIds.set(word, id);
      this.#words[id] = word;
      this.#wordUses[id] = 0;
    }
    this.#wordUses[id]! += 1;
    return id;
  }

  #releaseWord(id: number): void {
    this.#wordUses[id]! -= 1;
    if (this.#wordUses[id]! > 0) return;
    this.#wordIds.delete(this.#words[id]!);
    this.#wordSlots.giveBack(id);
  }
}

function isOnly(word: Uint8Array, byte: number): boolean {
  return word.length === 1 && word[0] === byte;
}

function wordsOf(pattern: string): Uint8Array[] {
  return pattern === '' ? [] : pattern.split('.').map((word) => encodeUtf8(word));
}
