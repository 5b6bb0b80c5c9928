// The way to one thread elsewhere: a ring to a thread of this node, a link to a thread of another.
// A route is all that a ref needs to know about distance.
import type { Codec } from './protocol.ts';
import type { Admission, RefId } from './ref.ts';

/** `unreachable` is a link that is down: lost now, but the ref stays valid. */
export type RouteAdmission = Admission | 'unreachable';

export interface Route {
  /** Starts of the peer thread within its node; 0 where the route cannot know (links). */
  readonly threadIncarnation: number;
  /**
   * Sends one record (see record.ts). Kinds above KIND_ASK are never refused for lack of room: they
   * are bounded by what they answer. Throws only what `codec` throws.
   */
  send(
    kind: number,
    code: number,
    target: RefId,
    fromSlot: number,
    fromGeneration: number,
    codec: Codec<unknown> | undefined,
    value: unknown,
    /** Its handler gives the memory back: see `lentTell`. */
    isLent?: boolean,
  ): RouteAdmission;
  /** Resolves when there is room again or the peer is gone. */
  ready(signal?: AbortSignal): Promise<void>;
}
