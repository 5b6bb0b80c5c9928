// The eight bytes before the first frame: `AMQP` and a version. 0-9-1 is 0 0 9 1; 1 1 0 9 is 0-9, which RabbitMQ also
// takes as 0-9-1. Everything else is answered with the header that would be right, then the connection is closed
// (0-9-1 specification, section 4.2.2).
import { foreignByMagic, foreignBySize } from '../../listening/foreign.ts';
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
const AMQP_1_0 = '1,0,0';

/**
 * Looks at the first `size` bytes of a connection. `undefined`: more are needed; true: AMQP 0-9-1. Text that is not
 * `AMQP` is recognised as soon as four bytes are there.
 */
export function recogniseHeader(head: Uint8Array, size: number): WrongProtocol | true | undefined {
  if (size < MAGIC_BYTES) return undefined;
  const magic = String.fromCharCode(...head.subarray(0, MAGIC_BYTES));
  const isSized = head[0] === 0;
  if (magic !== 'AMQP' && !isSized) return wrong(foreignByMagic(head));
  if (size < PROTOCOL_HEADER_BYTES) return undefined;
  if (isSized) return wrong(foreignBySize(head));
  const version = head.subarray(MAGIC_BYTES, PROTOCOL_HEADER_BYTES).join(',');
  if (version === '0,0,9,1' || version === '1,1,0,9') return true;
  return wrong(version.endsWith(AMQP_1_0) ? 'AMQP 1.0' : 'AMQP, another version');
}

function wrong(seen: WrongProtocol['seen']): WrongProtocol {
  return { seen, answer: PROTOCOL_HEADER.slice() };
}
