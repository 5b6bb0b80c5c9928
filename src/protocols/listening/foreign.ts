// What whoever dialled the wrong port speaks, by the first bytes. Pure. No listener's own protocol is decided
// here: a listener asks when it knows that it is not its own.
import { readU16 } from '../../std/bytes.ts';

export type Foreign =
  | 'HTTP'
  | 'gRPC'
  | 'TLS'
  | 'SSH'
  | 'AMQP'
  | 'Kafka'
  | 'RocketMQ Remoting'
  | 'unknown';

const FOREIGN_TEXT_BYTES = 4;
const FOREIGN_SIZED_BYTES = 8;
const HTTP_STARTS = ['GET ', 'POST', 'PUT ', 'HEAD', 'DELE', 'OPTI', 'PATC', 'CONN'];
/** Kafka's first request has a key and a version below these; Remoting's header size in their place is above. */
const KAFKA_KEY_MAX = 127;
const KAFKA_VERSION_MAX = 63;

/** By at least four bytes, of what begins with text or with TLS. */
export function foreignByMagic(head: Uint8Array): Foreign {
  const magic = String.fromCharCode(...head.subarray(0, FOREIGN_TEXT_BYTES));
  if (HTTP_STARTS.includes(magic)) return 'HTTP';
  if (magic === 'AMQP') return 'AMQP';
  if (magic === 'SSH-') return 'SSH';
  // HTTP/2 without TLS, which here is spoken for gRPC alone.
  if (magic === 'PRI ') return 'gRPC';
  // A TLS record of type handshake: 0x16, version 3.x.
  return magic.startsWith('\x16\x03') ? 'TLS' : 'unknown';
}

/** Both begin with a frame's size as i32; then Kafka has key i16, version i16, and Remoting the size of a JSON text. */
export function foreignBySize(head: Uint8Array): Foreign {
  const key = readU16(head, 4);
  const version = readU16(head, 6);
  if (key <= KAFKA_KEY_MAX && version <= KAFKA_VERSION_MAX) return 'Kafka';
  return key === 0 ? 'RocketMQ Remoting' : 'unknown';
}

export function foreignOf(head: Uint8Array): Foreign {
  if (head.length < FOREIGN_TEXT_BYTES) return 'unknown';
  if (head[0] !== 0) return foreignByMagic(head);
  return head.length < FOREIGN_SIZED_BYTES ? 'unknown' : foreignBySize(head);
}
