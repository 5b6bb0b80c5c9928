// A queue as a durable behavior: a view on its own log. Messages are records that wait until somebody has
// acknowledged them. One engine for consumers that hold messages until they settle them and for those that
// hold them for a time. Pure and synchronous: the replicated half is queue-state.ts, the leader's soft half
// local.ts. It knows no client protocol, and no record's contents.
import type {
  Decision,
  DurableBehavior,
  DurableCommand,
  DurableReply,
  LogPosition,
} from '../../actors/durable/behavior.ts';
import { BytesError } from '../../std/bytes.ts';
import { encodeQueueAnswer } from './answers.ts';
import { type CheckCommand, decodeQueueCommand, type QueueCommand } from './commands.ts';
import type { QueueConfig } from './config.ts';
import { attach, detach, expireWaits, receive, releaseOwner } from './consuming.ts';
import { dispatch } from './dispatch.ts';
import { QueueLocal } from './local.ts';
import { publish } from './publish.ts';
import { applyQueueFrame, QueueState, restoreQueue, snapshotQueue } from './queue-state.ts';
import { Runs } from './runs.ts';
import { acknowledge, expireLeases, extend, giveBack, purge } from './settling.ts';
import { QueueTurn } from './turn.ts';

export const QUEUE_KIND = 'queue';

/**
 * @example
 * const behavior = createQueueBehavior(QUEUE_DEFAULTS);
 */
export function createQueueBehavior(config: QueueConfig): DurableBehavior<QueueState, QueueLocal> {
  const forgets = config.faults?.forgetDelivered === true;
  return {
    kind: QUEUE_KIND,
    initial: () => new QueueState(),
    promote: (state, position) => new QueueLocal(state, position, forgets),
    demote: demoteQueue,
    decide: (state, local, command, position) => decide(config, state, local, command, position),
    admit: () => 'invalid',
    committed: (state, local, position) => goOn(config, state, local, position),
    apply: applyQueueFrame,
    nextDueMs: (state, local) => local.nextDueMs(state, config.releaseAfterMs),
    tick: (state, local, position) => goOn(config, state, local, position),
    snapshot: snapshotQueue,
    restore: restoreQueue,
  };
}

function decide(
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

/** Time has passed, or more is committed: what ran out comes back, and what waits goes on. */
function goOn(
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
  });
}

function check(turn: QueueTurn, token: number, command: CheckCommand): void {
  const ready = turn.readyCount;
  if (command.isUnused && turn.local.consumers.count > 0) turn.count(token, 'in-use', ready);
  else if (command.isEmpty && ready > 0) turn.count(token, 'not-empty', ready);
  else turn.count(token, 'ok', ready);
}

function demoteQueue(local: QueueLocal): readonly DurableReply[] {
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
