// The runtime's own actor, one per thread at a fixed slot: spawns from other threads, look-ups by name
// and inspection arrive here as ordinary messages, so they keep their order with everything else.

import { optional } from '../codec/composites.ts';
import { none, utf8 } from '../codec/scalars.ts';
import type { Actor } from './actor.ts';
import { actor } from './actor.ts';
import { ask, protocol, tell } from './protocol.ts';
import type { RefId } from './ref.ts';
import { refId } from './ref.ts';
import type { FindRequest, SpawnRequest } from './wire-codecs.ts';
import { findRequestCodec, spawnRequestCodec } from './wire-codecs.ts';

/** The slot of the runtime's actor on every thread. Lower well-known slots are the application's. */
export const RUNTIME_SLOT = 255;

export const RuntimeProtocol = protocol('callboard.runtime', 1, {
  spawn: tell(spawnRequestCodec),
  find: ask(findRequestCodec, optional(refId)),
  /** The actors of the thread as JSON: rare, and for people. */
  inspect: ask(none, utf8),
});
export type RuntimeOps = typeof RuntimeProtocol.ops;

/** What the actor does on behalf of its thread. */
export interface RuntimePort {
  spawnRequested(request: SpawnRequest): void;
  findHere(request: FindRequest): RefId | undefined;
  inspectJson(): string;
}

export const RuntimeActor: Actor<RuntimeOps, RuntimePort> = actor(
  RuntimeProtocol,
  (_ctx, port: RuntimePort) => ({
    spawn: (request) => port.spawnRequested(request),
    find: (request) => port.findHere(request),
    inspect: () => port.inspectJson(),
  }),
  { mailbox: { capacity: 65_536, overflow: 'reject' } },
);
