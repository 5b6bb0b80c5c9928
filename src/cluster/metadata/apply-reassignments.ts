// The command that gives a log other replicas: what is refused, and the record that it begins with. What follows from
// there is in `reassignment.ts`.
import { canHost } from './apply-leaving.ts';
import { type Applying, OK, refused } from './applying.ts';
import type { MoveLog, Outcome, ReassignLog } from './commands.ts';
import type { MetadataImage } from './image.ts';
import { isBecomingMirrored } from './mirrors.ts';
import { assignedBefore, isReassigning } from './reassignment.ts';
import { countedOf, staysOnItsNode } from './roles.ts';
import { isLive, type LogRecord } from './types.ts';

/** Most replicas that one log may be given. */
const REPLICAS_MAX = 64;

export function reassignLog(applying: Applying, command: ReassignLog | MoveLog): Outcome {
  const { image } = applying;
  const log = image.log(command.logId);
  if (log === undefined) return refused('unknown-log', `log ${command.logId}`);
  const { partitionEpoch } = command;
  if (partitionEpoch !== -1 && partitionEpoch !== log.partitionEpoch) {
    return refused('stale-partition-epoch', `log ${log.logId} is at ${log.partitionEpoch}`);
  }
  const isCancel = command.replicas.length === 0;
  if (isCancel && !isReassigning(log)) {
    return refused('no-reassignment', `${nameOf(log)} is not being reassigned`);
  }
  const wanted = isCancel ? assignedBefore(log) : command.replicas;
  const fault = assignmentFault(image, log, wanted);
  if (fault !== undefined) return fault;
  const next = reassigned(log, wanted, applying.index, command.kind === 'move-log');
  if (next === undefined) return OK;
  applying.changeLog(next);
  return OK;
}

function nameOf({ destination, partition }: LogRecord): string {
  return `${destination}-${partition}`;
}

function assignmentFault(
  image: MetadataImage,
  log: LogRecord,
  wanted: readonly number[],
): Outcome | undefined {
  const invalid = (why: string) => refused('invalid-assignment', `${nameOf(log)}: ${why}`);
  if (staysOnItsNode(image, log)) return invalid('it lives in the memory of one process');
  if (wanted.length > REPLICAS_MAX) return invalid(`more than ${REPLICAS_MAX} replicas`);
  if (new Set(wanted).size !== wanted.length) return invalid('a node is named twice');
  for (const id of wanted) {
    const node = image.node(id);
    if (node === undefined) return invalid(`node ${id} is not registered`);
    if (node.role === 'witness') return invalid(`node ${id} is a witness: it stores no logs`);
    if (log.replicas.includes(id)) continue;
    if (!isLive(node)) return invalid(`node ${id} is not live`);
    if (node.isLeaving) return invalid(`node ${id} is leaving`);
    if (!canHost(node, log)) return invalid(`node ${id} does not bring its kind`);
  }
  const counted = countedOf(image, log, wanted).length;
  const copies = counted === wanted.length ? '' : ' that count (RAM nodes have copies)';
  if (counted < Math.max(1, log.minInsync)) {
    return refused(
      'invalid-replication-factor',
      `${nameOf(log)}: ${counted} replicas${copies}, and ${log.minInsync} must be in sync`,
    );
  }
  // How many make a majority is a rule of the log: more or fewer replicas would need another one.
  const present = countedOf(image, log, assignedBefore(log)).length;
  const isFree = counted === present || isBecomingMirrored(image, log, wanted);
  if (log.mode === 'quorum' && !isFree) {
    return refused(
      'invalid-replication-factor',
      `${nameOf(log)} commits on a majority of ${present} replicas, and keeps that number`,
    );
  }
  return undefined;
}

/** The record on its way to `wanted`; undefined: it is there, or on that way already. */
export function reassigned(
  log: LogRecord,
  wanted: readonly number[],
  index: number,
  handsOver: boolean,
): LogRecord | undefined {
  const had = assignedBefore(log);
  const isCounted = (node: number) => log.safeSet.some((member) => member.node === node);
  const adding = wanted.filter((node) => !had.includes(node)).sort((a, b) => a - b);
  // Who came in vain and is in the set by now leaves like everybody else.
  const removing = log.replicas
    .filter((node) => !wanted.includes(node) && (had.includes(node) || isCounted(node)))
    .sort((a, b) => a - b);
  const replicas = [...wanted, ...removing];
  const isSame =
    isSameList(replicas, log.replicas) &&
    isSameList(adding, log.adding) &&
    isSameList(removing, log.removing);
  if (isSame) return undefined;
  const isNew = wanted.some((node) => !log.replicas.includes(node));
  const assignedAt = isNew ? index : log.assignedAt;
  return {
    ...log,
    replicas,
    adding,
    removing,
    handsOver: handsOver && adding.length + removing.length > 0,
    assignedAt,
    isr: log.isr.filter((node) => replicas.includes(node)),
    partitionEpoch: log.partitionEpoch + 1,
  };
}

function isSameList(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
