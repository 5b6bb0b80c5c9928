// Nodes come, go, die and return. A registration decides, log by log, whether the data that a node
// brings back is all that it ever acknowledged; what is not is taken out of `all` sets here and
// nowhere else. In `quorum` sets a lost member stays listed: only the leader may change those.

import { KINDS_MAX, kindsFault } from './actor-kinds.ts';
import { dropTransientExchanges } from './apply-exchanges.ts';
import { removalFault } from './apply-leaving.ts';
import { renewMemoryLogs } from './apply-memory.ts';
import { dropQueuesOfNode, dropQueuesOfShard } from './apply-queues.ts';
import { type Applying, named, OK, refused } from './applying.ts';
import type {
  FenceNode,
  LoseReplicas,
  Outcome,
  RegisterNode,
  RegisterNodeAs,
  RegisterNodeWithKinds,
  ResignNode,
  RestartShard,
  UnfenceNode,
} from './commands.ts';
import { chooseLeader, grant, isCandidate, NOBODY, reelect, standingOf } from './election.ts';
import { isValidName } from './names.ts';
import { shardOf } from './placement.ts';
import { endsWithNode } from './roles.ts';
import {
  type ActorKind,
  isLive,
  type LogRecord,
  NO_NODE,
  type NodeRecord,
  type NodeRole,
  type SafeMember,
} from './types.ts';

const NODE_ID_MAX = 2 ** 21 - 1;
const U32_MAX = 0xffff_ffff;

type Registration = RegisterNode | RegisterNodeWithKinds | RegisterNodeAs;

export function registerNode(applying: Applying, command: Registration): Outcome {
  const kinds = 'kinds' in command ? sortedKinds(command.kinds) : [];
  const role = 'role' in command ? command.role : 'disk';
  const invalid = registrationFault(command, kinds, role);
  if (invalid !== undefined) return refused('invalid-registration', invalid);
  const { image } = applying;
  const known = image.node(command.node);
  if (known !== undefined) {
    if (isRepeat(known, command)) return OK;
  }
  const gone = removalFault(image, command);
  if (gone !== undefined) return gone;
  const fault = kindsFault(image, command.node, kinds);
  if (fault !== undefined) return refused(fault.code, fault.message);
  if (known !== undefined) {
    if (known.role !== role) {
      const how = `node ${known.id} is known as a ${known.role} node: remove it, and add it with an empty folder`;
      return refused('other-role', how);
    }
    if (command.incarnation < known.incarnation) {
      // Replicas take the lower of two incarnations for the older one.
      const why = `node ${known.id} is already known as ${known.incarnation}`;
      return refused('new-incarnation-needed', why);
    }
    const isContinued = continues(known, command);
    if (isContinued && command.bootCounter <= known.bootCounter) {
      return refused('rolled-back', `node ${known.id} was already at boot ${known.bootCounter}`);
    }
    const mayCount = (log: LogRecord) =>
      log.durability !== 'memory' && !endsWithNode(image, log) && isSafe(log, known);
    const isAnyLost =
      !isLossless(known, command) &&
      image.logsOn(known.id).some((logId) => mayCount(image.log(logId)!));
    if (command.incarnation === known.incarnation && isAnyLost) {
      return refused('new-incarnation-needed', `node ${known.id} may have lost what it had`);
    }
  }
  const { node: id, incarnation, bootCounter, osBootId, pid, rack } = command;
  const { endpoints, firstShardThread, shardIncarnations } = command;
  applying.changeNode({
    id,
    role,
    incarnation,
    bootCounter,
    osBootId,
    pid,
    rack,
    endpoints,
    firstShardThread,
    shardIncarnations,
    kinds,
    isFenced: true,
    isDraining: false,
    isLeaving: known?.isLeaving ?? false,
  });
  image.putRemoved(id, undefined);
  if (known !== undefined) {
    dropQueuesOfNode(applying, known.id);
    renewMemoryLogs(applying, image.node(id)!);
    rejoinLogs(applying, known, command);
  }
  if (image.liveNodes().length === 0) dropTransientExchanges(applying);
  return OK;
}

function sortedKinds(kinds: readonly ActorKind[]): readonly ActorKind[] {
  return [...kinds].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function registrationFault(
  command: Registration,
  kinds: readonly ActorKind[],
  role: NodeRole,
): string | undefined {
  const isU32 = (value: number) => Number.isInteger(value) && value >= 1 && value <= U32_MAX;
  const { node } = command;
  if (kinds.length > KINDS_MAX) return `${kinds.length} kinds of actors, more than ${KINDS_MAX}`;
  const twice = kinds.find(({ name }, i) => name === kinds[i + 1]?.name);
  if (twice !== undefined) return `the kind ${twice.name} twice`;
  const nameless = kinds.find(({ name }) => !isValidName(name));
  if (nameless !== undefined) return `a kind is named "${nameless.name}"`;
  if (!Number.isInteger(node) || node < 0 || node > NODE_ID_MAX) return `node id ${node}`;
  if (!isU32(command.incarnation)) return `incarnation ${command.incarnation}`;
  if (!isU32(command.bootCounter)) return `boot counter ${command.bootCounter}`;
  const hasShards = command.shardIncarnations.length > 0;
  if (hasShards === (role === 'witness')) return hasShards ? 'a witness with shards' : 'no shards';
  const { firstShardThread } = command;
  if (firstShardThread !== 0 && firstShardThread !== 1) return `shard thread ${firstShardThread}`;
  return command.shardIncarnations.every(isU32) ? undefined : 'shard incarnations';
}

/** The same life of the same process again, after an answer was lost. */
function isRepeat(known: NodeRecord, command: Registration): boolean {
  return (
    known.incarnation === command.incarnation &&
    known.bootCounter === command.bootCounter &&
    known.pid === command.pid &&
    known.osBootId === command.osBootId &&
    known.shardIncarnations.length === command.shardIncarnations.length &&
    known.shardIncarnations.every((value, i) => value === command.shardIncarnations[i])
  );
}

/** The data is that of the known incarnation, under its old or a new name. */
function continues(known: NodeRecord, command: Registration): boolean {
  const isSame = command.incarnation === known.incarnation;
  return isSame || command.previousIncarnation === known.incarnation;
}

function isSafe(log: LogRecord, node: NodeRecord): boolean {
  return log.safeSet.some((m) => m.node === node.id && m.incarnation === node.incarnation);
}

/**
 * Does the data on this node still hold all that its logs count it for? They count what is written, which a
 * process that is killed and a machine without power keep: what is answered before it is written (`replicated`,
 * `async`) counts for no set, and is committed when it is written like all else. Logs in memory have begun anew.
 */
function isLossless(known: NodeRecord, command: Registration): boolean {
  return continues(known, command) && !command.hasFailedSync;
}

function rejoinLogs(applying: Applying, known: NodeRecord, command: Registration): void {
  const { image } = applying;
  for (const logId of image.logsOn(known.id)) {
    const log = image.log(logId)!;
    const safeSet = safeSetAfter(log, known, command);
    const isr = without(log.isr, known.id);
    const isLeader = log.leader === known.id;
    if (safeSet === log.safeSet && isr === log.isr && !isLeader) continue;
    const next = { ...log, safeSet, isr, partitionEpoch: log.partitionEpoch + 1 };
    applying.changeLog(isLeader ? reelect(image, next) : next);
  }
}

function safeSetAfter(
  log: LogRecord,
  known: NodeRecord,
  command: Registration,
): readonly SafeMember[] {
  if (!isSafe(log, known)) return log.safeSet;
  if (isLossless(known, command)) {
    if (command.incarnation === known.incarnation) return log.safeSet;
    return log.safeSet.map((member) =>
      member.node === known.id ? { node: known.id, incarnation: command.incarnation } : member,
    );
  }
  if (log.mode === 'quorum') return log.safeSet;
  return log.safeSet.filter((member) => member.node !== known.id);
}

function without(isr: readonly number[], node: number): readonly number[] {
  return isr.includes(node) ? isr.filter((other) => other !== node) : isr;
}

export function fenceNode(applying: Applying, command: FenceNode): Outcome {
  const node = named(applying, command);
  if ('kind' in node) return node;
  if (node.isFenced) return OK;
  const { image } = applying;
  applying.changeNode({ ...node, isFenced: true, isDraining: false });
  dropQueuesOfNode(applying, node.id);
  for (const logId of image.logsOn(node.id)) {
    const log = image.log(logId)!;
    const isr = without(log.isr, node.id);
    if (log.leader === node.id) applying.changeLog(reelect(image, { ...log, isr }));
    else if (isr !== log.isr) {
      applying.changeLog({ ...log, isr, partitionEpoch: log.partitionEpoch + 1 });
    }
  }
  return OK;
}

export function unfenceNode(applying: Applying, command: UnfenceNode): Outcome {
  const node = named(applying, command);
  if ('kind' in node) return node;
  if (!node.isFenced && !node.isDraining) return OK;
  const { image } = applying;
  applying.changeNode({ ...node, isFenced: false, isDraining: false });
  for (const logId of image.logsOn(node.id)) {
    const log = image.log(logId)!;
    if (log.leader !== NO_NODE) continue;
    const next = chooseLeader(image, log);
    if (next !== undefined) applying.changeLog(grant(log, image.node(next)!));
  }
  return OK;
}

export function resignNode(applying: Applying, command: ResignNode): Outcome {
  const node = named(applying, command);
  if ('kind' in node) return node;
  const { image } = applying;
  if (!isLive(node)) return OK;
  if (!node.isDraining) applying.changeNode({ ...node, isDraining: true });
  for (const logId of image.logsLedBy(node.id)) {
    const log = image.log(logId)!;
    const next = chooseLeader(image, log, node.id);
    // A log that nobody else can lead stays until the node is fenced.
    if (next !== undefined) applying.changeLog(grant(log, image.node(next)!));
  }
  return OK;
}

export function loseReplicas(applying: Applying, command: LoseReplicas): Outcome {
  const node = named(applying, command);
  if ('kind' in node) return node;
  const { image } = applying;
  for (const logId of command.logIds) {
    const log = image.log(logId);
    if (log === undefined || !log.replicas.includes(node.id)) continue;
    const standing = standingOf(image, log, node);
    if (standing === 'alone') continue;
    const safeSet =
      standing === 'outside'
        ? log.safeSet
        : log.mode === 'quorum'
          ? log.safeSet.map((m) => (m.node === node.id ? { node: m.node, incarnation: NOBODY } : m))
          : log.safeSet.filter((member) => member.node !== node.id);
    // A new epoch: its leader has never heard what this replica acknowledged, and no proposal of before counts.
    applying.changeLog(reelect(image, { ...log, safeSet, isr: without(log.isr, node.id) }));
  }
  return OK;
}

export function restartShard(applying: Applying, command: RestartShard): Outcome {
  const node = named(applying, command);
  if ('kind' in node) return node;
  const old = node.shardIncarnations[command.shard];
  if (old === undefined) return refused('invalid-registration', `shard ${command.shard}`);
  if (old === command.shardIncarnation) return OK;
  const shardIncarnations = node.shardIncarnations.map((value, shard) =>
    shard === command.shard ? command.shardIncarnation : value,
  );
  const { image } = applying;
  const next = { ...node, shardIncarnations };
  applying.changeNode(next);
  dropQueuesOfShard(applying, node.id, command.shard);
  renewMemoryLogs(applying, next, command.shard);
  for (const logId of image.logsLedBy(node.id)) {
    if (shardOf(logId, shardIncarnations.length) !== command.shard) continue;
    const log = image.log(logId)!;
    const isAble = isCandidate(image, log, node.id);
    applying.changeLog(isAble ? grant(log, next) : reelect(image, log));
  }
  return OK;
}
