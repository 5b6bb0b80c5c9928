// What happens to a message for which its mailbox has no room, as its actor has chosen.
import type { Cell } from './cell.ts';
import type { ReplyTo } from './mailbox.ts';
import { DEFAULT_MAILBOX } from './mailbox.ts';
import type { OpEntry } from './protocol.ts';
import type { Admission } from './ref.ts';

/** The lane's limit is reached: it is full, or its next message is to be followed. Undefined: it may come in. */
export function atLimit(
  cell: Cell,
  op: OpEntry,
  input: unknown,
  reply: ReplyTo,
): Admission | undefined {
  const { lane, host } = cell;
  const isFollowed = lane.limit < lane.capacity;
  lane.limit = lane.capacity;
  if (lane.isFull) {
    const overflow = cell.actor.options.mailbox?.overflow ?? DEFAULT_MAILBOX.overflow;
    if (overflow === 'reject') return 'full';
    cell.metrics.dropped += 1;
    cell.dropped += 1;
    if (overflow === 'drop-newest') {
      cell.discard(op, input, reply, 'dropped');
      return 'accepted';
    }
    lane.take();
    host.observer.forget(cell);
    cell.discard(lane.op!, lane.input, lane.reply, 'dropped');
  }
  if (isFollowed) host.observer.stamp(cell);
  return undefined;
}
