// The frame, and what stands at its edges:
//
//   type u8 | channel u16 | size u32 | payload, size bytes | 0xCE
//
// A content header's payload: class u16 | weight u16, 0 | body size u64 | properties.
import { EMPTY_BYTES } from '../../../std/bytes.ts';

export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;
export const FRAME_END = 0xce;

/** type, channel, size. */
export const FRAME_HEAD_BYTES = 7;
/** Head and end: what frame_max counts besides the payload. */
export const FRAME_OVERHEAD_BYTES = FRAME_HEAD_BYTES + 1;
/** Class and method before the arguments. */
export const METHOD_ID_BYTES = 4;
/** Class, weight and body size before the properties. */
export const CONTENT_HEADER_BYTES = 12;

/** The frame that a reader is at. One object is filled again and again. */
export class Frame {
  type = 0;
  channel = 0;
  /** Where the payload is: bytes[at, end). */
  bytes: Uint8Array = EMPTY_BYTES;
  at = 0;
  end = 0;

  get size(): number {
    return this.end - this.at;
  }

  /** A view, for error texts. */
  payload(): Uint8Array {
    return this.bytes.subarray(this.at, this.end);
  }
}
