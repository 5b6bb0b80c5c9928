// Ids of messages that were stored without one. RocketMQ's clients identify a message by its id; one that another
// protocol has stored gets an id in the form of theirs that says where it is, on every node the same:
//
//   version u8 (1) | log id u48 | 0xCB 0x00 | offset u64      as 34 hex digits
import { ByteWriter, toHex } from '../std/bytes.ts';

const ID_BYTES = 17;
const VERSION = 1;
const STORED_MARK = 0xcb00;
const TWO_32 = 0x1_0000_0000;
const PATTERN = /^01([0-9A-F]{12})CB00([0-9A-F]{16})$/;

/** Where a record has its own id, if it has one: docs/reference/mapping.md. */
export const OWN_ID_HEADER = 'UNIQ_KEY';

export function storedMessageId(logId: number, offset: number): string {
  const writer = new ByteWriter(ID_BYTES);
  writer.u8(VERSION);
  writer.u16(Math.floor(logId / TWO_32));
  writer.u32(logId);
  writer.u16(STORED_MARK);
  writer.u64(offset);
  return toHex(writer.finish()).toUpperCase();
}

/** Where the message with that id would be; undefined: it is no id of this form. */
export function placeOfStoredId(
  id: string,
): { readonly logId: number; readonly offset: number } | undefined {
  const match = PATTERN.exec(id);
  if (match === null) return undefined;
  const offset = Number.parseInt(match[2]!, 16);
  if (!Number.isSafeInteger(offset)) return undefined;
  return { logId: Number.parseInt(match[1]!, 16), offset };
}
