// What goes wrong in AMQP 0-9-1, in its own numbers: reply codes and their scope as in the 0-9-1 specification
// (section 1.2 "constants"), texts in the form that RabbitMQ gives them: `NAME - explanation`, at most 255 bytes.
import { utf8Size } from '../../../std/bytes.ts';
import { BrokerError } from '../../../std/errors.ts';
import { bytesAsNumbers } from './terms.ts';

/** How much a mistake costs: the channel (channel.close) or the whole connection (connection.close). */
export type ErrorScope = 'channel' | 'connection';

interface Reply {
  readonly code: number;
  readonly scope: ErrorScope;
}

const soft = (code: number): Reply => ({ code, scope: 'channel' });
const hard = (code: number): Reply => ({ code, scope: 'connection' });

/** The reply codes that are mistakes. 312 and 313 only ever stand in basic.return. */
export const REPLIES = Object.freeze({
  CONTENT_TOO_LARGE: soft(311),
  NO_ROUTE: soft(312),
  NO_CONSUMERS: soft(313),
  CONNECTION_FORCED: hard(320),
  INVALID_PATH: hard(402),
  ACCESS_REFUSED: soft(403),
  NOT_FOUND: soft(404),
  RESOURCE_LOCKED: soft(405),
  PRECONDITION_FAILED: soft(406),
  FRAME_ERROR: hard(501),
  SYNTAX_ERROR: hard(502),
  COMMAND_INVALID: hard(503),
  CHANNEL_ERROR: hard(504),
  UNEXPECTED_FRAME: hard(505),
  RESOURCE_ERROR: hard(506),
  NOT_ALLOWED: hard(530),
  NOT_IMPLEMENTED: hard(540),
  INTERNAL_ERROR: hard(541),
} as const);

export type ReplyName = keyof typeof REPLIES;

/** The method that an error is about; both 0: none, as for frame errors. */
export interface MethodIds {
  readonly classId: number;
  readonly methodId: number;
}

export const NO_METHOD: MethodIds = Object.freeze({ classId: 0, methodId: 0 });

const REPLY_TEXT_BYTES_MAX = 255;
const CUT_MARK = '...';

/** `NAME - explanation`, cut to 255 bytes of UTF-8 between characters and then ending in `...`. */
export function replyText(reply: ReplyName, explanation: string): string {
  const text = explanation === '' ? reply : `${reply} - ${explanation}`;
  if (utf8Size(text) <= REPLY_TEXT_BYTES_MAX) return text;
  let size = CUT_MARK.length;
  let cut = '';
  for (const character of text) {
    size += utf8Size(character);
    if (size > REPLY_TEXT_BYTES_MAX) break;
    cut += character;
  }
  return cut + CUT_MARK;
}

/**
 * A mistake of a peer, or a refusal, that ends its channel or its connection. `code` is `AMQP_` and the name of
 * the reply code.
 */
export class AmqpError extends BrokerError {
  readonly code: `AMQP_${ReplyName}`;
  readonly reply: ReplyName;
  readonly method: MethodIds;

  constructor(reply: ReplyName, explanation: string, method: MethodIds = NO_METHOD) {
    super(explanation, { classId: method.classId, methodId: method.methodId });
    this.code = `AMQP_${reply}`;
    this.reply = reply;
    this.method = method;
  }

  get replyCode(): number {
    return REPLIES[this.reply].code;
  }

  /** What stands in channel.close or connection.close: at most 255 bytes. */
  get replyText(): string {
    return replyText(this.reply, this.message);
  }

  /** On channel 0 every error ends the connection. */
  scopeOn(channel: number): ErrorScope {
    return channel === 0 ? 'connection' : REPLIES[this.reply].scope;
  }
}

/** The text shows what could not be decoded, cut to what a reply text holds. */
export function undecodable(
  bytes: Uint8Array,
  at: number,
  end: number,
  method: MethodIds,
): AmqpError {
  // A byte is at least two characters of the text, which has 255.
  const shown = bytes.subarray(at, Math.min(end, at + 128));
  return new AmqpError('FRAME_ERROR', `cannot decode ${bytesAsNumbers(shown)}`, method);
}

/** A value to be encoded does not fit its field; nothing of its frame was written. The caller's mistake. */
export class AmqpEncodeError extends BrokerError {
  readonly code = 'AMQP_OUT_OF_RANGE';

  constructor(field: string, value: unknown) {
    super(`does not fit ${field}`, { value: String(value) });
  }
}
