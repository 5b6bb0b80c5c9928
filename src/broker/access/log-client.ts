// Promises over the log hosts' answers, for callers that ask rarely: the admin API, the check that a
// node is ready, tests. Not for the hot path. Every request has a deadline; a late answer is released.
import { actor } from '../../actors/actor.ts';
import type { Ref, RefId } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { Deadline } from '../../actors/timers.ts';
import type {
  AdvancedInput,
  AnsweredInput,
  AppendedInput,
  AppendLevel,
  FetchedInput,
  LocatedInput,
  LogHostOps,
  OffsetQuery,
} from '../../cluster/ports.ts';
import { LogRepliesProtocol } from '../../cluster/ports.ts';

type Answer = AdvancedInput | AnsweredInput | AppendedInput | FetchedInput | LocatedInput;

interface Waiting {
  readonly resolve: (answer: Answer | undefined) => void;
  readonly deadline: Deadline;
}

const LATE_MS = 500;

export class LogClient {
  readonly #system: System;
  /** The host of the log's leader, wherever it is; undefined while there is none. */
  readonly #leaderHost: (logId: number) => Ref<LogHostOps> | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #self: RefId | undefined;
  #nextToken = 1;

  constructor(
    system: System,
    leaderHost: (logId: number) => Ref<LogHostOps> | undefined,
    name = 'log-client',
  ) {
    this.#system = system;
    this.#leaderHost = leaderHost;
    system.spawn(name, LogClientActor, this);
  }

  attach(self: RefId): void {
    this.#self = self;
  }

  settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.token);
    if (waiting === undefined) {
      if ('release' in answer) answer.release();
      return;
    }
    this.#waiting.delete(answer.token);
    this.#system.deadlines.cancel(waiting.deadline);
    waiting.resolve(answer);
  }

  /** `undefined`: no leader is known, or nobody answered in time. */
  append(
    logId: number,
    batch: Uint8Array,
    level: AppendLevel,
    timeoutMs: number,
  ): Promise<AppendedInput | undefined> {
    return this.#request<AppendedInput>(logId, timeoutMs + LATE_MS, (host, token, replyTo) =>
      host.tell('append', { logId, level, epoch: -1, timeoutMs, token, replyTo, batch }),
    );
  }

  /** The caller must `release` the answer. */
  fetch(
    logId: number,
    offset: number,
    maxBytes: number,
    timeoutMs: number,
  ): Promise<FetchedInput | undefined> {
    return this.#request<FetchedInput>(logId, timeoutMs, (host, token, replyTo) =>
      host.tell('fetch', { logId, offset, epoch: -1, maxBytes, token, replyTo }),
    );
  }

  /** Resolves when the committed offset has passed `offset`, or after `timeoutMs`. */
  awaitBeyond(logId: number, offset: number, timeoutMs: number): Promise<unknown> {
    return this.#request<AdvancedInput>(logId, timeoutMs, (host, token, replyTo) =>
      host.tell('await', { logId, offset, token, replyTo }),
    );
  }

  locate(logId: number, query: OffsetQuery, timeoutMs: number): Promise<LocatedInput | undefined> {
    return this.#request<LocatedInput>(logId, timeoutMs, (host, token, replyTo) =>
      host.tell('locate', { logId, epoch: -1, query, token, replyTo }),
    );
  }

  #request<A extends Answer>(
    logId: number,
    timeoutMs: number,
    send: (host: Ref<LogHostOps>, token: number, replyTo: RefId) => void,
  ): Promise<A | undefined> {
    const host = this.#leaderHost(logId);
    const self = this.#self;
    if (host === undefined || self === undefined) return Promise.resolve(undefined);
    const token = this.#nextToken;
    this.#nextToken += 1;
    return new Promise((resolve) => {
      const deadline = this.#system.deadlines.after(timeoutMs, () => {
        this.#waiting.delete(token);
        resolve(undefined);
      });
      this.#waiting.set(token, { resolve: (answer) => resolve(answer as A | undefined), deadline });
      send(host, token, self);
    });
  }
}

const LogClientActor = actor(LogRepliesProtocol, (ctx, client: LogClient) => {
  client.attach(ctx.self.id);
  const settle = (answer: Answer) => client.settle(answer);
  return {
    appended: settle,
    fetched: settle,
    advanced: settle,
    answered: settle,
    located: settle,
  };
});
