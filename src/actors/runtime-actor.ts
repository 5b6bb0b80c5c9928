// The runtime's own actor, one per thread at a fixed slot: look-ups by name and inspection from other
// threads and nodes arrive here as ordinary messages.

import { optional } from '../codec/composites.ts';
import { none, utf8 } from '../codec/scalars.ts';
import type { Actor } from './actor.ts';
import { actor } from './actor.ts';
import { ask, protocol } from './protocol.ts';
import type { RefId } from './ref.ts';
import { refId } from './ref.ts';
import type { FindRequest } from './wire-codecs.ts';
import { findRequestCodec } from './wire-codecs.ts';

/** The slot of the runtime's actor on every thread. Lower well-known slots are the application's. */
export const RUNTIME_SLOT = 255;

export const RuntimeProtocol = protocol('callboard.runtime', 1, {
  find: ask(findRequestCodec, optional(refId)),
  /** The actors of the thread as JSON: rare, and for people. */
  inspect: ask(none, utf8),
});
export type RuntimeOps = typeof RuntimeProtocol.ops;

/** What the actor does on behalf of its thread. */
export interface RuntimePort {
  findHere(request: FindRequest): RefId | undefined;
  inspectJson(): string;
}

export const RuntimeActor: Actor<RuntimeOps, RuntimePort> = actor(
  RuntimeProtocol,
  (_ctx, port: RuntimePort) => ({
    find: (request) => port.findHere(request),
    inspect: () => port.inspectJson(),
  }),
);
