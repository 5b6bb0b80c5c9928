// The rounds of a group: a round opens when somebody joins, leaves or expires, closes when everybody is
// back or time is up, and ends in a new generation whose leader hands out the assignment. Members that
// did not come back are gone; members with an instance id stay for as long as their session lasts.
import type { GroupOutcome, JoinAnswer } from './answers.ts';
import { refuseJoin, refuseSync } from './answers.ts';
import { type LiveGroup, type LiveMember, metadataOf, selectProtocol } from './live-group.ts';
import type { GroupTurn } from './turn.ts';

const NEVER_MS = Number.POSITIVE_INFINITY;
const NO_BYTES = new Uint8Array(0);

/** Opens a round, or goes on with the one that is open. */
export function startRound(turn: GroupTurn, group: LiveGroup): void {
  if (group.phase === 'preparing') {
    closeIfComplete(turn, group);
    return;
  }
  const isFirst = group.phase === 'empty';
  if (group.phase === 'completing') dropAssignments(turn, group);
  group.phase = 'preparing';
  group.sinceMs = turn.nowMs;
  group.unsynced.clear();
  group.syncDueMs = NEVER_MS;
  const timeoutMs = rebalanceTimeoutMs(group);
  const graceMs = Math.min(turn.config.initialRebalanceDelayMs, timeoutMs);
  group.isInGrace = isFirst && graceMs > 0;
  group.hasNewcomer = false;
  group.graceLeftMs = timeoutMs - graceMs;
  group.joinDueMs = turn.nowMs + (group.isInGrace ? graceMs : timeoutMs);
  closeIfComplete(turn, group);
}

function rebalanceTimeoutMs(group: LiveGroup): number {
  let timeoutMs = 0;
  for (const member of group.members.values()) {
    timeoutMs = Math.max(timeoutMs, member.rebalanceTimeoutMs);
  }
  return timeoutMs;
}

function dropAssignments(turn: GroupTurn, group: LiveGroup): void {
  for (const member of group.members.values()) {
    member.assignment = NO_BYTES;
    answerSync(turn, member, 'rebalancing');
  }
}

/** Refuses the sync that a member waits for, if it does. */
export function answerSync(turn: GroupTurn, member: LiveMember, outcome: GroupOutcome): void {
  if (member.syncToken === undefined) return;
  turn.reply(member.syncToken, refuseSync(outcome));
  member.syncToken = undefined;
}

/** Refuses the join that a member waits for, if it does. */
export function answerJoin(turn: GroupTurn, member: LiveMember, outcome: GroupOutcome): void {
  if (member.joinToken === undefined) return;
  turn.reply(member.joinToken, refuseJoin(outcome, member.memberId));
  member.joinToken = undefined;
}

export function closeIfComplete(turn: GroupTurn, group: LiveGroup): void {
  if (group.phase !== 'preparing' || group.pending.size > 0) return;
  if (group.isInGrace && group.members.size > 0) return;
  for (const member of group.members.values()) if (member.joinToken === undefined) return;
  closeRound(turn, group);
}

/** The round is over: whoever is there makes up the next generation. */
function closeRound(turn: GroupTurn, group: LiveGroup): void {
  for (const member of [...group.members.values()]) {
    const isGone = member.joinToken === undefined && member.instanceId === undefined;
    if (isGone) removeMember(turn, group, member);
  }
  const joined = [...group.members.values()].find((member) => member.joinToken !== undefined);
  if (group.members.size > 0 && joined === undefined) {
    // Only members with an instance id are left, all away: their sessions decide, not this round.
    group.joinDueMs = turn.nowMs + Math.max(1, rebalanceTimeoutMs(group));
    return;
  }
  group.generation = (group.generation + 1) & 0x7fffffff;
  group.joinDueMs = NEVER_MS;
  group.isInGrace = false;
  group.sinceMs = turn.nowMs;
  if (joined === undefined) becomeEmpty(turn, group);
  else beginGeneration(turn, group, joined);
}

function becomeEmpty(turn: GroupTurn, group: LiveGroup): void {
  group.phase = 'empty';
  group.protocol = undefined;
  group.leader = undefined;
  // A group that never completed a round and has no cursors left nothing that a new leader must know.
  if (turn.state.groups.has(group.name)) turn.storeGroup(group);
  turn.local.schedule(group, turn.nowMs + turn.config.emptyGroupRetentionMs);
}

function beginGeneration(turn: GroupTurn, group: LiveGroup, joined: LiveMember): void {
  group.phase = 'completing';
  group.protocol = selectProtocol(group.members);
  const leader = group.leader === undefined ? undefined : group.members.get(group.leader);
  if (leader?.joinToken === undefined) group.leader = joined.memberId;
  group.syncDueMs = turn.nowMs + rebalanceTimeoutMs(group);
  for (const member of group.members.values()) {
    group.unsynced.add(member.memberId);
    if (member.joinToken === undefined) continue;
    turn.reply(member.joinToken, joinAnswer(group, member));
    member.joinToken = undefined;
    member.isNew = false;
    member.deadlineMs = turn.nowMs + member.sessionTimeoutMs;
  }
}

/** What a member of the current generation is told; its leader also learns the members. */
export function joinAnswer(group: LiveGroup, member: LiveMember): JoinAnswer {
  const isLeader = group.leader === member.memberId;
  return {
    kind: 'join',
    outcome: 'ok',
    generation: group.generation,
    protocolType: group.protocolType,
    protocol: group.protocol,
    leader: group.leader ?? '',
    memberId: member.memberId,
    skipAssignment: false,
    members: isLeader ? joinedMembers(group) : [],
  };
}

export function joinedMembers(group: LiveGroup): JoinAnswer['members'] {
  return [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    instanceId: member.instanceId,
    metadata: metadataOf(member, group.protocol),
  }));
}

/** Takes a member out and answers what it waits for. The caller goes on with `afterRemoval`. */
export function removeMember(
  turn: GroupTurn,
  group: LiveGroup,
  member: LiveMember,
  outcome: GroupOutcome = 'unknown-member',
): void {
  answerJoin(turn, member, outcome);
  answerSync(turn, member, outcome);
  group.members.delete(member.memberId);
  group.unsynced.delete(member.memberId);
  const { instanceId } = member;
  if (instanceId !== undefined && group.instances.get(instanceId) === member.memberId) {
    group.instances.delete(instanceId);
  }
  if (group.leader === member.memberId) group.leader = group.members.keys().next().value;
}

export function afterRemoval(turn: GroupTurn, group: LiveGroup): void {
  if (group.phase === 'stable' || group.phase === 'completing') startRound(turn, group);
  else closeIfComplete(turn, group);
}

// ---- Time --------------------------------------------------------------------------------------

/** Lets everything happen to a group that is due by now, and schedules the next look. */
export function expireGroup(turn: GroupTurn, group: LiveGroup): void {
  for (const [memberId, dueMs] of group.pending) {
    if (dueMs <= turn.nowMs) group.pending.delete(memberId);
  }
  closeIfComplete(turn, group);
  const gone = [...group.members.values()].filter((member) => isExpired(member, turn.nowMs));
  for (const member of gone) removeMember(turn, group, member);
  if (gone.length > 0) afterRemoval(turn, group);
  if (group.unsynced.size > 0 && group.syncDueMs <= turn.nowMs) expireUnsynced(turn, group);
  if (group.phase === 'preparing' && group.joinDueMs <= turn.nowMs) expireJoin(turn, group);
  scheduleGroup(turn, group);
}

function mayExpire(member: LiveMember): boolean {
  // Who waits for an answer of ours cannot send heartbeats; newcomers have a patience of their own.
  return member.isNew || (member.joinToken === undefined && member.syncToken === undefined);
}

function isExpired(member: LiveMember, nowMs: number): boolean {
  return mayExpire(member) && member.deadlineMs <= nowMs;
}

function expireUnsynced(turn: GroupTurn, group: LiveGroup): void {
  for (const memberId of [...group.unsynced]) {
    const member = group.members.get(memberId);
    if (member === undefined || member.syncToken !== undefined) continue;
    removeMember(turn, group, member);
  }
  group.unsynced.clear();
  group.syncDueMs = NEVER_MS;
  afterRemoval(turn, group);
}

function expireJoin(turn: GroupTurn, group: LiveGroup): void {
  if (group.isInGrace && group.hasNewcomer && group.graceLeftMs > 0) {
    const moreMs = Math.min(turn.config.initialRebalanceDelayMs, group.graceLeftMs);
    group.graceLeftMs -= moreMs;
    group.hasNewcomer = false;
    group.joinDueMs = turn.nowMs + moreMs;
    return;
  }
  closeRound(turn, group);
}

/** Enters the earliest moment at which something may be due. Costs one look at every member. */
export function scheduleGroup(turn: GroupTurn, group: LiveGroup): void {
  let dueMs = NEVER_MS;
  for (const pendingMs of group.pending.values()) dueMs = Math.min(dueMs, pendingMs);
  for (const member of group.members.values()) {
    if (mayExpire(member)) dueMs = Math.min(dueMs, member.deadlineMs);
  }
  if (group.phase === 'preparing') dueMs = Math.min(dueMs, group.joinDueMs);
  if (group.unsynced.size > 0) dueMs = Math.min(dueMs, group.syncDueMs);
  if (dueMs !== NEVER_MS) turn.local.schedule(group, dueMs);
}

/** Renews the session of a member. Its entry in the schedule stays: it is looked at again then. */
export function renew(turn: GroupTurn, member: LiveMember): void {
  member.deadlineMs = turn.nowMs + member.sessionTimeoutMs;
}
