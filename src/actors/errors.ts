// Failures of the runtime as code + facts. Errors cross threads and nodes as (code, message, details) and
// are rebuilt by code, never by class, so nothing may rely on `instanceof` across a wire. What crosses is
// bounded: whoever throws a megabyte of text must not stop its own answers.
import { BrokerError, messageOf } from '../std/errors.ts';
import type { DeadReason } from './dead-letters.ts';

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

/** What the asker of a message hears that was thrown away. */
export function discarded(path: string, op: string, reason: DeadReason): ActorError {
  const code =
    reason === 'dropped'
      ? 'ACTOR_FULL'
      : reason === 'malformed'
        ? 'ACTOR_MALFORMED'
        : 'ACTOR_STOPPED';
  return new ActorError(code, `${path} ${reason}`, { op });
}

/** Characters of a code, of a message and of the details as JSON. */
const CODE_MAX = 128;
const MESSAGE_MAX = 4096;
const DETAILS_MAX = 4096;

/** A failure as it crosses a wire. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  /** JSON of texts, finite numbers and booleans by name. */
  readonly details: string;
}

/** Of anything that was thrown; never throws itself. */
export function failureOf(error: unknown): Failure {
  try {
    return {
      code: errorCode(error).slice(0, CODE_MAX),
      message: String(messageOf(error)).slice(0, MESSAGE_MAX),
      details: detailsOf(error),
    };
  } catch {
    // Its own getters throw: nothing of it can be read.
    return { code: 'ACTOR_FAILED', message: 'an error that cannot be read', details: '{}' };
  }
}

/** The plain fields of an error: its `details`, or what it has of its own. Too many of them are left out. */
function detailsOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '{}';
  const { details } = error as { readonly details?: unknown };
  const source = typeof details === 'object' && details !== null ? details : error;
  const plain: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(source)) {
    if (source === error && OWN_WORDS.includes(name)) continue;
    const isPlain = typeof value === 'string' || typeof value === 'boolean';
    if (isPlain || (typeof value === 'number' && Number.isFinite(value))) plain[name] = value;
  }
  const text = JSON.stringify(plain);
  return text.length > DETAILS_MAX ? '{}' : text;
}

const OWN_WORDS: readonly string[] = ['code', 'name', 'message', 'stack', 'cause', 'retryable'];

/** The details that a peer wrote; none if it is no JSON object. */
export function detailsFrom(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // A peer that wrote nonsense here has still told its code and message.
  }
  return {};
}
