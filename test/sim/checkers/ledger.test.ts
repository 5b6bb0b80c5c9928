// The ledger's checker sees each class of mistake, and nothing where all is well.
import { describe, expect, test } from 'vitest';
import { checkLedger, countLostCommands } from '../../../src/sim/checkers/ledger.ts';
import {
  emptyLedger,
  type LedgerCommand,
  type LedgerEntry,
  type LedgerHistory,
} from '../../../src/sim/checkers/ledger-history.ts';

type Line = Omit<LedgerEntry, 'balance'>;

/** Books that are right: two clients, a refused take, a timer that rang and one that was dropped. */
function right(): LedgerHistory {
  const history = emptyLedger();
  const lines: Line[] = [
    { id: 1, kind: 'add', amount: 50, target: 0 },
    { id: 2, kind: 'wait', amount: 7, target: 0 },
    { id: 4, kind: 'take', amount: 20, target: 0 },
    { id: 5, kind: 'wait', amount: 9, target: 0 },
    { id: 2, kind: 'ring', amount: 7, target: 0 },
    { id: 6, kind: 'drop', amount: 1, target: 5 },
    { id: 7, kind: 'drop', amount: 0, target: 2 },
  ];
  let balance = 0;
  const book = lines.map((line): LedgerEntry => {
    if (line.kind === 'add' || line.kind === 'ring') balance += line.amount;
    if (line.kind === 'take') balance -= line.amount;
    return { ...line, balance };
  });
  const command = (id: number, more: Partial<LedgerCommand>): void => {
    const position = book.findIndex((entry) => entry.id === id && entry.kind === more.kind);
    history.commands.push({
      id,
      client: id % 2 === 0 ? 'even' : 'odd',
      account: 'ada',
      kind: 'add',
      amount: 0,
      target: 0,
      afterMs: 0,
      sentMs: 1_000,
      outcome: 'done',
      position,
      balance: book[position]?.balance ?? -1,
      doneMs: 2_000,
      ...more,
    });
  };
  command(1, { kind: 'add', amount: 50 });
  command(2, { kind: 'wait', amount: 7, afterMs: 500 });
  command(3, { kind: 'take', amount: 99, outcome: 'refused' });
  command(4, { kind: 'take', amount: 20 });
  command(5, { kind: 'wait', amount: 9, afterMs: 5_000, outcome: 'unknown' });
  command(6, { kind: 'drop', target: 5 });
  command(7, { kind: 'drop', target: 2 });
  command(8, { kind: 'add', amount: 5, outcome: 'nothing' });
  history.rings.set(2, 1_500);
  history.books.set('ada', book);
  history.booksAgain.set('ada', book);
  history.looks.push({ account: 'ada', sentMs: 2_100, lines: 7 });
  history.looks.push({ account: 'ada', sentMs: 1_900, lines: 1 });
  return history;
}

function edit(
  history: LedgerHistory,
  change: (book: LedgerEntry[]) => void,
  then: (book: LedgerEntry[]) => void = () => undefined,
): void {
  const book = [...history.books.get('ada')!];
  change(book);
  then(book);
  history.books.set('ada', book);
  history.booksAgain.set('ada', book);
}

const checks = (history: LedgerHistory): Set<string> =>
  new Set(checkLedger(history).map(({ check }) => check));

/** Balances follow, so that nothing but the mistake is wrong. */
function settle(book: LedgerEntry[]): void {
  let balance = 0;
  for (const [i, entry] of book.entries()) {
    if (entry.kind === 'add' || entry.kind === 'ring') balance += entry.amount;
    if (entry.kind === 'take') balance -= entry.amount;
    book[i] = { ...entry, balance };
  }
}

describe('the ledger', () => {
  test('finds nothing where all is well', () => {
    expect(checkLedger(right())).toEqual([]);
    expect(countLostCommands(right())).toBe(0);
  });

  const mistakes: [string, (history: LedgerHistory) => void][] = [
    ['lost', (history) => edit(history, (book) => void book.splice(2, 1), settle)],
    ['twice', (history) => edit(history, (book) => void book.push(book[0]!), settle)],
    ['twice', (history) => edit(history, (book) => void book.push(book[4]!), settle)],
    ['balance', (history) => edit(history, (book) => (book[6] = { ...book[6]!, balance: 1 }))],
    ['phantom', (history) => edit(history, (book) => (book[0] = { ...book[0]!, amount: 51 }))],
    ['phantom', (history) => edit(history, (book) => void book.push({ ...book[6]!, id: 99 }))],
    ['order', (history) => edit(history, (book) => void book.push(...book.splice(2, 1)))],
    ['answer', (history) => Object.assign(history.commands[3]!, { position: 1 })],
    ['answer', (history) => Object.assign(history.commands[3]!, { balance: 1 })],
    ['undone', (history) => Object.assign(history.commands[3]!, { outcome: 'nothing' })],
    ['undone', (history) => Object.assign(history.commands[3]!, { outcome: 'refused' })],
    ['early', (history) => history.rings.set(2, 1_400)],
    ['early', (history) => edit(history, (book) => void book.unshift(...book.splice(4, 1)))],
    ['silent', (history) => edit(history, (book) => void book.splice(4, 1), settle)],
    [
      'dropped',
      (history) =>
        edit(history, (book) => {
          book.push({ ...book[4]!, id: 5, amount: 9 });
          settle(book);
        }),
    ],
    ['dropped', (history) => edit(history, (book) => void book.push(...book.splice(4, 1)))],
    ['stale', (history) => history.looks.push({ account: 'ada', sentMs: 2_000, lines: 6 })],
    ['haunted', (history) => history.haunted.push('somebody')],
    ['forgotten', (history) => history.booksAgain.set('ada', history.books.get('ada')!.slice(1))],
    ['unread', (history) => history.booksAgain.clear()],
    ['unread', (history) => history.books.clear()],
  ];
  test.each(mistakes)('sees %s', (check, make) => {
    const history = right();
    make(history);
    expect(checks(history)).toContain(`ledger/${check}`);
  });

  /** What only the second reading shows: a book that begins with the first one, and goes on. */
  function later(history: LedgerHistory, ...lines: readonly Line[]): void {
    const book: LedgerEntry[] = [...history.books.get('ada')!];
    for (const line of lines) book.push({ ...line, balance: 0 });
    settle(book);
    history.booksAgain.set('ada', book);
  }

  const afterwards: [string, (history: LedgerHistory) => void][] = [
    ['phantom', (history) => later(history, { id: 99, kind: 'add', amount: 5, target: 0 })],
    ['twice', (history) => later(history, { id: 1, kind: 'add', amount: 50, target: 0 })],
    ['twice', (history) => later(history, { id: 2, kind: 'ring', amount: 7, target: 0 })],
    ['undone', (history) => later(history, { id: 8, kind: 'add', amount: 5, target: 0 })],
    ['dropped', (history) => later(history, { id: 5, kind: 'ring', amount: 9, target: 0 })],
    [
      'balance',
      (history) => {
        later(history);
        const again = [...history.booksAgain.get('ada')!];
        again[3] = { ...again[3]!, balance: 31 };
        history.booksAgain.set('ada', again);
      },
    ],
    [
      'forgotten',
      (history) => {
        const again = [...history.books.get('ada')!];
        again[5] = { ...again[5]!, target: 2 };
        history.booksAgain.set('ada', again);
      },
    ],
    ['unread', (history) => history.booksAgain.delete('ada')],
  ];
  test.each(afterwards)('sees %s that only comes with the power cut', (check, make) => {
    const history = right();
    make(history);
    const found = checkLedger(history);
    expect(found.map((each) => each.check)).toContain(`ledger/${check}`);
    const [first] = found.filter((each) => each.check === `ledger/${check}`);
    expect(first?.message).toContain('after ');
  });

  test('allows what is unknown to come between the two readings', () => {
    const history = right();
    history.commands[7]!.outcome = 'unknown';
    later(history, { id: 8, kind: 'add', amount: 5, target: 0 });
    expect(checkLedger(history)).toEqual([]);
  });

  test('allows what is unknown to be there or not', () => {
    const history = right();
    history.commands[3]!.outcome = 'unknown';
    expect(checkLedger(history)).toEqual([]);
    edit(history, (book) => {
      book.splice(2, 1);
      settle(book);
    });
    const moved = checkLedger(history).filter(({ check }) => check !== 'ledger/answer');
    expect(moved).toEqual([]);
  });
});
