// Events that the host itself writes into a log, beside those of the behavior. The first byte of a
// frame's events says whose they are. Host events carry what every log has, whatever lives on it:
// the begin of an epoch, moves of the log start, and that time has passed. A move of the start may share a
// frame with the behavior's events.
//
//   u8 0 | behavior's own bytes
//   u8 1 | u32 epoch [| varint skew]      epoch-begin; the skew where the behavior wants it and there is one
//   u8 2 | u64 offset                     the log starts here
//   u8 3                                  nothing but the frame's log time
//   u8 4 | u64 offset | behavior's own bytes    the log starts here, and what the behavior says
import { ByteReader, ByteWriter, readU64, writeU64 } from '../../std/bytes.ts';

const EVENTS_OF_BEHAVIOR = 0;
const EPOCH_BEGIN = 1;
const LOG_START = 2;
const TIME = 3;
const LOG_START_AND_BEHAVIOR = 4;
/** The mark, and the offset. */
const START_BYTES = 9;

export type HostEvent =
  /** `skewMs`: how much more the log time went on since the frame before than is known to have passed. */
  | { readonly kind: 'epoch-begin'; readonly epoch: number; readonly skewMs: number }
  | { readonly kind: 'log-start'; readonly offset: number }
  | { readonly kind: 'time-passed' };

export const NO_EVENTS: Uint8Array = new Uint8Array(0);
/** Of a frame that says by its log time alone how old what lies before it is. */
export const TIME_PASSED: Uint8Array = Uint8Array.of(TIME);

export function encodeEpochBegin(epoch: number, skewMs = 0): Uint8Array {
  const out = new ByteWriter(16);
  out.u8(EPOCH_BEGIN);
  out.u32(epoch);
  if (skewMs !== 0) out.varI53(skewMs);
  return out.toBytes();
}

export function encodeLogStart(offset: number): Uint8Array {
  const out = new ByteWriter(16);
  out.u8(LOG_START);
  out.u64(offset);
  return out.toBytes();
}

/**
 * Puts the owner's mark before a behavior's events; no events stay no events. With a `startOffset` from 0 on
 * the frame moves the log start as well.
 */
export function markBehaviorEvents(events: Uint8Array | undefined, startOffset = -1): Uint8Array {
  const size = events?.length ?? 0;
  const isMoving = startOffset >= 0;
  if (size === 0 && !isMoving) return NO_EVENTS;
  const head = isMoving ? START_BYTES : 1;
  const marked = new Uint8Array(head + size);
  marked[0] = isMoving ? LOG_START_AND_BEHAVIOR : EVENTS_OF_BEHAVIOR;
  if (isMoving) writeU64(marked, 1, startOffset);
  if (events !== undefined) marked.set(events, head);
  return marked;
}

function isOfBehavior(events: Uint8Array): boolean {
  return events[0] === EVENTS_OF_BEHAVIOR || events[0] === LOG_START_AND_BEHAVIOR;
}

/** Where the log starts from a frame of the behavior on, or -1 if it does not say so. */
export function startBesideBehavior(events: Uint8Array): number {
  return events[0] === LOG_START_AND_BEHAVIOR ? readU64(events, 1) : -1;
}

/** The host event in a frame's events, or undefined if they belong to the behavior or are absent. */
export function decodeHostEvent(events: Uint8Array): HostEvent | undefined {
  if (events.length === 0 || isOfBehavior(events)) return undefined;
  const read = new ByteReader(events);
  const kind = read.u8();
  if (kind === EPOCH_BEGIN) {
    const epoch = read.u32();
    return { kind: 'epoch-begin', epoch, skewMs: read.remaining > 0 ? read.varI53() : 0 };
  }
  if (kind === LOG_START) return { kind: 'log-start', offset: read.u64() };
  if (kind === TIME) return { kind: 'time-passed' };
  throw new Error(`host event ${kind} is unknown: written by a newer version`);
}

/** The behavior's own bytes of a frame's events. */
export function behaviorEvents(events: Uint8Array): Uint8Array {
  if (events.length === 0 || !isOfBehavior(events)) return NO_EVENTS;
  return events.subarray(events[0] === EVENTS_OF_BEHAVIOR ? 1 : START_BYTES);
}
