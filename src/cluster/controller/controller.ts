// The controller: reads the image and the heartbeats, says what to propose. Pure, on the thread of
// the metadata group. Invariant: it proposes nothing before the own no-op of its Raft term is
// applied, and nothing because of silence before one full fencing interval has passed since.
import {
  canReturn,
  type MetadataChange,
  type MetadataCommand,
  type MetadataImage,
  type NodeRecord,
} from '../metadata/index.ts';
import { Sessions } from './sessions.ts';
import { Survey } from './survey.ts';
import {
  CONTROLLER_DEFAULTS,
  type ControllerConfig,
  type SurveyRequest,
  type Survivor,
} from './types.ts';

export type { ControllerConfig } from './types.ts';

const NEVER = Number.POSITIVE_INFINITY;

export class Controller {
  readonly #config: Required<ControllerConfig>;
  readonly #image: MetadataImage;
  readonly #sessions = new Sessions();
  readonly #survey = new Survey();
  /** Open proposals by key, with the time after which they are made again. */
  readonly #open = new Map<string, number>();
  #proposals: MetadataCommand[] = [];
  #surveys: SurveyRequest[] = [];
  #role: 'follower' | 'elected' | 'active' = 'follower';
  #sinceMs = 0;
  #preferredDueMs = 0;

  /** `image` is read at every step and never changed; it must be the applied state of this node. */
  constructor(config: ControllerConfig, image: MetadataImage) {
    this.#config = { ...CONTROLLER_DEFAULTS, ...config };
    this.#image = image;
  }

  // ---- Inputs ----------------------------------------------------------------------------------

  /** This node leads the metadata group. It acts when `isReady` says that its no-op is applied. */
  lead(nowMs: number): void {
    this.#reset(nowMs);
    this.#role = 'elected';
  }

  follow(): void {
    this.#reset(0);
    this.#role = 'follower';
  }

  /** The process that registered with this boot counter lives. */
  heartbeat(node: number, bootCounter: number, nowMs: number): void {
    if (this.#role === 'follower') return;
    this.#sessions.heard(node, bootCounter, nowMs);
    this.#decide(nowMs);
  }

  /** No link to the node is up and a connection was refused or reset. */
  disconnected(node: number): void {
    this.#sessions.disconnected(node);
  }

  /** An answer to a survey. */
  survivor(answer: Survivor): void {
    this.#survey.answered(answer);
  }

  /** The proposal of this command was applied, refused or lost. */
  settled(command: MetadataCommand, isDone: boolean): void {
    // What was lost is made again after `retryMs`, not at once: the quorum may be gone.
    if (isDone) this.#open.delete(keyOf(command));
  }

  /** The image has changed. */
  applied(changes: readonly MetadataChange[], nowMs: number, isReady: boolean): void {
    if (changes.length > 0 || (isReady && this.#role === 'elected')) this.tick(nowMs, isReady);
  }

  tick(nowMs: number, isReady: boolean): void {
    if (this.#role === 'elected' && isReady) {
      this.#role = 'active';
      this.#sinceMs = nowMs;
      this.#preferredDueMs = nowMs + this.#config.preferredIntervalMs;
      this.#sessions.begin(nowMs);
    }
    this.#decide(nowMs);
  }

  // ---- Outputs ---------------------------------------------------------------------------------

  /** What to propose now; each command once until it is settled or overdue. */
  take(): readonly MetadataCommand[] {
    const proposals = this.#proposals;
    this.#proposals = [];
    return proposals;
  }

  /** What to ask now; each answer comes back as `survivor`. */
  takeSurveys(): readonly SurveyRequest[] {
    const surveys = this.#surveys;
    this.#surveys = [];
    return surveys;
  }

  /** When a tick is due at the latest; Infinity while not active. */
  deadlineMs(nowMs: number): number {
    if (this.#role !== 'active') return NEVER;
    let deadlineMs = Math.min(this.#preferredDueMs, this.#survey.deadlineMs(nowMs));
    for (const node of this.#image.nodes()) {
      const isAsked = this.#open.has(keyOf(fencing(node)));
      if (!node.isFenced && !isAsked) deadlineMs = Math.min(deadlineMs, this.#overdueMs(node));
    }
    for (const retryMs of this.#open.values()) deadlineMs = Math.min(deadlineMs, retryMs);
    return Math.max(deadlineMs, nowMs);
  }

  // ---- Decisions -------------------------------------------------------------------------------

  #reset(nowMs: number): void {
    this.#sessions.begin(nowMs);
    this.#survey.clear();
    this.#open.clear();
    this.#proposals = [];
    this.#surveys = [];
  }

  #overdueMs(node: NodeRecord): number {
    const { fencingTimeoutMs, disconnectedTimeoutMs } = this.#config;
    const { id, bootCounter } = node;
    return this.#sessions.deadlineMs(id, bootCounter, fencingTimeoutMs, disconnectedTimeoutMs);
  }

  #decide(nowMs: number): void {
    if (this.#role !== 'active') return;
    for (const node of this.#image.nodes()) this.#decideNode(node, nowMs);
    // Before one full interval, silence and absence mean nothing.
    if (nowMs - this.#sinceMs < this.#config.fencingTimeoutMs) return;
    if (nowMs >= this.#preferredDueMs) {
      this.#preferredDueMs = nowMs + this.#config.preferredIntervalMs;
      this.#returnLeaders(nowMs);
    }
    this.#decideOffline(nowMs);
  }

  #decideNode(node: NodeRecord, nowMs: number): void {
    const { id, incarnation, bootCounter } = node;
    if (!node.isFenced) {
      if (nowMs >= this.#overdueMs(node)) this.#propose(fencing(node), nowMs);
      return;
    }
    const { fencingTimeoutMs } = this.#config;
    if (this.#sessions.isAlive(id, bootCounter, nowMs, fencingTimeoutMs)) {
      this.#propose({ kind: 'unfence-node', node: id, incarnation }, nowMs);
    }
  }

  #returnLeaders(nowMs: number): void {
    const { preferredBatch } = this.#config;
    const logIds: number[] = [];
    for (const { id } of this.#image.liveNodes()) {
      for (const logId of this.#image.logsOn(id)) {
        if (logIds.length >= preferredBatch) break;
        const log = this.#image.log(logId)!;
        if (log.replicas[0] === id && canReturn(this.#image, log)) logIds.push(logId);
      }
    }
    if (logIds.length > 0) this.#propose({ kind: 'prefer-leaders', logIds }, nowMs);
  }

  /** Logs that nobody can lead without loss, where loss is allowed: the longest survivor. */
  #decideOffline(nowMs: number): void {
    const offline = this.#image.offlineLogs();
    this.#survey.keepOnly(offline);
    for (const logId of offline) {
      const log = this.#image.log(logId)!;
      const nodes = log.replicas.filter((node) => this.#image.isNodeLive(node));
      if (!log.isUncleanAllowed || nodes.length === 0) continue;
      if (this.#survey.begin(logId, nowMs + this.#config.surveyMs)) {
        this.#surveys.push({ logId, nodes });
        continue;
      }
      const node = this.#survey.longest(logId, nodes, nowMs);
      if (node === undefined) continue;
      const election = { logId, node, epoch: log.epoch, isForced: false };
      this.#propose({ kind: 'elect-unclean', ...election }, nowMs);
    }
  }

  #propose(command: MetadataCommand, nowMs: number): void {
    const key = keyOf(command);
    const retryMs = this.#open.get(key);
    if (retryMs !== undefined && nowMs < retryMs) return;
    this.#open.set(key, nowMs + this.#config.retryMs);
    this.#proposals.push(command);
  }
}

function fencing(node: NodeRecord): MetadataCommand {
  return { kind: 'fence-node', node: node.id, incarnation: node.incarnation };
}

/** What a proposal is about: at most one is open for each. */
function keyOf(command: MetadataCommand): string {
  if ('incarnation' in command) return `${command.kind}/${command.node}/${command.incarnation}`;
  return 'logId' in command ? `${command.kind}/${command.logId}` : command.kind;
}
