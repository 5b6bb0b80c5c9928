// An application in the process of a node: accounts as durable actors, and a client that deposits, withdraws, moves
// money between two of them, and sets and drops timers. It dies with its node.
import { type DurableActor, durable } from '../../actors/durable/event-sourced.ts';
import { ask, protocol } from '../../actors/protocol.ts';
import type { Ref } from '../../actors/ref.ts';
import type { ReplicatedActors } from '../../assembly/durable-actors.ts';
import { array, none, oneOf, record, u32, u53 } from '../../codec/index.ts';
import type { Environment } from '../../env/environment.ts';
import type {
  CommandKind,
  LedgerCommand,
  LedgerEntry,
  LedgerHistory,
} from '../checkers/ledger-history.ts';
import { between, type CountingRandom, chance, pick } from '../draws.ts';

const TOO_LITTLE = 'ACCOUNT_TOO_LITTLE';
const within = { timeoutMs: 60_000 };
const AMOUNT_MAX = 100;
const AFTER_MS_MAX = 15_000;
const BURST_MAX = 6;
const RETRY_MS = 250;
/** Fails an ask and says that nothing has happened. */
const NOTHING: ReadonlySet<string> = new Set(['DURABLE_UNAVAILABLE', 'DURABLE_NO_ACTOR']);

const BUSY = ['ada', 'bob', 'cleo', 'dan', 'eve'];
/** Seldom changed: what was asked of their leaders before is kept, when these are cut off. */
const QUIET = ['fay', 'gus', 'hal', 'ivy', 'jo'];
export const ACCOUNTS: readonly string[] = [...BUSY, ...QUIET];

const kind = oneOf('add', 'take', 'wait', 'drop', 'ring');
const entry = record({ id: u53, kind, amount: u32, target: u53, balance: u53 });
const line = record({ position: u53, balance: u53 });
const order = record({ id: u53, amount: u32, target: u53, afterMs: u32 });

const AccountProtocol = protocol('account', 1, {
  add: ask(order, line),
  take: ask(order, line),
  wait: ask(order, line),
  drop: ask(order, line),
  ring: ask(order, line),
  look: ask(none, array(entry)),
});
export type AccountOps = typeof AccountProtocol.ops;
type Book = readonly LedgerEntry[];
interface Order {
  readonly id: number;
  readonly amount: number;
  readonly target: number;
  readonly afterMs: number;
}

const balanceOf = (book: Book): number => book.at(-1)?.balance ?? 0;

function isSet(book: Book, wait: number): boolean {
  const isOver = ({ kind: of, id, target, amount }: LedgerEntry) =>
    (of === 'ring' && id === wait) || (of === 'drop' && target === wait && amount === 1);
  return book.some(({ kind: of, id }) => of === 'wait' && id === wait) && !book.some(isOver);
}

/** `onRing`: a leader, any, decides that the timer of a wait rings. */
export function accountKind(onRing: (id: number) => void): DurableActor<AccountOps> {
  const write = (book: Book, of: LedgerEntry['kind'], { id, target }: Order, amount: number) => {
    const change = of === 'take' ? -amount : of === 'add' || of === 'ring' ? amount : 0;
    const balance = balanceOf(book) + change;
    return {
      events: [{ type: 'written' as const, value: { id, kind: of, amount, target, balance } }],
      reply: { position: book.length, balance },
    };
  };
  return durable(AccountProtocol, {
    events: { written: entry },
    state: array(entry),
    initial: (): Book => [],
    decide: {
      add: (book, of) => write(book, 'add', of, of.amount),
      take(book, of) {
        if (of.amount <= balanceOf(book)) return write(book, 'take', of, of.amount);
        throw Object.assign(new Error('there is too little'), { code: TOO_LITTLE });
      },
      wait: (book, of) => ({
        ...write(book, 'wait', of, of.amount),
        timers: [{ key: `${of.id}`, afterMs: of.afterMs, op: 'ring', input: of }],
      }),
      drop: (book, of) => ({
        ...write(book, 'drop', of, isSet(book, of.target) ? 1 : 0),
        timers: [{ key: `${of.target}`, cancel: true }],
      }),
      ring(book, of) {
        onRing(of.id);
        return write(book, 'ring', of, of.amount);
      },
      look: (book) => ({ reply: book }),
    },
    apply: {
      // The balance is counted by whoever applies, so that what is applied twice is seen.
      written: (book, value) => {
        const { kind: of, amount } = value;
        const change = of === 'take' ? -amount : of === 'add' || of === 'ring' ? amount : 0;
        return [...book, { ...value, balance: balanceOf(book) + change }];
      },
    },
  });
}

export interface AccountClientOptions {
  readonly name: string;
  readonly env: Environment;
  readonly actors: ReplicatedActors;
  readonly kind: DurableActor<AccountOps>;
  readonly random: CountingRandom;
  readonly history: LedgerHistory;
  readonly nowMs: () => number;
  readonly meanGapMs: number;
  /** It changes nothing, and so goes on where no change is possible. */
  readonly isReader: boolean;
}

export class AccountClient {
  readonly #options: AccountClientOptions;
  /** Ids of waits, by account, that may be dropped. */
  readonly #waits: { readonly account: string; readonly id: number }[] = [];
  #isStopped = false;
  isDone = false;

  constructor(options: AccountClientOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#isStopped = true;
  }

  async run(): Promise<void> {
    for (const name of ACCOUNTS) await this.#make(name);
    const { random, meanGapMs, isReader } = this.#options;
    while (!this.#isStopped) {
      if (isReader) await this.#look(pick(random, QUIET)!);
      else await this.#once();
      await this.#sleep(between(random, 1, 2 * meanGapMs));
    }
    this.isDone = true;
  }

  #sleep(delayMs: number): Promise<void> {
    const { timers, clock } = this.#options.env;
    return new Promise((resolve) => {
      timers.at(clock.monotonicMs() + delayMs, resolve);
    });
  }

  /** All replicas, or not yet. */
  async #make(name: string): Promise<Ref<AccountOps>> {
    const { actors, kind: of } = this.#options;
    const isStrict = name === BUSY[0];
    for (;;) {
      try {
        const options = { replicationFactor: 3, ...(isStrict ? { minInsync: 2 } : {}) };
        return await actors.create(of, name, options);
      } catch (error) {
        codeOf(error);
      }
      await this.#sleep(RETRY_MS);
    }
  }

  async #once(): Promise<void> {
    const { random } = this.#options;
    const account = pick(random, BUSY)!;
    const draw = random.below(100);
    if (draw < 35) await this.#burst(account);
    else if (draw < 40) await this.#send(pick(random, QUIET)!, 'add');
    else if (draw < 65) await this.#transfer(account);
    else if (draw < 85) await this.#wait(account);
    else if (draw < 90) await this.#drop();
    else if (draw < 97) await this.#look(account);
    else await this.#passing();
  }

  async #burst(account: string): Promise<void> {
    const { random } = this.#options;
    const commands = Array.from({ length: between(random, 1, BURST_MAX) }, () =>
      this.#send(account, chance(random, 0.7) ? 'add' : 'take'),
    );
    await Promise.all(commands);
  }

  async #transfer(account: string): Promise<void> {
    const { random } = this.#options;
    const amount = between(random, 1, AMOUNT_MAX);
    const taken = await this.#send(account, 'take', { amount });
    if (taken.outcome === 'done') await this.#send(pick(random, BUSY)!, 'add', { amount });
  }

  async #wait(account: string): Promise<void> {
    const afterMs = between(this.#options.random, 0, AFTER_MS_MAX);
    const { id } = await this.#send(account, 'wait', { afterMs });
    this.#waits.push({ account, id });
  }

  async #drop(): Promise<void> {
    const wait = pick(this.#options.random, this.#waits);
    if (wait !== undefined) await this.#send(wait.account, 'drop', { target: wait.id });
  }

  async #look(account: string): Promise<void> {
    const { history, actors, nowMs, kind: of } = this.#options;
    const sentMs = nowMs();
    try {
      const book = await actors.ref(of, account).ask('look', undefined, within);
      history.looks.push({ account, sentMs, lines: book.length });
    } catch (error) {
      codeOf(error);
    }
  }

  /** An actor that is made, used and removed, under a name that comes again. */
  async #passing(): Promise<void> {
    const { actors, kind: of, name, history } = this.#options;
    const passing = `passing ${name}`;
    try {
      const ref = await actors.create(of, passing, { replicationFactor: 3 });
      const book = await ref.ask('look', undefined, within);
      if (book.length > 0) history.haunted.push(`${passing} has ${book.length} lines`);
      await ref.ask('add', { id: 1, amount: 1, target: 0, afterMs: 0 }, within);
    } catch (error) {
      codeOf(error);
    }
    for (;;) {
      try {
        await actors.remove(of, passing);
        return;
      } catch (error) {
        codeOf(error);
      }
      await this.#sleep(RETRY_MS);
    }
  }

  async #send(
    account: string,
    of: CommandKind,
    more: Partial<Omit<Order, 'id'>> = {},
  ): Promise<LedgerCommand> {
    const { history, random, actors, nowMs, name: client, kind: accounts } = this.#options;
    const amount = of === 'drop' ? 0 : (more.amount ?? between(random, 1, AMOUNT_MAX));
    const { target = 0, afterMs = 0 } = more;
    const id = history.commands.length + 1;
    const sent = { id, amount, target, afterMs };
    const nothing = { outcome: 'unknown' as const, position: -1, balance: -1, doneMs: -1 };
    const command: LedgerCommand = {
      ...sent,
      client,
      account,
      kind: of,
      sentMs: nowMs(),
      ...nothing,
    };
    history.commands.push(command);
    try {
      const { position, balance } = await actors.ref(accounts, account).ask(of, sent, within);
      Object.assign(command, { outcome: 'done', position, balance, doneMs: nowMs() });
    } catch (error) {
      const code = codeOf(error);
      if (code === TOO_LITTLE) command.outcome = 'refused';
      else if (NOTHING.has(code)) command.outcome = 'nothing';
    }
    return command;
  }
}

/** What else is thrown is a mistake. */
function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  const isKnown =
    typeof code === 'string' && /^(DURABLE|ACTOR_ASK_TIMEOUT|ACTOR_FULL|ACCOUNT)/.test(code);
  if (!isKnown) throw error;
  return code;
}
