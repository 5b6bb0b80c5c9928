// Which leaders are to move while everybody is there: away from a node that is about to stop or that leaves, away from a
// replica that leaves, and back to the first one. Plans only: the leader of each log hands it over when the other one has
// everything. Pure; that a node is about to stop is known to the controller that was told, and forgotten when the node is
// gone.
import { canReturn, isCandidate, type LogRecord, type MetadataImage } from '../metadata/index.ts';
import { assignedOf } from '../metadata/reassignment.ts';

/** Longer than a leader holds: whoever could not hand over is planned again. */
const AGAIN_MS = 2_500;

/** The leader of `epoch` is to hand the log over. */
export interface LeaderPlan {
  readonly logId: number;
  readonly epoch: number;
  readonly leader: number;
  readonly target: number;
}

export class Leaders {
  readonly #image: MetadataImage;
  /** By node: its incarnation. */
  readonly #stopping = new Map<number, number>();
  #leavingDueMs = 0;
  /** Of the image in which was looked last. */
  #version = -1;

  constructor(image: MetadataImage) {
    this.#image = image;
  }

  begin(): void {
    this.#stopping.clear();
    this.#leavingDueMs = 0;
    this.#version = -1;
  }

  /** A node that has begun anew is fenced first, and this is asked at every change. */
  look(): void {
    for (const [node, incarnation] of this.#stopping) {
      const record = this.#image.node(node);
      if (record?.incarnation !== incarnation || record.isFenced) this.#stopping.delete(node);
    }
  }

  /** The node is about to stop: who takes over what it leads, where somebody is in sync. */
  prepareStop(node: number, incarnation: number): readonly LeaderPlan[] {
    const record = this.#image.node(node);
    if (record?.incarnation !== incarnation || record.isFenced) return [];
    this.#stopping.set(node, incarnation);
    return this.#away(node);
  }

  #away(node: number): readonly LeaderPlan[] {
    const plans: LeaderPlan[] = [];
    for (const logId of this.#image.logsLedBy(node)) {
      const log = this.#image.log(logId)!;
      const target = assignedOf(log).find((id) => id !== node && this.#mayTake(log, id));
      if (target !== undefined) plans.push(planOf(log, target));
    }
    return plans;
  }

  /** Who takes over what nodes lead that leave, or of whose logs their replica leaves; now and then. */
  leaving(nowMs: number): readonly LeaderPlan[] {
    const { version } = this.#image;
    // The controller asks at each heartbeat: where nobody was found, the metadata must have changed.
    const isSame = this.#leavingDueMs === 0 && version === this.#version;
    if (nowMs < this.#leavingDueMs || isSame) return [];
    this.#leavingDueMs = 0;
    const plans = this.#image
      .nodes()
      .filter(({ isLeaving, isFenced }) => isLeaving && !isFenced)
      .flatMap(({ id }) => this.#away(id));
    for (const logId of this.#image.reassigningLogs()) {
      const log = this.#image.log(logId)!;
      if (!log.removing.includes(log.leader) || this.#image.node(log.leader)?.isLeaving) continue;
      const target = assignedOf(log).find((id) => this.#mayTake(log, id));
      if (target !== undefined) plans.push(planOf(log, target));
    }
    this.#version = version;
    if (plans.length > 0) this.#leavingDueMs = nowMs + AGAIN_MS;
    return plans;
  }

  /** The first replicas that could lead again, at most so many. */
  returning(most: number): readonly LeaderPlan[] {
    const plans: LeaderPlan[] = [];
    for (const { id } of this.#image.liveNodes()) {
      for (const logId of this.#image.logsOn(id)) {
        if (plans.length >= most) return plans;
        const log = this.#image.log(logId)!;
        if (log.replicas[0] !== id || this.#stopping.has(id)) continue;
        if (canReturn(this.#image, log)) plans.push(planOf(log, id));
      }
    }
    return plans;
  }

  #mayTake(log: LogRecord, id: number): boolean {
    const node = this.#image.node(id);
    if (node === undefined || node.isDraining || node.isLeaving || this.#stopping.has(id)) {
      return false;
    }
    return log.isr.includes(id) && isCandidate(this.#image, log, id);
  }
}

function planOf({ logId, epoch, leader }: LogRecord, target: number): LeaderPlan {
  return { logId, epoch, leader, target };
}
