// Whom one actor watches, and who watches it: made with the first watch, as most actors have neither.
import type { EndCause } from './actor.ts';
import type { CellHost, SystemMessage } from './cell-host.ts';
import type { AnyRef, RefId } from './ref.ts';
import { refKey } from './ref.ts';
import type { Watcher } from './watch.ts';

/** What they need of their cell. */
interface Self {
  readonly id: RefId;
  postSystem(message: SystemMessage): void;
}

export class CellWatches implements Watcher {
  readonly watching = new Map<string, AnyRef>();
  readonly #watchers = new Map<string, { readonly watcher: RefId; readonly as: RefId }>();
  readonly #host: CellHost;
  readonly #self: Self;

  constructor(host: CellHost, self: Self) {
    this.#host = host;
    this.#self = self;
  }

  get id(): RefId {
    return this.#self.id;
  }

  watch(target: AnyRef): void {
    const key = refKey(target.id);
    if (this.watching.has(key)) return;
    this.watching.set(key, target);
    if (!this.#isHere(target.id)) this.#host.watches.add(this, target.id);
    this.#host.sendWatch(target.id, this.#self.id, true);
  }

  unwatch(target: AnyRef): void {
    if (this.#forget(target) === undefined) return;
    this.#host.sendWatch(target.id, this.#self.id, false);
  }

  endWatch(target: AnyRef, cause: EndCause): void {
    const known = this.#forget(target);
    if (known === undefined) return;
    this.#self.postSystem({ kind: 'signal', signal: { type: 'terminated', ref: known, cause } });
  }

  /** The watched ref as this actor knows it, which is watched no more. */
  #forget(target: AnyRef): AnyRef | undefined {
    const key = refKey(target.id);
    const known = this.watching.get(key);
    if (known === undefined) return undefined;
    this.watching.delete(key);
    if (!this.#isHere(known.id)) this.#host.watches.remove(this, known.id);
    return known;
  }

  forgetAll(): void {
    for (const target of [...this.watching.values()]) this.unwatch(target);
  }

  /** `as` is the id by which the watcher knows this actor: a well-known slot has two. */
  addWatcher(watcher: RefId, as: RefId): void {
    this.#watchers.set(refKey(watcher), { watcher, as });
  }

  removeWatcher(watcher: RefId): void {
    this.#watchers.delete(refKey(watcher));
  }

  /** Who watched from a thread that is no more needs no word. */
  dropWatchers(isLost: (id: RefId) => boolean): void {
    for (const [key, { watcher }] of this.#watchers) {
      if (isLost(watcher)) this.#watchers.delete(key);
    }
  }

  tellWatchers(cause: EndCause): void {
    for (const { watcher, as } of this.#watchers.values()) {
      this.#host.sendEnded(watcher, as, cause);
    }
    this.#watchers.clear();
  }

  #isHere(id: RefId): boolean {
    return id.node === this.#host.place.node && id.thread === this.#host.place.thread;
  }
}
