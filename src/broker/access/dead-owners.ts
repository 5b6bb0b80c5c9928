// Which lives of shards are over, as the metadata shows: their node was fenced, or the shard or its node
// lives another life. Whoever leads a queue here is told, and gives what they held to others.
import type { LogResult, MetadataView } from '../../cluster/ports.ts';
import type { Owner } from '../view/consumers.ts';
import type { Calls } from './calls.ts';
import type { HostRef } from './host-calls.ts';
import { NOT_DONE } from './questions.ts';
import { shardKey } from './shard-identity.ts';

const AGAIN_MS = 250;

interface Life {
  readonly life: number;
  readonly isLive: boolean;
}

export class DeadOwners {
  readonly #view: MetadataView;
  /** By key of the shard, as of the last look. */
  #lives: ReadonlyMap<number, Life>;
  #version: number;

  constructor(view: MetadataView) {
    this.#view = view;
    this.#lives = livesOf(view);
    this.#version = view.version;
  }

  /** The metadata has changed: owners that are gone since the last look, with all before them. */
  look(): readonly Owner[] {
    const { version } = this.#view;
    const before = this.#lives;
    const lives = livesOf(this.#view);
    const dead: Owner[] = [];
    for (const [node, { life, isLive }] of before) {
      const now = lives.get(node);
      // Whoever comes after a fence comes at a later version than this one.
      const isFenced = now === undefined || (isLive && !now.isLive);
      if (isFenced) dead.push({ node, incarnation: version });
      // The life of now may have begun at any version since.
      else if (now.life !== life) dead.push({ node, incarnation: this.#version });
    }
    this.#lives = lives;
    this.#version = version;
    return dead;
  }
}

function livesOf(view: MetadataView): ReadonlyMap<number, Life> {
  const lives = new Map<number, Life>();
  for (const { id, isLive, shardIncarnations } of view.nodes()) {
    for (const [shard, life] of shardIncarnations.entries()) {
      lives.set(shardKey(id, shard), { life, isLive });
    }
  }
  return lives;
}

export interface FarewellsPort {
  readonly calls: Pick<Calls, 'command'>;
  /** The host of the log, if it is led on this shard. */
  hostHere(logId: number): HostRef | undefined;
  later(delayMs: number, work: () => void): void;
}

/** Each death shows once: a leader that could not take it then, as while it hands over, is told again. */
export class Farewells {
  readonly #port: FarewellsPort;

  constructor(port: FarewellsPort) {
    this.#port = port;
  }

  /** Until it is done, or the log is led elsewhere: a new leader starts without who is gone. */
  tell(logId: number, body: Uint8Array): void {
    const host = this.#port.hostHere(logId);
    if (host === undefined) return;
    const answered = ({ result }: { readonly result: LogResult }): void => {
      if (NOT_DONE.has(result)) this.#port.later(AGAIN_MS, () => this.tell(logId, body));
    };
    this.#port.calls.command({ host, answered, lost: () => undefined }, logId, body);
  }
}
