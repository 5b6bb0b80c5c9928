// Field codecs that commands and snapshots share. Lists are a varint count and the items; a count is
// believed only as far as there are bytes for it.
import { type ByteReader, BytesError, type ByteWriter } from '../../std/bytes.ts';
import {
  type ActorKind,
  type Endpoint,
  type LogKind,
  type LogMode,
  NODE_ROLES,
  type NodeRole,
  type SafeMember,
} from './types.ts';

const LOG_KINDS = ['partition', 'group', 'queue', 'actor'] as const satisfies readonly LogKind[];
const MODES = ['all', 'quorum', 'auto'] as const;

export function writeList<T>(
  out: ByteWriter,
  items: readonly T[],
  write: (out: ByteWriter, item: T) => void,
): void {
  out.varU53(items.length);
  for (const item of items) write(out, item);
}

export function readList<T>(input: ByteReader, read: (input: ByteReader) => T): T[] {
  const count = input.varU53();
  if (count > input.remaining) {
    throw new BytesError('BYTES_TRUNCATED', 'a list is longer than its bytes', { count });
  }
  const items: T[] = [];
  for (let i = 0; i < count; i += 1) items.push(read(input));
  return items;
}

/** Node ids, log ids, incarnations: any list of integers. */
export function writeNodeIds(out: ByteWriter, ids: readonly number[]): void {
  writeList(out, ids, (to, id) => to.varI53(id));
}

export function readNodeIds(input: ByteReader): number[] {
  return readList(input, (from) => from.varI53());
}

export function writeOptionalText(out: ByteWriter, text: string | undefined): void {
  out.u8(text === undefined ? 0 : 1);
  if (text !== undefined) out.text(text);
}

export function readOptionalText(input: ByteReader): string | undefined {
  return input.u8() === 0 ? undefined : input.text();
}

export function writePairs(out: ByteWriter, pairs: readonly (readonly [string, string])[]): void {
  writeList(out, pairs, (to, [key, value]) => {
    to.text(key);
    to.text(value);
  });
}

export function readPairs(input: ByteReader): (readonly [string, string])[] {
  return readList(input, (from) => [from.text(), from.text()] as const);
}

export function writeEndpoints(out: ByteWriter, endpoints: readonly Endpoint[]): void {
  writeList(out, endpoints, (to, endpoint) => {
    to.text(endpoint.listener);
    to.text(endpoint.host);
    to.u16(endpoint.port);
  });
}

export function readEndpoints(input: ByteReader): Endpoint[] {
  return readList(input, (from) => {
    const listener = from.text();
    const host = from.text();
    return { listener, host, port: from.u16() };
  });
}

export function writeKind(out: ByteWriter, kind: ActorKind): void {
  out.text(kind.name);
  out.varU53(kind.version);
  out.u32(kind.hash);
}

export function readKind(input: ByteReader): ActorKind {
  const name = input.text();
  const version = input.varU53();
  return { name, version, hash: input.u32() };
}

export function writeSafeSet(out: ByteWriter, safeSet: readonly SafeMember[]): void {
  writeList(out, safeSet, (to, member) => {
    to.varI53(member.node);
    to.varU53(member.incarnation);
  });
}

export function readSafeSet(input: ByteReader): SafeMember[] {
  return readList(input, (from) => {
    const node = from.varI53();
    return { node, incarnation: from.varU53() };
  });
}

function pick<T>(names: readonly T[], code: number, what: string): T {
  const name = names[code];
  if (name === undefined) throw new BytesError('BYTES_TRUNCATED', `unknown ${what}`, { code });
  return name;
}

export function writeRole(out: ByteWriter, role: NodeRole): void {
  out.u8(NODE_ROLES.indexOf(role));
}

export function readRole(input: ByteReader): NodeRole {
  return pick(NODE_ROLES, input.u8(), 'role');
}

export function writeLogKind(out: ByteWriter, kind: LogKind): void {
  out.u8(LOG_KINDS.indexOf(kind));
}

export function readLogKind(input: ByteReader): LogKind {
  return pick(LOG_KINDS, input.u8(), 'log kind');
}

export function writeMode(out: ByteWriter, mode: LogMode | 'auto'): void {
  out.u8(MODES.indexOf(mode));
}

export function readMode(input: ByteReader): LogMode | 'auto' {
  return pick(MODES, input.u8(), 'log mode');
}
