// One node without a cluster: the real listener, connections, handlers and group behavior over a log host
// that keeps batches in arrays, a view that the test fills, and sockets made of byte arrays. Everything
// runs on one thread in virtual time.

import { actor, type Ref, System } from '../../../src/actors/index.ts';
import {
  type ManualEnvironment,
  manualEnvironment,
} from '../../../src/actors/testkit/manual-environment.ts';
import { ShardQueues } from '../../../src/broker/access/shard-queues.ts';
import { createGroupBehavior } from '../../../src/broker/cursor/behavior.ts';
import { GROUP_DEFAULTS } from '../../../src/broker/cursor/config.ts';
import {
  type AppendInput,
  type AwaitInput,
  type BrokerPorts,
  type CommandInput,
  createBrokerPorts,
  type DestinationView,
  type FetchInput,
  type FetchSlice,
  type LogHostOps,
  LogHostProtocol,
  LogRepliesProtocol,
  type LogResult,
  type LogView,
  type MetadataResult,
  type MetadataService,
  type MetadataView,
  type NodeView,
  type OffsetInput,
  type TrimInput,
} from '../../../src/broker/ports.ts';
import { AccessImage } from '../../../src/cluster/metadata/access-image.ts';
import type { LogListener } from '../../../src/cluster/ports.ts';
import type {
  Connection,
  ConnectionEvents,
  DiskFile,
  Environment,
} from '../../../src/env/environment.ts';
import { createUnpack } from '../../../src/env/node/unpack.ts';
import {
  type Api,
  FRAME_PREFIX_BYTES,
  KafkaCodec,
  type RequestInput,
  type ResponseOf,
  WireWriter,
} from '../../../src/protocols/kafka/codec/index.ts';
import type { KafkaLimits } from '../../../src/protocols/kafka/limits.ts';
import { type KafkaListener, startKafkaListener } from '../../../src/protocols/kafka/listener.ts';
import { maxTimestampMs, recordCount, stampBatch } from '../../../src/records/batch.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { concatBytes, encodeUtf8, readI32 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

const HOST_SLOT = 16;

export function batchOf(...values: string[]): Uint8Array {
  const records = values.map((value) => ({
    timestampMs: 1_000,
    key: null,
    value: encodeUtf8(value),
  }));
  return encodeBatch(records, crc32c).slice();
}

interface StoredBatch {
  readonly base: number;
  readonly next: number;
  readonly bytes: Uint8Array;
}

export class FakeLog {
  readonly batches: StoredBatch[] = [];
  start = 0;
  end = 0;
  /** -1: committed follows the end. */
  held = -1;
  appendResult: LogResult = 'ok';
  /** What commands are answered instead of being decided, unless 'ok'. */
  commandResult: LogResult = 'ok';
  /** Answers to appends are kept back and told by `tellHeld`, as if the commit took its time. */
  isCommitSlow = false;
  /** Appends are swallowed: nobody answers. */
  isMute = false;
  /** Of the requests to move the start. */
  readonly trimTimeouts: number[] = [];
  waiters: AwaitInput[] = [];
  /** Answers to reads are kept back and told by `tellHeld`. */
  isSlow = false;
  heldBack: (() => void)[] = [];
  reads = 0;

  get committed(): number {
    return this.held >= 0 ? this.held : this.end;
  }

  append(batch: Uint8Array): number {
    const bytes = batch.slice();
    const base = this.end;
    stampBatch(bytes, 0, base, 3);
    this.end += recordCount(bytes, 0);
    this.batches.push({ base, next: this.end, bytes });
    return base;
  }
}

/** A socket of byte arrays. `sent` is what the server has written so far, in order. */
export class FakeConnection implements Connection {
  readonly id: number;
  readonly local = { host: '127.0.0.1', port: 9092 };
  readonly remote = { host: '127.0.0.1', port: 50_000 };
  events: ConnectionEvents | undefined;
  readonly parts: Uint8Array[] = [];
  writes = 0;
  files = 0;
  isClosed = false;
  isEnded = false;
  isPaused = false;
  /** The peer does not read: bytes queue up. */
  isStuck = false;
  queuedBytes = 0;
  readonly #env: ManualEnvironment;
  #waiting: (() => void)[] = [];

  constructor(env: ManualEnvironment, id: number, remoteHost = '127.0.0.1') {
    this.#env = env;
    this.id = id;
    this.remote.host = remoteHost;
  }

  start(events: ConnectionEvents): void {
    this.events = events;
  }

  write(bytes: Uint8Array, done?: () => void): void {
    this.writes += 1;
    this.#queue(bytes.slice(), done);
  }

  sendFile(file: DiskFile, position: number, length: number, done: () => void): void {
    this.files += 1;
    const bytes = new Uint8Array(length);
    file.readSync(bytes, position);
    this.#queue(bytes, done);
  }

  #queue(bytes: Uint8Array, done?: () => void): void {
    this.parts.push(bytes);
    this.queuedBytes += bytes.length;
    this.#waiting.push(() => {
      this.queuedBytes -= bytes.length;
      done?.();
    });
    if (!this.isStuck) this.#env.runQueue.soon(() => this.drain());
  }

  drain(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
    if (waiting.length > 0 && !this.isClosed) this.events?.onDrain?.();
  }

  pauseReading(): void {
    this.isPaused = true;
  }

  resumeReading(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#env.runQueue.soon(() => {
      this.drain();
      this.events?.onClose();
    });
  }
}

function notOfKafka(): Promise<MetadataResult> {
  return Promise.reject(new Error('no request of this protocol routes'));
}

/** A node over any environment; `KafkaWorld` is one in virtual time. */
export class FakeNode<E extends Environment> {
  readonly env: E;
  readonly system: System;
  readonly listener: KafkaListener;
  readonly ports: BrokerPorts;
  readonly logs = new Map<number, FakeLog>();
  readonly destinations = new Map<string, DestinationView>();
  readonly created: string[] = [];
  readonly reassigned: [logId: number, replicas: readonly number[]][] = [];
  nodes: NodeView[] = [node(1, 9092), node(2, 9093)];
  released = 0;
  pinned = 0;
  metadataResult: MetadataResult | undefined;
  settings = { autoCreate: true, defaultPartitions: 3 };
  /** Records from this size on are served as a file range. */
  fileFrom = Number.POSITIVE_INFINITY;
  /** Whoever hosts the logs, in any life. */
  host: Ref<LogHostOps>;
  /** Questions to coordinators are swallowed. */
  isCoordinatorMute = false;
  /** Ends the log host of now, as a thread's end would. */
  stopHost: () => void = () => undefined;
  /** Leaders that are asked to hand over do not. */
  isHandOverSlow = false;
  readonly preferred: (readonly number[])[] = [];
  readonly #onLogs = new Set<LogListener>();
  #nextLogId = 1;

  constructor(env: E, limits: Partial<KafkaLimits> = {}) {
    this.env = env;
    this.system = new System(this.env, {
      name: 'test',
      node: 1,
      incarnation: 1,
      thread: 0,
      threadCount: 1,
    });
    this.startHost();
    this.host = this.system.wellKnown(LogHostProtocol, { thread: 0, slot: HOST_SLOT });
    const view = this.#view();
    this.ports = createBrokerPorts({
      view,
      queues: new ShardQueues({
        system: this.system,
        view,
        shard: 0,
        shardIncarnation: 1,
        leaderHost: () => this.host,
      }),
      metadata: this.#metadata(),
      settings: this.settings,
      logHost: (logId) => (this.logs.has(logId) ? this.host : undefined),
    });
    const otherPorts = { HTTP: 8080 };
    this.listener = startKafkaListener({
      system: this.system,
      ports: this.ports,
      limits,
      otherPorts,
    });
  }

  startHost(): void {
    this.system.spawnWellKnown(HOST_SLOT, 'log-host', FakeLogHost, this);
  }

  create(
    name: string,
    partitions = 1,
    more: Partial<DestinationView> & { kind?: string } = {},
  ): FakeLog[] {
    const made: FakeLog[] = [];
    const logs: LogView[] = [];
    for (let partition = 0; partition < partitions; partition += 1) {
      const logId = this.#nextLogId++;
      const log = new FakeLog();
      made.push(log);
      this.logs.set(logId, log);
      logs.push({
        logId,
        kind: more.kind ?? 'partition',
        vhost: '/',
        destination: name,
        partition,
        leader: 1,
        epoch: 3,
        replicas: [1, 2],
        adding: [],
        removing: [],
        isr: [1, 2],
        offline: [],
        observers: [],
        minInsync: 1,
        durability: 'sync',
      });
    }
    const id = new Uint8Array(16).fill(this.destinations.size + 1);
    this.destinations.set(name, {
      name,
      id,
      isInternal: false,
      config: new Map(),
      logs,
      ...more,
    });
    return made;
  }

  changeLogs(logIds: readonly number[], change: (log: LogView) => Partial<LogView>): void {
    for (const [name, destination] of this.destinations) {
      const logs = destination.logs.map((log) =>
        logIds.includes(log.logId) ? { ...log, ...change(log) } : log,
      );
      this.destinations.set(name, { ...destination, logs });
    }
    for (const handle of [...this.#onLogs]) handle(logIds);
  }

  setLeader(name: string, leader: number): void {
    const destination = this.destinations.get(name)!;
    const logs = destination.logs.map((log) => ({ ...log, leader }));
    this.destinations.set(name, { ...destination, logs });
  }

  /** More has been committed: whoever waits hears it. */
  advanceLog(logId: number): void {
    const log = this.logs.get(logId)!;
    const due = log.waiters.filter((waiter) => log.committed > waiter.offset);
    log.waiters = log.waiters.filter((waiter) => !due.includes(waiter));
    for (const { token, replyTo } of due) {
      this.system.ref(LogRepliesProtocol, replyTo).tell('advanced', { token });
    }
  }

  #view(): MetadataView {
    const view: MetadataView = {
      in: () => view,
      access: new AccessImage(),
      onAccess: () => () => undefined,
      clusterId: 'test-cluster',
      nodeId: 1,
      controllerId: 2,
      version: 1,
      nodes: () => this.nodes,
      node: (id) => this.nodes.find((each) => each.id === id),
      destinations: () => [...this.destinations.values()],
      destination: (name) => this.destinations.get(name),
      destinationById: (id) =>
        [...this.destinations.values()].find((each) => each.id.every((byte, i) => byte === id[i])),
      log: (logId) =>
        [...this.destinations.values()]
          .flatMap((each) => each.logs)
          .find((log) => log.logId === logId),
      onChange: () => () => undefined,
      exchange: () => undefined,
      exchanges: () => [],
      bindingsFrom: () => [],
      bindingsTo: () => [],
      routesVersion: 1,
      onRoutes: () => () => undefined,
      onLogs: (handle) => {
        this.#onLogs.add(handle);
        return () => this.#onLogs.delete(handle);
      },
      policies: () => [],
    };
    return view;
  }

  #metadata(): MetadataService {
    const service: MetadataService = {
      in: () => service,
      create: async (what) => {
        if (this.metadataResult !== undefined) return this.metadataResult;
        this.created.push(what.name);
        if (!what.validateOnly) {
          this.create(what.name, what.partitions, {
            kind: what.kind,
            isInternal: what.isInternal,
            config: new Map(what.config),
          });
        }
        return { kind: 'ok', version: 2 };
      },
      remove: async (name) => {
        if (this.metadataResult !== undefined) return this.metadataResult;
        this.destinations.delete(name);
        return { kind: 'ok', version: 3 };
      },
      reassign: async (logId, replicas) => {
        if (this.metadataResult !== undefined) return this.metadataResult;
        this.reassigned.push([logId, replicas]);
        return { kind: 'ok', version: 5 };
      },
      preferLeaders: async (logIds) => {
        if (this.metadataResult !== undefined) return this.metadataResult;
        this.preferred.push([...logIds]);
        if (this.isHandOverSlow) return { kind: 'ok', version: 6 };
        this.changeLogs(logIds, ({ replicas }) => ({ leader: replicas[0]! }));
        return { kind: 'ok', version: 6 };
      },
      allowUnclean: async (logId) => {
        if (this.metadataResult !== undefined) return this.metadataResult;
        this.changeLogs([logId], ({ replicas }) => ({ leader: replicas.at(-1)! }));
        return { kind: 'ok', version: 6 };
      },
      configure: async ({ name, replace, entries, validateOnly }) => {
        if (this.metadataResult !== undefined) return this.metadataResult;
        const found = this.destinations.get(name)!;
        const config = new Map(replace ? [] : found.config);
        for (const [key, value] of entries) {
          if (value === undefined) config.delete(key);
          else config.set(key, value);
        }
        if (!validateOnly) {
          const durability = (config.get('callboard.durability') ??
            'sync') as LogView['durability'];
          const logs = found.logs.map((log) => ({ ...log, durability }));
          this.destinations.set(name, { ...found, config, logs });
        }
        return { kind: 'ok', version: 4 };
      },
      declareExchange: notOfKafka,
      deleteExchange: notOfKafka,
      bind: notOfKafka,
      unbind: notOfKafka,
      declareQueue: notOfKafka,
      deleteQueue: async (name, logId) => {
        if (this.metadataResult !== undefined) return this.metadataResult;
        if (this.destinations.get(name)?.logs[0]?.logId === logId) this.destinations.delete(name);
        return { kind: 'ok', version: 3 };
      },
      releaseOwner: notOfKafka,
    };
    return service;
  }
}

export class KafkaWorld extends FakeNode<ManualEnvironment> {
  #connections = 0;

  constructor(limits: Partial<KafkaLimits> = {}) {
    super(Object.assign(manualEnvironment(7), { unpack: createUnpack() }), limits);
  }

  connect(remoteHost?: string): KafkaClient {
    this.#connections += 1;
    const connection = new FakeConnection(this.env, this.#connections, remoteHost);
    this.listener.accept(connection);
    this.env.run();
    return new KafkaClient(this, connection);
  }
}

function node(id: number, port: number): NodeView {
  return {
    id,
    role: 'disk',
    incarnation: 1,
    isLive: true,
    rack: undefined,
    shardIncarnations: [1],
    pid: 100 + id,
    endpoints: new Map([['kafka', { host: '127.0.0.1', port }]]),
  };
}

const FakeLogHost = actor(LogHostProtocol, (ctx, world: FakeNode<Environment>) => {
  world.stopHost = () => ctx.stop();
  const behavior = createGroupBehavior({ ...GROUP_DEFAULTS, crc32c });
  const groups = new Map<
    number,
    {
      state: ReturnType<typeof behavior.initial>;
      local: ReturnType<typeof behavior.promote>;
      askers: Map<number, CommandInput>;
    }
  >();
  const to = (input: { replyTo: AppendInput['replyTo'] }) =>
    ctx.ref(LogRepliesProtocol, input.replyTo);
  const position = (logId: number) => ({
    logId,
    epoch: 3,
    logTimeMs: 1_000_000 + Math.floor(world.env.clock.monotonicMs()),
    endOffset: 0,
    committedOffset: 0,
    startOffset: 0,
    endSeq: 1,
    committedSeq: 1,
  });
  const group = (logId: number) => {
    let found = groups.get(logId);
    if (found === undefined) {
      const state = behavior.initial();
      found = { state, local: behavior.promote(state, position(logId)), askers: new Map() };
      groups.set(logId, found);
    }
    return found;
  };
  let tokens = 0;
  const take = (logId: number, decision: ReturnType<typeof behavior.decide>) => {
    const of = group(logId);
    const log = world.logs.get(logId)!;
    if (decision.batch !== undefined) {
      const baseOffset = log.append(decision.batch);
      behavior.apply(of.state, {
        seq: 1,
        epoch: 3,
        logTimeMs: position(logId).logTimeMs,
        events: decision.events!,
        batch: decision.batch,
        baseOffset,
        nextOffset: log.end,
      });
    }
    for (const reply of decision.replies ?? []) {
      const asker = of.askers.get(reply.token)!;
      of.askers.delete(reply.token);
      to(asker).tell('answered', { token: asker.token, result: 'ok', body: reply.body });
    }
    const dueMs = behavior.nextDueMs(of.state, of.local);
    if (dueMs === undefined) return;
    world.env.timers.at(dueMs - 1_000_000 + 1, () => {
      const next = behavior.nextDueMs(of.state, of.local);
      if (next !== undefined && next <= position(logId).logTimeMs) {
        take(logId, behavior.tick(of.state, of.local, position(logId)));
      }
    });
  };
  return {
    append(input) {
      const log = world.logs.get(input.logId)!;
      if (log.isMute) return;
      const isOk = log.appendResult === 'ok';
      const baseOffset = isOk ? log.append(input.batch) : -1;
      world.advanceLog(input.logId);
      // Like the real host: an append that wants no acknowledgement is told refusals only.
      if (input.level === 'none' && isOk) return;
      const { token } = input;
      const { appendResult: result } = log;
      const tell = () =>
        to(input).tell('appended', { token, result, baseOffset, startOffset: 0, leaderEpoch: 3 });
      if (log.isCommitSlow) log.heldBack.push(tell);
      else tell();
    },
    fetch(input: FetchInput) {
      const log = world.logs.get(input.logId)!;
      if (log.isMute) return;
      log.reads += 1;
      const isOut = input.offset > log.end;
      const slices: FetchSlice[] = [];
      let size = 0;
      for (const batch of log.batches) {
        if (isOut || batch.next <= input.offset || batch.next > log.committed) continue;
        if (size > 0 && size + batch.bytes.length > input.maxBytes) break;
        if (input.maxBytes === 0) break;
        size += batch.bytes.length;
        slices.push(asSlice(world, batch.bytes));
      }
      world.pinned += 1;
      const answer = {
        token: input.token,
        result: isOut ? 'offset-out-of-range' : 'ok',
        committedOffset: log.committed,
        startOffset: 0,
        endOffset: log.end,
        leaderEpoch: 3,
        slices,
        release: () => {
          world.released += 1;
        },
      } as const;
      const tell = () => to(input).tell('fetched', answer);
      if (log.isSlow) log.heldBack.push(tell);
      else tell();
    },
    await(input) {
      world.logs.get(input.logId)!.waiters.push(input);
      world.advanceLog(input.logId);
    },
    command(input) {
      if (world.isCoordinatorMute) return;
      const { commandResult: result } = world.logs.get(input.logId)!;
      if (result !== 'ok') {
        to(input).tell('answered', { token: input.token, result, body: new Uint8Array(0) });
        return;
      }
      const of = group(input.logId);
      const token = ++tokens;
      of.askers.set(token, input);
      take(
        input.logId,
        behavior.decide(of.state, of.local, { token, body: input.body }, position(input.logId)),
      );
    },
    locate(input: OffsetInput) {
      const log = world.logs.get(input.logId)!;
      if (log.isMute) return;
      const { query } = input;
      let offset = log.committed;
      let timestampMs = -1;
      if (query.kind === 'earliest') offset = log.start;
      if (query.kind === 'at-time') {
        const found = log.batches.find(
          (batch) => maxTimestampMs(batch.bytes, 0) >= query.timestampMs,
        );
        offset = found?.base ?? -1;
        timestampMs = found === undefined ? -1 : maxTimestampMs(found.bytes, 0);
      }
      to(input).tell('located', {
        token: input.token,
        result: log.appendResult === 'not-leader' ? 'not-leader' : 'ok',
        offset,
        timestampMs,
        epoch: 3,
      });
    },
    trim(input: TrimInput) {
      const log = world.logs.get(input.logId)!;
      log.trimTimeouts.push(input.timeoutMs);
      if (log.isMute) return;
      const isBeyond = input.offset > log.committed;
      if (!isBeyond) {
        log.start = Math.max(log.start, input.offset < 0 ? log.committed : input.offset);
      }
      to(input).tell('located', {
        token: input.token,
        result: isBeyond ? 'offset-out-of-range' : 'ok',
        offset: isBeyond ? -1 : log.start,
        timestampMs: -1,
        epoch: 3,
      });
    },
    find: () => ({ result: 'unsupported', offsets: [], edge: 0, isComplete: false, unread: 0 }),
    status: () => [],
  };
});

function asSlice(world: FakeNode<Environment>, bytes: Uint8Array): FetchSlice {
  if (bytes.length < world.fileFrom) return { kind: 'memory', bytes };
  const file = {
    readSync: (into: Uint8Array, position: number) => {
      into.set(bytes.subarray(position, position + into.length));
      return into.length;
    },
  } as unknown as DiskFile;
  return { kind: 'file', file, position: 0, length: bytes.length, isSound: () => true };
}

/** The other end of a connection. */
export class KafkaClient {
  readonly world: KafkaWorld;
  readonly connection: FakeConnection;
  readonly #codec = new KafkaCodec();
  #correlation = 0;
  #taken = 0;

  constructor(world: KafkaWorld, connection: FakeConnection) {
    this.world = world;
    this.connection = connection;
  }

  get isClosed(): boolean {
    return this.connection.isClosed || this.connection.isEnded;
  }

  sendRaw(bytes: Uint8Array): void {
    this.connection.events!.onBytes(bytes);
  }

  /** Bytes of a request; every one has the next correlation id. */
  encode<A extends Api>(api: A, version: number, body: RequestInput<A>): Uint8Array {
    const writer = new WireWriter();
    this.#correlation += 1;
    this.#codec.encodeRequest(api, version, this.#correlation, 'tester', body, writer);
    return writer.toBytes();
  }

  send<A extends Api>(api: A, version: number, body: RequestInput<A>): void {
    this.sendRaw(this.encode(api, version, body));
  }

  hasFrames(): boolean {
    return concatBytes(this.connection.parts).length > this.#taken;
  }

  /** Whole response frames that were not taken yet, as bytes behind their size. */
  takeFrames(): Uint8Array[] {
    const bytes = concatBytes(this.connection.parts);
    const frames: Uint8Array[] = [];
    while (bytes.length - this.#taken >= FRAME_PREFIX_BYTES) {
      const size = readI32(bytes, this.#taken);
      const start = this.#taken + FRAME_PREFIX_BYTES;
      if (start + size > bytes.length) break;
      frames.push(bytes.slice(start, start + size));
      this.#taken = start + size;
    }
    return frames;
  }

  decode<A extends Api>(api: A, version: number, frame: Uint8Array) {
    return this.#codec.decodeResponse(api, version, frame, 0, frame.length);
  }

  /** Sends a request and gives its response, which must come without time passing. */
  async call<A extends Api>(
    api: A,
    version: number,
    body: RequestInput<A>,
  ): Promise<ResponseOf<A>> {
    this.send(api, version, body);
    await this.world.env.settle();
    return this.next(api, version);
  }

  next<A extends Api>(api: A, version: number): ResponseOf<A> {
    const frames = this.takeFrames();
    if (frames.length !== 1) throw new Error(`${frames.length} responses instead of one`);
    return this.decode(api, version, frames[0]!).body;
  }
}
