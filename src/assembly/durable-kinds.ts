// The kinds of durable actors that an application gives its node: a module of its own that the main thread and every
// worker thread import by its URL.
import type { AnyDurableActor } from '../actors/durable/event-sourced.ts';
import type { ActorKind } from '../cluster/metadata/types.ts';
import { BrokerError, messageOf } from '../std/errors.ts';

export type LoadModule = (url: string) => Promise<unknown>;

export class DurableKindsError extends BrokerError {
  readonly code = 'DURABLE_KINDS';
}

/** What two nodes must agree on. */
export function kindOf({ kind: name, protocol: { version }, hash }: AnyDurableActor): ActorKind {
  return { name, version, hash };
}

/** @throws DurableKindsError naming the module. */
export async function loadKinds(
  load: LoadModule,
  url: string,
): Promise<readonly AnyDurableActor[]> {
  let module: { readonly kinds?: unknown };
  try {
    module = (await load(url)) as { readonly kinds?: unknown };
  } catch (error) {
    throw new DurableKindsError(`${url} cannot be loaded: ${messageOf(error)}`, { url }, error);
  }
  const { kinds } = module;
  if (!Array.isArray(kinds) || kinds.length === 0 || !kinds.every(isKind)) {
    const text = `${url} must export \`kinds\`, a list of what \`durable\` makes`;
    throw new DurableKindsError(text, { url });
  }
  return kinds;
}

function isKind(value: unknown): value is AnyDurableActor {
  const kind = value as Partial<AnyDurableActor> | null;
  return typeof kind?.kind === 'string' && typeof kind.withFaults === 'function';
}
