// What becomes of messages that are out: acknowledged, returned, kept longer, or come back by themselves
// because a lease ran out. A lease is named by offset, number and epoch; the holder alone may return it,
// but whoever had a message may acknowledge it as long as nobody else holds it.
import type { SettledAnswer } from './answers.ts';
import type { AcknowledgeCommand, ExtendCommand, ReturnCommand } from './commands.ts';
import { dispatch } from './dispatch.ts';
import { Runs } from './runs.ts';
import type { QueueTurn } from './turn.ts';

const NONE = -1;

/** Rows that were refused and messages that were settled. */
interface Tally {
  count: number;
  readonly refused: number[];
}

function settled({ count, refused }: Tally): SettledAnswer {
  return { kind: 'settled', outcome: 'ok', count, refused };
}

export function acknowledge(turn: QueueTurn, token: number, command: AcknowledgeCommand): void {
  const tally = settleAll(turn, command);
  turn.reply(token, settled(tally), command.level);
}

export function giveBack(turn: QueueTurn, token: number, command: ReturnCommand): void {
  const { level, isRequeued, counts } = command;
  if (!isRequeued) {
    const tally = settleAll(turn, command);
    turn.reply(token, settled(tally), level);
    return;
  }
  const tally = eachLease(turn, command, (lease) => turn.putBack(lease, counts));
  turn.reply(token, settled(tally), level);
  dispatch(turn);
}

export function extend(turn: QueueTurn, token: number, command: ExtendCommand): void {
  const { leaseMs } = command;
  const tally = eachLease(turn, command, (lease) => {
    if (leaseMs === 0) turn.putBack(lease, true);
    else {
      turn.local.leases.setDue(lease, turn.nowMs + leaseMs);
      if (turn.config.faults?.giveTwice === true) {
        turn.local.ready.putBack(turn.local.leases.offset[lease]!);
      }
    }
  });
  turn.reply(token, settled(tally));
  if (leaseMs === 0) dispatch(turn);
}

/** Leases that have run out by now: the messages are ready again, and it counts. */
export function expireLeases(turn: QueueTurn): void {
  const { leases } = turn.local;
  for (let count = 0; count < turn.config.expiredPerTickMax; count += 1) {
    const lease = leases.takeExpired(turn.nowMs);
    if (lease === NONE) break;
    const consumer = turn.local.consumers.slots[leases.holder[lease]!];
    turn.putBack(lease, true);
    if (consumer !== undefined) forgetIfDone(turn, consumer.slot);
  }
}

export function purge(turn: QueueTurn, token: number): void {
  const { local, position, config, state } = turn;
  const count = turn.readyCount;
  const except = new Runs();
  if (config.faults?.purgeLeased !== true) {
    for (const offset of local.leases.sortedOffsets(position.endOffset)) except.add(offset, 1, 0);
  }
  local.ready.returned.clear();
  if (position.endOffset > state.floor) turn.purge(position.endOffset, except);
  turn.count(token, 'ok', count, 'committed');
}

/** A consumer that was detached is forgotten with the last message that it held. */
function forgetIfDone({ local }: QueueTurn, slot: number): void {
  const consumer = local.consumers.slots[slot];
  if (consumer?.isDetached !== true || local.leases.heldBy(slot) > 0) return;
  local.consumers.remove(consumer);
}

interface Held {
  readonly epoch: number;
  readonly runs: Runs;
}

/** Acknowledges what the command names, as far as nobody else holds it. */
function settleAll(turn: QueueTurn, { epoch, runs }: Held): Tally {
  const isOurs = epoch === turn.position.epoch;
  const tally: Tally = { count: 0, refused: [] };
  for (let row = 0; row < runs.size; row += 1) {
    const offset = runs.offset[row]!;
    const count = runs.count[row]!;
    const number = isOurs ? runs.number[row]! : NONE;
    let settled = 0;
    for (let i = 0; i < count; i += 1) {
      if (settleOne(turn, offset + i, number === NONE ? NONE : number + i)) settled += 1;
    }
    tally.count += settled;
    if (settled < count) tally.refused.push(row);
  }
  return tally;
}

/** `number` -1: of an epoch that is over. */
function settleOne(turn: QueueTurn, offset: number, number: number): boolean {
  const { local, state, config, position } = turn;
  const { leases } = local;
  const lease = leases.of(offset);
  if (lease !== NONE) {
    const isHolder = leases.number[lease] === number || config.faults?.ackIgnoresHolder === true;
    if (!isHolder) return false;
    const holder = leases.holder[lease]!;
    leases.remove(lease);
    turn.acknowledge(offset, 1);
    if (leases.heldBy(holder) === 0) forgetIfDone(turn, holder);
    return true;
  }
  // Late, and nobody else has it. What was never out cannot be acknowledged.
  if (offset >= Math.min(state.reservation, position.committedOffset)) return false;
  if (state.isAcknowledged(offset)) return true;
  local.ready.drop(offset);
  turn.acknowledge(offset, 1);
  return true;
}

/** Calls `act` for every lease that the command names rightly. */
function eachLease(turn: QueueTurn, { epoch, runs }: Held, act: (lease: number) => void): Tally {
  const { leases } = turn.local;
  const isOurs = epoch === turn.position.epoch;
  const tally: Tally = { count: 0, refused: [] };
  for (let row = 0; row < runs.size; row += 1) {
    let done = 0;
    for (let i = 0; isOurs && i < runs.count[row]!; i += 1) {
      const lease = leases.of(runs.offset[row]! + i);
      if (lease === NONE || leases.number[lease] !== runs.number[row]! + i) continue;
      const holder = leases.holder[lease]!;
      act(lease);
      done += 1;
      if (leases.heldBy(holder) === 0) forgetIfDone(turn, holder);
    }
    tally.count += done;
    if (done < runs.count[row]!) tally.refused.push(row);
  }
  return tally;
}
