// ListOffsets and OffsetForLeaderEpoch: questions about positions, one per partition, answered together
// when the last log has answered.
import type { HostRef, LocatedInput, LogView, OffsetQuery } from '../../../broker/ports.ts';
import type { ListOffsets, OffsetForLeaderEpoch } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange, Flow } from '../exchange.ts';
import { logCode } from '../outcomes.ts';
import { topicNamed } from '../visible-topics.ts';

const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
/** The earliest offset on this machine: all of a log is. */
const EARLIEST_LOCAL = -4;
/** The latest offset in remote storage, of which there is none. */
const LATEST_TIERED = -5;
const ANSWER_TIMEOUT_MS = 5_000;

interface Question {
  readonly destination: string;
  readonly partition: number;
  /** -1: the asker does not say. */
  readonly epoch: number;
  /** A number: the answer is this error, or no offset for 0. */
  readonly query: OffsetQuery | number;
}

interface Located {
  errorCode: number;
  offset: number;
  timestampMs: number;
  epoch: number;
}

interface LocateExchange
  extends Pick<Exchange<typeof ListOffsets>, 'ports' | 'host' | 'token' | 'setDeadline'> {
  flow: Flow | undefined;
}

/** Asks the log of each question and hands over all answers, in order. */
class LocateFlow implements Flow {
  readonly #exchange: LocateExchange;
  readonly #answers: Located[] = [];
  /** Questions without an answer, and who was asked. */
  readonly #open = new Map<number, HostRef>();
  readonly #done: (answers: readonly Located[]) => void;

  constructor(exchange: LocateExchange, done: (answers: readonly Located[]) => void) {
    this.#exchange = exchange;
    this.#done = done;
    exchange.flow = this;
  }

  start(questions: readonly Question[]): void {
    for (const question of questions) {
      const answer = { errorCode: 0, offset: -1, timestampMs: -1, epoch: -1 };
      answer.errorCode = this.#ask(question, this.#answers.length);
      this.#answers.push(answer);
    }
    if (this.#open.size === 0) this.#done(this.#answers);
    else this.#exchange.setDeadline(ANSWER_TIMEOUT_MS);
  }

  #ask(question: Question, index: number): number {
    const { ports, host } = this.#exchange;
    const found = topicNamed(ports.view, question.destination);
    if (typeof found === 'number') return found;
    const log: LogView | undefined = found.logs[question.partition];
    if (log === undefined) return E.UNKNOWN_TOPIC_OR_PARTITION;
    const logHost = ports.logHost(log.logId);
    if (log.leader !== ports.view.nodeId || logHost === undefined) return E.NOT_LEADER_OR_FOLLOWER;
    if (typeof question.query === 'number') return question.query;
    this.#open.set(index, logHost);
    host.ask(logHost, 'locate', {
      logId: log.logId,
      epoch: question.epoch,
      query: question.query,
      token: this.#exchange.token(index),
      replyTo: host.replyTo,
    });
    return E.NONE;
  }

  located(index: number, input: LocatedInput): void {
    const answer = this.#answers[index];
    if (answer === undefined || !this.#open.delete(index)) return;
    answer.errorCode = logCode(input.result);
    if (input.result === 'ok') {
      answer.offset = input.offset;
      answer.timestampMs = input.timestampMs;
      answer.epoch = input.epoch;
    }
    if (this.#open.size === 0) this.#done(this.#answers);
  }

  refused(index: number): void {
    this.#fail([index], E.NOT_LEADER_OR_FOLLOWER);
  }

  hostLost(host: HostRef): void {
    const lost = [...this.#open.keys()].filter((index) => this.#open.get(index) === host);
    this.#fail(lost, E.NOT_LEADER_OR_FOLLOWER);
  }

  expired(): void {
    this.#fail([...this.#open.keys()], E.REQUEST_TIMED_OUT);
  }

  #fail(indexes: readonly number[], errorCode: number): void {
    const wereOpen = indexes.filter((index) => this.#open.delete(index));
    for (const index of wereOpen) this.#answers[index]!.errorCode = errorCode;
    if (wereOpen.length > 0 && this.#open.size === 0) this.#done(this.#answers);
  }
}

function queryOf(timestamp: number): OffsetQuery | number {
  if (timestamp >= 0) return { kind: 'at-time', timestampMs: timestamp };
  switch (timestamp) {
    case LATEST:
      return { kind: 'latest' };
    case EARLIEST:
    case EARLIEST_LOCAL:
      return { kind: 'earliest' };
    case MAX_TIMESTAMP:
      return { kind: 'max-timestamp' };
    case LATEST_TIERED:
      return E.NONE;
    default:
      return E.INVALID_REQUEST;
  }
}

export function listOffsets(exchange: Exchange<typeof ListOffsets>): void {
  const { topics } = exchange.body;
  const questions = topics.flatMap(({ name, partitions }) =>
    partitions.map(
      (each): Question => ({
        destination: name,
        partition: each.partitionIndex,
        epoch: each.currentLeaderEpoch,
        query: queryOf(each.timestamp),
      }),
    ),
  );
  new LocateFlow(exchange, (answers) => {
    let at = 0;
    const answered = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, timestamp }) => {
        const { errorCode, offset, timestampMs, epoch } = answers[at++]!;
        // Only a question about time is answered with a time.
        const isTimed = timestamp >= 0 || timestamp === MAX_TIMESTAMP;
        const time = isTimed ? timestampMs : -1;
        return { partitionIndex, errorCode, timestamp: time, offset, leaderEpoch: epoch };
      }),
    }));
    exchange.respond({ topics: answered });
  }).start(questions);
}

export function offsetForLeaderEpoch(exchange: Exchange<typeof OffsetForLeaderEpoch>): void {
  const { topics } = exchange.body;
  const questions = topics.flatMap(({ topic, partitions }) =>
    partitions.map(
      (each): Question => ({
        destination: topic,
        partition: each.partition,
        epoch: each.currentLeaderEpoch,
        query: { kind: 'end-of-epoch', wanted: each.leaderEpoch },
      }),
    ),
  );
  new LocateFlow(exchange, (answers) => {
    let at = 0;
    const answered = topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => {
        const { errorCode, offset, epoch } = answers[at++]!;
        return { errorCode, partition, leaderEpoch: epoch, endOffset: offset };
      }),
    }));
    exchange.respond({ topics: answered });
  }).start(questions);
}
