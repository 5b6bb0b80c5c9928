// The one queue of everything that may happen, keyed by (virtual time, tie-break draw, sequence). It knows
// owners only as alive, paused or dead: events of a dead owner are dropped, those of a paused one are
// parked and come back in order. Invariant: virtual time never goes back.
import { Heap } from '../std/heap.ts';
import type { CountingRandom } from './draws.ts';
import type { EventKind, Trace } from './trace.ts';

/** Who an event belongs to. Number 0 is the world itself and has no owner object. */
export interface Owner {
  readonly number: number;
  readonly isAlive: boolean;
  readonly isPaused: boolean;
  park(event: SimEvent): void;
  /** Runs code of the owner: whatever it throws is the owner's failure. */
  enter(run: () => void): void;
}

export interface SimEvent {
  timeNs: number;
  tie: number;
  readonly kind: EventKind;
  readonly owner: Owner | undefined;
  /** Undefined when cancelled. */
  run: (() => void) | undefined;
}

/** What one step did: `code` may have touched promises, `packet` was the network's alone. */
export type Step = 'code' | 'packet' | 'skipped' | 'idle';

export class Scheduler {
  readonly #heap = new Heap<SimEvent>((a, b) => a.timeNs - b.timeNs || a.tie - b.tie);
  readonly #ties: CountingRandom;
  readonly #trace: Trace;
  readonly #counter: { readonly draws: number };
  #nowNs = 0;

  constructor(ties: CountingRandom, trace: Trace, counter: { readonly draws: number }) {
    this.#ties = ties;
    this.#trace = trace;
    this.#counter = counter;
  }

  get nowNs(): number {
    return this.#nowNs;
  }

  get size(): number {
    return this.#heap.size;
  }

  at(timeNs: number, kind: EventKind, owner: Owner | undefined, run: () => void): SimEvent {
    const event = {
      timeNs: Math.max(timeNs, this.#nowNs),
      tie: this.#ties.u32(),
      kind,
      owner,
      run,
    };
    this.#heap.push(event);
    return event;
  }

  /** Puts parked events back, at once and in their order. */
  unpark(events: readonly SimEvent[]): void {
    for (const event of events) {
      // The same objects: who set them may still cancel them.
      event.timeNs = this.#nowNs;
      event.tie = 0;
      this.#heap.push(event);
    }
  }

  /** Runs the next event due by `untilNs`; if there is none, time moves to `untilNs`. */
  step(untilNs: number): Step {
    const next = this.#heap.peek();
    if (next === undefined || next.timeNs > untilNs) {
      this.#nowNs = Math.max(this.#nowNs, untilNs);
      return 'idle';
    }
    this.#heap.pop();
    const { owner, run } = next;
    if (run === undefined || owner?.isAlive === false) return 'skipped';
    if (owner?.isPaused === true) {
      owner.park(next);
      return 'skipped';
    }
    this.#nowNs = next.timeNs;
    next.run = undefined;
    this.#trace.record(next.timeNs, next.kind, owner?.number ?? 0, this.#counter.draws);
    if (owner === undefined) {
      run();
      return next.kind === 'net-segment' ? 'packet' : 'code';
    }
    owner.enter(run);
    return 'code';
  }
}
