// Messages that wait in a mailbox together with memory that somebody wants back when they were handled.
// Invariant: memory goes back once, when its handler has returned and everybody who retained it is done.
import type { OpEntry } from './protocol.ts';

/** What memory that may not be read any more is filled with in strict mode: a view that was kept reads this. */
export const POISON = 0xdd;

/** Where a message is from. */
export interface Origin {
  /** Path of the sender; undefined for who is no actor. */
  readonly from: string | undefined;
  /** A number that the message has in every run in which what led to it happens. */
  readonly lineage: number;
}

/** A message whose bytes are let go of when its handler has returned, or when it is discarded. */
export abstract class HeldInput {
  /** The handler, and everybody who retains. */
  #holders = 1;

  /** Where somebody traces. */
  readonly origin: Origin | undefined;

  constructor(origin?: Origin) {
    this.origin = origin;
  }

  abstract decode(op: OpEntry): unknown;
  /** Nobody reads the bytes any more. */
  protected abstract letGo(): void;

  /** Keeps the bytes until the answered function is called, at the first time. */
  retain(): () => void {
    let isHeld = true;
    this.#holders += 1;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.release();
    };
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.letGo();
  }
}

/** Keeps the memory of an input as it lies in a mailbox, until the answer is called. */
export function retained(input: unknown): () => void {
  return input instanceof HeldInput ? input.retain() : NOTHING_HELD;
}

/** Memory that is the receiver's own, as long as it looks at it. */
const NOTHING_HELD = (): void => undefined;

/** Gets back memory that it once gave. */
export interface GivesBack {
  give(bytes: Uint8Array): void;
}

/** An input decoded as views of `bytes`, which nothing else uses and which go back to where they are from. */
export class LentInput extends HeldInput {
  readonly #input: unknown;
  readonly #bytes: Uint8Array;
  readonly #owner: GivesBack;
  readonly #isPoisoned: boolean;

  constructor(input: unknown, bytes: Uint8Array, owner: GivesBack, isPoisoned: boolean) {
    super();
    this.#input = input;
    this.#bytes = bytes;
    this.#owner = owner;
    this.#isPoisoned = isPoisoned;
  }

  decode(): unknown {
    return this.#input;
  }

  protected letGo(): void {
    if (this.#isPoisoned) this.#bytes.fill(POISON);
    this.#owner.give(this.#bytes);
  }
}
