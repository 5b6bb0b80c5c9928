// Groups that share one log, each with a view of its own: what a decision of the log's behavior is, made of
// decisions of the lease engine. A view does not keep the log from anything: it releases nothing. Soft state
// of a view is made when somebody asks for it first in an epoch. A view that is not used for long is closed.
// Invariant: a log without views, or whose views nobody waits for, pays nothing for what is appended.
import type {
  Decision,
  DurableCommand,
  DurableReply,
  LogPosition,
} from '../../actors/durable/behavior.ts';
import { ByteWriter } from '../../std/bytes.ts';
import { encodeQueueAnswer, type QueueOutcome } from './answers.ts';
import { isPublish } from './commands.ts';
import { QUEUE_DEFAULTS, type QueueConfig } from './config.ts';
import type { Owner } from './consumers.ts';
import { DueHeap } from './due-heap.ts';
import { decideOnView, demoteView, giveUpOwners, goOn } from './engine.ts';
import { QueueLocal } from './local.ts';
import { decodeOwnersGone, decodeViewCommand, type ViewCommand } from './view-commands.ts';
import {
  freshView,
  type LogView,
  putClosed,
  putEventsOf,
  putOpened,
  type ViewsState,
} from './views-state.ts';

const DAY_MS = 86_400_000;

export interface ViewsConfig {
  readonly engine: QueueConfig;
  /** Groups that may have a view of one log. */
  readonly viewsMax: number;
  /** A view that nobody uses for so long is forgotten: whoever comes back starts anew. */
  readonly keptMs: number;
  /** The log hears at least so often that a view is in use. */
  readonly noteUseMs: number;
  /** A rule taken away, for tests: what was acknowledged out of order is not restored from a snapshot. */
  readonly forgetsAcknowledged?: boolean;
}

export const VIEW_DEFAULTS: ViewsConfig = {
  engine: {
    ...QUEUE_DEFAULTS,
    // The log is the stream's, and keeps what retention keeps.
    releaseOffsets: Number.POSITIVE_INFINITY,
    releaseAfterMs: Number.POSITIVE_INFINITY,
    givesCommitted: true,
  },
  viewsMax: 1_024,
  keptMs: 7 * DAY_MS,
  noteUseMs: DAY_MS,
};

/** How long after an attempt to close a view the next one follows, if the store refused it. */
const CLOSE_AGAIN_MS = 60_000;
const NOTHING: Decision = {};

/** The leader's half of all views of a log. */
export class ViewsLocal {
  /** By group: those somebody has asked for in this epoch. */
  readonly views = new Map<string, QueueLocal>();
  /** By id of the view. */
  readonly due = new DueHeap();
  /** Ids of views with receives that wait for what is not committed yet. */
  readonly waiting = new Set<number>();
  readonly out = new ByteWriter(64);

  constructor(config: ViewsConfig, state: ViewsState) {
    for (const view of state.all()) this.due.set(view.id, view.usedMs + config.keptMs);
  }
}

export class Views {
  readonly config: ViewsConfig;

  constructor(config: ViewsConfig) {
    this.config = config;
  }

  promote(state: ViewsState): ViewsLocal {
    return new ViewsLocal(this.config, state);
  }

  demote(local: ViewsLocal): DurableReply[] {
    return [...local.views.values()].flatMap((view) => [...demoteView(view)]);
  }

  /** Undefined for bytes that are no command of a view. */
  decide(
    state: ViewsState,
    local: ViewsLocal,
    command: DurableCommand,
    position: LogPosition,
  ): Decision | undefined {
    const gone = decodeOwnersGone(command.body);
    if (gone !== undefined) return this.#release(state, local, gone, command.token, position);
    const decoded = decodeViewCommand(command.body);
    if (decoded === undefined) return undefined;
    const told = { token: command.token, body: decoded.body };
    // What is in the log comes from those who write to the stream.
    if (isPublish(told.body)) return refused(told.token, 'bad-command');
    const view = state.of(decoded.group);
    if (view === undefined) return this.#first(state, local, told, decoded, position);
    const turn = new FrameTurn(this.config, local, position);
    const soft = this.#localOf(local, view, position);
    turn.add(view, soft, decideOnView(this.config.engine, view.queue, soft, told, position));
    if (position.logTimeMs - view.usedMs >= this.config.noteUseMs) turn.noteUse(view);
    return turn.finish();
  }

  /** A group that has no view: it gets one by attaching. */
  #first(
    state: ViewsState,
    local: ViewsLocal,
    told: DurableCommand,
    { group, start }: ViewCommand,
    position: LogPosition,
  ): Decision {
    if (state.count >= this.config.viewsMax) return refused(told.token, 'too-many-groups');
    const startOffset = start === 'begin' ? position.startOffset : position.endOffset;
    const queue = freshView(state.tip, startOffset);
    const view = { id: state.freeId, group, queue, usedMs: position.logTimeMs };
    const soft = new QueueLocal(queue, position, false);
    const decision = decideOnView(this.config.engine, queue, soft, told, position);
    if (soft.consumers.total === 0) {
      const { events, replies } = decision;
      return events === undefined && replies !== undefined
        ? { replies }
        : refused(told.token, 'unknown-consumer');
    }
    // If the store refuses the frame, there is no such view, and nobody finds this half of it.
    local.views.set(group, soft);
    const turn = new FrameTurn(this.config, local, position);
    turn.open(view, startOffset);
    turn.add(view, soft, decision);
    return turn.finish();
  }

  /** Their receives wait no more, in any view. One that nobody has used in this epoch knows nobody. */
  #release(
    state: ViewsState,
    local: ViewsLocal,
    gone: readonly Owner[],
    token: number,
    position: LogPosition,
  ): Decision {
    const turn = new FrameTurn(this.config, local, position);
    for (const view of state.all()) {
      const soft = local.views.get(view.group);
      if (soft === undefined) continue;
      turn.add(view, soft, giveUpOwners(this.config.engine, view.queue, soft, gone, position));
    }
    const body = encodeQueueAnswer({ kind: 'count', outcome: 'ok', count: 0 });
    turn.reply({ token, level: 'none', body });
    return turn.finish();
  }

  committed(state: ViewsState, local: ViewsLocal, position: LogPosition): Decision {
    if (local.waiting.size === 0) return NOTHING;
    const turn = new FrameTurn(this.config, local, position);
    for (const id of [...local.waiting]) this.#goOn(turn, state, local, id);
    return turn.finish();
  }

  tick(state: ViewsState, local: ViewsLocal, position: LogPosition): Decision {
    const turn = new FrameTurn(this.config, local, position);
    const { logTimeMs } = position;
    const ids: number[] = [];
    for (let id = local.due.take(logTimeMs); id >= 0; id = local.due.take(logTimeMs)) ids.push(id);
    for (const id of ids) this.#goOn(turn, state, local, id);
    return turn.finish();
  }

  nextDueMs(local: ViewsLocal): number | undefined {
    return local.due.firstDueMs;
  }

  #goOn(turn: FrameTurn, state: ViewsState, local: ViewsLocal, id: number): void {
    const view = state.at(id);
    if (view === undefined) {
      local.waiting.delete(id);
      return;
    }
    const { config } = this;
    const { logTimeMs } = turn.position;
    const known = local.views.get(view.group);
    if (logTimeMs >= view.usedMs + config.keptMs && !isUsed(known)) {
      turn.close(view, logTimeMs + CLOSE_AGAIN_MS);
      return;
    }
    const soft = this.#localOf(local, view, turn.position);
    turn.add(view, soft, goOn(config.engine, view.queue, soft, turn.position));
  }

  #localOf(local: ViewsLocal, view: LogView, position: LogPosition): QueueLocal {
    const known = local.views.get(view.group);
    if (known !== undefined) return known;
    const { faults } = this.config.engine;
    const soft = new QueueLocal(view.queue, position, faults?.forgetDelivered === true);
    local.views.set(view.group, soft);
    return soft;
  }
}

function isUsed(view: QueueLocal | undefined): boolean {
  if (view === undefined) return false;
  return view.consumers.count > 0 || view.waiting.count > 0 || view.leases.count > 0;
}

function refused(token: number, outcome: QueueOutcome): Decision {
  const body = encodeQueueAnswer({ kind: 'count', outcome, count: 0 });
  return { replies: [{ token, level: 'none', body }] };
}

/** One frame for what several views have to say. */
class FrameTurn {
  readonly position: LogPosition;
  readonly #config: ViewsConfig;
  readonly #local: ViewsLocal;
  readonly #replies: DurableReply[] = [];
  #isAwaited = false;

  constructor(config: ViewsConfig, local: ViewsLocal, position: LogPosition) {
    this.#config = config;
    this.#local = local;
    this.position = position;
    local.out.reset();
  }

  open({ id, group }: LogView, startOffset: number): void {
    putOpened(this.#local.out, id, startOffset, group);
    this.#isAwaited = true;
  }

  close({ id, group }: LogView, againMs: number): void {
    const { out, views, waiting, due } = this.#local;
    putClosed(out, id);
    views.delete(group);
    waiting.delete(id);
    due.set(id, againMs);
  }

  noteUse({ id }: LogView): void {
    if (this.#local.out.size === 0) putEventsOf(this.#local.out, id, new Uint8Array(0));
  }

  reply(reply: DurableReply): void {
    this.#replies.push(reply);
  }

  add(view: LogView, soft: QueueLocal, decision: Decision): void {
    const { out, due, waiting } = this.#local;
    if (decision.events !== undefined) {
      putEventsOf(out, view.id, decision.events);
      if (decision.isAwaited !== false) this.#isAwaited = true;
    }
    for (const reply of decision.replies ?? []) this.#replies.push(reply);
    if (soft.waiting.count > 0) waiting.add(view.id);
    else waiting.delete(view.id);
    const { engine, keptMs } = this.#config;
    const softMs = soft.nextDueMs(view.queue, engine.releaseAfterMs) ?? Number.POSITIVE_INFINITY;
    // A view in use is looked at again after as long.
    const usedMs = isUsed(soft) ? this.position.logTimeMs : view.usedMs;
    due.set(view.id, Math.min(softMs, usedMs + keptMs));
  }

  finish(): Decision {
    const { out } = this.#local;
    const replies = this.#replies;
    if (out.size === 0) return replies.length === 0 ? NOTHING : { replies };
    return { events: out.finish(), replies, isAwaited: this.#isAwaited };
  }
}
