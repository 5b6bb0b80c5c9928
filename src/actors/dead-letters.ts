// What could not be delivered, counted by reason, with the last few kept for people. A dead letter is
// never an error of the runtime: `tell` promises at most once, and this is where the rest shows.

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

const RECENT_MAX = 64;

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
  readonly #recent: DeadLetter[] = [];
  readonly #listeners: ((letter: DeadLetter) => void)[] = [];

  /** The last 64, oldest first. */
  get recent(): readonly DeadLetter[] {
    return this.#recent;
  }

  onLetter(listen: (letter: DeadLetter) => void): void {
    this.#listeners.push(listen);
  }

  add(target: string, op: string, reason: DeadReason, count = 1): void {
    this.counts[reason] += count;
    this.total += count;
    const letter = { target, op, reason };
    if (this.#recent.length === RECENT_MAX) this.#recent.shift();
    this.#recent.push(letter);
    for (const listen of this.#listeners) {
      try {
        listen(letter);
      } catch {
        // `tell` never throws, whatever a listener does.
        this.listenerFaults += 1;
      }
    }
  }
}
