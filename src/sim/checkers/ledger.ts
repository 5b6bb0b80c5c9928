// Judges accounts by their books: every command that was answered is there once and where its answer said, what was
// refused is not there, clients' commands are in their order, and each timer rang once, not early, or was dropped. What
// is read after everything has lost its power must begin with what was read before, and is judged in the same way.
import type { Violation } from '../scenario.ts';
import type { LedgerCommand, LedgerEntry, LedgerHistory } from './ledger-history.ts';

/** Clocks go wrong by up to a tenth. */
const SURELY = 0.9;

export function checkLedger(history: LedgerHistory): Violation[] {
  const found: Violation[] = [];
  const say = (check: string, message: string): void => {
    found.push({ check: `ledger/${check}`, message });
  };
  const commands = new Map(history.commands.map((command) => [command.id, command]));
  checkBooks(history, history.books, commands, say);
  // The power cut takes nothing away and makes nothing good: what is read then is judged as what was read before.
  checkBooks(history, history.booksAgain, commands, (check, message) =>
    say(check, `after the power cut, ${message}`),
  );
  for (const [account, book] of history.books) {
    checkAgain(account, book, history.booksAgain.get(account), say);
  }
  checkLooks(history, say);
  for (const what of history.haunted) say('haunted', what);
  return found;
}

type Say = (check: string, message: string) => void;

function checkBooks(
  { commands: sent, rings }: LedgerHistory,
  books: ReadonlyMap<string, readonly LedgerEntry[]>,
  commands: ReadonlyMap<number, LedgerCommand>,
  say: Say,
): void {
  for (const [account, book] of books) {
    checkBook(account, book, commands, say);
    checkTimers(account, book, commands, rings, say);
  }
  for (const command of sent) {
    const book = books.get(command.account);
    if (book === undefined) say('unread', `${command.account} was not read`);
    else checkOutcome(command, book, say);
  }
}

function checkBook(
  account: string,
  book: readonly LedgerEntry[],
  commands: ReadonlyMap<number, LedgerCommand>,
  say: Say,
): void {
  const seen = new Set<string>();
  const last = new Map<string, number>();
  let balance = 0;
  for (const [position, entry] of book.entries()) {
    const { id, kind, amount } = entry;
    const where = `${account}[${position}] ${kind} ${id}`;
    const key = `${kind === 'ring' ? 'ring' : 'command'} ${id}`;
    if (seen.has(key)) say('twice', where);
    seen.add(key);
    if (kind === 'add' || kind === 'ring') balance += amount;
    if (kind === 'take') balance -= amount;
    if (balance !== entry.balance) say('balance', `${where}: ${entry.balance}, not ${balance}`);
    if (balance < 0) say('balance', `${where}: below nothing`);
    const command = commands.get(id);
    const isAsSent =
      command?.account === account &&
      (kind === 'ring' ? command.kind === 'wait' : command.kind === kind) &&
      (kind === 'drop' ? command.target === entry.target : command.amount === amount);
    if (!isAsSent) say('phantom', `${where} of ${amount} was not sent so`);
    if (command === undefined || kind === 'ring') continue;
    const before = last.get(command.client) ?? -1;
    if (before > id) say('order', `${where} comes behind ${before} of ${command.client}`);
    last.set(command.client, id);
  }
}

function checkOutcome(command: LedgerCommand, book: readonly LedgerEntry[], say: Say): void {
  const { id, account, outcome, position, balance, kind } = command;
  const what = `${kind} ${id} of ${account}`;
  const isThere = book.some((entry) => entry.id === id && entry.kind === kind);
  if (outcome === 'done') {
    const entry = book[position];
    if (!isThere) say('lost', `${what} was answered`);
    else if (entry?.id !== id || entry.kind !== kind || entry.balance !== balance) {
      say('answer', `${what} was answered with line ${position} and ${balance}`);
    }
  } else if (outcome !== 'unknown' && isThere) say('undone', `${what} is there: ${outcome}`);
}

function checkTimers(
  account: string,
  book: readonly LedgerEntry[],
  commands: ReadonlyMap<number, LedgerCommand>,
  rings: ReadonlyMap<number, number>,
  say: Say,
): void {
  for (const [at, { id, kind }] of book.entries()) {
    if (kind !== 'wait') continue;
    const command = commands.get(id);
    const what = `the timer of wait ${id} of ${account}`;
    const rangMs = rings.get(id);
    const surelyMs = (command?.sentMs ?? 0) + SURELY * (command?.afterMs ?? 0);
    if (rangMs !== undefined && rangMs < surelyMs) {
      say('early', `${what} rang at ${rangMs}, not before ${surelyMs}`);
    }
    const rang = book.findIndex((entry) => entry.kind === 'ring' && entry.id === id);
    const isDrop = (entry: LedgerEntry) => entry.kind === 'drop' && entry.target === id;
    const dropped = book.findIndex((entry) => isDrop(entry) && entry.amount === 1);
    if (rang >= 0 && rang < at) say('early', `${what} rang before it was set`);
    if (rang < 0 && dropped < 0) say('silent', what);
    if (rang >= 0 && dropped >= 0) say('dropped', `${what} was dropped, and rang`);
    const gone = [rang, dropped].filter((line) => line >= 0);
    const early = book.findIndex((entry, i) => i > at && isDrop(entry) && entry.amount === 0);
    if (early >= 0 && gone.every((line) => line > early)) {
      say('dropped', `${what} was set when line ${early} said that it was not`);
    }
  }
}

/** Whoever looks sees what was answered before, to whomever. */
function checkLooks({ commands, looks }: LedgerHistory, say: Say): void {
  const done = commands.filter(({ outcome }) => outcome === 'done');
  for (const { account, sentMs, lines } of looks) {
    const missed = done.find(
      (command) =>
        command.account === account && command.doneMs <= sentMs && command.position >= lines,
    );
    if (missed === undefined) continue;
    const what = `line ${missed.position} of ${account}, answered at ${missed.doneMs}`;
    say('stale', `${what}, is not among the ${lines} that were seen at ${sentMs} or later`);
  }
}

function checkAgain(
  account: string,
  book: readonly LedgerEntry[],
  again: readonly LedgerEntry[] | undefined,
  say: Say,
): void {
  if (again === undefined) return;
  const differs = book.findIndex((entry, i) => !isSame(entry, again[i]));
  if (differs >= 0)
    say('forgotten', `line ${differs} of ${account} is another one after a power cut`);
}

function isSame(entry: LedgerEntry, other: LedgerEntry | undefined): boolean {
  return (
    other?.id === entry.id &&
    other.kind === entry.kind &&
    other.amount === entry.amount &&
    other.target === entry.target &&
    other.balance === entry.balance
  );
}

/** Answered commands that are not in the book. */
export function countLostCommands({ commands, books }: LedgerHistory): number {
  return commands.filter(
    ({ outcome, account, id }) =>
      outcome === 'done' && books.get(account)?.some((entry) => entry.id === id) !== true,
  ).length;
}
