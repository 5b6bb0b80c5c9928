// All links of one thread: outgoing ones opened by the first message to a thread of another node,
// incoming ones accepted here or handed over by the thread that accepted. The loss of a node is told from
// outside (the metadata group knows it); a broken socket only ends an epoch.
import type { Address, Cancel, Connection, Listener } from '../../env/environment.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import { concatBytes } from '../../std/byte-ops.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { isLoopback } from '../../std/loopback.ts';
import { encodeUtf8 } from '../../std/utf8.ts';
import { protocolsHash } from '../protocol.ts';
import { threadKey } from '../ref.ts';
import type { System } from '../system.ts';
import { DialerHandshake } from './dialer.ts';
import {
  decodeGreeting,
  encodeAnswer,
  encodeGreeting,
  GREETING_BYTES,
  type Greeting,
  LANES,
  type Lane,
  NONCE_BYTES,
  twiceProofOf,
} from './handshake.ts';
import { IncomingLink } from './incoming-link.ts';
import { hearIntroduction } from './introduction.ts';
import { checkReach } from './loopback.ts';
import type { LinkHost } from './outgoing-link.ts';
import { OutgoingLink } from './outgoing-link.ts';
import { listProtocols } from './protocol-list.ts';
import { Reception } from './reception.ts';
import { Refusals } from './refusals.ts';

/**
 * Where an address of a node is from, the weaker first: where it dials from, somebody who knows it, itself, and whoever
 * set up this node.
 */
const SOURCES = ['seen', 'told', 'greeted', 'set'] as const;
type AddressSource = (typeof SOURCES)[number];

interface KnownAddress extends Address {
  readonly source: AddressSource;
}

export interface LinkIdentity {
  /** At most 40 bytes. */
  readonly clusterId: string;
  /**
   * Shared by the nodes of the cluster, and never sent. Take a random text of some length: who reads a handshake can
   * try tokens at leisure. Without one, links stay on this machine.
   */
  readonly token?: string;
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
/** Between two looks at whether links still live, while there are any. */
const BEAT_MS = 5_000;
/** Records delivered per turn, shared by all incoming links, and the least that each may deliver. */
const RECORDS_PER_POLL = 256;
const RECORDS_WHEN_BEHIND = 64;
const RECORDS_MIN = 16;
const LINK_TAG = 'link';
/** How long another life of a node that dials may take for a sign that it is not over. */
const RIVAL_MS = 1_000;

export class Links implements LinkHost {
  readonly system: System;
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
  readonly refusals: Refusals;
  /** For what is written and received by all links of this thread. */
  readonly buffers = new BufferPool();
  /**
   * A node refuses the links of this one, because another life of it has links there and answers: a process
   * with the same number, on the same folder or a copy of it. Called again and again while it lasts, and only for
   * a peer that has proved to know the token: without a token never, and all there is is the refusal in the log.
   */
  onRunsTwice: (node: number) => void = () => undefined;
  /** Where this node is dialled, as its greetings say; undefined: they do not say. */
  listensAt: Address | undefined;
  /** Answers newcomers that have proved to know the token and ask who the cluster is. Without it nobody does. */
  onIntroduction: ((request: Uint8Array, greeting: Greeting) => Uint8Array) | undefined;
  readonly #windowBytes: number;
  readonly #addresses = new Map<number, KnownAddress>();
  readonly #outgoing = new Map<number, OutgoingLink>();
  readonly #incoming = new Map<number, IncomingLink>();
  readonly #epochEnds = new Map<number, Set<() => void>>();
  readonly #anyEpochEnds = new Set<(node: number, thread: number, lane: Lane) => void>();
  readonly #clusterId: string;
  readonly #token: string;
  readonly #key: Uint8Array;
  readonly #reception: Reception;
  #isBeating = false;
  #isClosed = false;

  constructor(system: System, options: LinksOptions) {
    this.system = system;
    this.#clusterId = options.clusterId;
    this.#token = options.token ?? '';
    this.#key = encodeUtf8(this.#token);
    this.refusals = new Refusals(() => system.clock.monotonicMs());
    this.crc32c = (bytes, start, end, seed) => system.env.crc32c(bytes, start, end, seed);
    this.protocolsHash = protocolsHash(system.protocols);
    this.#windowBytes = options.windowBytes ?? DEFAULT_WINDOW_BYTES;
    this.#reception = new Reception({
      system,
      counters: this.counters,
      refusals: this.refusals,
      hasToken: this.#token !== '',
      acceptor: {
        clusterId: options.clusterId,
        token: this.#key,
        node: system.place.node,
        threadCount: system.threadCount,
        protocolsHash: this.protocolsHash,
        protocols: () => listProtocols(system.protocols),
        introduces: () => this.onIntroduction !== undefined,
      },
      welcome: (...proved) => this.#proved(...proved),
      introduced: (connection, greeting, proof, ended) =>
        hearIntroduction(system, connection, proof, ended, (request) =>
          this.onIntroduction!(request, greeting),
        ),
    });
    system.onMissingRoute((node, thread, lane) => this.#routeTo(node, thread, lane));
    system.access.knownNodes = () => this.nodes();
    system.turn.onPoll(() => this.#poll());
    system.turn.onPhase('flush', () => this.#flush());
  }

  /**
   * Where the node's link listener is. A known link in back-off tries at once.
   *
   * @throws ActorError (ACTOR_MISUSE) without a token, if the address is not on this machine.
   */
  setAddress(node: number, address: Address): void {
    checkReach('dial', address.host, this.#token);
    this.#know(node, address, 'set');
  }

  /**
   * Somebody says that the node's link listener is there. It counts where no address was set, and the node itself has
   * not told another one when it dialled. Without a token, one that is not on this machine does not count.
   */
  learnAddress(node: number, address: Address): void {
    if (this.#token !== '' || isLoopback(address.host)) this.#know(node, address, 'told');
  }

  /** The node is no member any more: what was learned of it counts no more, what was set does. */
  forgetAddress(node: number): void {
    if (this.#addresses.get(node)?.source !== 'set') this.#addresses.delete(node);
  }

  #know(node: number, address: Address, source: AddressSource): void {
    const before = this.#addresses.get(node);
    if (before !== undefined && SOURCES.indexOf(before.source) > SOURCES.indexOf(source)) return;
    this.#addresses.set(node, { ...address, source });
    const isSame = before?.host === address.host && before.port === address.port;
    if (isSame && source !== 'set') return;
    for (const link of this.#outgoing.values()) if (link.node === node) link.retryNow();
  }

  /** Who dials says where it is dialled itself. */
  #heard({ fromNode, listensAt }: Greeting, connection: Connection): void {
    if (listensAt === undefined) return;
    const { host, port } = listensAt;
    const source = host === '' ? 'seen' : 'greeted';
    const address = { host: host === '' ? connection.remote.host : host, port };
    if (this.#token !== '' || isLoopback(address.host)) this.#know(fromNode, address, source);
  }

  /** Other nodes that have an address or a link here, in order. */
  nodes(): readonly number[] {
    const nodes = new Set(this.#addresses.keys());
    for (const { greeting } of this.#incoming.values()) nodes.add(greeting.fromNode);
    nodes.delete(this.system.place.node);
    return [...nodes].sort((a, b) => a - b);
  }

  addressOf(node: number): Address | undefined {
    return this.#addresses.get(node);
  }

  /**
   * Takes an accepted connection, reads exactly the handshake, and keeps it or hands it to the thread that the
   * greeting names. Who does not know the token, or speaks otherwise, is told why and sent away. Never throws.
   */
  accept(connection: Connection): void {
    if (this.#isClosed) connection.destroy();
    else this.#reception.accept(connection);
  }

  /**
   * Listens for other nodes. Port 0 picks a free one.
   *
   * @throws ActorError (ACTOR_MISUSE) without a token, if the address can be reached from other machines.
   */
  async listen(at: Address): Promise<Listener> {
    checkReach('listen at', at.host, this.#token);
    return this.system.env.net.listen(at, (connection) => this.accept(connection));
  }

  /** From now on takes the links that another thread accepted for this one. */
  takeHandedOver(): void {
    this.system.env.threads.onConnection((connection, tag, head) => {
      if (tag === LINK_TAG) this.adopt(connection, head);
    });
  }

  /** A connection that another thread accepted and shook hands with (tag LINK_TAG). */
  adopt(connection: Connection, head: Uint8Array): void {
    const ended = { onClose: (): void => undefined };
    let receiver: (view: Uint8Array) => void = () => undefined;
    connection.start({ onBytes: (view) => receiver(view), onClose: () => ended.onClose() });
    const parsed = decodeGreeting(head.subarray(0, GREETING_BYTES));
    if (parsed.kind === 'bad' || parsed.value.toThread !== this.system.place.thread) {
      connection.destroy();
      return;
    }
    this.#heard(parsed.value, connection);
    receiver = this.#welcome(connection, parsed.value, head.slice(GREETING_BYTES), ended);
  }

  /**
   * Calls `handle` whenever the way to or from that thread was lost: what was under way may be gone. `lane` 1 is the
   * way of bulk, which ends by itself.
   */
  onEpochEnd(node: number, thread: number, handle: () => void, lane: Lane = 0): Cancel {
    const key = linkKey(node, thread, lane);
    let handles = this.#epochEnds.get(key);
    if (handles === undefined) {
      handles = new Set();
      this.#epochEnds.set(key, handles);
    }
    handles.add(handle);
    return () => void handles.delete(handle);
  }

  /** The same of every thread of every node, those that come later too; behind those who asked for one. */
  onAnyEpochEnd(handle: (node: number, thread: number, lane: Lane) => void): Cancel {
    this.#anyEpochEnds.add(handle);
    return () => void this.#anyEpochEnds.delete(handle);
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
      this.epochEnded(node, link.greeting.fromThread, link.greeting.lane);
    }
    for (const link of outgoing) link.abort('the node is lost');
  }

  /** Epoch of the outgoing link, 0 before the first; for inspection. */
  epochOf(node: number, thread: number): number {
    return this.#outgoing.get(linkKey(node, thread, 0))?.epoch ?? 0;
  }

  close(): void {
    this.#isClosed = true;
    for (const link of [...this.#outgoing.values()]) link.close();
    for (const link of [...this.#incoming.values()]) link.close();
    this.#reception.close();
    this.#outgoing.clear();
    this.#incoming.clear();
  }

  // ---- LinkHost -----------------------------------------------------------------------------------

  handshake(to: Pick<Greeting, 'toNode' | 'toThread' | 'lane' | 'epoch'>): DialerHandshake {
    const { place, protocols } = this.system;
    return new DialerHandshake({
      greeting: {
        ...to,
        clusterId: this.#clusterId,
        fromNode: place.node,
        fromIncarnation: place.incarnation,
        fromThread: place.thread,
        protocolsHash: this.protocolsHash,
        nonce: this.system.env.unguessable(NONCE_BYTES),
        listensAt: this.listensAt,
      },
      token: this.#key,
      protocols: () => listProtocols(protocols),
    });
  }

  /** A link of either direction is open: from now on links are looked after. */
  opened(): void {
    if (this.#isBeating || this.#isClosed) return;
    this.#isBeating = true;
    this.system.deadlines.after(BEAT_MS, () => {
      if (!this.#isClosed) this.#beat();
    });
  }

  runsTwice(node: number): void {
    this.onRunsTwice(node);
  }

  epochEnded(node: number, thread: number, lane: Lane): void {
    this.system.wayLost(node, thread, lane);
    for (const handle of [...(this.#epochEnds.get(linkKey(node, thread, lane)) ?? [])]) handle();
    for (const handle of [...this.#anyEpochEnds]) handle(node, thread, lane);
  }

  // ---- Inside -------------------------------------------------------------------------------------

  #routeTo(node: number, thread: number, lane: Lane): OutgoingLink | undefined {
    if (node === this.system.place.node || this.#isClosed) return undefined;
    const key = linkKey(node, thread, lane);
    let link = this.#outgoing.get(key);
    if (link === undefined) {
      link = new OutgoingLink(this, node, thread, lane);
      this.#outgoing.set(key, link);
    }
    return link;
  }

  /** Looks at every link now and then, until there is none. */
  #beat(): void {
    this.#isBeating = false;
    for (const link of this.#outgoing.values()) link.beat();
    for (const [key, link] of this.#incoming) {
      if (!link.beat()) this.#endIncoming(key, link);
    }
    if (this.#incoming.size > 0 || [...this.#outgoing.values()].some(isOpen)) this.opened();
  }

  #endIncoming(key: number, link: IncomingLink): void {
    const { fromNode: node, fromThread: thread, lane } = link.greeting;
    this.system.log.warn('a link ended', { node, thread, reason: 'no sign of life' });
    this.#incoming.delete(key);
    link.close();
    this.epochEnded(node, thread, lane);
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

  /**
   * Who has proved to know the token, and means this node. If another life of it has links here, that one is asked
   * first whether it is over: of two that live, the later one is sent away, before it has said a word.
   */
  #proved(
    connection: Connection,
    greeting: Greeting,
    proof: Uint8Array,
    ended: { onClose: () => void },
  ): ((view: Uint8Array) => void) | undefined {
    const rival = this.#rivalOf(greeting);
    if (rival === undefined) return this.#admit(connection, greeting, proof, ended);
    let isClosed = false;
    let receiver: ((view: Uint8Array) => void) | undefined;
    ended.onClose = () => {
      isClosed = true;
    };
    rival.probe(RIVAL_MS, (isAlive) => {
      if (isClosed || this.#isClosed) connection.destroy();
      else if (isAlive) {
        const { fromNode } = greeting;
        const told = `node ${fromNode} has links here already, of another process that lives`;
        const twiceProof = twiceProofOf(this.#key, proof);
        this.#reception.refuse(connection, told, told, greeting, { twiceProof });
      } else receiver = this.#admit(connection, greeting, proof, ended);
    });
    return (view) => receiver?.(view);
  }

  /** Our link to another life of the dialing node that has links here; undefined if none can be asked. */
  #rivalOf({ fromNode, fromIncarnation }: Greeting): OutgoingLink | undefined {
    for (const { greeting } of this.#incoming.values()) {
      if (greeting.fromNode !== fromNode || greeting.fromIncarnation === fromIncarnation) continue;
      for (const link of this.#outgoing.values()) {
        const isItsLife = link.peerLife === greeting.fromIncarnation;
        if (link.node === fromNode && isItsLife) return link;
      }
    }
    return undefined;
  }

  /** Kept, or handed to the thread that it means. */
  #admit(
    connection: Connection,
    greeting: Greeting,
    proof: Uint8Array,
    ended: { onClose: () => void },
  ): ((view: Uint8Array) => void) | undefined {
    const { place, env } = this.system;
    this.#heard(greeting, connection);
    if (greeting.toThread === place.thread) {
      return this.#welcome(connection, greeting, proof, ended);
    }
    if (!env.threads.canHandOver) {
      const reason = `connections cannot reach thread ${greeting.toThread}`;
      this.#reception.refuse(connection, reason, reason, greeting);
      return undefined;
    }
    connection.pauseReading();
    const head = concatBytes([encodeGreeting(greeting), proof]);
    env.threads.handOver(connection, greeting.toThread, LINK_TAG, head);
    return undefined;
  }

  #welcome(
    connection: Connection,
    greeting: Greeting,
    proof: Uint8Array,
    ended: { onClose: () => void },
  ): (view: Uint8Array) => void {
    const { fromNode, fromThread, fromIncarnation, lane } = greeting;
    const key = linkKey(fromNode, fromThread, lane);
    const { crc32c, buffers, refusals } = this;
    const options = { windowBytes: this.#windowBytes, crc32c, buffers, refusals };
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
      this.epochEnded(fromNode, fromThread, lane);
    };
    const { incarnation } = this.system.place;
    connection.write(
      encodeAnswer({ kind: 'welcome', incarnation, creditBytes: this.#windowBytes, proof }),
    );
    for (const each of LANES) {
      this.#outgoing.get(linkKey(fromNode, fromThread, each))?.greetedBy(fromIncarnation);
    }
    this.opened();
    if (before !== undefined) this.epochEnded(fromNode, fromThread, lane);
    return (view) => link.received(view);
  }
}

function linkKey(node: number, thread: number, lane: Lane): number {
  return threadKey(node, thread) * LANES.length + lane;
}

function isOpen({ state }: OutgoingLink): boolean {
  return state === 'open';
}
