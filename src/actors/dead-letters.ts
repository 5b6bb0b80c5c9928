// What could not be delivered, counted by reason, with the last few kept for people. A dead letter is
// never an error of the runtime: `tell` promises at most once, and this is where the rest shows.
// Invariant: memory is bounded, however many there are and however long their targets' paths.
import type { Clock } from '../env/environment.ts';

export type DeadReason =
  | 'full'
  | 'gone'
  | 'stopped'
  | 'failed'
  | 'dropped'
  | 'unreachable'
  | 'thread-lost'
  | 'malformed'
  | 'unknown-op';

export interface DeadLetter {
  /** Path of the target. */
  readonly target: string;
  readonly op: string;
  readonly reason: DeadReason;
}

/** Letters of one target, operation and reason. Times are of the thread's monotonic clock. */
export interface DeadLetterGroup extends DeadLetter {
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

interface Group {
  readonly key: string;
  readonly target: string;
  readonly op: string;
  readonly reason: DeadReason;
  count: number;
  readonly firstMs: number;
  lastMs: number;
  /** All letters there were when it had its last one: the order of last letters. */
  lastTotal: number;
  isOld: boolean;
}

const RECENT_MAX = 64;
const TEXT_MAX = 256;

export class DeadLetters {
  readonly counts: Record<DeadReason, number> = {
    full: 0,
    gone: 0,
    stopped: 0,
    failed: 0,
    dropped: 0,
    unreachable: 0,
    'thread-lost': 0,
    malformed: 0,
    'unknown-op': 0,
  };
  total = 0;
  /** Letters at which a listener threw. */
  listenerFaults = 0;
  readonly #clock: Clock;
  /** The last 64, as a ring; `#next` is where the oldest is, once it is full. */
  readonly #recent: DeadLetter[] = [];
  #next = 0;
  readonly #groups = new Map<string, Group>();
  /** The same as a ring: when it is full, a hand goes round and takes the first that had no letter since its last visit. */
  readonly #kept: Group[] = [];
  #hand = 0;
  readonly #listeners: ((letter: DeadLetter) => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The last 64, oldest first. */
  get recent(): readonly DeadLetter[] {
    return [...this.#recent.slice(this.#next), ...this.#recent.slice(0, this.#next)];
  }

  /** Up to 64 kinds, the one with the latest letter first. */
  get groups(): readonly DeadLetterGroup[] {
    return [...this.#kept]
      .sort((a, b) => b.lastTotal - a.lastTotal)
      .map(({ target, op, reason, count, firstMs, lastMs }) => ({
        target,
        op,
        reason,
        count,
        firstMs,
        lastMs,
      }));
  }

  onLetter(listen: (letter: DeadLetter) => void): void {
    this.#listeners.push(listen);
  }

  add(target: string, op: string, reason: DeadReason, count = 1): void {
    this.counts[reason] += count;
    this.total += count;
    const letter = { target: cut(target), op: cut(op), reason };
    if (this.#recent.length < RECENT_MAX) this.#recent.push(letter);
    else {
      this.#recent[this.#next] = letter;
      this.#next = (this.#next + 1) % RECENT_MAX;
    }
    this.#group(letter, count);
    for (const listen of this.#listeners) {
      try {
        listen(letter);
      } catch {
        // `tell` never throws, whatever a listener does.
        this.listenerFaults += 1;
      }
    }
  }

  #group(letter: DeadLetter, count: number): void {
    const key = `${letter.reason} ${letter.op} ${letter.target}`;
    const nowMs = this.#clock.monotonicMs();
    let group = this.#groups.get(key);
    if (group === undefined) {
      const { target, op, reason } = letter;
      group = {
        key,
        target,
        op,
        reason,
        count: 0,
        firstMs: nowMs,
        lastMs: 0,
        lastTotal: 0,
        isOld: true,
      };
      this.#groups.set(key, group);
      this.#keep(group);
    } else group.isOld = false;
    group.count += count;
    group.lastMs = nowMs;
    group.lastTotal = this.total;
  }

  #keep(group: Group): void {
    const kept = this.#kept;
    if (kept.length < RECENT_MAX) {
      kept.push(group);
      return;
    }
    while (!kept[this.#hand]!.isOld) {
      kept[this.#hand]!.isOld = true;
      this.#hand = (this.#hand + 1) % RECENT_MAX;
    }
    this.#groups.delete(kept[this.#hand]!.key);
    kept[this.#hand] = group;
    this.#hand = (this.#hand + 1) % RECENT_MAX;
  }
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
}
