// All streams of a thread, from either end: how many there are, and who hears that the way to a thread was lost. An
// epoch of a link that ends loses bytes without a word; death watch hears of actors only.
import { ActorError } from '../errors.ts';
import type { RefId } from '../ref.ts';

export { STREAM_PROTOCOLS } from './protocols.ts';

/** One end of a stream, as its thread counts it. */
export interface StreamSeat {
  /** The other end, once it is known. */
  peer: RefId | undefined;
  /** This end is over. */
  leave(): void;
}

const STREAMS_MAX = 4_096;

interface Seat extends StreamSeat {
  wayLost: () => void;
}

export class StreamTable {
  readonly #max: number;
  readonly #seats = new Set<Seat>();

  constructor(max = STREAMS_MAX) {
    this.#max = max;
  }

  get count(): number {
    return this.#seats.size;
  }

  /** @throws ActorError (ACTOR_FULL) when the thread has as many streams as it may. */
  take(): StreamSeat & { wayLost: () => void } {
    if (this.#seats.size >= this.#max) {
      throw new ActorError('ACTOR_FULL', `this thread has ${this.#max} streams, and no more`, {
        max: this.#max,
      });
    }
    const seat: Seat = {
      peer: undefined,
      wayLost: () => undefined,
      leave: () => void this.#seats.delete(seat),
    };
    this.#seats.add(seat);
    return seat;
  }

  /** What was under way to or from that thread may be gone. */
  wayLost(node: number, thread: number): void {
    for (const seat of [...this.#seats]) {
      if (seat.peer?.node === node && seat.peer.thread === thread) seat.wayLost();
    }
  }
}
