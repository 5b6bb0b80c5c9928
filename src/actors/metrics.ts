// Counters by class of actor, never by path: a label per actor would be a label per queue. A class is
// the name of a protocol. Durations are of samples: see inspect/observer.ts.
import type { TimingInfo } from './inspect/timing.ts';
import { Timing } from './inspect/timing.ts';

export interface ClassMetrics {
  readonly name: string;
  readonly spawned: number;
  readonly stopped: number;
  readonly failed: number;
  readonly restarted: number;
  readonly handled: number;
  /** Messages dropped by the overflow policy of a mailbox. */
  readonly dropped: number;
  /** The deepest mailbox seen at the start of a run. */
  readonly depthMax: number;
  /** How long sampled messages waited in their mailbox. */
  readonly wait: TimingInfo;
  /** How long sampled handlers ran; of async ones all, until their promise settled. */
  readonly handler: TimingInfo;
}

/** What a class is counted in, and how far its next sample is. */
export class ClassRecord {
  readonly name: string;
  spawned = 0;
  stopped = 0;
  failed = 0;
  restarted = 0;
  handled = 0;
  dropped = 0;
  depthMax = 0;
  readonly wait = new Timing();
  readonly handler = new Timing();
  /** From how many handled messages on attention is paid to a run, and a run is a sample. */
  observeAt = 0;
  sampleAt = 0;
  /** Messages between two samples, on average; when the last one was. */
  interval = 1;
  sampledMs = 0;
  /** Whose run attention is paid to now. */
  observed: object | undefined;
  /** Messages that are timed. */
  timedLeft = 0;
  /** Runs that are all timed: after something was slow and nobody knows what. */
  denseRuns = 0;
  /** Whose mailbox holds the message that is followed, since when, and how many are in front of it. */
  stamped: object | undefined;
  stampMs = 0;
  stampAhead = 0;

  constructor(name: string) {
    this.name = name;
  }

  snapshot(): ClassMetrics {
    const { name, spawned, stopped, failed, restarted, handled, dropped, depthMax } = this;
    const counts = { name, spawned, stopped, failed, restarted, handled, dropped, depthMax };
    return { ...counts, wait: this.wait.info(), handler: this.handler.info() };
  }
}

export class Metrics {
  readonly #classes = new Map<string, ClassRecord>();

  of(name: string): ClassRecord {
    let found = this.#classes.get(name);
    if (found === undefined) {
      found = new ClassRecord(name);
      this.#classes.set(name, found);
    }
    return found;
  }

  records(): Iterable<ClassRecord> {
    return this.#classes.values();
  }

  /** Copies, in order of first spawn. */
  snapshot(): ClassMetrics[] {
    return [...this.#classes.values()].map((each) => each.snapshot());
  }
}
