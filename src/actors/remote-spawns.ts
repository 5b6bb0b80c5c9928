// Spawning on another thread of the node, and being spawned from there: by the name in the manifest that
// both threads have. The spawner picks slot and generation, so that its ref works at once: what it sends
// follows the spawn in the same ring.
import type { Actor, AnyActor } from './actor.ts';
import type { Ended } from './elsewhere.ts';
import { Elsewhere } from './elsewhere.ts';
import { ActorError } from './errors.ts';
import type { Ops } from './protocol.ts';
import type { AnyRef, Place, RefId } from './ref.ts';
import { isOfThreadIncarnation, packGeneration } from './ref.ts';
import type { Route, RouteAdmission } from './route.ts';
import { isRemoteSlot, RemoteSlots } from './slots.ts';
import { encodeExact } from './strict.ts';
import type { Manifest } from './system-options.ts';
import type { SpawnRequest } from './wire-codecs.ts';

export interface SpawnOrder {
  readonly thread: number;
  readonly name: string;
  readonly actor: Actor<Ops, unknown>;
  readonly args: unknown;
  /** Undefined at the top. */
  readonly parent: RefId | undefined;
}

export class RemoteSpawns {
  readonly #place: Place;
  readonly #threadIncarnation: number;
  readonly #manifest: Manifest;
  readonly #slots = new Map<number, RemoteSlots>();
  /** At the top of other threads, by name. */
  readonly #top = new Elsewhere();

  constructor(place: Place, threadIncarnation: number, manifest: Manifest) {
    this.#place = place;
    this.#threadIncarnation = threadIncarnation;
    this.#manifest = manifest;
  }

  get top(): ReadonlyMap<string, AnyRef> {
    return this.#top.byName;
  }

  addTop(name: string, ref: AnyRef): void {
    this.#top.add(name, ref);
  }

  /** They are no more: their names are free. */
  ended(which: Ended): void {
    this.#top.ended(which);
  }

  /**
   * Asks the thread behind `route` for an actor.
   *
   * @throws ActorError if the actor cannot cross, its arguments cannot be encoded, or the thread is down.
   */
  request(
    order: SpawnOrder,
    route: Route | undefined,
    send: (route: Route, id: RefId, request: SpawnRequest) => RouteAdmission,
  ): RefId {
    const { thread, name, actor, args, parent } = order;
    const exported = Object.entries(this.#manifest).find(([, each]) => each.setup === actor.setup);
    const codec = actor.options.args;
    if (exported === undefined) throw refused(name, 'it is not in the manifest');
    if (codec === undefined) throw refused(name, 'it has no codec for its arguments');
    if (route === undefined) throw refused(name, `it has no way to thread ${thread}`);
    let slots = this.#slots.get(thread);
    if (slots === undefined) {
      slots = new RemoteSlots();
      this.#slots.set(thread, slots);
    }
    const next = slots.next(this.#place.thread);
    const generation = packGeneration(route.threadIncarnation, next.generation);
    const id: RefId = { ...this.#place, thread, slot: next.slot, generation };
    let outcome: RouteAdmission;
    try {
      outcome = send(route, id, {
        slot: next.slot,
        generation,
        parent: parent ?? { ...this.#place, slot: 0, generation: 0 },
        name,
        actor: exported[0],
        args: encodeExact(codec, args),
      });
    } catch (error) {
      const message = `the arguments of ${name} cannot be encoded`;
      throw new ActorError('ACTOR_MALFORMED', message, { name }, error);
    }
    if (outcome === 'accepted') return id;
    throw new ActorError('ACTOR_THREAD_LOST', `thread ${thread} is down`, { name, thread });
  }

  /** What another thread wants here; undefined if this thread cannot make it. Throws what the codec throws. */
  parse(
    request: SpawnRequest,
  ): { readonly id: RefId; readonly actor: AnyActor; readonly args: unknown } | undefined {
    const actor = this.#manifest[request.actor];
    const codec = actor?.options.args;
    const { slot, generation } = request;
    if (actor === undefined || codec === undefined || !isRemoteSlot(slot)) return undefined;
    if (!isOfThreadIncarnation(generation, this.#threadIncarnation)) return undefined;
    const args = codec.decode(request.args, 0, request.args.length);
    return { id: { ...this.#place, slot, generation }, actor, args };
  }
}

function refused(name: string, why: string): ActorError {
  return new ActorError('ACTOR_MISUSE', `${name} cannot be spawned elsewhere: ${why}`, { name });
}
