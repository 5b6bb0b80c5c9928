// Makes this node a member: registers its data, its addresses and the lives of its shards, again whenever
// metadata has forgotten or fenced another life of it; founds the cluster and its internal destinations
// while this node leads metadata; and gives leaderships away before a stop.
import type { System } from '../actors/system.ts';
import type { Deadline } from '../actors/timers.ts';
import { NO_PROFILE, PROFILE, profileOf } from '../cluster/metadata/cluster-settings.ts';
import type { MetadataCommand, RegisterNode } from '../cluster/metadata/commands.ts';
import { chooseLeader } from '../cluster/metadata/election.ts';
import type { ActorKind, Endpoint, NodeRecord, NodeRole } from '../cluster/metadata/types.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import type { MetadataService } from '../cluster/metadata-shell/metadata-service.ts';
import type { MetadataService as Changes } from '../cluster/ports.ts';
import { encodeUtf8 } from '../std/utf8.ts';
import { laterIncarnation, type NodeIdentity } from './identity.ts';
import { makeMissing, missingDestination } from './internal-destinations.ts';
import type { Shards } from './shards.ts';

/** Between two looks while something is to be done that no change of the metadata announces. */
const POLL_MS = 25;
/** The same while there is nothing: a look in case that something was missed. */
const QUIET_MS = 1_000;
const CHANGE_MS = 2_000;
/** Of the time for a stop: so much is for leaders that hand over, the rest for those that are replaced. */
const PLANNED_PART = 0.7;
/** Whoever could not hand over yet is planned again. */
const PLAN_AGAIN_MS = 200;
const HAND_OVER_POLL_MS = 10;
/** Internal destinations are placed on all founders, or after this on whoever is there. */
const FOUNDERS_GRACE_MS = 3_000;

/** How long a node with older kinds of actors may go on to count as live. */
const OLDER_GRACE_MS = 20_000;
const OLDER_POLL_MS = 500;

export interface RegistrationOptions {
  readonly system: System;
  readonly metadata: MetadataService;
  readonly replica: MetadataReplica;
  readonly identity: NodeIdentity;
  /** As which the cluster is told of it. */
  readonly role: NodeRole;
  readonly pid: number;
  readonly endpoints: readonly Endpoint[];
  readonly founders: readonly number[];
  /** Of durable actors, that this node brings. */
  readonly kinds: readonly ActorKind[];
  readonly shards: Shards;
  readonly changes: Changes;
  /** The metadata is about to be told of this start: it may know of it from now on. */
  onTelling(): void;
  /** The metadata knows this very process. */
  onRegistered(): void;
  /** The data goes by another incarnation from now on. */
  onRenamed(dataIncarnation: number): void;
  /** The folder is an earlier state of this node than the one that metadata knows. */
  onForgotten(knownIncarnation: number): void;
  /** The cluster has taken this node out, and takes its data back no more. */
  onRemoved(): void;
  readonly rack: string | undefined;
  /** What the cluster is to have; undefined: whatever it has. */
  readonly profile: string | undefined;
  onFailed(error: Error): void;
}

/** Older nodes know the commands of disk nodes. */
function registrationAs(
  role: NodeRole,
  registration: Omit<RegisterNode, 'kind'>,
  kinds: readonly ActorKind[],
): MetadataCommand {
  if (role !== 'disk') return { kind: 'register-node-as', ...registration, kinds, role };
  return kinds.length === 0
    ? { kind: 'register-node', ...registration }
    : { kind: 'register-node-with-kinds', ...registration, kinds };
}

export class Registration {
  readonly #options: RegistrationOptions;
  #incarnation: number;
  #previous: number;
  #isStopped = false;
  #isTold = false;
  /** A registration of this very life was sent: the metadata may know of it, whatever was answered. */
  #hasAsked = false;
  #isBusy = false;
  /** Something changed while a task was under way. */
  #isDue = false;
  #deadline: Deadline | undefined;
  /** The cluster has it, or had when this process began. */
  #hasProfile: boolean;
  #ledSinceMs = -1;
  #olderSinceMs = -1;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#incarnation = options.identity.dataIncarnation;
    this.#previous = options.identity.previousIncarnation;
    this.#hasProfile = options.profile === undefined;
  }

  start(): void {
    this.#poll();
  }

  /** Something in the metadata or its leadership changed: perhaps there is something to do at once. */
  changed(): void {
    this.#work();
  }

  #poll(): void {
    if (this.#isStopped) return;
    this.#work();
    this.#arm();
  }

  #arm(): void {
    const { deadlines } = this.#options.system;
    if (this.#deadline !== undefined) deadlines.cancel(this.#deadline);
    this.#deadline = undefined;
    if (this.#isStopped) return;
    const delayMs = this.#isQuiet() ? QUIET_MS : POLL_MS;
    this.#deadline = deadlines.after(delayMs, () => {
      this.#deadline = undefined;
      this.#poll();
    });
  }

  /** Whatever is to be done next is announced by a change. */
  #isQuiet(): boolean {
    const { metadata, replica } = this.#options;
    const { isLeader, controllerId } = metadata.raft;
    if (controllerId < 0) return true;
    if (replica.image.clusterId === '') return !isLeader;
    if (!this.isRegistered() || !this.#hasProfile) return false;
    return !isLeader || missingDestination(replica.image) === undefined;
  }

  #work(): void {
    if (this.#isStopped) return;
    if (this.#isBusy) {
      this.#isDue = true;
      return;
    }
    const task = this.#next();
    if (task === undefined) return;
    this.#isBusy = true;
    task()
      .catch((error: unknown) => {
        this.#options.onFailed(error instanceof Error ? error : new Error(String(error)));
      })
      .finally(() => {
        this.#isBusy = false;
        const isDue = this.#isDue;
        this.#isDue = false;
        if (isDue) this.#work();
        this.#arm();
      });
  }

  #next(): (() => Promise<void>) | undefined {
    const { metadata, replica, changes, founders, system } = this.#options;
    if (metadata.raft.controllerId < 0) return undefined;
    const { image } = replica;
    if (this.#isTold && this.#isTakenOut()) return async () => this.#options.onRemoved();
    const isLeader = metadata.raft.isLeader && metadata.raft.isReady;
    if (!metadata.raft.isLeader) this.#ledSinceMs = -1;
    else if (this.#ledSinceMs < 0) this.#ledSinceMs = system.clock.monotonicMs();
    if (image.clusterId === '') return isLeader ? () => this.#found() : undefined;
    const restarted = this.#restartedShard();
    if (restarted !== undefined) return () => this.#announce(restarted);
    if (!this.isRegistered()) return () => this.#register();
    // The answer to the registration may be lost: that it counts shows in the metadata.
    if (!this.#isTold) this.#tellRegistered();
    if (!this.#hasProfile) return () => this.#setProfile();
    if (!isLeader || missingDestination(image) === undefined) return undefined;
    const waitedMs = system.clock.monotonicMs() - this.#ledSinceMs;
    const areAllHere = founders.every((id) => image.isNodeLive(id));
    if (!areAllHere && waitedMs < FOUNDERS_GRACE_MS) return undefined;
    if (image.liveNodes().length === 0) return undefined;
    return () => makeMissing(image, changes, CHANGE_MS);
  }

  /** The record of this very process, whatever became of its shards since. */
  #ownRecord(): NodeRecord | undefined {
    const { replica, identity, pid } = this.#options;
    const node = replica.image.node(identity.nodeId);
    const isOwn =
      node?.incarnation === this.#incarnation &&
      node.bootCounter === identity.bootCounter &&
      node.pid === pid;
    return isOwn ? node : undefined;
  }

  /** By the metadata as this node knows it. While it catches up it may see an earlier life of its own. */
  isRegistered(): boolean {
    return this.#ownRecord() !== undefined && this.#restartedShard() === undefined;
  }

  #isTakenOut(): boolean {
    const { replica, identity } = this.#options;
    const isKnown = replica.image.node(identity.nodeId) !== undefined;
    return !isKnown && replica.image.removedIncarnation(identity.nodeId) !== undefined;
  }

  /** A shard of this process that metadata knows by an earlier life. */
  #restartedShard(): number | undefined {
    const known = this.#ownRecord()?.shardIncarnations;
    if (known === undefined) return undefined;
    const lives = this.#options.shards.incarnations();
    const at = lives.findIndex((life, shard) => known[shard] !== life);
    return at < 0 ? undefined : at;
  }

  /** The grants of the shard's earlier life end, and it is given new ones. */
  async #announce(shard: number): Promise<void> {
    const { metadata, identity, shards } = this.#options;
    const shardIncarnation = shards.incarnations()[shard];
    if (shardIncarnation === undefined) return;
    const { nodeId: node } = identity;
    const incarnation = this.#incarnation;
    const answer = await metadata.changeCommand(
      { kind: 'restart-shard', node, incarnation, shard, shardIncarnation },
      CHANGE_MS,
    );
    if (answer.kind !== 'refused') return;
    throw new Error(`the cluster refuses shard ${shard}: ${answer.message}`);
  }

  #tellRegistered(): void {
    this.#isTold = true;
    this.#options.metadata.registered(this.#incarnation);
    this.#options.onRegistered();
  }

  async #found(): Promise<void> {
    const { metadata, identity } = this.#options;
    await metadata.changeCommand(
      {
        kind: 'init-cluster',
        clusterId: identity.clusterId,
        defaults: { partitions: 3, replicationFactor: -1 },
      },
      CHANGE_MS,
    );
  }

  async #setProfile(): Promise<void> {
    const { metadata, replica, profile, system } = this.#options;
    const had = profileOf(replica.image);
    if (profile !== undefined && profile !== had) {
      const value = profile === NO_PROFILE ? undefined : encodeUtf8(profile);
      const command = { kind: 'set-setting', key: PROFILE, value } as const;
      const answer = await metadata.changeCommand(command, CHANGE_MS);
      if (answer.kind !== 'done') return;
      system.log.info('the cluster has another profile', { had, has: profile });
    }
    this.#hasProfile = true;
  }

  async #register(): Promise<void> {
    const { metadata, replica, identity, shards, endpoints, pid, system, kinds } = this.#options;
    const { nodeId, bootCounter, osBootId } = identity;
    const registration = {
      node: nodeId,
      incarnation: this.#incarnation,
      previousIncarnation: this.#previous,
      bootCounter,
      hasFailedSync: shards.hasFailedSync(),
      osBootId,
      pid,
      rack: this.#options.rack,
      endpoints,
      firstShardThread: shards.firstThread,
      shardIncarnations: shards.incarnations(),
    };
    const command = registrationAs(this.#options.role, registration, kinds);
    this.#options.onTelling();
    const isRepeat = this.#hasAsked;
    this.#hasAsked = true;
    const answer = await metadata.changeCommand(command, CHANGE_MS);
    if (answer.kind === 'done') this.#tellRegistered();
    if (answer.kind !== 'refused') return;
    if (answer.code === 'rolled-back' && isRepeat && !this.#isOutlived()) return;
    // A cluster of one has nobody who could take a newcomer in: it goes on with what it has, under another name.
    if (answer.code === 'rolled-back' && this.#options.founders.length > 1) {
      this.#isStopped = true;
      this.#options.onForgotten(replica.image.node(nodeId)?.incarnation ?? this.#incarnation);
      return;
    }
    if (answer.code === 'node-removed') {
      this.#isStopped = true;
      this.#options.onRemoved();
      return;
    }
    if (answer.code === 'new-incarnation-needed' || answer.code === 'rolled-back') {
      system.log.warn('this data may have lost something: it joins as new', {
        why: answer.message,
      });
      const { image } = replica;
      const known = image.node(nodeId)?.incarnation ?? image.removedIncarnation(nodeId) ?? 0;
      // What joins in the place of a node that was removed is no later life of it.
      if (image.removedIncarnation(nodeId) === undefined) this.#previous = this.#incarnation;
      this.#incarnation = laterIncarnation(system, Math.max(known, this.#previous));
      this.#options.onRenamed(this.#incarnation);
      return;
    }
    if (answer.code === 'older-kind-live' && this.#mayWaitForOlder()) {
      system.log.warn('a node with older actors is live: waiting for its end', {
        why: answer.message,
      });
      await new Promise<void>((resolve) => system.deadlines.after(OLDER_POLL_MS, () => resolve()));
      return;
    }
    throw new Error(`the cluster refuses this node: ${answer.message}`);
  }

  /**
   * The metadata here knows this node by another life than this one, and no earlier one. If not, a start that is
   * known already is this very one: its answer was lost, and a shard has started again since. The image tells soon.
   */
  #isOutlived(): boolean {
    const { replica, identity } = this.#options;
    const known = replica.image.node(identity.nodeId);
    if (known === undefined || this.#ownRecord() !== undefined) return false;
    return known.incarnation > this.#incarnation || known.bootCounter >= identity.bootCounter;
  }

  /** A node that was stopped with this one counts as live until it is fenced. */
  #mayWaitForOlder(): boolean {
    const nowMs = this.#options.system.clock.monotonicMs();
    if (this.#olderSinceMs < 0) this.#olderSinceMs = nowMs;
    return nowMs - this.#olderSinceMs < OLDER_GRACE_MS;
  }

  /** Asks metadata to move leaderships away, and waits until all have that can or the time is over. */
  async resign(timeoutMs: number): Promise<void> {
    this.#isStopped = true;
    const { metadata, identity, replica, system } = this.#options;
    const { nodeId } = identity;
    const others = replica.image.liveNodes().filter((node) => node.id !== nodeId);
    if (others.length === 0 || metadata.raft.controllerId < 0 || !this.isRegistered()) return;
    const untilMs = system.clock.monotonicMs() + timeoutMs;
    await this.#handOver(system.clock.monotonicMs() + timeoutMs * PLANNED_PART);
    const answer = await metadata.changeCommand(
      { kind: 'resign-node', node: nodeId, incarnation: this.#incarnation },
      Math.max(1, untilMs - system.clock.monotonicMs()),
    );
    if (answer.kind !== 'done') return;
    while (!this.#isRelieved() && system.clock.monotonicMs() < untilMs) {
      await new Promise<void>((resolve) => system.deadlines.after(POLL_MS, () => resolve()));
    }
  }

  /** Leaders hand over to replicas in sync, without anybody waiting for long; until none is left, or the time is over. */
  async #handOver(untilMs: number): Promise<void> {
    const { metadata, system, replica } = this.#options;
    let seenVersion = -1;
    let dueMs = Number.NEGATIVE_INFINITY;
    for (;;) {
      const nowMs = system.clock.monotonicMs();
      if (nowMs >= untilMs) return;
      // With many logs that is a lot to look at, for nothing while the metadata stays as it is.
      const { version } = replica.image;
      if (version !== seenVersion && !this.#canHandOver()) return;
      seenVersion = version;
      if (nowMs >= dueMs) {
        dueMs = nowMs + PLAN_AGAIN_MS;
        const timeoutMs = Math.max(1, Math.min(PLAN_AGAIN_MS, untilMs - nowMs));
        // Where all stop at once nobody may be left to take over: no reason to wait.
        if ((await metadata.prepareStop(this.#incarnation, timeoutMs)) === 0) return;
      }
      await new Promise<void>((resolve) => system.deadlines.after(HAND_OVER_POLL_MS, resolve));
    }
  }

  /** It leads something of which another live replica is in sync. */
  #canHandOver(): boolean {
    const { nodeId } = this.#options.identity;
    const { image } = this.#options.replica;
    return image.logsLedBy(nodeId).some((logId) => {
      return image.log(logId)!.isr.some((id) => id !== nodeId && image.isNodeLive(id));
    });
  }

  /** Nothing is left on the node that another one could lead. */
  #isRelieved(): boolean {
    const { nodeId } = this.#options.identity;
    const { image } = this.#options.replica;
    return image.logsLedBy(nodeId).every((logId) => {
      const log = image.log(logId);
      return log === undefined || chooseLeader(image, log, nodeId) === undefined;
    });
  }
}
