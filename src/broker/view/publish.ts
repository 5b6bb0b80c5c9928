// Storing what log clients send. A client numbers its messages; after a fail-over it sends again what it
// has no answer for, so a batch may come twice, or behind a hole that the old leader left.
import {
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  BatchHeader,
  isControl,
  isTransactional,
  readBatchHeader,
} from '../../records/batch.ts';
import type { QueueOutcome } from './answers.ts';
import type { PublishCommand } from './commands.ts';
import type { QueueTurn } from './turn.ts';

const header = new BatchHeader();

export function publish(turn: QueueTurn, token: number, command: PublishCommand): void {
  const { clients } = turn.state;
  const { faults } = turn.config;
  const { clientId, incarnation, firstNumber, batch, level } = command;
  const expected = clients.nextNumber(clientId, incarnation);
  const refusal = refuse(turn, command);
  if (refusal !== undefined) {
    turn.reply(token, { kind: 'published', outcome: refusal, offset: -1, expected });
    return;
  }
  const count = header.recordCount;
  const isStored = firstNumber + count <= expected && faults?.noDedup !== true;
  if (isStored) {
    const offset = clients.offsetOf(clientId, firstNumber);
    // The answer waits as long as that of the original.
    turn.reply(token, { kind: 'published', outcome: 'ok', offset, expected }, level);
  } else if (firstNumber === expected || mayDiffer(turn, firstNumber, expected)) {
    turn.publish(batch, clientId, incarnation, firstNumber);
    const offset = turn.position.endOffset;
    const next = firstNumber + count;
    const answerLevel = faults?.confirmEarly === true ? 'none' : level;
    turn.reply(token, { kind: 'published', outcome: 'ok', offset, expected: next }, answerLevel);
  } else {
    turn.reply(token, { kind: 'published', outcome: 'number-gap', offset: -1, expected });
  }
}

function mayDiffer({ config }: QueueTurn, firstNumber: number, expected: number): boolean {
  const { faults } = config;
  return firstNumber > expected ? faults?.noGapRule === true : faults?.noDedup === true;
}

function refuse({ config, state }: QueueTurn, command: PublishCommand): QueueOutcome | undefined {
  const { batch, clientId, incarnation, firstNumber } = command;
  if (batch.length > config.batchBytesMax) return 'batch-too-large';
  if (batch.length < BATCH_HEADER_BYTES || firstNumber < 1) return 'bad-batch';
  readBatchHeader(batch, 0, header);
  const isWhole =
    header.magic === BATCH_MAGIC &&
    header.size === batch.length &&
    header.recordCount >= 1 &&
    header.recordCount === header.lastOffsetDelta + 1;
  const isPlain =
    !isControl(header.attributes) && !isTransactional(header.attributes) && header.producerId < 0;
  if (!isWhole || !isPlain) return 'bad-batch';
  return incarnation < state.clients.incarnationOf(clientId) ? 'stale-client' : undefined;
}
