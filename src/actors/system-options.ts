// What a system is made with: identity, limits, and what other threads may ask of it.
import type { AnyActor } from './actor.ts';
import type { Interposer } from './interposer.ts';
import type { AnyProtocol } from './protocol.ts';
import type { Tracer } from './tracer.ts';

export interface SystemLimits {
  /** Asks of this thread that may wait at once. */
  readonly asksMax: number;
  readonly messagesPerCell: number;
  readonly messagesPerDrain: number;
}

export const DEFAULT_LIMITS: SystemLimits = {
  asksMax: 65_536,
  messagesPerCell: 64,
  messagesPerDrain: 1024,
};

/** Actors that may be spawned by name from another thread. */
export type Manifest = Readonly<Record<string, AnyActor>>;

export interface SystemOptions {
  readonly name: string;
  /** From 1, and 1 for who is alone. */
  readonly node?: number;
  /** Differs between the starts of the node; from 1. Drawn at random if left out. */
  readonly incarnation?: number;
  /** Default: the one that the environment belongs to. */
  readonly thread?: number;
  /** Counts the starts of this thread within the node; from 1. */
  readonly threadIncarnation?: number;
  /** Of the node, this one counted. Default: 1. */
  readonly threadCount?: number;
  /** Encode, decode and freeze messages within the thread too: on in tests. */
  readonly strict?: boolean;
  readonly limits?: Partial<SystemLimits>;
  /** Ends of streams that may be open at once on this thread. Default: 4,096. */
  readonly streamsMax?: number;
  /** Milliseconds from which a handler counts as slow, for inspection. Default: 50. */
  readonly slowMs?: number;
  /** Sees who sends and who waits: for tests and simulations. */
  readonly tracer?: Tracer;
  /** Does what may happen, in tests of strict systems. */
  readonly interposer?: Interposer;
  readonly manifest?: Manifest;
  /** What handshakes compare; the runtime's own protocol is added. */
  readonly protocols?: readonly AnyProtocol[];
  /** Shared words that show what the thread is doing (see status.ts). */
  readonly status?: Int32Array;
}
