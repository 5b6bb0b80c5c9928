// Control of the threads of a group: looking in, settings that change while a thread runs, profiles. Typed here,
// on both sides; how a call gets there is the environment's. Slow, rare, and never on a message's path.
// Invariant: settings are checked whole before any of them is changed.
import { LOG_LEVELS, type LogLevel } from '../../env/environment.ts';
import type {
  ControlOptions,
  ControlService,
  ThreadControl,
  ThreadFacts,
} from '../../env/threads.ts';
import type { AskCounters } from '../ask.ts';
import { ASKS_MAX } from '../ask.ts';
import { ActorError } from '../errors.ts';
import type { ThreadInfo } from '../inspect/snapshot.ts';
import type { ClassMetrics } from '../metrics.ts';
import type { System } from '../system.ts';
import type { SystemLimits } from '../system-options.ts';
import type { RingHub } from './ring-hub.ts';
import type { RingCounters } from './ring-route.ts';
import type { StallLimits } from './standstill.ts';

/** What may change while a thread runs. What is left out stays. */
export interface ThreadSettings {
  readonly logLevel?: LogLevel;
  readonly limits?: Partial<SystemLimits>;
  /** Of worker threads only: nobody watches thread 0. */
  readonly stall?: StallLimits;
}

/** What is in force. */
export interface SettingsInForce {
  /** Absent where the log has no levels of its own. */
  readonly logLevel?: LogLevel;
  readonly limits: SystemLimits;
  readonly stall?: StallLimits;
}

/** What a thread has counted since it started. */
export interface ThreadCounts {
  readonly turns: number;
  readonly messages: number;
  readonly asksOpen: number;
  readonly asks: AskCounters;
  readonly deadLetters: number;
  readonly deadlines: number;
  readonly classes: readonly ClassMetrics[];
  /** Absent on a thread without peers. */
  readonly rings?: RingCounters;
}

/**
 * Control calls to one thread. Each ends with its answer, with the thread, or with its timeout, and rejects with a
 * stable code: THREAD_CONTROL_LOST, _TIMEOUT, _BUSY, _FAILED, and _UNKNOWN of a thread that has not joined its group
 * yet (see ThreadControlCode).
 */
export interface MemberControl {
  inspect(options: ControlOptions): Promise<ThreadInfo>;
  counters(options: ControlOptions): Promise<ThreadCounts>;
  facts(options: ControlOptions): Promise<ThreadFacts>;
  /** Answers what is in force afterwards. It holds in the thread's next lives too. */
  configure(settings: ThreadSettings, options: ControlOptions): Promise<SettingsInForce>;
  /**
   * The JSON of a .cpuprofile file. `durationMs` is 1 to 600,000; the timeout is on top. Until both are over nobody
   * takes the thread for dead: writing down a long profile takes its time.
   */
  cpuProfile(durationMs: number, options: ControlOptions): Promise<string>;
  /**
   * A .heapsnapshot in pieces, at the pace of the reader. The thread stands still until the first, which is no
   * reason to end it before `timeoutMs`, the timeout of each piece, is over.
   */
  heapSnapshot(options: ControlOptions): AsyncGenerator<Uint8Array, void, undefined>;
}

const LEVELS: readonly unknown[] = LOG_LEVELS;
const LIMITS: Readonly<Record<keyof SystemLimits, number>> = {
  asksMax: ASKS_MAX - 1,
  messagesPerCell: 1_000_000,
  messagesPerDrain: 1_000_000,
};
const STALL: Readonly<Record<keyof StallLimits, number>> = {
  sampleMs: 600_000,
  samples: 1_000_000,
};
const FIELDS = ['logLevel', 'limits', 'stall'];

function wrong(message: string): ActorError {
  return new ActorError('ACTOR_MISUSE', message);
}

function checkNumbers(name: string, given: object, known: Readonly<Record<string, number>>): void {
  for (const [field, value] of Object.entries(given)) {
    const most = known[field];
    if (most === undefined) throw wrong(`${name} has no ${field}`);
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw wrong(`${name}.${field} must be a whole number from 1 to ${most}`);
    }
  }
}

/**
 * Refuses settings that are not ours or out of bounds.
 *
 * @throws ActorError that names the field.
 */
export function checkSettings(settings: ThreadSettings): void {
  const unknown = Object.keys(settings).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw wrong(`there is no setting ${unknown}`);
  const { logLevel, limits = {}, stall } = settings;
  if (logLevel !== undefined && !LEVELS.includes(logLevel)) {
    throw wrong(`logLevel must be one of ${LEVELS.join(', ')}`);
  }
  checkNumbers('limits', limits, LIMITS);
  if (stall === undefined) return;
  checkNumbers('stall', stall, STALL);
  if (stall.sampleMs === undefined || stall.samples === undefined) {
    throw wrong('stall needs sampleMs and samples');
  }
}

/**
 * Changes a thread from within.
 *
 * @throws ActorError if its log cannot change its level; nothing is changed then.
 */
export function applySettings(system: System, settings: ThreadSettings): SettingsInForce {
  checkSettings(settings);
  const { logLevel, limits } = settings;
  const { log } = system;
  if (logLevel !== undefined) {
    if (log.setLevel === undefined) throw wrong('the log of this thread has no levels to change');
    log.setLevel(logLevel);
  }
  const { asks, turn } = system;
  if (limits !== undefined) {
    const { asksMax, ...ofTurns } = limits;
    if (asksMax !== undefined) asks.setLimit(asksMax);
    turn.setLimits(ofTurns);
  }
  const { messagesPerCell, messagesPerDrain } = turn.limits;
  return {
    limits: { asksMax: asks.limit, messagesPerCell, messagesPerDrain },
    ...(log.level === undefined ? {} : { logLevel: log.level }),
  };
}

function countsOf(system: System, hub: RingHub | undefined): ThreadCounts {
  const { turn, asks, deadLetters, deadlines, metrics } = system;
  return {
    turns: turn.count,
    messages: turn.messages,
    asksOpen: asks.openCount,
    asks: { ...asks.counters },
    deadLetters: deadLetters.total,
    deadlines: deadlines.count,
    classes: metrics.snapshot(),
    ...(hub === undefined ? {} : { rings: { ...hub.counters } }),
  };
}

/** What a thread with actors answers. */
export function controlService(system: System, hub?: RingHub): ControlService {
  return {
    inspect: () => system.inspection(),
    counters: () => countsOf(system, hub),
    configure: (settings) => applySettings(system, settings as ThreadSettings),
  };
}

/** Calls to whoever serves `controlService`. `control` throws when the thread is not there. */
export function memberControl(control: () => ThreadControl): MemberControl {
  const call = async <T>(name: string, argument: unknown, options: ControlOptions): Promise<T> =>
    (await control().call(name, argument, options)) as T;
  return {
    inspect: (options) => call('inspect', undefined, options),
    counters: (options) => call('counters', undefined, options),
    facts: async (options) => control().facts(options),
    async configure(settings, options) {
      checkSettings(settings);
      if (settings.stall !== undefined) throw wrong('nobody watches this thread for standstill');
      return call('configure', settings, options);
    },
    cpuProfile: async (durationMs, options) => control().cpuProfile(durationMs, options),
    async *heapSnapshot(options) {
      yield* control().heapSnapshot(options);
    },
  };
}
