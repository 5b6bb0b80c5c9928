// What two nodes say when their protocols differ, so that both can name the first protocol and op that do. Told only
// to who has proved to know the token, and only when the hashes differ. Pure.
import { array, record, u32, utf8 } from '../../codec/index.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { AnyProtocol } from '../protocol.ts';

export interface ListedOp {
  readonly name: string;
  /** Of the shapes of what is sent and answered. */
  readonly shape: number;
}

export interface ListedProtocol {
  readonly name: string;
  readonly version: number;
  readonly hash: number;
  readonly ops: readonly ListedOp[];
}

export const PROTOCOL_LIST_BYTES_MAX = 256 * 1024;

const listCodec = array(
  record({ name: utf8, version: u32, hash: u32, ops: array(record({ name: utf8, shape: u32 })) }),
);

export function listProtocols(protocols: readonly AnyProtocol[]): ListedProtocol[] {
  return protocols.map(({ name, version, hash, table }) => ({
    name,
    version,
    hash,
    ops: table.map(({ name: op, input, reply }) => ({
      name: op,
      shape: fnv1a32(`${input.shape} -> ${reply?.shape ?? ''}`),
    })),
  }));
}

export function encodeProtocolList(protocols: readonly ListedProtocol[]): Uint8Array {
  const size = listCodec.size(protocols);
  const out = new Uint8Array(size);
  listCodec.encode(protocols, out, 0);
  return out;
}

/** @throws Error for bytes that are no list. */
export function decodeProtocolList(bytes: Uint8Array): readonly ListedProtocol[] {
  return listCodec.decode(bytes, 0, bytes.length);
}

/**
 * The first difference, in the words of one side. Equal lists whose hashes differ do not exist, but for a collision
 * of shapes: then it can only be said that they differ.
 */
export function firstDifference(
  ours: readonly ListedProtocol[],
  theirs: readonly ListedProtocol[],
): string {
  const known = new Map(theirs.map((each) => [each.name, each]));
  for (const mine of byName(ours)) {
    const other = known.get(mine.name);
    if (other === undefined) return `protocol ${mine.name} is here and not there`;
    if (other.version !== mine.version) {
      return `protocol ${mine.name} has version ${mine.version} here and ${other.version} there`;
    }
    if (other.hash !== mine.hash) return `protocol ${mine.name}: ${opDifference(mine, other)}`;
    known.delete(mine.name);
  }
  for (const { name } of byName([...known.values()])) {
    return `protocol ${name} is there and not here`;
  }
  return 'the protocols differ';
}

/** Both sides name the same difference, whatever the order of their lists. */
function byName(protocols: readonly ListedProtocol[]): ListedProtocol[] {
  return [...protocols].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function opDifference(mine: ListedProtocol, other: ListedProtocol): string {
  for (let code = 0; code < Math.max(mine.ops.length, other.ops.length); code += 1) {
    const here = mine.ops[code];
    const there = other.ops[code];
    if (here === undefined) return `op ${there?.name} (${code}) is there and not here`;
    if (there === undefined) return `op ${here.name} (${code}) is here and not there`;
    if (here.name !== there.name) return `op ${code} is ${here.name} here and ${there.name} there`;
    if (here.shape !== there.shape) return `op ${here.name} (${code}) has another shape there`;
  }
  return 'its ops differ';
}
