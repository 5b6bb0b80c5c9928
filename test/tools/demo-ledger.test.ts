// The books of the demonstration: an honest history has no faults, and each way to cheat is noticed.
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
// @ts-expect-error: a plain script without types.
import * as scripts from '../../tools/demo/ledger.mjs';
// @ts-expect-error: a plain script without types.
import { Silence } from '../../tools/demo/silence.mjs';

interface Delivery {
  readonly id: string;
  readonly key: string;
  readonly hash: string;
  readonly log: string;
  readonly position: number;
}
interface ReaderReport {
  readonly delivered: number;
  readonly duplicates: number;
  readonly lost: number;
  readonly reordered: number;
  readonly overtaken: number;
  readonly altered: number;
  readonly misrouted: number;
  readonly rewritten: number;
  readonly examples: readonly string[];
}
interface Report {
  readonly published: number;
  readonly republished: number;
  readonly confirmed: number;
  readonly faults: number;
  readonly readers: readonly ReaderReport[];
}
interface Ledger {
  publishing(id: string, key: string, hash: string): void;
  confirmed(id: string): void;
  delivered(name: string, delivery: Delivery): void;
  owedTo(name: string): number;
  report(): Report;
}

const matches = scripts.matches as (pattern: string, key: string) => boolean;
const makeLedger = (order = 'arrival', bindings = ['city.#']): Ledger =>
  new scripts.Ledger([{ name: 'reader', bindings, order }]) as Ledger;

const KEYS = ['city.town.NL.07', 'city.seat.FR.84', 'city.capital.JP.40'];
const keyOf = (i: number) => KEYS[i % KEYS.length]!;

/** Messages 0 to count - 1 were published and confirmed; what a reader of one log then gets. */
function history(ledger: Ledger, count: number): Delivery[] {
  return Array.from({ length: count }, (_, i) => {
    ledger.publishing(`${i}`, keyOf(i), `hash ${i}`);
    ledger.confirmed(`${i}`);
    return { id: `${i}`, key: keyOf(i), hash: `hash ${i}`, log: 'log', position: i };
  });
}

function readerAfter(ledger: Ledger, deliveries: readonly Delivery[]): ReaderReport {
  for (const delivery of deliveries) ledger.delivered('reader', delivery);
  const { readers, faults } = ledger.report();
  const { lost, reordered, altered, misrouted, rewritten } = readers[0]!;
  expect(faults).toBe(lost + reordered + altered + misrouted + rewritten);
  expect(ledger.owedTo('reader')).toBe(lost);
  return readers[0]!;
}

const FINE = { lost: 0, reordered: 0, altered: 0, misrouted: 0, rewritten: 0 };

describe('an honest history', () => {
  it('has no faults, whatever comes again', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.nat()),
        fc.constantFrom('arrival', 'position'),
        (count, repeats, order) => {
          const ledger = makeLedger(order);
          const deliveries = history(ledger, count);
          // Each repeat is of something that came before it, at the place where it stood.
          for (const repeat of repeats) {
            const at = repeat % count;
            const where = deliveries.findIndex(({ id }) => id === `${at}`);
            deliveries.splice(where + 1 + (repeat % 7), 0, deliveries[where]!);
          }
          const duplicates = repeats.length;
          expect(readerAfter(ledger, deliveries)).toMatchObject({ ...FINE, duplicates });
        },
      ),
    );
  });

  it('owes nothing that was not confirmed, and nothing that no binding matches', () => {
    const ledger = makeLedger('arrival', ['city.seat.#', 'city.capital.#']);
    ledger.publishing('1', 'city.seat.FR.84', 'h');
    ledger.publishing('2', 'city.town.NL.07', 'h');
    ledger.confirmed('2');
    expect(readerAfter(ledger, [])).toMatchObject(FINE);
    ledger.confirmed('1');
    ledger.confirmed('1');
    expect(readerAfter(ledger, [])).toMatchObject({ ...FINE, lost: 1 });
  });

  it('may give a message before its confirm is heard', () => {
    const ledger = makeLedger();
    ledger.publishing('1', KEYS[0]!, 'h');
    ledger.delivered('reader', { id: '1', key: KEYS[0]!, hash: 'h', log: 'log', position: 0 });
    ledger.confirmed('1');
    expect(readerAfter(ledger, [])).toMatchObject({ ...FINE, delivered: 1 });
  });
});

/** One change to an honest history of six messages of two of a key each, and the fault that it is. */
const CHEATS: readonly [string, (honest: Delivery[]) => unknown, Partial<ReaderReport>][] = [
  ['a message is missing', (all) => all.splice(2, 1), { lost: 1 }],
  ['the last message is missing', (all) => all.pop(), { lost: 1 }],
  ['a message comes twice', (all) => all.push(all[1]!), { duplicates: 1 }],
  ['a body is changed', (all) => alter(all, 4, { hash: 'other' }), { altered: 1, lost: 1 }],
  ['a key is changed', (all) => alter(all, 4, { key: KEYS[0]! }), { altered: 1, lost: 1 }],
  ['an id is not ours', (all) => alter(all, 4, { id: 'x' }), { altered: 1, lost: 1 }],
  ['two of a key are swapped', (all) => swap(all, 0, 3), { reordered: 1, overtaken: 1 }],
  ['two of two keys are swapped', (all) => swap(all, 0, 1), { reordered: 0, overtaken: 0 }],
  [
    'a place holds another message later',
    (all) => all.push({ ...all[5]!, position: 4 }),
    { rewritten: 1, duplicates: 1 },
  ],
];

function alter(all: Delivery[], at: number, change: Partial<Delivery>): void {
  all[at] = { ...all[at]!, ...change };
}

function swap(all: Delivery[], a: number, b: number): void {
  [all[a], all[b]] = [all[b]!, all[a]!];
  alter(all, a, { position: a });
  alter(all, b, { position: b });
}

test.each(CHEATS)('%s', (_, cheat, expected) => {
  for (const order of ['arrival', 'position']) {
    const ledger = makeLedger(order);
    const deliveries = history(ledger, 6);
    cheat(deliveries);
    const report = readerAfter(ledger, deliveries);
    expect(report).toMatchObject({ ...FINE, ...expected });
    const faults = Object.keys(FINE).filter((kind) => report[kind as keyof typeof FINE] > 0);
    for (const kind of faults) expect(report.examples.join()).toContain(`${kind}: `);
  }
});

test('what a reader did not ask for is misrouted', () => {
  const ledger = makeLedger('arrival', ['city.seat.#', 'city.capital.#']);
  const deliveries = history(ledger, 6);
  expect(readerAfter(ledger, deliveries)).toMatchObject({ ...FINE, misrouted: 2 });
});

describe('order within a key', () => {
  it('by position is that of the log; who overtook on the way is told all the same', () => {
    const ledger = makeLedger('position');
    const [first, , , second] = history(ledger, 4);
    const report = readerAfter(ledger, [second!, first!]);
    expect(report).toMatchObject({ reordered: 0, overtaken: 1 });
  });

  it('of what was published again is free between its attempts, and not beyond', () => {
    const key = KEYS[0]!;
    const honest = (ids: readonly string[]) => {
      const ledger = makeLedger();
      // 1, 2, 1 again, 3.
      for (const id of ['1', '2', '1', '3']) ledger.publishing(id, key, 'h');
      for (const id of ['1', '2', '3']) ledger.confirmed(id);
      expect(ledger.report()).toMatchObject({ published: 3, republished: 1 });
      return readerAfter(
        ledger,
        ids.map((id, position) => ({ id, key, hash: 'h', log: 'log', position })),
      );
    };
    expect(honest(['1', '2', '3'])).toMatchObject(FINE);
    expect(honest(['2', '1', '3'])).toMatchObject(FINE);
    expect(honest(['2', '3', '1'])).toMatchObject({ reordered: 1 });
    expect(honest(['1', '3', '2'])).toMatchObject({ reordered: 1 });
    // A copy that comes after a later message is a duplicate.
    expect(honest(['1', '2', '3', '1'])).toMatchObject({ ...FINE, duplicates: 1 });
  });
});

test('topic patterns are those of AMQP', () => {
  const table: readonly [string, string, boolean][] = [
    ['#', '', true],
    ['#', 'a.b', true],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['a.#', 'a', true],
    ['a.#', 'a.b.c', true],
    ['a.#', 'b.a', false],
    ['#.c', 'a.b.c', true],
    ['a.#.c', 'a.c', true],
    ['a.#.c', 'a.b.d', false],
    ['*.#.*', 'a', false],
  ];
  for (const [pattern, key, expected] of table) {
    expect([pattern, key, matches(pattern, key)]).toEqual([pattern, key, expected]);
  }
});

test('a silence is counted from the mark, and ends with what is heard', () => {
  const silence = new Silence() as {
    readonly longestMs: number;
    mark(nowMs: number): void;
    heard(nowMs: number): void;
  };
  silence.heard(0);
  silence.heard(1_000);
  expect(silence.longestMs).toBe(0);
  silence.mark(1_500);
  silence.heard(1_700);
  expect(silence.longestMs).toBe(200);
  silence.heard(2_600);
  silence.heard(2_700);
  expect(silence.longestMs).toBe(900);
});
