// A known mistake that simulations plant: of those who are answered early, every now and then one is not stored at all.
// Outside a simulation there are no faults, and nobody is.
import type { LogContext } from './role.ts';

const ONE_IN = 16;

export class Forgetful {
  readonly #context: Pick<LogContext, 'faults' | 'durability'>;
  #asked = 0;

  constructor(context: Pick<LogContext, 'faults' | 'durability'>) {
    this.#context = context;
  }

  forgets(): boolean {
    const { faults } = this.#context;
    if (faults === undefined) return false;
    const durability = this.#context.durability();
    const isAsync = faults.answerUnstored === true && durability === 'async';
    const isMemory = faults.answerUnkept === true && durability === 'memory';
    if (!isAsync && !isMemory) return false;
    this.#asked += 1;
    return this.#asked % ONE_IN === 0;
  }
}
