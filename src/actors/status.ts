// The words in which a thread shows what it is doing: in shared memory, so that the parent can tell a
// working thread from a spinning one, and name the message at which a thread died. Written without
// atomics, but for the heartbeat: a torn picture costs a log line, not correctness.

export const STATUS_WORDS = 8;
/** The heartbeat: beats once a turn. */
export const STATUS_TURNS = 0;
/** Slot of the actor whose message is being handled. */
export const STATUS_SLOT = 1;
/** Opcode + 1 while a handler runs, else 0. */
export const STATUS_OP = 2;
/** Hash of the actor's protocol. */
export const STATUS_PROTOCOL = 3;
/** Messages begun, modulo 2^32: a turn of slow handlers is long and no standstill. */
export const STATUS_MESSAGES = 5;
/** Opcode of the message handled last, kept when the handler has returned: read by stepped tests. */
export const STATUS_HANDLED = 4;

/** A message is about to be handled. */
export function showHandling(
  status: Int32Array,
  slot: number,
  code: number,
  protocolHash: number,
): void {
  status[STATUS_SLOT] = slot;
  status[STATUS_OP] = code + 1;
  status[STATUS_HANDLED] = code;
  status[STATUS_PROTOCOL] = protocolHash;
  status[STATUS_MESSAGES]! += 1;
}
