// The log clients that publish to a queue and how far each has come: numbers that were stored are not
// stored again. Bounded: the client that was silent for longest is forgotten, and has to come back in a
// new incarnation. The last few batches of each are remembered with their offsets, because whoever sends
// one again wants to know where it is.
import type { ByteReader, ByteWriter } from '../../std/bytes.ts';

/** Part of the format: every replica forgets the same client at the same frame. */
const CLIENTS_MAX = 4_096;
/** More than a client has in flight. */
const BATCHES_MAX = 64;

interface StoredClient {
  incarnation: number;
  /** The number that its next message must have. */
  next: number;
  /** First numbers and offsets of its last batches, in order. */
  firsts: number[];
  offsets: number[];
}

export class Clients {
  /** The one that was silent for longest comes first. */
  readonly #clients = new Map<number, StoredClient>();
  /** Comes last, so that its next batch moves nobody. */
  #newest: StoredClient | undefined;

  get count(): number {
    return this.#clients.size;
  }

  incarnationOf(id: number): number {
    return this.#clients.get(id)?.incarnation ?? -1;
  }

  /** The number that follows what is stored; 1 for a client, or an incarnation, that is new. */
  nextNumber(id: number, incarnation: number): number {
    const client = this.#clients.get(id);
    return client === undefined || incarnation > client.incarnation ? 1 : client.next;
  }

  /** Where the message with that number is, or -1 if that is not remembered. */
  offsetOf(id: number, number: number): number {
    const client = this.#clients.get(id);
    if (client === undefined) return -1;
    for (let i = client.firsts.length - 1; i >= 0; i -= 1) {
      const first = client.firsts[i]!;
      if (first <= number) return client.offsets[i]! + number - first;
    }
    return -1;
  }

  stored(id: number, incarnation: number, first: number, count: number, offset: number): void {
    let client = this.#clients.get(id);
    if (client === undefined || incarnation > client.incarnation) {
      client = { incarnation, next: 1, firsts: [], offsets: [] };
    }
    if (client !== this.#newest) {
      // Behind all others again.
      this.#clients.delete(id);
      this.#clients.set(id, client);
      this.#newest = client;
    }
    client.next = first + count;
    client.firsts.push(first);
    client.offsets.push(offset);
    if (client.firsts.length > BATCHES_MAX) {
      client.firsts.shift();
      client.offsets.shift();
    }
    if (this.#clients.size > CLIENTS_MAX) {
      for (const silent of this.#clients.keys()) {
        this.#clients.delete(silent);
        break;
      }
    }
  }

  put(out: ByteWriter): void {
    out.varU53(this.#clients.size);
    for (const [id, client] of this.#clients) {
      out.varU53(id);
      out.varU53(client.incarnation);
      out.varU53(client.next);
      out.varU53(client.firsts.length);
      for (let i = 0; i < client.firsts.length; i += 1) {
        out.varU53(client.firsts[i]!);
        out.varU53(client.offsets[i]!);
      }
    }
  }

  static get(from: ByteReader): Clients {
    const clients = new Clients();
    const count = from.varU53();
    for (let i = 0; i < count; i += 1) {
      const id = from.varU53();
      const client: StoredClient = {
        incarnation: from.varU53(),
        next: from.varU53(),
        firsts: [],
        offsets: [],
      };
      const batches = from.varU53();
      for (let b = 0; b < batches; b += 1) {
        client.firsts.push(from.varU53());
        client.offsets.push(from.varU53());
      }
      clients.#clients.set(id, client);
    }
    return clients;
  }
}
