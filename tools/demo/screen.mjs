// What a person sees: a bar on a terminal, a line now and then elsewhere, and the ledger as a table.
// Errors of clients are shown once each, in the client's words, and counted.

const BAR_WIDTH = 30;
const FRAME_MS = 100;
const LINE_MS = 2_000;
const TEXT_MAX = 120;

export class Screen {
  #stream;
  #isTerminal;
  #startMs = performance.now();
  #lastMs = -Infinity;
  #hasBar = false;
  #isMute = false;
  #errors = new Map();

  constructor(stream) {
    this.#stream = stream;
    this.#isTerminal = stream.isTTY === true;
  }

  /** The last word. */
  mute(text) {
    this.say(text);
    this.#isMute = true;
  }

  say(text) {
    if (this.#isMute) return;
    this.#clearBar();
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1).padStart(5);
    this.#stream.write(`${seconds} s  ${text}\n`);
  }

  plain(text) {
    if (this.#isMute) return;
    this.#clearBar();
    this.#stream.write(`${text}\n`);
  }

  progress(done, total, text) {
    if (this.#isMute) return;
    const nowMs = performance.now();
    if (nowMs - this.#lastMs < (this.#isTerminal ? FRAME_MS : LINE_MS)) return;
    this.#lastMs = nowMs;
    const part = total === 0 ? 1 : done / total;
    const percent = `${Math.floor(part * 100)}`.padStart(3);
    if (!this.#isTerminal) {
      this.say(`${percent} %  ${text}`);
      return;
    }
    const full = Math.round(part * BAR_WIDTH);
    const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
    this.#stream.write(`\r\x1b[K${bar} ${percent} %  ${text}`);
    this.#hasBar = true;
  }

  /** An error that a client met and lived through. */
  trouble(who, error) {
    const text = `${who}: ${textOf(error)}`;
    // The same but for its numbers, which are times, ports and identities, is the same.
    const kind = text.replace(/\d+/g, '0');
    const known = this.#errors.get(kind);
    if (known !== undefined) known.count += 1;
    else {
      this.#errors.set(kind, { text, count: 1 });
      this.say(`  ${text}`);
    }
  }

  /** How often each error came, of those that came more than once; then they are forgotten. */
  sayTroubles() {
    for (const { text, count } of this.#errors.values()) {
      if (count > 1) this.plain(`         ${count} times ${text}`);
    }
    this.#errors.clear();
  }

  #clearBar() {
    if (this.#hasBar) this.#stream.write('\r\x1b[K');
    this.#hasBar = false;
  }
}

/** One line, without the appendix of gRPC's errors. */
function textOf(error) {
  const text = String(error.message || error.code || error.name);
  return text
    .split('\n')[0]
    .replace(/\. Resolution note:.*/, '')
    .slice(0, TEXT_MAX);
}

const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const number = (value) => value.toLocaleString('en-US');

function rows(table) {
  const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)));
  return table.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
  );
}

/** The ledger of one run as lines. */
export function ledgerLines(result) {
  const { ledger, confirms } = result;
  const head = ['', 'delivered', 'duplicates', 'lost', 'reordered', 'altered', 'longest silence'];
  const table = ledger.readers.map((reader) => [
    reader.name,
    number(reader.delivered),
    number(reader.duplicates),
    number(reader.lost),
    number(reader.reordered),
    number(reader.altered + reader.misrouted + reader.rewritten),
    seconds(result.silenceMs[reader.name]),
  ]);
  const again = ['nacked', 'returned', 'unknown'].map((how) => `${number(confirms[how])} ${how}`);
  return [
    `published ${number(ledger.published)}, confirmed ${number(ledger.confirmed)}; ` +
      `published again ${number(ledger.republished)} (${again.join(', ')}); ` +
      `longest wait for a confirm ${seconds(result.silenceMs.confirms)}`,
    ...rows([head, ...table]),
    ...ledger.readers.flatMap(({ name, examples }) => examples.map((text) => `  ${name}  ${text}`)),
    fateOf(result),
  ];
}

function fateOf({ victim, isBack, ledMs, backMs }) {
  if (victim === undefined) return 'no node was killed';
  if (!isBack) return `node ${victim} did NOT come back in sync`;
  return (
    `node ${victim} was killed: others led its partitions after ${seconds(ledMs)}, ` +
    `it was back in sync after ${seconds(backMs)}`
  );
}
