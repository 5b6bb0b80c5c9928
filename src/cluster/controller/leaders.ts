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
  /** By log whose leader leaves with its replica: what was planned last. */
  readonly #planned = new Map<number, { readonly epoch: number; readonly againMs: number }>();
  #againMs = Number.POSITIVE_INFINITY;

  constructor(image: MetadataImage) {
    this.#image = image;
  }

  begin(): void {
    this.#stopping.clear();
    this.#leavingDueMs = 0;
    this.#version = -1;
    this.#planned.clear();
    this.#againMs = Number.POSITIVE_INFINITY;
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
    // The controller asks at each heartbeat: where nobody was found, the metadata must have changed.
    const isSame = this.#image.version === this.#version;
    const plans = this.#withReplicas(nowMs, isSame);
    if (nowMs >= this.#leavingDueMs && !(this.#leavingDueMs === 0 && isSame)) {
      const away = this.#image
        .nodes()
        .filter(({ isLeaving, isFenced }) => isLeaving && !isFenced)
        .flatMap(({ id }) => this.#away(id));
      this.#leavingDueMs = away.length > 0 ? nowMs + AGAIN_MS : 0;
      plans.push(...away);
    }
    this.#version = this.#image.version;
    return plans;
  }

  /** Each as soon as somebody may take it: reassignments wait for it. */
  #withReplicas(nowMs: number, isSame: boolean): LeaderPlan[] {
    const plans: LeaderPlan[] = [];
    if (isSame && nowMs < this.#againMs) return plans;
    this.#againMs = Number.POSITIVE_INFINITY;
    const reassigning = this.#image.reassigningLogs();
    const known = new Set(reassigning);
    for (const logId of [...this.#planned.keys()])
      if (!known.has(logId)) this.#planned.delete(logId);
    for (const logId of reassigning) {
      const log = this.#image.log(logId)!;
      if (!log.removing.includes(log.leader) || this.#leavesAnyway(log)) continue;
      const planned = this.#planned.get(logId);
      if (planned?.epoch === log.epoch && nowMs < planned.againMs) {
        this.#againMs = Math.min(this.#againMs, planned.againMs);
        continue;
      }
      const target = this.#successor(log);
      if (target === undefined) continue;
      const againMs = nowMs + AGAIN_MS;
      this.#planned.set(logId, { epoch: log.epoch, againMs });
      this.#againMs = Math.min(this.#againMs, againMs);
      plans.push(planOf(log, target));
    }
    return plans;
  }

  /** With its node: who takes over all that the node leads takes this log too. */
  #leavesAnyway(log: LogRecord): boolean {
    if (this.#image.node(log.leader)?.isLeaving !== true) return false;
    return assignedOf(log).some((id) => this.#mayTake(log, id));
  }

  /** One that stays; where all of them leave as well, one that has not left yet: the reassignment must come to an end. */
  #successor(log: LogRecord): number | undefined {
    const assigned = assignedOf(log);
    const isReady = (id: number) => log.isr.includes(id) && isCandidate(this.#image, log, id);
    return (
      assigned.find((id) => this.#mayTake(log, id)) ??
      assigned.find((id) => !this.#stopping.has(id) && isReady(id))
    );
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
