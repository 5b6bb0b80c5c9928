// The eight bytes before the first frame: `AMQP` and a version. 0-9-1 is 0 0 9 1; 1 1 0 9 is 0-9, which RabbitMQ also
// takes as 0-9-1. Everything else is answered with the header that would be right, then the connection is closed
// (0-9-1 specification, section 4.2.2).
import { readU16 } from '../../../std/bytes.ts';
import type { WrongProtocol } from './tape.ts';

export const PROTOCOL_HEADER_BYTES = 8;
export const PROTOCOL_HEADER: Readonly<Uint8Array> = Uint8Array.of(
  0x41,
  0x4d,
  0x51,
  0x50,
  0,
  0,
  9,
  1,
);
const MAGIC_BYTES = 4;
const HTTP_STARTS = ['GET ', 'POST', 'PUT ', 'HEAD', 'DELE', 'OPTI', 'PATC', 'CONN'];
const AMQP_1_0 = '1,0,0';

/** Kafka's first request has a key and a version below these; RocketMQ's header size in their place is above. */
const KAFKA_KEY_MAX = 127;
const KAFKA_VERSION_MAX = 63;

/**
 * Looks at the first `size` bytes of a connection. `undefined`: more are needed; true: AMQP 0-9-1. Text that is not
 * `AMQP` is recognised as soon as four bytes are there.
 */
export function recogniseHeader(head: Uint8Array, size: number): WrongProtocol | true | undefined {
  if (size < MAGIC_BYTES) return undefined;
  const magic = String.fromCharCode(...head.subarray(0, MAGIC_BYTES));
  const isSized = head[0] === 0;
  if (magic !== 'AMQP' && !isSized) return wrong(foreign(magic));
  if (size < PROTOCOL_HEADER_BYTES) return undefined;
  if (isSized) return wrong(foreignBySize(head));
  const version = head.subarray(MAGIC_BYTES, PROTOCOL_HEADER_BYTES).join(',');
  if (version === '0,0,9,1' || version === '1,1,0,9') return true;
  return wrong(version.endsWith(AMQP_1_0) ? 'AMQP 1.0' : 'AMQP, another version');
}

function foreign(magic: string): WrongProtocol['seen'] {
  if (HTTP_STARTS.includes(magic)) return 'HTTP';
  if (magic === 'SSH-') return 'SSH';
  // HTTP/2 without TLS, which here is spoken for gRPC alone.
  if (magic === 'PRI ') return 'gRPC';
  // A TLS record of type handshake: 0x16, version 3.x.
  return magic.startsWith('\x16\x03') ? 'TLS' : 'unknown';
}

/** Both begin with a frame's size as i32; then Kafka has key i16, version i16, and RocketMQ the size of a JSON text. */
function foreignBySize(head: Uint8Array): WrongProtocol['seen'] {
  const key = readU16(head, 4);
  const version = readU16(head, 6);
  if (key <= KAFKA_KEY_MAX && version <= KAFKA_VERSION_MAX) return 'Kafka';
  return key === 0 ? 'RocketMQ' : 'unknown';
}

function wrong(seen: WrongProtocol['seen']): WrongProtocol {
  return { seen, answer: PROTOCOL_HEADER.slice() };
}
