// The queue access of three nodes over the rig: real hosts, links and stores on simulated machines, and a
// metadata view that says what the rig says. Exchanges and destinations are what the test makes.
import { expect } from 'vitest';
import type { Ref } from '../../../src/actors/ref.ts';
import type { PublishLimits } from '../../../src/broker/access/publishers.ts';
import type {
  ConsumeOptions,
  QueueReader,
  RecordParts,
} from '../../../src/broker/access/queue-api.ts';
import { ShardQueues } from '../../../src/broker/access/shard-queues.ts';
import type { StreamLease, StreamMessage } from '../../../src/broker/access/stream-api.ts';
import { StreamViews } from '../../../src/broker/access/stream-views.ts';
import type { LogRules } from '../../../src/broker/destination/log-rules.ts';
import { createPartitionBehavior } from '../../../src/broker/destination/partition.ts';
import { isCompacted, messageBytesMax } from '../../../src/broker/destination/settings.ts';
import { RouteInput } from '../../../src/broker/exchange/route-input.ts';
import { createQueueBehavior, QUEUE_KIND } from '../../../src/broker/view/behavior.ts';
import { QUEUE_DEFAULTS } from '../../../src/broker/view/config.ts';
import type { QueueState } from '../../../src/broker/view/queue-state.ts';
import { AccessImage } from '../../../src/cluster/metadata/access-image.ts';
import {
  type BindingView,
  type DestinationView,
  type ExchangeView,
  type LogHostOps,
  LogHostProtocol,
  type LogListener,
  type LogView,
  type MetadataView,
  type NodeView,
  type RouteChange,
  type RouteListener,
} from '../../../src/cluster/ports.ts';
import type { LogsChange } from '../../../src/cluster/replica/directory.ts';
import { lend } from '../../../src/cluster/replica/lending.ts';
import { SLOT_LOG_HOST } from '../../../src/cluster/slots.ts';
import { wholeBatchSize } from '../../../src/records/batch.ts';
import { decodeRecords } from '../../../src/records/records.ts';
import { BufferPool } from '../../../src/std/buffer-pool.ts';
import { decodeUtf8, EMPTY_BYTES, encodeUtf8 } from '../../../src/std/bytes.ts';
import type { ReadResult, ShardStoreOptions } from '../../../src/storage/api.ts';
import { inRig, type Rig, type RigLog, type RigNode } from '../../cluster/replica/rig.ts';

interface Destination {
  readonly name: string;
  readonly logIds: readonly number[];
  readonly config: ReadonlyMap<string, string>;
}

/** The metadata of all nodes. A node sees a log as the rig has it when it looks. */
export class QueueCluster {
  readonly rig: Rig;
  readonly destinations = new Map<string, Destination>();
  readonly exchanges = new Map<string, ExchangeView>();
  readonly bindings: BindingView[] = [];
  readonly shards = new Map<number, Shard>();
  readonly limits: Partial<PublishLimits>;
  /** All destinations may be read from replicas. */
  readsReplicas = false;
  /** Consumers beside the leader of a queue get its records lent. */
  lends = false;
  #nextLogId = 1;

  constructor(rig: Rig, limits: Partial<PublishLimits>) {
    this.rig = rig;
    this.limits = limits;
    for (const [name, type] of [
      ['', 'direct'],
      ['fan', 'fanout'],
    ] as const) {
      this.exchanges.set(name, exchangeView(name, type));
    }
  }

  /** The shard of a node in the life that it has now. */
  at(id: number): Shard {
    const node = this.rig.at(id);
    let shard = this.shards.get(id);
    if (shard?.node !== node) {
      shard = new Shard(this, node);
      this.shards.set(id, shard);
    }
    return shard;
  }

  /** A queue, or with more logs a stream, whose logs that node leads. */
  async create(
    name: string,
    leader = 1,
    options: Partial<RigLog> & { logs?: number; config?: ReadonlyMap<string, string> } = {},
  ): Promise<number> {
    const { logs = 1, config = new Map<string, string>(), ...more } = options;
    const logIds = Array.from({ length: logs }, () => this.#nextLogId++);
    this.destinations.set(name, { name, logIds, config });
    for (const logId of logIds) {
      this.rig.create(logId, { kind: QUEUE_KIND, ...more });
      if (leader > 0) this.rig.grant(logId, leader);
    }
    this.#routes({ kind: 'queue-created', name });
    for (const logId of logIds) {
      if (leader > 0) await this.rig.until(() => this.rig.isLeading(leader, logId));
    }
    return logIds[0]!;
  }

  /** As a log's host asks for it. */
  rulesOf(logId: number): LogRules {
    const config = this.destinationOf(logId)?.config;
    return { messageBytesMax: messageBytesMax(config), needsKeys: isCompacted(config) };
  }

  destinationOf(logId: number): Destination | undefined {
    return [...this.destinations.values()].find(({ logIds }) => logIds.includes(logId));
  }

  remove(name: string): void {
    const { logIds } = this.destinations.get(name)!;
    this.destinations.delete(name);
    for (const binding of this.bindings.filter(({ target }) => target === name)) {
      this.bindings.splice(this.bindings.indexOf(binding), 1);
      this.#routes({ kind: 'binding-deleted', binding });
    }
    this.#routes({ kind: 'queue-deleted', name });
    for (const logId of logIds) this.rig.delete(logId);
  }

  bind(source: string, target: string): void {
    const more = { arguments: EMPTY_BYTES, headerMatch: EMPTY_BYTES };
    const binding = { source, targetKind: 'queue' as const, target, routingKey: '', ...more };
    this.bindings.push(binding);
    this.#routes({ kind: 'binding-created', binding });
  }

  declareExchange(name: string, type: string): void {
    const exchange = exchangeView(name, type);
    this.exchanges.set(name, exchange);
    this.#routes({ kind: 'exchange-created', exchange });
  }

  deleteExchange(name: string): void {
    this.exchanges.delete(name);
    this.#routes({ kind: 'exchange-deleted', name });
  }

  #routes(change: RouteChange): void {
    this.rig.version += 1;
    for (const shard of this.shards.values()) {
      if (this.rig.nodes.get(shard.node.id) === shard.node) shard.tellRoutes(change);
    }
  }

  /** kill -9, and the metadata hears of it. */
  crash(id: number): void {
    this.rig.kill(id);
    this.rig.fence(id);
  }

  async moveTo(id: number, logId: number): Promise<void> {
    this.rig.grant(logId, id);
    await this.rig.until(() => this.rig.isLeading(id, logId));
  }

  /** Values of the records that are committed on a node, in order. */
  stored(id: number, logId: number): string[] {
    const { stored } = this.rig.at(id).host.hosted(logId)!;
    const values: string[] = [];
    for (let offset = stored.startOffset; offset < stored.endOffset; ) {
      const read = stored.read(offset, 1024 * 1024, stored.endOffset);
      if (read.kind !== 'memory' && read.kind !== 'file') throw new Error(`a read is ${read.kind}`);
      for (const bytes of read.kind === 'memory' ? read.slices : [fileBytes(read)]) {
        for (let at = 0; at < bytes.length; ) {
          const size = wholeBatchSize(bytes, at, bytes.length);
          const records = decodeRecords(bytes, at, at + size);
          if (records.kind !== 'ok') throw new Error(records.fault);
          for (const record of records.records) {
            if (record.offset < offset) continue;
            values.push(decodeUtf8(record.value!));
            offset = record.offset + 1;
          }
          at += size;
        }
      }
      read.release();
    }
    return values;
  }

  /** What a promise comes to, while virtual time passes. */
  async answer<T>(promise: Promise<T>): Promise<T> {
    let answer: { readonly value: T } | undefined;
    void promise.then((value) => {
      answer = { value };
    });
    await this.rig.until(() => answer !== undefined);
    return answer!.value;
  }

  queueState(id: number, logId: number): QueueState {
    return this.rig.at(id).host.hosted(logId)!.machine.state as QueueState;
  }
}

function fileBytes({ file, position, length }: Extract<ReadResult, { kind: 'file' }>): Uint8Array {
  const bytes = new Uint8Array(length);
  file.readSync(bytes, position);
  return bytes;
}

function exchangeView(name: string, type: string): ExchangeView {
  return {
    name,
    type,
    durable: true,
    autoDelete: false,
    isInternal: false,
    alternate: undefined,
    arguments: EMPTY_BYTES,
  };
}

/** One node's shard: its view of the metadata and its queue access. */
export class Shard {
  readonly node: RigNode;
  readonly queues: ShardQueues;
  #streams: StreamViews | undefined;
  /** Nobody may read what was given back. */
  readonly memory = new BufferPool(undefined, true);
  readonly view: MetadataView;
  readonly hosts = new Map<number, Ref<LogHostOps>>();
  /** Records that are lent now. */
  lent = 0;
  readonly #cluster: QueueCluster;
  readonly #access = new AccessImage();
  readonly #onChange: (() => void)[] = [];
  readonly #onLogs: LogListener[] = [];
  readonly #onRoutes: RouteListener[] = [];

  constructor(cluster: QueueCluster, node: RigNode) {
    this.#cluster = cluster;
    this.node = node;
    this.view = this.#makeView();
    this.queues = new ShardQueues({
      system: node.system,
      view: this.view,
      shard: 0,
      shardIncarnation: node.life,
      limits: cluster.limits,
      memory: this.memory,
      leaderHost: (logId) => this.#hostOf(cluster.rig.logs.get(logId)?.leader ?? -1),
      lend: (host, logId, offset, maxBytes) => {
        if (!cluster.lends || host !== this.#hostOf(node.id)) return undefined;
        const lent = lend(node.host.hosted(logId), offset, maxBytes);
        if (lent === undefined) return undefined;
        this.lent += 1;
        const release = () => {
          this.lent -= 1;
          lent.release();
        };
        return { slices: lent.slices, release };
      },
      replicaHost: (logId) => {
        const log = cluster.rig.logs.get(logId);
        const isHere = log?.isr.includes(node.id) === true && log.leader !== node.id;
        return cluster.readsReplicas && isHere ? this.#hostOf(node.id) : undefined;
      },
    });
    node.onChange = (change) => this.#changed(change);
    node.onLinkEnded = (other) => {
      this.queues.linkEnded(other, 0);
      this.#streams?.linkEnded(other, 0);
    };
  }

  /** Made when it is wanted first. */
  get streams(): StreamViews {
    this.#streams ??= new StreamViews({
      system: this.node.system,
      view: this.view,
      shard: 0,
      shardIncarnation: this.node.life,
      memory: this.memory,
      leaderHost: (logId) => this.#hostOf(this.#cluster.rig.logs.get(logId)?.leader ?? -1),
    });
    return this.#streams;
  }

  #hostOf(id: number): Ref<LogHostOps> | undefined {
    if (id < 0) return undefined;
    let ref = this.hosts.get(id);
    if (ref === undefined) {
      const at = { node: id, thread: 0, slot: SLOT_LOG_HOST };
      ref = this.node.system.wellKnown(LogHostProtocol, at);
      this.hosts.set(id, ref);
    }
    return ref;
  }

  #changed({ changed, deleted }: LogsChange): void {
    for (const listener of this.#onLogs) listener([...changed, ...deleted]);
    for (const listener of this.#onChange) listener();
  }

  tellRoutes(change: RouteChange): void {
    for (const listener of this.#onRoutes) listener([change], '/');
    for (const listener of this.#onChange) listener();
  }

  /** In a turn of the shard, as a session would be in one. */
  inTurn(work: () => void): void {
    this.node.env.runQueue.soon(work);
  }

  #makeView(): MetadataView {
    const cluster = this.#cluster;
    const { rig } = cluster;
    const logView = (logId: number): LogView | undefined => {
      const log = rig.logs.get(logId);
      if (log === undefined) return undefined;
      const { leader, epoch, replicas, isr, minInsync, kind = 'partition' } = log;
      const destination = cluster.destinationOf(logId)?.name ?? '';
      const named = {
        vhost: '/',
        destination,
        partition: 0,
        offline: [],
        durability: 'sync',
      } as const;
      const moves = { adding: [], removing: [], observers: [] };
      return { logId, kind, leader, epoch, replicas, isr, minInsync, ...moves, ...named };
    };
    const destinationView = ({ name, logIds, config }: Destination): DestinationView => ({
      name,
      id: new Uint8Array(16),
      isInternal: false,
      config,
      logs: logIds.map((logId) => logView(logId)!),
    });
    const nodeView = (id: number): NodeView | undefined => {
      const record = rig.recordOf(id);
      if (record === undefined) return undefined;
      const { incarnation, life, isLive } = record;
      const more = { rack: undefined, pid: 1, endpoints: new Map(), role: 'disk' } as const;
      return { id, incarnation, isLive, shardIncarnations: [life], ...more };
    };
    const nodes = () => [1, 2, 3].flatMap((id) => nodeView(id) ?? []);
    const view: MetadataView = {
      in: () => view,
      access: this.#access,
      onAccess: () => () => undefined,
      clusterId: 'rig',
      nodeId: this.node.id,
      controllerId: 1,
      get version() {
        return rig.version;
      },
      get routesVersion() {
        return rig.version;
      },
      nodes,
      node: nodeView,
      destinations: () => [...cluster.destinations.values()].map(destinationView),
      destination(name) {
        const found = cluster.destinations.get(name);
        return found === undefined ? undefined : destinationView(found);
      },
      destinationById: () => undefined,
      log: logView,
      onChange: (handle) => added(this.#onChange, handle),
      policies: () => [],
      onLogs: (handle) => added(this.#onLogs, handle),
      onRoutes: (handle) => added(this.#onRoutes, handle),
      exchange: (name) => cluster.exchanges.get(name),
      exchanges: () => [...cluster.exchanges.values()],
      bindingsFrom: (source) => cluster.bindings.filter((each) => each.source === source),
      bindingsTo: (kind, target) =>
        cluster.bindings.filter((each) => each.targetKind === kind && each.target === target),
    };
    return view;
  }
}

function added<T>(list: T[], handle: T): () => void {
  list.push(handle);
  return () => list.splice(list.indexOf(handle), 1);
}

/** A session that publishes: notes what it is told. */
export class TestPublisher {
  readonly resolved = new Map<number, string>();
  /** Of what is stored, where that is known. */
  readonly offsets = new Map<number, number>();
  readonly unroutable: [ticket: number, value: string][] = [];
  /** What it was told of room, in order. */
  readonly room: ('full' | 'room' | 'blocked' | 'unblocked')[] = [];
  readonly #shard: Shard;
  readonly #publisher;
  readonly #route = new RouteInput();
  #ticket = 0;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#publisher = shard.queues.publisher({
      resolved: (ticket, outcome, offset) => {
        expect(this.resolved.has(ticket), `ticket ${ticket} was resolved twice`).toBe(false);
        this.resolved.set(ticket, outcome);
        if (offset >= 0) this.offsets.set(ticket, offset);
      },
      unroutable: (ticket, { value, valueStart, valueEnd }) => {
        this.unroutable.push([ticket, decodeUtf8(value.subarray(valueStart, valueEnd))]);
      },
      full: () => this.room.push('full'),
      room: () => this.room.push('room'),
      blocked: () => this.room.push('blocked'),
      unblocked: () => this.room.push('unblocked'),
    });
  }

  get isResolved(): boolean {
    return this.resolved.size === this.#ticket;
  }

  /** All in one turn. */
  publish(
    values: readonly string[],
    to: { exchange?: string; key?: string; recordKey?: string } = {},
    more: { level?: 'none' | 'accepted' | 'stored'; isMandatory?: boolean; asks?: boolean } = {},
  ): void {
    const { level = 'stored', isMandatory = false, asks = true } = more;
    this.#shard.inTurn(() => {
      for (const value of values) this.now(value, to, level, asks, isMandatory);
    });
    if (asks) this.#ticket += values.length;
  }

  #told = 0;

  /** In a turn that is under way. */
  now(
    value: string,
    { exchange = '', key = '', recordKey }: Parameters<TestPublisher['publish']>[1] = {},
    level: 'none' | 'accepted' | 'stored' = 'stored',
    asks = true,
    isMandatory = false,
  ): void {
    const name = encodeUtf8(exchange);
    const index = this.#shard.queues.routes.exchangeAt(name, 0, name.length);
    if (index < 0) throw new Error(`no exchange ${exchange}`);
    const keyBytes = encodeUtf8(key);
    this.#route.setKey(keyBytes, 0, keyBytes.length);
    const message = partsOf(value, recordKey);
    const ticket = asks ? this.#told++ : -1;
    this.#publisher.publish(index, this.#route, message, level, ticket, isMandatory);
    // All of it was only lent.
    keyBytes.fill(0xdd);
    message.value.fill(0xdd);
    message.key.fill(0xdd);
  }

  close(): void {
    this.#publisher.close();
  }

  outcomes(): string[] {
    return [...new Set(this.resolved.values())];
  }
}

function partsOf(value: string, key?: string): RecordParts {
  const bytes = encodeUtf8(value);
  const keyBytes = encodeUtf8(key ?? '');
  return {
    key: keyBytes,
    keyStart: key === undefined ? -1 : 0,
    keyEnd: keyBytes.length,
    value: bytes,
    valueStart: 0,
    valueEnd: bytes.length,
    headers: EMPTY_BYTES,
    headerCount: 0,
    headersStart: 0,
    headersEnd: 0,
    timestampMs: -1,
  };
}

interface Delivered {
  readonly consumer: number;
  readonly value: string;
  readonly logId: number;
  readonly offset: number;
  readonly epoch: number;
  readonly lease: number;
  readonly isRedelivered: boolean;
  readonly returns: number;
  readonly ready: number;
}

let connections = 1;

/** A session that consumes: notes what it is told. */
export class TestReader {
  readonly got: Delivered[] = [];
  readonly told: string[] = [];
  /** Messages of each turn that had some. */
  readonly turns: number[] = [];
  /** Whether it acknowledges what it gets in the same turn. */
  acknowledges = false;
  /** In the middle of what is delivered. */
  onDeliver: (consumer: number) => void = () => undefined;
  readonly shard: Shard;
  readonly reader;
  #inTurn = 0;

  constructor(shard: Shard) {
    this.shard = shard;
    this.reader = shard.queues.reader(
      {
        deliver: (consumer, { record, ...message }) => {
          const value = decodeUtf8(record.value()!);
          this.got.push({ ...message, consumer, value });
          this.#inTurn += 1;
          this.onDeliver(consumer);
        },
        delivered: () => {
          expect(this.#inTurn).toBeGreaterThan(0);
          this.turns.push(this.#inTurn);
          if (this.acknowledges) {
            for (const each of this.got.slice(-this.#inTurn)) this.#acknowledge(each);
          }
          this.#inTurn = 0;
        },
        attached: (consumer) => this.told.push(`attached ${consumer}`),
        ended: (consumer, why) => this.told.push(`ended ${consumer} ${why}`),
        empty: (consumer) => this.told.push(`empty ${consumer}`),
      },
      connections++,
    );
  }

  get values(): string[] {
    return this.got.map(({ value }) => value);
  }

  consume(
    consumer: number,
    name: string,
    credit: number,
    options: Partial<ConsumeOptions> = {},
  ): void {
    const all = { autoAcknowledge: false, exclusive: false, priority: 0, ...options };
    this.inTurn((reader) => {
      reader.attach(consumer, this.shard.view.destination(name)!, all);
      reader.credit(consumer, credit);
    });
  }

  get(consumer: number, name: string, autoAcknowledge = false): void {
    this.inTurn((reader) =>
      reader.get(consumer, this.shard.view.destination(name)!, autoAcknowledge),
    );
  }

  inTurn(work: (reader: QueueReader) => void): void {
    this.shard.inTurn(() => work(this.reader));
  }

  acknowledge(messages: readonly Delivered[]): void {
    this.inTurn(() => {
      for (const each of messages) this.#acknowledge(each);
    });
  }

  #acknowledge({ consumer, logId, epoch, offset, lease }: Delivered): void {
    this.reader.acknowledge(consumer, logId, epoch, offset, lease);
  }

  return(messages: readonly Delivered[], isRequeued: boolean, counts = true): void {
    this.inTurn((reader) => {
      for (const { consumer, logId, epoch, offset, lease } of messages) {
        reader.return(consumer, logId, epoch, offset, lease, isRequeued, counts);
      }
    });
  }
}

export function inCluster(
  seed: number,
  body: (cluster: QueueCluster, rig: Rig) => Promise<void>,
  limits: Partial<PublishLimits> = {},
  store: Partial<ShardStoreOptions> = {},
): Promise<void> {
  return inRig(
    seed,
    async (rig) => {
      const cluster = new QueueCluster(rig, limits);
      const rulesOf = (logId: number) => cluster.rulesOf(logId);
      rig.behaviors.set('partition', createPartitionBehavior({ rulesOf }));
      await body(cluster, rig);
    },
    store,
    createQueueBehavior(QUEUE_DEFAULTS),
  );
}

export function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `m${from + i}`);
}

/** Somebody who takes messages now and then, for a time, and keeps nothing that could be lost with a shard. */
export class TestTaker {
  readonly got: StreamMessage[] = [];
  readonly #cluster: QueueCluster;
  readonly #group: string;

  constructor(cluster: QueueCluster, group = 'takers') {
    this.#cluster = cluster;
    this.#group = group;
  }

  get values(): string[] {
    return this.got.map(({ value }) => decodeUtf8(value!));
  }

  /** At that shard, `count` of that log, waiting a second for the first. */
  async take(shard: Shard, logId: number, count: number, leaseMs = 30_000): Promise<string> {
    const wish = { group: this.#group, logIds: [logId], messagesMax: count, leaseMs };
    let result: string | undefined;
    shard.streams.receive({ ...wish, bytesMax: 1_000_000, waitMs: 1_000 }, (told, messages) => {
      result = told;
      this.got.push(...messages);
    });
    await this.#cluster.rig.until(() => result !== undefined, 60_000);
    return result!;
  }

  /** Which of them it held. */
  async acknowledge(shard: Shard, leases: readonly (StreamLease & { logId: number })[]) {
    return this.#settle(shard, { kind: 'acknowledge' }, leases);
  }

  async extend(
    shard: Shard,
    leases: readonly (StreamLease & { logId: number })[],
    leaseMs: number,
  ) {
    return this.#settle(shard, { kind: 'extend', leaseMs }, leases);
  }

  async #settle(
    shard: Shard,
    verdict: Parameters<StreamViews['settle']>[2],
    leases: readonly (StreamLease & { logId: number })[],
  ): Promise<readonly boolean[]> {
    let answer: readonly boolean[] | undefined;
    const { logId } = leases[0]!;
    shard.streams.settle(this.#group, logId, verdict, leases, 30_000, (result, held) => {
      expect(result).toBe('ok');
      answer = held;
    });
    await this.#cluster.rig.until(() => answer !== undefined, 60_000);
    return answer!;
  }
}
