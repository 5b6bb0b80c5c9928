// Checks for programmer errors. They stay on in production: a broken invariant stops the actor that
// broke it before it can write anything. Not for bad input: that is a typed result or a
// BrokerError.

/** A broken invariant of this program, never something that a peer or a disk can cause. */
export class AssertionError extends Error {
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'AssertionError';
    this.details = details;
  }
}

/**
 * Throws {@link AssertionError} unless `condition` holds.
 *
 * `details` is built by the caller even when the check passes: on a hot path leave it out or guard
 * it.
 *
 * @example
 * assert(tag < next, 'AckTracker: tag must be outstanding', { tag, next });
 */
export function assert(
  condition: unknown,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new AssertionError(message, details);
}

/** For the default arm of an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never, message = 'unreachable'): never {
  throw new AssertionError(message, { value });
}
