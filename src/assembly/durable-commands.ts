// The commands of this node's application to the logs of durable actors, wherever those are led. Each is numbered by
// this process and sent again, in order, to whoever leads next, until it is answered or its time is over: it is
// decided once. Here are the shell and its clock; the order is the lane's.
import { actor, type Context } from '../actors/actor.ts';
import { NOT_NOW, STALE } from '../actors/durable/event-source.ts';
import { Lane, type LaneClient, type LaneCommand } from '../actors/durable/lane.ts';
import { ActorError } from '../actors/errors.ts';
import type { Ref } from '../actors/ref.ts';
import type { System } from '../actors/system.ts';
import type { Deadline } from '../actors/timers.ts';
import { Calls, FIRST_TOKEN } from '../broker/access/calls.ts';
import { LeaderPlace, type PlacePort } from '../broker/access/leader-place.ts';
import {
  type AnsweredInput,
  type LogRepliesOps,
  LogRepliesProtocol,
  type LogResult,
  type MetadataView,
} from '../cluster/ports.ts';

/** When nobody has answered by then, the command fails. */
const COMMAND_TIMEOUT_MS = 30_000;
const WAITING_MAX = 65_536;
/** Tokens of the actor's own wake-ups. */
const ROOM = 1;
const DUE = 2;

/** Nothing was taken. What else a log may answer leaves open what became of the command, or is final. */
const NOT_TAKEN: ReadonlySet<LogResult> = new Set([
  'not-leader',
  'not-available',
  'not-enough-replicas',
  'throttled',
  'no-space',
  'fenced-epoch',
]);
const MAYBE_TAKEN: ReadonlySet<LogResult> = new Set(['leader-lost', 'timed-out', 'storage-error']);

interface Command extends LaneCommand {
  readonly untilMs: number;
  resolve(answer: Uint8Array): void;
  reject(error: Error): void;
}

interface LogLane {
  readonly place: LeaderPlace;
  readonly lane: Lane<Command>;
  isResting: boolean;
}

export interface DurableCommandsParts {
  readonly system: System;
  readonly view: MetadataView;
  readonly leaderHost: PlacePort['leaderHost'];
}

export class DurableCommands {
  readonly #system: System;
  readonly #port: PlacePort;
  readonly #calls = new Calls();
  readonly #self: Ref<LogRepliesOps>;
  readonly #lanes = new Map<number, LogLane>();
  /** Lanes with something to send. */
  readonly #ready = new Set<LogLane>();
  #client: LaneClient | undefined;
  #nextNumber = 1;
  #waiting = 0;
  #resent = 0;
  #expiry: Deadline | undefined;
  #due: (() => void)[] = [];
  #isClosed = false;

  constructor({ system, view, leaderHost }: DurableCommandsParts) {
    this.#system = system;
    this.#port = { view, leaderHost, log: (logId) => view.log(logId) };
    this.#self = system.spawn('durable-commands', CommandsActor, this);
    view.onLogs((logIds) => this.#soon(() => this.#logsChanged(logIds)));
  }

  start(ctx: Context<LogRepliesOps>) {
    const calls = this.#calls;
    calls.bind(ctx, () => ctx.self.tell('advanced', { token: ROOM }));
    ctx.onInspect(() => ({ counts: this.counters() }));
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') calls.ended(signal.ref);
    });
    return {
      answered: (input: AnsweredInput) => calls.answered(input),
      advanced: ({ token }: { readonly token: number }) => {
        if (token >= FIRST_TOKEN) calls.advanced(token);
        else if (token === ROOM) calls.retry();
        else this.#work();
      },
      appended: () => undefined,
      fetched: ({ release }: { readonly release: () => void }) => release(),
      located: () => undefined,
    };
  }

  #work(): void {
    const due = this.#due;
    this.#due = [];
    for (const work of due) work();
    const ready = [...this.#ready];
    this.#ready.clear();
    for (const each of ready) this.#pump(each);
  }

  #soon(work: () => void): void {
    this.#due.push(work);
    if (this.#due.length === 1) this.#self.tell('advanced', { token: DUE });
  }

  counters(): Record<string, number> {
    return { waiting: this.#waiting, lanes: this.#lanes.size, resent: this.#resent };
  }

  // ---- The application ------------------------------------------------------------------------------

  /** As whom commands are numbered; until it is known they wait. */
  known(client: LaneClient): void {
    this.#client = client;
    this.#soon(() => {
      for (const each of this.#lanes.values()) this.#ready.add(each);
    });
  }

  /** Resolves with the answer of the log's behavior; rejects with ActorError. */
  send(logId: number, body: Uint8Array): Promise<Uint8Array> {
    if (this.#isClosed) return Promise.reject(stopped());
    if (this.#waiting >= WAITING_MAX) {
      return Promise.reject(new ActorError('ACTOR_FULL', 'too many commands are waiting'));
    }
    const untilMs = this.#system.clock.monotonicMs() + COMMAND_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const command = { body, untilMs, resolve, reject, number: 0, token: 0, isUnknown: false };
      this.#waiting += 1;
      const log = this.#laneOf(logId);
      log.lane.add(command);
      this.#armExpiry(untilMs);
      this.#soon(() => this.#ready.add(log));
    });
  }

  #laneOf(logId: number): LogLane {
    let log = this.#lanes.get(logId);
    if (log === undefined) {
      const place = new LeaderPlace(logId, this.#port);
      log = { place, lane: new Lane(), isResting: false };
      this.#lanes.set(logId, log);
    }
    return log;
  }

  close(): void {
    this.#isClosed = true;
    for (const log of this.#lanes.values()) this.#failAll(log, stopped);
  }

  // ---- Sending --------------------------------------------------------------------------------------

  #pump(log: LogLane): void {
    const { place, lane } = log;
    if (place.isGone) this.#failAll(log, removed);
    if (lane.isEmpty) {
      if (this.#lanes.get(place.logId) === log) this.#lanes.delete(place.logId);
      return;
    }
    const { host } = place;
    const client = this.#client;
    if (host === undefined || client === undefined || log.isResting || this.#isClosed) return;
    const nowMs = this.#system.clock.monotonicMs();
    const next = () => this.#nextNumber++;
    lane.send(client, next, (command, bytes) => {
      if (command.isUnknown) this.#resent += 1;
      const timeoutMs = Math.max(1, Math.floor(command.untilMs - nowMs));
      const call = {
        host,
        answered: (input: AnsweredInput) => this.#answered(log, command, input),
        lost: () => this.#again(log, command, true),
      };
      return this.#calls.command(call, place.logId, bytes, timeoutMs);
    });
  }

  #answered(log: LogLane, command: Command, { result, body }: AnsweredInput): void {
    if (!log.lane.has(command)) return;
    if (result === 'ok' && body[0] === NOT_NOW) this.#again(log, command, false);
    else if (result === 'ok' && body[0] === STALE) this.#end(log, command, unknown());
    else if (result === 'ok') {
      log.place.succeeded();
      this.#end(log, command, body.slice());
    } else if (NOT_TAKEN.has(result)) this.#again(log, command, false);
    else if (MAYBE_TAKEN.has(result)) this.#again(log, command, true);
    else if (result === 'unknown-log') {
      // Its host knows less, or more, of the metadata than this thread.
      this.#again(log, command, false);
    } else this.#end(log, command, new ActorError('ACTOR_FAILED', `the log answers ${result}`));
  }

  #end(log: LogLane, command: Command, outcome: Uint8Array | Error): void {
    log.lane.remove(command);
    this.#waiting -= 1;
    if (outcome instanceof Error) command.reject(outcome);
    else command.resolve(outcome);
    // Others may have waited for room in the window.
    this.#soon(() => this.#ready.add(log));
  }

  /** It is to be sent again, and all behind it: their order is kept. */
  #again(log: LogLane, command: Command, isUnknown: boolean): void {
    if (command.token === 0) return;
    command.token = 0;
    command.isUnknown ||= isUnknown;
    this.#recall(log);
    if (log.isResting) return;
    log.isResting = true;
    this.#system.deadlines.after(log.place.nextRetryMs(), () => {
      this.#soon(() => this.#rested(log));
    });
  }

  #recall({ lane }: LogLane): void {
    for (const token of lane.recall()) this.#calls.forget(token);
  }

  #rested(log: LogLane): void {
    log.isResting = false;
    log.place.look(this.#port);
    this.#ready.add(log);
  }

  // ---- Events from outside --------------------------------------------------------------------------

  #logsChanged(logIds: readonly number[] | undefined): void {
    for (const logId of logIds ?? this.#lanes.keys()) {
      const log = this.#lanes.get(logId);
      if (log?.place.look(this.#port) !== true) continue;
      this.#recall(log);
      this.#ready.add(log);
    }
  }

  /** The way to or from a thread of another node was lost, and what was on it. */
  linkEnded(node: number, thread: number): void {
    this.#soon(() => this.#calls.linkEnded(node, thread));
  }

  // ---- Ends -----------------------------------------------------------------------------------------

  #failAll(log: LogLane, error: () => Error): void {
    this.#recall(log);
    for (const command of [...log.lane.commands]) this.#end(log, command, error());
  }

  #armExpiry(untilMs: number): void {
    if (this.#expiry !== undefined) return;
    this.#expiry = this.#system.deadlines.at(untilMs, () => {
      this.#expiry = undefined;
      this.#soon(() => this.#expire());
    });
  }

  /** All wait equally long: in a lane those that came first are over first. */
  #expire(): void {
    const nowMs = this.#system.clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const log of this.#lanes.values()) {
      for (const command of [...log.lane.commands]) {
        if (command.untilMs > nowMs) {
          nextMs = Math.min(nextMs, command.untilMs);
          break;
        }
        const { token, isUnknown } = command;
        if (token !== 0) this.#calls.forget(token);
        this.#end(log, command, isUnknown || token !== 0 ? unknown() : unavailable());
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#armExpiry(nextMs);
  }
}

function unknown(): Error {
  return new ActorError('DURABLE_UNKNOWN', 'what became of the command is unknown');
}

function unavailable(): Error {
  const text = 'nobody could take the command in time: nothing has happened';
  return new ActorError('DURABLE_UNAVAILABLE', text);
}

function removed(): Error {
  return new ActorError('DURABLE_REMOVED', 'the actor was removed');
}

function stopped(): Error {
  return new ActorError('ACTOR_STOPPED', 'the node was stopped');
}

const CommandsActor = actor(
  LogRepliesProtocol,
  (ctx, commands: DurableCommands) => commands.start(ctx),
  // Answers to whatever is in flight: refusing one would lose it.
  { mailbox: { capacity: 1_048_576, overflow: 'reject' } },
);
