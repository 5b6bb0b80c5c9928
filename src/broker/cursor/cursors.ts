// Committing, reading and forgetting cursors. A cursor belongs to a log, not to a name: when a
// destination was removed and made again, the cursor of the old log is not an answer for the new one.
import { utf8Size } from '../../std/bytes.ts';
import { type CursorRead, type GroupOutcome, plain } from './answers.ts';
import type {
  CommitCommand,
  CursorCommit,
  CursorKey,
  ForgetCommand,
  ReadCommand,
} from './commands.ts';
import type { StoredGroup } from './group-state.ts';
import type { LiveGroup } from './live-group.ts';
import { refuseClaim } from './membership.ts';
import { renew } from './rounds.ts';
import { STORED_TEXT_BYTES_MAX, type StoredCursor } from './stored-records.ts';
import type { GroupTurn } from './turn.ts';

/** After a decision that the store may have refused. */
const LOOK_AGAIN_MS = 10_000;

export function commit(turn: GroupTurn, token: number, command: CommitCommand): void {
  const refusal = refuseCommit(turn, command);
  if (refusal !== undefined) {
    turn.reply(
      token,
      plain(
        refusal,
        command.cursors.map(() => refusal),
      ),
    );
    return;
  }
  const group = turn.local.group(command.group, turn.nowMs);
  const member = group.members.get(command.memberId);
  if (member !== undefined && member.joinToken === undefined) renew(turn, member);
  const each = command.cursors.map((cursor) => commitOne(turn, group, cursor));
  if (group.members.size === 0) {
    turn.local.schedule(group, turn.nowMs + turn.config.cursorRetentionMs);
  }
  turn.reply(token, plain('ok', each), 'committed');
}

function refuseCommit(turn: GroupTurn, command: CommitCommand): GroupOutcome | undefined {
  if (utf8Size(command.group) > STORED_TEXT_BYTES_MAX) return 'bad-group';
  const isStranger =
    command.generation < 0 && command.memberId === '' && command.instanceId === undefined;
  const group = turn.local.groups.get(command.group);
  if (group === undefined || group.members.size === 0) {
    // Consumers that are no members, and tools, may commit while nobody else owns the group.
    if (isStranger) return undefined;
    return command.generation < 0 ? 'unknown-member' : 'wrong-generation';
  }
  const refusal = refuseClaim(group, command);
  if (refusal !== undefined) return refusal;
  // The member knows its generation but has no assignment in it yet: what it commits is of the last one.
  return group.phase === 'completing' ? 'rebalancing' : undefined;
}

function commitOne(turn: GroupTurn, group: LiveGroup, cursor: CursorCommit): GroupOutcome {
  if (utf8Size(cursor.metadata) > turn.config.metadataBytesMax) return 'metadata-too-large';
  turn.storeCursor(group.name, { ...cursor, commitTimeMs: turn.nowMs });
  return 'ok';
}

/** The answer waits until what it tells is committed. */
export function read(turn: GroupTurn, token: number, command: ReadCommand): void {
  const group = turn.state.groups.get(command.group);
  const cursors =
    command.cursors === undefined
      ? allCursors(group)
      : command.cursors.map((key) => readOne(group, key));
  turn.reply(token, { kind: 'read', outcome: 'ok', cursors }, 'committed');
}

function allCursors(group: StoredGroup | undefined): CursorRead[] {
  const cursors = [...(group?.cursors.values() ?? [])];
  return cursors.sort((a, b) => a.logId - b.logId);
}

function readOne(group: StoredGroup | undefined, key: CursorKey): CursorRead {
  const cursor = group?.cursors.get(key.logId);
  return cursor ?? { ...key, offset: -1, leaderEpoch: -1, metadata: '' };
}

export function forget(turn: GroupTurn, token: number, command: ForgetCommand): void {
  for (const group of turn.state.groups.values()) {
    for (const logId of command.logIds) {
      const cursor = group.cursors.get(logId);
      if (cursor !== undefined) turn.dropCursor(group.name, cursor);
    }
  }
  turn.reply(token, plain('ok'), 'committed');
}

/**
 * Lets the cursors of a group without members go when their time has come, and the group after them.
 * Cursors of a group with members never expire. What is decided may be refused by the store: the group
 * stays here, and is looked at again, until nothing of it is stored.
 */
export function expireCursors(turn: GroupTurn, group: LiveGroup): void {
  if (group.phase !== 'empty') return;
  const stored = turn.state.groups.get(group.name);
  if (stored === undefined) {
    if (group.pending.size === 0) turn.local.groups.delete(group.name);
    return;
  }
  let left = 0;
  let nextMs = Number.POSITIVE_INFINITY;
  for (const cursor of stored.cursors.values()) {
    const dueMs = expiryMs(turn, group, stored, cursor);
    if (dueMs <= turn.nowMs) {
      turn.dropCursor(group.name, cursor);
      nextMs = Math.min(nextMs, turn.nowMs + LOOK_AGAIN_MS);
    } else {
      left += 1;
      nextMs = Math.min(nextMs, dueMs);
    }
  }
  if (left > 0) {
    turn.local.schedule(group, nextMs);
    return;
  }
  const emptyDueMs = group.sinceMs + turn.config.emptyGroupRetentionMs;
  if (stored.cursors.size === 0 && emptyDueMs > turn.nowMs) {
    turn.local.schedule(group, emptyDueMs);
    return;
  }
  if (stored.membership !== undefined) turn.dropGroup(group.name);
  turn.local.schedule(group, turn.nowMs + LOOK_AGAIN_MS);
}

function expiryMs(
  turn: GroupTurn,
  group: LiveGroup,
  stored: StoredGroup,
  cursor: StoredCursor,
): number {
  // A tool may commit to a group that has been empty for long: the later of the two times counts.
  const emptySinceMs = stored.membership === undefined ? 0 : group.sinceMs;
  return Math.max(emptySinceMs, cursor.commitTimeMs) + turn.config.cursorRetentionMs;
}
