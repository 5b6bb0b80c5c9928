// The controller: reads the image and the heartbeats, says what to propose. Pure, on the thread of
// the metadata group. Invariant: it proposes nothing before the own no-op of its Raft term is
// applied, and nothing because of silence before one full session has passed since. Its own thread
// standing still, or having much to do, is nobody's silence.
import type { MetadataCommand, MetadataImage, NodeRecord } from '../metadata/index.ts';
import { countsOn } from '../metadata/roles.ts';
import { type LeaderPlan, Leaders } from './leaders.ts';
import { Moves } from './moves.ts';
import { Sessions } from './sessions.ts';
import { Survey } from './survey.ts';
import type { ControllerConfig, ControllerInput, ControllerOutput } from './types.ts';

interface OpenProposal {
  readonly retryMs: number;
  /** Of the image when it was made. */
  readonly version: number;
}

export class Controller {
  readonly #config: ControllerConfig;
  readonly #image: MetadataImage;
  readonly #sessions = new Sessions();
  readonly #survey = new Survey();
  readonly #moves: Moves;
  readonly #leaders: Leaders;
  readonly #open = new Map<string, OpenProposal>();
  #outputs: ControllerOutput[] = [];
  #isActive = false;
  #sinceMs = 0;
  #steppedMs = 0;
  #self: { readonly node: number; readonly incarnation: number } | undefined;
  #preferredDueMs = 0;

  /** `image` is read at every step and never changed; it must be the applied state of this node. */
  constructor(config: ControllerConfig, image: MetadataImage) {
    this.#config = config;
    this.#image = image;
    this.#moves = new Moves(image);
    this.#leaders = new Leaders(image);
  }

  /** Feeds one input and returns what to do about it, in order. `nowMs` is monotonic. */
  step(input: ControllerInput, nowMs: number): readonly ControllerOutput[] {
    this.#awake(nowMs);
    this.#take(input, nowMs);
    if (this.#isActive) this.#decide(nowMs);
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  /** When a tick is due at the latest; Infinity while not leading. */
  deadlineMs(nowMs: number): number {
    if (!this.#isActive) return Number.POSITIVE_INFINITY;
    const dueMs = Math.min(this.#preferredDueMs, this.#moves.deadlineMs());
    let deadlineMs = Math.min(dueMs, this.#survey.deadlineMs(nowMs));
    for (const node of this.#image.nodes()) {
      const isAsked = this.#open.has(fenceKey(node));
      if (!node.isFenced && !isAsked && !this.#isSelf(node))
        deadlineMs = Math.min(deadlineMs, this.#overdueMs(node));
    }
    for (const { retryMs } of this.#open.values()) {
      if (retryMs > nowMs) deadlineMs = Math.min(deadlineMs, retryMs);
    }
    return Math.max(deadlineMs, nowMs);
  }

  /** The node whose thread this is, registered under this incarnation: whoever steps the controller lives. */
  registered(node: number, incarnation: number): void {
    this.#self = { node, incarnation };
  }

  #isSelf({ id, incarnation }: NodeRecord): boolean {
    return this.#self?.node === id && this.#self.incarnation === incarnation;
  }

  /** What others say waits while nobody is awake to hear it: such a time does not count against them. */
  #awake(nowMs: number): void {
    const awayMs = nowMs - this.#steppedMs;
    this.#steppedMs = nowMs;
    if (!this.#isActive || awayMs <= this.#config.sessionTimeoutMs / 2) return;
    this.#sinceMs += awayMs;
    this.#preferredDueMs += awayMs;
    this.#sessions.excuse(awayMs);
    this.#moves.excuse(awayMs);
  }

  #take(input: ControllerInput, nowMs: number): void {
    switch (input.kind) {
      case 'leadership':
        if (input.isReady !== this.#isActive) this.#begin(input.isReady, nowMs);
        break;
      case 'heartbeat':
        if (this.#isActive) {
          this.#sessions.heard(input.node, input.incarnation, nowMs);
        }
        break;
      case 'disconnected':
        this.#sessions.disconnected(input.node);
        break;
      case 'prepare-stop':
        if (!this.#isActive) break;
        this.#plan(this.#leaders.prepareStop(input.node, input.incarnation));
        break;
      case 'survivor':
        this.#survey.answered(input);
        break;
      case 'resolved':
        this.#resolved(input.key);
        break;
      case 'tick':
        break;
    }
  }

  /** What changed nothing was lost or refused: it is made again later, not at once in a circle. */
  #resolved(key: string): void {
    const open = this.#open.get(key);
    if (open !== undefined && this.#image.version > open.version) this.#open.delete(key);
  }

  #begin(isActive: boolean, nowMs: number): void {
    this.#isActive = isActive;
    this.#sinceMs = nowMs;
    this.#preferredDueMs = nowMs + this.#config.preferredIntervalMs;
    this.#sessions.begin(nowMs);
    this.#survey.clear();
    this.#moves.begin();
    this.#leaders.begin();
    this.#open.clear();
  }

  #overdueMs(node: NodeRecord): number {
    const { sessionTimeoutMs, disconnectedTimeoutMs } = this.#config;
    const { id, incarnation } = node;
    return this.#sessions.deadlineMs(id, incarnation, sessionTimeoutMs, disconnectedTimeoutMs);
  }

  #decide(nowMs: number): void {
    for (const node of this.#image.nodes()) this.#decideNode(node, nowMs);
    this.#leaders.look();
    this.#plan(this.#leaders.leaving(nowMs));
    if (this.#config.shrinksQuorums === true) this.#shrinkQuorums(nowMs);
    // Before one full session, silence and absence mean nothing.
    if (nowMs - this.#sinceMs < this.#config.sessionTimeoutMs) return;
    if (nowMs >= this.#preferredDueMs) {
      this.#preferredDueMs = nowMs + this.#config.preferredIntervalMs;
      this.#plan(this.#leaders.returning(this.#config.preferredBatch));
    }
    this.#decideOffline(nowMs);
    for (const { key, command } of this.#moves.decide(nowMs)) this.#propose(key, command, nowMs);
  }

  #decideNode(node: NodeRecord, nowMs: number): void {
    const { id, incarnation } = node;
    const life = { node: id, incarnation };
    if (node.isFenced) {
      const { sessionTimeoutMs } = this.#config;
      const isAlive = this.#sessions.isAlive(id, incarnation, nowMs, sessionTimeoutMs);
      if (isAlive) this.#propose(unfenceKey(node), { kind: 'unfence-node', ...life }, nowMs);
    } else if (!this.#isSelf(node) && nowMs >= this.#overdueMs(node)) {
      this.#propose(fenceKey(node), { kind: 'fence-node', ...life }, nowMs);
    }
  }

  #shrinkQuorums(nowMs: number): void {
    for (const log of this.#image.logs()) {
      const { logId, leader, epoch, partitionEpoch, isr } = log;
      if (log.mode !== 'quorum' || leader < 0) continue;
      const safeSet = log.safeSet.filter(({ node }) => this.#image.isNodeLive(node));
      if (safeSet.length === log.safeSet.length || safeSet.length < log.minInsync) continue;
      const command = { logId, node: leader, epoch, partitionEpoch, safeSet, isr };
      this.#propose(`shrink/${logId}`, { kind: 'propose-safe-set', ...command }, nowMs);
    }
  }

  #plan(plans: readonly LeaderPlan[]): void {
    if (plans.length > 0) this.#outputs.push({ kind: 'plan-moves', plans });
  }

  /** Logs that nobody can lead without loss, where loss is allowed: the longest survivor. */
  #decideOffline(nowMs: number): void {
    const offline = this.#image.offlineLogs();
    this.#survey.keepOnly(offline);
    for (const logId of offline) {
      const log = this.#image.log(logId)!;
      // However far a copy in memory reaches, it is not elected.
      const nodes = log.replicas.filter(
        (node) => this.#image.isNodeLive(node) && countsOn(this.#image, log, node),
      );
      if (!log.isUncleanAllowed || nodes.length === 0) continue;
      if (this.#survey.begin(logId, nowMs + this.#config.surveyMs)) {
        this.#outputs.push({ kind: 'survey', logId, nodes });
        continue;
      }
      const node = this.#survey.longest(logId, nodes, nowMs);
      if (node === undefined) continue;
      const election = { logId, node, epoch: log.epoch, isForced: false };
      this.#propose(`unclean/${logId}`, { kind: 'elect-unclean', ...election }, nowMs);
    }
  }

  #propose(key: string, command: MetadataCommand, nowMs: number): void {
    const open = this.#open.get(key);
    if (open !== undefined && nowMs < open.retryMs) return;
    const { version } = this.#image;
    this.#open.set(key, { retryMs: nowMs + this.#config.retryMs, version });
    this.#outputs.push({ kind: 'propose', key, command });
  }
}

function fenceKey(node: NodeRecord): string {
  return `fence/${node.id}/${node.incarnation}`;
}

function unfenceKey(node: NodeRecord): string {
  return `unfence/${node.id}/${node.incarnation}`;
}
