// The clients of one listener, by the id that they give themselves: what they are, when they were heard, and
// which telemetry streams they have open. A client that is silent is gone after two minutes; what it was is
// remembered for hours, so that it may come back without starting over. Nothing is stored.
import type { RocketLimits } from './limits.ts';
import { ClientType } from './schema/enums.ts';

export interface Client {
  readonly id: string;
  type: number;
  /** '' for producers, and while it is not known. */
  group: string;
  heardAtMs: number;
  /** Calls of open telemetry streams. */
  readonly streams: Set<number>;
  isGone: boolean;
}

export class Clients {
  readonly #limits: RocketLimits;
  /** The longest silent first. */
  readonly #byId = new Map<string, Client>();
  readonly #gone: (client: Client) => void;

  constructor(limits: RocketLimits, gone: (client: Client) => void) {
    this.#limits = limits;
    this.#gone = gone;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The client, heard now; a new one if the id is new. */
  heard(id: string, nowMs: number): Client {
    const known = this.#byId.get(id);
    const client: Client = known ?? {
      id,
      type: ClientType.CLIENT_TYPE_UNSPECIFIED,
      group: '',
      heardAtMs: nowMs,
      streams: new Set(),
      isGone: false,
    };
    client.heardAtMs = nowMs;
    client.isGone = false;
    // To the end of the line.
    this.#byId.delete(id);
    this.#byId.set(id, client);
    if (this.#byId.size > this.#limits.clientsMax) this.#forgetFirst();
    return client;
  }

  /** It said goodbye. */
  forget(id: string): void {
    const client = this.#byId.get(id);
    if (client === undefined) return;
    this.#byId.delete(id);
    this.#leave(client);
  }

  /** One of its streams is closed; without any it is gone, until it is heard again. */
  streamClosed(id: string, call: number): void {
    const client = this.#byId.get(id);
    if (client?.streams.delete(call) && client.streams.size === 0) this.#leave(client);
  }

  /** Looks for those who are silent for too long. */
  sweep(nowMs: number): void {
    const { silenceMsMax, rememberMs } = this.#limits;
    for (const client of this.#byId.values()) {
      const silentMs = nowMs - client.heardAtMs;
      if (silentMs < silenceMsMax) return;
      // An open stream is a sign of life: whether the peer behind it lives, the transport finds out.
      if (client.streams.size > 0) continue;
      this.#leave(client);
      if (silentMs >= silenceMsMax + rememberMs) this.#byId.delete(client.id);
    }
  }

  #leave(client: Client): void {
    if (client.isGone) return;
    client.isGone = true;
    this.#gone(client);
  }

  #forgetFirst(): void {
    for (const client of this.#byId.values()) {
      this.#byId.delete(client.id);
      this.#leave(client);
      return;
    }
  }
}
