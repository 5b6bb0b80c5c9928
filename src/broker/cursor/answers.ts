// What a group coordinator answers, and the bytes of it. The outcome is a word that every protocol
// maps to its own error; the other fields hold their empty values unless the outcome is 'ok'.
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import {
  type CursorKey,
  getKey,
  getList,
  getOptional,
  putKey,
  putList,
  putOptional,
} from './commands.ts';

const GROUP_OUTCOMES = [
  'ok',
  /** The coordinator moved; ask the new one. */
  'moved',
  'unknown-member',
  'wrong-generation',
  'rebalancing',
  'inconsistent-protocol',
  'member-id-required',
  'fenced-instance',
  'bad-session-timeout',
  'bad-group',
  'group-full',
  'metadata-too-large',
  'group-not-found',
  'bad-command',
] as const;

export type GroupOutcome = (typeof GROUP_OUTCOMES)[number];

export type GroupPhase = 'empty' | 'preparing' | 'completing' | 'stable' | 'dead';

const PHASES: readonly GroupPhase[] = ['empty', 'preparing', 'completing', 'stable', 'dead'];

export interface JoinedMember {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly metadata: Uint8Array;
}

export interface JoinAnswer {
  readonly kind: 'join';
  readonly outcome: GroupOutcome;
  readonly generation: number;
  readonly protocolType: string | undefined;
  readonly protocol: string | undefined;
  readonly leader: string;
  readonly memberId: string;
  readonly skipAssignment: boolean;
  /** Only the leader learns the members. */
  readonly members: readonly JoinedMember[];
}

export interface SyncAnswer {
  readonly kind: 'sync';
  readonly outcome: GroupOutcome;
  readonly protocolType: string | undefined;
  readonly protocol: string | undefined;
  readonly assignment: Uint8Array;
}

/** Answers heartbeat, commit and forget; a commit carries one outcome per cursor, in order. */
export interface PlainAnswer {
  readonly kind: 'plain';
  readonly outcome: GroupOutcome;
  readonly each: readonly GroupOutcome[];
}

export interface CursorRead extends CursorKey {
  /** -1 when nothing is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

export interface ReadAnswer {
  readonly kind: 'read';
  readonly outcome: GroupOutcome;
  readonly cursors: readonly CursorRead[];
}

export interface DescribedMember extends JoinedMember {
  readonly clientId: string;
  readonly clientHost: string;
  readonly assignment: Uint8Array;
}

export interface DescribeAnswer {
  readonly kind: 'describe';
  readonly outcome: GroupOutcome;
  readonly phase: GroupPhase;
  readonly protocolType: string;
  readonly protocol: string;
  readonly members: readonly DescribedMember[];
}

export interface ListedGroup {
  readonly group: string;
  readonly protocolType: string;
  readonly phase: GroupPhase;
}

export interface ListAnswer {
  readonly kind: 'list';
  readonly outcome: GroupOutcome;
  readonly groups: readonly ListedGroup[];
}

export type GroupAnswer =
  | JoinAnswer
  | SyncAnswer
  | PlainAnswer
  | ReadAnswer
  | DescribeAnswer
  | ListAnswer;

const KINDS: readonly GroupAnswer['kind'][] = ['join', 'sync', 'plain', 'read', 'describe', 'list'];
const NO_BYTES = new Uint8Array(0);

/** A join that ended without a generation. */
export function refuseJoin(outcome: GroupOutcome, memberId: string): JoinAnswer {
  return {
    kind: 'join',
    outcome,
    generation: -1,
    protocolType: undefined,
    protocol: undefined,
    leader: '',
    memberId,
    skipAssignment: false,
    members: [],
  };
}

export function refuseSync(outcome: GroupOutcome): SyncAnswer {
  return {
    kind: 'sync',
    outcome,
    protocolType: undefined,
    protocol: undefined,
    assignment: NO_BYTES,
  };
}

export function plain(outcome: GroupOutcome, each: readonly GroupOutcome[] = []): PlainAnswer {
  return { kind: 'plain', outcome, each };
}

export function encodeGroupAnswer(answer: GroupAnswer): Uint8Array {
  const out = new ByteWriter(256);
  out.u8(KINDS.indexOf(answer.kind));
  putOutcome(out, answer.outcome);
  switch (answer.kind) {
    case 'join':
      out.i32(answer.generation);
      putOptional(out, answer.protocolType);
      putOptional(out, answer.protocol);
      out.text(answer.leader);
      out.text(answer.memberId);
      out.u8(answer.skipAssignment ? 1 : 0);
      putList(out, answer.members, putJoined);
      break;
    case 'sync':
      putOptional(out, answer.protocolType);
      putOptional(out, answer.protocol);
      out.sized(answer.assignment);
      break;
    case 'plain':
      putList(out, answer.each, putOutcome);
      break;
    case 'read':
      putList(out, answer.cursors, putCursor);
      break;
    case 'describe':
      putPhase(out, answer.phase);
      out.text(answer.protocolType);
      out.text(answer.protocol);
      putList(out, answer.members, putDescribed);
      break;
    case 'list':
      putList(out, answer.groups, putListed);
      break;
  }
  return out.toBytes();
}

/** Byte fields are views of `body`. */
export function decodeGroupAnswer(body: Uint8Array): GroupAnswer {
  const from = new ByteReader(body);
  const kind = KINDS[from.u8()];
  const outcome = getOutcome(from);
  switch (kind) {
    case 'join':
      return {
        kind,
        outcome,
        generation: from.i32(),
        protocolType: getOptional(from),
        protocol: getOptional(from),
        leader: from.text(),
        memberId: from.text(),
        skipAssignment: from.u8() !== 0,
        members: getList(from, getJoined),
      };
    case 'sync':
      return {
        kind,
        outcome,
        protocolType: getOptional(from),
        protocol: getOptional(from),
        assignment: from.sized(),
      };
    case 'plain':
      return { kind, outcome, each: getList(from, getOutcome) };
    case 'read':
      return { kind, outcome, cursors: getList(from, getCursor) };
    case 'describe':
      return {
        kind,
        outcome,
        phase: getPhase(from),
        protocolType: from.text(),
        protocol: from.text(),
        members: getList(from, getDescribed),
      };
    case 'list':
      return { kind, outcome, groups: getList(from, getListed) };
    default:
      throw new RangeError('unknown group answer');
  }
}

function putOutcome(out: ByteWriter, outcome: GroupOutcome): void {
  out.u8(GROUP_OUTCOMES.indexOf(outcome));
}

function getOutcome(from: ByteReader): GroupOutcome {
  const outcome = GROUP_OUTCOMES[from.u8()];
  if (outcome === undefined) throw new RangeError('unknown group outcome');
  return outcome;
}

function putPhase(out: ByteWriter, phase: GroupPhase): void {
  out.u8(PHASES.indexOf(phase));
}

function getPhase(from: ByteReader): GroupPhase {
  return PHASES[from.u8()] ?? 'dead';
}

function putJoined(out: ByteWriter, member: JoinedMember): void {
  out.text(member.memberId);
  putOptional(out, member.instanceId);
  out.sized(member.metadata);
}

function getJoined(from: ByteReader): JoinedMember {
  return { memberId: from.text(), instanceId: getOptional(from), metadata: from.sized() };
}

function putDescribed(out: ByteWriter, member: DescribedMember): void {
  putJoined(out, member);
  out.text(member.clientId);
  out.text(member.clientHost);
  out.sized(member.assignment);
}

function getDescribed(from: ByteReader): DescribedMember {
  return {
    ...getJoined(from),
    clientId: from.text(),
    clientHost: from.text(),
    assignment: from.sized(),
  };
}

function putCursor(out: ByteWriter, cursor: CursorRead): void {
  putKey(out, cursor);
  out.varI53(cursor.offset);
  out.i32(cursor.leaderEpoch);
  out.text(cursor.metadata);
}

function getCursor(from: ByteReader): CursorRead {
  return {
    ...getKey(from),
    offset: from.varI53(),
    leaderEpoch: from.i32(),
    metadata: from.text(),
  };
}

function putListed(out: ByteWriter, group: ListedGroup): void {
  out.text(group.group);
  out.text(group.protocolType);
  putPhase(out, group.phase);
}

function getListed(from: ByteReader): ListedGroup {
  return { group: from.text(), protocolType: from.text(), phase: getPhase(from) };
}
