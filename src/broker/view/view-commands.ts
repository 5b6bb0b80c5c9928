// What a group asks of its view of a stream's log: a command of the lease engine, and which group asks. And what
// is said to all views of a log: who is gone.
//
//   u8 1 | varint size, group in UTF-8 | u8 start | the command (commands.ts)
//   u8 2 | for each owner that is gone: node varint, incarnation varint
import { ByteReader, BytesError, ByteWriter, decodeUtf8 } from '../../std/bytes.ts';
import { encodeQueueCommand, type QueueCommand } from './commands.ts';
import type { Owner } from './consumers.ts';

const OF_A_VIEW = 1;
const OF_ALL_VIEWS = 2;
const GROUP_BYTES_MAX = 255;

/** Where a group that is new to a log starts: with the oldest message, or with what comes from now on. */
export type ViewStart = 'begin' | 'end';
const STARTS: readonly ViewStart[] = ['begin', 'end'];

export interface ViewCommand {
  readonly group: string;
  readonly start: ViewStart;
  /** Of the engine, encoded. A view of the bytes that were decoded. */
  readonly body: Uint8Array;
}

/** `start` counts when the group attaches to the log for the first time, and never again. */
export function encodeViewCommand(
  group: string,
  start: ViewStart,
  command: QueueCommand,
): Uint8Array {
  const out = new ByteWriter(96);
  out.u8(OF_A_VIEW);
  out.text(group);
  out.u8(STARTS.indexOf(start));
  out.raw(encodeQueueCommand(command));
  return out.toBytes();
}

/** Undefined for bytes that are no command of a view. */
export function decodeViewCommand(body: Uint8Array): ViewCommand | undefined {
  try {
    return read(new ByteReader(body));
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}

function read(from: ByteReader): ViewCommand | undefined {
  if (from.u8() !== OF_A_VIEW) return undefined;
  const name = from.sized();
  if (name.length < 1 || name.length > GROUP_BYTES_MAX) return undefined;
  const group = decodeUtf8(name);
  const start = STARTS[from.u8()];
  return start && { group, start, body: from.view(from.remaining) };
}

export function encodeOwnersGone(owners: readonly Owner[]): Uint8Array {
  const out = new ByteWriter(64);
  out.u8(OF_ALL_VIEWS);
  for (const { node, incarnation } of owners) {
    out.varU53(node);
    out.varU53(incarnation);
  }
  return out.toBytes();
}

/** Undefined for other bytes. */
export function decodeOwnersGone(body: Uint8Array): readonly Owner[] | undefined {
  if (body[0] !== OF_ALL_VIEWS) return undefined;
  const from = new ByteReader(body, 1);
  const owners: Owner[] = [];
  try {
    while (from.remaining > 0) owners.push({ node: from.varU53(), incarnation: from.varU53() });
  } catch (error) {
    if (error instanceof BytesError || error instanceof RangeError) return undefined;
    throw error;
  }
  return owners;
}
