// Messages that wait in a mailbox together with memory that somebody wants back when they were handled.
import type { OpEntry } from './protocol.ts';

/** A message whose bytes are let go of when its handler has returned, or when it is discarded. */
export abstract class HeldInput {
  abstract decode(op: OpEntry): unknown;
  abstract release(): void;
}

/** Gets whole arrays back that it once gave. */
export interface GivesBack {
  give(bytes: Uint8Array): void;
}

/** An input decoded as views of `bytes`, which nothing else uses and which go back to their pool. */
export class LentInput extends HeldInput {
  readonly #input: unknown;
  readonly #bytes: Uint8Array;
  readonly #pool: GivesBack;

  constructor(input: unknown, bytes: Uint8Array, pool: GivesBack) {
    super();
    this.#input = input;
    this.#bytes = bytes;
    this.#pool = pool;
  }

  decode(): unknown {
    return this.#input;
  }

  release(): void {
    this.#pool.give(this.#bytes);
  }
}
