// The replicated state of one group log: for each group its last completed membership and its cursors.
// Changed by `apply` alone, from the records of a frame's batch; the frame's events add what Kafka's
// records have no field for, the log id of each cursor. Equal states give equal snapshots: groups are
// written in name order and cursors in log id order, whatever order they came in.

import type { FrameView } from '../../actors/durable/behavior.ts';
import { RecordReader } from '../../records/records.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { getList, putList } from './commands.ts';
import {
  decodeCursorValue,
  decodeMembership,
  decodeStoredKey,
  encodeMembership,
  type StoredCursor,
  type StoredMembership,
} from './stored-records.ts';

export interface StoredGroup {
  readonly name: string;
  membership: StoredMembership | undefined;
  /** By log id. */
  readonly cursors: Map<number, StoredCursor>;
  /** Log id by destination and partition: a destination made again replaces the cursor on the old log. */
  readonly logIdByPlace: Map<string, number>;
}

export interface GroupState {
  readonly groups: Map<string, StoredGroup>;
}

const SNAPSHOT_VERSION = 1;

export function emptyGroupState(): GroupState {
  return { groups: new Map() };
}

/** Events of a frame: the log ids of its cursor records, in the order of the records. */
export function encodeLogIds(logIds: readonly number[]): Uint8Array {
  const out = new ByteWriter(8 * logIds.length + 8);
  putList(out, logIds, (to, logId) => to.varU53(logId));
  return out.toBytes();
}

/** Applies the records of one frame. A frame without a batch changes nothing here. */
export function applyGroupFrame(state: GroupState, frame: FrameView): void {
  if (frame.batch === undefined) return;
  const logIds = frame.events.length === 0 ? [] : getList(new ByteReader(frame.events), varU53);
  const reader = new RecordReader();
  if (reader.open(frame.batch, 0, frame.batch.length) !== 'ok') return;
  let nextLogId = 0;
  while (reader.next()) {
    const key = decodeStoredKey(reader.key() ?? new Uint8Array(0));
    if (key === undefined) continue;
    const value = reader.value();
    if (key.kind === 'group') {
      applyMembership(state, key.group, value);
      continue;
    }
    const logId = logIds[nextLogId];
    nextLogId += 1;
    const group = groupOf(state, key.group);
    dropCursor(group, placeOf(key.destination, key.partition));
    const stored = value === null ? undefined : decodeCursorValue(value);
    if (stored !== undefined && logId !== undefined) {
      putCursor(group, {
        destination: key.destination,
        partition: key.partition,
        logId,
        ...stored,
      });
    }
    forgetIfEmpty(state, group);
  }
}

function varU53(from: ByteReader): number {
  return from.varU53();
}

function placeOf(destination: string, partition: number): string {
  return `${partition}/${destination}`;
}

function groupOf(state: GroupState, name: string): StoredGroup {
  let group = state.groups.get(name);
  if (group === undefined) {
    group = { name, membership: undefined, cursors: new Map(), logIdByPlace: new Map() };
    state.groups.set(name, group);
  }
  return group;
}

function applyMembership(state: GroupState, name: string, value: Uint8Array | null): void {
  const group = groupOf(state, name);
  group.membership = value === null ? undefined : decodeMembership(value);
  forgetIfEmpty(state, group);
}

function putCursor(group: StoredGroup, cursor: StoredCursor): void {
  group.cursors.set(cursor.logId, cursor);
  group.logIdByPlace.set(placeOf(cursor.destination, cursor.partition), cursor.logId);
}

function dropCursor(group: StoredGroup, place: string): void {
  const logId = group.logIdByPlace.get(place);
  if (logId === undefined) return;
  group.logIdByPlace.delete(place);
  group.cursors.delete(logId);
}

function forgetIfEmpty(state: GroupState, group: StoredGroup): void {
  if (group.membership === undefined && group.cursors.size === 0) state.groups.delete(group.name);
}

// ---- Snapshot ----------------------------------------------------------------------------------

export function snapshotGroupState(state: GroupState): Uint8Array {
  const out = new ByteWriter(1024);
  out.u8(SNAPSHOT_VERSION);
  const groups = [...state.groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  putList(out, groups, (to, group) => {
    to.text(group.name);
    const membership = group.membership;
    to.sized(membership === undefined ? new Uint8Array(0) : encodeMembership(membership));
    const cursors = [...group.cursors.values()].sort((a, b) => a.logId - b.logId);
    putList(to, cursors, putStoredCursor);
  });
  return out.toBytes();
}

/** Throws BytesError or RangeError for bytes that are no snapshot of ours. */
export function restoreGroupState(bytes: Uint8Array): GroupState {
  const from = new ByteReader(bytes);
  const version = from.u8();
  if (version !== SNAPSHOT_VERSION) throw new RangeError(`group snapshot version ${version}`);
  const state = emptyGroupState();
  const count = from.varU53();
  for (let i = 0; i < count; i += 1) {
    const group = groupOf(state, from.text());
    const membership = from.sized();
    if (membership.length > 0) group.membership = decodeMembership(membership);
    for (const cursor of getList(from, getStoredCursor)) putCursor(group, cursor);
  }
  return state;
}

function putStoredCursor(out: ByteWriter, cursor: StoredCursor): void {
  out.text(cursor.destination);
  out.varU53(cursor.partition);
  out.varU53(cursor.logId);
  out.varI53(cursor.offset);
  out.i32(cursor.leaderEpoch);
  out.text(cursor.metadata);
  out.varI53(cursor.commitTimeMs);
}

function getStoredCursor(from: ByteReader): StoredCursor {
  return {
    destination: from.text(),
    partition: from.varU53(),
    logId: from.varU53(),
    offset: from.varI53(),
    leaderEpoch: from.i32(),
    metadata: from.text(),
    commitTimeMs: from.varI53(),
  };
}
