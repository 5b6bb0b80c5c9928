// Searches in the logs of one shard by key, tag and message id: how many at once, how fast they read, and for how
// long. The work itself is storage's (record-index/search.ts). Answered by whoever leads the log, up to what is
// committed; a search whose time is over says how far it came.
import type { Log } from '../../env/environment.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { messageOf } from '../../std/errors.ts';
import type { SegmentLookup, StoredLog } from '../../storage/api.ts';
import { isShortOfDescriptors } from '../../storage/errors.ts';
import type { RecordIndex } from '../../storage/record-index/index-file.ts';
import { RecordIndexes } from '../../storage/record-index/indexes.ts';
import { findRecords } from '../../storage/record-index/search.ts';
import type { RecordRun } from '../../storage/record-index/work.ts';
import type { FindInput, FoundInput, LogResult } from '../ports.ts';

export interface RecordSearchesPort {
  readonly log: Log;
  readonly crc32c: Crc32c;
  readonly run: RecordRun;
  nowMs(): number;
  after(delayMs: number, fire: () => void): void;
  isShortOfSpace(): boolean;
}

/** At once; who asks for more is told to come back. */
const SEARCHES_MAX = 32;
/** Of what is read and written, for all searches and indexes of a shard. */
const BYTES_PER_SECOND = 64 << 20;
/** Shorter pauses are put together. */
const PAUSE_MS_MIN = 5;

export class RecordSearches {
  readonly #port: RecordSearchesPort;
  readonly #indexes: RecordIndexes;
  #running = 0;
  #owedMs = 0;
  #isStopped = false;

  constructor(port: RecordSearchesPort) {
    this.#port = port;
    this.#indexes = new RecordIndexes({
      log: port.log,
      crc32c: port.crc32c,
      run: this.#run,
      paced: (bytes) => this.#paced(bytes),
      isShortOfSpace: () => port.isShortOfSpace(),
    });
  }

  get counters() {
    return this.#indexes.counters;
  }

  /** Looks in what lies below `committedOffset`; `answer` hears of it once, unless the shard stops. */
  find(
    stored: StoredLog,
    committedOffset: number,
    input: FindInput,
    answer: (found: FoundInput) => void,
  ): void {
    const { timeoutMs } = input;
    const edge = input.isNewestFirst ? input.endOffset : input.fromOffset;
    const refuse = (result: LogResult): void => {
      answer({ result, offsets: [], edge, isComplete: false, unread: 0 });
    };
    if (this.#running >= SEARCHES_MAX) {
      refuse('throttled');
      return;
    }
    this.#running += 1;
    const dueMs = this.#port.nowMs() + timeoutMs;
    const over = new Promise<undefined>((resolve) => {
      this.#port.after(timeoutMs, () => resolve(undefined));
    });
    const index = (log: StoredLog, lent: SegmentLookup, refused: RecordIndex | undefined) =>
      Promise.race([this.#indexes.open(log, lent, refused), over]);
    const { kind, value, fromOffset, sinceMs, untilMs, isNewestFirst, max } = input;
    const endOffset = Math.min(input.endOffset, committedOffset);
    findRecords(
      stored,
      {
        ...{ lookup: { kind, value }, fromOffset, endOffset, isNewestFirst, max },
        sinceMs: sinceMs < 0 ? Number.NEGATIVE_INFINITY : sinceMs,
        untilMs: untilMs < 0 ? Number.POSITIVE_INFINITY : untilMs,
      },
      {
        index,
        run: this.#run,
        paced: (bytes) => this.#paced(bytes),
        isOver: () => this.#port.nowMs() >= dueMs,
      },
    )
      .then(
        (found) => answer({ result: 'ok', ...found }),
        (error: unknown) => {
          if (this.#isStopped) return;
          const { logId } = stored;
          this.#port.log.warn('a log was not searched', { logId, why: messageOf(error) });
          refuse(isShortOfDescriptors(error) ? 'not-available' : 'storage-error');
        },
      )
      .finally(() => {
        this.#running -= 1;
      })
      .catch((error: unknown) => {
        this.#port.log.error('a search was not answered', { why: messageOf(error) });
      });
  }

  readonly #run: RecordRun = async (task) => {
    if (this.#isStopped) throw new Error('the shard stops');
    return this.#port.run(task);
  };

  #paced(bytes: number): Promise<void> {
    this.#owedMs += (1_000 * bytes) / BYTES_PER_SECOND;
    const pauseMs = this.#owedMs;
    if (pauseMs < PAUSE_MS_MIN && !this.#isStopped) return Promise.resolve();
    this.#owedMs = 0;
    return new Promise((resolve, reject) => {
      if (this.#isStopped) reject(new Error('the shard stops'));
      else this.#port.after(pauseMs, resolve);
    });
  }

  stop(): void {
    this.#isStopped = true;
  }
}
