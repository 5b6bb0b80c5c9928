// Promises over the log hosts' answers, for callers that ask rarely: the admin API, the check that a
// node is ready, tests. Not for the hot path. Every request has a deadline, and is over before it when its
// host has no room for it, or ends, or the way to it is lost; a late answer is released.
import { actor } from '../../actors/actor.ts';
import { ActorError } from '../../actors/errors.ts';
import type { Admission, AnyRef, Ref, RefId } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { Deadline } from '../../actors/timers.ts';
import type {
  AdvancedInput,
  AnsweredInput,
  AppendedInput,
  AppendLevel,
  FetchedInput,
  FindInput,
  FoundInput,
  LocatedInput,
  LogHostOps,
  OffsetQuery,
} from '../../cluster/ports.ts';
import { LogRepliesProtocol } from '../../cluster/ports.ts';

type Answer = AdvancedInput | AnsweredInput | AppendedInput | FetchedInput | LocatedInput;

interface Waiting {
  readonly host: Ref<LogHostOps>;
  readonly resolve: (answer: Answer | undefined) => void;
  readonly deadline: Deadline;
}

const LATE_MS = 500;
const NOT_APPENDED: AppendedInput = {
  token: 0,
  result: 'not-available',
  baseOffset: -1,
  startOffset: -1,
  leaderEpoch: -1,
};

export class LogClient {
  readonly #system: System;
  /** The host of the log's leader, wherever it is; undefined while there is none. */
  readonly #leaderHost: (logId: number) => Ref<LogHostOps> | undefined;
  readonly #waiting = new Map<number, Waiting>();
  readonly #watched = new Set<AnyRef>();
  #self: RefId | undefined;
  #watch: ((host: AnyRef) => void) | undefined;
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

  attach(self: RefId, watch: (host: AnyRef) => void): void {
    this.#self = self;
    this.#watch = watch;
  }

  /** The host has ended: what it has not answered it never will. */
  hostEnded(host: AnyRef): void {
    this.#watched.delete(host);
    this.#fail((waiting) => waiting.host === host);
  }

  /** The way to or from that thread was lost, and what was on it. */
  linkEnded(node: number, thread: number): void {
    this.#fail(({ host: { id } }) => id.node === node && id.thread === thread);
  }

  #fail(isLost: (waiting: Waiting) => boolean): void {
    for (const [token, waiting] of this.#waiting) if (isLost(waiting)) this.#give(token, undefined);
  }

  #give(token: number, answer: Answer | undefined): void {
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    this.#system.deadlines.cancel(waiting.deadline);
    waiting.resolve(answer);
  }

  /** Before the first message to it. The end of a thread elsewhere shows as the end of its link. */
  #watchHere(host: Ref<LogHostOps>): void {
    if (host.id.node !== this.#system.place.node || this.#watched.has(host)) return;
    this.#watched.add(host);
    this.#watch?.(host);
  }

  settle(answer: Answer): void {
    if (this.#waiting.has(answer.token)) this.#give(answer.token, answer);
    else if ('release' in answer) answer.release();
  }

  /**
   * 'not-available' when the leader could not be reached: nothing was appended. `undefined`: no leader is
   * known, or it was asked and nobody answered.
   */
  append(
    logId: number,
    batch: Uint8Array,
    level: AppendLevel,
    timeoutMs: number,
  ): Promise<AppendedInput | undefined> {
    return this.#request<AppendedInput>(
      logId,
      timeoutMs + LATE_MS,
      (host, token, replyTo) =>
        host.offer('append', { logId, level, epoch: -1, timeoutMs, token, replyTo, batch }),
      NOT_APPENDED,
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
      host.offer('fetch', {
        ...{ logId, offset, epoch: -1, maxBytes, mayBeReplica: false, token, replyTo },
      }),
    );
  }

  /** Resolves when the committed offset has passed `offset`, or after `timeoutMs`. */
  awaitBeyond(logId: number, offset: number, timeoutMs: number): Promise<unknown> {
    return this.#request<AdvancedInput>(logId, timeoutMs, (host, token, replyTo) =>
      host.offer('await', { logId, offset, mayBeReplica: false, token, replyTo }),
    );
  }

  locate(logId: number, query: OffsetQuery, timeoutMs: number): Promise<LocatedInput | undefined> {
    return this.#request<LocatedInput>(logId, timeoutMs, (host, token, replyTo) =>
      host.offer('locate', { logId, epoch: -1, query, token, replyTo }),
    );
  }

  /** Asks the log's behavior. */
  command(logId: number, body: Uint8Array, timeoutMs: number): Promise<AnsweredInput | undefined> {
    return this.#request<AnsweredInput>(logId, timeoutMs + LATE_MS, (host, token, replyTo) =>
      host.offer('command', { logId, body, timeoutMs, token, replyTo }),
    );
  }

  /** `undefined`: no leader is known, or nobody answered in `timeoutMs` and a little more. */
  async find(input: FindInput): Promise<FoundInput | undefined> {
    const host = this.#leaderHost(input.logId);
    try {
      return await host?.ask('find', input, { timeoutMs: input.timeoutMs + LATE_MS });
    } catch (error) {
      if (error instanceof ActorError) return undefined;
      throw error;
    }
  }

  #request<A extends Answer>(
    logId: number,
    timeoutMs: number,
    send: (host: Ref<LogHostOps>, token: number, replyTo: RefId) => Admission,
    refused?: A,
  ): Promise<A | undefined> {
    const host = this.#leaderHost(logId);
    const self = this.#self;
    if (host === undefined || self === undefined) return Promise.resolve(undefined);
    this.#watchHere(host);
    const token = this.#nextToken;
    this.#nextToken += 1;
    return new Promise((resolve) => {
      const deadline = this.#system.deadlines.after(timeoutMs, () => {
        this.#waiting.delete(token);
        resolve(undefined);
      });
      this.#waiting.set(token, {
        host,
        resolve: (answer) => resolve(answer as A | undefined),
        deadline,
      });
      if (send(host, token, self) !== 'accepted') this.#give(token, refused);
    });
  }
}

const LogClientActor = actor(LogRepliesProtocol, (ctx, client: LogClient) => {
  client.attach(ctx.self.id, (host) => ctx.watch(host));
  ctx.onSignal((signal) => {
    if (signal.type === 'terminated') client.hostEnded(signal.ref);
  });
  const settle = (answer: Answer) => client.settle(answer);
  return {
    appended: settle,
    fetched: settle,
    advanced: settle,
    answered: settle,
    located: settle,
  };
});
