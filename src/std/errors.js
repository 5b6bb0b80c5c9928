// The base of every error that callers are expected to meet. Codes are AREA_WHAT and are never
// renamed; errors cross threads and nodes as code, message and details, and nobody parses the
// message.
/**
 * An expected failure of a shell or an API.
 *
 * @example
 * class QueueFullError extends BrokerError { readonly code = 'QUEUE_FULL'; }
 */
export class BrokerError extends Error {
    /** True if the same call may succeed later without the caller changing anything. */
    retryable = false;
    details;
    constructor(message, details = {}, cause) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = new.target.name;
        this.details = details;
    }
    facts() {
        return {
            code: this.code,
            message: this.message,
            retryable: this.retryable,
            details: this.details,
        };
    }
}
/** The message of anything that was thrown. */
export function messageOf(thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
}
