// Replicas of a log change (KIP-455). While that goes on the record lists all who host the log: those assigned, new
// ones among them, and those that are to leave. The leader brings the new ones into the safe set, and takes the others
// out when all that are assigned are in it; here is decided what follows from each set that the record is given.
// Invariant: nobody stops hosting a log while a set counts it.
import { grant, isCandidate } from './election.ts';
import type { MetadataImage } from './image.ts';
import { withSettledMode } from './mirrors.ts';
import { countedOf } from './roles.ts';
import type { LogRecord } from './types.ts';

export function isReassigning({ adding, removing }: LogRecord): boolean {
  return adding.length + removing.length > 0;
}

/** Those who are to have the log in the end, in order of preference. */
export function assignedOf({ replicas, removing }: Pick<LogRecord, 'replicas' | 'removing'>) {
  return removing.length === 0 ? replicas : replicas.filter((node) => !removing.includes(node));
}

/** Those who had it before the reassignment that goes on. */
export function assignedBefore({ replicas, adding }: LogRecord): readonly number[] {
  return replicas.filter((node) => !adding.includes(node));
}

/**
 * What follows for a reassignment from the set that the record has now: it is over when the set is of those assigned,
 * and of all of them; a leader that is to leave is followed by one that stays once all that stay are in sync, but for one
 * that hands over by itself.
 */
export function furthered(image: MetadataImage, log: LogRecord): LogRecord {
  if (!isReassigning(log)) return withSettledMode(image, log);
  const wanted = assignedOf(log);
  // Copies are in no set: nobody waits for them.
  const assigned = countedOf(image, log, wanted);
  const isMember = (node: number) => log.safeSet.some((member) => member.node === node);
  if (!assigned.every(isMember)) return log;
  if (log.safeSet.every(({ node }) => assigned.includes(node))) {
    const arrived = { ...log, replicas: wanted, adding: [], removing: [], handsOver: false };
    return withSettledMode(image, arrived);
  }
  if (log.handsOver || !log.removing.includes(log.leader)) return log;
  const isReady = (node: number) => log.isr.includes(node) && isCandidate(image, log, node);
  const next = assigned.find(isReady);
  return next === undefined || !assigned.every((node) => log.isr.includes(node))
    ? log
    : grant(log, image.node(next)!);
}
