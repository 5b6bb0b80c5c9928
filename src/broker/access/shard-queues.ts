// Queues and exchanges as one shard's sessions use them, wherever they are led: the actor that asks log
// hosts and hears their answers, and what hangs on it. One per shard, on its thread.

import type { Context } from '../../actors/actor.ts';
import { actor } from '../../actors/actor.ts';
import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import {
  type AnsweredInput,
  type FetchedInput,
  type LocatedInput,
  type LogRepliesOps,
  LogRepliesProtocol,
  type MetadataView,
} from '../../cluster/ports.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import { PARTITION_KIND } from '../destination/kinds.ts';
import { QUEUE_KIND } from '../view/behavior.ts';
import { encodeQueueCommand } from '../view/commands.ts';
import type { Owner } from '../view/consumers.ts';
import { encodeOwnersGone } from '../view/view-commands.ts';
import { Calls, FIRST_TOKEN } from './calls.ts';
import { Consuming } from './consuming.ts';
import { DeadOwners, Farewells } from './dead-owners.ts';
import type { HostRef } from './host-calls.ts';
import type { LinkPort } from './link-port.ts';
import { PUBLISH_DEFAULTS, type PublishLimits } from './publishers.ts';
import { Publishing } from './publishing.ts';
import { Questions } from './questions.ts';
import type {
  Publisher,
  PublishSink,
  QueueAccess,
  QueueReader,
  ReaderSink,
  Routes,
  VhostAccess,
} from './queue-api.ts';
import { groupsKey, ShardIdentity } from './shard-identity.ts';
import type { ReadFaults } from './stream-log.ts';

/** Tokens of the actor's own wake-ups. */
const FLUSH = 0;
const ROOM = 1;
const DUE = 2;

export interface ShardQueuesParts {
  readonly system: System;
  readonly view: MetadataView;
  /** From 0 among the shards of the node, and its present life. */
  readonly shard: number;
  readonly shardIncarnation: number;
  /** The host on the shard of the node that leads the log, or undefined while there is none. */
  leaderHost(logId: number): HostRef | undefined;
  /** As in {@link PlacePort}. */
  replicaHost?: ((logId: number) => HostRef | undefined) | undefined;
  /** As in {@link LinkPort}. */
  readonly lend?: LinkPort['lend'] | undefined;
  readonly limits?: Partial<PublishLimits>;
  /** Of what passes in large turns; by default its own. */
  readonly memory?: BufferPool;
  /** Rules taken away by a simulation. */
  readonly readFaults?: ReadFaults | undefined;
}

export class ShardQueues implements QueueAccess {
  readonly #system: System;
  readonly #view: MetadataView;
  readonly #leaderHost: (logId: number) => HostRef | undefined;
  readonly #calls = new Calls();
  readonly #identity: ShardIdentity;
  readonly #deadOwners: DeadOwners;
  readonly #farewells: Farewells;
  readonly #publishing: Publishing;
  readonly #consuming: Consuming;
  readonly #questions: Questions;
  readonly #self: Ref<LogRepliesOps>;
  #isFlushWanted = false;
  #due: (() => void)[] = [];

  constructor(parts: ShardQueuesParts) {
    const { system, view } = parts;
    this.#system = system;
    this.#view = view;
    this.#leaderHost = (logId) => parts.leaderHost(logId);
    this.#identity = new ShardIdentity(view, parts.shard, parts.shardIncarnation);
    this.#deadOwners = new DeadOwners(view);
    const shared = {
      system,
      view,
      calls: this.#calls,
      memory: parts.memory ?? new BufferPool(undefined, system.env.buggify('memory.poisoned')),
      log: (logId: number) => view.log(logId),
      leaderHost: this.#leaderHost,
      nowMs: () => system.clock.monotonicMs(),
      later: (delayMs: number, work: () => void) => this.#later(delayMs, work),
      soon: (work: () => void) => this.#soon(work),
      wantFlush: () => this.#wantFlush(),
    };
    this.#publishing = new Publishing({
      ...shared,
      limits: { ...PUBLISH_DEFAULTS, ...parts.limits },
      crc32c: system.env.crc32c.bind(system.env),
      client: () => this.#identity.client,
      wallMs: () => system.clock.wallMs(),
    });
    this.#consuming = new Consuming({
      ...shared,
      identity: this.#identity,
      warnings: system.log,
      readFaults: parts.readFaults,
      lend: parts.lend,
      replicaHost: parts.replicaHost,
    });
    this.#questions = new Questions(shared);
    this.#farewells = new Farewells({ ...shared, hostHere: (logId) => this.#hostHere(logId) });
    this.#self = system.spawn('queues', ShardQueuesActor, this);
    view.onRoutes((changes, vhost) => this.#publishing.routesChanged(changes, vhost));
    view.onAccess(() => this.#publishing.accessChanged());
    view.onLogs((logIds) => this.#soon(() => this.#logsChanged(logIds)));
    view.onChange(() => this.#soon(() => this.#viewChanged()));
  }

  // ---- Sessions -----------------------------------------------------------------------------------

  get routes(): Routes {
    return this.#publishing.routes;
  }

  publisher(sink: PublishSink): Publisher {
    return this.#publishing.publisher(sink);
  }

  in(vhost: string): VhostAccess {
    return this.#publishing.in(vhost);
  }

  append(...call: Parameters<QueueAccess['append']>): void {
    this.#publishing.appends.append(...call);
  }

  reader(sink: ReaderSink, connection: number): QueueReader {
    return this.#consuming.reader(sink, connection);
  }

  stats(logId: number, timeoutMs: number): ReturnType<QueueAccess['stats']> {
    return this.#questions.stats(logId, timeoutMs);
  }

  purge(logId: number, timeoutMs: number): ReturnType<QueueAccess['purge']> {
    return this.#questions.purge(logId, timeoutMs);
  }

  messages(logIds: readonly number[], timeoutMs: number): ReturnType<QueueAccess['messages']> {
    return this.#questions.messages(logIds, timeoutMs);
  }

  check(
    logId: number,
    what: Parameters<QueueAccess['check']>[1],
    timeoutMs: number,
  ): ReturnType<QueueAccess['check']> {
    return this.#questions.check(logId, what, timeoutMs);
  }

  // ---- The actor ----------------------------------------------------------------------------------

  start(ctx: Context<LogRepliesOps>) {
    const calls = this.#calls;
    calls.bind(ctx, () => ctx.self.tell('advanced', { token: ROOM }));
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') this.#turn(() => calls.ended(signal.ref));
    });
    return {
      // Nothing is appended by its own name here: publishes are commands.
      appended: () => undefined,
      answered: (input: AnsweredInput) => {
        calls.answered(input);
        this.#consuming.tellDelivered();
      },
      fetched: (input: FetchedInput) => {
        calls.fetched(input);
        this.#consuming.tellDelivered();
      },
      advanced: ({ token }: { readonly token: number }) => this.#turn(() => this.#woken(token)),
      located: (input: LocatedInput) => this.#turn(() => calls.located(input)),
    };
  }

  #turn(work: () => void): void {
    work();
    this.#consuming.tellDelivered();
  }

  #woken(token: number): void {
    if (token >= FIRST_TOKEN) {
      this.#calls.advanced(token);
    } else if (token === FLUSH) {
      this.#isFlushWanted = false;
      this.#publishing.feeds.flush();
      this.#consuming.flush();
    } else if (token === ROOM) {
      this.#calls.retry();
    } else if (token === DUE) {
      const due = this.#due;
      this.#due = [];
      for (const work of due) work();
    }
  }

  /** Once per turn, behind whoever is at work in it. */
  #wantFlush(): void {
    if (this.#isFlushWanted) return;
    this.#isFlushWanted = true;
    this.#self.tell('advanced', { token: FLUSH });
  }

  #soon(work: () => void): void {
    this.#due.push(work);
    if (this.#due.length === 1) this.#self.tell('advanced', { token: DUE });
  }

  #later(delayMs: number, work: () => void): void {
    this.#system.deadlines.after(delayMs, () => this.#soon(work));
  }

  // ---- Events from outside --------------------------------------------------------------------------

  #logsChanged(logIds: readonly number[] | undefined): void {
    this.#publishing.feeds.logsChanged(logIds);
    this.#consuming.logsChanged(logIds);
  }

  #viewChanged(): void {
    const { isClientNew, isOwnerNew } = this.#identity.look();
    if (isClientNew) this.#publishing.feeds.pumpAll();
    if (isOwnerNew) {
      // What this live node alone has and does not lead is lost.
      this.#logsChanged(undefined);
      this.#consuming.ownerChanged();
    }
    const dead = this.#deadOwners.look();
    if (dead.length > 0) this.#release(dead);
  }

  /** The logs that are led on this shard hear who is gone. Another leader starts without them. */
  #release(ofSessions: readonly Owner[]): void {
    const ofGroups = ofSessions.map((owner) => ({ ...owner, node: groupsKey(owner.node) }));
    const toQueue = [...ofSessions, ...ofGroups].map((owner) =>
      encodeQueueCommand({ kind: 'release-owner', owner }),
    );
    // Sessions have no views of streams.
    const toViews = [encodeOwnersGone(ofGroups)];
    for (const vhost of this.#view.access.vhosts()) {
      for (const { logs } of this.#view.in(vhost).destinations()) {
        for (const { logId, kind } of logs) {
          if (kind !== QUEUE_KIND && kind !== PARTITION_KIND) continue;
          for (const body of kind === QUEUE_KIND ? toQueue : toViews) {
            this.#farewells.tell(logId, body);
          }
        }
      }
    }
  }

  #hostHere(logId: number): HostRef | undefined {
    const { node, thread } = this.#system.place;
    if (this.#view.log(logId)?.leader !== node) return undefined;
    const host = this.#leaderHost(logId);
    return host?.id.thread === thread ? host : undefined;
  }

  /** The way to or from a thread of another node was lost, and what was on it. */
  linkEnded(node: number, thread: number): void {
    this.#soon(() => this.#calls.linkEnded(node, thread));
  }

  counters(): Record<string, number> {
    const { linkCount, readerCount } = this.#consuming;
    return {
      ...this.#publishing.counters(),
      ...this.#consuming.streamCounters(),
      readers: readerCount,
      queuesInUse: linkCount,
    };
  }
}

const ShardQueuesActor = actor(
  LogRepliesProtocol,
  (ctx, queues: ShardQueues) => queues.start(ctx),
  // Answers to whatever is in flight: refusing one would lose it.
  { mailbox: { capacity: 1_048_576, overflow: 'reject' } },
);
