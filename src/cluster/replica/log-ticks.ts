// When the logs of one shard are ticked: each tenth of a second while something goes on, within a second where nobody
// is in a hurry, and else when something is due. What a log that is written to without a pause has to do with time is
// little: with thousands of such logs its ticks would cost as much as what is written. One timer for all of them.
import type { System } from '../../actors/system.ts';
import type { Deadline } from '../../actors/timers.ts';
import type { HostedLog } from './hosted-log.ts';

const TICK_MS = 100;
/** Those that are in no hurry take turns: each has one tick in so many. */
const LANES = 10;
/** Nothing that is due sooner may wait for such a turn. */
const UNHURRIED_MS = LANES * TICK_MS;

export interface TicksPort {
  readonly system: Pick<System, 'deadlines' | 'clock' | 'turn'>;
  guard(hosted: HostedLog, work: (hosted: HostedLog) => void): void;
  /** Whether ticks are needed although no log wants one. */
  isBusy(): boolean;
  /** Called with each tick. */
  ticked(): void;
}

export class LogTicks {
  readonly #port: TicksPort;
  /** Ticked until nothing goes on. */
  readonly #active = new Set<HostedLog>();
  /** Ticked once in their turn, by log id: each once, and those whose mark is gone no more (`isInLane`). */
  readonly #unhurried = Array.from({ length: LANES }, (): HostedLog[] => []);
  #unhurriedCount = 0;
  /** Each once, and those whose mark is gone no more (`isStirred`). */
  readonly #stirred: HostedLog[] = [];
  #lane = 0;
  /** Ticked when something is due. Earlier for nothing is cheap, so who is active stays in it. */
  readonly #sleeping = new Map<HostedLog, Deadline>();
  #isArmed = false;
  /** Ticks of logs since the start. */
  count = 0;

  constructor(port: TicksPort) {
    this.#port = port;
  }

  /** Something goes on in the log: looked at once, however often it is said in a turn. */
  stir(hosted: HostedLog): void {
    if (hosted.isTicked || hosted.isStirred) return;
    hosted.isStirred = true;
    this.#stirred.push(hosted);
    this.#port.system.turn.request();
  }

  /** At the end of each turn. */
  look(): void {
    for (const hosted of this.#stirred) {
      if (!hosted.isStirred) continue;
      hosted.isStirred = false;
      this.#lookAt(hosted);
    }
    this.#stirred.length = 0;
  }

  #lookAt(hosted: HostedLog): void {
    if (hosted.isTicked) return;
    const dueInMs = lonelyDueInMs(hosted);
    if (dueInMs > TICK_MS) this.#wait(hosted, dueInMs);
    else {
      this.#activate(hosted);
      this.#arm();
    }
  }

  #activate(hosted: HostedLog): void {
    if (hosted.isTicked) return;
    hosted.isTicked = true;
    this.#active.add(hosted);
  }

  #rest(hosted: HostedLog): void {
    if (!hosted.isTicked) return;
    hosted.isTicked = false;
    this.#active.delete(hosted);
  }

  /** For what is due, or for the turn of its lane. */
  #wait(hosted: HostedLog, dueInMs: number): void {
    if (dueInMs <= UNHURRIED_MS) {
      this.#sleep(hosted, this.#port.system.clock.monotonicMs() + dueInMs);
      return;
    }
    if (!hosted.isInLane) {
      hosted.isInLane = true;
      this.#laneOf(hosted).push(hosted);
      this.#unhurriedCount += 1;
    }
    this.#arm();
  }

  forget(hosted: HostedLog): void {
    hosted.isStirred = false;
    this.#rest(hosted);
    if (hosted.isInLane) {
      hosted.isInLane = false;
      this.#unhurriedCount -= 1;
      // There may be no tick any more that would let go of it.
      if (this.#unhurriedCount === 0) for (const lane of this.#unhurried) lane.length = 0;
    }
    this.#wake(hosted);
  }

  #laneOf({ logId }: HostedLog): HostedLog[] {
    return this.#unhurried[logId % LANES]!;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#port.system.deadlines.after(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    this.#isArmed = false;
    const { clock, turn } = this.#port.system;
    const nowMs = clock.monotonicMs();
    const active = [...this.#active];
    const lane = this.#unhurried[this.#lane]!;
    this.#lane = (this.#lane + 1) % LANES;
    for (const hosted of lane) {
      if (!hosted.isInLane) continue;
      hosted.isInLane = false;
      this.#unhurriedCount -= 1;
      if (!hosted.isTicked) active.push(hosted);
    }
    lane.length = 0;
    for (const hosted of active) this.#tickOne(hosted, nowMs);
    this.#port.ticked();
    if (this.#active.size > 0 || this.#unhurriedCount > 0 || this.#port.isBusy()) this.#arm();
    turn.request();
  }

  /** What waits for nothing but a time to come costs nothing until then. */
  #tickOne(hosted: HostedLog, nowMs: number): void {
    this.count += 1;
    // A throw quarantines the log, which may have something to say at the next tick.
    let dueMs = nowMs;
    let waitsMs = 0;
    this.#port.guard(hosted, () => {
      dueMs = hosted.tick(nowMs);
      if (dueMs <= nowMs + TICK_MS) waitsMs = lonelyDueInMs(hosted);
    });
    const isBusy = dueMs <= nowMs + TICK_MS;
    if (isBusy && waitsMs <= TICK_MS) {
      this.#activate(hosted);
      return;
    }
    this.#rest(hosted);
    if (isBusy) this.#wait(hosted, waitsMs);
    else if (dueMs < Number.POSITIVE_INFINITY) this.#sleep(hosted, dueMs);
  }

  #sleep(hosted: HostedLog, dueMs: number): void {
    const known = this.#sleeping.get(hosted);
    if (known !== undefined && known.dueMs <= dueMs) return;
    this.#wake(hosted);
    const { deadlines, clock, turn } = this.#port.system;
    const deadline = deadlines.at(dueMs, () => {
      this.#sleeping.delete(hosted);
      this.#tickOne(hosted, clock.monotonicMs());
      if (this.#active.size > 0) this.#arm();
      turn.request();
    });
    this.#sleeping.set(hosted, deadline);
  }

  #wake(hosted: HostedLog): void {
    const deadline = this.#sleeping.get(hosted);
    if (deadline === undefined) return;
    this.#sleeping.delete(hosted);
    this.#port.system.deadlines.cancel(deadline);
  }
}

/**
 * How long the ticks of a log may wait; 0: not at all. A leader without other replicas has nobody to watch but its own
 * disk, which can wait until its behavior has something due; so can whoever is to hear that nothing came of a question:
 * it has stopped waiting by itself.
 */
function lonelyDueInMs({ leader }: HostedLog): number {
  if (leader?.isActive !== true || !leader.core.isAlone) return 0;
  return leader.behaviorDueInMs() ?? Number.POSITIVE_INFINITY;
}
