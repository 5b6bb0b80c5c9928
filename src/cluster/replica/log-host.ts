// The log host of one shard: hosts every log of the shard that metadata places on this node, routes
// client messages to the logs' actors and peers' messages to their roles, and runs the shard's store in
// the turn: frames to followers first, then one WAL group for everything the turn collected.

import type { Context, Later } from '../../actors/actor.ts';
import { actor } from '../../actors/actor.ts';
import type { Admission, Ref, RefId } from '../../actors/ref.ts';
import { messageOf } from '../../std/errors.ts';
import type { StoredLog } from '../../storage/api.ts';
import type { LogHostOps } from '../log-protocol.ts';
import { LogHostProtocol } from '../log-protocol.ts';
import type { LeaderMove } from '../metadata/commands.ts';
import type {
  AppendInput,
  AwaitInput,
  FindInput,
  FoundInput,
  LogResult,
  LogStatus,
  OffsetInput,
  TrimInput,
} from '../ports.ts';
import { SLOT_LOG_HOST, SLOT_PEERS } from '../slots.ts';
import { Answers } from './answers.ts';
import type { Compactions } from './compactions.ts';
import { compactionsOf, searchesOf } from './crew-work.ts';
import { Departures } from './departures.ts';
import type { LogsChange } from './directory.ts';
import { Donations } from './donations.ts';
import { EarlyHellos } from './early-hellos.ts';
import { HostedLog } from './hosted-log.ts';
import { LogActor, type LogProtocol } from './log-actor.ts';
import type { HostPort } from './log-context.ts';
import type { LogHostConfig } from './log-host-config.ts';
import { LogTicks } from './log-ticks.ts';
import { DAMAGED, LossReports } from './loss.ts';
import { PeerActor } from './peer-actor.ts';
import { PeerLinks, peerRefs } from './peer-links.ts';
import type { LogMove } from './peer-protocol.ts';
import type { RecordSearches } from './record-searches.ts';
import { Repairs } from './repairs.ts';
import { RetentionSweep } from './retention-sweep.ts';
import { UncleanLosses } from './unclean.ts';

/** At some tenths of a millisecond each. */
const HOSTED_A_TURN = 256;
const HOSTING_PAUSE_MS = 1;

interface Entry {
  readonly hosted: HostedLog;
  readonly ref: Ref<typeof LogProtocol.ops>;
}

export class LogHost {
  readonly peers: PeerLinks;
  readonly donations: Donations;
  readonly earlyHellos = new EarlyHellos();
  readonly config: LogHostConfig;
  /** The incarnations are known once the node is registered, before anything is hosted. */
  readonly self: { node: number; incarnation: number };
  readonly #writer: { nodeIncarnation: number; shardIncarnation: number };
  readonly #logs = new Map<number, Entry>();
  /** Logs of this shard, as metadata has told, that wait for a turn to be opened in. */
  readonly #unhosted = new Set<number>();
  #isHosting = false;
  /** Each once, and those whose mark is gone no more: `isDirty`. */
  #dirty: HostedLog[] = [];
  /** An array for the next ones. */
  #pumped: HostedLog[] = [];
  readonly ticks: LogTicks;
  readonly #answers: Answers;
  readonly #retention: RetentionSweep;
  readonly compactions: Compactions;
  readonly uncleanLosses: UncleanLosses;
  readonly searches: RecordSearches;
  readonly #repairs: Repairs;
  readonly departures: Departures;
  readonly #port: HostPort;
  #context: Context<LogHostOps> | undefined;
  #isStopped = false;
  #hasFailed = false;

  constructor(config: LogHostConfig) {
    this.config = config;
    const { system, directory } = config;
    this.self = { node: config.node, incarnation: 0 };
    this.#writer = { nodeIncarnation: 0, shardIncarnation: config.shardIncarnation };
    this.peers = new PeerLinks(peerRefs(system), directory, this.self);
    this.donations = new Donations(() => system.clock.monotonicMs());
    this.#answers = new Answers(system);
    this.#repairs = new Repairs({
      peers: this.peers,
      log: config.log,
      nowMs: () => system.clock.monotonicMs(),
      after: (delayMs, fire) => void system.deadlines.after(delayMs, fire),
    });
    this.departures = new Departures(config, this.#later, (logId) => this.#lookAt([logId]));
    this.#retention = new RetentionSweep({
      nowMs: () => system.clock.monotonicMs(),
      after: this.#later,
      guard: (hosted, work) => this.guard(hosted, work),
    });
    this.ticks = new LogTicks({
      system,
      guard: (hosted, work) => this.guard(hosted, work),
      isBusy: () => this.donations.count > 0,
      ticked: () => this.donations.tick(),
    });
    this.uncleanLosses = new UncleanLosses(config.log);
    this.compactions = compactionsOf(config, this.#later);
    this.searches = searchesOf(config, this.#later);
    const losses = new LossReports(
      (delayMs, fire) => void system.deadlines.after(delayMs, fire),
      (logIds) => !this.#isStopped && config.reportLoss?.(logIds),
    );
    this.#port = {
      self: this.self,
      writer: this.#writer,
      store: config.store,
      peers: this.peers,
      replies: this.#answers,
      log: config.log,
      uncleanLosses: this.uncleanLosses,
      faults: config.faults,
      trustsWallClock: config.trustsWallClock ?? false,
      nowMs: () => system.clock.monotonicMs(),
      wallMs: () => system.clock.wallMs(),
      propose: (proposal) => config.propose(proposal),
      moveLeader: (move) => config.moveLeader?.(move),
      resignLog: (logId, epoch) => config.resignLog(logId, epoch),
      markDirty: (hosted) => {
        if (!hosted.isDirty) {
          hosted.isDirty = true;
          this.#dirty.push(hosted);
        }
        system.turn.request();
      },
      markActive: (hosted) => this.ticks.stir(hosted),
      retentionMoved: (hosted) => {
        this.#retention.touch(hosted);
        this.compactions.touch(hosted);
      },
      advanced: (to, token) => this.#answers.advanced(to, token),
      reportLoss: (logId) => losses.add(logId),
      leads: (hosted) => this.#greetEarly(hosted),
      copyRate: (logId, node) => directory.copyRate(logId, node),
      lagSettings: () => directory.lagSettings(),
      after: this.#later,
    };
    config.store.onDurable = (changed) => this.#durable(changed);
    config.store.onRoom = () => this.#roomMade();
    config.store.onDamage = (stored) => this.#damaged(stored.logId);
    config.store.onFailure = (error) => this.#storeFailed(error);
    system.turn.onPoll(() => this.#tellCommitted());
    system.turn.onPhase('durable', () => this.#durablePhase());
  }

  /** In a turn of its own. */
  readonly #later = (delayMs: number, fire: () => void): void => {
    const { deadlines, turn } = this.config.system;
    deadlines.after(delayMs, () => {
      fire();
      turn.request();
    });
  };

  /** Called by the actor's setup: child actors are spawned under it. */
  start(context: Context<LogHostOps>): void {
    if (this.#context !== undefined) {
      // Its children ended with it, and with them the way to every log of this shard.
      this.config.onStoreFailure(new Error('the log host failed: see the log'));
      return;
    }
    this.#context = context;
    context.onSignal((signal) => {
      if (signal.type === 'child-failed') this.#childFailed(signal.child.path, signal.error);
    });
    this.config.directory.onLogsChanged((change) => this.#metadataChanged(change));
    this.#hostAll();
  }

  // ---- Hosting ------------------------------------------------------------------------------------

  #metadataChanged({ changed, elsewhere, deleted, isReplaced, wanted }: LogsChange): void {
    if (this.#isStopped) return;
    for (const logId of deleted) this.#delete(logId);
    if (isReplaced) {
      const { directory, store } = this.config;
      const held = [...store.logs()].map((stored) => stored.logId);
      for (const logId of held) if (directory.isDeleted(logId)) this.#delete(logId);
    }
    if (!this.config.directory.isRegistered) return;
    if (isReplaced) this.#departFromAll();
    for (const logId of elsewhere) this.#depart(logId);
    if (this.#logs.size === 0) this.#hostAll();
    else this.#lookAt(changed);
    if (wanted !== undefined) this.planMoves(wanted);
  }

  #hostAll(): void {
    const { directory, store, system } = this.config;
    if (!directory.isRegistered) return;
    // The registration told of it, unless only this thread began anew.
    if (system.threadIncarnation === 1) store.forgetFailedSync();
    this.#departFromAll();
    this.#lookAt(directory.logsOfShard());
  }

  /**
   * Logs that are not hosted yet are opened so many a turn: each reads from disk, and a thread that stood still for
   * thousands of them would be taken for dead, again and again.
   */
  #lookAt(logIds: Iterable<number>): void {
    const { deadlines, turn } = this.config.system;
    let room = this.#isHosting ? 0 : HOSTED_A_TURN;
    for (const logId of logIds) {
      const isHosted = this.#logs.has(logId);
      if (!isHosted && room === 0) {
        this.#unhosted.add(logId);
        continue;
      }
      if (!isHosted) room -= 1;
      this.#look(logId);
    }
    if (this.#isHosting || this.#unhosted.size === 0) return;
    this.#isHosting = true;
    deadlines.after(HOSTING_PAUSE_MS, () => {
      this.#isHosting = false;
      if (this.#isStopped) return;
      const waiting = [...this.#unhosted];
      this.#unhosted.clear();
      this.#lookAt(waiting);
      turn.request();
    });
  }

  /** What metadata says about one log now. */
  #look(logId: number): void {
    const entry = this.#logs.get(logId) ?? this.#tryHost(logId);
    const assignment = this.config.directory.assignment(logId);
    if (entry === undefined || assignment === undefined) return;
    const { hosted } = entry;
    this.guard(hosted, () => {
      hosted.assign(assignment);
      const keeping = this.config.keepingOf?.(logId);
      if (keeping !== undefined) hosted.keep(keeping);
    });
  }

  /** A log that cannot be opened (a state that nobody can read) is absent here; the others go on. */
  #tryHost(logId: number): Entry | undefined {
    try {
      return this.#hostOne(logId);
    } catch (error) {
      const stack = error instanceof Error ? error.stack : String(error);
      this.config.log.error('a log cannot be hosted', { logId, stack });
      return undefined;
    }
  }

  #hostOne(logId: number): Entry | undefined {
    this.self.incarnation = this.config.directory.incarnation;
    this.#writer.nodeIncarnation = this.self.incarnation;
    const { directory, store, log } = this.config;
    const spec = directory.spec(logId);
    if (spec === undefined || this.#context === undefined) return undefined;
    // It came back before what it had was gone: hosted when that is over.
    if (this.departures.has(logId)) return undefined;
    const behavior = this.config.behaviorOf(spec.kind);
    if (behavior === undefined) {
      log.error('a log has a kind that this version does not know', { logId, kind: spec.kind });
      return undefined;
    }
    const stored = store.log(logId) ?? store.createLog(logId, { durability: spec.durability });
    stored.usesReserve = spec.isInternal === true;
    const hosted = new HostedLog(stored, behavior, this.#port);
    const guard = (of: HostedLog, work: () => void) => this.guard(of, work);
    const args = { hosted, kind: spec.kind, answers: this.#answers, log, guard };
    // A client may name a log what no actor may be named.
    const path = `${spec.name.replaceAll('/', '%2F')}#${logId}`;
    const ref = this.#context.spawn(path, LogActor, args);
    const entry = { hosted, ref };
    this.#logs.set(logId, entry);
    if (stored.needsRepair) hosted.quarantine(DAMAGED);
    if (stored.damagedSegments > 0) this.#repairs.add(hosted);
    return entry;
  }

  #greetEarly(hosted: HostedLog): void {
    const { leader } = hosted;
    if (leader === undefined) return;
    for (const hello of this.earlyHellos.take(hosted.logId, leader.epoch)) leader.hello(hello);
  }

  #delete(logId: number): void {
    this.#unhost(logId, 'unknown-log');
    this.config.store.deleteLog(logId);
  }

  #unhost(logId: number, result: LogResult): HostedLog | undefined {
    this.#unhosted.delete(logId);
    this.earlyHellos.dropLog(logId);
    const entry = this.#logs.get(logId);
    if (entry === undefined) return undefined;
    const { hosted, ref } = entry;
    this.#logs.delete(logId);
    hosted.isDirty = false;
    this.uncleanLosses.forget(logId);
    this.ticks.forget(hosted);
    this.#retention.forget(hosted);
    this.compactions.forget(hosted);
    this.#repairs.forget(hosted);
    hosted.close(result);
    this.#context?.stop(ref);
    return hosted;
  }

  /** A log of which this node has no replica any more leaves nothing here. */
  #depart(logId: number): void {
    const kind = this.config.directory.leftKind(logId);
    if (kind === undefined) return;
    const hosted = this.#unhost(logId, 'not-leader');
    this.departures.begin(logId, kind, hosted?.settled());
  }

  #departFromAll(): void {
    for (const { logId } of [...this.config.store.logs()]) this.#depart(logId);
  }

  #childFailed(path: string, error: unknown): void {
    for (const { hosted, ref } of this.#logs.values()) {
      if (ref.path === path) hosted.quarantine(`its actor failed: ${messageOf(error)}`, true);
    }
  }

  /** A throw quarantines the log, not the shard. Work for every log of a turn makes no function for each. */
  guard(hosted: HostedLog, work: (hosted: HostedLog) => void): void {
    try {
      work(hosted);
    } catch (error) {
      const stack = error instanceof Error ? error.stack : undefined;
      this.config.log.error('a log threw', { logId: hosted.logId, stack });
      hosted.quarantine(messageOf(error));
    }
  }

  // ---- Clients ------------------------------------------------------------------------------------

  entry(logId: number): Entry | undefined {
    return this.#logs.get(logId);
  }

  hosted(logId: number): HostedLog | undefined {
    return this.#logs.get(logId)?.hosted;
  }

  *hostedLogs(): IterableIterator<HostedLog> {
    for (const { hosted } of this.#logs.values()) yield hosted;
  }

  append(input: AppendInput): void {
    const entry = this.#logs.get(input.logId);
    const result =
      entry === undefined
        ? this.#absence(input.logId)
        : refusalOf(entry.ref.offer('append', input));
    if (result === undefined) return;
    const { token, replyTo } = input;
    const nowhere = { baseOffset: -1, startOffset: -1, leaderEpoch: -1 };
    this.#answers.appended(replyTo, { token, result, ...nowhere });
  }

  #absence(logId: number): LogResult {
    return this.config.directory.spec(logId) === undefined ? 'unknown-log' : 'not-available';
  }

  handlers() {
    const absent = (logId: number) => this.#absence(logId);
    const body = new Uint8Array(0);
    return {
      append: (input: AppendInput) => this.append(input),
      fetch: (input: Parameters<Answers['refuseFetch']>[0]) => {
        const ref = this.#logs.get(input.logId)?.ref;
        const result =
          ref === undefined ? absent(input.logId) : refusalOf(ref.offer('fetch', input));
        if (result !== undefined) this.#answers.refuseFetch(input, result);
      },
      await: (input: AwaitInput) => {
        const ref = this.#logs.get(input.logId)?.ref;
        if (ref?.offer('await', input) === 'accepted') return;
        this.#answers.advanced(input.replyTo, input.token);
      },
      command: (input: {
        logId: number;
        body: Uint8Array;
        timeoutMs: number;
        token: number;
        replyTo: RefId;
      }) => {
        const ref = this.#logs.get(input.logId)?.ref;
        const result =
          ref === undefined ? absent(input.logId) : refusalOf(ref.offer('command', input));
        const { token, replyTo } = input;
        if (result !== undefined) this.#answers.answered(replyTo, { token, result, body });
      },
      find: (input: FindInput) => this.#find(input),
      locate: (input: OffsetInput) => {
        const ref = this.#logs.get(input.logId)?.ref;
        const result =
          ref === undefined ? absent(input.logId) : refusalOf(ref.offer('locate', input));
        if (result !== undefined) this.#answers.refuseLocate(input, result);
      },
      trim: (input: TrimInput) => {
        const ref = this.#logs.get(input.logId)?.ref;
        const result =
          ref === undefined ? absent(input.logId) : refusalOf(ref.offer('trim', input));
        if (result !== undefined) this.#answers.refuseLocate(input, result);
      },
      status: (): readonly LogStatus[] => {
        return [...this.#logs.values()].map(({ hosted }) => hosted.status());
      },
    };
  }

  /** Leaders here are to hand these logs over. */
  planMoves(moves: readonly LogMove[]): void {
    for (const { logId, epoch, target } of moves) {
      const hosted = this.hosted(logId);
      if (hosted !== undefined) this.guard(hosted, () => hosted.planMove(epoch, target));
    }
  }

  #find(input: FindInput): FoundInput | Later<FoundInput> {
    const hosted = this.hosted(input.logId);
    const leader = hosted?.leader;
    if (hosted === undefined || leader === undefined) {
      const result = hosted?.absence() ?? this.#absence(input.logId);
      return { result, offsets: [], edge: 0, isComplete: false, unread: 0 };
    }
    const later = this.#context!.later<FoundInput>();
    this.searches.find(hosted.stored, leader.committedOffset(), input, (found) => later.ok(found));
    return later;
  }

  // ---- The turn, storage and time -------------------------------------------------------------------

  /** What became durable between turns is known when the turn begins, so its answers leave in it. */
  #tellCommitted(): void {
    // Whoever is told may mark others, which go on in this turn.
    for (let at = 0; at < this.#dirty.length; at += 1) {
      const hosted = this.#dirty[at]!;
      if (hosted.isDirty) this.guard(hosted, tellCommitted);
    }
  }

  #durablePhase(): void {
    if (this.#dirty.length > 0) {
      const dirty = this.#dirty;
      this.#dirty = this.#pumped;
      for (let at = 0; at < dirty.length; at += 1) {
        const hosted = dirty[at]!;
        // One that has left meanwhile has nothing to say.
        if (!hosted.isDirty) continue;
        hosted.isDirty = false;
        this.guard(hosted, pump);
      }
      dirty.length = 0;
      this.#pumped = dirty;
    }
    this.ticks.look();
    try {
      this.peers.flush();
      this.config.store.startGroup();
    } catch (error) {
      // A turn whose durable phase throws would end the thread without a word.
      this.#storeFailed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #roomMade(): void {
    for (const { hosted } of this.#logs.values()) this.guard(hosted, roomMade);
    this.config.system.turn.request();
  }

  #durable(changed: readonly StoredLog[]): void {
    for (const stored of changed) {
      const hosted = this.hosted(stored.logId);
      if (hosted !== undefined) this.guard(hosted, becameDurable);
    }
    this.config.system.turn.request();
  }

  snapshotWanted(logId: number): { seq: number; bytes: Uint8Array } | undefined {
    const hosted = this.hosted(logId);
    let wanted: { seq: number; bytes: Uint8Array } | undefined;
    if (hosted !== undefined) {
      this.guard(hosted, () => {
        wanted = hosted.snapshotWanted();
      });
    }
    return wanted;
  }

  /** What was found before the log was hosted is repaired when it is. */
  #damaged(logId: number): void {
    const hosted = this.hosted(logId);
    if (hosted !== undefined) this.#repairs.add(hosted);
  }

  #storeFailed(error: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    for (const { hosted } of this.#logs.values()) hosted.quarantine(`storage: ${error.message}`);
    this.config.onStoreFailure(error);
  }

  /** A link to another node's shard ended: whoever follows or leads over it greets anew. */
  linkEnded(node: number, thread: number): void {
    const { directory } = this.config;
    this.earlyHellos.dropNode(node);
    this.peers.linkEnded(node, thread);
    this.#answers.linkEnded(node, thread);
    for (const { hosted } of this.#logs.values()) {
      if (directory.threadOf(node, hosted.logId) !== thread) continue;
      this.guard(hosted, () => {
        hosted.leader?.followerLost(node);
        if (hosted.follower?.leader === node) hosted.follower.linkLost();
      });
    }
  }

  safeSetRejected(logId: number, attempt: number): void {
    const hosted = this.hosted(logId);
    const lead = this.config.directory.assignment(logId)?.lead;
    const leader = hosted?.leader;
    if (hosted === undefined || leader === undefined || lead === undefined) return;
    this.guard(hosted, () => {
      leader.core.safeSetRejected(attempt, lead);
      leader.drain();
    });
  }

  moveRefused({ logId, epoch, partitionEpoch }: Omit<LeaderMove, 'to'>): void {
    const hosted = this.hosted(logId);
    if (hosted !== undefined) this.guard(hosted, () => hosted.moveRefused(epoch, partitionEpoch));
  }

  stop(): void {
    this.#isStopped = true;
    this.#retention.stop();
    this.compactions.stop();
    this.searches.stop();
    this.#repairs.stop();
    for (const { hosted } of this.#logs.values()) {
      hosted.close('not-leader');
      this.ticks.forget(hosted);
    }
    this.#logs.clear();
    this.donations.releaseAll();
  }
}

const tellCommitted = ({ leader }: HostedLog): void => leader?.tellCommitted();
const pump = (hosted: HostedLog): void => hosted.pump();
const roomMade = (hosted: HostedLog): void => hosted.roomMade();
const becameDurable = (hosted: HostedLog): void => hosted.durable(hosted.stored.durableSeq);

/** Why a log's actor did not take a message, as its sender is told. */
function refusalOf(admission: Admission): LogResult | undefined {
  if (admission === 'accepted') return undefined;
  return admission === 'full' ? 'throttled' : 'storage-error';
}

const LogHostActor = actor(
  LogHostProtocol,
  (ctx, host: LogHost) => {
    host.start(ctx);
    return host.handlers();
  },
  // What arrives from another thread is refused without a word, so this takes more than all connections of a
  // node may ask at once; the actors of the logs refuse with one.
  { mailbox: { capacity: 1_048_576, overflow: 'reject' } },
);

/** Spawns the host and its peer actor under their well-known slots. */
export function spawnLogHost(host: LogHost): void {
  const { system } = host.config;
  system.spawnWellKnown(SLOT_LOG_HOST, 'logs', LogHostActor, host);
  system.spawnWellKnown(SLOT_PEERS, 'peers', PeerActor, host);
}
