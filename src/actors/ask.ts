// The reply slots of one thread: an ask is an index plus a generation, not an actor. A late reply
// misses its generation and is counted. Invariant: every slot is settled exactly once, by its reply,
// its timeout, its signal or the end of its target, and there is a limit to how many are open.

import { ActorError } from './errors.ts';
import type { OpEntry } from './protocol.ts';
import { idPath, type RefId } from './ref.ts';
import type { Deadline, Deadlines } from './timers.ts';

/** Slot numbers fit 20 bits and generations 32, so that an ask id is a safe integer. */
export const ASKS_MAX = 1 << 20;

const ignore = (): void => undefined;

/**
 * Generations of a thread's lives begin far apart (2^32 divided by the golden ratio): an answer that was meant for a
 * life before must not find an ask of this one.
 */
const LIFE_STEP = 0x9e37_79b1;

class Slot {
  generation: number;
  isOpen = false;
  op: OpEntry | undefined;
  target: RefId | undefined;
  promise: Promise<unknown> | undefined;
  resolve: ((value: unknown) => void) | undefined;
  reject: ((error: Error) => void) | undefined;
  deadline: Deadline | undefined;
  signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
  /** Tells the target that nobody waits any more. */
  onGivenUp: (() => void) | undefined;

  constructor(generation: number) {
    this.generation = generation;
  }
}

export interface AskCounters {
  asked: number;
  answered: number;
  failed: number;
  timedOut: number;
  /** Replies that came after their ask had been settled. */
  late: number;
  /** Asks refused because `asksMax` were open. */
  refused: number;
}

export class AskSlab {
  readonly counters: AskCounters = {
    asked: 0,
    answered: 0,
    failed: 0,
    timedOut: 0,
    late: 0,
    refused: 0,
  };
  readonly #deadlines: Deadlines;
  #asksMax: number;
  readonly #firstGeneration: number;
  readonly #slots: Slot[] = [];
  readonly #free: number[] = [];
  #open = 0;
  #isClosed = false;

  /** `life`: counts the starts of the thread. */
  constructor(deadlines: Deadlines, asksMax: number, life: number) {
    this.#deadlines = deadlines;
    this.#firstGeneration = Math.imul(life, LIFE_STEP) >>> 0;
    this.#asksMax = Math.min(asksMax, ASKS_MAX - 1);
  }

  /** Asks that may be open at once. */
  get limit(): number {
    return this.#asksMax;
  }

  /** Those that are open beyond a lower limit stay so. */
  setLimit(asksMax: number): void {
    this.#asksMax = Math.min(asksMax, ASKS_MAX - 1);
  }

  get openCount(): number {
    return this.#open;
  }

  /** Takes a slot; 0 when the limit is reached. The id is positive and goes into `settle`. */
  open(op: OpEntry, target: RefId): number {
    if (this.#open >= this.#asksMax || this.#isClosed) {
      this.counters.refused += 1;
      return 0;
    }
    let index = this.#free.pop();
    if (index === undefined) {
      index = this.#slots.length;
      this.#slots.push(new Slot(this.#firstGeneration));
    }
    const slot = this.#slots[index]!;
    slot.generation = (slot.generation + 1) >>> 0;
    slot.isOpen = true;
    slot.op = op;
    slot.target = target;
    this.#open += 1;
    this.counters.asked += 1;
    return slot.generation * ASKS_MAX + index + 1;
  }

  /** The promise of an open slot. `onGivenUp` runs when its time or its signal ends it. */
  promise(
    askId: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    onGivenUp: () => void,
  ): Promise<unknown> {
    const slot = this.#find(askId)!;
    const promise = new Promise((resolve, reject) => {
      slot.resolve = resolve;
      slot.reject = reject;
      slot.onGivenUp = onGivenUp;
      slot.deadline = this.#deadlines.after(timeoutMs, () => this.#timeOut(askId, timeoutMs));
      if (signal === undefined) return;
      const abort = () => {
        if (this.fail(askId, new ActorError('ACTOR_CANCELLED', 'the ask was cancelled'))) {
          onGivenUp();
        }
      };
      if (signal.aborted) {
        abort();
        return;
      }
      slot.signal = signal;
      slot.onAbort = abort;
      signal.addEventListener('abort', abort, { once: true });
    });
    // Aborted before it began: settled already, and nobody may be looking.
    if (slot.isOpen) slot.promise = promise;
    else promise.catch(ignore);
    return promise;
  }

  /** The op of an open ask: how its reply is decoded. Undefined when it has been settled. */
  opOf(askId: number): OpEntry | undefined {
    return this.#find(askId)?.op;
  }

  answer(askId: number, value: unknown): boolean {
    const slot = this.#find(askId);
    if (slot === undefined) {
      this.counters.late += 1;
      return false;
    }
    const resolve = slot.resolve;
    this.#close(slot, askId);
    this.counters.answered += 1;
    resolve?.(value);
    return true;
  }

  fail(askId: number, error: Error): boolean {
    const slot = this.#find(askId);
    if (slot === undefined) {
      this.counters.late += 1;
      return false;
    }
    const { promise, reject } = slot;
    this.#close(slot, askId);
    this.counters.failed += 1;
    // An ask that nobody awaits may fail: that is counted, and ends no process.
    promise?.catch(ignore);
    reject?.(error);
    return true;
  }

  /** Fails every open ask whose target and op satisfy `isLost`, in slot order. */
  failWhere(
    isLost: (target: RefId, op: OpEntry) => boolean,
    error: (target: RefId) => Error,
  ): void {
    for (let index = 0; index < this.#slots.length; index += 1) {
      const slot = this.#slots[index]!;
      const { target, op } = slot;
      if (!slot.isOpen || target === undefined || op === undefined) continue;
      if (!isLost(target, op)) continue;
      this.fail(slot.generation * ASKS_MAX + index + 1, error(target));
    }
  }

  /** Fails every open ask to that thread whose target and op satisfy `isLost`. */
  failTo(
    node: number,
    thread: number,
    isLost: (target: RefId, op: OpEntry) => boolean,
    code: 'ACTOR_NODE_LOST' | 'ACTOR_THREAD_LOST' | 'ACTOR_UNREACHABLE',
  ): void {
    this.failWhere(
      (id, op) => id.node === node && id.thread === thread && isLost(id, op),
      (id) => new ActorError(code, `${idPath(id)}: the way is lost`, { node, thread }),
    );
  }

  /** Fails what is open, and refuses every ask from now on. */
  close(): void {
    this.#isClosed = true;
    this.failWhere(
      () => true,
      () => new ActorError('ACTOR_STOPPED', 'the system has shut down'),
    );
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  #timeOut(askId: number, timeoutMs: number): void {
    const slot = this.#find(askId);
    const op = slot?.op?.name;
    const onGivenUp = slot?.onGivenUp;
    this.counters.timedOut += 1;
    const message = `no reply to ${op} within ${timeoutMs} ms`;
    this.fail(askId, new ActorError('ACTOR_ASK_TIMEOUT', message, { op, timeoutMs }));
    onGivenUp?.();
  }

  #find(askId: number): Slot | undefined {
    const slot = this.#slots[(askId % ASKS_MAX) - 1];
    if (slot === undefined || !slot.isOpen) return undefined;
    return slot.generation === Math.floor(askId / ASKS_MAX) ? slot : undefined;
  }

  #close(slot: Slot, askId: number): void {
    slot.isOpen = false;
    slot.op = undefined;
    slot.target = undefined;
    slot.promise = undefined;
    slot.resolve = undefined;
    slot.reject = undefined;
    slot.onGivenUp = undefined;
    if (slot.deadline !== undefined) this.#deadlines.cancel(slot.deadline);
    slot.deadline = undefined;
    if (slot.signal !== undefined) {
      slot.signal.removeEventListener('abort', slot.onAbort!);
      slot.signal = undefined;
      slot.onAbort = undefined;
    }
    this.#free.push((askId % ASKS_MAX) - 1);
    this.#open -= 1;
  }
}
