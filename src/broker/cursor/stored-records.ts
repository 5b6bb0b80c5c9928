// The keys and values of the records that a group log holds, byte for byte as Kafka's offsets topic has
// them, so that tools which read that topic read ours. Sources: OffsetCommitKey (versions 0-1, we write
// 1), OffsetCommitValue (0-4, we write 3), GroupMetadataKey (2), GroupMetadataValue (0-4, we write 3)
// in Kafka's group-coordinator message schemas. A record of another kind is left alone when read.
import { ByteReader, BytesError, ByteWriter } from '../../std/bytes.ts';

export interface StoredCursor {
  readonly destination: string;
  readonly partition: number;
  readonly logId: number;
  readonly offset: number;
  /** -1 when the committer named none. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimeMs: number;
}

export interface StoredMember {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly subscription: Uint8Array;
  readonly assignment: Uint8Array;
}

/** A group as its last completed rebalance left it. */
export interface StoredMembership {
  readonly protocolType: string;
  readonly generation: number;
  readonly protocol: string | undefined;
  readonly leader: string | undefined;
  /** When the group came into this state, log time. */
  readonly sinceMs: number;
  readonly members: readonly StoredMember[];
}

export type StoredKey =
  | {
      readonly kind: 'cursor';
      readonly group: string;
      readonly destination: string;
      readonly partition: number;
    }
  | { readonly kind: 'group'; readonly group: string };

const CURSOR_KEY_VERSION = 1;
const GROUP_KEY_VERSION = 2;
const VALUE_VERSION = 3;
/** Sizes are signed 16 bits in these schemas. */
export const STORED_TEXT_BYTES_MAX = 0x7fff;

export function encodeCursorKey(group: string, destination: string, partition: number): Uint8Array {
  const out = new ByteWriter(group.length + destination.length + 16);
  out.i16(CURSOR_KEY_VERSION);
  putText(out, group);
  putText(out, destination);
  out.i32(partition);
  return out.toBytes();
}

export function encodeGroupKey(group: string): Uint8Array {
  const out = new ByteWriter(group.length + 8);
  out.i16(GROUP_KEY_VERSION);
  putText(out, group);
  return out.toBytes();
}

/** undefined for a key of a kind or version that is not ours. */
export function decodeStoredKey(key: Uint8Array): StoredKey | undefined {
  return attempt(() => {
    const from = new ByteReader(key);
    const version = from.i16();
    if (version === GROUP_KEY_VERSION) return { kind: 'group', group: getText(from) };
    if (version !== 0 && version !== CURSOR_KEY_VERSION) return undefined;
    const group = getText(from);
    return { kind: 'cursor', group, destination: getText(from), partition: from.i32() };
  });
}

export function encodeCursorValue(cursor: Omit<StoredCursor, 'logId'>): Uint8Array {
  const out = new ByteWriter(cursor.metadata.length + 32);
  out.i16(VALUE_VERSION);
  out.i64(cursor.offset);
  out.i32(cursor.leaderEpoch);
  putText(out, cursor.metadata);
  out.i64(cursor.commitTimeMs);
  return out.toBytes();
}

export function decodeCursorValue(
  value: Uint8Array,
): Pick<StoredCursor, 'offset' | 'leaderEpoch' | 'metadata' | 'commitTimeMs'> | undefined {
  return attempt(() => {
    const from = new ByteReader(value);
    if (from.i16() !== VALUE_VERSION) return undefined;
    return {
      offset: from.i64(),
      leaderEpoch: from.i32(),
      metadata: getText(from),
      commitTimeMs: from.i64(),
    };
  });
}

export function encodeMembership(membership: StoredMembership): Uint8Array {
  const out = new ByteWriter(512);
  out.i16(VALUE_VERSION);
  putText(out, membership.protocolType);
  out.i32(membership.generation);
  putNullable(out, membership.protocol);
  putNullable(out, membership.leader);
  out.i64(membership.sinceMs);
  out.i32(membership.members.length);
  for (const member of membership.members) {
    putText(out, member.memberId);
    putNullable(out, member.instanceId);
    putText(out, member.clientId);
    putText(out, member.clientHost);
    out.i32(member.rebalanceTimeoutMs);
    out.i32(member.sessionTimeoutMs);
    putBytes(out, member.subscription);
    putBytes(out, member.assignment);
  }
  return out.toBytes();
}

/** The bytes of members are copies: what is decoded may be kept. */
export function decodeMembership(value: Uint8Array): StoredMembership | undefined {
  return attempt(() => {
    const from = new ByteReader(value);
    if (from.i16() !== VALUE_VERSION) return undefined;
    const head = {
      protocolType: getText(from),
      generation: from.i32(),
      protocol: getNullable(from),
      leader: getNullable(from),
      sinceMs: from.i64(),
    };
    const count = from.i32();
    const members: StoredMember[] = [];
    for (let i = 0; i < count; i += 1) members.push(getMember(from));
    return { ...head, members };
  });
}

function getMember(from: ByteReader): StoredMember {
  return {
    memberId: getText(from),
    instanceId: getNullable(from),
    clientId: getText(from),
    clientHost: getText(from),
    rebalanceTimeoutMs: from.i32(),
    sessionTimeoutMs: from.i32(),
    subscription: from.copy(from.i32()),
    assignment: from.copy(from.i32()),
  };
}

/** Bytes that cannot be read give undefined: applying a logged frame must never throw. */
function attempt<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}

function putText(out: ByteWriter, text: string): void {
  const at = out.reserve(2);
  const size = out.utf8(text);
  out.bytes[at] = size >>> 8;
  out.bytes[at + 1] = size & 0xff;
}

function getText(from: ByteReader): string {
  return from.utf8(from.i16());
}

function putNullable(out: ByteWriter, text: string | undefined): void {
  if (text === undefined) out.i16(-1);
  else putText(out, text);
}

function getNullable(from: ByteReader): string | undefined {
  const size = from.i16();
  return size < 0 ? undefined : from.utf8(size);
}

function putBytes(out: ByteWriter, bytes: Uint8Array): void {
  out.i32(bytes.length);
  out.raw(bytes);
}
