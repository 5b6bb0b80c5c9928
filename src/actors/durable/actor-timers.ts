// The timers of one durable actor: part of its state. What is kept is when each is due, in the actor's own time,
// and the command that it becomes. Bounded by whoever decides. The heap follows from the table and is not kept.
import type { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { Heap } from '../../std/heap.ts';

export interface ActorTimer {
  readonly key: string;
  /** In the actor's own time. */
  readonly dueMs: number;
  /** In the order in which they were set: two of one key differ in it. */
  readonly number: number;
  /** Opcode and encoded input. */
  readonly op: number;
  readonly input: Uint8Array;
}

/** The heap may hold so many more that were set anew or cancelled. */
const STALE_MAX = 64;

function order(a: ActorTimer, b: ActorTimer): number {
  return a.dueMs - b.dueMs || a.number - b.number;
}

export class ActorTimers {
  /** In the order in which they were set. */
  readonly #timers = new Map<string, ActorTimer>();
  readonly #heap = new Heap<ActorTimer>(order);
  #next = 1;

  get size(): number {
    return this.#timers.size;
  }

  has(key: string): boolean {
    return this.#timers.has(key);
  }

  /** The one that is due first, or undefined. */
  first(): ActorTimer | undefined {
    for (let top = this.#heap.peek(); top !== undefined; top = this.#heap.peek()) {
      if (this.#timers.get(top.key) === top) return top;
      this.#heap.pop();
    }
    return undefined;
  }

  set(timer: Omit<ActorTimer, 'number'>): void {
    const numbered = { ...timer, number: this.#next };
    this.#next += 1;
    this.#put(numbered);
    if (this.#heap.size <= 2 * this.#timers.size + STALE_MAX) return;
    this.#heap.retain((each) => this.#timers.get(each.key) === each);
  }

  #put(timer: ActorTimer): void {
    this.#timers.delete(timer.key);
    this.#timers.set(timer.key, timer);
    this.#heap.push(timer);
  }

  cancel(key: string): void {
    this.#timers.delete(key);
  }

  /** It has become a command: gone, unless it was set anew meanwhile. */
  fired(key: string, number: number): void {
    if (this.#timers.get(key)?.number === number) this.#timers.delete(key);
  }

  put(out: ByteWriter): void {
    out.varU53(this.#next);
    out.varU53(this.#timers.size);
    for (const { key, dueMs, number, op, input } of this.#timers.values()) {
      out.text(key);
      out.varI53(dueMs);
      out.varU53(number);
      out.u16(op);
      out.sized(input);
    }
  }

  static get(from: ByteReader): ActorTimers {
    const timers = new ActorTimers();
    timers.#next = from.varU53();
    const count = from.varU53();
    for (let i = 0; i < count; i += 1) {
      const key = from.text();
      const dueMs = from.varI53();
      const number = from.varU53();
      const op = from.u16();
      timers.#put({ key, dueMs, number, op, input: from.sized().slice() });
    }
    return timers;
  }
}
