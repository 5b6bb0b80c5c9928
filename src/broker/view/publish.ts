// What becomes of a batch that a log client sends, to a queue or to a stream. A client numbers its messages;
// after a fail-over it sends again what it has no answer for, so a batch may come twice, or behind a hole that
// the old leader left. The log's own behavior makes a frame of what is new.
import type { ReplyLevel } from '../../actors/durable/behavior.ts';
import { BatchHeader } from '../../records/batch.ts';
import { refuseBatch } from './admission.ts';
import type { PublishedAnswer, QueueOutcome } from './answers.ts';
import type { Clients } from './clients.ts';
import type { PublishCommand } from './commands.ts';
import type { QueueFaults } from './config.ts';
import type { QueueTurn } from './turn.ts';

export interface PublishRules {
  /** Largest batch that is taken. */
  readonly batchBytesMax: number;
  readonly faults?: QueueFaults | undefined;
}

export interface PublishVerdict {
  /** The batch goes into the log, behind what is there. */
  readonly isNew: boolean;
  readonly answer: PublishedAnswer;
  /** What is stored already is answered as late as its original. */
  readonly level: ReplyLevel;
}

const header = new BatchHeader();

/** `endOffset`: the offset that the next message of the log gets. */
export function judgePublish(
  clients: Clients,
  command: PublishCommand,
  endOffset: number,
  rules: PublishRules,
): PublishVerdict {
  const { clientId, incarnation, firstNumber, level } = command;
  const { faults } = rules;
  const expected = clients.nextNumber(clientId, incarnation);
  const refusal = refuse(clients, command, rules);
  if (refusal !== undefined) return refused(refusal, expected);
  const next = firstNumber + header.recordCount;
  if (next <= expected && faults?.noDedup !== true) {
    const offset = clients.offsetOf(clientId, firstNumber);
    return { isNew: false, answer: answerOf('ok', offset, expected), level };
  }
  if (firstNumber === expected || mayDiffer(firstNumber, expected, faults)) {
    const isEarly = faults?.confirmEarly === true;
    const answer = answerOf('ok', endOffset, next);
    return { isNew: true, answer, level: isEarly ? 'none' : level };
  }
  return refused('number-gap', expected);
}

function refused(outcome: QueueOutcome, expected: number): PublishVerdict {
  return { isNew: false, answer: answerOf(outcome, -1, expected), level: 'none' };
}

function answerOf(outcome: QueueOutcome, offset: number, expected: number): PublishedAnswer {
  return { kind: 'published', outcome, offset, expected };
}

function mayDiffer(firstNumber: number, expected: number, faults?: QueueFaults): boolean {
  return firstNumber > expected ? faults?.noGapRule === true : faults?.noDedup === true;
}

function refuse(
  clients: Clients,
  { batch, clientId, incarnation, firstNumber }: PublishCommand,
  { batchBytesMax }: PublishRules,
): QueueOutcome | undefined {
  const refusal = refuseBatch(batch, batchBytesMax, header);
  if (refusal === 'too-large') return 'batch-too-large';
  if (refusal !== undefined || firstNumber < 1) return 'bad-batch';
  return incarnation < clients.incarnationOf(clientId) ? 'stale-client' : undefined;
}

/** A quorum queue keeps what it has taken, whatever its publisher asks of the message. */
function levelOf(turn: QueueTurn, level: ReplyLevel): ReplyLevel {
  return level === 'accepted' && turn.limit !== undefined ? 'stored' : level;
}

/** A queue is sent a batch. */
export function publish(turn: QueueTurn, token: number, command: PublishCommand): void {
  const { config, state, position } = turn;
  const { clientId, incarnation, firstNumber, batch } = command;
  const verdict = judgePublish(state.clients, command, position.endOffset, config);
  if (verdict.isNew) turn.publish(batch, clientId, incarnation, firstNumber);
  turn.reply(token, verdict.answer, levelOf(turn, verdict.level));
}
