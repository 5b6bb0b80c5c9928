// An entry of the tape that has to wait, in memory of its own. Rare: only behind a command that asks somebody.
import {
  BODY_AT,
  BODY_SIZE,
  EXCHANGE_AT,
  EXCHANGE_SIZE,
  type Fault,
  type Method,
  OP_PUBLISH,
  PROPERTIES_AT,
  PROPERTIES_SIZE,
  ROUTING_KEY_AT,
  ROUTING_KEY_SIZE,
} from '../codec/index.ts';

export interface DeferredEntry {
  readonly ints: Int32Array;
  /** Where the positions of a publish count. */
  readonly bytes: Uint8Array | undefined;
  readonly object: Method | Fault | undefined;
  /** Memory that it takes, about. */
  readonly heldBytes: number;
}

/** A method's arguments and an entry itself, about. */
const ENTRY_BYTES = 256;

const RANGES = [
  [EXCHANGE_AT, EXCHANGE_SIZE],
  [ROUTING_KEY_AT, ROUTING_KEY_SIZE],
  [PROPERTIES_AT, PROPERTIES_SIZE],
  [BODY_AT, BODY_SIZE],
] as const;

/** `ints` are the entry's alone and are changed. */
export function copyEntry(
  ints: Int32Array,
  bytes: Uint8Array | undefined,
  object: Method | Fault | undefined,
): DeferredEntry {
  if (ints[0] !== OP_PUBLISH) return { ints, bytes: undefined, object, heldBytes: ENTRY_BYTES };
  let size = 0;
  for (const [, sizeAt] of RANGES) size += ints[sizeAt]!;
  const copy = new Uint8Array(size);
  let at = 0;
  for (const [placeAt, sizeAt] of RANGES) {
    const start = ints[placeAt]!;
    copy.set(bytes!.subarray(start, start + ints[sizeAt]!), at);
    ints[placeAt] = at;
    at += ints[sizeAt]!;
  }
  return { ints, bytes: copy, object, heldBytes: ENTRY_BYTES + size };
}
