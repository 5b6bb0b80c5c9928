// Durations of one kind, in 32 buckets that double: how many samples, their mean, their longest, and
// bounds of quantiles. One array of fixed size, made with the first sample. Pure: durations come in.

/** In milliseconds. `p50Ms` and `p99Ms` are upper bounds, at most twice the exact value; all 0 without samples. */
export interface TimingInfo {
  readonly samples: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Bucket b holds what is below 2^b microseconds: the last one what is longer than 35 minutes, too. */
const BUCKETS = 32;
const MICROS_MAX = 2 ** (BUCKETS - 1) - 1;

export class Timing {
  samples = 0;
  sumMs = 0;
  maxMs = 0;
  #buckets: number[] | undefined;

  add(ms: number): void {
    this.#buckets ??= new Array<number>(BUCKETS).fill(0);
    const micros = Math.min(MICROS_MAX, Math.max(0, Math.ceil(ms * 1_000)));
    this.#buckets[BUCKETS - Math.clz32(micros)]! += 1;
    this.samples += 1;
    this.sumMs += ms;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  info(): TimingInfo {
    const { samples, sumMs, maxMs } = this;
    return {
      samples,
      meanMs: samples === 0 ? 0 : toMicros(sumMs / samples),
      p50Ms: this.#quantileMs(0.5),
      p99Ms: this.#quantileMs(0.99),
      maxMs: toMicros(maxMs),
    };
  }

  #quantileMs(share: number): number {
    let left = Math.ceil(this.samples * share);
    for (const [bucket, count] of (this.#buckets ?? []).entries()) {
      left -= count;
      if (left <= 0) return toMicros(Math.min(2 ** bucket / 1_000, this.maxMs));
    }
    return 0;
  }
}

/** Milliseconds with three digits: more would say nothing, and make every snapshot longer. */
export function toMicros(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
