// What clients of accounts did and were told, and what the accounts say in the end: the one thing that the ledger's
// checker knows.

export type CommandKind = 'add' | 'take' | 'wait' | 'drop';

/** A line in the book of an account, in the order in which it was decided. */
export interface LedgerEntry {
  /** Of the command; a ring has that of its `wait`. */
  readonly id: number;
  readonly kind: CommandKind | 'ring';
  /** Of a `drop`: 1 if the timer was set, 0 if it had rung or was dropped before. */
  readonly amount: number;
  /** Of a `drop`: the id of the wait. */
  readonly target: number;
  readonly balance: number;
}

export interface LedgerCommand {
  readonly id: number;
  readonly client: string;
  readonly account: string;
  readonly kind: CommandKind;
  readonly amount: number;
  readonly target: number;
  readonly afterMs: number;
  readonly sentMs: number;
  /**
   * `refused`: the account said no. `nothing`: the client was told that nothing has happened. `unknown`: it was told
   * so, or its program died.
   */
  outcome: 'unknown' | 'done' | 'refused' | 'nothing';
  /** Where in the book its line is, and the balance then. */
  position: number;
  balance: number;
  /** When the client had its answer. */
  doneMs: number;
}

/** A client has looked at an account, and found so many lines. */
export interface LedgerLook {
  readonly account: string;
  readonly sentMs: number;
  readonly lines: number;
}

export interface LedgerHistory {
  readonly commands: LedgerCommand[];
  readonly looks: LedgerLook[];
  /** When a leader, any, decided that a timer rings, by the id of its wait. The first time counts. */
  readonly rings: Map<number, number>;
  /** What a client found in an actor that it had just made, and which must have been empty. */
  readonly haunted: string[];
  /** The books when all was done, and after everything has lost its power. */
  readonly books: Map<string, readonly LedgerEntry[]>;
  readonly booksAgain: Map<string, readonly LedgerEntry[]>;
}

export function emptyLedger(): LedgerHistory {
  return {
    commands: [],
    looks: [],
    rings: new Map(),
    haunted: [],
    books: new Map(),
    booksAgain: new Map(),
  };
}
