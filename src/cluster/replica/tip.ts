// The tip of a log that is led here: frames are appended and applied in one step. What a behavior has decided is applied
// as it was decided, without being read back: there are several frames a message.
import type { Leader } from '../../replication/types.ts';
import type { AppendRefusal } from '../../storage/api.ts';
import type { LogResult } from '../ports.ts';
import { markBehaviorEvents, NO_EVENTS } from './host-events.ts';
import type { LogClock } from './log-clock.ts';
import { DAMAGED } from './loss.ts';
import type { LogContext } from './role.ts';

const REFUSALS: Readonly<Record<AppendRefusal, LogResult>> = {
  full: 'throttled',
  pinned: 'not-enough-replicas',
  'no-space': 'no-space',
  failed: 'storage-error',
  damaged: 'storage-error',
};

export class Tip {
  readonly #context: LogContext;
  readonly #core: Leader;
  readonly #clock: LogClock;

  constructor(context: LogContext, core: Leader, clock: LogClock) {
    this.#context = context;
    this.#core = core;
    this.#clock = clock;
  }

  /** Appends a frame of the host, applies it and tells the core. Answers its seq, or why there is none. */
  append(events: Uint8Array, awaited: boolean): number | LogResult {
    const seq = this.#store(this.#clock.timeMs(), events, undefined, awaited);
    return typeof seq === 'number' ? this.#readBack(seq) : seq;
  }

  /**
   * The same with what the behavior says, and where the log starts from this frame on, or -1. The bytes are the
   * caller's again when this returns.
   */
  decided(
    events: Uint8Array | undefined,
    start: number,
    batch: Uint8Array | undefined,
    awaited: boolean,
  ): number | LogResult {
    const { machine } = this.#context;
    const logTimeMs = this.#clock.timeMs();
    const seq = this.#store(logTimeMs, markBehaviorEvents(events, start), batch, awaited);
    if (typeof seq !== 'number') return seq;
    if (machine.appliedSeq !== seq - 1) return this.#readBack(seq);
    const header = { seq, epoch: this.#core.epoch, logTimeMs };
    machine.applyDecided(header, start, events ?? NO_EVENTS, batch);
    return this.#appended(seq);
  }

  #store(
    logTimeMs: number,
    events: Uint8Array,
    batch: Uint8Array | undefined,
    awaited: boolean,
  ): number | LogResult {
    const { stored } = this.#context;
    const seq = stored.append(this.#core.epoch, logTimeMs, events, batch, awaited);
    if (typeof seq === 'number') return seq;
    if (seq === 'damaged') this.#context.quarantine(DAMAGED);
    return REFUSALS[seq];
  }

  #readBack(seq: number): number | LogResult {
    if (this.#context.machine.applyThrough(seq)) return this.#appended(seq);
    this.#context.quarantine(`frame ${seq} cannot be read back`);
    return 'storage-error';
  }

  #appended(seq: number): number {
    this.#context.frameClock?.look();
    this.#core.appended(seq, this.#core.epoch, this.#context.stored.chain);
    this.#context.markDirty();
    this.#context.markActive();
    return seq;
  }
}
