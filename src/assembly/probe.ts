// What a simulation may look at inside a running node: a few numbers of each replica and of the metadata, read
// between two events. Not a part of what a node offers to its users, and it changes nothing.
import {
  type Durability,
  hashImage,
  type LogKind,
  type LogRecord,
} from '../cluster/metadata/index.ts';
import { countsOn } from '../cluster/metadata/roles.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import type { AccessService, ClusterOperations, PolicyService } from '../cluster/ports.ts';
import type { LogHost } from '../cluster/replica/log-host.ts';
import type { RaftStatus } from '../raft/index.ts';
import type { ShardStore, StoredLog } from '../storage/api.ts';
import type { ReplicatedActors } from './durable-actors.ts';
import type { RunningNode } from './node-config.ts';

const QUEUE: LogKind = 'queue';

/** One replica of one log. Valid until the next event. */
export interface ProbedReplica {
  readonly logId: number;
  /** Another one when the replica has left this node and come back: it has begun anew. */
  readonly tenure: number;
  /** Epoch in which the replica acts; -1 without a role. */
  readonly epoch: number;
  readonly isLeader: boolean;
  readonly committedSeq: number;
  /** Where the records end that are known here to be committed; undefined where that frame is no longer at hand. */
  readonly committedOffset: number | undefined;
  readonly endSeq: number;
  readonly durableSeq: number;
  /** The last alarm that the leader here raised about a follower. */
  readonly alarm: string | undefined;
  /** Why the log is quarantined here, unless the whole store failed. */
  readonly failure: string | undefined;
  /** What it had acknowledged is damaged: it says nothing of the log until it has it anew. */
  readonly isDamaged: boolean;
  /** Of the data of this node, as registered. */
  readonly incarnation: number;
  /** What a leader takes that data of a node to have made durable; undefined where nobody leads or greeted. */
  heldBy(node: number, incarnation: number): number | undefined;
  /** Undefined where the frame is no longer at hand. */
  frameAt(seq: number): { readonly epoch: number; readonly chain: number } | undefined;
  readonly startOffset: number;
  /** Where it starts when all that an active leader has appended is committed; undefined for others. */
  readonly tipStart: number | undefined;
  /** Of a queue, whose state its replicas must share: after which frame, and the hash of it. Undefined for others. */
  readonly applied: { readonly seq: number; hash(): number } | undefined;
  /** The first offset from the start to the end that cannot be read here; undefined: there is none. */
  firstHole(): number | undefined;
}

/** A peer of the metadata group. Valid until the next event. */
export interface ProbedPeer extends RaftStatus {
  readonly peer: number;
  /** Of the entry at that index; undefined above the end, and where it is compacted. */
  termAt(index: number): number | undefined;
}

export interface NodeProbe {
  readonly replicas: Iterable<ProbedReplica>;
  /** The last index applied, and the hash of the image after it. */
  readonly metadata: { readonly index: number; readonly hash: number };
  /** The life of the first shard of this process. */
  readonly life: number;
  /** Of the metadata group, by a membership that is committed and not about to change. */
  readonly isSettledMember: boolean;
  /** Its peer of the metadata group; undefined before that has recovered. */
  readonly group: ProbedPeer | undefined;
  /** Of its shards, as the admin API has them. */
  counters(): Readonly<Record<string, number>>;
  /** What whoever runs the cluster may ask of it here; undefined before the node is up. */
  readonly operations: ClusterOperations | undefined;
  /** Undefined for a node that is not registered. */
  standing(node: number): Standing | undefined;
  /** Every log that metadata knows, and how many nodes it is assigned to. */
  assigned(): ReadonlyMap<number, number>;
  /** How many nodes the first log of a destination is assigned to; 0 if there is none. */
  replicasOf(destination: string): number;
  /** The log of a partition, as this node knows it now. */
  logOf(destination: string, partition: number): number | undefined;
  /** The node that leads a log, as this node knows it now; -1: nobody, or there is none. */
  leaderOf(logId: number): number;
  /** Who is counted for a log, and how many of them hold what is committed; undefined where that is not promised. */
  safeSetOf(logId: number): ProbedSet | undefined;
  /** Of the first log of a destination, as this node knows it now. */
  durabilityOf(destination: string): Durability | undefined;
}

export interface ProbedSet {
  readonly holders: number;
  readonly members: readonly { readonly node: number; readonly incarnation: number }[];
}

/** What a node is asked of the image. */
type Questions = Pick<
  NodeProbe,
  'standing' | 'assigned' | 'replicasOf' | 'logOf' | 'leaderOf' | 'safeSetOf' | 'durabilityOf'
>;

/** How a node stands in the eyes of another, or in its own. */
export interface Standing {
  /** The life of its first shard, as registered. */
  readonly life: number;
  readonly isLive: boolean;
  /** In sync in every log that is assigned to it. */
  readonly isInSync: boolean;
}

/** A node whose shards run on its own thread, as a simulation starts it. */
export interface ProbedNode extends RunningNode {
  readonly durable: ReplicatedActors;
  /** What an operator changes through this node. */
  readonly changes: (AccessService & PolicyService) | undefined;
  probe(): NodeProbe;
}

/** The image is hashed once for each index. */
export class ImageProbe {
  readonly #replica: MetadataReplica;
  #last = { index: -1, hash: 0 };
  readonly questions: Questions = {
    standing: (id) => this.#standing(id),
    assigned: () => {
      const logs = [...this.#replica.image.logs()];
      return new Map(logs.map(({ logId, replicas }) => [logId, replicas.length]));
    },
    logOf: (destination, partition) => this.#log(destination, partition)?.logId,
    leaderOf: (logId) => this.#replica.image.log(logId)?.leader ?? -1,
    safeSetOf: (logId) => this.#safeSet(logId),
    replicasOf: (destination) => this.#log(destination, 0)?.replicas.length ?? 0,
    durabilityOf: (destination) => this.#log(destination, 0)?.durability,
  };

  constructor(replica: MetadataReplica) {
    this.#replica = replica;
  }

  look(): NodeProbe['metadata'] {
    const { image } = this.#replica;
    if (this.#last.index !== image.version) {
      this.#last = { index: image.version, hash: hashImage(image) };
    }
    return this.#last;
  }

  #standing(id: number): Standing | undefined {
    const { image } = this.#replica;
    const node = image.node(id);
    if (node === undefined) return undefined;
    const isInSync = image.logsOn(id).every((logId) => {
      const log = image.log(logId)!;
      return log.isr.includes(id) || !countsOn(image, log, id);
    });
    return { life: node.shardIncarnations[0] ?? 0, isLive: image.isNodeLive(id), isInSync };
  }

  #safeSet(logId: number): ProbedSet | undefined {
    const log = this.#replica.image.log(logId);
    if (log === undefined || log.isUncleanEpoch) return undefined;
    const { mode, minInsync, safeSet: members } = log;
    return { holders: mode === 'all' ? members.length : minInsync, members };
  }

  #log(destination: string, partition: number): LogRecord | undefined {
    const { image } = this.#replica;
    const logId = image.destination('/', destination)?.logIds[partition];
    return logId === undefined ? undefined : image.log(logId);
  }
}

export function* probeLogs({
  host,
  store,
}: {
  readonly host: LogHost;
  readonly store: ShardStore;
}): IterableIterator<ProbedReplica> {
  const { incarnation } = host.self;
  for (const hosted of host.hostedLogs()) {
    const { logId, stored, role, leader, failure, machine } = hosted;
    yield {
      logId,
      tenure: host.departures.times(logId),
      epoch: role?.epoch ?? -1,
      isLeader: leader !== undefined,
      committedSeq: stored.committedSeq,
      committedOffset: stored.offsetAt(stored.committedSeq),
      endSeq: stored.endSeq,
      durableSeq: stored.durableSeq,
      alarm: leader?.alarm,
      failure: store.failure === undefined && !stored.needsRepair ? failure : undefined,
      isDamaged: stored.needsRepair,
      incarnation,
      heldBy(node, of) {
        const progress = leader?.core.progress(node);
        return progress?.incarnation === of ? progress.matchSeq : undefined;
      },
      frameAt(seq) {
        if (seq < 1) return undefined;
        const epoch = stored.epochAt(seq);
        const chain = stored.chainAt(seq);
        return epoch === undefined || chain === undefined ? undefined : { epoch, chain };
      },
      startOffset: stored.startOffset,
      tipStart: leader?.isActive === true ? machine.startOffset : undefined,
      applied:
        machine.behavior.kind === QUEUE
          ? { seq: machine.appliedSeq, hash: () => machine.stateHash() }
          : undefined,
      firstHole: () => firstHole(stored, hosted.mayHaveGaps),
    };
  }
}

const READ_BYTES = 1024 * 1024;

/** Batches lie end to end: the first may begin below the start, and no other has a gap before it, but for what was compacted or acknowledged. */
function firstHole(stored: StoredLog, hasGaps: boolean): number | undefined {
  const { startOffset, endOffset } = stored;
  let offset = startOffset;
  while (offset < endOffset) {
    const read = stored.read(offset, READ_BYTES, endOffset);
    if (read.kind !== 'memory' && read.kind !== 'file') return offset;
    read.release();
    const isNext = read.baseOffset === offset || offset === startOffset || hasGaps;
    const isBelow = read.baseOffset <= offset || hasGaps;
    if (!isNext || !isBelow || read.nextOffset <= offset) return offset;
    offset = read.nextOffset;
  }
  return undefined;
}
