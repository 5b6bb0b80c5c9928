// Reads what has settled, now and then, slowly, and checks it: headers, and the CRC of every batch. One walker per
// shard, which costs nothing between its passes but one timer. What it finds is quarantined at once (nobody is
// served from that segment any more) and left to the owner to repair. It reads past the memory of the log, not past
// the page cache: rot below what is cached shows when the cache has let go of it.
//
// The end of the last pass is kept in `<store>/scrub`, so that a shard that is started often is scrubbed too.
import type { Cancel } from '../env/environment.ts';
import { batchSize } from '../records/batch.ts';
import { messageOf } from '../std/errors.ts';
import { errnoOf } from './errors.ts';
import type { LogHost } from './log-host.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, type Segment } from './segment.ts';
import { firstUnsound } from './sound-batches.ts';
import { decodeScrub, encodeScrub } from './store-files.ts';
import type { StoredLogCore } from './stored-log.ts';

const WINDOW_BYTES = 256 * 1024;
const BATCH_PREFIX_BYTES = 12;
/** Logs without anything settled that are passed over in one step. */
const EMPTY_STEP = 256;
/** What is due at a start waits for what the start is about. */
const FIRST_MS = 1_000;
const LONGEST_TIMER_MS = 0x7fff_ffff;

export class Scrubber {
  readonly #host: LogHost;
  readonly #logs: ReadonlyMap<number, StoredLogCore>;
  #cancel: Cancel | undefined;
  #wake: (() => void) | undefined;
  #isStopped = false;

  constructor(host: LogHost, logs: ReadonlyMap<number, StoredLogCore>) {
    this.#host = host;
    this.#logs = logs;
  }

  start(): void {
    const { scrubIntervalMs } = this.#host.options;
    if (scrubIntervalMs === 0) return;
    const { clock } = this.#host.env;
    const nowMs = clock.wallMs();
    const lastMs = this.#lastMs();
    // A new folder counts as scrubbed: else one that is started often would never be.
    if (lastMs === undefined) this.#keep(nowMs);
    // A clock that went back must not put it off for ever.
    const sinceMs = Math.max(0, nowMs - (lastMs ?? nowMs));
    this.#arm(Math.max(FIRST_MS, scrubIntervalMs - sinceMs));
  }

  /** Damage is known: the next start looks at once, unless the next pass finds none. */
  suspect(): void {
    if (this.#host.options.scrubIntervalMs > 0) this.#keep(0);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  // ---- When -----------------------------------------------------------------------------------

  #arm(delayMs: number): void {
    if (this.#isStopped) return;
    const { clock, timers } = this.#host.env;
    const nextMs = Math.min(delayMs, LONGEST_TIMER_MS);
    this.#cancel = timers.at(clock.monotonicMs() + nextMs, () => {
      this.#cancel = undefined;
      if (delayMs > nextMs) this.#arm(delayMs - nextMs);
      else this.#pass().catch((error: unknown) => this.#failed(error));
    });
  }

  #failed(error: unknown, logId = -1): void {
    if (this.#isStopped || this.#host.isStopped) return;
    this.#host.env.log.warn('a scrub did not finish', {
      why: messageOf(error),
      ...(logId < 0 ? {} : { logId }),
    });
  }

  get #path(): string {
    return `${this.#host.options.directory}/scrub`;
  }

  #lastMs(): number | undefined {
    try {
      const bytes = this.#host.env.disk.readFile(this.#path);
      return bytes === undefined ? undefined : decodeScrub(bytes);
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #keep(lastMs: number): void {
    try {
      this.#host.env.disk.replaceFile(this.#path, encodeScrub(lastMs));
    } catch (error) {
      // Without it the next start scrubs sooner or later than it should.
      this.#failed(error);
    }
  }

  // ---- A pass ---------------------------------------------------------------------------------

  async #pass(): Promise<void> {
    const { env, counters, options } = this.#host;
    const bytesBefore = counters.scrubBytes;
    let isWhole = true;
    try {
      let passedOver = 0;
      const logIds = [...this.#logs.keys()];
      counters.scrubLogs = logIds.length;
      for (const [i, logId] of logIds.entries()) {
        counters.scrubLogsLeft = logIds.length - i;
        const log = this.#logs.get(logId);
        if (log === undefined || log.isMemory) continue;
        if (log.settledOffset > log.startOffset) {
          await this.#scrubLog(log).catch((error: unknown) => {
            isWhole = false;
            this.#failed(error, logId);
          });
        } else passedOver += 1;
        if (passedOver === EMPTY_STEP) {
          passedOver = 0;
          await this.#rest(0);
        }
        if (this.#isStopped) return;
      }
      counters.scrubPasses += 1;
      if (isWhole && counters.damagedSegments === 0) this.#keep(env.clock.wallMs());
      const bytes = counters.scrubBytes - bytesBefore;
      env.log.info('what has settled was scrubbed', { bytes, damaged: counters.damagedSegments });
    } finally {
      counters.scrubLogs = 0;
      counters.scrubLogsLeft = 0;
      this.#arm(options.scrubIntervalMs);
    }
  }

  async #scrubLog(log: StoredLogCore): Promise<void> {
    const wasLoaded = log.loadedSegments !== undefined;
    for (const segment of [...log.segments.list]) {
      if (log.isDeleted) return;
      if (!segment.isDoomed && !segment.isDamaged) await this.#scrubSegment(segment);
      if (this.#isStopped) return;
    }
    // What nobody else asks for need not stay in memory.
    if (!wasLoaded) log.forgetSegments();
  }

  /** What is counted when it begins. */
  async #scrubSegment(segment: Segment): Promise<void> {
    const { env, counters } = this.#host;
    const { length } = segment;
    const open = segment.pin();
    try {
      if (segment.isCut) return segment.foundDamaged(length);
      let bytes = new Uint8Array(Math.min(WINDOW_BYTES, length));
      let at = 0;
      let nextOffset = 0;
      while (at < length) {
        const want = Math.min(bytes.length, length - at);
        const count = await read(open, bytes.subarray(0, want), at);
        if (this.#isStopped) return;
        counters.scrubBytes += count;
        if (count < want) return segment.foundDamaged(at);
        if (at === 0) {
          const name = decodeSegmentHeader(bytes, env.crc32c, segment.path);
          const isOurs =
            name?.logId === segment.logId &&
            name.baseOffset === segment.baseOffset &&
            name.generation === segment.generation &&
            name.revision === segment.revision &&
            name.endOffset === segment.endOffset;
          if (!isOurs) return segment.foundDamaged(0);
          if (length === SEGMENT_HEADER_BYTES) return;
        }
        const from = at === 0 ? SEGMENT_HEADER_BYTES : 0;
        const found = firstUnsound(bytes.subarray(from, want), want - from, nextOffset, env.crc32c);
        if (found.isDamaged) return segment.foundDamaged(at + from + found.at);
        ({ nextOffset } = found);
        const step = from + found.at;
        if (found.at === 0) {
          // A batch that is larger than what was read, or no batch at all.
          const size = want - from < BATCH_PREFIX_BYTES ? 0 : batchSize(bytes, from);
          const isMore = size > want - from && at + from + size <= length;
          if (!isMore) return segment.foundDamaged(at + from);
          bytes = new Uint8Array(size);
          at += from;
        } else at += step;
        await this.#rest(want);
        if (this.#isStopped || segment.isDoomed) return;
      }
    } catch (error) {
      // A sector that cannot be read is damaged; anything else says nothing about it.
      if (errnoOf(error) !== 'EIO') throw error;
      segment.foundDamaged(0);
    } finally {
      segment.unpin(open);
    }
  }

  /** Until `bytes` were worth their time. */
  #rest(bytes: number): Promise<void> {
    const { env, options } = this.#host;
    const dueMs = env.clock.monotonicMs() + (bytes * 1000) / options.scrubBytesPerSecond;
    return new Promise((resolve) => {
      const cancel = env.timers.at(dueMs, () => {
        this.#wake = undefined;
        resolve();
      });
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#isStopped) this.#wake();
    });
  }
}

function read(
  open: ReturnType<Segment['pin']>,
  into: Uint8Array,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    open.file.read(into, position, (error, count) => {
      if (error === undefined) resolve(count);
      else reject(error);
    });
  });
}
