// Classic groups: join, sync, heartbeat, leave, describe, list. Every request is one command to the
// coordinator of its group; joins and syncs are answered when their round is.
import type {
  DescribeAnswer,
  GroupPhase,
  JoinAnswer,
  ListAnswer,
  PlainAnswer,
  SyncAnswer,
} from '../../../broker/ports.ts';
import type {
  DescribeGroups,
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  ResponseInput,
  SyncGroup,
} from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { groupCode } from '../outcomes.ts';
import { askCoordinators, askGroup, type GroupReply } from './coordinator.ts';

const QUICK_TIMEOUT_MS = 5_000;
/** Rounds are bounded by the members' own times; this only catches a coordinator that is gone. */
const ROUND_TIMEOUT_MS = 600_000;
const NO_BYTES = new Uint8Array(0);
/** A member without an id must come back with one from this version on (KIP-394). */
const KNOWN_ID_VERSION = 4;
const SKIP_ASSIGNMENT_VERSION = 9;

const STATE_NAMES: { readonly [P in GroupPhase]: string } = {
  empty: 'Empty',
  preparing: 'PreparingRebalance',
  completing: 'CompletingRebalance',
  stable: 'Stable',
  dead: 'Dead',
};

/** The answer if it is of that kind, else the error number. */
function expectKind<K extends NonNullable<GroupReply['answer']>['kind']>(
  reply: GroupReply,
  kind: K,
): Extract<NonNullable<GroupReply['answer']>, { kind: K }> | number {
  const { answer } = reply;
  if (answer === undefined) return reply.code;
  if (answer.kind === kind) {
    return answer as Extract<NonNullable<GroupReply['answer']>, { kind: K }>;
  }
  return groupCode(answer.outcome);
}

export function joinGroup(exchange: Exchange<typeof JoinGroup>): void {
  const { body, version, clientId, host } = exchange;
  const { groupId, sessionTimeoutMs } = body;
  // Version 0 has one time for both.
  const rebalanceTimeoutMs =
    body.rebalanceTimeoutMs < 0 ? sessionTimeoutMs : body.rebalanceTimeoutMs;
  const instanceId = body.groupInstanceId ?? undefined;
  const command = {
    kind: 'join',
    group: groupId,
    memberId: body.memberId,
    freshMemberId: `${instanceId ?? clientId}-${host.freshId()}`,
    instanceId,
    clientId,
    clientHost: `/${host.remoteHost}`,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    protocolType: body.protocolType,
    protocols: body.protocols,
    needsKnownId: version >= KNOWN_ID_VERSION,
    canSkipAssignment: version >= SKIP_ASSIGNMENT_VERSION,
  } as const;
  askGroup(exchange, groupId, command, ROUND_TIMEOUT_MS, (reply) => {
    const answer = expectKind(reply, 'join');
    if (typeof answer === 'number') exchange.respond(refusedJoin(answer, body.memberId));
    else exchange.respond(joined(exchange, answer));
  });
}

function refusedJoin(errorCode: number, memberId: string): ResponseInput<typeof JoinGroup> {
  return { errorCode, protocolName: '', leader: '', memberId, members: [] };
}

function joined(
  exchange: Exchange<typeof JoinGroup>,
  answer: JoinAnswer,
): ResponseInput<typeof JoinGroup> {
  return {
    errorCode: groupCode(answer.outcome),
    generationId: answer.generation,
    protocolType: answer.protocolType ?? null,
    // May be null from version 7 on.
    protocolName: answer.protocol ?? (exchange.version >= 7 ? null : ''),
    leader: answer.leader,
    skipAssignment: answer.skipAssignment,
    memberId: answer.memberId,
    members: answer.members.map(({ memberId, instanceId, metadata }) => ({
      memberId,
      groupInstanceId: instanceId ?? null,
      metadata,
    })),
  };
}

export function syncGroup(exchange: Exchange<typeof SyncGroup>): void {
  const { body } = exchange;
  const command = {
    kind: 'sync',
    group: body.groupId,
    memberId: body.memberId,
    instanceId: body.groupInstanceId ?? undefined,
    generation: body.generationId,
    protocolType: body.protocolType ?? undefined,
    protocol: body.protocolName ?? undefined,
    assignments: body.assignments,
  } as const;
  askGroup(exchange, body.groupId, command, ROUND_TIMEOUT_MS, (reply) => {
    const answer = expectKind(reply, 'sync');
    if (typeof answer === 'number') {
      exchange.respond({ errorCode: answer, assignment: NO_BYTES });
    } else {
      exchange.respond(synced(answer));
    }
  });
}

function synced(answer: SyncAnswer): ResponseInput<typeof SyncGroup> {
  return {
    errorCode: groupCode(answer.outcome),
    protocolType: answer.protocolType ?? null,
    protocolName: answer.protocol ?? null,
    assignment: answer.assignment,
  };
}

export function heartbeat(exchange: Exchange<typeof Heartbeat>): void {
  const { body } = exchange;
  const command = {
    kind: 'heartbeat',
    group: body.groupId,
    memberId: body.memberId,
    instanceId: body.groupInstanceId ?? undefined,
    generation: body.generationId,
  } as const;
  askGroup(exchange, body.groupId, command, QUICK_TIMEOUT_MS, (reply) => {
    const answer = expectKind(reply, 'plain');
    const errorCode = typeof answer === 'number' ? answer : groupCode(answer.outcome);
    // A member need not know that its coordinator is loading: the Java client throws on that code here,
    // and its session starts anew after the load. Kafka answers so too (GroupCoordinator.heartbeat).
    exchange.respond({
      errorCode: errorCode === E.COORDINATOR_LOAD_IN_PROGRESS ? E.NONE : errorCode,
    });
  });
}

export function leaveGroup(exchange: Exchange<typeof LeaveGroup>): void {
  const { body, version } = exchange;
  const isList = version >= 3;
  const members = isList
    ? body.members.map(({ memberId, groupInstanceId }) => ({
        memberId,
        instanceId: groupInstanceId ?? undefined,
      }))
    : [{ memberId: body.memberId, instanceId: undefined }];
  const command = { kind: 'leave', group: body.groupId, members } as const;
  askGroup(exchange, body.groupId, command, QUICK_TIMEOUT_MS, (reply) => {
    const answer = expectKind(reply, 'plain');
    if (typeof answer === 'number') exchange.respond({ errorCode: answer });
    else exchange.respond(isList ? left(exchange, answer) : leftAlone(answer));
  });
}

function leftAlone(answer: PlainAnswer): ResponseInput<typeof LeaveGroup> {
  return { errorCode: groupCode(answer.each[0] ?? answer.outcome) };
}

function left(
  exchange: Exchange<typeof LeaveGroup>,
  answer: PlainAnswer,
): ResponseInput<typeof LeaveGroup> {
  return {
    errorCode: groupCode(answer.outcome),
    members: exchange.body.members.map(({ memberId, groupInstanceId }, i) => ({
      memberId,
      groupInstanceId,
      errorCode: groupCode(answer.each[i] ?? answer.outcome),
    })),
  };
}

// ---- Describing --------------------------------------------------------------------------------

export function describeGroups(exchange: Exchange<typeof DescribeGroups>): void {
  const names = exchange.body.groups;
  const questions = names.map((group) => ({
    log: exchange.ports.coordinatorLog(group),
    command: { kind: 'describe', group } as const,
  }));
  askCoordinators(exchange, questions, QUICK_TIMEOUT_MS, (replies) => {
    exchange.respond({
      groups: names.map((group, i) => {
        const answer = expectKind(replies[i]!, 'describe');
        return typeof answer === 'number'
          ? unknownGroup(group, answer)
          : describedGroup(group, answer, exchange.version);
      }),
    });
  });
}

function unknownGroup(
  groupId: string,
  errorCode: number,
): ResponseInput<typeof DescribeGroups>['groups'][number] {
  return {
    errorCode,
    groupId,
    groupState: errorCode === E.NONE ? STATE_NAMES.dead : '',
    protocolType: '',
    protocolData: '',
    members: [],
  };
}

/** A group that is not there is "Dead" to older clients, an error from version 6 on (KIP-1043). */
const NOT_FOUND_VERSION = 6;

function describedGroup(
  groupId: string,
  answer: DescribeAnswer,
  version: number,
): ResponseInput<typeof DescribeGroups>['groups'][number] {
  if (answer.outcome === 'group-not-found') {
    const isError = version >= NOT_FOUND_VERSION;
    const dead = unknownGroup(groupId, isError ? E.GROUP_ID_NOT_FOUND : E.NONE);
    const errorMessage = isError ? `there is no group "${groupId}"` : null;
    return { ...dead, groupState: STATE_NAMES.dead, errorMessage };
  }
  return {
    errorCode: groupCode(answer.outcome),
    groupId,
    groupState: STATE_NAMES[answer.phase],
    protocolType: answer.protocolType,
    protocolData: answer.protocol,
    members: answer.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId ?? null,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: member.metadata,
      memberAssignment: member.assignment,
    })),
  };
}

const CLASSIC = 'classic';

/** Lists the groups that this node coordinates; clients ask every node. */
export function listGroups(exchange: Exchange<typeof ListGroups>): void {
  const { ports } = exchange;
  const mine = ports.groupLogs().filter((log) => log.leader === ports.view.nodeId);
  const questions = mine.map((log) => ({ log, command: { kind: 'list' } as const }));
  askCoordinators(exchange, questions, QUICK_TIMEOUT_MS, (replies) => {
    let errorCode: number = E.NONE;
    const found: ListAnswer['groups'][number][] = [];
    for (const reply of replies) {
      const answer = expectKind(reply, 'list');
      if (typeof answer === 'number') errorCode = answer;
      else found.push(...answer.groups);
    }
    exchange.respond({ errorCode, groups: selectListed(exchange, found) });
  });
}

function selectListed(
  exchange: Exchange<typeof ListGroups>,
  groups: ListAnswer['groups'],
): ResponseInput<typeof ListGroups>['groups'] {
  const states = exchange.body.statesFilter.map((state) => state.toLowerCase());
  const types = exchange.body.typesFilter.map((type) => type.toLowerCase());
  if (types.length > 0 && !types.includes(CLASSIC)) return [];
  return groups
    .filter(({ phase }) => states.length === 0 || states.includes(STATE_NAMES[phase].toLowerCase()))
    .map(({ group, protocolType, phase }) => ({
      groupId: group,
      protocolType,
      groupState: STATE_NAMES[phase],
      groupType: CLASSIC,
    }));
}
