// Checks a history of Kafka sends and polls. Knows nothing of the broker: only what a log promises.
//
//   lost-write           acknowledged with acks=all, not in the read-back though higher offsets are
//   unseen               acknowledged with acks=all, and the read-back ended below it
//   duplicate            at more offsets than it was put on the wire
//   inconsistent-offset  two values at one offset, or not the value that was acknowledged there
//   non-monotonic-poll   an offset that is not above the one before it in the same session
//   skipped-poll         a session jumped over an offset at which others saw a record
//   reorder              a later send of one producer stands before an earlier, acknowledged one
//   phantom              nobody ever sent it, or not to this log
//   altered              the body is not the one that was sent
//   failed-visible       refused by the broker, yet in the log
//   vanished             seen by a consumer, not in the read-back
//
// What lies below the start that the read-back found is not owed any more: whether it may start there is for
// kafka-starts.ts to say. Whoever reads a history without such starts owes everything.
import type { ScenarioCounts, Violation } from '../scenario.ts';
import {
  type KafkaHistory,
  logName,
  type Poll,
  recordsOf,
  type Seen,
  type Send,
} from './kafka-history.ts';

export const KAFKA_ANOMALIES = [
  'lost-write',
  'unseen',
  'duplicate',
  'inconsistent-offset',
  'non-monotonic-poll',
  'skipped-poll',
  'reorder',
  'phantom',
  'altered',
  'failed-visible',
  'vanished',
] as const;

export type KafkaAnomaly = (typeof KAFKA_ANOMALIES)[number];

/** All that was seen of one log. */
interface LogView {
  /** First value seen at each offset. */
  readonly values: Map<number, Seen>;
  /** Offsets at which an id was seen. */
  readonly offsetsOf: Map<number, Set<number>>;
  readonly finalOffsets: Set<number>;
  finalIds: Set<number>;
  finalEnd: number;
}

export function checkKafkaLog(history: KafkaHistory): readonly Violation[] {
  const found: Violation[] = [];
  const report = (anomaly: KafkaAnomaly, message: string, details?: unknown): void => {
    found.push({
      check: `kafka-log/${anomaly}`,
      message,
      ...(details === undefined ? {} : { details }),
    });
  };
  const sends = new Map(history.sends.map((send) => [send.id, send]));
  const logs = viewLogs(history, report);
  for (const [name, log] of logs) checkValues(name, log, sends, report);
  checkSessions([...history.polls, ...history.finalPolls], logs, report);
  for (const send of history.sends) {
    const name = logName(send);
    checkAcknowledged(send, logs.get(name), startOf(history, name), report);
  }
  checkOrder(history, logs, report);
  for (const [name, log] of logs) checkVanished(name, log, startOf(history, name), report);
  return found;
}

export function countsOf(history: KafkaHistory): ScenarioCounts {
  return {
    operations: history.sends.length,
    acknowledged: countAcknowledged(history),
    lost: countLost(history),
  };
}

export function countAcknowledged({ sends }: KafkaHistory): number {
  return sends.filter(({ outcome }) => outcome === 'acknowledged').length;
}

/** Acknowledged sends that the read-back did not find. */
export function countLost(history: KafkaHistory): number {
  if (history.finalPolls.length === 0) return 0;
  return checkKafkaLog(history).filter(
    ({ check }) => check === 'kafka-log/lost-write' || check === 'kafka-log/unseen',
  ).length;
}

type Report = (anomaly: KafkaAnomaly, message: string, details?: unknown) => void;

function viewLogs(history: KafkaHistory, report: Report): Map<string, LogView> {
  const logs = new Map<string, LogView>();
  const viewOf = (poll: Poll): LogView => {
    const name = logName(poll);
    let view = logs.get(name);
    if (view === undefined) {
      view = {
        values: new Map(),
        offsetsOf: new Map(),
        finalOffsets: new Set(),
        finalIds: new Set(),
        finalEnd: -1,
      };
      logs.set(name, view);
    }
    return view;
  };
  for (const poll of history.polls) {
    for (const seen of recordsOf(poll)) note(logName(poll), viewOf(poll), seen, report);
  }
  for (const poll of history.finalPolls) {
    const view = viewOf(poll);
    for (const seen of recordsOf(poll)) {
      note(logName(poll), view, seen, report);
      view.finalOffsets.add(seen.offset);
      view.finalIds.add(seen.id);
      view.finalEnd = Math.max(view.finalEnd, seen.offset);
    }
  }
  return logs;
}

function note(name: string, view: LogView, seen: Seen, report: Report): void {
  const first = view.values.get(seen.offset);
  if (first === undefined) view.values.set(seen.offset, seen);
  else if (first.id !== seen.id || first.bodyHash !== seen.bodyHash) {
    report('inconsistent-offset', `${name}@${seen.offset}: id ${first.id} and id ${seen.id}`);
  }
  let offsets = view.offsetsOf.get(seen.id);
  if (offsets === undefined) {
    offsets = new Set();
    view.offsetsOf.set(seen.id, offsets);
  }
  offsets.add(seen.offset);
}

function checkValues(
  name: string,
  log: LogView,
  sends: ReadonlyMap<number, Send>,
  report: Report,
): void {
  for (const [offset, seen] of log.values) {
    const send = sends.get(seen.id);
    if (send === undefined || logName(send) !== name) {
      report('phantom', `${name}@${offset}: id ${seen.id} was never sent to this log`);
    } else if (send.bodyHash !== seen.bodyHash) {
      report('altered', `${name}@${offset}: id ${seen.id} has another body than was sent`);
    } else if (send.outcome === 'failed') {
      report('failed-visible', `${name}@${offset}: id ${seen.id} was refused`);
    }
  }
  for (const [id, offsets] of log.offsetsOf) {
    const attempts = sends.get(id)?.attempts ?? offsets.size;
    if (offsets.size > attempts) {
      report(
        'duplicate',
        `${name}: id ${id} at ${[...offsets].join(', ')} after ${attempts} attempts`,
      );
    }
  }
}

function checkSessions(
  polls: readonly Poll[],
  logs: ReadonlyMap<string, LogView>,
  report: Report,
): void {
  const lastOf = new Map<string, number>();
  for (const poll of polls) {
    const key = `${poll.consumer}/${logName(poll)}/${poll.session}`;
    const { values } = logs.get(logName(poll))!;
    let last = lastOf.get(key);
    for (const offset of poll.offsets) {
      if (last !== undefined && offset <= last) {
        report('non-monotonic-poll', `${key}: offset ${offset} after ${last}`);
      }
      for (let skipped = (last ?? offset) + 1; skipped < offset; skipped += 1) {
        if (values.has(skipped)) report('skipped-poll', `${key}: jumped over offset ${skipped}`);
      }
      last = offset;
    }
    if (last !== undefined) lastOf.set(key, last);
  }
}

function startOf({ finalStarts }: KafkaHistory, name: string): number {
  return finalStarts.get(name)?.offset ?? 0;
}

function checkAcknowledged(
  send: Send,
  log: LogView | undefined,
  start: number,
  report: Report,
): void {
  // acks=1 promises only the leader's disk, acks=0 nothing: their loss is allowed.
  if (send.outcome !== 'acknowledged' || send.acks !== -1) return;
  const name = logName(send);
  const { offset } = send;
  const value = offset === undefined ? undefined : log?.values.get(offset);
  if (value !== undefined && value.id !== send.id) {
    report(
      'inconsistent-offset',
      `${name}@${offset}: acknowledged for ${send.id}, holds ${value.id}`,
    );
  }
  if (log?.finalIds.has(send.id) === true) return;
  if (offset !== undefined && offset < start) return;
  const isBelowEnd = log !== undefined && (offset === undefined || offset <= log.finalEnd);
  report(
    isBelowEnd ? 'lost-write' : 'unseen',
    `${name}: id ${send.id} was acknowledged at offset ${offset ?? 'unknown'} and is gone`,
    { send, readBackEnd: log?.finalEnd },
  );
}

/** If an earlier send was over and acknowledged when a later one began, it stands first. */
function checkOrder(
  history: KafkaHistory,
  logs: ReadonlyMap<string, LogView>,
  report: Report,
): void {
  const byLane = new Map<string, Send[]>();
  for (const send of history.sends) {
    const key = `${send.producer}/${logName(send)}`;
    const lane = byLane.get(key);
    if (lane === undefined) byLane.set(key, [send]);
    else lane.push(send);
  }
  for (const [key, lane] of byLane) {
    lane.sort((a, b) => a.order - b.order);
    let before: { id: number; offset: number } | undefined;
    for (const send of lane) {
      const offset = firstOffset(logs.get(logName(send)), send.id);
      if (offset === undefined) continue;
      if (before !== undefined && offset < before.offset) {
        report(
          'reorder',
          `${key}: id ${send.id} at ${offset}, before ${before.id} at ${before.offset}`,
        );
      }
      // An earlier copy may have stood below where the log starts now, and nobody saw it.
      const isFirst = send.attempts === 1 || startOf(history, logName(send)) === 0;
      const isFixed = send.outcome === 'acknowledged' && send.acks === -1 && isFirst;
      if (isFixed && (before === undefined || offset > before.offset))
        before = { id: send.id, offset };
    }
  }
}

function firstOffset(log: LogView | undefined, id: number): number | undefined {
  const offsets = log?.offsetsOf.get(id);
  return offsets === undefined ? undefined : Math.min(...offsets);
}

function checkVanished(name: string, log: LogView, start: number, report: Report): void {
  if (log.finalOffsets.size === 0) return;
  for (const [offset, seen] of log.values) {
    if (offset >= start && !log.finalOffsets.has(offset)) {
      report('vanished', `${name}@${offset}: id ${seen.id} was read once and is gone`);
    }
  }
}
