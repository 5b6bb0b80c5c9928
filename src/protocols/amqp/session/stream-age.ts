// Ages as RabbitMQ writes them for streams: a number and a unit, such as `7D` (rabbit_amqqueue:check_max_age).

const SECOND_MS = 1_000;
const DAY_MS = 86_400 * SECOND_MS;
/** A month has 30 days and a year 365, as in RabbitMQ. */
const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ['Y', 365 * DAY_MS],
  ['M', 30 * DAY_MS],
  ['D', DAY_MS],
  ['h', 3_600 * SECOND_MS],
  ['m', 60 * SECOND_MS],
  ['s', SECOND_MS],
]);

/** Milliseconds, or undefined for what is no age. */
export function ageOf(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? /^([0-9]{1,15})([YMDhms])$/.exec(text) : null;
  if (parts === null) return undefined;
  const ageMs = Number(parts[1]) * UNITS_MS.get(parts[2]!)!;
  return ageMs > 0 && Number.isSafeInteger(ageMs) ? ageMs : undefined;
}
