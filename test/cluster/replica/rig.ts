// Log hosts on simulated nodes, without metadata: the rig is the directory and the controller. Links,
// storage and actors are the real ones over the simulator's net and disks; time is virtual.
import { actor } from '../../../src/actors/actor.ts';
import type { AnyDurableBehavior } from '../../../src/actors/durable/behavior.ts';
import { Links } from '../../../src/actors/links/links.ts';
import type { Ref } from '../../../src/actors/ref.ts';
import { createSystem, type System } from '../../../src/actors/system.ts';
import { PROTOCOLS } from '../../../src/assembly/protocols.ts';
import type { LeaderMove } from '../../../src/cluster/metadata/commands.ts';
import { NOBODY, standingOf } from '../../../src/cluster/metadata/election.ts';
import {
  type AppendLevel,
  type LogHostOps,
  LogHostProtocol,
  LogRepliesProtocol,
} from '../../../src/cluster/ports.ts';
import type { Assignment, Keeping } from '../../../src/cluster/replica/assignment.ts';
import type { Directory, LogsChange } from '../../../src/cluster/replica/directory.ts';
import { LogHost, spawnLogHost } from '../../../src/cluster/replica/log-host.ts';
import { SLOT_LOG_HOST } from '../../../src/cluster/slots.ts';
import type { Environment } from '../../../src/env/environment.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import type { CommitMode, ReplicaId, SafeSetProposal } from '../../../src/replication/types.ts';
import { inWorld } from '../../../src/sim/runner.ts';
import type { World } from '../../../src/sim/world.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import type { ShardStore, ShardStoreOptions } from '../../../src/storage/api.ts';
import { openShardStore } from '../../../src/storage/store.ts';
import { ledgerBehavior, type Mischief, noMischief } from './ledger-behavior.ts';

const LINK_PORT = 7_100;
const CLUSTER = 'rig';

/** The record of a log as metadata would have it. */
export interface RigLog {
  readonly logId: number;
  readonly mode: CommitMode;
  replicas: readonly number[];
  /** Of the replicas, those that leave when all others are in the set. */
  removing?: readonly number[];
  /** The rig's version when a replica was assigned last. */
  assignedAt?: number;
  minInsync: number;
  leader: number;
  leaderLife: number;
  epoch: number;
  /** Of its behavior, if the rig has one for it; left out: a partition. */
  readonly kind?: string;
  unclean: boolean;
  /** `sync` if left out. */
  durability?: Assignment['durability'];
  partitionEpoch: number;
  safeSet: ReplicaId[];
  isr: number[];
}

interface NodeRecord {
  incarnation: number;
  life: number;
  isLive: boolean;
}

/** One answer of a log host, as its asker got it. */
export type Answer = { readonly op: string; readonly [field: string]: unknown };

export class RigNode {
  readonly id: number;
  readonly life: number;
  readonly env: Environment;
  readonly system: System;
  readonly store: ShardStore;
  readonly host: LogHost;
  readonly answers = new Map<number, Answer[]>();
  readonly failures: string[] = [];
  readonly resigned: [logId: number, epoch: number][] = [];
  client!: Ref<typeof LogRepliesProtocol.ops>;
  tell: (change: LogsChange) => void = () => undefined;
  /** Hears what the host hears: of changed or deleted logs and of links that ended. */
  onChange: (change: LogsChange) => void = () => undefined;
  onLinkEnded: (node: number) => void = () => undefined;

  constructor(
    rig: Rig,
    parts: { id: number; life: number; env: Environment; system: System; store: ShardStore },
  ) {
    this.id = parts.id;
    this.life = parts.life;
    this.env = parts.env;
    this.system = parts.system;
    this.store = parts.store;
    this.host = new LogHost({
      system: parts.system,
      node: parts.id,
      shardIncarnation: parts.life,
      store: parts.store,
      directory: rig.directoryOf(this),
      log: parts.env.log,
      faults: {},
      behaviorOf: (kind) => rig.behaviors.get(kind) ?? rig.behaviorOf(parts.id),
      keepingOf: () => rig.keeping,
      propose: (proposal) => rig.propose(this, proposal),
      moveLeader: (move) => rig.moveLeader(this, move),
      resignLog: (logId, epoch) => this.resigned.push([logId, epoch]),
      reportLoss: (logIds) => rig.lose(parts.id, logIds),
      onStoreFailure: (error) => this.failures.push(error.message),
    });
  }

  /** The host of this shard, as a client on this node sees it. */
  get ref(): Ref<LogHostOps> {
    const { node, thread } = this.system.place;
    return this.system.wellKnown(LogHostProtocol, { node, thread, slot: SLOT_LOG_HOST });
  }

  note(op: string, input: { readonly token: number }): void {
    const known = this.answers.get(input.token) ?? [];
    this.answers.set(input.token, [...known, { op, ...input }]);
  }
}

export class Rig {
  readonly world: World;
  readonly nodes = new Map<number, RigNode>();
  readonly logs = new Map<number, RigLog>();
  readonly deleted = new Set<number>();
  /** What every log is, on every node; a ledger if left out. */
  behavior: AnyDurableBehavior | undefined;
  /** By kind of log, where it is not that one. */
  readonly behaviors = new Map<string, AnyDurableBehavior>();
  /** How long records are kept, of every log; for ever if left out. */
  keeping: Keeping | undefined;
  /** Of nodes that start from here on: what crosses actors is coded, and file ranges are read for them. */
  isStrict = true;
  /** The logs are the cluster's own. */
  isInternal = false;
  /** What nodes told of what they lost, in order. */
  readonly losses: [node: number, logIds: readonly number[]][] = [];
  /** What leaders asked to hand over. */
  readonly moved: LeaderMove[] = [];
  /** What becomes of that: it happens, it is refused, or nobody answers. */
  onMove: (move: LeaderMove) => 'done' | 'refused' | 'lost' = () => 'done';
  /** Off: proposals of leaders get lost. */
  isAnswering = true;
  /** Bytes a second that a node copies of logs that were reassigned. */
  copyRate: (node: number) => number = () => 0;
  lagSettings = { timeMaxMs: 10_000, recordsMax: 0 };
  /** Grows with every change. */
  version = 0;
  readonly #records = new Map<number, NodeRecord>();
  readonly #mischief = new Map<number, Mischief>();
  readonly #storeOptions: Partial<ShardStoreOptions>;
  readonly #count: number;
  #nextToken = 1;
  #nextLife = 1;

  constructor(world: World, count = 3, storeOptions: Partial<ShardStoreOptions> = {}) {
    this.world = world;
    this.#count = count;
    this.#storeOptions = storeOptions;
  }

  async start(): Promise<void> {
    for (let id = 1; id <= this.#count; id += 1) await this.startNode(id);
  }

  behaviorOf(id: number): AnyDurableBehavior {
    return this.behavior ?? ledgerBehavior(this.mischief(id));
  }

  mischief(id: number): Mischief {
    let found = this.#mischief.get(id);
    if (found === undefined) {
      found = noMischief();
      this.#mischief.set(id, found);
    }
    return found;
  }

  at(id: number): RigNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`node ${id} does not run`);
    return node;
  }

  // ---- Nodes ----------------------------------------------------------------------------------

  /** A new process on the disk that the node has; metadata knows it and it is live at once. */
  async startNode(id: number): Promise<RigNode> {
    const env = this.world.node(`n${id}`).start().environment;
    const life = this.#nextLife;
    this.#nextLife += 1;
    const system = createSystem(env, {
      name: `node-${id}`,
      node: id,
      incarnation: life,
      thread: 0,
      threadCount: 1,
      strict: this.isStrict,
      protocols: PROTOCOLS,
    });
    const links = new Links(system, { clusterId: CLUSTER, token: 'secret' });
    for (let other = 1; other <= this.#count; other += 1) {
      const host = this.world.node(`n${other}`).host;
      if (other !== id) links.setAddress(other, { host, port: LINK_PORT });
    }
    let opened: ShardStore | undefined;
    const started: { node?: RigNode } = {};
    const listening = env.net.listen({ host: '0.0.0.0', port: LINK_PORT }, (connection) =>
      links.accept(connection),
    );
    const opening = openShardStore(env, {
      ...this.#storeOptions,
      directory: 'shard-000',
      identity: { clusterId: CLUSTER, nodeId: id, shard: 0 },
      onSnapshotWanted: (logId) => started.node?.host.snapshotWanted(logId),
    }).then(({ store }) => {
      opened = store;
    });
    await this.until(() => opened !== undefined, 5_000);
    await Promise.all([listening, opening]);
    const node = new RigNode(this, { id, life, env, system, store: opened! });
    started.node = node;
    node.client = system.spawn('client', ClientActor, node);
    this.nodes.set(id, node);
    const incarnation = this.#records.get(id)?.incarnation ?? 1;
    this.#records.set(id, { incarnation, life, isLive: true });
    spawnLogHost(node.host);
    for (let other = 1; other <= this.#count; other += 1) {
      if (other === id) continue;
      links.onEpochEnd(other, 0, () => {
        node.host.linkEnded(other, 0);
        node.onLinkEnded(other);
      });
    }
    this.changed();
    return node;
  }

  /** kill -9. Metadata does not know yet: see `fence`. */
  kill(id: number): void {
    this.nodes.delete(id);
    this.world.node(`n${id}`).kill();
  }

  /** As metadata does it: not live, out of the shown ISR, logs that it led have nobody. */
  fence(id: number): void {
    const record = this.#records.get(id);
    if (record !== undefined) record.isLive = false;
    for (const log of this.logs.values()) {
      log.isr = log.isr.filter((node) => node !== id);
      log.partitionEpoch += 1;
      if (log.leader === id) this.#offline(log);
    }
    this.changed();
  }

  /** It was heard again, in the same life. */
  unfence(id: number): void {
    this.#records.get(id)!.isLive = true;
    this.changed();
  }

  #offline(log: RigLog): void {
    log.leader = -1;
    log.leaderLife = 0;
    log.epoch += 1;
    log.unclean = false;
  }

  // ---- Logs -----------------------------------------------------------------------------------

  create(logId: number, options: Partial<RigLog> = {}): RigLog {
    const replicas = options.replicas ?? [...this.nodes.keys()];
    const log: RigLog = {
      logId,
      mode: 'all',
      minInsync: 1,
      leader: -1,
      leaderLife: 0,
      epoch: 0,
      unclean: false,
      partitionEpoch: 0,
      replicas,
      safeSet: replicas.map((node) => ({ node, incarnation: 1 })),
      isr: [...replicas],
      ...options,
    };
    this.logs.set(logId, log);
    return log;
  }

  /** A new epoch for that node, in the life it has now. */
  grant(logId: number, id: number, unclean = false): void {
    const log = this.logs.get(logId)!;
    log.epoch += 1;
    log.partitionEpoch += 1;
    log.leader = id;
    log.leaderLife = this.#records.get(id)!.life;
    log.unclean = unclean;
    if (unclean) {
      log.safeSet = [{ node: id, incarnation: this.#records.get(id)!.incarnation }];
      log.isr = [id];
    }
    if (!log.isr.includes(id)) log.isr = [...log.isr, id].sort();
    this.changed();
  }

  delete(logId: number): void {
    this.logs.delete(logId);
    this.deleted.add(logId);
    this.#tellAll({ changed: [], elsewhere: [], deleted: [logId], isReplaced: false });
  }

  /** As metadata does it; false: the log has changed since. */
  move(from: RigNode, { logId, epoch, partitionEpoch, to }: LeaderMove): boolean {
    const log = this.logs.get(logId);
    const isCurrent =
      log?.leader === from.id && log.epoch === epoch && log.partitionEpoch === partitionEpoch;
    if (isCurrent) this.grant(logId, to);
    return isCurrent;
  }

  moveLeader(from: RigNode, move: LeaderMove): void {
    this.moved.push(move);
    const outcome = this.onMove(move);
    if (outcome === 'lost' || (outcome === 'done' && this.move(from, move))) return;
    from.env.runQueue.soon(() => from.host.moveRefused(move));
  }

  propose(from: RigNode, proposal: SafeSetProposal): void {
    if (!this.isAnswering) return;
    const log = this.logs.get(proposal.logId);
    const isCurrent =
      log !== undefined &&
      log.leader === from.id &&
      log.epoch === proposal.epoch &&
      log.partitionEpoch === proposal.expectedPartitionEpoch;
    if (!isCurrent) {
      const { logId, attempt } = proposal;
      from.env.runQueue.soon(() => from.host.safeSetRejected(logId, attempt));
      return;
    }
    log.safeSet = [...proposal.newSet];
    log.isr = [...proposal.isr];
    log.partitionEpoch += 1;
    const assigned = this.#assignedOf(log);
    const isThere = (id: number) => log.safeSet.some(({ node }) => node === id);
    if (assigned.every(isThere) && log.safeSet.length === assigned.length) {
      log.replicas = assigned;
      log.removing = [];
    }
    this.changed();
  }

  #assignedOf({ replicas, removing = [] }: RigLog): readonly number[] {
    return replicas.filter((node) => !removing.includes(node));
  }

  /** As metadata does it, but for a leader that is to leave: that one is followed by `grant`. */
  reassign(logId: number, replicas: readonly number[]): void {
    const log = this.logs.get(logId)!;
    const removing = log.replicas.filter((node) => !replicas.includes(node));
    log.replicas = [...replicas, ...removing];
    log.removing = removing;
    log.assignedAt = this.version + 1;
    log.partitionEpoch += 1;
    this.changed();
  }

  /** As metadata does it: who lost what it acknowledged is counted no more, in a new epoch. */
  lose(id: number, logIds: readonly number[]): void {
    this.losses.push([id, logIds]);
    const record = this.#records.get(id)!;
    for (const logId of logIds) {
      const log = this.logs.get(logId);
      if (log === undefined) continue;
      const image = { node: (other: number) => this.#records.get(other) };
      const standing = standingOf(image, log, { id, incarnation: record.incarnation });
      if (standing === 'alone') continue;
      if (standing === 'safe')
        log.safeSet =
          log.mode === 'quorum'
            ? log.safeSet.map((each) =>
                each.node === id ? { node: id, incarnation: NOBODY } : each,
              )
            : log.safeSet.filter(({ node }) => node !== id);
      log.isr = log.isr.filter((node) => node !== id);
      const next = log.safeSet.find(({ node, incarnation }) => {
        const known = this.#records.get(node);
        return known?.isLive === true && known.incarnation === incarnation;
      });
      if (next === undefined) this.#offline(log);
      else
        this.grant(
          logId,
          log.safeSet.some((each) => each.node === log.leader) ? log.leader : next.node,
        );
    }
    this.changed();
  }

  /** Every node hears of it, each in its own time. */
  changed(): void {
    const changed = [...this.logs.keys()];
    this.#tellAll({ changed, elsewhere: changed, deleted: [], isReplaced: false });
  }

  #tellAll(change: LogsChange): void {
    this.version += 1;
    for (const node of this.nodes.values()) {
      node.env.runQueue.soon(() => {
        node.tell(change);
        node.onChange(change);
      });
    }
  }

  /** What the metadata would say of a node. */
  recordOf(id: number): Readonly<NodeRecord> | undefined {
    return this.#records.get(id);
  }

  directoryOf(node: { id: number; life: number; tell: RigNode['tell'] }): Directory {
    const records = this.#records;
    const spec = (logId: number) => {
      const log = this.logs.get(logId);
      if (log === undefined || !log.replicas.includes(node.id)) return undefined;
      const kind = log.kind ?? 'partition';
      const { isInternal } = this;
      const durability = log.durability === 'memory' ? 'memory' : 'sync';
      return { logId, kind, durability, name: `log-${logId}`, isInternal } as const;
    };
    const versionNow = () => this.version;
    return {
      get isRegistered() {
        return records.get(node.id)?.life === node.life;
      },
      get version() {
        return versionNow();
      },
      get incarnation() {
        return records.get(node.id)?.incarnation ?? 0;
      },
      logsOfShard: () => [...this.logs.keys()].filter((logId) => spec(logId) !== undefined),
      assignment: (logId) => this.#assignment(node, logId),
      spec,
      threadOf: (id) => (records.has(id) ? 0 : undefined),
      lagSettings: () => this.lagSettings,
      copyRate: (logId, id) =>
        this.logs.get(logId)?.assignedAt === undefined ? 0 : this.copyRate(id),
      leftKind: (logId) => {
        const log = this.logs.get(logId);
        if (log === undefined || log.replicas.includes(node.id)) return undefined;
        return log.kind ?? 'partition';
      },
      isDeleted: (logId) => this.deleted.has(logId),
      onLogsChanged: (handle) => {
        node.tell = handle;
        return () => undefined;
      },
    };
  }

  #assignment(node: { id: number; life: number }, logId: number): Assignment | undefined {
    const log = this.logs.get(logId);
    if (log === undefined) return undefined;
    const live: ReplicaId[] = [];
    for (const id of log.replicas) {
      const record = this.#records.get(id);
      if (record?.isLive === true) live.push({ node: id, incarnation: record.incarnation });
    }
    const { epoch, leader, unclean, partitionEpoch, mode, minInsync, assignedAt = 0 } = log;
    const replicas = this.#assignedOf(log);
    const own = { id: node.id, incarnation: this.#records.get(node.id)?.incarnation ?? 0 };
    const image = { node: (other: number) => this.#records.get(other) };
    const standing = standingOf(image, log, own);
    const durability = log.durability ?? 'sync';
    const base = { epoch, leader, unclean, live, durability, standing };
    if (leader !== node.id || log.leaderLife !== node.life) return { ...base, lead: undefined };
    const incarnation = this.#records.get(node.id)!.incarnation;
    const writer = { nodeIncarnation: incarnation, shardIncarnation: node.life };
    const lead = {
      writer,
      grant: { ...writer, epoch, unclean },
      replicas,
      assignedAt,
      safeSet: [...log.safeSet],
      isr: [...log.isr],
      partitionEpoch,
      mode,
      minInsync,
      live,
    };
    return { ...base, lead };
  }

  // ---- Clients --------------------------------------------------------------------------------

  append(
    id: number,
    logId: number,
    value: string,
    level: AppendLevel = 'committed',
    timestampMs = 1_000,
  ): number {
    const node = this.at(id);
    const crc32c = node.env.crc32c.bind(node.env);
    const record = { timestampMs, key: null, value: encodeUtf8(value) };
    return this.appendBatch(id, logId, encodeBatch([record], crc32c), level);
  }

  appendBatch(
    id: number,
    logId: number,
    batch: Uint8Array,
    level: AppendLevel = 'committed',
  ): number {
    const node = this.at(id);
    return this.#ask(node, (token, replyTo) =>
      node.ref.tell('append', { logId, level, epoch: -1, timeoutMs: 5_000, token, replyTo, batch }),
    );
  }

  command(id: number, logId: number, word: string, timeoutMs = 60_000): number {
    return this.commandBytes(id, logId, encodeUtf8(word), timeoutMs);
  }

  commandBytes(id: number, logId: number, body: Uint8Array, timeoutMs = 60_000): number {
    const node = this.at(id);
    return this.#ask(node, (token, replyTo) =>
      node.ref.tell('command', { logId, body, timeoutMs, token, replyTo }),
    );
  }

  awaitBeyond(id: number, logId: number, offset: number, mayBeReplica = false): number {
    const node = this.at(id);
    return this.#ask(node, (token, replyTo) =>
      node.ref.tell('await', { logId, offset, mayBeReplica, token, replyTo }),
    );
  }

  atTime(id: number, logId: number, timestampMs: number): number {
    const node = this.at(id);
    const query = { kind: 'at-time' as const, timestampMs };
    return this.#ask(node, (token, replyTo) =>
      node.ref.tell('locate', { logId, epoch: -1, query, token, replyTo }),
    );
  }

  trim(id: number, logId: number, offset: number, epoch = -1): number {
    const node = this.at(id);
    return this.#ask(node, (token, replyTo) =>
      node.ref.tell('trim', { logId, epoch, offset, timeoutMs: 5_000, token, replyTo }),
    );
  }

  earliest(id: number, logId: number): number {
    const node = this.at(id);
    const query = { kind: 'earliest' as const };
    return this.#ask(node, (token, replyTo) =>
      node.ref.tell('locate', { logId, epoch: -1, query, token, replyTo }),
    );
  }

  fetch(id: number, logId: number, offset: number, mayBeReplica = false): number {
    const node = this.at(id);
    return this.#ask(node, (token, replyTo) =>
      node.ref.tell('fetch', {
        ...{ logId, offset, epoch: -1, maxBytes: 1_000, mayBeReplica, token, replyTo },
      }),
    );
  }

  #ask(node: RigNode, send: (token: number, replyTo: RigNode['client']['id']) => void): number {
    const token = this.#nextToken;
    this.#nextToken += 1;
    node.env.runQueue.soon(() => send(token, node.client.id));
    return token;
  }

  /** The one answer to that token; throws when there were two. */
  answer(id: number, token: number): Answer | undefined {
    const all = this.at(id).answers.get(token) ?? [];
    if (all.length > 1) throw new Error(`token ${token} was answered ${all.length} times`);
    return all[0];
  }

  async result(id: number, token: number, withinMs = 20_000): Promise<unknown> {
    await this.until(() => this.answer(id, token) !== undefined, withinMs);
    return this.answer(id, token)?.['result'];
  }

  /** What the replica on that node has applied. */
  values(id: number, logId: number): string[] {
    const state = this.at(id).host.hosted(logId)?.machine.state as { values: string[] } | undefined;
    return state === undefined ? [] : [...state.values];
  }

  isLeading(id: number, logId: number): boolean {
    return this.at(id).host.hosted(logId)?.leader?.isActive === true;
  }

  /** Virtual time passes until it is so; throws when it does not come to be. */
  async until(isSo: () => boolean, withinMs = 20_000): Promise<void> {
    const isDone = await this.world.runUntil(this.world.nowMs + withinMs, isSo);
    const { failure } = this.world;
    if (failure !== undefined) throw new Error(`${failure.check}: ${failure.message}`);
    if (!isDone) throw new Error(`not so within ${withinMs} ms: ${isSo.toString()}`);
  }

  async advance(ms: number): Promise<void> {
    await this.world.advance(ms);
    const { failure } = this.world;
    if (failure !== undefined) throw new Error(`${failure.check}: ${failure.message}`);
  }
}

const ClientActor = actor(LogRepliesProtocol, (_ctx, node: RigNode) => ({
  appended: (input) => node.note('appended', input),
  answered: (input) => node.note('answered', input),
  advanced: (input) => node.note('advanced', input),
  located: (input) => node.note('located', input),
  fetched(input) {
    input.release();
    node.note('fetched', input);
  },
}));

/** The log that most tests are about. */
export const LOG = 7;

export function inRig(
  seed: number,
  body: (rig: Rig) => Promise<void>,
  store: Partial<ShardStoreOptions> = {},
  behavior?: AnyDurableBehavior,
): Promise<void> {
  return inWorld(seed, { buggify: false }, async (world) => {
    const rig = new Rig(world, 3, store);
    rig.behavior = behavior;
    await rig.start();
    await body(rig);
    if (world.failure !== undefined) throw new Error(world.failure.message);
  });
}

/** Makes the log and waits until that node leads it. */
export async function led(rig: Rig, leader = 1, options: Partial<RigLog> = {}): Promise<void> {
  rig.create(LOG, options);
  rig.grant(LOG, leader);
  await rig.until(() => rig.isLeading(leader, LOG));
}
