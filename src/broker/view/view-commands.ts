// What a group asks of its view of a stream's log: a command of the lease engine, and which group asks.
//
//   u8 1 | varint size, group in UTF-8 | u8 start | the command (commands.ts)
import { ByteReader, BytesError, ByteWriter, decodeUtf8 } from '../../std/bytes.ts';
import { encodeQueueCommand, type QueueCommand } from './commands.ts';

const OF_A_VIEW = 1;
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
