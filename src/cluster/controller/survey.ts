// Asking the survivors of an offline log how far they reach, before one of them is elected at the
// price of loss. The longest by (last epoch, end) wins, the assigned order breaks ties. A survey that
// nobody answers is asked again: a replica that is not heard cannot lead.

import type { Survivor } from './types.ts';

export class Survey {
  readonly #open = new Map<number, { dueMs: number; answers: Map<number, Survivor> }>();

  /** The next survey that ends after `nowMs`; one that is over waits for its election. */
  deadlineMs(nowMs: number): number {
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#open.values()) {
      if (dueMs > nowMs) deadlineMs = Math.min(deadlineMs, dueMs);
    }
    return deadlineMs;
  }

  clear(): void {
    this.#open.clear();
  }

  /** Forgets logs that are not offline any more. */
  keepOnly(logIds: readonly number[]): void {
    if (this.#open.size === 0) return;
    const wanted = new Set(logIds);
    for (const logId of [...this.#open.keys()]) if (!wanted.has(logId)) this.#open.delete(logId);
  }

  /** Returns whether the survey is new, so that somebody must be asked. */
  begin(logId: number, dueMs: number): boolean {
    if (this.#open.has(logId)) return false;
    this.#open.set(logId, { dueMs, answers: new Map() });
    return true;
  }

  answered(answer: Survivor): void {
    this.#open.get(answer.logId)?.answers.set(answer.node, answer);
  }

  /** The winner among `nodes` (in assigned order) once all have answered or the time is over. */
  longest(logId: number, nodes: readonly number[], nowMs: number): number | undefined {
    const survey = this.#open.get(logId);
    if (survey === undefined) return undefined;
    const answers = nodes.flatMap((node) => survey.answers.get(node) ?? []);
    if (answers.length < nodes.length && nowMs < survey.dueMs) return undefined;
    if (answers.length === 0) {
      this.#open.delete(logId);
      return undefined;
    }
    const isLonger = (a: Survivor, b: Survivor) =>
      a.lastEpoch > b.lastEpoch || (a.lastEpoch === b.lastEpoch && a.endSeq > b.endSeq);
    return answers.reduce((best, next) => (isLonger(next, best) ? next : best)).node;
  }
}
