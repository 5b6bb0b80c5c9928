// Metadata on the main thread of a node: Raft with its image, the controller while this node leads the
// group, heartbeats to the controller while it does not, and the feeding of this node's shards. Changes
// asked for here go to the leader wherever it is, and count as made when every live shard of this node
// has applied them: what a client was told exists, exists on the next shard it talks to.
import { actor, type Context } from '../../actors/actor.ts';
import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { Deadline } from '../../actors/timers.ts';
import type { Log } from '../../env/environment.ts';
import type { Configuration } from '../../raft/index.ts';
import { decodeMessage, encodeMessage, peerOf, type RaftConfig } from '../../raft/index.ts';
import type { SafeSetProposal } from '../../replication/types.ts';
import { messageOf } from '../../std/errors.ts';
import type { StoredLog } from '../../storage/api.ts';
import {
  Controller,
  type ControllerConfig,
  type ControllerInput,
  type ControllerOutput,
  type LeaderPlan,
} from '../controller/index.ts';
import { later } from '../later.ts';
import {
  encodeCommand,
  type LeaderMove,
  type MetadataChange,
  type MetadataCommand,
  type NodeRole,
  nodeRemovedBy,
} from '../metadata/index.ts';
import { SLOT_METADATA, SLOT_METADATA_REPLICA } from '../slots.ts';
import { LeaderMoves } from './leader-moves.ts';
import { MembershipChanger, type Newcomer, type Standing } from './membership-changer.ts';
import type { MetadataOps } from './metadata-protocol.ts';
import {
  MetadataProtocol,
  type ProposeAnswer,
  ReplicaProtocol,
  UNAVAILABLE,
} from './metadata-protocol.ts';
import type { MetadataReplica } from './metadata-replica.ts';
import { type KnownLife, PastCheck } from './past-check.ts';
import { Patience } from './patience.ts';
import { RaftShell } from './raft-shell.ts';
import { Seat } from './seat.ts';
import { ShardFeed } from './shard-feed.ts';
import type { Survivor } from './survivor.ts';

const PROPOSE_RETRY_MS = 50;
const PROPOSE_ASK_MS = 2_000;
const KNOWN_ASK_MS = 500;
/** A leader that missed so many heartbeats counts for nobody's quorum. */
const SILENT_BEATS = 2.5;

export interface MetadataServiceConfig {
  readonly system: System;
  readonly log: Log;
  readonly node: number;
  readonly role: NodeRole;
  /** Of this node's data: names the Raft peer together with the node. */
  readonly incarnation: number;
  readonly raft: Omit<RaftConfig, 'self'>;
  readonly bootstrap: Configuration;
  readonly stored: StoredLog;
  readonly replica: MetadataReplica;
  readonly controller: ControllerConfig;
  readonly heartbeatMs: number;
  /** Worker threads that are shards; empty when the main thread is the shard. */
  readonly shardThreads: readonly number[];
  /** Asks replicas of an offline log how far they reach; each answer is given back when it comes. */
  survey(logId: number, nodes: readonly number[], answer: (survivor: Survivor) => void): void;
  /** Tells the leaders of these logs to hand them over. */
  planMoves(plans: readonly LeaderPlan[]): void;
  onChanges(changes: readonly MetadataChange[]): void;
  /** Another leader is known, or none, or this one has become ready to lead. */
  onLeadership(): void;
  onFatal(error: Error): void;
  /** For a folder with a past. Absent: there is nothing in it that could be too old. */
  readonly past?: {
    readonly others: readonly number[];
    /** What Raft remembers here is damaged or gone: whoever asks knows better. */
    readonly isLost: boolean;
    /** The group knows of a later past of this node than the folder remembers. */
    isForgotten(known: KnownLife): boolean;
    /** Nothing of this node has spoken in the group since the start, and nothing will. */
    onForgotten(known: KnownLife): void;
  };
}

export class MetadataService {
  readonly config: MetadataServiceConfig;
  readonly raft: RaftShell;
  readonly seat: Seat;
  readonly #feed: ShardFeed;
  readonly #controller: Controller;
  readonly #members: MembershipChanger;
  readonly #leaderMoves: LeaderMoves;
  readonly #refs = new Map<number, Ref<MetadataOps>>();
  #isStopped = false;
  #beatTimer: Deadline | undefined;
  #beatMs = Number.NEGATIVE_INFINITY;
  #wasReady = false;
  #registeredIncarnation: number | undefined;
  /** Resolves when the image says what the folder remembers. */
  #isRecovered: () => void = () => undefined;
  readonly #recovered = new Promise<void>((resolve) => {
    this.#isRecovered = resolve;
  });

  constructor(config: MetadataServiceConfig) {
    this.config = config;
    const { system, replica, node, incarnation } = config;
    this.#controller = new Controller(config.controller, replica.image);
    this.#feed = new ShardFeed(
      config.shardThreads.map((thread) => ({
        thread,
        ref: system.wellKnown(ReplicaProtocol, { thread, slot: SLOT_METADATA_REPLICA }),
      })),
      () => ({
        index: this.raft.appliedIndex,
        controllerId: this.raft.controllerId + 1,
        bytes: replica.snapshot(),
      }),
    );
    this.raft = new RaftShell({
      system,
      raft: { ...config.raft, self: peerOf(node, incarnation), isWitness: this.#isWitness },
      bootstrap: config.bootstrap,
      stored: config.stored,
      machine: {
        apply: (command, index) => {
          this.#feed.entry(index, command);
          return replica.apply(command, index);
        },
        snapshot: () => replica.snapshot(),
        restore: (bytes) => {
          replica.restore(bytes);
          this.#feed.imageReplaced();
        },
        applied: (index) => this.#applied(index),
        leadershipChanged: (controllerId, isLeader) => this.#leadership(controllerId, isLeader),
      },
      send: (to, message) => this.#peer(to).tell('raft', encodeMessage(message)),
      onFatal: (error) => config.onFatal(error),
    });
    this.seat = new Seat(this.raft, config);
    this.#members = new MembershipChanger(this.raft, config.log);
    this.#leaderMoves = new LeaderMoves({
      node,
      image: replica.image,
      nowMs: () => this.#nowMs(),
      change: (command, timeoutMs) => this.change(command, timeoutMs),
      refused: (thread, move) => this.#feed.moveRefused(thread, move),
      onFatal: (error) => config.onFatal(error),
    });
    system.spawnWellKnown(SLOT_METADATA, 'metadata', MetadataActor, this);
  }

  async start(): Promise<void> {
    const { past } = this.config;
    await this.raft.start(past !== undefined, past?.isLost);
    this.#isRecovered();
    this.#beat();
    if (past !== undefined && this.raft.isHeld) this.#askTheOthers(past);
  }

  /** Takes no part until the others have said enough of what they know of this node. */
  #askTheOthers(past: NonNullable<MetadataServiceConfig['past']>): void {
    const { node, log, replica } = this.config;
    const check = new PastCheck({
      others: past.others,
      isFounded: replica.image.clusterId !== '',
      isForgotten: (known) => past.isForgotten(known),
    });
    let isOver = false;
    const heard = (other: number, known: KnownLife): void => {
      const wasForgotten = check.isForgotten;
      const verdict = check.heard(other, known, this.#nowMs());
      if (check.isForgotten && !wasForgotten) {
        log.warn('this folder is older than what the others know of it', { ...known });
      }
      if (verdict === 'ask') return;
      isOver = true;
      if (verdict === 'end') past.onForgotten(known);
      else this.raft.release();
    };
    const askOne = async (other: number): Promise<void> => {
      while (!isOver && !this.#isStopped) {
        const known = await this.#peer(other)
          .ask('known', { node }, { timeoutMs: KNOWN_ASK_MS })
          .catch(() => undefined);
        if (isOver || this.#isStopped) return;
        if (known === undefined) check.unheard(other);
        else heard(other, known);
        await this.#sleep(PROPOSE_RETRY_MS);
      }
    };
    for (const other of past.others) {
      askOne(other).catch((error: unknown) => this.config.onFatal(error as Error));
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.raft.stop();
  }

  get #isWitness(): boolean {
    return this.config.role === 'witness';
  }

  #peer(node: number): Ref<MetadataOps> {
    let ref = this.#refs.get(node);
    if (ref === undefined) {
      ref = this.config.system.wellKnown(MetadataProtocol, {
        node,
        thread: 0,
        slot: SLOT_METADATA,
      });
      this.#refs.set(node, ref);
    }
    return ref;
  }

  // ---- What Raft says -------------------------------------------------------------------------------

  #applied(index: number): void {
    this.#feed.flush(index, this.raft.controllerId);
    const changes = this.config.replica.publish();
    this.#control({ kind: 'leadership', isReady: this.#isReadyLeader() });
    if (changes.length > 0) this.config.onChanges(changes);
    const isReady = this.#isReadyLeader();
    if (isReady === this.#wasReady) return;
    this.#wasReady = isReady;
    if (isReady) this.config.onLeadership();
  }

  #leadership(controllerId: number, isLeader: boolean): void {
    this.config.replica.setController(controllerId);
    this.#feed.controller(controllerId);
    if (!isLeader) this.#control({ kind: 'leadership', isReady: false });
    if (!isLeader) this.#wasReady = false;
    this.config.log.info('metadata leader', { controller: controllerId });
    this.config.onLeadership();
  }

  #nowMs(): number {
    return this.config.system.clock.monotonicMs();
  }

  /** Heartbeats and the controller's clock share one timer, which starts anew with every heartbeat. */
  #beat(): void {
    if (this.#isStopped) return;
    const { node, heartbeatMs, system } = this.config;
    if (this.#beatTimer !== undefined) system.deadlines.cancel(this.#beatTimer);
    this.#beatTimer = system.deadlines.after(heartbeatMs, () => this.#beat());
    this.#beatMs = this.#nowMs();
    const { controllerId } = this.raft;
    const incarnation = this.#registeredIncarnation;
    if (this.raft.isLeader) {
      this.#dropStrangers();
      if (incarnation === undefined) this.#control({ kind: 'tick' });
      else this.#control({ kind: 'heartbeat', node, incarnation });
    } else if (controllerId >= 0 && incarnation !== undefined) {
      this.#peer(controllerId).tell('heartbeat', { node, incarnation });
    }
  }

  #dropStrangers(): void {
    const { image } = this.config.replica;
    if (!this.#isReadyLeader()) return;
    const standingOf = (node: number): Standing => {
      // This node, if it is the one, ends by itself: whoever leads next takes it out.
      if (node === this.config.node) return 'known';
      if (image.removedIncarnation(node) !== undefined) return 'removed';
      return image.node(node) === undefined ? 'unknown' : 'known';
    };
    this.#members.dropStrangers(standingOf, this.#nowMs()).catch((error: unknown) => {
      this.config.onFatal(error as Error);
    });
  }

  /** This thread is awake, perhaps about to answer: a heartbeat that is soon due goes along. */
  #beatAlong(): void {
    const { heartbeatMs } = this.config;
    if (this.#nowMs() - this.#beatMs >= heartbeatMs / 2) this.#beat();
  }

  #isReadyLeader(): boolean {
    return this.raft.isLeader && this.raft.isReady;
  }

  /** This process is registered under this incarnation: from now on its heartbeats count. */
  registered(incarnation: number): void {
    this.#registeredIncarnation = incarnation;
    this.#controller.registered(this.config.node, incarnation);
    this.#beat();
  }

  /** The links to a node's main thread ended. */
  disconnected(node: number): void {
    if (this.raft.isLeader) this.#control({ kind: 'disconnected', node });
    else if (this.raft.controllerId === node) this.raft.leaderLost();
  }

  #control(input: ControllerInput): readonly ControllerOutput[] {
    const outputs = this.#controller.step(input, this.#nowMs());
    for (const output of outputs) this.#actFor(output);
    return outputs;
  }

  #actFor(output: ControllerOutput): void {
    switch (output.kind) {
      case 'propose':
        this.#proposeFor(output.key, output.command);
        return;
      case 'plan-moves':
        this.config.planMoves(output.plans);
        return;
      case 'survey':
        this.config.survey(output.logId, output.nodes, (answer) =>
          this.#control({ kind: 'survivor', logId: output.logId, ...answer }),
        );
        return;
    }
  }

  #proposeFor(key: string, command: MetadataCommand): void {
    this.raft
      .propose(encodeCommand(command))
      .then((answer) => {
        if (answer.kind === 'refused') {
          this.config.log.info('a change was refused', { command: command.kind, ...answer });
        }
        this.#control({ kind: 'resolved', key });
      })
      .catch((error: unknown) => this.config.onFatal(error as Error));
  }

  // ---- Changes ----------------------------------------------------------------------------------------

  /**
   * Proposes until it is done, refused, or `timeoutMs` has passed. `unavailable` within a second while no leader with
   * a quorum shows: the change is not tried again then, but one that was sent may still happen.
   */
  change(command: Uint8Array, timeoutMs: number): Promise<ProposeAnswer> {
    const { system, raft } = this.config;
    const silentMs = raft.heartbeatMs * SILENT_BEATS;
    const patience = new Patience(system, () => this.raft.hasQuorumWithin(silentMs));
    return patience.wait(this.#propose(command, timeoutMs, patience));
  }

  async #propose(
    command: Uint8Array,
    timeoutMs: number,
    patience: Patience,
  ): Promise<ProposeAnswer> {
    const dueMs = this.#nowMs() + timeoutMs;
    for (;;) {
      const answer = await this.#proposeOnce(command, dueMs - this.#nowMs());
      // A witness has nothing to apply it to.
      if (answer.kind === 'done' && !this.#isWitness) {
        const inTime = await this.#feed.appliedEverywhere(
          answer.index,
          () => this.raft.appliedIndex,
          this.config.system,
          Math.max(1, dueMs - this.#nowMs()),
        );
        return inTime ? answer : UNAVAILABLE;
      }
      if (answer.kind === 'refused' || answer.kind === 'done') return answer;
      // Sent but not answered: it may have happened. Only a change that was not logged is tried again.
      if (answer.kind === 'unavailable' && answer.code === UNAVAILABLE.code) return answer;
      if (this.#isStopped || this.#nowMs() + PROPOSE_RETRY_MS >= dueMs) return UNAVAILABLE;
      await this.#sleep(PROPOSE_RETRY_MS);
      if (patience.isOver) return UNAVAILABLE;
    }
  }

  changeCommand(command: MetadataCommand, timeoutMs: number): Promise<ProposeAnswer> {
    return this.change(encodeCommand(command), timeoutMs);
  }

  async #proposeOnce(command: Uint8Array, leftMs: number): Promise<ProposeAnswer> {
    if (this.raft.isLeader) return this.#withDeadline(this.#proposeHere(command), leftMs);
    const { controllerId } = this.raft;
    if (controllerId < 0) return { ...UNAVAILABLE, kind: 'not-leader', code: 'METADATA_NO_LEADER' };
    try {
      const timeoutMs = Math.max(1, Math.min(PROPOSE_ASK_MS, leftMs));
      return await this.#peer(controllerId).ask('propose', { command }, { timeoutMs });
    } catch (error) {
      this.config.log.debug('a proposal was not answered', { error: messageOf(error) });
      return UNAVAILABLE;
    }
  }

  /** Who votes is no part of the image: that the last voter is to leave, the leader sees. */
  async #proposeHere(command: Uint8Array): Promise<ProposeAnswer> {
    const node = nodeRemovedBy(command);
    if (node === undefined || !this.#members.votesAlone(node)) return this.raft.propose(command);
    const message = `node ${node} votes alone: without it nobody could change anything; add disk nodes until three others vote`;
    return { ...UNAVAILABLE, kind: 'refused', code: 'too-few-voters', message };
  }

  #withDeadline(work: Promise<ProposeAnswer>, leftMs: number): Promise<ProposeAnswer> {
    return new Promise((resolve, reject) => {
      const { deadlines } = this.config.system;
      const deadline = deadlines.after(Math.max(1, leftMs), () => resolve(UNAVAILABLE));
      work.then((answer) => {
        deadlines.cancel(deadline);
        resolve(answer);
      }, reject);
    });
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.config.system.deadlines.after(delayMs, resolve));
  }

  /** A newcomer asks `others`, as it knows them then, until it is what its role lets it be. */
  join(others: () => readonly number[]): Promise<void> {
    const { node, incarnation, role, system } = this.config;
    return this.seat.join(system, others, {
      ask: (other) =>
        this.#peer(other)
          .ask('join', { node, incarnation, role }, { timeoutMs: PROPOSE_ASK_MS })
          .catch(() => false),
      isStopped: () => this.#isStopped,
    });
  }

  // ---- Messages -----------------------------------------------------------------------------------------

  /** Answers later: a pending ask must not hold the mailbox, or Raft's own messages would wait for it. */
  handlers(ctx: Context<MetadataOps>) {
    return {
      raft: (bytes: Uint8Array) => {
        const message = decodeMessage(bytes);
        if (message !== undefined) this.raft.receive(message);
        this.#beatAlong();
      },
      propose: ({ command }: { command: Uint8Array }) =>
        later(ctx, () => this.#proposeHere(command)),
      heartbeat: ({ node, incarnation }: { node: number; incarnation: number }) => {
        if (!this.raft.isLeader) return;
        this.#control({ kind: 'heartbeat', node, incarnation });
      },
      join: (newcomer: Newcomer) => later(ctx, () => this.#asked(newcomer)),
      letIn: (newcomer: Newcomer) => later(ctx, () => this.#letIn(newcomer)),
      known: ({ node }: { node: number }) => later(ctx, () => this.#knownLife(node)),
      prepareStop: ({ node, incarnation }: { node: number; incarnation: number }) =>
        this.#prepareStop(node, incarnation),
      moveLeader: ({ thread, ...move }: LeaderMove & { readonly thread: number }) =>
        this.moveLeader(move, thread),
      proposeSafeSet: (input: SafeSetProposal & { readonly thread: number }) =>
        this.proposeSafeSet(input, input.thread),
      resignLog: ({ logId, epoch }: { logId: number; epoch: number }) =>
        this.resignLog(logId, epoch),
      shardApplied: ({ thread, index }: { thread: number; index: number }) =>
        this.#feed.applied(thread, index),
      change: ({ command, timeoutMs }: { command: Uint8Array; timeoutMs: number }) =>
        later(ctx, () => this.change(command, timeoutMs)),
    };
  }

  #prepareStop(node: number, incarnation: number): number | undefined {
    if (!this.#isReadyLeader()) return undefined;
    const outputs = this.#control({ kind: 'prepare-stop', node, incarnation });
    const plans = outputs.flatMap((output) => (output.kind === 'plan-moves' ? output.plans : []));
    return plans.filter(({ leader }) => leader === node).length;
  }

  /** This node is about to stop: how many logs it is to hand over. Undefined: nobody was reached who plans. */
  async prepareStop(incarnation: number, timeoutMs: number): Promise<number | undefined> {
    const { node } = this.config;
    const { controllerId, isLeader } = this.raft;
    if (isLeader) return this.#prepareStop(node, incarnation);
    if (controllerId < 0) return undefined;
    return this.#peer(controllerId)
      .ask('prepareStop', { node, incarnation }, { timeoutMs })
      .catch(() => undefined);
  }

  /** From a log host of this node, see `LeaderMoves`. */
  moveLeader(move: LeaderMove, thread: number): void {
    this.#leaderMoves.ask(thread, move);
  }

  /** By a newcomer that may know founders alone, while a node leads that came later. */
  async #asked(newcomer: Newcomer): Promise<boolean> {
    const { controllerId, isLeader } = this.raft;
    if (isLeader) return this.#letIn(newcomer);
    if (controllerId < 0 || controllerId === newcomer.node) return false;
    return this.#peer(controllerId)
      .ask('letIn', newcomer, { timeoutMs: PROPOSE_ASK_MS })
      .catch(() => false);
  }

  /** Not the data of a node that was removed: it is told so when it asks what is known of it. */
  async #letIn(newcomer: Newcomer): Promise<boolean> {
    const { image } = this.config.replica;
    const removed = image.removedIncarnation(newcomer.node);
    if (removed === newcomer.incarnation) return false;
    return this.#members.admit(newcomer, {
      isRemoved: removed !== undefined,
      isLive: (node) => this.#isReadyLeader() && image.isNodeLive(node),
      roleOf: (node) => image.node(node)?.role,
    });
  }

  async #knownLife(node: number): Promise<KnownLife> {
    await this.#recovered;
    const { image } = this.config.replica;
    const removed = image.removedIncarnation(node);
    const { incarnation = removed ?? 0, bootCounter = 0 } = image.node(node) ?? {};
    const isRemoved = removed !== undefined;
    return { incarnation, bootCounter, isRemoved, standing: this.#standing() };
  }

  #standing(): KnownLife['standing'] {
    if (this.#isReadyLeader()) return 'leads';
    if (this.raft.hearsLeader) return 'follows';
    // It has no image, and a vote all the same: a cluster of which nobody else is left must be able to start.
    if (this.#isWitness) return this.raft.isNew ? 'blank' : 'alone';
    return this.config.replica.image.clusterId === '' ? 'blank' : 'alone';
  }

  /** From a log host of this node. A refusal goes back at once; acceptance shows in the metadata. */
  proposeSafeSet(proposal: SafeSetProposal, thread: number): void {
    const { logId, epoch, expectedPartitionEpoch, attempt, newSet, isr } = proposal;
    const command: MetadataCommand = {
      kind: 'propose-safe-set',
      logId,
      node: this.config.node,
      epoch,
      partitionEpoch: expectedPartitionEpoch,
      safeSet: newSet,
      isr,
    };
    this.#proposeOnce(encodeCommand(command), PROPOSE_ASK_MS)
      .then((answer) => {
        if (answer.kind === 'refused') this.#feed.safeSetRejected(thread, logId, attempt);
      })
      .catch((error: unknown) => this.config.onFatal(error as Error));
  }

  /** Best effort: the log host asks again while the metadata still names it. */
  resignLog(logId: number, epoch: number): void {
    const command: MetadataCommand = { kind: 'resign-log', logId, node: this.config.node, epoch };
    this.#proposeOnce(encodeCommand(command), PROPOSE_ASK_MS).catch((error: unknown) =>
      this.config.onFatal(error as Error),
    );
  }

  /** Where refusals of proposals of a main-thread shard go. */
  onSafeSetRejected(handle: (logId: number, attempt: number) => void): void {
    this.#feed.onRejected = handle;
  }

  /** The same of refused moves. */
  onMoveRefused(handle: (move: LeaderMove) => void): void {
    this.#feed.onMoveRefused = handle;
  }

  /** A replaced worker needs the whole image. */
  shardStarted(thread: number): void {
    this.#feed.restart(thread);
  }

  shardLost(thread: number): void {
    this.#feed.lost(thread);
  }
}

const MetadataActor = actor(
  MetadataProtocol,
  (ctx, service: MetadataService) => service.handlers(ctx),
  { mailbox: { capacity: 65_536, overflow: 'reject' } },
);
