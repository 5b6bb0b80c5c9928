// The keyed timers of one actor: a key set again replaces its timer, and what is due waits in the order in
// which it fell due until the actor handles it. Invariant: until it is handled, `cancel` still reaches it.
import type { OpEntry } from './protocol.ts';
import type { Deadline, Deadlines } from './timers.ts';

export interface KeyedTimer {
  readonly key: string;
  readonly op: OpEntry;
  readonly input: unknown;
  deadline: Deadline | undefined;
}

export class KeyedTimers {
  readonly #deadlines: Deadlines;
  readonly #onDue: () => void;
  readonly #timers = new Map<string, KeyedTimer>();
  readonly #due: KeyedTimer[] = [];

  constructor(deadlines: Deadlines, onDue: () => void) {
    this.#deadlines = deadlines;
    this.#onDue = onDue;
  }

  /** Those that are set, and those that are due and not handled. */
  get count(): number {
    return this.#timers.size;
  }

  get hasDue(): boolean {
    return this.#due.length > 0;
  }

  set(key: string, delayMs: number, op: OpEntry, input: unknown): void {
    this.cancel(key);
    const timer: KeyedTimer = { key, op, input, deadline: undefined };
    this.#timers.set(key, timer);
    timer.deadline = this.#deadlines.after(delayMs, () => {
      this.#due.push(timer);
      this.#onDue();
    });
  }

  cancel(key: string): void {
    const timer = this.#timers.get(key);
    if (timer === undefined) return;
    this.#timers.delete(key);
    if (timer.deadline !== undefined) this.#deadlines.cancel(timer.deadline);
    const at = this.#due.indexOf(timer);
    if (at >= 0) this.#due.splice(at, 1);
  }

  /** The one that has been due for longest, to be handled now. */
  takeDue(): KeyedTimer | undefined {
    const timer = this.#due.shift();
    if (timer !== undefined) this.#timers.delete(timer.key);
    return timer;
  }

  clear(): void {
    for (const timer of this.#timers.values()) {
      if (timer.deadline !== undefined) this.#deadlines.cancel(timer.deadline);
    }
    this.#timers.clear();
    this.#due.length = 0;
  }
}
