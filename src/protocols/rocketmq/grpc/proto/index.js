// Whole messages: bytes to plain objects and back.
import { guarded, ProtoReader, ProtoWriter } from './wire.js';
export { ITEMS_MAX, NESTING_MAX, ProtoError } from './wire.js';
/**
 * Reads one message. Bytes fields are views of `bytes`: lent with them. Throws {@link ProtoError}.
 */
export function decodeMessage(of, bytes) {
    const reader = new ProtoReader(bytes);
    return guarded(() => of.read(reader));
}
/**
 * The canonical bytes of one message, in an array of their own.
 *
 * @example
 * encodeMessage(QueryRouteResponse, { status: { code: Code.OK, message: 'OK' } });
 */
export function encodeMessage(of, value) {
    const writer = new ProtoWriter();
    of.write(writer, value);
    return writer.finish();
}
