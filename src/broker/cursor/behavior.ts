// The group coordinator as a durable behavior: one log holds the groups whose names fall on it. Pure and
// synchronous; the replicated half is group-state.ts, the leader's soft half live-group.ts. The log's
// records are those of Kafka's offsets topic, so the log can be read as that topic.
import type {
  Decision,
  DurableBehavior,
  DurableCommand,
  DurableReply,
  LogPosition,
} from '../../actors/durable/behavior.ts';
import { BytesError } from '../../std/bytes.ts';
import { fnv1a32 } from '../../std/hash.ts';
import { GROUP_KIND } from '../destination/kinds.ts';
import { encodeGroupAnswer, plain, refuseJoin, refuseSync } from './answers.ts';
import { decodeGroupCommand, type GroupCommand } from './commands.ts';
import type { GroupConfig } from './config.ts';
import { commit, expireCursors, forget, read } from './cursors.ts';
import {
  applyGroupFrame,
  emptyGroupState,
  type GroupState,
  restoreGroupState,
  snapshotGroupState,
} from './group-state.ts';
import { join } from './join.ts';
import { type GroupLocal, promoteGroups } from './live-group.ts';
import { describe, heartbeat, leave, list, sync } from './membership.ts';
import { expireGroup } from './rounds.ts';
import { GroupTurn } from './turn.ts';

/** Bounds the size of one decision of a tick; what is left runs in the next. */
const EXPIRED_PER_TICK_MAX = 200;

/** The partition of the group log that holds `group`. */
export function groupPartition(group: string, partitions: number): number {
  return fnv1a32(group) % partitions;
}

/**
 * @example
 * const behavior = createGroupBehavior({ ...GROUP_DEFAULTS, crc32c });
 */
export function createGroupBehavior(config: GroupConfig): DurableBehavior<GroupState, GroupLocal> {
  return {
    kind: GROUP_KIND,
    initial: emptyGroupState,
    promote: (state, position) => promoteGroups(state, position.logTimeMs),
    demote: demoteGroups,
    decide: (state, local, command, position) => decide(config, state, local, command, position),
    admit: () => 'invalid',
    apply: applyGroupFrame,
    nextDueMs: (_state, local) => local.nextDueMs(),
    tick: (state, local, position) => tick(config, state, local, position),
    snapshot: snapshotGroupState,
    restore: restoreGroupState,
  };
}

function decide(
  config: GroupConfig,
  state: GroupState,
  local: GroupLocal,
  command: DurableCommand,
  position: LogPosition,
): Decision {
  const turn = new GroupTurn(config, state, local, position.logTimeMs);
  const decoded = decodeOwned(command.body);
  if (decoded === undefined) turn.reply(command.token, plain('bad-command'));
  else perform(turn, command.token, decoded);
  return turn.finish();
}

/** Members keep bytes of their commands, and the body is only lent. */
function decodeOwned(body: Uint8Array): GroupCommand | undefined {
  try {
    return decodeGroupCommand(body.slice());
  } catch (error) {
    if (error instanceof BytesError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function perform(turn: GroupTurn, token: number, command: GroupCommand): void {
  switch (command.kind) {
    case 'join':
      join(turn, token, command);
      break;
    case 'sync':
      sync(turn, token, command);
      break;
    case 'heartbeat':
      heartbeat(turn, token, command);
      break;
    case 'leave':
      leave(turn, token, command);
      break;
    case 'commit':
      commit(turn, token, command);
      break;
    case 'read':
      read(turn, token, command);
      break;
    case 'describe':
      describe(turn, token, command.group);
      break;
    case 'list':
      list(turn, token);
      break;
    case 'forget':
      forget(turn, token, command);
      break;
  }
}

function tick(
  config: GroupConfig,
  state: GroupState,
  local: GroupLocal,
  position: LogPosition,
): Decision {
  const turn = new GroupTurn(config, state, local, position.logTimeMs);
  for (let count = 0; count < EXPIRED_PER_TICK_MAX; count += 1) {
    const group = local.takeDue(position.logTimeMs);
    if (group === undefined) break;
    expireGroup(turn, group);
    expireCursors(turn, group);
  }
  return turn.finish();
}

function demoteGroups(local: GroupLocal): readonly DurableReply[] {
  const replies: DurableReply[] = [];
  for (const group of local.groups.values()) {
    for (const member of group.members.values()) {
      if (member.joinToken !== undefined) {
        const body = encodeGroupAnswer(refuseJoin('moved', member.memberId));
        replies.push({ token: member.joinToken, level: 'none', body });
      }
      if (member.syncToken !== undefined) {
        const body = encodeGroupAnswer(refuseSync('moved'));
        replies.push({ token: member.syncToken, level: 'none', body });
      }
    }
  }
  return replies;
}
