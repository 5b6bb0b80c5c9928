// Compacts the logs of one shard, one at a time: by key, or by what nobody needs (needless.ts). A log is looked at a
// while after something of it was committed, and again when its records are old enough; one that is idle and clean
// costs nothing. Each replica compacts for itself: what is committed is the same everywhere, and what a key's newest
// record hides may go on one replica earlier than on another. The work itself is storage's (compaction/); here is when.
import type { Log } from '../../env/environment.ts';
import { messageOf } from '../../std/errors.ts';
import { dropNeedless, type NeededResult } from '../../storage/compaction/needed-pass.ts';
import {
  type CompactionFaults,
  compactLog,
  dirtOf,
  type PassPort,
  type PassResult,
} from '../../storage/compaction/pass.ts';
import type { CompactionTask, FilterAnswer, MapAnswer } from '../../storage/compaction/tasks.ts';
import type { HostedLog } from './hosted-log.ts';
import { Needless, type NeedlessLook } from './needless.ts';

export interface CompactionRules {
  /** Share of bytes that were never compacted, from which on it is worth it. */
  readonly minDirtyRatio: number;
  /** A tombstone stays so long after it was compacted first. */
  readonly deleteRetentionMs: number;
  /** Records younger than this are left alone. `Infinity`: none is ever compacted. */
  readonly minLagMs: number;
  /** Records older than this are compacted whatever the share. */
  readonly maxLagMs: number;
}

export interface CompactionOptions {
  /** How long after a commit a log is looked at. Default 15,000, as in Kafka. */
  readonly paceMs?: number;
  /** Bytes read and written a second, of all passes of the shard. Default 32 MiB. */
  readonly bytesPerSecond?: number;
  /** How long the first segment of a queue stands still before segments lose what is acknowledged. Default 60,000. */
  readonly heldBackMs?: number;
  /** Of the table of keys: 24 bytes a key, three quarters full at most. Default 16 MiB. */
  readonly mapBytesMax?: number;
}

export interface CompactionsPort {
  readonly log: Log;
  readonly faults?: CompactionFaults | undefined;
  nowMs(): number;
  after(delayMs: number, fire: () => void): void;
  seed(): number;
  run(task: CompactionTask): Promise<MapAnswer | FilterAnswer>;
  /** What is left of the disk is not for this: a pass writes before it frees anything. */
  isShortOfSpace(): boolean;
  /** So that segments that were sealed may be rewritten. */
  checkpoint(): Promise<void>;
}

/** What the last pass of a log did. */
export interface LastPass
  extends Pick<PassResult, 'bytesIn' | 'bytesOut' | 'recordsIn' | 'recordsOut'> {
  readonly outcome: PassResult['outcome'] | NeededResult['outcome'];
  /** By the node's monotonic clock, in ms. */
  readonly endedMs: number;
  readonly durationMs: number;
}

export interface CompactionCounters {
  passes: number;
  /** Ended early: the log changed, or something failed. */
  passesCut: number;
  bytesIn: number;
  bytesOut: number;
  recordsGone: number;
  tombstonesGone: number;
  passMs: number;
}

const PACE_MS = 15_000;
const HELD_BACK_MS = 60_000;
/** Logs that are many are looked at together. */
const TOGETHER_MS = 1_000;
const BYTES_PER_SECOND = 32 << 20;
const MAP_BYTES = 16 << 20;
/** Timers take no more than 24 days. */
const LOOK_MS_MAX = 3_600_000;
/** After a pass that failed. */
const FAILED_MS = 60_000;
/** Shorter pauses are put together. */
const PAUSE_MS_MIN = 5;

export class Compactions {
  readonly counters: CompactionCounters = {
    passes: 0,
    passesCut: 0,
    bytesIn: 0,
    bytesOut: 0,
    recordsGone: 0,
    tombstonesGone: 0,
    passMs: 0,
  };
  readonly needless: Needless;
  readonly #port: CompactionsPort;
  readonly #paceMs: number;
  readonly #bytesPerSecond: number;
  readonly #mapBytesMax: number;
  readonly #dueMs = new Map<HostedLog, number>();
  #armedMs = Number.POSITIVE_INFINITY;
  #running: HostedLog | undefined;
  #owedMs = 0;
  #isStopped = false;

  constructor(port: CompactionsPort, options: CompactionOptions = {}) {
    this.#port = port;
    this.#paceMs = options.paceMs ?? PACE_MS;
    this.#bytesPerSecond = options.bytesPerSecond ?? BYTES_PER_SECOND;
    this.#mapBytesMax = options.mapBytesMax ?? MAP_BYTES;
    this.needless = new Needless(options.heldBackMs ?? HELD_BACK_MS);
  }

  /** Logs that will be looked at. */
  get waiting(): number {
    return this.#dueMs.size;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** More of the log is committed, or its rules are others. */
  touch(hosted: HostedLog): void {
    if (this.#dueMs.has(hosted)) return;
    if (hosted.compaction !== undefined) this.#lookIn(hosted, this.#paceMs);
    else if (hosted.mayHaveGaps && hosted.stored.hasSealedSegments) {
      const togetherMs = TOGETHER_MS - (this.#port.nowMs() % TOGETHER_MS);
      this.#lookIn(hosted, this.#paceMs + togetherMs);
    }
  }

  forget(hosted: HostedLog): void {
    this.#dueMs.delete(hosted);
  }

  stop(): void {
    this.#isStopped = true;
    this.#dueMs.clear();
  }

  #lookIn(hosted: HostedLog, delayMs: number): void {
    if (this.#isStopped) return;
    const atMs = this.#port.nowMs() + Math.min(delayMs, LOOK_MS_MAX);
    this.#dueMs.set(hosted, atMs);
    this.#arm(atMs);
  }

  #arm(atMs: number): void {
    if (this.#isStopped || atMs >= this.#armedMs) return;
    this.#armedMs = atMs;
    this.#port.after(Math.max(0, atMs - this.#port.nowMs()), () => {
      if (this.#armedMs !== atMs) return;
      this.#armedMs = Number.POSITIVE_INFINITY;
      this.#next();
    });
  }

  /** Looks at what is due, until a pass begins or nothing is due. */
  #next(): void {
    if (this.#isStopped || this.#running !== undefined) return;
    const nowMs = this.#port.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [hosted, atMs] of this.#dueMs) {
      if (atMs > nowMs) {
        nextMs = Math.min(nextMs, atMs);
        continue;
      }
      this.#dueMs.delete(hosted);
      if (this.#look(hosted)) return;
    }
    for (const atMs of this.#dueMs.values()) nextMs = Math.min(nextMs, atMs);
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs);
  }

  /** Answers whether a pass has begun. */
  #look(hosted: HostedLog): boolean {
    if (hosted.failure !== undefined) return false;
    if (this.#port.isShortOfSpace()) {
      this.#lookIn(hosted, Math.max(FAILED_MS, this.#paceMs));
      return false;
    }
    try {
      const rules = hosted.compaction;
      return rules === undefined ? this.#lookForNeedless(hosted) : this.#lookAt(hosted, rules);
    } catch (error) {
      this.#failed(hosted, error);
      return false;
    }
  }

  #lookAt(hosted: HostedLog, rules: CompactionRules): boolean {
    const segments = hosted.stored.sealedSegments();
    const { endOffset, nowMs } = hosted.age.compactable(rules);
    const counted = dirtOf(segments, endOffset);
    const isOld = counted.firstDirty >= 0 && hosted.age.ageMs(counted.firstDirty) >= rules.maxLagMs;
    if (counted.dirtyBytes > 0 && (isOld || isWorth(counted, rules))) {
      this.#begin(hosted, rules, { endOffset, nowMs });
      return true;
    }
    if (segments.some(({ isDamaged }) => isDamaged)) {
      // Nothing is told when it is repaired.
      this.#lookIn(hosted, Math.max(FAILED_MS, this.#paceMs));
      return false;
    }
    const all = dirtOf(
      segments.map((segment) => ({ ...segment, isCounted: true })),
      Number.POSITIVE_INFINITY,
    );
    if (all.dirtyBytes === 0) return false;
    const isHeldByStore = all.dirtyBytes > counted.dirtyBytes && isWorth(all, rules);
    if (isHeldByStore && segments.some(({ isCounted }) => !isCounted)) this.#checkpoint(hosted);
    // Waits to be old enough; what is committed meanwhile is looked at anyway.
    const lagMs = Math.min(Math.max(rules.minLagMs, this.#paceMs), rules.maxLagMs);
    if (isHeldByStore || rules.minLagMs > 0 || rules.maxLagMs < Number.POSITIVE_INFINITY) {
      this.#lookIn(hosted, Math.max(this.#paceMs, Math.min(lagMs, LOOK_MS_MAX) / 4));
    }
    return false;
  }

  #lookForNeedless(hosted: HostedLog): boolean {
    const look = this.needless.look(hosted, this.#port.nowMs());
    switch (look.kind) {
      case 'nothing':
        return false;
      case 'later':
        this.#lookIn(hosted, Math.max(look.delayMs, this.#paceMs));
        return false;
      case 'unready':
        this.#makeReady(hosted, look.isCounted);
        this.#lookIn(hosted, this.#paceMs);
        return false;
      case 'pass':
        this.#beginNeedless(hosted, look);
        return true;
    }
  }

  #makeReady(hosted: HostedLog, isCounted: boolean): void {
    const { stored } = hosted;
    const state = hosted.snapshotWanted();
    if (state !== undefined && state.seq > stored.snapshotSeq) {
      stored.putState(state.seq, state.bytes);
    }
    if (!isCounted) this.#checkpoint(hosted);
  }

  #checkpoint(hosted: HostedLog): void {
    this.#port.checkpoint().catch((error: unknown) => {
      const { logId } = hosted;
      this.#port.log.debug('no checkpoint for a compaction', { logId, why: messageOf(error) });
    });
  }

  #begin(
    hosted: HostedLog,
    rules: CompactionRules,
    { endOffset, nowMs }: { readonly endOffset: number; readonly nowMs: number },
  ): void {
    const startedMs = this.#port.nowMs();
    const { deleteRetentionMs } = rules;
    const segmentBytesMax = hosted.segmentBytesMax;
    const plan = {
      endOffset,
      nowMs,
      deleteRetentionMs,
      segmentBytesMax,
      mapBytesMax: this.#mapBytesMax,
      seed: this.#port.seed(),
    };
    this.#go(hosted, async (port) => {
      this.#note(hosted, await compactLog(hosted.stored, plan, port), startedMs);
      return hosted.compaction !== undefined;
    });
  }

  #beginNeedless(
    hosted: HostedLog,
    { group, needed }: Extract<NeedlessLook, { readonly kind: 'pass' }>,
  ): void {
    const startedMs = this.#port.nowMs();
    this.#go(hosted, async (port) => {
      const result = await dropNeedless(hosted.stored, group, needed, port);
      const endedMs = this.#port.nowMs();
      const durationMs = endedMs - startedMs;
      this.needless.ended(hosted, group, result, durationMs);
      hosted.lastPass = { ...result, endedMs, durationMs };
      this.#port.log.debug('rewritten', { logId: hosted.logId, ...result, durationMs });
      return true;
    });
  }

  /** `pass` answers whether the log is to be looked at again: more may have come meanwhile. */
  #go(hosted: HostedLog, pass: (port: PassPort) => Promise<boolean>): void {
    this.#running = hosted;
    const { faults } = this.#port;
    pass({
      run: (task) => this.#run(task),
      paced: (bytes) => this.#paced(bytes),
      ...(faults === undefined ? {} : { faults }),
    })
      .then((isAgain) => {
        if (isAgain) this.#lookIn(hosted, this.#paceMs);
      })
      .catch((error: unknown) => this.#failed(hosted, error))
      .then(() => {
        this.#running = undefined;
        this.#next();
      })
      .catch((error: unknown) => {
        this.#port.log.error('compaction stands still', { why: messageOf(error) });
      });
  }

  async #run(task: CompactionTask): Promise<MapAnswer | FilterAnswer> {
    if (this.#isStopped) throw new Error('the shard stops');
    return this.#port.run(task);
  }

  #note(hosted: HostedLog, result: PassResult, startedMs: number): void {
    const { counters } = this;
    const endedMs = this.#port.nowMs();
    const durationMs = endedMs - startedMs;
    counters.passes += 1;
    if (result.outcome === 'void') counters.passesCut += 1;
    counters.bytesIn += result.bytesIn;
    counters.bytesOut += result.bytesOut;
    counters.recordsGone += result.recordsIn - result.recordsOut;
    counters.tombstonesGone += result.tombstonesGone;
    counters.passMs += durationMs;
    hosted.lastPass = { ...result, endedMs, durationMs };
    this.#port.log.debug('compacted', { logId: hosted.logId, ...result, durationMs });
  }

  /** The log stays as it is. What is damaged is found by its readers too, who say so to their clients. */
  #failed(hosted: HostedLog, error: unknown): void {
    if (this.#isStopped) return;
    const { counters } = hosted.compaction === undefined ? this.needless : this;
    counters.passesCut += 1;
    const { logId } = hosted;
    this.#port.log.warn('a log was not compacted', { logId, why: messageOf(error) });
    this.#lookIn(hosted, Math.max(FAILED_MS, this.#paceMs));
  }

  #paced(bytes: number): Promise<void> {
    this.#owedMs += (1_000 * bytes) / this.#bytesPerSecond;
    const pauseMs = this.#owedMs;
    if (pauseMs < PAUSE_MS_MIN && !this.#isStopped) return Promise.resolve();
    this.#owedMs = 0;
    return new Promise((resolve, reject) => {
      if (this.#isStopped) reject(new Error('the shard stops'));
      else this.#port.after(pauseMs, resolve);
    });
  }
}

function isWorth(
  { dirtyBytes, totalBytes }: { readonly dirtyBytes: number; readonly totalBytes: number },
  { minDirtyRatio }: CompactionRules,
): boolean {
  return dirtyBytes > 0 && dirtyBytes / totalBytes >= minDirtyRatio;
}
