// How long a change waits for a metadata group that shows no leader with a quorum. The election after a leader whose
// links ended is over before; that after one that is silent behind open links may not be, and who asked then has to repeat
// it. A group that has lost its quorum would keep whoever asks until its own timeout, without any hope.
import type { System } from '../../actors/system.ts';
import type { Deadline } from '../../actors/timers.ts';
import { type ProposeAnswer, UNAVAILABLE } from './metadata-protocol.ts';

/** A leader that lives is heard every 250 ms. */
const FIRST_LOOK_MS = 700;
/** Twice in a row: a thread that stood still reads what came meanwhile between two looks. */
const LOOK_MS = 100;
const LOOKS = 2;

export class Patience {
  readonly #system: System;
  readonly #hasQuorum: () => boolean;
  #deadline: Deadline | undefined;
  #missed = 0;
  #isOver = false;

  constructor(system: System, hasQuorum: () => boolean) {
    this.#system = system;
    this.#hasQuorum = hasQuorum;
  }

  /** Who asked was told that it is unavailable: nothing is tried again in its name. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What `work` comes to, or that nobody can be reached. To be called once. */
  wait(work: Promise<ProposeAnswer>): Promise<ProposeAnswer> {
    return new Promise((resolve, reject) => {
      this.#look(FIRST_LOOK_MS, () => {
        this.#isOver = true;
        resolve(UNAVAILABLE);
      });
      work.then(resolve, reject).finally(() => this.#end());
    });
  }

  #look(delayMs: number, giveUp: () => void): void {
    this.#deadline = this.#system.deadlines.after(delayMs, () => {
      this.#deadline = undefined;
      this.#missed = this.#hasQuorum() ? 0 : this.#missed + 1;
      if (this.#missed < LOOKS) this.#look(LOOK_MS, giveUp);
      else giveUp();
    });
  }

  #end(): void {
    if (this.#deadline !== undefined) this.#system.deadlines.cancel(this.#deadline);
    this.#deadline = undefined;
    this.#isOver = true;
  }
}
