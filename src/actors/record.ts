// The record that carries a message between threads (in a ring) and between nodes (in a frame), and
// the meaning of its words. Little-endian, 40 bytes of header, payload, padded to 8:
//
//    0 length u32   bytes of header and payload, without the padding
//    4 opcode u16   6 kind u8   7 flags u8
//    8 target       node u32, incarnation u32, thread u8 + slot u24, generation u32
//   24 from         the same 16 bytes: the sender's reply slot (ask), the sender (signal), or zero
//   40 payload

import type { Place, RefId } from './ref.ts';
import { SLOT_MAX } from './ref.ts';

export const RECORD_HEADER_BYTES = 40;
const RECORD_ALIGN_BYTES = 8;

export const KIND_TELL = 1;
export const KIND_ASK = 2;
export const KIND_REPLY = 3;
/** A reply that is an error: payload is its code and message. */
export const KIND_FAILURE = 4;
/** The asker's signal aborted: nobody needs the reply. */
export const KIND_CANCEL = 5;
export const KIND_SIGNAL = 6;
/** Fills the end of a ring; the next record starts at its beginning. */
export const KIND_SKIP = 8;

/** The payload is (position u32, length u32) of the sender's slab instead of the bytes themselves. */
export const FLAG_OUT_OF_BAND = 1;

export const SIGNAL_WATCH = 1;
export const SIGNAL_UNWATCH = 2;
/** Payload: the cause and the id that ended, as the watcher knows it. */
export const SIGNAL_TERMINATED = 3;
export const SIGNAL_STOP = 4;
/** Payload: as of a failure. */
export const SIGNAL_CHILD_FAILED = 5;
/** Payload: a SpawnRequest. A signal, as what is sent to the new actor follows in the same ring. */
export const SIGNAL_SPAWN = 6;
/** A child's failure is its parent's. Payload: as of a failure. */
export const SIGNAL_ESCALATED = 7;

export function paddedSize(bytes: number): number {
  return (bytes + (RECORD_ALIGN_BYTES - 1)) & ~(RECORD_ALIGN_BYTES - 1);
}

/** Writes a header at `at`; `place` is where the sender lives. */
export function writeRecordHeader(
  view: DataView,
  at: number,
  length: number,
  kind: number,
  code: number,
  flags: number,
  target: RefId,
  place: Place,
  fromSlot: number,
  fromGeneration: number,
): void {
  view.setUint32(at, length, true);
  view.setUint32(at + 4, code + kind * 0x1_0000 + flags * 0x100_0000, true);
  view.setUint32(at + 8, target.node, true);
  view.setUint32(at + 12, target.incarnation, true);
  view.setUint32(at + 16, target.thread * (SLOT_MAX + 1) + target.slot, true);
  view.setUint32(at + 20, target.generation, true);
  view.setUint32(at + 24, place.node, true);
  view.setUint32(at + 28, place.incarnation, true);
  view.setUint32(at + 32, place.thread * (SLOT_MAX + 1) + fromSlot, true);
  view.setUint32(at + 36, fromGeneration, true);
}
