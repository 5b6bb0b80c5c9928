// What a planned move of a leader must not lose: anything that was answered, at whatever level, in an epoch that ended
// with one. Knows nothing of how leaders move: what clients were told and read back, who led when as somebody saw it from
// outside, and which epochs the cluster itself says it has ended as planned.
import type { Violation } from '../scenario.ts';
import type { Reign } from './durability.ts';
import { type KafkaHistory, logName, recordsOf, type Send } from './kafka-history.ts';

export interface MovesHistory {
  /** By name of a log, in the order of their epochs. */
  readonly reigns: ReadonlyMap<string, readonly Reign[]>;
  /** By name of a log: the epochs that ended with a planned move. */
  readonly planned: ReadonlyMap<string, ReadonlySet<number>>;
}

export interface MovesVerdict {
  readonly violations: readonly Violation[];
  /** Sends that were answered for the leader alone in an epoch that ended as planned: what was looked at. */
  readonly covered: number;
}

export function checkMoves(history: KafkaHistory, { reigns, planned }: MovesHistory): MovesVerdict {
  const violations: Violation[] = [];
  const kept = new Set<string>();
  for (const poll of history.finalPolls) {
    for (const { id } of recordsOf(poll)) kept.add(`${logName(poll)}#${id}`);
  }
  let covered = 0;
  for (const send of history.sends) {
    if (send.outcome !== 'acknowledged' || send.acks === 0) continue;
    const log = logName(send);
    const epochs = epochsOf(send, reigns.get(log) ?? []);
    const isPlanned = epochs.length > 0 && epochs.every((epoch) => planned.get(log)?.has(epoch));
    if (!isPlanned) continue;
    if (send.acks === 1) covered += 1;
    if (kept.has(`${log}#${send.id}`)) continue;
    const message = `${log}: id ${send.id}, acks=${send.acks}, answered in epoch ${epochs.join(' or ')}, is gone`;
    violations.push({ check: 'moves/lost', message, details: send });
  }
  return { violations, covered };
}

/** In which it may have been answered, by whoever answered it. */
function epochsOf(send: Send, reigns: readonly Reign[]): readonly number[] {
  const beganMs = send.beganMs ?? 0;
  const endedMs = send.endedMs ?? Number.POSITIVE_INFINITY;
  return reigns
    .filter(({ node, sinceMs = 0, untilMs = Number.POSITIVE_INFINITY }) => {
      return node === send.answeredBy && sinceMs <= endedMs && untilMs >= beganMs;
    })
    .map(({ epoch }) => epoch);
}
