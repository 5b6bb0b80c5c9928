// Questions about a queue that are asked rarely, with a promise each and a deadline: asked again of the
// next leader as long as nothing says that the last one has done what was asked.
import type { AnsweredInput, LocatedInput, LogResult, OffsetQuery } from '../../cluster/ports.ts';
import { decodeQueueAnswer, type QueueAnswer } from '../view/answers.ts';
import { encodeQueueCommand, type QueueCommand } from '../view/commands.ts';
import type { Calls } from './calls.ts';
import type { HostRef } from './host-calls.ts';
import { isOut, type PlacePort } from './leader-place.ts';
import type { QueueStats } from './queue-api.ts';

const RETRY_MS = 25;
/** Also what a leader held that handed over. What was begun when a leadership ended is `leader-lost`. */
export const NOT_DONE: ReadonlySet<LogResult> = new Set([
  'not-available',
  'not-leader',
  'throttled',
]);

export interface QuestionsPort extends PlacePort {
  readonly calls: Calls;
  nowMs(): number;
  /** Calls in a turn of the shard's actor, after so long. */
  later(delayMs: number, work: () => void): void;
  soon(work: () => void): void;
}

/** Asks whoever leads, who is given so long; answers the token. `again`: it must be asked anew. */
type Attempt<T> = (
  host: HostRef,
  leftMs: number,
  done: (answer: T | LogResult) => void,
  again: () => void,
) => number;

export class Questions {
  readonly #port: QuestionsPort;

  constructor(port: QuestionsPort) {
    this.#port = port;
  }

  async stats(logId: number, timeoutMs: number): Promise<QueueStats | LogResult> {
    const answer = await this.#ask(logId, { kind: 'stats' }, timeoutMs, true);
    if (typeof answer === 'string') return answer;
    if (answer.kind !== 'stats') return 'unsupported';
    const { ready, leased, consumers, dropped } = answer;
    return { ready, leased, consumers, dropped };
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

  async messages(logIds: readonly number[], timeoutMs: number): Promise<number | LogResult> {
    const places = logIds.flatMap((logId) => [
      this.#locate(logId, { kind: 'latest' }, timeoutMs),
      this.#locate(logId, { kind: 'earliest' }, timeoutMs),
    ]);
    let count = 0;
    for (const [index, place] of (await Promise.all(places)).entries()) {
      if (typeof place === 'string') return place;
      count += index % 2 === 0 ? place : -place;
    }
    return Math.max(0, count);
  }

  #locate(logId: number, query: OffsetQuery, timeoutMs: number): Promise<number | LogResult> {
    const { calls } = this.#port;
    return this.#put(logId, timeoutMs, (host, _leftMs, done, again) => {
      const located = ({ result, offset }: LocatedInput): void => {
        if (result === 'ok') done(offset);
        else again();
      };
      return calls.locate({ host, located, lost: again }, logId, query);
    });
  }

  #ask(
    logId: number,
    command: QueueCommand,
    timeoutMs: number,
    isRepeatable: boolean,
  ): Promise<QueueAnswer | LogResult> {
    const body = encodeQueueCommand(command);
    const { calls } = this.#port;
    return this.#put<QueueAnswer>(logId, timeoutMs, (host, leftMs, done, again) => {
      const answered = ({ result, body: answer }: AnsweredInput): void => {
        if (result === 'ok') done(decodeQueueAnswer(answer));
        else if (isRepeatable || NOT_DONE.has(result)) again();
        else done(result);
      };
      const lost = (): void => (isRepeatable ? again() : done('timed-out'));
      return calls.command({ host, answered, lost }, logId, body, leftMs);
    });
  }

  /** Attempts until one is answered, or the time is over. */
  #put<T>(logId: number, timeoutMs: number, attempt: Attempt<T>): Promise<T | LogResult> {
    const untilMs = this.#port.nowMs() + timeoutMs;
    return new Promise((settle) => {
      let isSettled = false;
      let token = -1;
      const resolve = (answer: T | LogResult): void => {
        isSettled = true;
        settle(answer);
      };
      const ask = (): void => {
        const leftMs = Math.ceil(untilMs - this.#port.nowMs());
        if (leftMs <= 0) return;
        const log = this.#port.log(logId);
        if (log === undefined || isOut(log, this.#port.view)) {
          resolve(log === undefined ? 'unknown-log' : 'not-available');
          return;
        }
        const again = (): void => this.#port.later(RETRY_MS, ask);
        const host = this.#port.leaderHost(logId);
        if (host === undefined) again();
        else token = attempt(host, leftMs, resolve, again);
      };
      this.#port.soon(ask);
      this.#port.later(timeoutMs, () => {
        if (isSettled) return;
        this.#port.calls.forget(token);
        resolve('timed-out');
      });
    });
  }
}
