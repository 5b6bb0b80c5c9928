// Questions about a queue that are asked rarely, with a promise each and a deadline: asked again of the
// next leader as long as nothing says that the last one has done what was asked.
import type { AnsweredInput, LogResult } from '../../cluster/ports.ts';
import { decodeQueueAnswer, type QueueAnswer } from '../view/answers.ts';
import { encodeQueueCommand, type QueueCommand } from '../view/commands.ts';
import type { Calls } from './calls.ts';
import type { HostRef } from './host-calls.ts';
import { isOut, type PlacePort } from './leader-place.ts';
import type { QueueStats } from './queue-api.ts';

const RETRY_MS = 25;
const NOT_DONE: ReadonlySet<LogResult> = new Set(['not-available', 'throttled']);

export interface QuestionsPort extends PlacePort {
  readonly calls: Calls;
  nowMs(): number;
  /** Calls in a turn of the shard's actor, after so long. */
  later(delayMs: number, work: () => void): void;
  soon(work: () => void): void;
}

interface Question {
  readonly logId: number;
  readonly body: Uint8Array;
  /** It may be asked twice. */
  readonly isRepeatable: boolean;
  readonly untilMs: number;
  readonly resolve: (answer: QueueAnswer | LogResult) => void;
  /** Of the attempt that has no answer. */
  token: number;
}

export class Questions {
  readonly #port: QuestionsPort;

  constructor(port: QuestionsPort) {
    this.#port = port;
  }

  async stats(logId: number, timeoutMs: number): Promise<QueueStats | LogResult> {
    const answer = await this.#ask(logId, { kind: 'stats' }, timeoutMs, true);
    if (typeof answer === 'string') return answer;
    if (answer.kind !== 'stats') return 'unsupported';
    const { ready, leased, consumers } = answer;
    return { ready, leased, consumers };
  }

  async purge(logId: number, timeoutMs: number): Promise<number | LogResult> {
    const answer = await this.#ask(logId, { kind: 'purge' }, timeoutMs, false);
    if (typeof answer === 'string') return answer;
    return answer.kind === 'count' && answer.outcome === 'ok' ? answer.count : 'unsupported';
  }

  async check(
    logId: number,
    what: { readonly isUnused: boolean; readonly isEmpty: boolean },
    timeoutMs: number,
  ): Promise<'ok' | 'in-use' | 'not-empty' | LogResult> {
    const answer = await this.#ask(logId, { kind: 'check', ...what }, timeoutMs, true);
    if (typeof answer === 'string') return answer;
    const { outcome } = answer;
    const isKnown = outcome === 'ok' || outcome === 'in-use' || outcome === 'not-empty';
    return isKnown ? outcome : 'unsupported';
  }

  #ask(
    logId: number,
    command: QueueCommand,
    timeoutMs: number,
    isRepeatable: boolean,
  ): Promise<QueueAnswer | LogResult> {
    const body = encodeQueueCommand(command);
    const untilMs = this.#port.nowMs() + timeoutMs;
    return new Promise((settle) => {
      let isSettled = false;
      const resolve = (answer: QueueAnswer | LogResult): void => {
        isSettled = true;
        settle(answer);
      };
      const question = { logId, body, isRepeatable, untilMs, resolve, token: -1 };
      this.#port.soon(() => this.#attempt(question));
      this.#port.later(timeoutMs, () => {
        if (isSettled) return;
        this.#port.calls.forget(question.token);
        resolve('timed-out');
      });
    });
  }

  #attempt(question: Question): void {
    const { logId, body, untilMs, resolve } = question;
    const leftMs = Math.ceil(untilMs - this.#port.nowMs());
    if (leftMs <= 0) return;
    const log = this.#port.log(logId);
    if (log === undefined || isOut(log, this.#port.node)) {
      resolve(log === undefined ? 'unknown-log' : 'not-available');
      return;
    }
    const host = this.#port.leaderHost(logId);
    if (host === undefined) {
      this.#again(question);
      return;
    }
    question.token = this.#port.calls.command(this.#call(question, host), logId, body, leftMs);
  }

  #call(question: Question, host: HostRef) {
    const { resolve, isRepeatable } = question;
    return {
      host,
      answered: ({ result, body }: AnsweredInput) => {
        if (result === 'ok') resolve(decodeQueueAnswer(body));
        else if (isRepeatable || NOT_DONE.has(result)) this.#again(question);
        else resolve(result);
      },
      lost: () => {
        if (isRepeatable) this.#again(question);
        else resolve('timed-out');
      },
    };
  }

  #again(question: Question): void {
    this.#port.later(RETRY_MS, () => this.#attempt(question));
  }
}
