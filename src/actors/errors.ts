// Failures of the runtime as code + facts. Errors cross threads and nodes as (code, message) and are
// rebuilt by code, never by class, so nothing may rely on `instanceof` across a wire.
import { BrokerError } from '../std/errors.ts';

/** Why an ask failed, or why a spawn was refused. Codes are never renamed. */
export type ActorErrorCode =
  | 'ACTOR_ASK_TIMEOUT'
  | 'ACTOR_ASK_LIMIT'
  | 'ACTOR_CANCELLED'
  | 'ACTOR_FULL'
  | 'ACTOR_GONE'
  | 'ACTOR_STOPPED'
  | 'ACTOR_FAILED'
  | 'ACTOR_THREAD_LOST'
  | 'ACTOR_NODE_LOST'
  | 'ACTOR_UNREACHABLE'
  | 'ACTOR_MALFORMED'
  | 'ACTOR_MISUSE';

export class ActorError extends BrokerError {
  /** An ActorErrorCode, or the code of an error that a handler threw on another thread or node. */
  readonly code: string;

  constructor(
    code: ActorErrorCode | (string & {}),
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ) {
    super(message, details, cause);
    this.code = code;
  }
}

/** The code of any thrown value: its own `code` if that is a text, else ACTOR_FAILED. */
export function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : 'ACTOR_FAILED';
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new ActorError('ACTOR_FAILED', String(error));
}
