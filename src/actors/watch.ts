// Death watch: who wants to hear of whose end. A cell holds its watchers; this table holds, per other
// thread, which cells of ours watch something there, so that the loss of a thread or node reaches all
// of them at once and with its cause. Invariant: a watcher hears `terminated` at most once per watch.
import type { EndCause } from './actor.ts';
import type { AnyRef, RefId } from './ref.ts';
import { THREAD_MAX, threadKey } from './ref.ts';

/** What the table needs of whoever watches. */
export interface Watcher {
  readonly id: RefId;
  /** Targets by refKey. */
  readonly watching: ReadonlyMap<string, AnyRef>;
  /** The target ended: tells the handler, unless the watch was taken back meanwhile. */
  endWatch(target: AnyRef, cause: EndCause): void;
}

export class WatchTable {
  readonly #byThread = new Map<number, Map<Watcher, number>>();

  /** Counts a watch of a target on another thread. */
  add(watcher: Watcher, target: RefId): void {
    const key = threadKey(target.node, target.thread);
    let watchers = this.#byThread.get(key);
    if (watchers === undefined) {
      watchers = new Map();
      this.#byThread.set(key, watchers);
    }
    watchers.set(watcher, (watchers.get(watcher) ?? 0) + 1);
  }

  remove(watcher: Watcher, target: RefId): void {
    const key = threadKey(target.node, target.thread);
    const watchers = this.#byThread.get(key);
    const count = watchers?.get(watcher);
    if (watchers === undefined || count === undefined) return;
    if (count > 1) watchers.set(watcher, count - 1);
    else watchers.delete(watcher);
    if (watchers.size === 0) this.#byThread.delete(key);
  }

  /** Tells every watcher of a target on that thread that satisfies `isLost`, in order of watching. */
  lost(node: number, thread: number, isLost: (id: RefId) => boolean, cause: EndCause): void {
    const watchers = this.#byThread.get(threadKey(node, thread));
    if (watchers === undefined) return;
    for (const watcher of [...watchers.keys()]) {
      for (const target of [...watcher.watching.values()]) {
        const { id } = target;
        if (id.node === node && id.thread === thread && isLost(id)) watcher.endWatch(target, cause);
      }
    }
  }

  /** Every watch of a target on that thread. */
  each(node: number, thread: number, visit: (watcher: Watcher, target: AnyRef) => void): void {
    for (const watcher of [...(this.#byThread.get(threadKey(node, thread))?.keys() ?? [])]) {
      for (const target of [...watcher.watching.values()]) {
        if (target.id.node === node && target.id.thread === thread) visit(watcher, target);
      }
    }
  }

  has(node: number, thread: number): boolean {
    return this.#byThread.has(threadKey(node, thread));
  }

  /** Threads of `node` on which something is watched. */
  threadsOf(node: number): number[] {
    return [...this.#byThread.keys()]
      .filter((key) => Math.floor(key / (THREAD_MAX + 1)) === node)
      .map((key) => key % (THREAD_MAX + 1));
  }
}
