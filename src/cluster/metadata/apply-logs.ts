// Changes of single logs: the safe set by its leader, leaders back to the first replica, resignation,
// and the election that may lose data. The safe set is compare-and-set: a proposal names the epoch
// and the partition epoch it was made in, and every member of the new set is live in that name.

import { type Applying, OK, refused } from './applying.ts';
import type {
  AllowUnclean,
  ElectUnclean,
  MoveLeaders,
  Outcome,
  PreferLeaders,
  ProposeSafeSet,
  ResignLog,
  ReturnLeaders,
} from './commands.ts';
import { chooseLeader, grant, isCandidate, takeOffline } from './election.ts';
import type { MetadataImage } from './image.ts';
import { bySeniority } from './mirrors.ts';
import { countsOn } from './roles.ts';
import { isLive, type LogRecord, NO_NODE } from './types.ts';

export function proposeSafeSet(applying: Applying, command: ProposeSafeSet): Outcome {
  const { image } = applying;
  const log = image.log(command.logId);
  if (log === undefined) return refused('unknown-log', `log ${command.logId}`);
  if (log.leader !== command.node || log.epoch !== command.epoch) {
    return refused('stale-epoch', `log ${log.logId} is in epoch ${log.epoch}`);
  }
  if (log.partitionEpoch !== command.partitionEpoch) {
    return refused('stale-partition-epoch', `log ${log.logId} is at ${log.partitionEpoch}`);
  }
  const fault = safeSetFault(image, log, command);
  if (fault !== undefined) return refused('invalid-safe-set', fault);
  const safeSet = [...command.safeSet].sort((a, b) => a.node - b.node);
  const isr = [...command.isr].sort((a, b) => a - b);
  const replicas = bySeniority(image, log, safeSet);
  applying.changeLog({ ...log, replicas, safeSet, isr, partitionEpoch: log.partitionEpoch + 1 });
  return OK;
}

function safeSetFault(
  image: MetadataImage,
  log: LogRecord,
  command: ProposeSafeSet,
): string | undefined {
  const { safeSet, isr } = command;
  const nodes = new Set(safeSet.map((member) => member.node));
  if (nodes.size !== safeSet.length) return 'a node is named twice';
  if (!nodes.has(log.leader)) return 'the leader is not in its own set';
  if (!isr.includes(log.leader)) return 'the leader is not in its own ISR';
  if (new Set(isr).size !== isr.length) return 'a node is twice in the ISR';
  if (isr.some((node) => !nodes.has(node))) return 'the ISR goes beyond the safe set';
  for (const { node, incarnation } of safeSet) {
    if (!log.replicas.includes(node)) return `node ${node} is no replica`;
    if (!countsOn(image, log, node)) return `node ${node} has a copy in memory only`;
    const record = image.node(node);
    const isPresent = log.safeSet.some((m) => m.node === node && m.incarnation === incarnation);
    // An absent member may stay; it may not come in, nor be all that an ISR rests on.
    if (!isPresent && !isLive(record)) return `node ${node} is not live`;
    if (!isPresent && record?.incarnation !== incarnation) return `node ${node} is another life`;
    if (isr.includes(node) && !isLive(record)) return `node ${node} in the ISR is not live`;
  }
  const isSmaller = safeSet.length < log.safeSet.length;
  if (isSmaller && safeSet.length < Math.min(log.minInsync, log.replicas.length)) {
    return `the set would fall below ${log.minInsync}`;
  }
  return undefined;
}

export function preferLeaders(applying: Applying, command: PreferLeaders): Outcome {
  const { image } = applying;
  for (const logId of command.logIds) {
    const log = image.log(logId);
    if (log !== undefined && canReturn(image, log)) {
      applying.changeLog(grant(log, image.node(log.replicas[0]!)!));
    }
  }
  return OK;
}

export function returnLeaders(applying: Applying, command: ReturnLeaders): Outcome {
  const { image } = applying;
  for (const logId of command.logIds) {
    const log = image.log(logId);
    if (log === undefined || !canReturn(image, log)) continue;
    const { epoch, replicas } = log;
    applying.changes.push({ kind: 'leader-wanted', logId, epoch, target: replicas[0]! });
  }
  return OK;
}

/** Could the first replica take its log back now, in sync and without loss? */
export function canReturn(image: MetadataImage, log: LogRecord): boolean {
  const first = log.replicas[0]!;
  return (
    log.leader !== first &&
    log.leader !== NO_NODE &&
    log.isr.includes(first) &&
    isCandidate(image, log, first) &&
    !image.node(first)!.isDraining &&
    !image.node(first)!.isLeaving
  );
}

/** Nothing about nodes is asked that a change of the partition epoch would not show: what is passed over stays so. */
export function moveLeaders(applying: Applying, command: MoveLeaders): Outcome {
  const { image } = applying;
  for (const { logId, epoch, partitionEpoch, to } of command.moves) {
    const log = image.log(logId);
    if (log?.leader !== command.node || log.epoch !== epoch || to === command.node) continue;
    if (log.partitionEpoch !== partitionEpoch || !log.isr.includes(to)) continue;
    if (!isCandidate(image, log, to)) continue;
    applying.changeLog(grant(log, image.node(to)!));
    applying.changes.push({ kind: 'leader-moved', logId, epoch });
  }
  return OK;
}

export function resignLog(applying: Applying, command: ResignLog): Outcome {
  const { image } = applying;
  const log = image.log(command.logId);
  if (log === undefined) return refused('unknown-log', `log ${command.logId}`);
  if (log.leader !== command.node || log.epoch !== command.epoch) {
    return refused('stale-epoch', `log ${log.logId} is in epoch ${log.epoch}`);
  }
  const next = chooseLeader(image, log, command.node) ?? chooseLeader(image, log);
  if (next === undefined) {
    applying.changeLog(takeOffline(log));
    return OK;
  }
  // Who resigns is not caught up for sure, but holds what it acknowledged: it stays in the set. Where
  // nobody else can lead it tries again, in an epoch of its own: the given-up one is never continued.
  const isr = log.isr.filter((node) => node !== command.node);
  applying.changeLog(grant({ ...log, isr }, image.node(next)!));
  return OK;
}

export function allowUnclean(applying: Applying, { logId, epoch }: AllowUnclean): Outcome {
  const log = applying.image.log(logId);
  if (log === undefined) return refused('unknown-log', `log ${logId}`);
  if (log.epoch !== epoch || log.leader !== NO_NODE) {
    return refused('stale-epoch', `log ${logId} is in epoch ${log.epoch}`);
  }
  if (!log.isUncleanAllowed) applying.changeLog({ ...log, isUncleanAllowed: true });
  return OK;
}

export function electUnclean(applying: Applying, command: ElectUnclean): Outcome {
  const { image } = applying;
  const log = image.log(command.logId);
  if (log === undefined) return refused('unknown-log', `log ${command.logId}`);
  if (log.epoch !== command.epoch || log.leader !== NO_NODE) {
    return refused('stale-epoch', `log ${log.logId} is in epoch ${log.epoch}`);
  }
  if (!log.isUncleanAllowed && !command.isForced) {
    return refused('unclean-not-allowed', `log ${log.logId}`);
  }
  const node = image.node(command.node);
  const isFit = isLive(node) && log.replicas.includes(node.id) && countsOn(image, log, node.id);
  if (!isFit) {
    return refused('no-candidate', `node ${command.node} is no live replica that counts`);
  }
  const safeSet = [{ node: node.id, incarnation: node.incarnation }];
  const granted = grant({ ...log, safeSet, isr: [node.id] }, node);
  applying.changeLog({ ...granted, isUncleanEpoch: true });
  return OK;
}
