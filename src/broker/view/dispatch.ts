// Who gets which message: higher priorities first, in turns among equals, never more than was asked for,
// and nothing that could still be lost or that a later leader would take for new.
import type { Consumer } from './consumers.ts';
import type { QueueTurn } from './turn.ts';

/** With a backlog a consumer gets some neighbours in its turn, which spares everybody reads and bytes. */
const TURN_MESSAGES = 16;
/** So much is a backlog, for each consumer that waits. */
const BACKLOG_PER_CONSUMER = 64;

/**
 * Gives out what can be given now. Not in a decision that settles messages which nobody held, or drops some: the
 * state does not know of that yet. What it leaves goes out when the frame is committed.
 */
export function dispatch(turn: QueueTurn): void {
  const { local, state } = turn;
  const { waiting, ready, leases, dropped } = local;
  if (dropped.size > 0) return;
  const limit = turn.deliverableBelow;
  const served: Consumer[] = [];
  for (let consumer = waiting.next(); consumer !== undefined; consumer = waiting.next()) {
    const room = roomOf(turn, consumer);
    if (room <= 0) {
      turn.answer(consumer, consumer.runs === undefined ? 'too-many-leases' : 'ok');
      continue;
    }
    if (!ready.take(state, leases, Math.min(room, quantum(turn, consumer, limit)), limit)) break;
    if (consumer.runs === undefined) {
      consumer.runs = local.takeRuns();
      served.push(consumer);
    }
    give(turn, consumer);
    consumer.credit -= ready.count;
    const isFull = consumer.runs.total >= turn.config.answerMessagesMax;
    if (consumer.credit <= 0 || isFull) turn.answer(consumer);
    else waiting.rotate(consumer);
  }
  for (const consumer of served) if (consumer.runs !== undefined) turn.answer(consumer);
}

function roomOf({ config, local }: QueueTurn, consumer: Consumer): number {
  if (config.faults?.ignoreCredit === true) return config.answerMessagesMax;
  const room = Math.min(consumer.credit, config.answerMessagesMax - (consumer.runs?.total ?? 0));
  if (consumer.options.isAutoAcknowledging) return room;
  const { leases } = local;
  const own = config.consumerLeasesMax - leases.heldBy(consumer.slot);
  return Math.min(room, own, config.leasesMax - leases.count);
}

function quantum({ local }: QueueTurn, consumer: Consumer, limit: number): number {
  const others = local.waiting.countOf(consumer.options.priority);
  if (others === 1) return Number.POSITIVE_INFINITY;
  const backlog = limit - local.ready.cursor + local.ready.returned.count;
  return backlog > BACKLOG_PER_CONSUMER * others ? TURN_MESSAGES : 1;
}

/** The run that was taken last goes to the consumer. */
function give(turn: QueueTurn, consumer: Consumer): void {
  const { state, local, config } = turn;
  const { offset, count, cameBack } = local.ready;
  const isMarked = cameBack && config.faults?.forgetReturned !== true;
  const end = offset + count;
  const known = isMarked ? end : Math.min(end, Math.max(offset, local.redeliveredBelow));
  const hasReturns = state.returns.size > 0 || local.cameBackNow.size > 0;
  for (let at = offset; at < end; ) {
    const redelivered = at < known ? 1 : 0;
    const stop = hasReturns ? at + 1 : redelivered === 1 ? known : end;
    const returns = hasReturns ? turn.returnsOf(at) : 0;
    giveRun(turn, consumer, at, stop - at, returns, redelivered);
    at = stop;
  }
}

function giveRun(
  turn: QueueTurn,
  consumer: Consumer,
  offset: number,
  count: number,
  returns: number,
  redelivered: number,
): void {
  const { local } = turn;
  const { leases } = local;
  const runs = consumer.runs!;
  if (consumer.options.isAutoAcknowledging) {
    runs.add(offset, count, 0, returns, redelivered);
    turn.acknowledge(offset, count);
    return;
  }
  runs.add(offset, count, local.nextNumber, returns, redelivered);
  const dueMs = consumer.leaseMs > 0 ? turn.nowMs + consumer.leaseMs : 0;
  for (let i = 0; i < count; i += 1) {
    const lease = leases.add(offset + i, local.nextNumber, consumer.slot, dueMs);
    leases.returns[lease] = returns;
    leases.redelivered[lease] = redelivered;
    local.nextNumber += 1;
  }
}
