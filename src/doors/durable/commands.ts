// Commands to the log host of this thread, and its answers as promises.
import { actor } from '../../actors/actor.ts';
import { ActorError } from '../../actors/errors.ts';
import type { Ref, RefId } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import {
  type LogHostOps,
  LogHostProtocol,
  LogRepliesProtocol,
  type LogResult,
} from '../../cluster/ports.ts';
import { SLOT_LOG_HOST } from '../../cluster/slots.ts';

/** When nobody has answered by then, what became of a command is unknown. */
const COMMAND_TIMEOUT_MS = 30_000;
const WAITING_MAX = 65_536;
/** A log that has just been opened, or made, leads in a moment; what it refuses until then it has not taken. */
const RETRY_MS = 10;

interface Waiting {
  readonly logId: number;
  readonly body: Uint8Array;
  readonly untilMs: number;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Until a log has answered once, one command at a time goes to it: the order of the others is kept here. */
interface Lane {
  isReady: boolean;
  /** Tokens that wait behind the first. */
  readonly behind: number[];
}

export class Commands {
  readonly #system: System;
  readonly #host: Ref<LogHostOps>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #lanes = new Map<number, Lane>();
  #self: RefId | undefined;
  #nextToken = 1;

  constructor(system: System) {
    const { node, thread } = system.place;
    this.#system = system;
    this.#host = system.wellKnown(LogHostProtocol, { node, thread, slot: SLOT_LOG_HOST });
    system.spawn('commands', CommandsActor, this);
  }

  started(self: RefId): void {
    this.#self = self;
  }

  /** Resolves with the answer of the log's behavior; rejects with ActorError. */
  send(logId: number, body: Uint8Array): Promise<Uint8Array> {
    if (this.#self === undefined || this.#waiting.size >= WAITING_MAX) {
      return Promise.reject(new ActorError('ACTOR_FULL', 'too many commands are waiting'));
    }
    const token = this.#nextToken;
    this.#nextToken += 1;
    const untilMs = this.#system.clock.monotonicMs() + COMMAND_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      this.#waiting.set(token, { logId, body, untilMs, resolve, reject });
      const lane = this.#lanes.get(logId);
      if (lane === undefined) this.#lanes.set(logId, { isReady: false, behind: [] });
      if (lane === undefined || lane.isReady) this.#attempt(token);
      else lane.behind.push(token);
    });
  }

  /** The log is gone: another one may have its place. */
  forget(logId: number): void {
    this.#open(logId);
    this.#lanes.delete(logId);
  }

  /** The first command has its answer: the others follow. */
  #open(logId: number): void {
    const lane = this.#lanes.get(logId);
    if (lane === undefined || lane.isReady) return;
    lane.isReady = true;
    for (const token of lane.behind.splice(0)) this.#attempt(token);
  }

  #attempt(token: number): void {
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    const { logId, body, untilMs } = waiting;
    const timeoutMs = Math.max(1, Math.floor(untilMs - this.#system.clock.monotonicMs()));
    const command = { logId, body, timeoutMs, token, replyTo: this.#self! };
    if (this.#host.offer('command', command) !== 'accepted') {
      this.answered(token, 'throttled', body);
    }
  }

  answered(token: number, result: LogResult, body: Uint8Array): void {
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    const { deadlines, clock } = this.#system;
    if (result === 'not-available' && clock.monotonicMs() + RETRY_MS < waiting.untilMs) {
      deadlines.after(RETRY_MS, () => this.#attempt(token));
      return;
    }
    this.#waiting.delete(token);
    this.#open(waiting.logId);
    if (result === 'ok') waiting.resolve(body);
    else waiting.reject(failureOf(result));
  }

  /** Nothing is answered any more. What was sent may be kept all the same. */
  close(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const error = () => new ActorError('ACTOR_STOPPED', 'the durable actors were closed');
    for (const { reject } of waiting) reject(error());
  }
}

function failureOf(result: LogResult): ActorError {
  if (result === 'throttled') return new ActorError('ACTOR_FULL', 'the log takes no more now');
  if (result === 'no-space') return new ActorError('ACTOR_FULL', 'the disk is full');
  if (result === 'timed-out') {
    return new ActorError('ACTOR_ASK_TIMEOUT', 'what became of the command is unknown');
  }
  return new ActorError('ACTOR_FAILED', `the log answers ${result}`, { result });
}

const nothing = (): void => undefined;
const CommandsActor = actor(LogRepliesProtocol, (ctx, commands: Commands) => {
  commands.started(ctx.self.id);
  return {
    answered: ({ token, result, body }) => commands.answered(token, result, body.slice()),
    appended: nothing,
    fetched: ({ release }) => release(),
    advanced: nothing,
    located: nothing,
  };
});
