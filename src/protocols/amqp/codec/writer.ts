// Frames without content to bytes, appended to one writer (a slab), so that all that a connection says in a turn is
// one write. A frame is appended as a whole or not at all. Messages: see outgoing.ts.
import { type ByteWriter, writeU16, writeU32, writeU64 } from '../../../std/bytes.ts';
import {
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  METHOD_ID_BYTES,
} from './frame.ts';
import { METHOD_CODECS, type MethodCodec } from './method-codec.ts';
import type { MethodInput, MethodName } from './methods.ts';

const ACK = METHOD_CODECS['basic.ack'].id;
const NACK = METHOD_CODECS['basic.nack'].id;
const ACK_PAYLOAD_BYTES = METHOD_ID_BYTES + 9;
const HEARTBEAT = Uint8Array.of(FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END);

/** Appends a method frame. Throws `AmqpEncodeError` and then leaves the writer as it was. */
export function writeMethod<N extends MethodName>(
  writer: ByteWriter,
  channel: number,
  name: N,
  args: MethodInput<N>,
): void {
  const codec = METHOD_CODECS[name] as unknown as MethodCodec<N>;
  const start = writer.size;
  writer.u8(FRAME_METHOD);
  writer.u16(channel);
  const sizeAt = writer.reserve(4);
  writer.u32(codec.id);
  try {
    codec.encodeArgs(writer, args);
  } catch (error) {
    writer.size = start;
    throw error;
  }
  writer.patchU32(sizeAt, writer.size - start - FRAME_HEAD_BYTES);
  writer.u8(FRAME_END);
}

export function writeHeartbeat(writer: ByteWriter): void {
  writer.raw(HEARTBEAT);
}

/** Appends a basic.ack without making objects. `bits`: MULTIPLE or 0. */
export function writeAck(
  writer: ByteWriter,
  channel: number,
  deliveryTag: number,
  bits: number,
): void {
  writeAcknowledgement(writer, channel, ACK, deliveryTag);
  writer.bytes[writer.size - 2] = bits;
}

/** Appends a basic.nack without making objects. `bits`: MULTIPLE, REQUEUE. */
export function writeNack(
  writer: ByteWriter,
  channel: number,
  deliveryTag: number,
  bits: number,
): void {
  writeAcknowledgement(writer, channel, NACK, deliveryTag);
  writer.bytes[writer.size - 2] = bits;
}

/** All but the bits, which are the last octet before the end. */
function writeAcknowledgement(
  writer: ByteWriter,
  channel: number,
  id: number,
  deliveryTag: number,
): void {
  const at = writer.reserve(FRAME_OVERHEAD_BYTES + ACK_PAYLOAD_BYTES);
  const { bytes } = writer;
  bytes[at] = FRAME_METHOD;
  writeU16(bytes, at + 1, channel);
  writeU32(bytes, at + 3, ACK_PAYLOAD_BYTES);
  writeU32(bytes, at + FRAME_HEAD_BYTES, id);
  writeU64(bytes, at + FRAME_HEAD_BYTES + METHOD_ID_BYTES, deliveryTag);
  bytes[at + FRAME_HEAD_BYTES + ACK_PAYLOAD_BYTES] = FRAME_END;
}
