// Strict mode: a message between two actors of one thread is encoded, decoded and frozen as if it had
// crossed a wire, and its bytes are poisoned when the handler has returned. So aliasing, missing codec
// fields and kept views show in tests. On by default there, off in production.
import { ActorError, detailsFrom, failureOf } from './errors.ts';
import type { Origin } from './held-input.ts';
import { HeldInput, POISON } from './held-input.ts';
import type { Codec, OpEntry } from './protocol.ts';

/** A message that waits in a mailbox in its encoded form. */
export class EncodedInput extends HeldInput {
  readonly bytes: Uint8Array;

  constructor(codec: Codec<unknown>, value: unknown, origin?: Origin) {
    super(origin);
    this.bytes = encodeExact(codec, value);
  }

  decode(op: OpEntry): unknown {
    return freezeDeep(op.input.decode(this.bytes, 0, this.bytes.length));
  }

  protected letGo(): void {
    this.bytes.fill(POISON);
  }
}

/** Encodes into an array of exactly the size that the codec announced. Throws if it lied. */
export function encodeExact(codec: Codec<unknown>, value: unknown): Uint8Array {
  const bytes = new Uint8Array(codec.size(value));
  const end = codec.encode(value, bytes, 0);
  if (end !== bytes.length) {
    throw new RangeError(`codec announced ${bytes.length} bytes and wrote ${end}`);
  }
  return bytes;
}

/** A copy of `value` as the other side of a wire would get it. */
export function roundTrip(codec: Codec<unknown>, value: unknown): unknown {
  const bytes = encodeExact(codec, value);
  return freezeDeep(codec.decode(bytes, 0, bytes.length));
}

/** Arguments that have a codec, as they would arrive on another thread. @throws ActorError if it refuses them. */
export function argsAsSent<A>(codec: Codec<A> | undefined, args: A, name: string): A {
  if (codec === undefined) return args;
  try {
    return roundTrip(codec as Codec<unknown>, args) as A;
  } catch (error) {
    const message = `the arguments of ${name} cannot be encoded`;
    throw new ActorError('ACTOR_MALFORMED', message, { name }, error);
  }
}

/** An error as the other side of a wire would get it; the thrown one is its cause, for whoever debugs. */
export function rebuilt(error: Error): Error {
  const { code, message, details } = failureOf(error);
  return new ActorError(code, message, detailsFrom(details), error);
}

/** Freezes plain objects and arrays; byte arrays cannot be frozen and are poisoned instead. */
export function freezeDeep(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value;
  Object.freeze(value);
  if (value instanceof Map) {
    for (const [key, item] of value) {
      freezeDeep(key);
      freezeDeep(item);
    }
    return value;
  }
  for (const item of Object.values(value)) freezeDeep(item);
  return value;
}
