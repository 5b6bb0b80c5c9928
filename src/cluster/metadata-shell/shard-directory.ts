// What the log host of one shard must know of the metadata, over the image of its thread. Nothing is
// hosted before the image holds the registration of this very process: older metadata may still call
// an earlier life of this node a leader.

import type { Faults, ReplicaId } from '../../replication/types.ts';
import { kindOfVhost } from '../metadata/actor-kinds.ts';
import { LAG_RECORDS, LAG_TIME, settingOf, THROTTLE } from '../metadata/cluster-settings.ts';
import { standingOf } from '../metadata/election.ts';
import type { MetadataImage } from '../metadata/image.ts';
import { shardOf } from '../metadata/placement.ts';
import { assignedOf } from '../metadata/reassignment.ts';
import { observersOf } from '../metadata/roles.ts';
import { isLive, type LogRecord, type NodeRecord } from '../metadata/types.ts';
import type { Assignment } from '../replica/assignment.ts';
import type { Directory, HostedLogSpec, LogsChange } from '../replica/directory.ts';
import type { LagSettings } from '../replica/lag.ts';

export interface ShardIdentity {
  readonly node: number;
  /** From 0 among the shards of the node. */
  readonly shard: number;
  /** Drawn at each start of the process and of the shard: names this very life. */
  readonly shardIncarnation: number;
}

/** The thread of a node that owns a log: shards are numbered from the node's first shard thread on. */
export function threadOfLog(node: NodeRecord, logId: number): number {
  return node.firstShardThread + shardOf(logId, node.shardIncarnations.length);
}

export class ShardDirectory implements Directory {
  readonly #image: MetadataImage;
  readonly #self: ShardIdentity;
  readonly #faults: Faults | undefined;
  readonly #listeners: ((change: LogsChange) => void)[] = [];

  constructor(image: MetadataImage, self: ShardIdentity, faults?: Faults) {
    this.#image = image;
    this.#self = self;
    this.#faults = faults;
  }

  get isRegistered(): boolean {
    const node = this.#image.node(this.#self.node);
    if (this.#faults?.sameEpochAfterRestart === true) return node !== undefined;
    return (
      node !== undefined && node.shardIncarnations[this.#self.shard] === this.#self.shardIncarnation
    );
  }

  /** Incarnation of this node's data, as registered. */
  get incarnation(): number {
    return this.#image.node(this.#self.node)?.incarnation ?? 0;
  }

  logsOfShard(): readonly number[] {
    const { node } = this.#self;
    return this.#image.logsOn(node).filter((logId) => this.has(logId));
  }

  /** Whether the log is one of this shard. Asked of each of thousands at a start: no name is made for it. */
  has(logId: number): boolean {
    const log = this.#image.log(logId);
    return log !== undefined && this.#isMine(log);
  }

  spec(logId: number): HostedLogSpec | undefined {
    const log = this.#image.log(logId);
    if (log === undefined || !this.#isMine(log)) return undefined;
    return {
      logId,
      kind: kindOfVhost(log.vhost) ?? log.kind,
      // One write-ahead log for all that is written: the other modes differ in who waits for it.
      durability: log.durability === 'memory' ? 'memory' : 'sync',
      name: `${log.destination}-${log.partition}`,
      isInternal: this.#image.destination(log.vhost, log.destination)?.isInternal === true,
    };
  }

  assignment(logId: number): Assignment | undefined {
    const log = this.#image.log(logId);
    if (log === undefined || !this.isRegistered || !this.#isMine(log)) return undefined;
    const live = this.#liveReplicas(log);
    const { epoch, leader, durability } = log;
    const own = { id: this.#self.node, incarnation: this.incarnation };
    const standing = standingOf(this.#image, log, own);
    const unclean = log.isUncleanEpoch;
    if (!this.#mayLead(log)) {
      return { epoch, leader, unclean, lead: undefined, live, durability, standing };
    }
    const { safeSet, isr, partitionEpoch, mode, minInsync, assignedAt } = log;
    const replicas = assignedOf(log);
    const observers = observersOf(this.#image, log, replicas);
    const { leaderIncarnation: nodeIncarnation, leaderShardIncarnation: shardIncarnation } = log;
    const writer = { nodeIncarnation, shardIncarnation };
    const grant = { nodeIncarnation, shardIncarnation, epoch, unclean };
    // Written out: what is spread into another object has a hidden class of its own, and all logs keep this.
    const lead = {
      writer,
      grant,
      replicas,
      observers,
      assignedAt,
      safeSet,
      isr,
      partitionEpoch,
      mode,
      minInsync,
      live,
    };
    return { epoch, leader, unclean, lead, live, durability, standing };
  }

  threadOf(node: number, logId: number): number | undefined {
    const record = this.#image.node(node);
    return record === undefined ? undefined : threadOfLog(record, logId);
  }

  isDeleted(logId: number): boolean {
    return this.#image.isDeleted(logId);
  }

  get version(): number {
    return this.#image.version;
  }

  copyRate(logId: number, node: number): number {
    if (this.#image.log(logId)?.adding.includes(node) !== true) return 0;
    const shards = this.#image.node(node)?.shardIncarnations.length ?? 1;
    return settingOf(this.#image, THROTTLE) / shards;
  }

  lagSettings(): LagSettings {
    const timeMaxMs = settingOf(this.#image, LAG_TIME);
    return { timeMaxMs, recordsMax: settingOf(this.#image, LAG_RECORDS) };
  }

  leftKind(logId: number): string | undefined {
    const log = this.#image.log(logId);
    // Older metadata may not know yet that the log came here.
    if (log === undefined || !this.isRegistered) return undefined;
    const { node } = this.#self;
    const isHere = log.replicas.includes(node);
    const isEarly = this.#faults?.leaveBeforeChange === true && log.removing.includes(node);
    return isHere && !isEarly ? undefined : (kindOfVhost(log.vhost) ?? log.kind);
  }

  onLogsChanged(handle: (change: LogsChange) => void): () => void {
    this.#listeners.push(handle);
    return () => {
      const at = this.#listeners.indexOf(handle);
      if (at >= 0) this.#listeners.splice(at, 1);
    };
  }

  tell(change: LogsChange): void {
    for (const listener of [...this.#listeners]) listener(change);
  }

  #isMine(log: LogRecord): boolean {
    const { node, shard } = this.#self;
    const count = this.#image.node(node)?.shardIncarnations.length ?? 0;
    if (count === 0 || shardOf(log.logId, count) !== shard) return false;
    if (this.#faults?.leaveBeforeChange === true && log.removing.includes(node)) return false;
    return log.replicas.includes(node);
  }

  #mayLead(log: LogRecord): boolean {
    const self = this.#self;
    if (this.#faults?.sameEpochAfterRestart === true) return log.leader === self.node;
    return (
      log.leader === self.node &&
      log.leaderIncarnation === this.incarnation &&
      log.leaderShardIncarnation === self.shardIncarnation
    );
  }

  #liveReplicas(log: LogRecord): ReplicaId[] {
    const live: ReplicaId[] = [];
    for (const id of log.replicas) {
      const node = this.#image.node(id);
      if (isLive(node)) live.push({ node: id, incarnation: node.incarnation });
    }
    return live;
  }
}
