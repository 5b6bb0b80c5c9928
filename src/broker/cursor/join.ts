// Joining a group. The steps follow Kafka's classic protocol: an id is given first and used second
// (KIP-394), a member with an instance id takes the place of its former self without a round (KIP-345),
// and a returning leader may be told that the assignment stands (KIP-814).
import { equalBytes, utf8Size } from '../../std/bytes.ts';
import { type GroupOutcome, refuseJoin } from './answers.ts';
import type { JoinCommand } from './commands.ts';
import {
  commonProtocols,
  type LiveGroup,
  type LiveMember,
  metadataOf,
  selectProtocol,
} from './live-group.ts';
import {
  answerJoin,
  answerSync,
  closeIfComplete,
  joinAnswer,
  joinedMembers,
  renew,
  scheduleGroup,
  startRound,
} from './rounds.ts';
import { STORED_TEXT_BYTES_MAX } from './stored-records.ts';
import type { GroupTurn } from './turn.ts';

/** Answers now, or when the round closes. The bytes of the command must be the coordinator's own. */
export function join(turn: GroupTurn, token: number, command: JoinCommand): void {
  const refusal = refusalOf(turn, command);
  if (refusal !== undefined) {
    turn.reply(token, refuseJoin(refusal, command.memberId));
    return;
  }
  const group = turn.local.group(command.group, turn.nowMs);
  if (command.memberId === '') joinNew(turn, token, group, command);
  else joinKnown(turn, token, group, command);
  scheduleGroup(turn, group);
}

function refusalOf(turn: GroupTurn, command: JoinCommand): GroupOutcome | undefined {
  const { config } = turn;
  if (command.group === '') return 'bad-group';
  const texts = [command.group, command.memberId, command.freshMemberId, command.clientId];
  texts.push(command.clientHost, command.protocolType, command.instanceId ?? '');
  for (const protocol of command.protocols) texts.push(protocol.name);
  if (texts.some((text) => utf8Size(text) > STORED_TEXT_BYTES_MAX)) return 'bad-command';
  const subscriptionBytes = command.protocols.reduce((sum, each) => sum + each.metadata.length, 0);
  if (subscriptionBytes > config.subscriptionBytesMax) return 'bad-command';
  const { sessionTimeoutMs } = command;
  if (
    sessionTimeoutMs < config.sessionTimeoutMinMs ||
    sessionTimeoutMs > config.sessionTimeoutMaxMs
  ) {
    return 'bad-session-timeout';
  }
  const group = turn.local.groups.get(command.group);
  if (group === undefined && command.memberId !== '') return 'unknown-member';
  const isMember = group?.members.has(command.memberId) === true;
  const size = (group?.members.size ?? 0) + (group?.pending.size ?? 0);
  const isExpected = isMember || group?.pending.has(command.memberId) === true;
  if (!isExpected && size >= config.membersMax) {
    return 'group-full';
  }
  return speaks(group, command) ? undefined : 'inconsistent-protocol';
}

function speaks(group: LiveGroup | undefined, command: JoinCommand): boolean {
  if (command.protocolType === '' || command.protocols.length === 0) return false;
  if (group === undefined || group.members.size === 0) return true;
  if (group.protocolType !== command.protocolType) return false;
  const common = commonProtocols(group.members);
  return command.protocols.some((protocol) => common.includes(protocol.name));
}

function joinNew(turn: GroupTurn, token: number, group: LiveGroup, command: JoinCommand): void {
  if (command.instanceId !== undefined) {
    const formerId = group.instances.get(command.instanceId);
    const former = formerId === undefined ? undefined : group.members.get(formerId);
    if (former !== undefined) {
      replaceInstance(turn, token, group, command, former);
      return;
    }
  } else if (command.needsKnownId) {
    group.pending.set(command.freshMemberId, turn.nowMs + command.sessionTimeoutMs);
    turn.reply(token, refuseJoin('member-id-required', command.freshMemberId));
    return;
  }
  addMember(turn, token, group, command, command.freshMemberId);
}

function joinKnown(turn: GroupTurn, token: number, group: LiveGroup, command: JoinCommand): void {
  const { memberId } = command;
  const refusal = instanceRefusal(group, memberId, command.instanceId);
  if (refusal !== undefined) {
    turn.reply(token, refuseJoin(refusal, memberId));
    return;
  }
  if (group.pending.has(memberId)) {
    addMember(turn, token, group, command, memberId);
    return;
  }
  const member = group.members.get(memberId);
  if (member === undefined) {
    turn.reply(token, refuseJoin('unknown-member', memberId));
    return;
  }
  const isLeader = group.leader === memberId;
  const isRepeat =
    (group.phase === 'completing' || (group.phase === 'stable' && !isLeader)) &&
    speaksAsBefore(member, command);
  if (isRepeat) {
    // The answer of the round was lost on its way; it is still true.
    renew(turn, member);
    turn.reply(token, joinAnswer(group, member));
    return;
  }
  update(turn, token, member, command);
  startRound(turn, group);
}

/** 'fenced-instance' if another member has taken over the instance id, 'unknown-member' if nobody has it. */
export function instanceRefusal(
  group: LiveGroup,
  memberId: string,
  instanceId: string | undefined,
): GroupOutcome | undefined {
  if (instanceId === undefined) return undefined;
  const holder = group.instances.get(instanceId);
  if (holder === undefined) return 'unknown-member';
  return holder === memberId ? undefined : 'fenced-instance';
}

function speaksAsBefore(member: LiveMember, command: JoinCommand): boolean {
  if (member.protocols.length !== command.protocols.length) return false;
  return member.protocols.every((protocol, i) => {
    const other = command.protocols[i]!;
    return protocol.name === other.name && equalBytes(protocol.metadata, other.metadata);
  });
}

function update(turn: GroupTurn, token: number, member: LiveMember, command: JoinCommand): void {
  // A join that is sent again takes the place of the first, which must still be answered.
  answerJoin(turn, member, 'rebalancing');
  answerSync(turn, member, 'rebalancing');
  member.protocols = command.protocols;
  member.sessionTimeoutMs = command.sessionTimeoutMs;
  member.rebalanceTimeoutMs = command.rebalanceTimeoutMs;
  member.joinToken = token;
  renew(turn, member);
}

function makeMember(command: JoinCommand, memberId: string, token: number): LiveMember {
  return {
    memberId,
    instanceId: command.instanceId,
    clientId: command.clientId,
    clientHost: command.clientHost,
    sessionTimeoutMs: command.sessionTimeoutMs,
    rebalanceTimeoutMs: command.rebalanceTimeoutMs,
    protocols: command.protocols,
    assignment: new Uint8Array(0),
    deadlineMs: 0,
    isNew: true,
    joinToken: token,
    syncToken: undefined,
  };
}

function addMember(
  turn: GroupTurn,
  token: number,
  group: LiveGroup,
  command: JoinCommand,
  memberId: string,
): void {
  const member = makeMember(command, memberId, token);
  member.deadlineMs = turn.nowMs + turn.config.newMemberTimeoutMs;
  if (group.members.size === 0) group.protocolType = command.protocolType;
  group.pending.delete(memberId);
  group.members.set(memberId, member);
  if (member.instanceId !== undefined) group.instances.set(member.instanceId, memberId);
  group.leader ??= memberId;
  if (group.phase === 'preparing') {
    group.hasNewcomer = true;
    closeIfComplete(turn, group);
  } else {
    startRound(turn, group);
  }
}

/** The same instance under a new member id: its former self is fenced, its place is kept. */
function replaceInstance(
  turn: GroupTurn,
  token: number,
  group: LiveGroup,
  command: JoinCommand,
  former: LiveMember,
): void {
  const wasLeader = group.leader === former.memberId;
  answerJoin(turn, former, 'fenced-instance');
  answerSync(turn, former, 'fenced-instance');
  const member = makeMember(command, command.freshMemberId, token);
  member.assignment = former.assignment;
  member.isNew = false;
  renew(turn, member);
  replaceInOrder(group, former, member);
  if (wasLeader) group.leader = member.memberId;
  const isUnchanged = group.phase === 'stable' && selectProtocol(group.members) === group.protocol;
  if (!isUnchanged || !isSame(former, member, group.protocol)) {
    startRound(turn, group);
    return;
  }
  member.joinToken = undefined;
  turn.storeGroup(group);
  const answer = joinAnswer(group, member);
  // Without the skip the leader of old would assign again, so it is not told that it leads.
  const skip = wasLeader && command.canSkipAssignment;
  const leader = wasLeader && !skip ? former.memberId : answer.leader;
  const members = skip ? joinedMembers(group) : [];
  turn.reply(token, { ...answer, leader, members, skipAssignment: skip }, 'committed');
}

function isSame(former: LiveMember, member: LiveMember, protocol: string | undefined): boolean {
  return equalBytes(metadataOf(former, protocol), metadataOf(member, protocol));
}

function replaceInOrder(group: LiveGroup, former: LiveMember, member: LiveMember): void {
  const members = [...group.members.values()];
  group.members.clear();
  for (const each of members) {
    const kept = each === former ? member : each;
    group.members.set(kept.memberId, kept);
  }
  if (group.unsynced.delete(former.memberId)) group.unsynced.add(member.memberId);
  group.instances.set(member.instanceId!, member.memberId);
}
