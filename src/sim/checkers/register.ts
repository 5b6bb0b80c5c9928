// Is a history of reads and writes of one register linearizable? The search of Wing and Gong with Lowe's
// memory of configurations, as published in "Testing for linearizability" (2017). Used for committed group
// offsets: one register per (group, topic, partition). Operations of unknown outcome stay open for ever.
import type { Violation } from '../scenario.ts';

export interface RegisterOperation {
  readonly kind: 'read' | 'write';
  /** What was written, or what the read returned. */
  readonly value: number;
  readonly startMs: number;
  /** Undefined: nobody knows whether or when it took effect. Only for writes; drop such reads. */
  readonly endMs: number | undefined;
}

export type RegisterVerdict = 'linearizable' | 'not-linearizable' | 'undecided';

const CONFIGURATIONS_MAX = 200_000;

interface Open extends RegisterOperation {
  readonly index: number;
  readonly end: number;
}

export function checkRegister(
  history: readonly RegisterOperation[],
  initial: number,
): RegisterVerdict {
  const operations = prepare(history);
  const needed = operations.filter((op) => op.endMs !== undefined).length;
  const done = new Uint8Array(operations.length);
  const seen = new Set<string>();
  const stack: { readonly chosen: number; readonly value: number; readonly doneNeeded: number }[] =
    [];
  let value = initial;
  let doneNeeded = 0;
  let candidates = possible(operations, done);
  let at = 0;
  for (;;) {
    if (doneNeeded === needed) return 'linearizable';
    let chosen: Open | undefined;
    while (at < candidates.length && chosen === undefined) {
      const candidate = candidates[at]!;
      at += 1;
      if (candidate.kind === 'read' && candidate.value !== value) continue;
      const next = candidate.kind === 'write' ? candidate.value : value;
      done[candidate.index] = 1;
      const key = `${next}:${packed(done)}`;
      if (seen.has(key)) done[candidate.index] = 0;
      else {
        seen.add(key);
        chosen = candidate;
      }
    }
    if (seen.size > CONFIGURATIONS_MAX) return 'undecided';
    if (chosen !== undefined) {
      stack.push({ chosen: chosen.index, value, doneNeeded });
      if (chosen.kind === 'write') value = chosen.value;
      if (chosen.endMs !== undefined) doneNeeded += 1;
      candidates = possible(operations, done);
      at = 0;
      continue;
    }
    const last = stack.pop();
    if (last === undefined) return 'not-linearizable';
    done[last.chosen] = 0;
    ({ value, doneNeeded } = last);
    candidates = possible(operations, done);
    at = candidates.findIndex((candidate) => candidate.index === last.chosen) + 1;
  }
}

/** One violation per register whose history does not fit any order. */
export function checkRegisters(
  histories: ReadonlyMap<string, readonly RegisterOperation[]>,
  initial: number,
): readonly Violation[] {
  const found: Violation[] = [];
  for (const [name, history] of histories) {
    const verdict = checkRegister(history, initial);
    if (verdict === 'linearizable') continue;
    found.push({
      check: `register/${verdict}`,
      message: `${name}: ${history.length} operations fit no order of a register`,
      details: history,
    });
  }
  return found;
}

/** An open write whose value nobody read need not have happened: without it there is less to search. */
function prepare(history: readonly RegisterOperation[]): readonly Open[] {
  const read = new Set(history.filter((op) => op.kind === 'read').map((op) => op.value));
  return history
    .filter((op) => op.endMs !== undefined || (op.kind === 'write' && read.has(op.value)))
    .sort((a, b) => a.startMs - b.startMs)
    .map((op, index) => ({ ...op, index, end: op.endMs ?? Number.POSITIVE_INFINITY }));
}

/** Operations that may come next: begun before every operation that is not yet placed has ended. */
function possible(operations: readonly Open[], done: Uint8Array): readonly Open[] {
  const out: Open[] = [];
  let firstEnd = Number.POSITIVE_INFINITY;
  for (const operation of operations) {
    if (operation.startMs > firstEnd) break;
    if (done[operation.index] === 1) continue;
    out.push(operation);
    if (operation.end < firstEnd) firstEnd = operation.end;
  }
  return out.filter((operation) => operation.startMs <= firstEnd);
}

function packed(done: Uint8Array): string {
  let text = '';
  for (let i = 0; i < done.length; i += 16) {
    let word = 0;
    for (let bit = 0; bit < 16; bit += 1) word |= (done[i + bit] ?? 0) << bit;
    text += String.fromCharCode(word);
  }
  return text;
}
