// Whole messages: bytes to plain objects and back.

import type { Decoded, Encodable, Message, Rows } from './rows.ts';
import { guarded, ProtoReader, ProtoWriter } from './wire.ts';

export type { Decoded, DecodedOf, Encodable, EncodableOf, Message, Rows } from './rows.ts';
export { ITEMS_MAX, NESTING_MAX, ProtoError, type ProtoErrorCode } from './wire.ts';

/**
 * Reads one message. Bytes fields are views of `bytes`: lent with them. Throws {@link ProtoError}.
 */
export function decodeMessage<R extends Rows>(of: Message<R>, bytes: Uint8Array): Decoded<R> {
  const reader = new ProtoReader(bytes);
  return guarded(() => of.read(reader)) as Decoded<R>;
}

/**
 * The canonical bytes of one message, in an array of their own.
 *
 * @example
 * encodeMessage(QueryRouteResponse, { status: { code: Code.OK, message: 'OK' } });
 */
export function encodeMessage<R extends Rows>(of: Message<R>, value: Encodable<R>): Uint8Array {
  const writer = new ProtoWriter();
  of.write(writer, value as { [field: string]: unknown });
  return writer.finish();
}
