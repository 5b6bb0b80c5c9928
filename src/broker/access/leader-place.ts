// Where one log is led, as its users on this shard know it: looked up when the metadata says that the log
// has changed, never per message.
import type { LogView, MetadataView } from '../../cluster/ports.ts';
import type { HostRef } from './host-calls.ts';

/** How long to wait before the next attempt after one failed. */
const RETRY_MIN_MS = 10;
const RETRY_MAX_MS = 500;

/** What the metadata says of this node. */
type OwnNode = Pick<MetadataView, 'nodeId' | 'node'>;

export interface PlacePort {
  readonly view: OwnNode;
  log(logId: number): LogView | undefined;
  /** The host on the shard of the node that leads the log, or undefined while there is none. */
  leaderHost(logId: number): HostRef | undefined;
  /**
   * The host of this node, if it has an in-sync replica of a log that is led elsewhere and may be read here. For who
   * only reads.
   */
  replicaHost?: ((logId: number) => HostRef | undefined) | undefined;
}

export class LeaderPlace {
  readonly logId: number;
  host: HostRef | undefined;
  /** Where it is read: the leader, or this node's replica. */
  readHost: HostRef | undefined;
  epoch = -1;
  /** The log was deleted. */
  isGone = false;
  /** Nobody leads it, and nobody will before a node comes back. */
  isOut = false;
  #retryMs = 0;
  #replica: HostRef | undefined;

  constructor(logId: number, port: PlacePort) {
    this.logId = logId;
    this.look(port);
  }

  /** True if the log has another leader or epoch than before, or none, is gone or out, or was. */
  look(port: PlacePort): boolean {
    const log = port.log(this.logId);
    const host = log === undefined || log.leader < 0 ? undefined : port.leaderHost(this.logId);
    const epoch = log?.epoch ?? -1;
    const replica = host === undefined ? undefined : port.replicaHost?.(this.logId);
    const isSameReplica = replica === this.#replica;
    const isSame = epoch === this.epoch && host === this.host && isSameReplica;
    const wasOut = this.isOut;
    this.isGone = log === undefined;
    this.isOut = log !== undefined && isOut(log, port.view);
    this.epoch = epoch;
    this.host = host;
    this.#replica = replica;
    if (!isSame) {
      this.#retryMs = 0;
      this.readHost = replica ?? host;
    }
    return !isSame || this.isOut !== wasOut;
  }

  /** The delay before the next attempt: it doubles until one succeeds. */
  nextRetryMs(): number {
    this.#retryMs = Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, this.#retryMs * 2));
    return this.#retryMs;
  }

  /** This node's replica does not answer: the leader does, until something about the log changes. */
  readFailed(): void {
    this.readHost = this.host;
  }

  get isReadFromReplica(): boolean {
    return this.readHost !== this.host;
  }

  succeeded(): void {
    this.#retryMs = 0;
  }
}

/**
 * Whether a log cannot be used before a node comes back. One that has a replica here can be, in a moment: this node
 * is just coming back. But if this one alone has it and is live, its data were lost.
 */
export function isOut({ leader, replicas }: LogView, view: OwnNode): boolean {
  if (leader >= 0) return false;
  if (!replicas.includes(view.nodeId)) return true;
  return replicas.length === 1 && view.node(view.nodeId)?.isLive === true;
}
