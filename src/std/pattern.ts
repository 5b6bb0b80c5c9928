// Regular expressions whose cost is bounded: what a pattern matches is found in time (instructions x length of the
// text), whatever the pattern, and is the same on every machine and version. The syntax is that of PCRE without what
// needs back-tracking; what is left out is refused by name. How: the pattern is a small machine, and from the last
// position of the text back to the first, which of its states lead to an end is worked out from the position behind.

/** Characters of a pattern. */
const PATTERN_LENGTH_MAX = 255;
/** Of a machine, its look-aheads included: counted repetitions are written out. */
const INSTRUCTIONS_MAX = 512;
const COUNT_MAX = 255;
/** Repetitions of nothing make no instructions. */
const STEPS_MAX = 10_000;

/** Inclusive code points. */
type Range = readonly [number, number];

interface Class {
  readonly ranges: readonly Range[];
  readonly isNegated: boolean;
}

type Edge = 'start' | 'end' | 'word' | 'no-word';

type Node =
  | { readonly kind: 'class'; readonly of: Class }
  | { readonly kind: 'edge'; readonly at: Edge }
  | { readonly kind: 'row'; readonly parts: readonly Node[] }
  | { readonly kind: 'either'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number }
  | { readonly kind: 'ahead'; readonly part: Node; readonly isNegated: boolean };

type Instruction =
  | { readonly kind: 'class'; readonly of: Class; readonly next: number }
  | { readonly kind: 'edge'; readonly at: Edge; readonly next: number }
  | { readonly kind: 'fork'; readonly ways: number[] }
  | {
      readonly kind: 'ahead';
      readonly start: number;
      readonly isNegated: boolean;
      readonly next: number;
    }
  | { readonly kind: 'end' };

/** Its message is a sentence for who wrote the pattern. */
export class PatternError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PatternError';
  }
}

const DIGITS: readonly Range[] = [[0x30, 0x39]];
const WORDS: readonly Range[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACES: readonly Range[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
];
const LAST = 0x10ffff;
const CONTROLS: ReadonlyMap<string, number> = new Map([
  ['t', 0x09],
  ['n', 0x0a],
  ['v', 0x0b],
  ['f', 0x0c],
  ['r', 0x0d],
  ['e', 0x1b],
]);
const EDGES: ReadonlyMap<string, Edge> = new Map([
  ['b', 'word'],
  ['B', 'no-word'],
  ['A', 'start'],
  ['z', 'end'],
  ['Z', 'end'],
]);

function outside(ranges: readonly Range[]): Range[] {
  const rest: Range[] = [];
  let from = 0;
  for (const [first, last] of ranges) {
    if (first > from) rest.push([from, first - 1]);
    from = last + 1;
  }
  rest.push([from, LAST]);
  return rest;
}

const SETS: ReadonlyMap<string, readonly Range[]> = new Map([
  ['d', DIGITS],
  ['D', outside(DIGITS)],
  ['w', WORDS],
  ['W', outside(WORDS)],
  ['s', SPACES],
  ['S', outside(SPACES)],
]);

function has({ ranges, isNegated }: Class, code: number): boolean {
  return ranges.some(([first, last]) => code >= first && code <= last) !== isNegated;
}

// ---- Reading --------------------------------------------------------------------------------------

class Reader {
  readonly #text: readonly string[];
  #at = 0;

  constructor(pattern: string) {
    this.#text = [...pattern];
  }

  read(): Node {
    const node = this.#either();
    if (this.#at < this.#text.length) throw new PatternError(') without (');
    return node;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #take(text: string): boolean {
    const isNext = [...text].every((each, i) => this.#text[this.#at + i] === each);
    if (isNext) this.#at += text.length;
    return isNext;
  }

  #either(): Node {
    const parts = [this.#row()];
    while (this.#take('|')) parts.push(this.#row());
    return parts.length === 1 ? parts[0]! : { kind: 'either', parts };
  }

  #row(): Node {
    const parts: Node[] = [];
    for (let next = this.#peek(); next !== undefined; next = this.#peek()) {
      if (next === '|' || next === ')') break;
      parts.push(this.#repeated(this.#atom()));
    }
    return { kind: 'row', parts };
  }

  #repeated(part: Node): Node {
    const count = this.#count();
    if (count === undefined) return part;
    if (part.kind === 'edge') throw new PatternError('a repetition of nothing');
    // Taking as few as can be finds the same.
    if (this.#take('+')) throw new PatternError('possessive repetitions are not served');
    this.#take('?');
    return { kind: 'repeat', part, min: count[0], max: count[1] };
  }

  #count(): Range | undefined {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    if (this.#peek() !== '{') return undefined;
    const rest = this.#text.slice(this.#at).join('');
    const found = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(rest);
    // As in PCRE: what is no count is meant as it is.
    if (found === null) return undefined;
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : Number(found[3] || Number.POSITIVE_INFINITY);
    if (max < min) throw new PatternError(`a repetition of ${min} to ${max}`);
    if (min > COUNT_MAX || (max > COUNT_MAX && max !== Number.POSITIVE_INFINITY)) {
      throw new PatternError(`a repetition counts to ${COUNT_MAX} at most`);
    }
    return [min, max];
  }

  #atom(): Node {
    const first = this.#text[this.#at]!;
    this.#at += 1;
    switch (first) {
      case '(':
        return this.#group();
      case '[':
        return { kind: 'class', of: this.#class() };
      case '\\':
        return this.#escape();
      case '^':
        return { kind: 'edge', at: 'start' };
      case '$':
        return { kind: 'edge', at: 'end' };
      case '.':
        return { kind: 'class', of: { ranges: [[0x0a, 0x0a]], isNegated: true } };
      case '*':
      case '+':
      case '?':
        throw new PatternError(`nothing before ${first}`);
      default:
        return one(first.codePointAt(0)!);
    }
  }

  #group(): Node {
    let isAhead = false;
    let isNegated = false;
    if (this.#peek() === '?') {
      if (this.#take('?=')) isAhead = true;
      else if (this.#take('?!')) {
        isAhead = true;
        isNegated = true;
      } else if (!this.#take('?:')) {
        throw new PatternError('of the groups with (? only (?:, (?= and (?! are served');
      }
    }
    const part = this.#either();
    if (!this.#take(')')) throw new PatternError('( without )');
    return isAhead ? { kind: 'ahead', part, isNegated } : part;
  }

  #escape(): Node {
    const name = this.#peek();
    const at = name === undefined ? undefined : EDGES.get(name);
    if (at === undefined) return { kind: 'class', of: this.#escapedClass() };
    this.#at += 1;
    return { kind: 'edge', at };
  }

  #escapedClass(): Class {
    const name = this.#peek();
    if (name === undefined) throw new PatternError('nothing behind \\');
    this.#at += 1;
    const set = SETS.get(name);
    if (set !== undefined) return { ranges: set, isNegated: false };
    const code = name === 'x' ? this.#hex() : (CONTROLS.get(name) ?? literal(name));
    return { ranges: [[code, code]], isNegated: false };
  }

  #hex(): number {
    const rest = this.#text.slice(this.#at).join('');
    const found = /^(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})/.exec(rest);
    const code = Number.parseInt(found?.[1] ?? found?.[2] ?? '', 16);
    if (found === null || !(code <= LAST)) throw new PatternError('\\x without two digits');
    this.#at += found[0].length;
    return code;
  }

  #class(): Class {
    const isNegated = this.#take('^');
    const ranges: Range[] = [];
    for (let isFirst = true; ; isFirst = false) {
      const next = this.#peek();
      if (next === undefined) throw new PatternError('[ without ]');
      if (next === ']' && !isFirst) break;
      const from = this.#member();
      const isRange =
        this.#peek() === '-' &&
        this.#text[this.#at + 1] !== ']' &&
        this.#text[this.#at + 1] !== undefined;
      if (!isRange) {
        ranges.push(...from);
        continue;
      }
      this.#at += 1;
      ranges.push(between(from, this.#member()));
    }
    this.#at += 1;
    return { ranges, isNegated };
  }

  #member(): readonly Range[] {
    if (this.#take('[:')) throw new PatternError('named classes such as [:alpha:] are not served');
    const first = this.#text[this.#at]!;
    this.#at += 1;
    if (first !== '\\') {
      const code = first.codePointAt(0)!;
      return [[code, code]];
    }
    if (this.#take('b')) return [[0x08, 0x08]];
    return this.#escapedClass().ranges;
  }
}

function one(code: number): Node {
  return { kind: 'class', of: { ranges: [[code, code]], isNegated: false } };
}

/** The character behind a backslash that means itself. */
function literal(name: string): number {
  if (/[1-9]/.test(name)) throw new PatternError('back references are not served');
  if (/[A-Za-z0]/.test(name)) throw new PatternError(`\\${name} is not served`);
  return name.codePointAt(0)!;
}

function between(from: readonly Range[], to: readonly Range[]): Range {
  const [[first, isOne], [last, isLast]] = [from[0]!, to[0]!];
  const isGood = from.length === 1 && to.length === 1 && first === isOne && last === isLast;
  if (!isGood || last < first) throw new PatternError('a range in [] that is none');
  return [first, last];
}

// ---- The machine ----------------------------------------------------------------------------------

interface Machine {
  readonly start: number;
  /** Its own instructions: from the first to before the last number. A look-ahead is a machine before its user. */
  readonly pcs: readonly number[];
}

class Builder {
  readonly code: Instruction[] = [];
  readonly machines: Machine[] = [];
  #own: number[] = [];
  #steps = 0;

  machine(node: Node): number {
    const outer = this.#own;
    this.#own = [];
    const end = this.#add({ kind: 'end' });
    const start = this.#build(node, end);
    this.machines.push({ start, pcs: this.#own });
    this.#own = outer;
    return start;
  }

  #add(instruction: Instruction): number {
    if (this.code.length >= INSTRUCTIONS_MAX) {
      throw new PatternError(`it is too large: more than ${INSTRUCTIONS_MAX} steps`);
    }
    this.#own.push(this.code.length);
    return this.code.push(instruction) - 1;
  }

  /** From the end to the start: where it begins, if `next` comes behind it. */
  #build(node: Node, next: number): number {
    this.#steps += 1;
    if (this.#steps > STEPS_MAX) throw new PatternError('it is too large');
    switch (node.kind) {
      case 'class':
        return this.#add({ kind: 'class', of: node.of, next });
      case 'edge':
        return this.#add({ kind: 'edge', at: node.at, next });
      case 'row':
        return node.parts.reduceRight((behind, part) => this.#build(part, behind), next);
      case 'either':
        return this.#add({ kind: 'fork', ways: node.parts.map((part) => this.#build(part, next)) });
      case 'repeat':
        return this.#repeat(node, next);
      case 'ahead':
        return this.#add({
          kind: 'ahead',
          start: this.machine(node.part),
          isNegated: node.isNegated,
          next,
        });
    }
  }

  #repeat(
    { part, min, max }: { readonly part: Node; readonly min: number; readonly max: number },
    next: number,
  ): number {
    let at = next;
    if (max === Number.POSITIVE_INFINITY) {
      const ways = [next];
      at = this.#add({ kind: 'fork', ways });
      ways.push(this.#build(part, at));
    } else {
      for (let i = min; i < max; i += 1) {
        at = this.#add({ kind: 'fork', ways: [next, this.#build(part, at)] });
      }
    }
    for (let i = 0; i < min; i += 1) at = this.#build(part, at);
    return at;
  }
}

export class Pattern {
  readonly source: string;
  readonly #code: readonly Instruction[];
  readonly #machines: readonly Machine[];
  /** Whose success without a character is a reason to look at an instruction again. */
  readonly #before: readonly (readonly number[])[];
  /** What every text that is matched begins with; most texts are left at that. */
  readonly #prefix: string;
  /** Of a test: which instructions lead to the end from here, and from one character on. */
  #here: Uint8Array;
  #behind: Uint8Array;

  /** @throws PatternError if it is none, or needs what is not served. */
  constructor(source: string) {
    if (source.length > PATTERN_LENGTH_MAX) {
      throw new PatternError(`it has more than ${PATTERN_LENGTH_MAX} characters`);
    }
    const builder = new Builder();
    const node = new Reader(source).read();
    builder.machine(node);
    this.source = source;
    this.#prefix = prefixOf(node);
    this.#code = builder.code;
    this.#machines = builder.machines;
    const before = this.#code.map((): number[] => []);
    for (const [pc, step] of this.#code.entries()) {
      if (step.kind === 'fork') for (const way of step.ways) before[way]!.push(pc);
      if (step.kind === 'edge' || step.kind === 'ahead') before[step.next]!.push(pc);
    }
    this.#before = before;
    this.#here = new Uint8Array(this.#code.length);
    this.#behind = new Uint8Array(this.#code.length);
  }

  /** Is any part of the text matched? */
  test(text: string): boolean {
    if (!text.startsWith(this.#prefix)) return false;
    const codes = codePointsOf(text);
    const { start } = this.#machines[this.#machines.length - 1]!;
    // Behind the last character there is none to lead anywhere: what is left there is not looked at.
    for (let at = codes.length; at >= 0; at -= 1) {
      const here = this.#behind;
      this.#behind = this.#here;
      this.#here = here;
      here.fill(0);
      for (const machine of this.#machines) this.#fill(machine, codes, at, here, this.#behind);
      if (here[start] === 1) return true;
    }
    return false;
  }

  /** Marks in `here` the instructions that lead to the end of the machine from the character `at`. */
  #fill(
    { pcs }: Machine,
    codes: readonly number[],
    at: number,
    here: Uint8Array,
    behind: Uint8Array,
  ): void {
    const code = codes[at];
    const fresh: number[] = [];
    for (const pc of pcs) {
      const step = this.#code[pc]!;
      const isGood =
        step.kind === 'end' ||
        (step.kind === 'class' &&
          code !== undefined &&
          behind[step.next] === 1 &&
          has(step.of, code));
      if (!isGood) continue;
      here[pc] = 1;
      fresh.push(pc);
    }
    for (let pc = fresh.pop(); pc !== undefined; pc = fresh.pop()) {
      for (const earlier of this.#before[pc]!) {
        if (here[earlier] === 1 || !this.#passes(earlier, codes, at, here)) continue;
        here[earlier] = 1;
        fresh.push(earlier);
      }
    }
  }

  /** Its next instruction leads to the end: does it? */
  #passes(pc: number, codes: readonly number[], at: number, here: Uint8Array): boolean {
    const step = this.#code[pc]!;
    if (step.kind === 'edge') return isAt(step.at, codes, at);
    return step.kind !== 'ahead' || (here[step.start] === 1) !== step.isNegated;
  }
}

function codePointsOf(text: string): number[] {
  const codes: number[] = [];
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at)!;
    codes.push(code);
    at += code > 0xffff ? 2 : 1;
  }
  return codes;
}

/** What is written out behind a leading `^`. */
function prefixOf(node: Node): string {
  if (node.kind !== 'row') return '';
  const [edge, ...rest] = node.parts;
  if (edge?.kind !== 'edge' || edge.at !== 'start') return '';
  let prefix = '';
  for (const part of rest) {
    if (part.kind !== 'class' || part.of.isNegated || part.of.ranges.length !== 1) break;
    const [first, last] = part.of.ranges[0]!;
    if (first !== last) break;
    prefix += String.fromCodePoint(first);
  }
  return prefix;
}

function isAt(edge: Edge, codes: readonly number[], at: number): boolean {
  if (edge === 'start') return at === 0;
  if (edge === 'end') return at === codes.length;
  const isEdge = isWord(codes[at - 1]) !== isWord(codes[at]);
  return isEdge === (edge === 'word');
}

function isWord(code: number | undefined): boolean {
  return code !== undefined && has({ ranges: WORDS, isNegated: false }, code);
}
