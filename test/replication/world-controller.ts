// The controller of a walk: one metadata record for one log, changed by compare-and-set, kept in
// versions so that nodes may learn late. It elects any live safe member and removes lossy replicas.
import type {
  CommitMode,
  Grant,
  ReplicaId,
  SafeSetProposal,
  SafeSetState,
} from '../../src/replication/types.ts';

export interface Metadata {
  readonly grant: Grant;
  readonly leader: number;
  readonly set: SafeSetState;
  readonly live: readonly ReplicaId[];
  readonly replicas: readonly number[];
}

export interface Registration extends ReplicaId {
  readonly nodeIncarnation: number;
  readonly shardIncarnation: number;
}

export type Verdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'rejected'; readonly attempt: number; readonly current: SafeSetState };

export class WorldController {
  readonly versions: Metadata[] = [];
  readonly #mode: CommitMode;
  readonly #minInsync: number;
  readonly #registered = new Map<number, Registration>();
  /** The running leader is known to be gone: nobody else may be granted less than a new epoch. */
  #needsElection = false;

  constructor(
    mode: CommitMode,
    minInsync: number,
    nodes: readonly Registration[],
    replicas: readonly number[],
  ) {
    this.#mode = mode;
    this.#minInsync = minInsync;
    for (const node of nodes) this.#registered.set(node.node, node);
    const safeSet = nodes
      .filter(({ node }) => replicas.includes(node))
      .map(({ node, incarnation }) => ({ node, incarnation }));
    this.versions.push({
      grant: { epoch: 0, nodeIncarnation: 0, shardIncarnation: 0, unclean: false },
      leader: -1,
      set: { partitionEpoch: 0, safeSet, isr: [...replicas] },
      live: nodes.map(({ node, incarnation }) => ({ node, incarnation })),
      replicas,
    });
    this.#needsElection = true;
  }

  get now(): Metadata {
    return this.versions.at(-1)!;
  }

  get needsElection(): boolean {
    return this.#needsElection;
  }

  #change(change: Partial<Metadata>): void {
    this.versions.push({ ...this.now, ...change });
  }

  /** Safe members that could lead. */
  candidates(): Registration[] {
    return this.now.set.safeSet.flatMap(({ node, incarnation }) => {
      const registered = this.#registered.get(node);
      const isLive = this.now.live.some((replica) => replica.node === node);
      return isLive && registered?.incarnation === incarnation ? [registered] : [];
    });
  }

  elect(candidate: Registration): void {
    const { grant, set } = this.now;
    this.#needsElection = false;
    this.#change({
      leader: candidate.node,
      grant: {
        epoch: grant.epoch + 1,
        nodeIncarnation: candidate.nodeIncarnation,
        shardIncarnation: candidate.shardIncarnation,
        unclean: false,
      },
      set: { ...set, partitionEpoch: set.partitionEpoch + 1 },
    });
  }

  fence(node: number): void {
    if (this.now.leader === node) this.#needsElection = true;
    this.#change({ live: this.now.live.filter((replica) => replica.node !== node) });
  }

  register(registration: Registration): void {
    const { node, incarnation } = registration;
    if (this.now.leader === node) this.#needsElection = true;
    this.#registered.set(node, registration);
    const live = this.now.live.filter((replica) => replica.node !== node);
    const { set } = this.now;
    const safeSet = set.safeSet.filter(
      (member) => member.node !== node || member.incarnation === incarnation,
    );
    const isRemoved = this.#mode === 'all' && safeSet.length < set.safeSet.length;
    this.#change({
      live: [...live, { node, incarnation }],
      set: isRemoved ? { ...set, partitionEpoch: set.partitionEpoch + 1, safeSet } : set,
    });
  }

  resigned(epoch: number): void {
    if (this.now.grant.epoch === epoch) this.#needsElection = true;
  }

  assign(replicas: readonly number[]): void {
    this.#change({ replicas });
  }

  propose(from: number, proposal: SafeSetProposal): Verdict {
    const { grant, leader, set, live } = this.now;
    const refused: Verdict = { kind: 'rejected', attempt: proposal.attempt, current: set };
    if (leader !== from || grant.epoch !== proposal.epoch) return refused;
    if (set.partitionEpoch !== proposal.expectedPartitionEpoch) return refused;
    const isLive = proposal.newSet.every(
      (member) => contains(set.safeSet, member) || contains(live, member),
    );
    const shrinks = proposal.newSet.length < Math.min(this.#minInsync, set.safeSet.length);
    if (!isLive || shrinks) return refused;
    this.#change({
      set: {
        partitionEpoch: set.partitionEpoch + 1,
        safeSet: proposal.newSet,
        isr: proposal.isr,
      },
    });
    return { kind: 'accepted' };
  }
}

function contains(set: readonly ReplicaId[], replica: ReplicaId): boolean {
  return set.some(
    (member) => member.node === replica.node && member.incarnation === replica.incarnation,
  );
}
