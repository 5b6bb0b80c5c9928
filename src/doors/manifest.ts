// What threads that load one manifest tell each other: which actors it exports, with which protocols and arguments.
// Pure. Both sides load the module by themselves, so a difference is found and named before any actor is spawned.
import type { AnyActor } from '../actors/actor.ts';
import { ActorError } from '../actors/errors.ts';
import type { AnyProtocol } from '../actors/protocol.ts';

export interface Manifested {
  /** Exported name -> actor. */
  readonly actors: Readonly<Record<string, AnyActor>>;
  /** Of the actors, and those that are exported; by name. */
  readonly protocols: readonly AnyProtocol[];
}

/** An exported actor, as the two sides compare it. */
export interface ActorSummary {
  readonly name: string;
  readonly protocol: string;
  /** Shape of the arguments' codec; '' if there is none. */
  readonly args: string;
}

/**
 * The actors and protocols among the exports of a module; other exports are passed over.
 *
 * @throws ActorError if there is no actor, or two protocols have one name.
 */
export function readManifest(exports: object, from: string): Manifested {
  const actors: Record<string, AnyActor> = {};
  const protocols = new Map<string, AnyProtocol>();
  const add = (each: AnyProtocol): void => {
    const known = protocols.get(each.name);
    if (known !== undefined && known.hash !== each.hash) {
      throw new ActorError('ACTOR_MISUSE', `${from} has two protocols named ${each.name}`);
    }
    protocols.set(each.name, known ?? each);
  };
  for (const [name, value] of Object.entries(named(exports))) {
    if (isActor(value)) {
      actors[name] = value;
      add(value.protocol);
    } else if (isProtocol(value)) add(value);
  }
  if (Object.keys(actors).length === 0) {
    throw new ActorError('ACTOR_MISUSE', `${from} exports no actor: export what actor() returns`);
  }
  return { actors, protocols: [...protocols.values()] };
}

/** A CommonJS module that is imported may show its exports as its default alone. */
function named(exports: object): object {
  const whole = (exports as { readonly default?: unknown }).default;
  return typeof whole === 'object' && whole !== null ? { ...whole, ...exports } : exports;
}

export function actorSummaries({ actors }: Manifested): ActorSummary[] {
  return Object.entries(actors).map(([name, { protocol, options }]) => ({
    name,
    protocol: protocol.name,
    args: options.args?.shape ?? '',
  }));
}

/** The first difference in words, or undefined. */
export function actorDifference(
  ours: readonly ActorSummary[],
  theirs: readonly ActorSummary[],
): string | undefined {
  const known = new Map(theirs.map((each) => [each.name, each]));
  for (const mine of ours) {
    const other = known.get(mine.name);
    known.delete(mine.name);
    if (other === undefined) return `${mine.name} is exported here and not on thread 0`;
    if (other.protocol !== mine.protocol) {
      return `${mine.name} has protocol ${mine.protocol} here and ${other.protocol} on thread 0`;
    }
    if (other.args !== mine.args) {
      return `${mine.name} takes ${argsIn(mine)} here and ${argsIn(other)} on thread 0`;
    }
  }
  for (const name of known.keys()) return `${name} is exported on thread 0 and not here`;
  return undefined;
}

function argsIn({ args }: ActorSummary): string {
  return args === '' ? 'arguments without a codec' : `arguments of ${args}`;
}

function isProtocol(value: unknown): value is AnyProtocol {
  if (typeof value !== 'object' || value === null) return false;
  const { name, hash, table } = value as Partial<AnyProtocol>;
  return typeof name === 'string' && typeof hash === 'number' && Array.isArray(table);
}

function isActor(value: unknown): value is AnyActor {
  if (typeof value !== 'object' || value === null) return false;
  const { protocol, setup, options } = value as Partial<AnyActor>;
  return isProtocol(protocol) && typeof setup === 'function' && typeof options === 'object';
}
