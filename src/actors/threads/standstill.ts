// Looks at workers from outside, so that none of them needs a timer for its liveness: busy, and neither a message
// nor, although its bell was rung, a turn for several samples in a row is standstill. Not here: what is done about
// it. Invariant: one deadline for all workers, so equal periods wake this thread once.
import { STATUS_MESSAGES, STATUS_TURNS } from '../status.ts';
import type { System } from '../system.ts';
import type { Deadline } from '../timers.ts';
import { HeartbeatWatch } from './heartbeat.ts';

/** A worker that does not move in so many samples in a row, so many milliseconds apart, stands still. */
export interface StallLimits {
  readonly sampleMs: number;
  readonly samples: number;
}

export const DEFAULT_STALL: StallLimits = { sampleMs: 500, samples: 3 };

export interface WatchedThread {
  /** The words that it shows (status.ts). Undefined while it is not up; others in every life. */
  status(): Int32Array | undefined;
  /** Share of the time since the last call that its loop was busy. */
  utilization(): number;
  ring(): void;
  standsStill(): void;
}

/** Busy for less than this share of a sample means that the loop came round. */
const BUSY_SHARE = 0.999;

interface Watched {
  readonly thread: WatchedThread;
  limits: StallLimits;
  dueMs: number;
  /** Of the present life, since somebody began to look. */
  heart: HeartbeatWatch | undefined;
  messagesSeen: number;
  /** Who has stopped the thread on purpose, for a while. */
  excuses: number;
}

export class Standstill {
  readonly #system: System;
  readonly #watched = new Map<number, Watched>();
  #deadline: Deadline | undefined;

  constructor(system: System) {
    this.#system = system;
  }

  watch(number: number, thread: WatchedThread, limits: StallLimits): void {
    const dueMs = this.#nowMs() + limits.sampleMs;
    const fresh = { thread, limits, dueMs, heart: undefined, messagesSeen: 0, excuses: 0 };
    this.#watched.set(number, fresh);
    this.#arm();
  }

  limitsOf(number: number): StallLimits | undefined {
    return this.#watched.get(number)?.limits;
  }

  setLimits(number: number, limits: StallLimits): void {
    const watched = this.#watched.get(number);
    if (watched === undefined) return;
    watched.limits = limits;
    watched.heart = undefined;
    watched.dueMs = this.#nowMs() + limits.sampleMs;
    this.#arm();
  }

  /** A new life: what was seen of the last one says nothing. */
  forget(number: number): void {
    const watched = this.#watched.get(number);
    if (watched !== undefined) watched.heart = undefined;
  }

  /** Until the answer is called, once, standing still is no fault. */
  excuse(number: number): () => void {
    const watched = this.#watched.get(number);
    if (watched === undefined) return () => undefined;
    watched.excuses += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      watched.excuses -= 1;
      // The next sample covers time that was excused.
      watched.heart = undefined;
    };
  }

  close(): void {
    if (this.#deadline !== undefined) this.#system.deadlines.cancel(this.#deadline);
    this.#watched.clear();
  }

  #nowMs(): number {
    return this.#system.clock.monotonicMs();
  }

  #arm(): void {
    if (this.#deadline !== undefined) this.#system.deadlines.cancel(this.#deadline);
    const dueMs = Math.min(...[...this.#watched.values()].map((each) => each.dueMs));
    if (!Number.isFinite(dueMs)) return;
    this.#deadline = this.#system.deadlines.at(dueMs, () => {
      const nowMs = this.#nowMs();
      for (const watched of this.#watched.values()) {
        if (watched.dueMs > nowMs) continue;
        watched.dueMs = nowMs + watched.limits.sampleMs;
        this.#sample(watched);
      }
      this.#arm();
    });
  }

  #sample(watched: Watched): void {
    const { thread, heart, messagesSeen } = watched;
    const status = thread.status();
    const isBusy = thread.utilization() >= BUSY_SHARE;
    if (status === undefined || watched.excuses > 0) {
      watched.heart = undefined;
      return;
    }
    watched.messagesSeen = status[STATUS_MESSAGES]!;
    if (heart === undefined) {
      watched.heart = new HeartbeatWatch(status, STATUS_TURNS, watched.limits.samples);
      return;
    }
    const isWorking = isBusy && watched.messagesSeen === messagesSeen && !heart.isResting;
    const isStill = heart.look(isWorking);
    // It may be busy with what is no actor's: whoever comes round to its bell takes a turn.
    if (heart.looksInRow > 0) thread.ring();
    if (isStill) thread.standsStill();
  }
}
