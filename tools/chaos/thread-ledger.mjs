// The bookkeeper of `threads.mjs`: journals in shared memory, which outlive the thread that wrote them, and the rules
// that they are held against. Shares no code with the runtime that is tested.
//
// A message is (sender thread, sender life, target thread, number); tells and asks have numbers of their own, from 1.
// Invariant: an entry counts when its number is stored, so a thread that is ended half way leaves none.

/** What an entry says: [kind, other thread, its life or an outcome, number]. */
export const KIND = {
  /** I sent a tell: accepted. */
  sent: 1,
  /** I handled a tell of (thread, life). */
  took: 2,
  /** I asked a thread, and how that ended. */
  asked: 3,
  settled: 4,
  /** I handled an ask of (thread, life). */
  answered: 5,
  /** A body was not what its number says. */
  wrong: 6,
};

/** How an ask ended. `refused`: it never left. Others that are not `ok` or `lost` are faults. */
export const OUTCOME = { ok: 0, lost: 1, refused: 2, timeout: 3, other: 4, wrongReply: 5 };

const WORDS = 4;
const EXAMPLES_MAX = 10;

export function journalMemory(entries) {
  return new SharedArrayBuffer((1 + entries * WORDS) * 4);
}

/** Written by one thread, in one life. */
export class Journal {
  #words;
  #count = 0;

  constructor(memory) {
    this.#words = new Int32Array(memory);
  }

  add(kind, thread, extra, number) {
    const at = 1 + this.#count * WORDS;
    if (at + WORDS > this.#words.length) throw new Error('the journal is full');
    this.#words[at] = kind;
    this.#words[at + 1] = thread;
    this.#words[at + 2] = extra;
    this.#words[at + 3] = number;
    this.#count += 1;
    Atomics.store(this.#words, 0, this.#count);
  }
}

function* entriesOf(memory) {
  const words = new Int32Array(memory);
  const count = Atomics.load(words, 0);
  for (let n = 0; n < count; n += 1) {
    const at = 1 + n * WORDS;
    yield [words[at], words[at + 1], words[at + 2], words[at + 3]];
  }
}

/** `own` are threads that nobody kills: what they sent each other arrives without exception. */
export class Ledger {
  #own;
  #lives = [];
  #faults = [];
  #counts = { lives: 0, tells: 0, handled: 0, asks: 0, ok: 0, lost: 0, refused: 0 };

  constructor(own) {
    this.#own = new Set(own);
  }

  /** A life is over, or the run is: `isDead` if it was ended. Lives of one thread come in their order. */
  close(thread, life, memory, isDead) {
    const record = {
      thread,
      life,
      isDead,
      sent: new Map(),
      took: new Map(),
      asks: new Map(),
      answered: new Map(),
    };
    for (const [kind, other, extra, number] of entriesOf(memory))
      this.#enter(record, kind, other, extra, number);
    this.#lives.push(record);
    this.#counts.lives += 1;
  }

  #enter(record, kind, other, extra, number) {
    const { thread, life } = record;
    const me = `${thread}.${life}`;
    if (kind === KIND.sent) {
      this.#counts.tells += 1;
      record.sent.set(other, number);
    } else if (kind === KIND.took) {
      this.#counts.handled += 1;
      const from = `${other}.${extra}`;
      const known = record.took.get(from);
      if (known === undefined) record.took.set(from, { first: number, last: number });
      else {
        // Within one life of both sides nothing is lost, nothing comes twice, and the order is kept.
        if (number !== known.last + 1)
          this.fault(`${from} to ${me}: tell ${number} after ${known.last}`);
        known.last = Math.max(known.last, number);
      }
    } else if (kind === KIND.asked) {
      this.#counts.asks += 1;
      record.asks.set(`${other}/${number}`, undefined);
    } else if (kind === KIND.settled) this.#settled(record, `${other}/${number}`, extra);
    else if (kind === KIND.answered) {
      const from = `${other}.${extra}`;
      const numbers = record.answered.get(from) ?? [];
      const last = numbers[numbers.length - 1] ?? 0;
      if (number <= last) this.fault(`${from} to ${me}: ask ${number} after ${last}`);
      numbers.push(number);
      record.answered.set(from, numbers);
    } else if (kind === KIND.wrong)
      this.fault(`${other}.${extra} to ${me}: the body of tell ${number} is wrong`);
  }

  #settled(record, key, outcome) {
    const me = `${record.thread}.${record.life}`;
    if (!record.asks.has(key)) this.fault(`${me}: ask ${key} settled and never asked`);
    if (record.asks.get(key) !== undefined) this.fault(`${me}: ask ${key} settled twice`);
    record.asks.set(key, outcome);
    if (outcome === OUTCOME.ok) this.#counts.ok += 1;
    else if (outcome === OUTCOME.lost) this.#counts.lost += 1;
    else if (outcome === OUTCOME.refused) this.#counts.refused += 1;
    else this.fault(`${me}: ask ${key} ended as ${Object.keys(OUTCOME)[outcome]}`);
  }

  fault(text) {
    this.#faults.push(text);
  }

  /** Holds everything together. All lives are closed; those that are not dead had nothing left to do. */
  report() {
    const senders = new Map(this.#lives.map((each) => [`${each.thread}.${each.life}`, each]));
    const lastTold = new Map();
    for (const target of this.#lives) {
      for (const [from, span] of target.took)
        this.#checkTells(target, from, span, senders, lastTold);
    }
    for (const sender of this.#lives) this.#checkSender(sender);
    this.#checkAsks(senders);
    return {
      ...this.#counts,
      faults: this.#faults.length,
      examples: this.#faults.slice(0, EXAMPLES_MAX),
    };
  }

  #checkTells(target, from, { first, last }, senders, lastTold) {
    const pair = `${from} to ${target.thread}`;
    const before = lastTold.get(pair) ?? 0;
    if (first <= before) this.fault(`${pair}: tell ${first} came again to life ${target.life}`);
    lastTold.set(pair, last);
    const sender = senders.get(from);
    if (sender === undefined) {
      this.fault(`${pair}: nobody lived who sent this`);
      return;
    }
    // One may have left before its sender could write it down.
    const sent = (sender.sent.get(target.thread) ?? 0) + (sender.isDead ? 1 : 0);
    if (last > sent) this.fault(`${pair}: tell ${last} of ${sent}`);
    if (this.#own.has(target.thread) && first !== 1)
      this.fault(`${pair}: it begins with tell ${first}`);
  }

  /** What a living thread sent to the present life of another has arrived. */
  #checkSender(sender) {
    if (sender.isDead) return;
    for (const target of this.#lives) {
      const sent = sender.sent.get(target.thread) ?? 0;
      if (target.isDead || sent === 0) continue;
      const last = target.took.get(`${sender.thread}.${sender.life}`)?.last ?? 0;
      if (last !== sent) {
        this.fault(
          `${sender.thread}.${sender.life} to ${target.thread}: ${sent} sent, ${last} arrived`,
        );
      }
    }
  }

  #checkAsks(senders) {
    const handled = new Map();
    for (const target of this.#lives) {
      for (const [from, numbers] of target.answered) {
        for (const number of numbers) {
          const key = `${from}>${target.thread}/${number}`;
          if (handled.has(key)) this.fault(`ask ${key} was handled twice`);
          handled.set(key, target.life);
        }
      }
    }
    for (const [from, sender] of senders) {
      for (const [key, outcome] of sender.asks) {
        const isHandled = handled.has(`${from}>${key}`);
        if (outcome === undefined && !sender.isDead) this.fault(`${from}: ask ${key} never ended`);
        if (outcome === OUTCOME.ok && !isHandled)
          this.fault(`${from}: ask ${key} answered by nobody`);
        if (outcome === OUTCOME.refused && isHandled)
          this.fault(`${from}: ask ${key} refused and handled`);
      }
    }
  }
}
