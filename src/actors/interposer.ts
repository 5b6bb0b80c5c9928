// Where a test may put itself between actors of one thread: it shrinks mailboxes, squeezes timeouts and
// holds messages back, as other threads, other nodes and full machines would. Only strict systems ask it.
import type { Cell } from './cell.ts';
import type { HeldInput } from './held-input.ts';
import type { ReplyTo } from './mailbox.ts';
import type { OpEntry } from './protocol.ts';
import type { Admission } from './ref.ts';

export interface Interposer {
  /** How many messages the mailbox of a new actor holds; at least 1. */
  capacityOf(cell: Cell, capacity: number): number;
  /** How long an ask waits, in milliseconds. */
  timeoutOf(path: string, op: string, timeoutMs: number): number;
  /** Takes a message over, to post it later; undefined lets it pass. */
  post(cell: Cell, op: OpEntry, input: HeldInput, reply: ReplyTo): Admission | undefined;
}
