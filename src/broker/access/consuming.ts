// Consuming on one shard: the links to queues that somebody here uses, the sessions that use them, and
// whom the leaders take this shard for.
import type { System } from '../../actors/system.ts';
import type { Log } from '../../env/environment.ts';
import { RecordReader } from '../../records/records.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import type { Calls } from './calls.ts';
import type { PlacePort } from './leader-place.ts';
import type { LinkPort, MessageSlot } from './link-port.ts';
import type { QueueReader, ReaderSink } from './queue-api.ts';
import { QueueLink } from './queue-link.ts';
import { SessionReader } from './session-reader.ts';
import type { ShardIdentity } from './shard-identity.ts';
import type { ReadFaults } from './stream-log.ts';
import { StreamReading } from './stream-reading.ts';

export interface ConsumingParts extends PlacePort {
  readonly system: System;
  readonly calls: Calls;
  readonly memory: BufferPool;
  readonly identity: ShardIdentity;
  readonly warnings: Log;
  nowMs(): number;
  readonly readFaults: ReadFaults | undefined;
  readonly lend: LinkPort['lend'];
  later(delayMs: number, work: () => void): void;
  soon(work: () => void): void;
  /** The shard's actor calls `flush` in this turn. */
  wantFlush(): void;
}

/** Fetched records stay with their link for so long at most, and half of it at least. */
const KEPT_MS = 500;

/** The links that have records which nobody may want any more: one deadline for all of them. */
class KeptRecords {
  #young = new Set<QueueLink>();
  #old = new Set<QueueLink>();
  #isDue = false;
  readonly #later: (work: () => void) => void;

  constructor(later: (work: () => void) => void) {
    this.#later = later;
  }

  add(link: QueueLink): void {
    this.#old.delete(link);
    this.#young.add(link);
    this.#arm();
  }

  #arm(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#later(() => {
      this.#isDue = false;
      for (const link of this.#old) link.dropRecords();
      this.#old.clear();
      [this.#old, this.#young] = [this.#young, this.#old];
      if (this.#old.size > 0) this.#arm();
    });
  }
}

export class Consuming {
  readonly #parts: ConsumingParts;
  readonly #links = new Map<number, QueueLink>();
  readonly #dirty = new Set<QueueLink>();
  readonly #touched = new Set<SessionReader>();
  readonly #kept: KeptRecords;
  readonly #linkPort: LinkPort;
  readonly #streams: StreamReading;
  #readers = 0;

  constructor(parts: ConsumingParts) {
    this.#parts = parts;
    const { identity, calls, memory } = parts;
    this.#linkPort = {
      calls,
      memory,
      message: emptyMessage(),
      view: parts.view,
      log: (logId) => parts.log(logId),
      leaderHost: (logId) => parts.leaderHost(logId),
      lend: parts.lend,
      owner: () => identity.owner,
      ownerIsStale: (owner) => {
        if (identity.renewOwner(owner)) this.ownerChanged();
      },
      later: (delayMs, work) => parts.later(delayMs, () => this.#inTurn(work)),
      soon: (work) => parts.soon(() => this.#inTurn(work)),
      warn: (text, details) => parts.warnings.warn(text, details),
      keep: (link) => this.#kept.add(link),
      idle: (link) => {
        if (this.#links.get(link.logId) === link) this.#links.delete(link.logId);
      },
    };
    this.#kept = new KeptRecords((work) => this.#linkPort.later(KEPT_MS / 2, work));
    const { message, view, log, leaderHost, later, soon, warn } = this.#linkPort;
    this.#streams = new StreamReading({
      ...{ calls, memory, message, view, log, leaderHost, later, soon, warn },
      replicaHost: parts.replicaHost,
      faults: parts.readFaults,
      unpack: parts.system.env.unpack,
      nowMs: () => parts.nowMs(),
      wallMs: () => parts.system.clock.wallMs(),
      turn: () => parts.system.turn.count,
      wantFlush: () => parts.wantFlush(),
    });
  }

  get linkCount(): number {
    return this.#links.size;
  }

  get readerCount(): number {
    return this.#readers;
  }

  streamCounters(): ReturnType<StreamReading['counters']> {
    return this.#streams.counters();
  }

  reader(sink: ReaderSink, connection: number): QueueReader {
    this.#readers += 1;
    return new SessionReader(sink, connection, {
      link: (logId) => this.#link(logId),
      streams: this.#streams,
      wantPump: (link) => {
        this.#dirty.add(link);
        this.#parts.wantFlush();
      },
      soon: (work) => this.#linkPort.soon(work),
      touched: (reader) => this.#touched.add(reader),
      closed: () => {
        this.#readers -= 1;
      },
    });
  }

  #link(logId: number): QueueLink {
    let link = this.#links.get(logId);
    if (link === undefined) {
      link = new QueueLink(logId, this.#linkPort);
      this.#links.set(logId, link);
    }
    return link;
  }

  /** What sessions have asked for in this turn. */
  flush(): void {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const link of dirty) link.pump();
    this.#streams.flush();
    this.tellDelivered();
  }

  /** At the end of whatever may have delivered something. */
  tellDelivered(): void {
    if (this.#touched.size === 0) return;
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const reader of touched) reader.flush();
  }

  #inTurn(work: () => void): void {
    work();
    this.tellDelivered();
  }

  logsChanged(logIds: readonly number[] | undefined): void {
    for (const logId of logIds ?? [...this.#links.keys()]) {
      const link = this.#links.get(logId);
      if (link?.place.look(this.#parts) === true) link.moved();
    }
    this.#streams.logsChanged(logIds);
  }

  /** Everybody attaches as somebody else. */
  ownerChanged(): void {
    for (const link of [...this.#links.values()]) link.ownerChanged();
  }
}

function emptyMessage(): MessageSlot {
  const numbers = { logId: 0, offset: 0, epoch: 0, lease: 0, returns: 0, ready: 0 };
  return { ...numbers, isRedelivered: false, record: new RecordReader() };
}
