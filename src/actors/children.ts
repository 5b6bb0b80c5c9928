// The children of one actor, here and on other threads: those that live, by name, and those that were
// told to stop and have not ended yet. A name is free as soon as its child was let go of by a restart.
import type { Cell } from './cell.ts';
import type { Ended } from './elsewhere.ts';
import { Elsewhere } from './elsewhere.ts';
import type { AnyRef, RefId } from './ref.ts';
import { refKey } from './ref.ts';

export class Children {
  readonly #here = new Map<string, Cell>();
  readonly #elsewhere = new Elsewhere();
  readonly #dyingHere = new Set<Cell>();
  readonly #dyingElsewhere = new Map<string, RefId>();

  get here(): ReadonlyMap<string, Cell> {
    return this.#here;
  }

  get elsewhere(): ReadonlyMap<string, AnyRef> {
    return this.#elsewhere.byName;
  }

  /** True when none is left that the parent would have to wait for. */
  get haveEnded(): boolean {
    return this.#dyingHere.size === 0 && this.#dyingElsewhere.size === 0;
  }

  has(name: string): boolean {
    return this.#here.has(name) || this.elsewhere.has(name);
  }

  add(name: string, child: Cell): void {
    this.#here.set(name, child);
  }

  addElsewhere(name: string, child: AnyRef): void {
    this.#elsewhere.add(name, child);
  }

  /** Tells all of them to stop; `stopElsewhere` tells one on another thread. */
  retire(stopElsewhere: (id: RefId) => void): void {
    for (const child of this.#here.values()) {
      this.#dyingHere.add(child);
      child.requestStop();
    }
    for (const { id } of this.elsewhere.values()) {
      this.#dyingElsewhere.set(refKey(id), id);
      stopElsewhere(id);
    }
    this.#here.clear();
    this.#elsewhere.clear();
  }

  ended(child: Cell): void {
    if (this.#here.get(child.name) === child) this.#here.delete(child.name);
    this.#dyingHere.delete(child);
  }

  /** Those on other threads are no more. */
  endedElsewhere(which: Ended): void {
    this.#elsewhere.ended(which);
    if (typeof which !== 'function') this.#dyingElsewhere.delete(refKey(which));
    else
      for (const [key, id] of this.#dyingElsewhere) if (which(id)) this.#dyingElsewhere.delete(key);
  }
}
