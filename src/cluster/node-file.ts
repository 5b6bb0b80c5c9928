// `node.json`: whose folder this is, as a node remembers it (assembly/identity.ts says what of it counts). One JSON
// object; members that are not known stay in it.
import { decodeUtf8 } from '../std/bytes.ts';
import type { NodeRole } from './metadata/types.ts';

export const NODE_FILE = 'node.json';
export const NODE_FILE_FORMAT = 1;
/** The incarnation of nodes that found a cluster: known to all of them without asking. */
export const FOUNDING_INCARNATION = 1;

export interface NodeFile {
  readonly format: number;
  readonly clusterId: string;
  readonly nodeId: number;
  readonly incarnation: number;
  readonly dataIncarnation?: number;
  readonly bootCounter: number;
  readonly toldBoot?: number;
  readonly toldAs?: number;
  readonly isClean: boolean;
  readonly osBootId: string;
  /** Of a node that is no disk node. */
  readonly role?: NodeRole;
}

export type NodeFileRead =
  | { readonly kind: 'ok'; readonly file: NodeFile }
  /** No JSON object: `cause` says why. */
  | { readonly kind: 'unreadable'; readonly cause: unknown }
  | { readonly kind: 'newer'; readonly because: string };

export function decodeNodeFile(bytes: Uint8Array): NodeFileRead {
  let found: unknown;
  try {
    found = JSON.parse(decodeUtf8(bytes));
  } catch (cause) {
    return { kind: 'unreadable', cause };
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found)) {
    return { kind: 'unreadable', cause: new RangeError('it is no JSON object') };
  }
  const { format } = found as { readonly format?: unknown };
  if (format === NODE_FILE_FORMAT) return { kind: 'ok', file: found as NodeFile };
  const because = `was written by a newer version: its format is ${String(format)}, this build reads ${NODE_FILE_FORMAT}`;
  return { kind: 'newer', because };
}
