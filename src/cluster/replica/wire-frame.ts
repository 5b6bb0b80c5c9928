// Frames on their way between replicas: the header fields that a follower must keep, then events and
// batch as they lie in the sender's slab. Encoding copies the bytes once, straight into the link.
//
//   u64 logId | u32 from node | u32 leader epoch | u32 previous chain | u64 committed seq | u32 count
//   count x { u64 seq | u32 epoch | u64 log time | u32 chain | u32 payload crc
//             | u32 events size | u32 batch size + 1, 0 = none | events | batch }
import { type ByteReader, BytesError } from '../../std/bytes.ts';

export interface WireFrame {
  readonly seq: number;
  readonly epoch: number;
  readonly logTimeMs: number;
  readonly chain: number;
  readonly payloadCrc: number;
  /** Lent views, on both sides. */
  readonly events: Uint8Array;
  readonly batch: Uint8Array | undefined;
}

export interface FramesInput {
  readonly logId: number;
  readonly from: number;
  readonly leaderEpoch: number;
  /** Chain of the frame before the first. */
  readonly previousChain: number;
  readonly committedSeq: number;
  readonly frames: readonly WireFrame[];
}

const HEAD_BYTES = 32;
const WIRE_FRAME_HEAD_BYTES = 36;
const HIGH = 0x1_0000_0000;

/** Payload and header bytes that a frame takes on the link. */
export function wireFrameBytes(frame: WireFrame): number {
  return WIRE_FRAME_HEAD_BYTES + frame.events.length + (frame.batch?.length ?? 0);
}

function sizeOf(value: FramesInput): number {
  let size = HEAD_BYTES;
  for (const frame of value.frames) size += wireFrameBytes(frame);
  return size;
}

function put64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / HIGH));
  view.setUint32(at + 4, value >>> 0);
}

function encodeFrames(value: FramesInput, out: Uint8Array, start: number): number {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  put64(view, start, value.logId);
  view.setUint32(start + 8, value.from);
  view.setUint32(start + 12, value.leaderEpoch);
  view.setUint32(start + 16, value.previousChain);
  put64(view, start + 20, value.committedSeq);
  view.setUint32(start + 28, value.frames.length);
  let at = start + HEAD_BYTES;
  for (const frame of value.frames) {
    put64(view, at, frame.seq);
    view.setUint32(at + 8, frame.epoch);
    put64(view, at + 12, frame.logTimeMs);
    view.setUint32(at + 20, frame.chain);
    view.setUint32(at + 24, frame.payloadCrc);
    view.setUint32(at + 28, frame.events.length);
    view.setUint32(at + 32, frame.batch === undefined ? 0 : frame.batch.length + 1);
    at += WIRE_FRAME_HEAD_BYTES;
    out.set(frame.events, at);
    at += frame.events.length;
    if (frame.batch !== undefined) {
      out.set(frame.batch, at);
      at += frame.batch.length;
    }
  }
  return at;
}

function readFrames(read: ByteReader): FramesInput {
  const logId = read.u64();
  const from = read.u32();
  const leaderEpoch = read.u32();
  const previousChain = read.u32();
  const committedSeq = read.u64();
  const count = read.u32();
  const room = read.end - read.at;
  if (count > room / WIRE_FRAME_HEAD_BYTES) {
    throw new BytesError('BYTES_TRUNCATED', `${count} frames cannot fit in ${room} bytes`);
  }
  const frames: WireFrame[] = [];
  for (let index = 0; index < count; index += 1) {
    const seq = read.u64();
    const epoch = read.u32();
    const logTimeMs = read.u64();
    const chain = read.u32();
    const payloadCrc = read.u32();
    const eventsSize = read.u32();
    const batchSize = read.u32();
    const events = read.view(eventsSize);
    const batch = batchSize === 0 ? undefined : read.view(batchSize - 1);
    frames.push({ seq, epoch, logTimeMs, chain, payloadCrc, events, batch });
  }
  return { logId, from, leaderEpoch, previousChain, committedSeq, frames };
}

/** The codec of `FramesInput`; decoded events and batches are views of the received bytes. */
export const framesWire = { size: sizeOf, encode: encodeFrames, read: readFrames };
