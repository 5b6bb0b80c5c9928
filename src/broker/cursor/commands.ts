// What a group coordinator is asked, and the bytes of it. Protocol-neutral: a group, its members, their
// subscriptions as opaque bytes, and cursors (a committed offset per log). The requester picks fresh
// member ids, because the coordinator draws no random numbers.
import { ByteReader, ByteWriter } from '../../std/bytes.ts';

export interface MemberProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

export interface JoinCommand {
  readonly kind: 'join';
  readonly group: string;
  /** '' for a member that has none yet. */
  readonly memberId: string;
  /** The id to give if `memberId` is ''. Unique for ever. */
  readonly freshMemberId: string;
  readonly instanceId: string | undefined;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly MemberProtocol[];
  /** A member without an id is first told its id and has to come back with it. */
  readonly needsKnownId: boolean;
  /** A returning leader may be told that the assignment stands. */
  readonly canSkipAssignment: boolean;
}

export interface Assignment {
  readonly memberId: string;
  readonly assignment: Uint8Array;
}

export interface SyncCommand {
  readonly kind: 'sync';
  readonly group: string;
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly generation: number;
  readonly protocolType: string | undefined;
  readonly protocol: string | undefined;
  readonly assignments: readonly Assignment[];
}

export interface HeartbeatCommand {
  readonly kind: 'heartbeat';
  readonly group: string;
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly generation: number;
}

export interface Leaver {
  readonly memberId: string;
  readonly instanceId: string | undefined;
}

export interface LeaveCommand {
  readonly kind: 'leave';
  readonly group: string;
  readonly members: readonly Leaver[];
}

/** Names a log twice: by identity, which decides, and by place, which the stored record shows. */
export interface CursorKey {
  readonly destination: string;
  readonly partition: number;
  readonly logId: number;
}

export interface CursorCommit extends CursorKey {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

export interface CommitCommand {
  readonly kind: 'commit';
  readonly group: string;
  /** '' and generation -1 for a consumer that is no member. */
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly generation: number;
  readonly cursors: readonly CursorCommit[];
}

export interface ReadCommand {
  readonly kind: 'read';
  readonly group: string;
  /** undefined: every cursor of the group. */
  readonly cursors: readonly CursorKey[] | undefined;
}

export interface DescribeCommand {
  readonly kind: 'describe';
  readonly group: string;
}

export interface ListCommand {
  readonly kind: 'list';
}

/** The logs are gone for ever: so are the cursors on them. */
export interface ForgetCommand {
  readonly kind: 'forget';
  readonly logIds: readonly number[];
}

export type GroupCommand =
  | JoinCommand
  | SyncCommand
  | HeartbeatCommand
  | LeaveCommand
  | CommitCommand
  | ReadCommand
  | DescribeCommand
  | ListCommand
  | ForgetCommand;

const KINDS: readonly GroupCommand['kind'][] = [
  'join',
  'sync',
  'heartbeat',
  'leave',
  'commit',
  'read',
  'describe',
  'list',
  'forget',
];

export function encodeGroupCommand(command: GroupCommand): Uint8Array {
  const out = new ByteWriter(256);
  out.u8(KINDS.indexOf(command.kind));
  switch (command.kind) {
    case 'join':
      encodeJoin(out, command);
      break;
    case 'sync':
      encodeSync(out, command);
      break;
    case 'heartbeat':
      out.text(command.group);
      putMember(out, command);
      break;
    case 'leave':
      out.text(command.group);
      putList(out, command.members, putLeaver);
      break;
    case 'commit':
      out.text(command.group);
      putMember(out, command);
      putList(out, command.cursors, putCommit);
      break;
    case 'read':
      out.text(command.group);
      out.u8(command.cursors === undefined ? 0 : 1);
      if (command.cursors !== undefined) putList(out, command.cursors, putKey);
      break;
    case 'describe':
      out.text(command.group);
      break;
    case 'list':
      break;
    case 'forget':
      putList(out, command.logIds, (to, logId) => to.varU53(logId));
      break;
  }
  return out.toBytes();
}

/** Byte fields are views of `body`. Throws BytesError for bytes that no requester of ours wrote. */
export function decodeGroupCommand(body: Uint8Array): GroupCommand {
  const from = new ByteReader(body);
  const kind = KINDS[from.u8()];
  switch (kind) {
    case 'join':
      return decodeJoin(from);
    case 'sync':
      return decodeSync(from);
    case 'heartbeat':
      return { kind, group: from.text(), ...getMember(from) };
    case 'leave':
      return { kind, group: from.text(), members: getList(from, getLeaver) };
    case 'commit':
      return {
        kind,
        group: from.text(),
        ...getMember(from),
        cursors: getList(from, getCommit),
      };
    case 'read': {
      const group = from.text();
      return { kind, group, cursors: from.u8() === 0 ? undefined : getList(from, getKey) };
    }
    case 'describe':
      return { kind, group: from.text() };
    case 'list':
      return { kind };
    case 'forget':
      return { kind, logIds: getList(from, (r) => r.varU53()) };
    default:
      throw new RangeError('unknown group command');
  }
}

// ---- Shared pieces of commands and answers ------------------------------------------------------

export function putOptional(out: ByteWriter, text: string | undefined): void {
  out.u8(text === undefined ? 0 : 1);
  if (text !== undefined) out.text(text);
}

export function getOptional(from: ByteReader): string | undefined {
  return from.u8() === 0 ? undefined : from.text();
}

export function putList<T>(
  out: ByteWriter,
  items: readonly T[],
  put: (out: ByteWriter, item: T) => void,
): void {
  out.varU53(items.length);
  for (const item of items) put(out, item);
}

export function getList<T>(from: ByteReader, get: (from: ByteReader) => T): T[] {
  const count = from.varU53();
  const items: T[] = [];
  for (let i = 0; i < count; i += 1) items.push(get(from));
  return items;
}

export function putKey(out: ByteWriter, key: CursorKey): void {
  out.text(key.destination);
  out.varU53(key.partition);
  out.varU53(key.logId);
}

export function getKey(from: ByteReader): CursorKey {
  return { destination: from.text(), partition: from.varU53(), logId: from.varU53() };
}

interface MemberWords {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly generation: number;
}

function putMember(out: ByteWriter, member: MemberWords): void {
  out.text(member.memberId);
  putOptional(out, member.instanceId);
  out.i32(member.generation);
}

function getMember(from: ByteReader): MemberWords {
  return { memberId: from.text(), instanceId: getOptional(from), generation: from.i32() };
}

function putLeaver(out: ByteWriter, leaver: Leaver): void {
  out.text(leaver.memberId);
  putOptional(out, leaver.instanceId);
}

function getLeaver(from: ByteReader): Leaver {
  return { memberId: from.text(), instanceId: getOptional(from) };
}

function putCommit(out: ByteWriter, cursor: CursorCommit): void {
  putKey(out, cursor);
  out.varI53(cursor.offset);
  out.i32(cursor.leaderEpoch);
  out.text(cursor.metadata);
}

function getCommit(from: ByteReader): CursorCommit {
  return {
    ...getKey(from),
    offset: from.varI53(),
    leaderEpoch: from.i32(),
    metadata: from.text(),
  };
}

function encodeJoin(out: ByteWriter, join: JoinCommand): void {
  out.text(join.group);
  out.text(join.memberId);
  out.text(join.freshMemberId);
  putOptional(out, join.instanceId);
  out.text(join.clientId);
  out.text(join.clientHost);
  out.i32(join.sessionTimeoutMs);
  out.i32(join.rebalanceTimeoutMs);
  out.text(join.protocolType);
  putList(out, join.protocols, (to, protocol) => {
    to.text(protocol.name);
    to.sized(protocol.metadata);
  });
  out.u8((join.needsKnownId ? 1 : 0) | (join.canSkipAssignment ? 2 : 0));
}

function decodeJoin(from: ByteReader): JoinCommand {
  const named = {
    kind: 'join',
    group: from.text(),
    memberId: from.text(),
    freshMemberId: from.text(),
    instanceId: getOptional(from),
    clientId: from.text(),
    clientHost: from.text(),
    sessionTimeoutMs: from.i32(),
    rebalanceTimeoutMs: from.i32(),
    protocolType: from.text(),
    protocols: getList(from, (r) => ({ name: r.text(), metadata: r.sized() })),
  } as const;
  const flags = from.u8();
  return { ...named, needsKnownId: (flags & 1) !== 0, canSkipAssignment: (flags & 2) !== 0 };
}

function encodeSync(out: ByteWriter, sync: SyncCommand): void {
  out.text(sync.group);
  putMember(out, sync);
  putOptional(out, sync.protocolType);
  putOptional(out, sync.protocol);
  putList(out, sync.assignments, (to, item) => {
    to.text(item.memberId);
    to.sized(item.assignment);
  });
}

function decodeSync(from: ByteReader): SyncCommand {
  return {
    kind: 'sync',
    group: from.text(),
    ...getMember(from),
    protocolType: getOptional(from),
    protocol: getOptional(from),
    assignments: getList(from, (r) => ({ memberId: r.text(), assignment: r.sized() })),
  };
}
