// Message ids of the 5.x clients (apache/rocketmq-clients, docs/message_id.md): 17 bytes as 34 hex digits,
//
//   version u8 (1) | MAC 6 | process id u16 | seconds since 2021 u32 | counter u32
//
// Who sends makes the id, and a repeated send repeats it. A message that another protocol has stored has none, and gets
// one of where it is (records/stored-id.ts).

/** Longer than any client makes. */
const ID_CHARS_MAX = 255;

/** Why an id is not taken, or undefined. Older clients make other forms, so only nonsense is refused. */
export function refuseMessageId(id: string): string | undefined {
  if (id === '') return 'a message has an id';
  if (id.length > ID_CHARS_MAX) return `a message id has at most ${ID_CHARS_MAX} characters`;
  return /^[\x21-\x7e]+$/.test(id) ? undefined : 'a message id is printable ASCII without spaces';
}
