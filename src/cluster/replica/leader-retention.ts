// What a leader does about records that go by age and size: it moves the start of its log, and while nothing is
// appended it notes in the log now and then that time has passed. Without such a note a log would forget how old
// its records are whenever no process goes on that has seen the last frame come: a lone node that is stopped every
// evening would keep an idle topic for ever.
import type { RetentionLimits } from './extents.ts';
import { encodeLogStart, TIME_PASSED } from './host-events.ts';
import type { LogContext } from './role.ts';

/** Time is noted so often in the age that is kept, but not more often than once a second; what is lost is less. */
const NOTES_PER_AGE = 16;
const NOTE_MS_MIN = 1_000;
const NOTE_MS_MAX = 600_000;

/** The leader that decides, as far as it is asked here. */
export interface Retainer {
  readonly isActive: boolean;
  readonly canAppend: boolean;
  committedOffset(): number;
  logTimeMs(): number;
  /** A frame of the host that nobody waits for. A store without room is asked again at the next look. */
  note(events: Uint8Array): void;
}

export class LeaderRetention {
  readonly #context: Pick<LogContext, 'machine' | 'stored' | 'trustsWallClock'>;
  readonly #leader: Retainer;

  constructor(
    context: Pick<LogContext, 'machine' | 'stored' | 'trustsWallClock'>,
    leader: Retainer,
  ) {
    this.#context = context;
    this.#leader = leader;
  }

  /** How long until there may be something to do; Infinity: not by waiting. */
  dueInMs(limits: RetentionLimits): number {
    if (!this.#leader.isActive) return Number.POSITIVE_INFINITY;
    const goesInMs = this.#context.machine.extents.dueInMs(limits, this.#leader.logTimeMs());
    return Math.min(goesInMs, this.#noteInMs(limits));
  }

  /** Moves the start past what is too old or too much, if that is committed; answers when to look again. */
  retain(limits: RetentionLimits): number {
    const leader = this.#leader;
    if (!leader.isActive || !leader.canAppend) return Number.POSITIVE_INFINITY;
    const { extents } = this.#context.machine;
    const committedOffset = leader.committedOffset();
    const start = extents.startFor(limits, leader.logTimeMs(), committedOffset);
    if (start !== undefined) {
      leader.note(encodeLogStart(start));
      return 0;
    }
    if (this.#noteInMs(limits) === 0) leader.note(TIME_PASSED);
    const noteInMs = this.#noteInMs(limits);
    const { oldestEnd } = extents;
    // What is not committed is looked at when it is.
    if (oldestEnd === undefined || oldestEnd > committedOffset) return noteInMs;
    return Math.min(noteInMs, extents.dueInMs(limits, leader.logTimeMs()));
  }

  /** Where every leader has one clock, it tells how old records are; nor does a log that is empty, or without a limit of age, need to know. */
  #noteInMs({ ageMs }: RetentionLimits): number {
    const { machine, stored, trustsWallClock } = this.#context;
    const isTimeless = ageMs === Number.POSITIVE_INFINITY || machine.extents.count === 0;
    if (isTimeless || trustsWallClock) return Number.POSITIVE_INFINITY;
    const everyMs = Math.min(Math.max(ageMs / NOTES_PER_AGE, NOTE_MS_MIN), NOTE_MS_MAX);
    return Math.max(0, stored.lastLogTimeMs + everyMs - this.#leader.logTimeMs());
  }
}
