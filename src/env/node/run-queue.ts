// What runs at the end of a turn: after the events that are ready now and before the thread sleeps.
// All tasks of one phase share one setImmediate; a task queued by a task runs in the next phase, so
// that reads get their chance in between.
import type { RunQueue } from '../environment.ts';

export class NodeRunQueue implements RunQueue {
  #tasks: (() => void)[] = [];
  #spare: (() => void)[] = [];
  #isScheduled = false;
  /** How often the end of a turn was scheduled; tests compare it with the number of tasks. */
  phaseCount = 0;
  readonly #drain = (): void => this.#runAll();

  soon(task: () => void): void {
    this.#tasks.push(task);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.phaseCount += 1;
    setImmediate(this.#drain);
  }

  #runAll(): void {
    const tasks = this.#tasks;
    this.#tasks = this.#spare;
    this.#spare = tasks;
    this.#isScheduled = false;
    let at = 0;
    try {
      while (at < tasks.length) {
        at += 1;
        tasks[at - 1]!();
      }
    } finally {
      // One task that throws must not swallow those behind it.
      const left = tasks.slice(at);
      tasks.length = 0;
      for (const task of left) this.soon(task);
    }
  }
}
