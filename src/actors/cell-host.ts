// What a cell and its thread know of each other: types, apart from both.
import type { Clock, Log, Random } from '../env/environment.ts';
import type { EndCause, Signal } from './actor.ts';
import type { Cell } from './cell.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Observer } from './inspect/observer.ts';
import type { Answers } from './later.ts';
import type { AnyRef, Place, RefId } from './ref.ts';
import type { Deadlines } from './timers.ts';
import type { Tracer } from './tracer.ts';
import type { Turn } from './turn.ts';
import type { WatchTable } from './watch.ts';

/** What a cell needs of its thread. */
export interface CellHost extends Answers {
  readonly place: Place;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly turn: Turn;
  readonly deadlines: Deadlines;
  readonly deadLetters: DeadLetters;
  readonly observer: Observer;
  readonly watches: WatchTable;
  readonly tracer: Tracer | undefined;
  /** Words that a parent thread may read: see status.ts. */
  readonly status: Int32Array;
  /** Makes the context and calls setup. */
  setup(cell: Cell): object;
  /** One method per opcode. */
  methodsOf(handlers: object, cell: Cell): readonly Method[];
  sendWatch(target: RefId, watcher: RefId, isOn: boolean): void;
  sendEnded(watcher: RefId, ended: RefId, cause: EndCause): void;
  /** The living child of `parent` on this thread that has this id. */
  childOf(parent: Cell, id: RefId): Cell | undefined;
  sendStop(target: RefId): void;
  childFailed(parent: AnyRef, child: AnyRef, error: unknown): void;
  /** Fails the parent elsewhere, if there is one. */
  escalated(cell: Cell, parent: AnyRef | undefined, error: unknown): void;
  /** Logs what a codec threw. */
  codecFailed(path: string, op: string, error: unknown): void;
  release(cell: Cell): void;
}

/** Who a cell is. A remote parent lives on another thread; then there is no parent here. */
export interface Identity {
  readonly id: RefId;
  readonly name: string;
  readonly parent: Cell | undefined;
  readonly remoteParent: AnyRef | undefined;
}

export type Method = (this: object, input: unknown) => unknown;

export type SystemMessage =
  | { readonly kind: 'signal'; readonly signal: Signal }
  | { readonly kind: 'stop' }
  | { readonly kind: 'fail'; readonly error: unknown };
