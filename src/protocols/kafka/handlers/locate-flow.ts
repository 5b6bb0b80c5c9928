// Questions about positions in logs, one per partition, each asked of the log's leader if that is this node; all
// answers are handed over together. Moving a log's start is asked and answered in the same way.
import type { HostRef, LocatedInput, LogView, OffsetQuery } from '../../../broker/ports.ts';
import type { Api } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange, Flow } from '../exchange.ts';
import { logCode } from '../outcomes.ts';
import { topicNamed } from '../visible-topics.ts';

const ANSWER_TIMEOUT_MS = 5_000;

export interface Trim {
  readonly kind: 'trim';
  readonly offset: number;
  /** The log's own deadline: it knows whether anything was done, so it comes before that of the flow. */
  readonly timeoutMs: number;
}

export interface Question {
  readonly destination: string;
  readonly partition: number;
  /** -1: the asker does not say. */
  readonly epoch: number;
  /** A number: the answer is this error, or no offset for 0. `trim`: the log is to start there. */
  readonly query: OffsetQuery | Trim | number;
}

interface Located {
  errorCode: number;
  offset: number;
  timestampMs: number;
  epoch: number;
}

interface LocateExchange extends Pick<Exchange<Api>, 'ports' | 'host' | 'token' | 'setDeadline'> {
  flow: Flow | undefined;
}

/** Asks the log of each question and hands over all answers, in order. */
export class LocateFlow implements Flow {
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

  start(questions: readonly Question[], timeoutMs: number = ANSWER_TIMEOUT_MS): void {
    for (const question of questions) {
      const answer = { errorCode: 0, offset: -1, timestampMs: -1, epoch: -1 };
      answer.errorCode = this.#ask(question, this.#answers.length);
      this.#answers.push(answer);
    }
    if (this.#open.size === 0) this.#done(this.#answers);
    else this.#exchange.setDeadline(timeoutMs);
  }

  #ask(question: Question, index: number): number {
    const { ports, host } = this.#exchange;
    const found = topicNamed(ports.view, question.destination);
    if (typeof found === 'number') return found;
    const log: LogView | undefined = found.logs[question.partition];
    if (log === undefined) return E.UNKNOWN_TOPIC_OR_PARTITION;
    const logHost = ports.logHost(log.logId);
    if (log.leader !== ports.view.nodeId || logHost === undefined) return E.NOT_LEADER_OR_FOLLOWER;
    const { query, epoch } = question;
    if (typeof query === 'number') return query;
    this.#open.set(index, logHost);
    const { logId } = log;
    const asked = { logId, epoch, token: this.#exchange.token(index), replyTo: host.replyTo };
    if (query.kind !== 'trim') host.ask(logHost, 'locate', { ...asked, query });
    else {
      const { offset, timeoutMs } = query;
      host.ask(logHost, 'trim', { ...asked, offset, timeoutMs });
    }
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
