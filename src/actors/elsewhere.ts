// Actors that were spawned on other threads, by their names here and by their ids: their thread tells of the end of
// each by its id, and of a lost thread's all at once. Invariant: both indices hold the same actors.
import type { AnyRef, RefId } from './ref.ts';
import { refKey } from './ref.ts';

/** One, or all that satisfy it. */
export type Ended = RefId | ((id: RefId) => boolean);

export class Elsewhere {
  readonly #byName = new Map<string, AnyRef>();
  readonly #names = new Map<string, string>();

  get byName(): ReadonlyMap<string, AnyRef> {
    return this.#byName;
  }

  add(name: string, ref: AnyRef): void {
    this.#byName.set(name, ref);
    this.#names.set(refKey(ref.id), name);
  }

  /** Their names are free. The end of one costs the same however many there are. */
  ended(which: Ended): void {
    if (typeof which === 'function') {
      for (const { id } of this.#byName.values()) if (which(id)) this.ended(id);
      return;
    }
    const key = refKey(which);
    const name = this.#names.get(key);
    if (name === undefined) return;
    this.#names.delete(key);
    this.#byName.delete(name);
  }

  clear(): void {
    this.#byName.clear();
    this.#names.clear();
  }
}
