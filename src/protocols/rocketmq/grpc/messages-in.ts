// Messages that clients send, checked and turned into records: body to value, message group to key (so that
// order per group is order per key), everything else to headers. docs/reference/rocketmq.md has the table.
import type { RecordHeader } from '../../../records/batch-builder.ts';
import { encodeUtf8, utf8Size } from '../../../std/bytes.ts';
import type { RocketLimits } from './limits.ts';
import { refuseMessageId } from './message-id.ts';
import type { MessageKind, NewRecord } from './ports.ts';
import { Header, isReserved } from './properties.ts';
import type { DecodedOf } from './proto/index.ts';
import { Refusal } from './refusal.ts';
import type { Message } from './schema/definition.ts';
import { Code, DigestType, Encoding, MessageType } from './schema/enums.ts';
import { timestampMs } from './times.ts';

type MessageIn = DecodedOf<typeof Message>;
type SystemProperties = NonNullable<MessageIn['systemProperties']>;

/** A message that can be stored. */
export interface Sendable {
  readonly messageId: string;
  /** What its topic has to take. */
  readonly kind: MessageKind;
  /** '' unless FIFO. */
  readonly group: string;
  readonly record: NewRecord;
}

export interface SendRules {
  readonly limits: RocketLimits;
  readonly wallMs: number;
  md5Hex(bytes: Uint8Array): string;
  /** Throws if the bytes are no gzip or unpack to more than the limit; undefined: gzip is not known here. */
  unpack(bytes: Uint8Array, bytesMax: number): Uint8Array | undefined;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is refused.
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;

export function sendable(message: MessageIn, rules: SendRules): Sendable | Refusal {
  const system = message.systemProperties;
  if (system === undefined) {
    return new Refusal(Code.MESSAGE_CORRUPTED, 'a message has system properties');
  }
  const kind = kindOf(system, rules);
  if (kind instanceof Refusal) return kind;
  const refusal =
    refuseId(system) ??
    refuseGroup(system, kind, rules.limits) ??
    refuseWords(system) ??
    refuseProperties(message, system, rules.limits);
  if (refusal !== undefined) return refusal;
  const body = bodyOf(message.body, system, rules);
  if (body instanceof Refusal) return body;
  const bornMs = system.bornTimestamp && timestampMs(system.bornTimestamp);
  const group = kind === 'fifo' ? system.messageGroup! : '';
  return {
    messageId: system.messageId,
    kind,
    group,
    record: {
      timestampMs: bornMs ?? rules.wallMs,
      key: group === '' ? null : encodeUtf8(group),
      value: body,
      headers: headersOf(message, system),
    },
  };
}

/** What is not honoured is refused, and never stored as something less. */
function kindOf(system: SystemProperties, rules: SendRules): MessageKind | Refusal {
  const unserved = (what: string): Refusal =>
    new Refusal(Code.NOT_IMPLEMENTED, `${what} messages are not served yet`);
  if (system.liteTopic !== undefined || system.messageType === MessageType.LITE) {
    return unserved('lite');
  }
  if (system.priority !== undefined || system.messageType === MessageType.PRIORITY) {
    return unserved('priority');
  }
  if (system.messageType === MessageType.TRANSACTION) return unserved('transactional');
  const due = system.deliveryTimestamp;
  if (system.messageType === MessageType.DELAY && due === undefined) {
    return new Refusal(Code.ILLEGAL_DELIVERY_TIME, 'a delayed message says when it is due');
  }
  if (due !== undefined) {
    const dueMs = timestampMs(due);
    if (dueMs === undefined) return new Refusal(Code.ILLEGAL_DELIVERY_TIME, 'no such time');
    if (dueMs > rules.wallMs) return unserved('delayed');
    // What is due already waits for nothing.
    if (system.messageType === MessageType.DELAY) return 'delay';
  }
  if (system.messageType === MessageType.FIFO) return 'fifo';
  if (system.messageType === MessageType.NORMAL) return 'normal';
  return new Refusal(
    Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE,
    `there is no message type ${system.messageType}`,
  );
}

function refuseId({ messageId }: SystemProperties): Refusal | undefined {
  const reason = refuseMessageId(messageId);
  return reason === undefined ? undefined : new Refusal(Code.ILLEGAL_MESSAGE_ID, reason);
}

function refuseGroup(
  { messageGroup }: SystemProperties,
  kind: MessageKind,
  { messageGroupCharsMax }: RocketLimits,
): Refusal | undefined {
  const illegal = (reason: string): Refusal => new Refusal(Code.ILLEGAL_MESSAGE_GROUP, reason);
  if (kind !== 'fifo') {
    if (messageGroup === undefined || messageGroup === '') return undefined;
    return new Refusal(
      Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE,
      'a message with a group is of type FIFO',
    );
  }
  if (messageGroup === undefined || messageGroup.trim() === '') {
    return illegal('a FIFO message has a group');
  }
  if (messageGroup.length >= messageGroupCharsMax) {
    return illegal(`a message group has fewer than ${messageGroupCharsMax} characters`);
  }
  return CONTROL.test(messageGroup) ? illegal('a message group has control characters') : undefined;
}

function refuseWords({ tag, keys }: SystemProperties): Refusal | undefined {
  if (tag !== undefined && tag !== '') {
    const reason = refuseWord(tag) ?? (tag.includes('|') ? 'contains "|"' : undefined);
    if (reason !== undefined) return new Refusal(Code.ILLEGAL_MESSAGE_TAG, `the tag ${reason}`);
  }
  for (const key of keys) {
    const reason = refuseWord(key);
    if (reason !== undefined) return new Refusal(Code.ILLEGAL_MESSAGE_KEY, `a key ${reason}`);
  }
  return undefined;
}

function refuseWord(word: string): string | undefined {
  if (word.trim() === '') return 'is blank';
  return CONTROL.test(word) ? 'has control characters' : undefined;
}

function refuseProperties(
  { userProperties }: MessageIn,
  { tag, keys }: SystemProperties,
  { userPropertiesMax, propertyBytesMax }: RocketLimits,
): Refusal | undefined {
  const tooLarge = (reason: string): Refusal =>
    new Refusal(Code.MESSAGE_PROPERTIES_TOO_LARGE, reason);
  if (userProperties.size > userPropertiesMax) {
    return tooLarge(`a message has at most ${userPropertiesMax} properties`);
  }
  let size = utf8Size(tag ?? '');
  for (const key of keys) size += utf8Size(key) + 1;
  for (const [name, value] of userProperties) {
    const reason = refuseProperty(name, value);
    if (reason !== undefined) return new Refusal(Code.ILLEGAL_MESSAGE_PROPERTY_KEY, reason);
    size += utf8Size(name) + utf8Size(value);
  }
  if (size <= propertyBytesMax) return undefined;
  return tooLarge(`the properties of a message have at most ${propertyBytesMax} bytes`);
}

function refuseProperty(name: string, value: string): string | undefined {
  if (name === '') return 'a property has a name';
  if (isReserved(name)) return `the property ${name} is the system's`;
  if (CONTROL.test(name) || CONTROL.test(value)) return 'a property has control characters';
  return undefined;
}

function bodyOf(
  body: Uint8Array,
  { bodyEncoding, bodyDigest }: SystemProperties,
  rules: SendRules,
): Uint8Array | Refusal {
  const { bodyBytesMax } = rules.limits;
  const tooLarge = (): Refusal =>
    new Refusal(Code.MESSAGE_BODY_TOO_LARGE, `a body has at most ${bodyBytesMax} bytes`);
  if (body.length === 0) return new Refusal(Code.MESSAGE_BODY_EMPTY, 'a message has a body');
  if (body.length > bodyBytesMax) return tooLarge();
  // CRC32 is written in different ways by different clients, and SHA1 is made by none.
  if (bodyDigest?.type === DigestType.MD5) {
    if (bodyDigest.checksum.toUpperCase() !== rules.md5Hex(body)) {
      return new Refusal(Code.MESSAGE_CORRUPTED, 'the body is not what its digest says');
    }
  }
  if (bodyEncoding !== Encoding.GZIP) return body;
  // Stored plain, so that every protocol can read it.
  try {
    const plain = rules.unpack(body, bodyBytesMax);
    if (plain !== undefined) return plain;
    return new Refusal(Code.NOT_IMPLEMENTED, 'compressed bodies are not taken here');
  } catch {
    return new Refusal(
      Code.MESSAGE_CORRUPTED,
      `the body is no gzip, or has more than ${bodyBytesMax} bytes`,
    );
  }
}

function headersOf(message: MessageIn, system: SystemProperties): RecordHeader[] {
  const headers: RecordHeader[] = [];
  const put = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') headers.push({ name, value: encodeUtf8(value) });
  };
  put(Header.messageId, system.messageId);
  put(Header.tag, system.tag);
  for (const key of system.keys) put(Header.key, key);
  put(Header.bornHost, system.bornHost);
  put(Header.traceContext, system.traceContext);
  const dueMs = system.deliveryTimestamp && timestampMs(system.deliveryTimestamp);
  if (dueMs !== undefined) put(Header.deliverAtMs, String(dueMs));
  for (const [name, value] of message.userProperties) {
    headers.push({ name, value: encodeUtf8(value) });
  }
  return headers;
}
