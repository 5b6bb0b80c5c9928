// Codecs of the runtime's own messages: failures, ends, spawns and look-ups. All of them are rare.
import type { Codec, Value } from '../codec/codec.ts';
import { mapped, oneOf, record } from '../codec/composites.ts';
import { bytesCopy, u32, utf8 } from '../codec/scalars.ts';
import type { EndCause } from './actor.ts';
import { ActorError, detailsFrom, failureOf } from './errors.ts';
import { refId } from './ref.ts';

/** An error as code, message and details: rebuilt by code, never by class. Any thrown value can be encoded. */
export const failureCodec: Codec<unknown> = mapped(
  record({ code: utf8, message: utf8, details: utf8 }),
  failureOf,
  ({ code, message, details }): unknown => new ActorError(code, message, detailsFrom(details)),
);

const endCause: Codec<EndCause> = oneOf('stopped', 'failed', 'thread-lost', 'node-lost');

/** The id as the watcher knows it: after a restart of the node its incarnation is not the sender's. */
export const endedCodec = record({ cause: endCause, id: refId });

export const spawnRequestCodec = record({
  slot: u32,
  generation: u32,
  parent: refId,
  name: utf8,
  /** Name in the manifest. */
  actor: utf8,
  args: bytesCopy,
});
export type SpawnRequest = Value<typeof spawnRequestCodec>;

export const findRequestCodec = record({ protocol: utf8, name: utf8 });
export type FindRequest = Value<typeof findRequestCodec>;
