// Timestamps and durations of Protocol Buffers as milliseconds. What lies beyond what their documents allow,
// or beyond a safe integer, has no value here.

interface Parts {
  readonly seconds: number;
  readonly nanos: number;
}

const NANOS_OF_MS = 1_000_000;
/** 9999-12-31, the end of timestamps, and as much of a duration. */
const SECONDS_MAX = 253_402_300_799;

/** Whole milliseconds since 1970, rounded down; undefined if it is no timestamp after 1970. */
export function timestampMs({ seconds, nanos }: Parts): number | undefined {
  if (seconds < 0 || seconds > SECONDS_MAX || nanos < 0 || nanos > 999_999_999) return undefined;
  return seconds * 1000 + Math.floor(nanos / NANOS_OF_MS);
}

/** Whole milliseconds, rounded down; undefined if it is no duration. Negative ones are durations. */
export function durationMs({ seconds, nanos }: Parts): number | undefined {
  if (Math.abs(seconds) > SECONDS_MAX || Math.abs(nanos) > 999_999_999) return undefined;
  if (seconds !== 0 && nanos !== 0 && seconds < 0 !== nanos < 0) return undefined;
  return seconds * 1000 + Math.floor(nanos / NANOS_OF_MS);
}

/** Of milliseconds since 1970, and of a duration that is not negative. */
export function partsOfMs(ms: number): Parts {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - seconds * 1000) * NANOS_OF_MS };
}
