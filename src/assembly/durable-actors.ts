// Durable actors of an application on the replicated logs of its cluster, as a node offers them: made and removed
// by metadata, asked through refs that find whoever leads.
import {
  type AnyDurableActor,
  type Asks,
  type DurableActor,
  decodeAnswer,
  encodeCommand,
} from '../actors/durable/event-sourced.ts';
import { ActorError } from '../actors/errors.ts';
import type { OpEntry, Ops } from '../actors/protocol.ts';
import type { Ref } from '../actors/ref.ts';
import type { System } from '../actors/system.ts';
import { actorVhost } from '../cluster/metadata/actor-kinds.ts';
import type { MetadataCommand } from '../cluster/metadata/commands.ts';
import type { ProposeAnswer } from '../cluster/metadata-shell/metadata-protocol.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { uuidFromDraws } from '../std/uuid.ts';
import type { DurableCommands } from './durable-commands.ts';
import { DurableFronts } from './durable-fronts.ts';
import { kindOf } from './durable-kinds.ts';

const CHANGE_MS = 15_000;

export interface ReplicatedOptions {
  /** Default: three, or as many nodes as bring the kind if those are fewer. Fixed when the actor is made. */
  readonly replicationFactor?: number;
  /**
   * A change is kept by all replicas that are in sync, and refused while those are fewer than this. Without it a
   * majority of three replicas or more keeps a change, as in a quorum queue.
   */
  readonly minInsync?: number;
}

/** The durable actors of a cluster, as an application on one of its nodes sees them. */
export interface ReplicatedActors {
  /**
   * Makes the actor if there is none, and resolves with a ref to it. Once the node is ready.
   *
   * @throws ActorError DURABLE_REFUSED with the reason (too few nodes bring the kind; made otherwise before), or
   * DURABLE_UNAVAILABLE if metadata did not answer: it may have been made all the same.
   */
  create<O extends Asks & Ops>(
    kind: DurableActor<O>,
    name: string,
    options?: ReplicatedOptions,
  ): Promise<Ref<O>>;
  /**
   * A ref to the actor of that name. What is asked goes to whoever leads it, on any node, and is answered when it is
   * kept; it is decided once, however often leaders change meanwhile. An ask fails with DURABLE_NO_ACTOR where this
   * node knows of none, DURABLE_REMOVED, DURABLE_UNAVAILABLE (nothing has happened) or DURABLE_UNKNOWN (it may have);
   * one that fails with its own timeout may happen later. A ref ends with its actor (ACTOR_STOPPED, ACTOR_GONE): one
   * that is made again under the name has another. So do the oldest of more than 1,024 refs to what there is not.
   */
  ref<O extends Asks & Ops>(kind: DurableActor<O>, name: string): Ref<O>;
  /** Deletes the actor and its log for ever. Resolves also if there is none. */
  remove(kind: AnyDurableActor, name: string): Promise<void>;
  /** As this node knows them, sorted. */
  names(kind: AnyDurableActor): readonly string[];
  /** The id of the node that leads the actor, as this node knows; undefined while there is none. */
  leader(kind: AnyDurableActor, name: string): number | undefined;
}

export interface DurableActorsParts {
  readonly system: System;
  readonly replica: MetadataReplica;
  readonly change: (command: MetadataCommand, timeoutMs: number) => Promise<ProposeAnswer>;
  readonly kinds: readonly AnyDurableActor[];
  readonly commands: DurableCommands;
}

export class DurableActorsOfCluster implements ReplicatedActors {
  readonly #parts: DurableActorsParts;
  readonly #fronts: DurableFronts;

  constructor(parts: DurableActorsParts) {
    this.#parts = parts;
    this.#fronts = new DurableFronts(parts.system, parts.replica);
  }

  async create<O extends Asks & Ops>(
    kind: DurableActor<O>,
    name: string,
    { replicationFactor = -1, minInsync = -1 }: ReplicatedOptions = {},
  ): Promise<Ref<O>> {
    this.#check(kind, name);
    const { system } = this.#parts;
    const draw = () => system.random.below(0x1_0000_0000);
    await this.#change({
      kind: 'create-actor',
      actor: kindOf(kind),
      name,
      topicId: uuidFromDraws(draw(), draw(), draw(), draw()),
      replicationFactor,
      minInsync,
    });
    return this.ref(kind, name);
  }

  async #change(command: MetadataCommand): Promise<void> {
    const answer = await this.#parts.change(command, CHANGE_MS);
    if (answer.kind === 'done') return;
    const { code, message } = answer;
    if (answer.kind === 'refused') throw new ActorError('DURABLE_REFUSED', message, { code });
    throw new ActorError('DURABLE_UNAVAILABLE', `metadata does not answer: ${message}`);
  }

  ref<O extends Asks & Ops>(kind: DurableActor<O>, name: string): Ref<O> {
    this.#check(kind, name);
    return this.#fronts.ref(kind, name, (op, input) => this.#send(kind, name, op, input));
  }

  async #send(kind: AnyDurableActor, name: string, op: OpEntry, input: unknown): Promise<unknown> {
    const logId = this.#logIdOf(kind, name);
    if (logId === undefined) {
      throw new ActorError('DURABLE_NO_ACTOR', `there is no ${kind.kind} named ${name}`);
    }
    return decodeAnswer(op, await this.#parts.commands.send(logId, encodeCommand(op, input)));
  }

  #logIdOf({ kind }: AnyDurableActor, name: string): number | undefined {
    return this.#parts.replica.image.destination(actorVhost(kind), name)?.logIds[0];
  }

  async remove(kind: AnyDurableActor, name: string): Promise<void> {
    this.#check(kind);
    const logId = this.#logIdOf(kind, name);
    if (logId === undefined) return;
    try {
      await this.#change({ kind: 'delete-actor', actorKind: kind.kind, name, logId });
    } catch (error) {
      // Somebody else was quicker.
      const { code } = (error as ActorError).details as { readonly code?: unknown };
      if (code !== 'unknown-destination' && code !== 'stale-log') throw error;
    }
  }

  names(kind: AnyDurableActor): readonly string[] {
    this.#check(kind);
    return this.#parts.replica.image.actorsIn(actorVhost(kind.kind));
  }

  leader(kind: AnyDurableActor, name: string): number | undefined {
    this.#check(kind);
    const logId = this.#logIdOf(kind, name);
    const leader = logId === undefined ? -1 : (this.#parts.replica.view.log(logId)?.leader ?? -1);
    return leader < 0 ? undefined : leader;
  }

  #check(kind: AnyDurableActor, name = ''): void {
    if (!this.#parts.kinds.includes(kind)) {
      throw new ActorError('ACTOR_MISUSE', `${kind.kind} is not among the kinds of this node`);
    }
    // Half of a pair is no character: in bytes it would be another name.
    if (!/\p{Surrogate}/u.test(name)) return;
    throw new ActorError('ACTOR_MISUSE', `${JSON.stringify(name)} is no name for an actor`);
  }
}
