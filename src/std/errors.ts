// The base of every error that callers are expected to meet. Codes are AREA_WHAT and are never
// renamed; errors cross threads and nodes as code, message and details, and nobody parses the
// message.

/** What an error becomes on a wire or in a log. */
export interface ErrorFacts {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * An expected failure of a shell or an API.
 *
 * @example
 * class QueueFullError extends BrokerError { readonly code = 'QUEUE_FULL'; }
 */
export abstract class BrokerError extends Error {
  /** AREA_WHAT, stable for ever. */
  abstract readonly code: string;
  /** True if the same call may succeed later without the caller changing anything. */
  readonly retryable: boolean = false;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.details = details;
  }

  facts(): ErrorFacts {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      details: this.details,
    };
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
