// Message ids of the 5.x clients (apache/rocketmq-clients, docs/message_id.md): 17 bytes as 34 hex digits,
//
//   version u8 (1) | MAC 6 | process id u16 | seconds since 2021 u32 | counter u32
//
// Who sends makes the id, and a repeated send repeats it. A message that another protocol has stored has
// none; it gets one in the same form that says where it is, on every node the same:
//
//   version u8 (1) | log id u48 | 0xCB 0x00 | offset u64
import { ByteWriter, toHex } from '../../../std/bytes.ts';

const ID_BYTES = 17;
const VERSION = 1;
const STORED_MARK = 0xcb00;
const TWO_32 = 0x1_0000_0000;

/** Longer than any client makes. */
const ID_CHARS_MAX = 255;

/** Why an id is not taken, or undefined. Older clients make other forms, so only nonsense is refused. */
export function refuseMessageId(id: string): string | undefined {
  if (id === '') return 'a message has an id';
  if (id.length > ID_CHARS_MAX) return `a message id has at most ${ID_CHARS_MAX} characters`;
  return /^[\x21-\x7e]+$/.test(id) ? undefined : 'a message id is printable ASCII without spaces';
}

/** The id of a message that was stored without one. */
export function storedMessageId(logId: number, offset: number): string {
  const writer = new ByteWriter(ID_BYTES);
  writer.u8(VERSION);
  writer.u16(Math.floor(logId / TWO_32));
  writer.u32(logId);
  writer.u16(STORED_MARK);
  writer.u64(offset);
  return toHex(writer.finish()).toUpperCase();
}
