// Events that the host itself writes into a log, beside those of the behavior. The first byte of a
// frame's events says whose they are. Host events carry what every log has, whatever lives on it:
// the begin of an epoch, moves of the log start, and that time has passed.
//
//   u8 0 | behavior's own bytes
//   u8 1 | u32 epoch [| varint skew]      epoch-begin; the skew where the behavior wants it and there is one
//   u8 2 | u64 offset                     the log starts here
//   u8 3                                  nothing but the frame's log time
import { ByteReader, ByteWriter } from '../../std/bytes.ts';

const EVENTS_OF_BEHAVIOR = 0;
const EPOCH_BEGIN = 1;
const LOG_START = 2;
const TIME = 3;

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

/** Puts the owner's mark before a behavior's events; no events stay no events. */
export function markBehaviorEvents(events: Uint8Array | undefined): Uint8Array {
  if (events === undefined || events.length === 0) return NO_EVENTS;
  const marked = new Uint8Array(events.length + 1);
  marked[0] = EVENTS_OF_BEHAVIOR;
  marked.set(events, 1);
  return marked;
}

/** The host event in a frame's events, or undefined if they belong to the behavior or are absent. */
export function decodeHostEvent(events: Uint8Array): HostEvent | undefined {
  if (events.length === 0 || events[0] === EVENTS_OF_BEHAVIOR) return undefined;
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
  return events.length > 0 && events[0] === EVENTS_OF_BEHAVIOR ? events.subarray(1) : NO_EVENTS;
}
