// The replicated half of the views that groups have of one log: for each what it is done with, when it was
// last used, and a small number under which frames speak of it. Changed by `applyViewEvent` alone.
//
//   u8 1 | id varint | start offset varint | varint size, group in UTF-8      a group's view is opened
//   u8 2 | id varint | varint size, events (events.ts)                        of that view; may be none: used
//   u8 3 | id varint                                                          closed, and forgotten
import type { FrameView } from '../../actors/durable/behavior.ts';
import type { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { applyQueueEvents, getQueue, type LogTip, putQueue, QueueState } from './queue-state.ts';

const OPENED = 1;
const OF_A_VIEW = 2;
const CLOSED = 3;

export interface LogView {
  /** Given again when the view is closed: the lowest that is free. */
  readonly id: number;
  readonly group: string;
  readonly queue: QueueState;
  /** Log time of the last frame that spoke of it. */
  usedMs: number;
}

export class ViewsState {
  readonly #tip: LogTip;
  readonly #byGroup = new Map<string, LogView>();
  /** By id. */
  readonly #views: (LogView | undefined)[] = [];

  constructor(tip: LogTip) {
    this.#tip = tip;
  }

  get tip(): LogTip {
    return this.#tip;
  }

  get count(): number {
    return this.#byGroup.size;
  }

  of(group: string): LogView | undefined {
    return this.#byGroup.get(group);
  }

  at(id: number): LogView | undefined {
    return this.#views[id];
  }

  get freeId(): number {
    const hole = this.#views.indexOf(undefined);
    return hole < 0 ? this.#views.length : hole;
  }

  /** By id, ascending. */
  all(): LogView[] {
    return this.#views.filter((view) => view !== undefined);
  }

  open(view: LogView): void {
    this.#views[view.id] = view;
    this.#byGroup.set(view.group, view);
  }

  close(id: number): void {
    const view = this.#views[id];
    if (view === undefined) return;
    this.#byGroup.delete(view.group);
    this.#views[id] = undefined;
    while (this.#views.length > 0 && this.#views.at(-1) === undefined) this.#views.pop();
  }
}

/** Everything below `startOffset` is none of its business. */
export function freshView(tip: LogTip, startOffset: number): QueueState {
  const queue = new QueueState(tip);
  queue.floor = startOffset;
  return queue;
}

export function putOpened(out: ByteWriter, id: number, startOffset: number, group: string): void {
  out.u8(OPENED);
  out.varU53(id);
  out.varU53(startOffset);
  out.text(group);
}

export function putEventsOf(out: ByteWriter, id: number, events: Uint8Array): void {
  out.u8(OF_A_VIEW);
  out.varU53(id);
  out.sized(events);
}

export function putClosed(out: ByteWriter, id: number): void {
  out.u8(CLOSED);
  out.varU53(id);
}

/** One event, behind its kind. Throws for one that no version up to this one has written. */
export function applyViewEvent(
  views: ViewsState,
  kind: number,
  from: ByteReader,
  frame: FrameView,
): void {
  const id = from.varU53();
  if (kind === OPENED) {
    const queue = freshView(views.tip, from.varU53());
    views.open({ id, group: from.text(), queue, usedMs: frame.logTimeMs });
  } else if (kind === OF_A_VIEW) {
    const events = from.sized();
    const view = views.at(id);
    if (view === undefined) return;
    applyQueueEvents(view.queue, events, frame);
    view.usedMs = frame.logTimeMs;
  } else if (kind === CLOSED) views.close(id);
  else throw new RangeError(`event ${kind} of a view is unknown: written by a newer version`);
}

/** Canonical: equal states give equal bytes. */
export function putViews(out: ByteWriter, views: ViewsState): void {
  const all = views.all();
  out.varU53(all.length);
  for (const { id, group, queue, usedMs } of all) {
    out.varU53(id);
    out.text(group);
    out.varU53(usedMs);
    putQueue(out, queue);
  }
}

/** Throws BytesError or RangeError. */
export function getViews(from: ByteReader, views: ViewsState): void {
  const count = from.varU53();
  for (let i = 0; i < count; i += 1) {
    const id = from.varU53();
    const group = from.text();
    const usedMs = from.varU53();
    views.open({ id, group, usedMs, queue: getQueue(from, views.tip) });
  }
}
