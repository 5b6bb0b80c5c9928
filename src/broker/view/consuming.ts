// Consumers come, ask and go. A receive that cannot be answered waits; a consumer whose answer got lost on
// the way gets the same messages again; whoever is given up gives back at once what was lent until it settles.
// What was lent for a time belongs to whoever shows its lease, by whatever node, and comes back in that time.
import type { QueueOutcome } from './answers.ts';
import type {
  AttachCommand,
  DetachCommand,
  ReceiveCommand,
  ReleaseOwnerCommand,
} from './commands.ts';
import type { Consumer, Owner } from './consumers.ts';
import { dispatch } from './dispatch.ts';
import type { QueueTurn } from './turn.ts';

const NONE = -1;

export function attach(turn: QueueTurn, token: number, command: AttachCommand): void {
  const { consumers, waiting } = turn.local;
  const { owner, consumerId } = command;
  const { epoch } = turn.position;
  const refusal = refuseAttach(turn, command);
  if (refusal !== undefined) {
    turn.reply(token, { kind: 'attached', outcome: refusal, epoch, seen: 0 });
    return;
  }
  const { isAutoAcknowledging, isExclusive, isPassive, priority } = command;
  const options = { isAutoAcknowledging, isExclusive, isPassive, priority };
  consumers.add(consumerId, owner, options);
  waiting.attach(priority);
  const seen = turn.local.nextNumber - 1;
  turn.reply(token, { kind: 'attached', outcome: 'ok', epoch, seen });
  dispatch(turn);
}

/** Whatever the consumer has held, or its node in an earlier life and not for a time, comes back before. */
function refuseAttach(turn: QueueTurn, command: AttachCommand): QueueOutcome | undefined {
  const { consumers } = turn.local;
  const { owner, consumerId } = command;
  if (consumers.isGone(owner)) return 'stale-owner';
  for (const old of consumers.earlier(owner)) release(turn, old);
  const known = consumers.find(owner, consumerId);
  if (known !== undefined) takeAll(turn, known);
  if (consumers.isRefused(command)) return 'exclusive';
  return consumers.total >= turn.config.consumersMax ? 'too-many-consumers' : undefined;
}

export function detach(turn: QueueTurn, token: number, command: DetachCommand): void {
  const { consumers } = turn.local;
  const consumer = consumers.find(command.owner, command.consumerId);
  if (consumer === undefined || (consumer.isDetached && command.keepsMessages)) {
    turn.count(token, 'unknown-consumer');
    return;
  }
  leave(turn, consumer);
  const count = putAllBack(turn, consumer, command.keepsMessages ? command.seen : 0);
  if (turn.local.leases.heldBy(consumer.slot) === 0) consumers.remove(consumer);
  turn.count(token, 'ok', count);
  dispatch(turn);
}

export function releaseOwner(turn: QueueTurn, token: number, command: ReleaseOwnerCommand): void {
  turn.count(token, 'ok', giveUp(turn, command.owner));
  dispatch(turn);
}

/** Answers how many messages came back. */
export function giveUp(turn: QueueTurn, owner: Owner): number {
  let count = 0;
  for (const consumer of turn.local.consumers.giveUp(owner)) count += release(turn, consumer);
  return count;
}

export function receive(turn: QueueTurn, token: number, command: ReceiveCommand): void {
  const { consumers, waiting, waits, immediate } = turn.local;
  const consumer = consumers.find(command.owner, command.consumerId);
  if (consumer === undefined || consumer.isDetached) {
    refuse(turn, token);
    return;
  }
  turn.answer(consumer, 'replaced');
  waiting.setExpected(consumer, false);
  waits.delete(consumer.slot);
  consumer.token = token;
  consumer.credit = command.credit;
  consumer.leaseMs = command.leaseMs;
  consumer.isImmediate = command.waitMs === 0;
  waiting.push(consumer);
  if (giveUnseen(turn, consumer, command.seen)) return;
  if (command.credit === 0) {
    turn.answer(consumer);
    return;
  }
  dispatch(turn);
  if (consumer.token !== token) return;
  const { settleMs } = turn.config;
  waits.set(consumer.slot, turn.nowMs + (consumer.isImmediate ? settleMs : command.waitMs));
  if (consumer.isImmediate) immediate.add(consumer);
}

/** Receives that have waited long enough, and preferred consumers that did not ask again. */
export function expireWaits(turn: QueueTurn): void {
  const { waits, consumers, waiting } = turn.local;
  for (let slot = waits.take(turn.nowMs); slot !== NONE; slot = waits.take(turn.nowMs)) {
    const consumer = consumers.slots[slot];
    if (consumer === undefined) continue;
    if (consumer.isWaiting) turn.answer(consumer);
    else waiting.setExpected(consumer, false);
  }
}

function refuse(turn: QueueTurn, token: number): void {
  const runs = turn.local.takeRuns();
  const { epoch } = turn.position;
  const ready = turn.readyCount;
  turn.reply(token, { kind: 'deliveries', outcome: 'unknown-consumer', epoch, ready, runs });
  turn.local.giveBackRuns(runs);
}

/**
 * Answers with leases that the consumer has not heard of: the answer that had them got lost. Those beyond
 * its credit are ready again. False if there are none.
 */
function giveUnseen(turn: QueueTurn, consumer: Consumer, seen: number): boolean {
  const { leases } = turn.local;
  let lease = leases.newestOf(consumer.slot);
  if (lease === NONE || leases.number[lease]! <= seen) return false;
  if (turn.config.faults?.forgetUnseen === true) return false;
  const unseen: number[] = [];
  for (; lease !== NONE && leases.number[lease]! > seen; lease = leases.before(lease)) {
    unseen.push(lease);
  }
  unseen.reverse();
  const runs = turn.local.takeRuns();
  consumer.runs = runs;
  for (const each of unseen) {
    if (consumer.credit === 0) {
      turn.putBack(each, false);
      continue;
    }
    consumer.credit -= 1;
    const { offset, number, returns, redelivered } = leases;
    runs.add(offset[each]!, 1, number[each]!, returns[each]!, redelivered[each]!);
  }
  turn.answer(consumer);
  dispatch(turn);
  return true;
}

/** It consumes no more; its receive is answered. What it holds stays leased. */
function leave(turn: QueueTurn, consumer: Consumer): void {
  const { consumers, waiting, waits } = turn.local;
  if (consumer.isDetached) return;
  turn.answer(consumer, 'detached');
  waiting.setExpected(consumer, false);
  waits.delete(consumer.slot);
  waiting.detach(consumer.options.priority);
  consumers.detach(consumer);
}

/** It is gone with everything that it holds. */
function takeAll(turn: QueueTurn, consumer: Consumer): void {
  leave(turn, consumer);
  putAllBack(turn, consumer);
  turn.local.consumers.remove(consumer);
}

/** Its node is gone. Answers how many messages came back; it is forgotten with the last that it holds for a time. */
function release(turn: QueueTurn, consumer: Consumer): number {
  const { leases, consumers } = turn.local;
  leave(turn, consumer);
  const isLentForTime = (lease: number) => leases.isTimed(lease);
  const count = putAllBack(turn, consumer, 0, isLentForTime);
  if (leases.heldBy(consumer.slot) === 0) consumers.remove(consumer);
  return count;
}

/** Leases with numbers above `above`, newest first, but for those that stay. */
function putAllBack(
  turn: QueueTurn,
  consumer: Consumer,
  above = 0,
  stays: (lease: number) => boolean = () => false,
): number {
  const { leases } = turn.local;
  if (turn.config.faults?.keepDeadLeases === true) return 0;
  let count = 0;
  let lease = leases.newestOf(consumer.slot);
  while (lease !== NONE && leases.number[lease]! > above) {
    const next = leases.before(lease);
    if (!stays(lease)) {
      turn.putBack(lease, false);
      count += 1;
    }
    lease = next;
  }
  return count;
}
