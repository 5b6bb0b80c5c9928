// The targets behind one key: a multiset of small integers whose members are walked as one array. Two
// bindings may lead to the same target; it stays until the last of them goes. Order means nothing.

/** From this size on a map knows the places, so that removal does not search. */
const INDEXED_FROM = 16;

/** A queue is its index, an exchange the complement of its own: negative. */
export type Target = number;

export class Targets {
  readonly items: Target[] = [];
  /** Places of the items, once there are many. */
  #places: Map<Target, number> | undefined;
  /** Bindings beyond the first. */
  #more: Map<Target, number> | undefined;

  get isEmpty(): boolean {
    return this.items.length === 0;
  }

  add(target: Target): void {
    if (this.#placeOf(target) >= 0) {
      this.#more ??= new Map();
      this.#more.set(target, (this.#more.get(target) ?? 0) + 1);
      return;
    }
    this.items.push(target);
    if (this.#places !== undefined) this.#places.set(target, this.items.length - 1);
    else if (this.items.length === INDEXED_FROM) {
      this.#places = new Map(this.items.map((each, place) => [each, place]));
    }
  }

  remove(target: Target): void {
    const more = this.#more?.get(target);
    if (more !== undefined) {
      if (more === 1) this.#more!.delete(target);
      else this.#more!.set(target, more - 1);
      return;
    }
    const place = this.#placeOf(target);
    if (place < 0) return;
    const last = this.items.pop()!;
    this.#places?.delete(target);
    if (last === target) return;
    this.items[place] = last;
    this.#places?.set(last, place);
  }

  #placeOf(target: Target): number {
    if (this.#places !== undefined) return this.#places.get(target) ?? -1;
    return this.items.indexOf(target);
  }
}
