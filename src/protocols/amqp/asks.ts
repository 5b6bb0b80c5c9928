// The questions of sessions, put to the broker. Never rejects: what fails is an answer too.
import type { BrokerPorts, MetadataResult, QueueAccess, QueueOwner } from '../../broker/ports.ts';
import { messageOf } from '../../std/errors.ts';
import type { AmqpLimits } from './limits.ts';
import type { Answers, Question, QuestionKind, QuestionOf } from './session/ports.ts';

export interface Asked {
  readonly metadata: BrokerPorts['metadata'];
  readonly queues: QueueAccess;
  readonly limits: AmqpLimits;
  /** Resolves after so long. */
  sleep(delayMs: number): Promise<void>;
}

/** An owner that cannot be released now is tried again, for an hour: nobody else would do it. */
const RELEASE_TRIES = 2_000;
const RELEASE_RETRY_MS = 1_000;

export function answerTo<K extends QuestionKind>(
  asked: Asked,
  question: QuestionOf<K>,
): Promise<Answers[K]> {
  return put(asked, question) as Promise<Answers[K]>;
}

function put(asked: Asked, question: Question): Promise<Answers[QuestionKind]> {
  const { metadata, queues, limits } = asked;
  const { changeTimeoutMs, queueTimeoutMs } = limits;
  switch (question.kind) {
    case 'declare-exchange':
      return changed(metadata.declareExchange(question.exchange, changeTimeoutMs));
    case 'delete-exchange':
      return changed(metadata.deleteExchange(question.name, question.ifUnused, changeTimeoutMs));
    case 'bind':
      return changed(metadata.bind(question.binding, changeTimeoutMs));
    case 'unbind':
      return changed(metadata.unbind(question.binding, changeTimeoutMs));
    case 'declare-queue':
      return changed(metadata.declareQueue(question.queue, changeTimeoutMs));
    case 'declare-stream':
      return changed(metadata.create(question.stream, changeTimeoutMs));
    case 'delete-stream':
      return changed(metadata.remove(question.name, changeTimeoutMs));
    case 'messages':
      return queues.messages(question.logIds, queueTimeoutMs).catch(() => 'not-available');
    case 'delete-queue':
      return changed(metadata.deleteQueue(question.name, question.logId, changeTimeoutMs));
    case 'delete-unused':
      return deleteUnused(asked, question);
    case 'release-owner':
      return releaseOwner(asked, question);
    case 'stats':
      return queues.stats(question.logId, queueTimeoutMs).catch(() => 'not-available');
    case 'purge':
      return queues.purge(question.logId, queueTimeoutMs).catch(() => 'not-available');
    case 'check':
      return queues.check(question.logId, question, queueTimeoutMs).catch(() => 'not-available');
  }
}

function changed(result: Promise<MetadataResult>): Promise<MetadataResult> {
  return result.catch((error: unknown) => ({ kind: 'unavailable', message: messageOf(error) }));
}

/** If the queue does not answer, it stays: whoever consumes from it next and goes will have it deleted. */
async function deleteUnused(
  asked: Asked,
  { name, logId }: QuestionOf<'delete-unused'>,
): Promise<'done'> {
  const wanted = { kind: 'check', logId, isUnused: true, isEmpty: false } as const;
  const verdict = await answerTo(asked, wanted);
  if (verdict === 'ok') await answerTo(asked, { kind: 'delete-queue', name, logId });
  return 'done';
}

/** Whoever closes hears of it after the first try: without a quorum of the metadata it would wait for that. */
async function releaseOwner(asked: Asked, { owner }: QuestionOf<'release-owner'>): Promise<'done'> {
  if (!(await isReleased(asked, owner))) void keepReleasing(asked, owner);
  return 'done';
}

async function keepReleasing(asked: Asked, owner: QueueOwner): Promise<void> {
  for (let tries = 1; tries < RELEASE_TRIES; tries += 1) {
    await asked.sleep(RELEASE_RETRY_MS);
    if (await isReleased(asked, owner)) return;
  }
}

async function isReleased({ metadata, limits }: Asked, owner: QueueOwner): Promise<boolean> {
  const result = await changed(metadata.releaseOwner(owner, limits.changeTimeoutMs));
  return result.kind !== 'unavailable';
}
