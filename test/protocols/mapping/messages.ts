// Messages of each protocol in neutral words, as docs/reference/mapping.md has them: what a publisher said and what a
// reader was given alike. Nothing here is the broker's: it is what the broker is compared with.
import type {
  BasicProperties,
  FieldText,
  FieldValue,
} from '../../../src/protocols/amqp/codec/index.ts';
import { type Header, isUtf8, type Neutral, textOf, wordsOf } from './neutral.ts';

export interface AmqpMessage {
  readonly exchange: string;
  /** In neutral words. */
  readonly routingKey: string;
  readonly properties: BasicProperties;
  readonly body: Uint8Array;
}

const words = (text: FieldText): string =>
  typeof text === 'string' ? wordsOf(text) : textOf(text);

/** In the order in which AMQP has them; headers stand behind the second. */
const PROPERTIES = [
  ['contentType', 'content-type'],
  ['contentEncoding', 'content-encoding'],
  ['deliveryMode', 'delivery-mode'],
  ['priority', 'priority'],
  ['correlationId', 'correlation-id'],
  ['replyTo', 'reply-to'],
  ['expiration', 'expiration'],
  ['messageId', 'message-id'],
  ['timestamp', 'timestamp'],
  ['type', 'type'],
  ['userId', 'user-id'],
  ['appId', 'app-id'],
  ['clusterId', 'cluster-id'],
] as const;

export function ofAmqp({ exchange, routingKey, properties, body }: AmqpMessage): Neutral {
  const headers: Header[] = [];
  if (exchange !== '') headers.push({ name: 'amqp.exchange', value: wordsOf(exchange) });
  if (!isUtf8(routingKey)) headers.push({ name: 'amqp.routing-key', value: routingKey });
  PROPERTIES.forEach(([property, name], number) => {
    if (number === 2) headers.push(...(properties.headers ?? []).map(headerOf));
    const value = properties[property];
    if (value === undefined) return;
    const isText = typeof value !== 'number' && typeof value !== 'bigint';
    headers.push({ name: `amqp.${name}`, value: isText ? words(value) : String(value) });
  });
  const { timestamp } = properties;
  const timeMs = timestamp === undefined ? null : Number(timestamp) * 1000;
  return { body: textOf(body), key: routingKey === '' ? null : routingKey, timeMs, headers };
}

function headerOf({ name, value }: { name: FieldText; value: FieldValue }): Header {
  const own = words(name);
  const known = own.startsWith('amqp.') ? `amqp.header.${own}` : own;
  switch (value.type) {
    case 'longstr':
      return { name: known, value: words(value.value) };
    case 'binary':
      return { name: known, value: textOf(value.value), type: 'binary' };
    case 'void':
      return { name: known, value: null };
    case 'decimal':
      return { name: known, value: `${value.digits}e-${value.scale}`, type: value.type };
    case 'table':
    case 'array':
      return { name: known, value: JSON.stringify(value, printed), type: value.type };
    default:
      return { name: known, value: String(value.value), type: value.type };
  }
}

const printed = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value;

export interface KafkaRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly { readonly name: string; readonly value: Uint8Array | null }[];
  readonly timestampMs: number;
}

export function ofKafka({ key, value, headers = [], timestampMs }: KafkaRecord): Neutral {
  return {
    body: value === null ? null : textOf(value),
    key: key === null ? null : textOf(key),
    timeMs: timestampMs,
    headers: headers.map(({ name, value: bytes }) => ({
      name: wordsOf(name),
      value: bytes === null ? null : textOf(bytes),
    })),
  };
}

interface Time {
  readonly seconds: number;
  readonly nanos: number;
}

export interface RocketMessage {
  readonly body: Uint8Array;
  readonly isPacked: boolean;
  readonly messageId: string;
  readonly group: string | undefined;
  readonly tag: string | undefined;
  readonly keys: readonly string[];
  readonly bornHost: string;
  readonly born: Time | undefined;
  readonly due: Time | undefined;
  readonly trace: string | undefined;
  readonly properties: ReadonlyMap<string, string>;
}

export function ofRocket(message: RocketMessage): Neutral {
  const { body, group, tag, keys, bornHost, born, due, trace, properties, isPacked } = message;
  const headers: Header[] = [];
  const put = (name: string, value: string | undefined): void => {
    if (value !== undefined) headers.push({ name: wordsOf(name), value: wordsOf(value) });
  };
  put('UNIQ_KEY', message.messageId);
  put('TAGS', tag);
  for (const key of keys) put('KEYS', key);
  if (bornHost !== '') put('__BORNHOST', bornHost);
  put('TRACE_CONTEXT', trace);
  if (due !== undefined) put('TIMER_DELIVER_MS', String(Math.floor(msOf(due))));
  for (const [name, value] of properties) put(name, value);
  return {
    body: textOf(body),
    key: group === undefined ? null : wordsOf(group),
    timeMs: born === undefined ? null : msOf(born),
    headers,
    isPacked,
  };
}

function msOf({ seconds, nanos }: Time): number {
  return seconds * 1000 + nanos / 1_000_000;
}
