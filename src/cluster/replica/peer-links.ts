// The log host's way to other nodes: refs to their peer actors, committed seqs of a turn coalesced into
// one message per peer, and promises for bulk copies. One per shard.
import type { Ref } from '../../actors/ref.ts';
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
  committed: { logId: number; epoch: number; seq: number }[];
}

export class PeerLinks implements PeerPort {
  readonly #makeRef: (node: number, thread: number) => Ref<PeerOps>;
  readonly #directory: Directory;
  readonly #self: PeerIdentity;
  readonly #peers = new Map<string, Peer>();

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
    const key = `${node}/${thread}`;
    let peer = this.#peers.get(key);
    if (peer === undefined) {
      peer = { ref: this.#makeRef(node, thread), committed: [] };
      this.#peers.set(key, peer);
    }
    return peer;
  }

  #mustFind(node: number, logId: number): Ref<PeerOps> {
    const peer = this.#peer(node, logId);
    if (peer === undefined) throw new Error(`node ${node} is not known yet`);
    return peer.ref;
  }

  fence(node: number, logId: number, fence: Parameters<PeerPort['fence']>[2]): void {
    this.#peer(node, logId)?.ref.tell('fence', { logId, fence });
  }

  hello(node: number, logId: number, hello: Parameters<PeerPort['hello']>[2]): void {
    this.#peer(node, logId)?.ref.tell('hello', { logId, hello });
  }

  answer(node: number, logId: number, answer: Parameters<PeerPort['answer']>[2]): void {
    this.#peer(node, logId)?.ref.tell('answer', { logId, from: this.#self.node, answer });
  }

  frames(node: number, input: Parameters<PeerPort['frames']>[1]): void {
    this.#peer(node, input.logId)?.ref.tell('frames', input);
  }

  ack(node: number, logId: number, epoch: number, durableSeq: number, chain: number): void {
    const { node: from, incarnation } = this.#self;
    this.#peer(node, logId)?.ref.tell('ack', {
      logId,
      from,
      incarnation,
      epoch,
      durableSeq,
      chain,
    });
  }

  committed(node: number, logId: number, epoch: number, seq: number): void {
    this.#peer(node, logId)?.committed.push({ logId, epoch, seq });
  }

  /** End of the durable phase: what was committed goes out, one message per peer. */
  flush(): void {
    for (const peer of this.#peers.values()) {
      if (peer.committed.length === 0) continue;
      peer.ref.tell('committed', { from: this.#self.node, logs: peer.committed });
      peer.committed = [];
    }
  }

  async pullFrames(node: number, logId: number, fromSeq: number, throughSeq: number) {
    const ref = this.#mustFind(node, logId);
    const input = { logId, fromSeq, throughSeq };
    return ref.ask('pullFrames', input, { timeoutMs: PULL_TIMEOUT_MS });
  }

  async donate(node: number, logId: number, epoch: number) {
    const ref = this.#mustFind(node, logId);
    return ref.ask('donate', { logId, epoch }, { timeoutMs: PULL_TIMEOUT_MS });
  }

  async pullChunk(node: number, logId: number, donationId: number, position: number) {
    const ref = this.#mustFind(node, logId);
    return ref.ask('pullChunk', { donationId, position }, { timeoutMs: PULL_TIMEOUT_MS });
  }

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
