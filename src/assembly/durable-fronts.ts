// The actors of a node's system by which its application asks durable ones: one for each that it has a ref to, from
// the first `ref` until metadata says that the log is deleted. Then a front answers what it has taken, and ends. So do
// the oldest of many under whose names there is no actor: whoever makes names up takes no memory.
import type { Asks, DurableActor } from '../actors/durable/event-sourced.ts';
import { FrontLife, frontOf, type SendAsk } from '../actors/durable/front.ts';
import type { Ops } from '../actors/protocol.ts';
import type { AnyRef, Ref } from '../actors/ref.ts';
import type { System } from '../actors/system.ts';
import { actorVhost, kindOfVhost } from '../cluster/metadata/actor-kinds.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';

/** Fronts without an actor. */
const WAITING_MAX = 1_024;

interface Front {
  readonly ref: AnyRef;
  readonly life: FrontLife;
  readonly vhost: string;
  readonly name: string;
  /** Of its actor; undefined while there is none. */
  logId: number | undefined;
}

export class DurableFronts {
  readonly #system: System;
  readonly #replica: MetadataReplica;
  /** By vhost and name. */
  readonly #fronts = new Map<string, Front>();
  readonly #byLog = new Map<number, Front>();
  /** Those without an actor, the oldest first. */
  readonly #waiting = new Set<Front>();
  #made = 0;

  constructor(system: System, replica: MetadataReplica) {
    this.#system = system;
    this.#replica = replica;
    replica.view.onLogs((logIds) => {
      if (logIds === undefined) for (const front of this.#fronts.values()) this.#lookAgain(front);
      else for (const logId of logIds) this.#logChanged(logId);
    });
  }

  ref<O extends Asks & Ops>(kind: DurableActor<O>, name: string, send: SendAsk): Ref<O> {
    const vhost = actorVhost(kind.kind);
    const known = this.#fronts.get(keyOf(vhost, name));
    if (known !== undefined) return known.ref as Ref<O>;
    const life = new FrontLife();
    // Numbered: one that has the name of an actor made anew may still be about to end.
    this.#made += 1;
    const path = `durable:${kind.kind}:${encodeURIComponent(name)}#${this.#made}`;
    const ref = this.#system.spawn(path, frontOf(kind, send, life), undefined);
    const front: Front = { ref, life, vhost, name, logId: undefined };
    this.#fronts.set(keyOf(vhost, name), front);
    this.#waiting.add(front);
    this.#lookAgain(front);
    const [oldest] = this.#waiting;
    if (this.#waiting.size > WAITING_MAX) this.#end(oldest!);
    return ref;
  }

  #lookAgain(front: Front): void {
    const logId = this.#replica.image.destination(front.vhost, front.name)?.logIds[0];
    if (logId === front.logId) return;
    if (front.logId !== undefined) this.#end(front);
    else if (logId !== undefined) this.#bind(front, logId);
  }

  #logChanged(logId: number): void {
    const front = this.#byLog.get(logId);
    const log = this.#replica.image.log(logId);
    if (front !== undefined && log === undefined) this.#end(front);
    if (front !== undefined || log === undefined || kindOfVhost(log.vhost) === undefined) return;
    const waiting = this.#fronts.get(keyOf(log.vhost, log.destination));
    if (waiting !== undefined) this.#lookAgain(waiting);
  }

  #bind(front: Front, logId: number): void {
    front.logId = logId;
    this.#waiting.delete(front);
    this.#byLog.set(logId, front);
  }

  #end(front: Front): void {
    this.#fronts.delete(keyOf(front.vhost, front.name));
    this.#waiting.delete(front);
    if (front.logId !== undefined) this.#byLog.delete(front.logId);
    front.life.end();
  }
}

function keyOf(vhost: string, name: string): string {
  return `${vhost}\n${name}`;
}
