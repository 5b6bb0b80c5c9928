// The decisions of one view: what becomes of a command, and of time and commits that go by. Whoever hosts the
// view writes its events into frames: a queue has a log to itself (behavior.ts), groups share the log of a
// stream (views.ts).
import type {
  Decision,
  DurableCommand,
  DurableReply,
  LogPosition,
} from '../../actors/durable/behavior.ts';
import { BytesError } from '../../std/bytes.ts';
import { encodeQueueAnswer } from './answers.ts';
import { type CheckCommand, decodeQueueCommand, type QueueCommand } from './commands.ts';
import type { QueueConfig } from './config.ts';
import type { Owner } from './consumers.ts';
import { attach, detach, expireWaits, giveUp, receive, releaseOwner } from './consuming.ts';
import { dispatch } from './dispatch.ts';
import type { QueueLocal } from './local.ts';
import { publish } from './publish.ts';
import type { QueueState } from './queue-state.ts';
import { Runs } from './runs.ts';
import { acknowledge, expireLeases, extend, giveBack, purge } from './settling.ts';
import { QueueTurn } from './turn.ts';

/** What a command does to a view. The view's events and replies; what is lent is so until the next call. */
export function decideOnView(
  config: QueueConfig,
  state: QueueState,
  local: QueueLocal,
  command: DurableCommand,
  position: LogPosition,
): Decision {
  const turn = new QueueTurn(config, state, local, position);
  const decoded = decode(command.body, local.input, config.commandMessagesMax);
  if (decoded === undefined) turn.count(command.token, 'bad-command');
  else perform(turn, command.token, decoded);
  return turn.finish();
}

function decode(body: Uint8Array, runs: Runs, messagesMax: number): QueueCommand | undefined {
  try {
    return decodeQueueCommand(body, runs, messagesMax);
  } catch (error) {
    if (error instanceof BytesError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function perform(turn: QueueTurn, token: number, command: QueueCommand): void {
  switch (command.kind) {
    case 'publish':
      publish(turn, token, command);
      break;
    case 'attach':
      attach(turn, token, command);
      break;
    case 'detach':
      detach(turn, token, command);
      break;
    case 'receive':
      receive(turn, token, command);
      break;
    case 'acknowledge':
      acknowledge(turn, token, command);
      break;
    case 'return':
      giveBack(turn, token, command);
      break;
    case 'release-owner':
      releaseOwner(turn, token, command);
      break;
    case 'extend':
      extend(turn, token, command);
      break;
    case 'purge':
      purge(turn, token);
      break;
    case 'stats':
      stats(turn, token);
      break;
    case 'check':
      check(turn, token, command);
      break;
  }
}

/** These are gone for good, as nobody asks to be told. */
export function giveUpOwners(
  config: QueueConfig,
  state: QueueState,
  local: QueueLocal,
  owners: readonly Owner[],
  position: LogPosition,
): Decision {
  const turn = new QueueTurn(config, state, local, position);
  for (const owner of owners) giveUp(turn, owner);
  dispatch(turn);
  return turn.finish();
}

/** Time has passed, or more is committed: what ran out comes back, and what waits goes on. */
export function goOn(
  config: QueueConfig,
  state: QueueState,
  local: QueueLocal,
  position: LogPosition,
): Decision {
  const turn = new QueueTurn(config, state, local, position);
  expireLeases(turn);
  expireWaits(turn);
  dispatch(turn);
  return turn.finish();
}

/**
 * Whether more that is committed changes nothing: no messages for whoever waits, nothing due, nothing to say. After
 * most commits of a queue that is kept empty; what it releases goes with its next frame.
 */
export function isIdle(
  { faults, reserveAhead }: QueueConfig,
  state: QueueState,
  local: QueueLocal,
  { logTimeMs, committedOffset, committedSeq }: LogPosition,
): boolean {
  if (faults !== undefined || local.expectedSeq > state.seq || local.immediate.size > 0)
    return false;
  const { leases, waits, waiting, ready, consumers } = local;
  if ((leases.firstDueMs ?? Number.POSITIVE_INFINITY) <= logTimeMs) return false;
  if ((waits.firstDueMs ?? Number.POSITIVE_INFINITY) <= logTimeMs) return false;
  const isRaised = committedSeq >= state.reservationSeq;
  const cursor = Math.max(ready.cursor, state.floor);
  const isNear = cursor + reserveAhead / 2 > state.reservation;
  if (isRaised && isNear && consumers.total > 0) return false;
  const reserved = isRaised ? state.reservation : local.reserved;
  const limit = Math.min(committedOffset, reserved);
  return waiting.count === 0 || !ready.hasBelow(state, leases, limit);
}

function stats(turn: QueueTurn, token: number): void {
  const { local, state } = turn;
  turn.reply(token, {
    kind: 'stats',
    outcome: 'ok',
    ready: turn.readyCount,
    leased: local.leases.count,
    consumers: local.consumers.count,
    waiting: local.waiting.count,
    startOffset: state.floor,
    endOffset: state.endOffset,
    dropped: state.dropped,
  });
}

function check(turn: QueueTurn, token: number, command: CheckCommand): void {
  const ready = turn.readyCount;
  if (command.isUnused && turn.local.consumers.count > 0) turn.count(token, 'in-use', ready);
  else if (command.isEmpty && ready > 0) turn.count(token, 'not-empty', ready);
  else turn.count(token, 'ok', ready);
}

/** Every receive that waits is answered: the leader is none any more. */
export function demoteView(local: QueueLocal): readonly DurableReply[] {
  const replies: DurableReply[] = [];
  const runs = new Runs();
  for (const consumer of local.consumers.slots) {
    if (consumer?.isWaiting !== true) continue;
    const body = encodeQueueAnswer({
      kind: 'deliveries',
      outcome: 'moved',
      epoch: 0,
      ready: 0,
      runs,
    });
    replies.push({ token: consumer.token, level: 'none', body });
  }
  return replies;
}
