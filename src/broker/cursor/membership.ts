// Life inside a generation: handing out the assignment, heartbeats, and leaving.
import {
  type DescribeAnswer,
  type GroupOutcome,
  type ListAnswer,
  plain,
  refuseSync,
  type SyncAnswer,
} from './answers.ts';
import type { HeartbeatCommand, LeaveCommand, Leaver, SyncCommand } from './commands.ts';
import { instanceRefusal } from './join.ts';
import { type LiveGroup, type LiveMember, metadataOf } from './live-group.ts';
import {
  afterRemoval,
  answerSync,
  closeIfComplete,
  removeMember,
  renew,
  scheduleGroup,
} from './rounds.ts';
import type { GroupTurn } from './turn.ts';

/** Who says to be what in a group. */
export interface Claim {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly generation: number;
}

/** Why the claim is not true of the group as it is, or undefined. */
export function refuseClaim(group: LiveGroup, claim: Claim): GroupOutcome | undefined {
  const refusal = instanceRefusal(group, claim.memberId, claim.instanceId);
  if (refusal !== undefined) return refusal;
  if (!group.members.has(claim.memberId)) return 'unknown-member';
  return claim.generation === group.generation ? undefined : 'wrong-generation';
}

export function sync(turn: GroupTurn, token: number, command: SyncCommand): void {
  const group = turn.local.groups.get(command.group);
  const refusal = group === undefined ? 'unknown-member' : refuseSyncing(group, command);
  if (group === undefined || refusal !== undefined) {
    turn.reply(token, refuseSync(refusal ?? 'unknown-member'));
    return;
  }
  const member = group.members.get(command.memberId)!;
  group.unsynced.delete(command.memberId);
  renew(turn, member);
  if (group.phase === 'stable') {
    turn.reply(token, syncAnswer(group, member), 'committed');
    return;
  }
  answerSync(turn, member, 'rebalancing');
  member.syncToken = token;
  if (group.leader === command.memberId) assign(turn, group, command);
  scheduleGroup(turn, group);
}

function refuseSyncing(group: LiveGroup, command: SyncCommand): GroupOutcome | undefined {
  const refusal = refuseClaim(group, command);
  if (refusal !== undefined) return refusal;
  const { protocolType, protocol } = command;
  if (protocolType !== undefined && protocolType !== group.protocolType) {
    return 'inconsistent-protocol';
  }
  if (protocol !== undefined && protocol !== group.protocol) return 'inconsistent-protocol';
  return group.phase === 'preparing' ? 'rebalancing' : undefined;
}

/** The leader's word completes the generation: it is stored, and everybody who waits is told. */
function assign(turn: GroupTurn, group: LiveGroup, command: SyncCommand): void {
  for (const { memberId, assignment } of command.assignments) {
    const member = group.members.get(memberId);
    if (member !== undefined) member.assignment = assignment;
  }
  group.phase = 'stable';
  group.sinceMs = turn.nowMs;
  turn.storeGroup(group);
  for (const member of group.members.values()) {
    if (member.syncToken === undefined) continue;
    turn.reply(member.syncToken, syncAnswer(group, member), 'committed');
    member.syncToken = undefined;
    renew(turn, member);
  }
}

function syncAnswer(group: LiveGroup, member: LiveMember): SyncAnswer {
  return {
    kind: 'sync',
    outcome: 'ok',
    protocolType: group.protocolType,
    protocol: group.protocol,
    assignment: member.assignment,
  };
}

export function heartbeat(turn: GroupTurn, token: number, command: HeartbeatCommand): void {
  const group = turn.local.groups.get(command.group);
  const refusal = group === undefined ? 'unknown-member' : refuseClaim(group, command);
  if (group === undefined || refusal !== undefined) {
    turn.reply(token, plain(refusal ?? 'unknown-member'));
    return;
  }
  renew(turn, group.members.get(command.memberId)!);
  turn.reply(token, plain(group.phase === 'preparing' ? 'rebalancing' : 'ok'));
}

export function leave(turn: GroupTurn, token: number, command: LeaveCommand): void {
  const group = turn.local.groups.get(command.group);
  if (group === undefined) {
    turn.reply(
      token,
      plain(
        'ok',
        command.members.map((): GroupOutcome => 'unknown-member'),
      ),
    );
    return;
  }
  const sizeBefore = group.members.size;
  const each = command.members.map((leaver) => leaveOne(turn, group, leaver));
  if (group.members.size < sizeBefore) afterRemoval(turn, group);
  else closeIfComplete(turn, group);
  turn.reply(token, plain('ok', each));
  scheduleGroup(turn, group);
}

function leaveOne(turn: GroupTurn, group: LiveGroup, leaver: Leaver): GroupOutcome {
  let { memberId } = leaver;
  if (leaver.instanceId !== undefined) {
    const holder = group.instances.get(leaver.instanceId);
    if (holder === undefined) return 'unknown-member';
    if (memberId !== '' && memberId !== holder) return 'fenced-instance';
    memberId = holder;
  }
  if (group.pending.delete(memberId)) return 'ok';
  const member = group.members.get(memberId);
  if (member === undefined) return 'unknown-member';
  removeMember(turn, group, member);
  return 'ok';
}

// ---- Looking -----------------------------------------------------------------------------------

export function describe(turn: GroupTurn, token: number, name: string): void {
  const group = turn.local.groups.get(name);
  const isKnown = group !== undefined && (group.phase !== 'empty' || turn.state.groups.has(name));
  if (!isKnown) {
    turn.reply(token, describeAnswer('group-not-found', undefined));
    return;
  }
  turn.reply(token, describeAnswer('ok', group), 'committed');
}

function describeAnswer(outcome: GroupOutcome, group: LiveGroup | undefined): DescribeAnswer {
  const members = [...(group?.members.values() ?? [])];
  // What was agreed is shown only while it holds.
  const isSettled = group?.phase === 'stable';
  return {
    kind: 'describe',
    outcome,
    phase: group?.phase ?? 'dead',
    protocolType: group?.protocolType ?? '',
    protocol: isSettled ? (group.protocol ?? '') : '',
    members: members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: isSettled ? metadataOf(member, group?.protocol) : new Uint8Array(0),
      assignment: isSettled ? member.assignment : new Uint8Array(0),
    })),
  };
}

export function list(turn: GroupTurn, token: number): void {
  const groups: ListAnswer['groups'][number][] = [];
  for (const group of turn.local.groups.values()) {
    if (group.phase === 'empty' && !turn.state.groups.has(group.name)) continue;
    groups.push({
      group: group.name,
      protocolType: group.protocolType ?? '',
      phase: group.phase,
    });
  }
  groups.sort((a, b) => (a.group < b.group ? -1 : 1));
  turn.reply(token, { kind: 'list', outcome: 'ok', groups }, 'committed');
}
