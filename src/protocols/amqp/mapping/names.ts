// Under which names what a message has beside key and body stands in the headers of its record. The table is
// docs/reference/mapping.md; tests hold both together.
import { encodeUtf8 } from '../../../std/bytes.ts';
import { varI53Size, writeVarI53 } from '../../../std/varint.ts';
import { PROPERTY_NUMBER, type PropertyName } from '../codec/index.ts';

/** Names that begin so are this protocol's own. */
export const OWN_PREFIX = 'amqp.';
/** In front of a client's own header name that would look like one of them. */
export const ESCAPE = 'amqp.header.';

/** By property; the headers property stands in many headers, or in `RAW_HEADERS`. */
const PROPERTY_NAMES: { readonly [N in Exclude<PropertyName, 'headers'>]: string } = {
  contentType: 'amqp.content-type',
  contentEncoding: 'amqp.content-encoding',
  deliveryMode: 'amqp.delivery-mode',
  priority: 'amqp.priority',
  correlationId: 'amqp.correlation-id',
  replyTo: 'amqp.reply-to',
  expiration: 'amqp.expiration',
  messageId: 'amqp.message-id',
  timestamp: 'amqp.timestamp',
  type: 'amqp.type',
  userId: 'amqp.user-id',
  appId: 'amqp.app-id',
  clusterId: 'amqp.cluster-id',
};

/** The headers property as it came, where headers of a record cannot hold all of it. */
export const RAW_HEADERS = 'amqp.headers';
export const EXCHANGE = 'amqp.exchange';
/** A routing key that is not UTF-8: as a record's key it would not be shown to AMQP clients. */
export const ROUTING_KEY = 'amqp.routing-key';

/** A header's name as it stands in a record: varint size, name. */
export function nameField(name: string): Uint8Array {
  const bytes = encodeUtf8(name);
  const field = new Uint8Array(varI53Size(bytes.length) + bytes.length);
  field.set(bytes, writeVarI53(field, 0, bytes.length));
  return field;
}

/** Names by property number; of the headers property the raw one. */
export const NAMES_BY_NUMBER: readonly string[] = Object.keys(PROPERTY_NUMBER).map((name) =>
  name === 'headers' ? RAW_HEADERS : PROPERTY_NAMES[name as keyof typeof PROPERTY_NAMES],
);
