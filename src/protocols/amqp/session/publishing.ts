// From a publish on the tape to the broker: what RabbitMQ refuses is refused, keys and headers are laid out for
// routing, and the message goes on in record form. Everything is lent by the tape and copied by the broker.
import type { RecordParts } from '../../../broker/ports.ts';
import { ByteReader, ByteWriter, encodeUtf8, readU32 } from '../../../std/bytes.ts';
import {
  DELIVERY_MODE,
  EXCHANGE_AT,
  EXCHANGE_SIZE,
  type FieldType,
  fieldOf,
  IMMEDIATE,
  MANDATORY,
  PROPERTY_NUMBER,
  PUBLISH_BITS,
  type Refusal,
  readTable,
  readText,
  refusals,
} from '../codec/index.ts';
import type { PublishedMessage } from '../mapping/published.ts';
import { writeRange } from '../mapping/text.ts';
import type { Channel } from './channel.ts';
import { writeHeaderForm } from './route-headers.ts';

const TRANSIENT = 1;
const NO_ROUTE = 312;
const NO_ROUTE_TEXT = encodeUtf8('NO_ROUTE');
const DIRECT_REPLY_TO = 'amq.rabbitmq.reply-to';
const TAG_ARRAY = 'A'.charCodeAt(0);
const TAG_LONGSTR = 'S'.charCodeAt(0);

/** Hands the message of a publish entry at ints[at] to the broker. */
export function publish(
  channel: Channel,
  ints: Int32Array,
  at: number,
  bytes: Uint8Array,
): Refusal | undefined {
  const { routes } = channel.host.exchanges;
  const { tools } = channel.host;
  const bits = ints[at + PUBLISH_BITS]!;
  if ((bits & IMMEDIATE) !== 0) return refusals.immediate();
  const nameAt = ints[at + EXCHANGE_AT]!;
  const nameEnd = nameAt + ints[at + EXCHANGE_SIZE]!;
  const exchange = routes.exchangeAt(bytes, nameAt, nameEnd);
  if (exchange < 0) {
    const missing = String(readText(bytes, nameAt, nameEnd - nameAt));
    const refusal = channel.rights.refuse('write', 'exchange', missing);
    return refusal ?? refusals.noExchange(missing, channel.vhost);
  }
  const { name, isInternal } = routes.exchange(exchange);
  if (!channel.rights.mayPublish(exchange, routes.version, name)) {
    return channel.rights.refuse('write', 'exchange', name);
  }
  if (isInternal) return refusals.internalExchange(name, channel.vhost);
  const { published: message, route } = tools;
  message.set(bytes, ints, at);
  const refusal = refuseProperties(channel, message);
  if (refusal !== undefined) return refusal;
  route.setKey(bytes, message.routingKeyAt, message.routingKeyAt + message.routingKeySize);
  if (message.headersAt >= 0) {
    if (message.ccTag !== 0 || message.bccTag !== 0) {
      const fault = addKeys(channel, message);
      if (fault !== undefined) return fault;
    }
    if (routes.wantsHeaders(exchange)) {
      writeHeaderForm(tools.form, tools.walk, message.propertyBytes, message.headersAt);
      route.setHeaders(tools.form.bytes, 0, tools.form.size);
    }
    while (message.bccTag !== 0) dropBcc(message);
  }
  const record = tools.toRecord.set(message);
  const isConfirmed = channel.confirms !== undefined;
  const ticket = channel.confirms?.next() ?? -1;
  // Who says that a message is transient need not wait for any disk.
  const isTransient = ints[at + DELIVERY_MODE] === TRANSIENT;
  const level = !isConfirmed ? 'none' : isTransient ? 'accepted' : 'stored';
  const isMandatory = (bits & MANDATORY) !== 0;
  channel.publisher.publish(exchange, route, record, level, ticket, isMandatory);
  return undefined;
}

function refuseProperties(channel: Channel, message: PublishedMessage): Refusal | undefined {
  if (message.has(PROPERTY_NUMBER.userId)) {
    const userId = textOf(message, PROPERTY_NUMBER.userId);
    const { user } = channel.host;
    if (userId !== user) return refusals.otherUserId(userId, user);
  }
  if (message.has(PROPERTY_NUMBER.expiration)) {
    const text = textOf(message, PROPERTY_NUMBER.expiration);
    return refusals.invalidExpiration(text, expirationFault(text));
  }
  if (message.has(PROPERTY_NUMBER.replyTo)) {
    if (textOf(message, PROPERTY_NUMBER.replyTo) === DIRECT_REPLY_TO) {
      return refusals.noReplyConsumer();
    }
  }
  return undefined;
}

function textOf({ propertyBytes, positions }: PublishedMessage, number: number): string {
  const at = positions[number]!;
  return String(readText(propertyBytes, at + 1, propertyBytes[at]!));
}

/** What RabbitMQ says of one that is no number; a good one is not honoured. */
function expirationFault(text: string): string {
  const digits = /^[+-]?\d+/.exec(text)?.[0];
  if (digits === undefined) return 'no_integer';
  if (digits.length < text.length) return `{leftover_string,"${text.slice(digits.length)}"}`;
  if (digits.startsWith('-')) return `{value_negative,${digits}}`;
  return 'messages do not expire in this version';
}

// ---- CC and BCC -----------------------------------------------------------------------------------

/** Long strings in the arrays of CC and BCC are more routing keys; other elements are passed over, as in RabbitMQ. */
function addKeys(channel: Channel, message: PublishedMessage): Refusal | undefined {
  const { route, walk } = channel.host.tools;
  const { ccTag, bccTag } = message;
  if (ccTag !== 0 && ccTag !== TAG_ARRAY)
    return refusals.invalidHeader('CC', typeOf(message, 'CC'));
  if (bccTag !== 0 && bccTag !== TAG_ARRAY) {
    return refusals.invalidHeader('BCC', typeOf(message, 'BCC'));
  }
  // The properties are still where the keys are.
  for (const valueAt of [ccTag === 0 ? -1 : message.ccAt, bccTag === 0 ? -1 : message.bccAt]) {
    if (valueAt < 0) continue;
    walk.openArray(message.propertyBytes, valueAt - 4);
    while (walk.next()) {
      if (walk.tag === TAG_LONGSTR) route.addKey(walk.valueAt, walk.valueAt + walk.valueSize);
    }
  }
  return undefined;
}

function typeOf(message: PublishedMessage, name: 'CC' | 'BCC'): FieldType {
  const { propertyBytes, headersAt, propertiesAt, propertiesSize } = message;
  const reader = new ByteReader(propertyBytes, headersAt, propertiesAt + propertiesSize);
  return fieldOf(readTable(reader), name)!.type;
}

/** Nobody but the publisher knows of BCC: the properties without it, in memory of their own. */
function dropBcc(message: PublishedMessage): void {
  const { propertyBytes: bytes, propertiesAt, propertiesSize, headersAt } = message;
  const { bccEntryAt, bccEntryEnd } = message;
  const writer = new ByteWriter(propertiesSize);
  writeRange(writer, bytes, propertiesAt, headersAt);
  writer.u32(readU32(bytes, headersAt) - (bccEntryEnd - bccEntryAt));
  writeRange(writer, bytes, headersAt + 4, bccEntryAt);
  writeRange(writer, bytes, bccEntryEnd, propertiesAt + propertiesSize);
  message.setProperties(writer.bytes, 0, writer.size);
}

// ---- Returns --------------------------------------------------------------------------------------

/** basic.return of a message that went nowhere; `record` is what was published. */
export function sendReturn(channel: Channel, record: RecordParts): void {
  const { ports, tools, frameBytesMax } = channel.host;
  const { outgoing } = tools;
  outgoing.channel = channel.number;
  outgoing.frameBytesMax = frameBytesMax;
  outgoing.deliveryTag = 0;
  outgoing.replyCode = NO_ROUTE;
  outgoing.replyText.set(NO_ROUTE_TEXT);
  tools.fromRecord.fill(record, outgoing);
  outgoing.writeReturn(ports.writer());
}
