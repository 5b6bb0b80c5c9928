// All links of one thread: outgoing ones opened by the first message to a thread of another node,
// incoming ones accepted here or handed over by the thread that accepted. The loss of a node is told from
// outside (the metadata group knows it); a broken socket only ends an epoch.
import type { Address, Cancel, Connection } from '../../env/environment.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { protocolsHash } from '../protocol.ts';
import { threadKey } from '../ref.ts';
import type { System } from '../system.ts';
import type { Greeting } from './handshake.ts';
import { decodeGreeting, encodeAnswer, GREETING_BYTES, mayBeGreeting } from './handshake.ts';
import { IncomingLink } from './incoming-link.ts';
import type { LinkHost } from './outgoing-link.ts';
import { OutgoingLink } from './outgoing-link.ts';

export interface LinkIdentity {
  /** At most 40 bytes. */
  readonly clusterId: string;
  /** Shared by the nodes of the cluster; at most 64 bytes. */
  readonly token: string;
}

export interface LinksOptions extends LinkIdentity {
  /** Bytes that one sender may have under way to this thread. */
  readonly windowBytes?: number;
}

export interface LinkCounters {
  writes: number;
  bytesSent: number;
  bytesReceived: number;
  recordsSent: number;
  recordsReceived: number;
  /** Records that were under way when an epoch ended: delivered or not, nobody knows. */
  recordsLost: number;
  epochs: number;
  malformed: number;
  refused: number;
  full: number;
}

const DEFAULT_WINDOW_BYTES = 4 * 1024 * 1024;
const GREETING_TIMEOUT_MS = 5_000;
/** Records delivered per turn, shared by all incoming links, and the least that each may deliver. */
const RECORDS_PER_POLL = 256;
const RECORDS_WHEN_BEHIND = 64;
const RECORDS_MIN = 16;
const LINK_TAG = 'link';

export class Links implements LinkHost {
  readonly system: System;
  readonly identity: LinkIdentity;
  readonly protocolsHash: number;
  readonly counters: LinkCounters = {
    writes: 0,
    bytesSent: 0,
    bytesReceived: 0,
    recordsSent: 0,
    recordsReceived: 0,
    recordsLost: 0,
    epochs: 0,
    malformed: 0,
    refused: 0,
    full: 0,
  };
  readonly crc32c: Crc32c;
  /** For what is written and received by all links of this thread. */
  readonly buffers = new BufferPool();
  readonly #windowBytes: number;
  readonly #addresses = new Map<number, Address>();
  readonly #outgoing = new Map<number, OutgoingLink>();
  readonly #incoming = new Map<number, IncomingLink>();
  readonly #epochEnds = new Map<number, Set<() => void>>();
  readonly #greeting = new Set<Connection>();
  #isClosed = false;

  constructor(system: System, options: LinksOptions) {
    this.system = system;
    this.identity = options;
    this.crc32c = (bytes, start, end, seed) => system.env.crc32c(bytes, start, end, seed);
    this.protocolsHash = protocolsHash(system.protocols);
    this.#windowBytes = options.windowBytes ?? DEFAULT_WINDOW_BYTES;
    system.onMissingRoute((node, thread) => this.#routeTo(node, thread));
    system.turn.onPoll(() => this.#poll());
    system.turn.onPhase('flush', () => this.#flush());
  }

  /** Where the node's link listener is. A known link in back-off tries at once. */
  setAddress(node: number, address: Address): void {
    this.#addresses.set(node, address);
    for (const link of this.#outgoing.values()) if (link.node === node) link.retryNow();
  }

  addressOf(node: number): Address | undefined {
    return this.#addresses.get(node);
  }

  /**
   * Takes an accepted connection, reads exactly the greeting, and keeps it or hands it to the thread
   * that the greeting names. Bad greetings are answered with the reason and closed.
   */
  accept(connection: Connection): void {
    const head = new Uint8Array(GREETING_BYTES);
    let fill = 0;
    let receiver: ((view: Uint8Array) => void) | undefined;
    const ended = { onClose: (): void => undefined };
    this.#greeting.add(connection);
    const deadline = this.system.deadlines.after(GREETING_TIMEOUT_MS, () => {
      this.#refuse(connection, 'no greeting in time');
    });
    const done = (): void => {
      this.system.deadlines.cancel(deadline);
      this.#greeting.delete(connection);
    };
    connection.start({
      onBytes: (view) => {
        if (receiver !== undefined) return receiver(view);
        const count = Math.min(GREETING_BYTES - fill, view.length);
        head.set(view.subarray(0, count), fill);
        fill += count;
        if (view.length > count || !mayBeGreeting(head.subarray(0, fill))) {
          done();
          this.#refuse(connection, 'this is no greeting of a link');
        } else if (fill === GREETING_BYTES) {
          done();
          receiver = this.#greeted(connection, head, ended);
        }
      },
      onClose: () => {
        done();
        ended.onClose();
      },
    });
  }

  /** From now on takes the links that another thread accepted for this one. */
  takeHandedOver(): void {
    this.system.env.threads.onConnection((connection, tag, head) => {
      if (tag === LINK_TAG) this.adopt(connection, head);
    });
  }

  /** A connection that another thread accepted and read the greeting of (tag LINK_TAG). */
  adopt(connection: Connection, head: Uint8Array): void {
    const ended = { onClose: (): void => undefined };
    let receiver: (view: Uint8Array) => void = () => undefined;
    connection.start({ onBytes: (view) => receiver(view), onClose: () => ended.onClose() });
    receiver = this.#greeted(connection, head, ended) ?? receiver;
  }

  /** Calls `handle` whenever the way to or from that thread was lost: what was under way may be gone. */
  onEpochEnd(node: number, thread: number, handle: () => void): Cancel {
    const key = threadKey(node, thread);
    let handles = this.#epochEnds.get(key);
    if (handles === undefined) {
      handles = new Set();
      this.#epochEnds.set(key, handles);
    }
    handles.add(handle);
    return () => void handles.delete(handle);
  }

  /**
   * The metadata group has fenced the node: watchers of what lived there hear `node-lost`, asks fail, and
   * its links end, half-open ones too. A fence is no death sentence: a node that was only silent may come
   * back in the same life, so nothing is refused, and what is sent next dials again.
   */
  nodeLost(node: number): void {
    const threads = new Set(this.system.watches.threadsOf(node));
    const incoming = [...this.#incoming].filter(([, link]) => link.greeting.fromNode === node);
    const outgoing = [...this.#outgoing.values()].filter((link) => link.node === node);
    for (const [, { greeting }] of incoming) threads.add(greeting.fromThread);
    for (const { thread } of outgoing) threads.add(thread);
    for (const thread of [...threads].sort((a, b) => a - b)) {
      this.system.threadLost(node, thread, () => true, 'node-lost');
    }
    for (const [key, link] of incoming) {
      this.#incoming.delete(key);
      link.close();
      this.epochEnded(node, link.greeting.fromThread);
    }
    for (const link of outgoing) link.abort('the node was fenced');
  }

  /** Epoch of the outgoing link, 0 before the first; for inspection. */
  epochOf(node: number, thread: number): number {
    return this.#outgoing.get(threadKey(node, thread))?.epoch ?? 0;
  }

  close(): void {
    this.#isClosed = true;
    for (const link of [...this.#outgoing.values()]) link.close();
    for (const link of [...this.#incoming.values()]) link.close();
    for (const connection of this.#greeting) connection.destroy();
    this.#outgoing.clear();
    this.#incoming.clear();
  }

  // ---- LinkHost -----------------------------------------------------------------------------------

  epochEnded(node: number, thread: number): void {
    this.system.failAsks(node, thread, () => true, 'ACTOR_UNREACHABLE');
    for (const handle of [...(this.#epochEnds.get(threadKey(node, thread)) ?? [])]) handle();
  }

  // ---- Inside -------------------------------------------------------------------------------------

  #routeTo(node: number, thread: number): OutgoingLink | undefined {
    if (node === this.system.place.node || this.#isClosed) return undefined;
    const key = threadKey(node, thread);
    let link = this.#outgoing.get(key);
    if (link === undefined) {
      link = new OutgoingLink(this, node, thread);
      this.#outgoing.set(key, link);
    }
    return link;
  }

  #poll(): void {
    if (this.#incoming.size === 0) return;
    const records = this.system.turn.isBehind ? RECORDS_WHEN_BEHIND : RECORDS_PER_POLL;
    const share = Math.max(RECORDS_MIN, Math.ceil(records / this.#incoming.size));
    for (const link of this.#incoming.values()) {
      link.deliver(share);
      if (link.hasRecords) this.system.turn.request();
    }
  }

  #flush(): void {
    for (const link of this.#outgoing.values()) link.flush();
  }

  /** Decides about a greeting; answers who receives what follows. */
  #greeted(
    connection: Connection,
    head: Uint8Array,
    ended: { onClose: () => void },
  ): ((view: Uint8Array) => void) | undefined {
    const parsed = decodeGreeting(head);
    if (parsed.kind === 'bad') {
      this.#refuse(connection, parsed.reason);
      return undefined;
    }
    const greeting = parsed.value;
    const wrong = this.#whyNot(greeting);
    if (wrong !== undefined) {
      this.#refuse(connection, wrong, greeting);
      return undefined;
    }
    const { place, env } = this.system;
    if (greeting.toThread !== place.thread) {
      if (!env.threads.canHandOver) {
        this.#refuse(connection, `connections cannot reach thread ${greeting.toThread}`, greeting);
        return undefined;
      }
      connection.pauseReading();
      env.threads.handOver(connection, greeting.toThread, LINK_TAG, head);
      return undefined;
    }
    return this.#welcome(connection, greeting, ended);
  }

  #whyNot(greeting: Greeting): string | undefined {
    const { place, threadCount } = this.system;
    const { clusterId, token } = this.identity;
    if (greeting.clusterId !== clusterId) {
      return `cluster ${greeting.clusterId} there, ${clusterId} here`;
    }
    if (greeting.token !== token) return 'the token is wrong';
    if (greeting.toNode !== place.node) {
      return `this is node ${place.node}, not ${greeting.toNode}`;
    }
    if (greeting.toThread >= threadCount) return `there is no thread ${greeting.toThread} here`;
    if (greeting.protocolsHash !== this.protocolsHash) {
      const theirs = greeting.protocolsHash.toString(16);
      return `protocols ${theirs} there, ${this.protocolsHash.toString(16)} here: other versions`;
    }
    return undefined;
  }

  #welcome(
    connection: Connection,
    greeting: Greeting,
    ended: { onClose: () => void },
  ): (view: Uint8Array) => void {
    const { fromNode, fromThread } = greeting;
    const key = threadKey(fromNode, fromThread);
    const { crc32c, buffers } = this;
    const options = { windowBytes: this.#windowBytes, crc32c, buffers };
    const link = new IncomingLink(this.system, this.counters, connection, greeting, options);
    // The newest connection is the one that the peer believes in. It gave up the one before, perhaps
    // unheard: what was under way there is lost, and nobody else will say so.
    const before = this.#incoming.get(key);
    before?.close();
    this.#incoming.set(key, link);
    ended.onClose = () => {
      link.close();
      if (this.#incoming.get(key) !== link) return;
      this.#incoming.delete(key);
      this.epochEnded(fromNode, fromThread);
    };
    const { incarnation } = this.system.place;
    connection.write(
      encodeAnswer({ kind: 'welcome', incarnation, creditBytes: this.#windowBytes }),
    );
    this.#outgoing.get(key)?.greetedBy(greeting.fromIncarnation);
    if (before !== undefined) this.epochEnded(fromNode, fromThread);
    return (view) => link.received(view);
  }

  #refuse(connection: Connection, reason: string, greeting?: Greeting): void {
    this.counters.refused += 1;
    const from = greeting === undefined ? connection.remote : greeting.fromNode;
    this.system.log.warn('a link was refused', { reason, from });
    connection.write(encodeAnswer({ kind: 'refused', reason }));
    connection.end();
  }
}
