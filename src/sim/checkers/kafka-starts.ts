// Checks where Kafka logs start, which a client sees as the earliest offset. Knows nothing of the broker: only what
// deleting and retention promise. What lies at or above the start is for kafka-log.ts.
//
//   start-backwards   a log starts in the end below where it was said to start before, or a deletion was answered
//                     with less than was known when it was asked
//   short-trim        a deletion was acknowledged with a start below what was asked
//   deleted-early     a record is gone that nobody asked to delete, that is not too old and not too much
//
// A deletion explains what it was answered to have deleted. Without an answer it explains what it may have deleted: below
// its offset, if the log is that long; of "whatever is there", what may have been there when it was carried out.
import type { Violation } from '../scenario.ts';
import {
  type KafkaHistory,
  logName,
  recordsOf,
  type Send,
  type StartSeen,
  type Trim,
} from './kafka-history.ts';

/** What the logs of a topic may lose by themselves. */
export interface KeepingPromise {
  /** No younger record goes, by a clock that is right. */
  readonly ageMs?: number;
  /** At least so many bytes of batches stay. */
  readonly bytes?: number;
}

export interface StartHistory {
  readonly starts: StartSeen[];
  readonly trims: Trim[];
}

/** Clocks go wrong by up to a tenth: what looks old to a node is at least so old. */
const CLOCK_SLACK = 0.85;
/** Somebody who has no answer goes after 3 s; clogs of 2 s and pauses of 6 s may lie before his node hears of both. */
const CARRIED_OUT_MS = 12_000;
/** A batch of one record is at most so much longer than its body. */
const OVERHEAD_BYTES = 90;

export function checkKafkaStarts(
  history: KafkaHistory,
  { starts, trims }: StartHistory,
  promises: ReadonlyMap<string, KeepingPromise>,
): readonly Violation[] {
  const found: Violation[] = [];
  const report = (anomaly: string, message: string): void => {
    found.push({ check: `kafka-starts/${anomaly}`, message });
  };
  const trimsOf = byLog(trims);
  const startsOf = byLog(starts);
  for (const name of new Set([...startsOf.keys(), ...trimsOf.keys()])) {
    const own = trimsOf.get(name) ?? [];
    const seen = [...(startsOf.get(name) ?? []), ...own.flatMap(seenByTrim)];
    for (const trim of own) checkTrim(name, trim, seen, report);
    const last = history.finalStarts.get(name);
    for (const { offset } of seen) {
      if (last === undefined || offset <= last.offset) continue;
      report('start-backwards', `${name}: started at ${offset}, in the end at ${last.offset}`);
    }
  }
  const sendsOf = byLog(history.sends);
  for (const [name, { offset, atMs }] of history.finalStarts) {
    const sends = sendsOf.get(name) ?? [];
    const end = endOf(history, name, offset);
    const asked = (trimsOf.get(name) ?? []).filter((trim) => mayBeDone(trim, end));
    const promise = promises.get(sends[0]?.topic ?? '');
    const gone = sends.filter(
      (send) => isGone(send, offset) && !asked.some((trim) => explains(trim, send)),
    );
    const tooEarly = gone.find(({ beganMs }) => !isOld(promise?.ageMs, atMs - (beganMs ?? atMs)));
    if (tooEarly === undefined || isTooMuch(history, name, sends, promise?.bytes)) continue;
    const age = Math.round(atMs - (tooEarly.beganMs ?? atMs));
    report('deleted-early', `${name}@${tooEarly.offset}: gone after ${age} ms, start ${offset}`);
  }
  return found;
}

/** Behind the last record that was read in the end. */
function endOf({ finalPolls }: KafkaHistory, name: string, start: number): number {
  let end = start;
  for (const poll of finalPolls) {
    if (logName(poll) === name) end = Math.max(end, (poll.offsets.at(-1) ?? -1) + 1);
  }
  return end;
}

/** What lies beyond the end in the end, did so before, and is refused. */
function mayBeDone({ outcome, offset }: Trim, end: number): boolean {
  return outcome !== 'failed' && (offset <= end || offset === Number.POSITIVE_INFINITY);
}

function explains({ offset, low, beganMs, endedMs }: Trim, send: Send): boolean {
  if (offset !== Number.POSITIVE_INFINITY) return send.offset! < offset;
  if (low !== undefined) return send.offset! < low;
  return (send.beganMs ?? 0) < (endedMs ?? beganMs + CARRIED_OUT_MS);
}

function isGone({ offset, outcome }: Send, below: number): boolean {
  return outcome === 'acknowledged' && offset !== undefined && offset < below;
}

function isOld(ageMs: number | undefined, passedMs: number): boolean {
  return ageMs !== undefined && passedMs >= ageMs * CLOCK_SLACK;
}

/** What is left is as long as it must be. */
function isTooMuch(
  { finalPolls }: KafkaHistory,
  name: string,
  sends: readonly Send[],
  bytes: number | undefined,
): boolean {
  if (bytes === undefined) return false;
  const sizes = new Map(sends.map((send) => [send.id, send.bytes ?? 0]));
  let left = 0;
  for (const poll of finalPolls) {
    if (logName(poll) !== name) continue;
    for (const { id } of recordsOf(poll)) left += (sizes.get(id) ?? 0) + OVERHEAD_BYTES;
  }
  return left >= bytes;
}

function checkTrim(
  name: string,
  { offset, low, beganMs }: Trim,
  seen: readonly StartSeen[],
  report: (anomaly: string, message: string) => void,
): void {
  if (low === undefined) return;
  if (offset !== Number.POSITIVE_INFINITY && low < offset) {
    report('short-trim', `${name}: asked to start at ${offset}, answered ${low}`);
  }
  for (const before of seen) {
    if (before.endedMs >= beganMs || before.offset <= low) continue;
    report('start-backwards', `${name}: started at ${before.offset}, then a deletion said ${low}`);
  }
}

function seenByTrim({ topic, partition, low, beganMs, endedMs }: Trim): StartSeen[] {
  if (low === undefined || endedMs === undefined) return [];
  return [{ topic, partition, offset: low, beganMs, endedMs }];
}

function byLog<T extends { readonly topic: string; readonly partition: number }>(
  entries: readonly T[],
): Map<string, T[]> {
  const logs = new Map<string, T[]>();
  for (const entry of entries) {
    const name = logName(entry);
    const known = logs.get(name);
    if (known === undefined) logs.set(name, [entry]);
    else known.push(entry);
  }
  return logs;
}
