// One log on one replica: its stored frames, its machine, and the role that metadata gives it. The
// role changes only here. A leader that ends is followed by a rebuild of the machine from snapshot and
// committed frames; whatever arrives meanwhile is answered as if no leader were here.
import type { AnyDurableBehavior } from '../../actors/durable/behavior.ts';
import type { Fence } from '../../replication/types.ts';
import { messageOf } from '../../std/errors.ts';
import type { StoredLog } from '../../storage/api.ts';
import type { CommandInput, LogResult, LogStatus, TrimInput } from '../ports.ts';
import type { Assignment, Keeping } from './assignment.ts';
import { CommandOwners } from './command-owners.ts';
import type { CompactionRules, LastPass } from './compactions.ts';
import type { RetentionLimits } from './extents.ts';
import { FollowerRole, replicaLogOf } from './follower-role.ts';
import { frameClockOf } from './frame-clock.ts';
import {
  type HeldRequest,
  HeldRequests,
  MOVE_HOLD_MAX_MS,
  START_HOLD_MAX_MS,
} from './held-requests.ts';
import { lagOf } from './lag.ts';
import { LeaderRole } from './leader-role.ts';
import { LogAge } from './log-age.ts';
import { type HostPort, logContextOf } from './log-context.ts';
import { statusOf } from './log-status.ts';
import { DAMAGED, Loss } from './loss.ts';
import { Machine } from './machine.ts';
import type { AppendRequest, LogContext } from './role.ts';
import { Waiters } from './waiters.ts';

const RESIGN_RETRY_MS = 500;
const NO_BODY = new Uint8Array(0);

/** Of an epoch, what is committed as far as its reader here knows. */
export interface Reading {
  readonly epoch: number;
  readonly committedOffset: number;
}

export class HostedLog {
  readonly logId: number;
  readonly stored: StoredLog;
  readonly machine: Machine;
  readonly waiters: Waiters;
  readonly age: LogAge;
  // Marks of the host, which has thousands of logs and asks about one several times a message.
  /** Pumped in the next durable phase. */
  isDirty = false;
  /** Something goes on; ticked until nothing does; ticked in the turn of its lane. */
  isStirred = false;
  isTicked = false;
  isInLane = false;
  role: LeaderRole | FollowerRole | undefined;
  /** What is kept of a log whose records go by age and size. */
  #limits: RetentionLimits | undefined;
  /** Of a log of which the newest record of each key is kept. */
  compaction: CompactionRules | undefined;
  segmentBytesMax = 0;
  lastPass: LastPass | undefined;
  #assignment: Assignment | undefined;
  #failure: string | undefined;
  #isRebuilding = false;
  #isClosed = false;
  /** The last epoch that was led here and given up: never led again. */
  #givenUpEpoch = -1;
  #resignDueMs = -1;
  #hasDeclined = false;
  readonly #loss: Loss;
  #ended: FollowerRole | undefined;
  readonly #askForNewEpoch: (epoch: number) => void;
  readonly #context: LogContext;
  readonly #leads: () => void;
  readonly #owners: CommandOwners;
  readonly #held = new HeldRequests((held, result) => this.#refuseHeld(held, result));

  constructor(stored: StoredLog, behavior: AnyDurableBehavior, port: HostPort) {
    this.logId = stored.logId;
    this.stored = stored;
    this.machine = new Machine(behavior, stored, port.faults);
    this.waiters = new Waiters(
      (to, token) => port.advanced(to, token),
      () => port.nowMs(),
    );
    this.#loss = new Loss(stored, port);
    this.#owners = new CommandOwners(port.replies);
    this.#leads = () => port.leads(this);
    this.#askForNewEpoch = (epoch) => port.resignLog(this.logId, epoch);
    this.#context = logContextOf(port, {
      hosted: this,
      stored,
      machine: this.machine,
      behavior,
      waiters: this.waiters,
      frameClock: frameClockOf(stored, behavior, port),
      durability: () => this.#assignment?.durability ?? 'sync',
      takeToken: (token) => this.#owners.take(token),
      roleEnded: () => this.#leaderEnded(),
    });
    this.age = new LogAge(this.#context);
  }

  /** Records may be missing between others, where they are not needed. */
  get mayHaveGaps(): boolean {
    return this.compaction !== undefined || this.machine.behavior.needed !== undefined;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  get leader(): LeaderRole | undefined {
    return this.role?.kind === 'leader' ? this.role : undefined;
  }

  get follower(): FollowerRole | undefined {
    return this.role?.kind === 'follower' ? this.role : undefined;
  }

  /**
   * The epoch in which what has settled here is known to be of the committed log: as its active leader, or as a
   * follower whose history was compared with the leader's. Undefined: not known, so no other replica may have it.
   */
  get soundEpoch(): number | undefined {
    const { leader, follower } = this;
    if (leader !== undefined) return leader.isActive ? leader.epoch : undefined;
    return follower?.isFollowing === true ? follower.epoch : undefined;
  }

  /**
   * Who answers readers here, in which epoch and up to which offset: the leader, or where a replica may, one whose
   * history is the leader's, as far as it knows of what is committed.
   */
  reading(mayBeReplica: boolean): Reading | undefined {
    const { leader, follower } = this;
    if (leader !== undefined)
      return { epoch: leader.epoch, committedOffset: leader.committedOffset() };
    if (!mayBeReplica || follower?.isFollowing !== true) return undefined;
    const isWrong = this.#context.faults?.readToEnd === true;
    const committedOffset = isWrong ? this.stored.endOffset : this.machine.appliedOffset;
    return { epoch: follower.epoch, committedOffset };
  }

  // ---- Roles ------------------------------------------------------------------------------------

  assign(assignment: Assignment): void {
    this.#assignment = assignment;
    this.#take(assignment);
    // Who was kept for a leadership that has gone elsewhere need not wait.
    if (!this.#isStarting && this.leader === undefined) this.#held.refuseAll(this.absence());
  }

  #take(assignment: Assignment): void {
    if (assignment.lead !== undefined && this.stored.needsRepair) this.quarantine(DAMAGED);
    if (this.#failure !== undefined) {
      this.#declineOnce(assignment);
      this.#returnAsNewcomer(assignment);
    }
    if (this.#failure !== undefined || this.#isRebuilding || this.#isClosed) return;
    const { role } = this;
    if (role?.kind === 'leader') {
      this.#lookAgain(role, assignment);
      return;
    }
    const { lead } = assignment;
    if (lead === undefined) this.#follow(assignment);
    else if (assignment.epoch > this.#givenUpEpoch) this.#lead(assignment, lead);
    // The epoch was given up: until metadata grants another one, nobody is followed and nobody leads.
    else this.#follow({ ...assignment, lead: undefined, leader: -1 });
  }

  #lookAgain(role: LeaderRole, assignment: Assignment): void {
    const { lead, epoch, live } = assignment;
    if (epoch > role.epoch) {
      role.core.superseded(epoch);
    } else {
      role.core.liveChanged(live);
      if (lead !== undefined && epoch === role.epoch) {
        role.core.replicasChanged(lead.replicas, lead.assignedAt, lead.observers);
        role.core.safeSetChanged(lead);
      }
    }
    role.drain();
  }

  #lead(assignment: Assignment, lead: NonNullable<Assignment['lead']>): void {
    const old = this.follower;
    if (old !== undefined) {
      if (assignment.epoch < old.epoch) return;
      old.stop();
      this.role = undefined;
      this.#ended = old;
      this.#isRebuilding = true;
      // A cold read of the machine may be under way: the leader starts when it is over.
      old
        .settled()
        .then(() => {
          this.#isRebuilding = false;
          if (this.#assignment !== undefined) this.assign(this.#assignment);
        })
        .catch((error: unknown) => this.quarantine(messageOf(error)));
      return;
    }
    const { logId, self, nowMs, faults } = this.#context;
    const role = new LeaderRole(this.#context, {
      logId,
      self,
      writer: lead.writer,
      grant: lead.grant,
      replicas: lead.replicas,
      observers: lead.observers ?? [],
      assignedAt: lead.assignedAt,
      safeSet: lead.safeSet,
      isr: lead.isr,
      partitionEpoch: lead.partitionEpoch,
      mode: lead.mode,
      minInsync: lead.minInsync,
      log: replicaLogOf(this.stored),
      live: lead.live,
      nowMs: nowMs(),
      limits: lead.limits,
      lag: lagOf(this.#context),
      faults,
    });
    this.role = role;
    role.start();
    this.#leads();
  }

  #follow(assignment: Assignment): void {
    const { epoch, leader, unclean } = assignment;
    if (this.role === undefined) {
      const role = new FollowerRole(this.#context, epoch);
      this.role = role;
      role.start();
    }
    // What is applied at the start may have quarantined the log.
    if (this.role?.kind !== 'follower') return;
    if (leader >= 0 && leader !== this.#context.self.node) {
      this.role.follow({ epoch, leader, unclean });
    }
  }

  /** A leader asks to be obeyed: it may be newer than the metadata here. */
  fenced(fence: Fence): void {
    const { role } = this;
    if (role?.kind === 'leader') {
      role.core.superseded(fence.epoch);
      role.drain();
    } else if (role !== undefined && fence.epoch >= role.epoch) {
      // The same epoch again means that the leader lost us: greet anew.
      if (fence.epoch === role.epoch) role.core.linkLost();
      role.follow(fence);
    }
  }

  /** A leader that ended by itself never continues its epoch; metadata must grant another one. */
  #leaderEnded(): void {
    if (this.#isClosed) return;
    this.#giveUp(this.leader?.epoch ?? -1);
    this.#rebuild();
  }

  #giveUp(epoch: number): void {
    this.#givenUpEpoch = Math.max(this.#givenUpEpoch, epoch);
    this.#resignDueMs = this.#context.nowMs();
    this.#context.markActive();
  }

  /**
   * A quarantined log cannot lead. It says so for one epoch only: where every replica is quarantined, by
   * the same frame perhaps, they would else hand the log around for ever.
   */
  #declineOnce({ lead, epoch }: Assignment): void {
    if (lead === undefined || this.#hasDeclined) return;
    this.#hasDeclined = true;
    this.#giveUp(epoch);
  }

  /** When no set counts it any more. What it has left stays until the leader says what takes its place. */
  #returnAsNewcomer(assignment: Assignment): void {
    this.#context.markActive();
    if (this.#isRebuilding || this.#isClosed || !this.#loss.mayReturn(assignment)) return;
    this.#isRebuilding = true;
    Promise.resolve(this.#ended?.settled())
      .catch(() => undefined)
      .then(() => {
        this.#isRebuilding = false;
        const next = this.#assignment;
        if (this.#isClosed || next === undefined || !this.#loss.mayReturn(next)) return;
        this.#context.log.info('a damaged replica is made anew', { logId: this.logId });
        this.#failure = this.#ended = undefined;
        this.#hasDeclined = false;
        this.#loss.over();
        this.assign(next);
      })
      .catch((error: unknown) => this.quarantine(messageOf(error)));
  }

  /** Answers true while metadata still names the epoch that was given up here. */
  #resignAgain(nowMs: number): boolean {
    const assignment = this.#assignment;
    if (this.#isClosed || assignment?.lead === undefined) return false;
    if (assignment.epoch > this.#givenUpEpoch) return false;
    if (nowMs >= this.#resignDueMs) {
      this.#resignDueMs = nowMs + RESIGN_RETRY_MS;
      this.#askForNewEpoch(assignment.epoch);
    }
    return true;
  }

  /** The leader's tip may hold frames that will be cut: back to what is committed. */
  #rebuild(): void {
    this.#owners.failAll('not-leader');
    this.#held.refuseAll('not-leader');
    if (this.#failure !== undefined || this.#isClosed || this.#isRebuilding) return;
    this.role = undefined;
    this.#isRebuilding = true;
    const { machine, stored } = this;
    Promise.resolve()
      .then(() => {
        // One replica, whose frames are never cut, and are gone from memory once they have settled.
        if (stored.durability === 'memory') return undefined;
        // Who has handed the log over has nothing that is not committed, and goes on with the state that it has.
        if (machine.appliedSeq <= stored.committedSeq) return undefined;
        machine.reset();
        return machine.applyColdThrough(stored.committedSeq);
      })
      .then(() => {
        this.#isRebuilding = false;
        if (this.#isClosed || this.#assignment === undefined) return;
        this.assign(this.#assignment);
      })
      .catch((error: unknown) => this.quarantine(messageOf(error)));
  }

  quarantine(reason: string, isForGood = false): void {
    if (isForGood) this.#loss.isForGood = true;
    // A closed log is nobody's: what was under way may well fail.
    if (this.#failure !== undefined || this.#isClosed) return;
    this.#failure = reason;
    this.#context.log.error('log quarantined', { logId: this.logId, reason });
    if (this.leader !== undefined) this.#hasDeclined = true;
    this.#ended = this.follower;
    this.#loss.began(this.role?.epoch ?? -1);
    this.#stopRole('storage-error');
    this.#context.markActive();
  }

  /** Resolves when no role of the past touches the store any more. */
  async settled(): Promise<void> {
    await this.#ended?.settled();
  }

  close(result: LogResult): void {
    this.#ended = this.follower ?? this.#ended;
    this.#isClosed = this.#loss.isForGood = true;
    this.#stopRole(result);
  }

  #stopRole(result: LogResult): void {
    const { role } = this;
    try {
      if (role?.kind === 'leader') role.stop(result);
      else role?.stop();
    } catch (error) {
      const reason = messageOf(error);
      this.#context.log.error('a role could not be stopped', { logId: this.logId, reason });
    }
    this.role = undefined;
    this.#owners.failAll(result);
    this.#held.refuseAll(result);
    this.waiters.tellAll();
  }

  // ---- Requests ---------------------------------------------------------------------------------

  append(request: AppendRequest): void {
    const { leader } = this;
    if (leader?.canDecide === true) {
      this.#serveHeld(leader);
      leader.append(request);
      return;
    }
    const maxMs = this.#holdMs;
    if (maxMs > 0 && this.#held.holdAppend(request, this.#context.nowMs(), maxMs)) {
      this.#context.markActive();
    } else if (leader !== undefined) leader.append(request);
    else this.#refuseAppend(request, this.absence());
  }

  /** How long an append may wait for who will decide here, or elsewhere; 0: not at all. */
  get #holdMs(): number {
    if (this.leader?.isHolding === true) return MOVE_HOLD_MAX_MS;
    return this.#isStarting ? START_HOLD_MAX_MS : 0;
  }

  /** Granted to this replica, and not active yet. */
  get #isStarting(): boolean {
    const { leader } = this;
    if (this.#isClosed) return false;
    return leader === undefined ? this.absence() === 'not-available' : !leader.isActive;
  }

  #serveHeld(leader: LeaderRole): void {
    while (this.#held.size > 0 && leader.canDecide) {
      const held = this.#held.take()!;
      if (held.kind === 'append') leader.append(held.request);
      else this.#decide(leader, held.input);
    }
  }

  #refuseHeld(held: HeldRequest, result: LogResult): void {
    if (held.kind === 'append') this.#refuseAppend(held.request, result);
    else this.#refuseCommand(held.input, result);
  }

  #refuseAppend({ replyTo, token }: AppendRequest, result: LogResult): void {
    const leaderEpoch = this.#assignment?.epoch ?? -1;
    const nowhere = { baseOffset: -1, startOffset: -1, leaderEpoch };
    this.#context.replies.appended(replyTo, { token, result, ...nowhere });
  }

  command(input: CommandInput): void {
    const { leader } = this;
    if (leader === undefined) {
      this.#refuseCommand(input, this.absence());
      return;
    }
    const { isHolding } = leader;
    if (isHolding && this.#held.holdCommand(input, this.#context.nowMs(), MOVE_HOLD_MAX_MS)) {
      this.#context.markActive();
      return;
    }
    if (!isHolding) this.#serveHeld(leader);
    this.#decide(leader, input);
  }

  #decide(leader: LeaderRole, input: CommandInput): void {
    const dueMs = this.#context.nowMs() + input.timeoutMs;
    const token = this.#owners.add({ to: input.replyTo, token: input.token, dueMs });
    if (token === undefined) {
      this.#refuseCommand(input, 'throttled');
      return;
    }
    const result = leader.command({ token, body: input.body });
    if (result === 'ok') return;
    this.#owners.take(token);
    this.#refuseCommand(input, result);
  }

  #refuseCommand({ token, replyTo }: CommandInput, result: LogResult): void {
    this.#context.replies.answered(replyTo, { token, result, body: NO_BODY });
  }

  // ---- Planned moves ----------------------------------------------------------------------------

  /** This leader is to hand the log over, if it still leads in that epoch. */
  planMove(epoch: number, target: number): void {
    const { leader } = this;
    if (leader !== undefined && leader.epoch === epoch) leader.planMove(target);
  }

  moveRefused(epoch: number, partitionEpoch: number): void {
    const { leader } = this;
    if (leader !== undefined && leader.epoch === epoch) leader.moveRefused(partitionEpoch);
  }

  trim(input: TrimInput): void {
    const result = this.leader?.trim(input) ?? this.absence();
    if (result === 'ok') return;
    const { token, replyTo } = input;
    const nowhere = { offset: -1, timestampMs: -1, epoch: -1 };
    this.#context.replies.located(replyTo, { token, result, ...nowhere });
  }

  /** Live replicas of this log on other nodes, the leader first. */
  otherReplicas(): readonly number[] {
    const { live = [], leader = -1 } = this.#assignment ?? {};
    const own = this.#context.self.node;
    const others = live.map(({ node }) => node).filter((node) => node !== own);
    return others.sort((a, b) => Number(b === leader) - Number(a === leader) || a - b);
  }

  /** Why there is no leader here. */
  absence(): LogResult {
    if (this.#failure !== undefined) return 'storage-error';
    const { lead, epoch } = this.#assignment ?? { lead: undefined, epoch: -1 };
    return lead !== undefined && epoch > this.#givenUpEpoch ? 'not-available' : 'not-leader';
  }

  // ---- Retention --------------------------------------------------------------------------------

  get limits(): RetentionLimits | undefined {
    return this.#limits;
  }

  keep({ limits, compaction, segmentBytes, segmentMs }: Keeping): void {
    this.stored.limitSegments(segmentBytes, segmentMs);
    this.#limits = limits;
    this.compaction = compaction;
    this.segmentBytesMax = segmentBytes;
    this.#context.retentionMoved();
  }

  /** Infinity: nothing goes by waiting. */
  retentionDueInMs(): number {
    const limits = this.#limits;
    if (limits === undefined) return Number.POSITIVE_INFINITY;
    return this.leader?.retention.dueInMs(limits) ?? Number.POSITIVE_INFINITY;
  }

  /** What is too old or too much goes; answers when to look again. */
  retain(): number {
    const limits = this.#limits;
    if (limits === undefined) return Number.POSITIVE_INFINITY;
    return this.leader?.retention.retain(limits) ?? Number.POSITIVE_INFINITY;
  }

  // ---- Time and storage ---------------------------------------------------------------------------

  durable(seq: number): void {
    this.role?.localDurable(seq);
  }

  /** The durable phase of a turn: what a leader has for its followers goes out. */
  pump(): void {
    const { leader } = this;
    if (leader === undefined) return;
    this.#serveHeld(leader);
    leader.pump();
  }

  /** The store takes appends again that it refused. */
  roomMade(): void {
    this.role?.roomMade();
  }

  /**
   * Answers when the next tick is needed: `nowMs` while something goes on, the time at which something is
   * due, or Infinity.
   */
  tick(nowMs: number): number {
    this.leader?.tickBehavior();
    this.#owners.expire(nowMs);
    this.#held.expire(nowMs);
    const goesOn = this.role?.tick(nowMs) ?? false;
    if (this.#resignAgain(nowMs) || goesOn || this.#held.size > 0) return nowMs;
    if (this.#failure !== undefined) return this.#loss.tick(nowMs, this.#assignment);
    return Math.min(
      this.#owners.dueMs,
      nowMs + (this.leader?.behaviorDueInMs() ?? Number.POSITIVE_INFINITY),
    );
  }

  snapshotWanted(): { seq: number; bytes: Uint8Array } | undefined {
    return this.#isRebuilding ? undefined : this.role?.snapshotWanted();
  }

  status(): LogStatus {
    return statusOf(this, this.#context.uncleanLosses.lostOf(this.logId));
  }
}
