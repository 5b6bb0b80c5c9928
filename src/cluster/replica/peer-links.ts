// The log host's way to other nodes: refs to their peer actors, committed seqs of a turn coalesced into
// one message per peer, and promises for bulk copies. One per shard. A link takes no more than its credit:
// frames then wait with their sender, and the small messages here, so that nothing is lost while a link
// lives. What a link that ended has lost, both sides find out by greeting.
import type { Input } from '../../actors/protocol.ts';
import type { Admission, Ref } from '../../actors/ref.ts';
import { threadKey } from '../../actors/ref.ts';
import { SLOT_PEERS } from '../slots.ts';
import type { Directory } from './directory.ts';
import type { PeerOps } from './peer-protocol.ts';
import { PeerProtocol } from './peer-protocol.ts';
import type { PeerPort } from './role.ts';

const PULL_TIMEOUT_MS = 10_000;

export interface PeerIdentity {
  readonly node: number;
  readonly incarnation: number;
}

interface Peer {
  readonly ref: Ref<PeerOps>;
  /** Per log, not told yet. */
  readonly committed: Map<number, { logId: number; epoch: number; seq: number }>;
  /** Messages that found no room, in order. While there are any, nothing overtakes them. */
  readonly backlog: Map<string, () => Admission>;
  /** Streams that found no room. */
  readonly blocked: (() => void)[];
  isWaiting: boolean;
}

export class PeerLinks implements PeerPort {
  readonly #makeRef: (node: number, thread: number) => Ref<PeerOps>;
  readonly #directory: Directory;
  readonly #self: PeerIdentity;
  /** By {@link threadKey}. */
  readonly #peers = new Map<number, Peer>();

  constructor(
    makeRef: (node: number, thread: number) => Ref<PeerOps>,
    directory: Directory,
    self: PeerIdentity,
  ) {
    this.#makeRef = makeRef;
    this.#directory = directory;
    this.#self = self;
  }

  #peer(node: number, logId: number): Peer | undefined {
    const thread = this.#directory.threadOf(node, logId);
    if (thread === undefined) return undefined;
    const key = threadKey(node, thread);
    let peer = this.#peers.get(key);
    if (peer === undefined) {
      const ref = this.#makeRef(node, thread);
      const nothing = { committed: new Map(), backlog: new Map(), blocked: [] };
      peer = { ref, ...nothing, isWaiting: false };
      this.#peers.set(key, peer);
    }
    return peer;
  }

  #mustFind(node: number, logId: number): Ref<PeerOps> {
    const peer = this.#peer(node, logId);
    if (peer === undefined) throw new Error(`node ${node} is not known yet`);
    return peer.ref;
  }

  // ---- Small messages: kept in their order while the link has no room ------------------------------

  fence(node: number, logId: number, fence: Parameters<PeerPort['fence']>[2]): void {
    const peer = this.#peer(node, logId);
    const input = { logId, fence };
    if (peer === undefined || this.#isSent(peer, peer.ref, 'fence', input)) return;
    this.#keep(peer, `fence/${logId}`, () => peer.ref.offer('fence', input));
  }

  hello(node: number, logId: number, hello: Parameters<PeerPort['hello']>[2]): void {
    const peer = this.#peer(node, logId);
    // Said now: what is kept for want of room must not claim to know more when it leaves.
    const input = { logId, hello: { ...hello, assignedAt: this.#directory.version } };
    if (peer === undefined || this.#isSent(peer, peer.ref, 'hello', input)) return;
    this.#keep(peer, `hello/${logId}`, () => peer.ref.offer('hello', input));
  }

  answer(node: number, logId: number, answer: Parameters<PeerPort['answer']>[2]): void {
    const peer = this.#peer(node, logId);
    const input = { logId, from: this.#self.node, answer };
    if (peer === undefined || this.#isSent(peer, peer.ref, 'answer', input)) return;
    this.#keep(peer, `answer/${logId}`, () => peer.ref.offer('answer', input));
  }

  ack(node: number, logId: number, epoch: number, durableSeq: number, chain: number): void {
    const peer = this.#peer(node, logId);
    const { node: from, incarnation } = this.#self;
    const input = { logId, from, incarnation, epoch, durableSeq, chain };
    if (peer === undefined || this.#isSent(peer, peer.ref, 'ack', input)) return;
    this.#keep(peer, `ack/${logId}`, () => peer.ref.offer('ack', input));
  }

  received(node: number, logId: number, epoch: number, seq: number): void {
    const peer = this.#peer(node, logId);
    const { node: from, incarnation } = this.#self;
    const input = { logId, from, incarnation, epoch, seq };
    if (peer === undefined || this.#isSent(peer, peer.ref, 'received', input)) return;
    this.#keep(peer, `received/${logId}`, () => peer.ref.offer('received', input));
  }

  #isSent<K extends 'fence' | 'hello' | 'answer' | 'ack' | 'received'>(
    peer: Peer,
    ref: Ref<PeerOps>,
    op: K,
    input: Input<PeerOps[K]>,
  ): boolean {
    return peer.backlog.size === 0 && ref.offer(op, input) !== 'full';
  }

  /** The newest of each kind and log: it says all that the older ones said. */
  #keep(peer: Peer, key: string, attempt: () => Admission): void {
    peer.backlog.delete(key);
    peer.backlog.set(key, attempt);
    this.#wait(peer);
  }

  committed(node: number, logId: number, epoch: number, seq: number): void {
    this.#peer(node, logId)?.committed.set(logId, { logId, epoch, seq });
  }

  /** End of the durable phase: what was committed goes out, one message per peer. */
  flush(): void {
    for (const peer of this.#peers.values()) this.#flush(peer);
  }

  #flush(peer: Peer): void {
    if (peer.committed.size === 0 || peer.backlog.size > 0) return;
    const input = { from: this.#self.node, logs: [...peer.committed.values()] };
    if (peer.ref.offer('committed', input) === 'full') this.#wait(peer);
    else peer.committed.clear();
  }

  // ---- Frames: only while there is room --------------------------------------------------------

  frames(node: number, input: Parameters<PeerPort['frames']>[1]): boolean {
    const peer = this.#peer(node, input.logId);
    if (peer === undefined || peer.backlog.size > 0) return false;
    return peer.ref.offer('frames', input) !== 'full';
  }

  whenRoom(node: number, logId: number, handle: () => void): boolean {
    const peer = this.#peer(node, logId);
    if (peer === undefined) return false;
    peer.blocked.push(handle);
    this.#wait(peer);
    return true;
  }

  #wait(peer: Peer): void {
    if (peer.isWaiting) return;
    peer.isWaiting = true;
    // Never rejects without a signal; what a handle throws is a defect and ends the thread.
    void peer.ref.ready().then(() => {
      peer.isWaiting = false;
      this.#roomMade(peer);
    });
  }

  #roomMade(peer: Peer): void {
    for (const [key, attempt] of peer.backlog) {
      if (attempt() === 'full') {
        this.#wait(peer);
        return;
      }
      peer.backlog.delete(key);
    }
    this.#flush(peer);
    for (const handle of peer.blocked.splice(0)) handle();
  }

  /** What waits for a link that ended is said anew on the next one, or not any more. */
  linkEnded(node: number, thread: number): void {
    this.#peers.get(threadKey(node, thread))?.backlog.clear();
  }

  // ---- Bulk copies -----------------------------------------------------------------------------

  async pullFrames(node: number, logId: number, fromSeq: number, throughSeq: number) {
    const ref = this.#mustFind(node, logId);
    const input = { logId, fromSeq, throughSeq };
    return ref.ask('pullFrames', input, { timeoutMs: PULL_TIMEOUT_MS });
  }

  async donate(node: number, logId: number, epoch: number) {
    const ref = this.#mustFind(node, logId);
    return ref.ask('donate', { logId, epoch }, { timeoutMs: PULL_TIMEOUT_MS });
  }

  async lend(node: number, input: Input<PeerOps['lend']>) {
    const ref = this.#mustFind(node, input.logId);
    return ref.ask('lend', input, { timeoutMs: PULL_TIMEOUT_MS });
  }

  async pullChunk(node: number, logId: number, donationId: number, position: number) {
    const ref = this.#mustFind(node, logId);
    return ref.ask('pullChunk', { donationId, position }, { timeoutMs: PULL_TIMEOUT_MS });
  }

  /** Lost where the link is down: the donor lets go of what nobody asks about. */
  releaseDonation(node: number, logId: number, donationId: number): void {
    this.#peer(node, logId)?.ref.tell('releaseDonation', { donationId });
  }
}

/** How a peer ref is made from an actor system. */
export function peerRefs(system: {
  wellKnown(
    protocol: typeof PeerProtocol,
    at: { readonly node: number; readonly thread: number; readonly slot: number },
  ): Ref<PeerOps>;
}): (node: number, thread: number) => Ref<PeerOps> {
  return (node, thread) => system.wellKnown(PeerProtocol, { node, thread, slot: SLOT_PEERS });
}
