// Queues and exchanges as one shard's sessions use them, wherever they are led: the actor that asks log
// hosts and hears their answers, and what hangs on it. One per shard, on its thread.

import type { Context } from '../../actors/actor.ts';
import { actor } from '../../actors/actor.ts';
import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import { type LogRepliesOps, LogRepliesProtocol, type MetadataView } from '../../cluster/ports.ts';
import { Calls } from './calls.ts';
import type { HostRef } from './host-calls.ts';
import { PUBLISH_DEFAULTS, type PublishLimits } from './publishers.ts';
import { Publishing } from './publishing.ts';
import type { Publisher, PublishSink, Routes } from './queue-api.ts';
import { ShardIdentity } from './shard-identity.ts';

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
  readonly limits?: Partial<PublishLimits>;
}

export class ShardQueues {
  readonly #system: System;
  readonly #calls = new Calls();
  readonly #publishing: Publishing;
  readonly #identity: ShardIdentity;
  readonly #self: Ref<LogRepliesOps>;
  #isFlushWanted = false;
  #due: (() => void)[] = [];

  constructor(parts: ShardQueuesParts) {
    const { system, view } = parts;
    this.#system = system;
    this.#identity = new ShardIdentity(view, parts.shard, parts.shardIncarnation);
    this.#publishing = new Publishing({
      system,
      view,
      calls: this.#calls,
      limits: { ...PUBLISH_DEFAULTS, ...parts.limits },
      crc32c: system.env.crc32c.bind(system.env),
      log: (logId) => view.log(logId),
      leaderHost: (logId) => parts.leaderHost(logId),
      client: () => this.#identity.client,
      nowMs: () => system.clock.monotonicMs(),
      wallMs: () => system.clock.wallMs(),
      later: (delayMs, work) => this.#later(delayMs, work),
      wantFlush: () => this.#wantFlush(),
    });
    this.#self = system.spawn('queues', ShardQueuesActor, this);
    view.onChange(() => this.#viewChanged());
    view.onLogs((logIds) => this.#publishing.feeds.logsChanged(logIds));
    view.onRoutes((changes) => this.#publishing.routesChanged(changes));
  }

  // ---- Sessions -----------------------------------------------------------------------------------

  get routes(): Routes {
    return this.#publishing.routes;
  }

  publisher(sink: PublishSink): Publisher {
    return this.#publishing.publisher(sink);
  }

  // ---- The actor ----------------------------------------------------------------------------------

  start(ctx: Context<LogRepliesOps>) {
    const calls = this.#calls;
    calls.bind(ctx, () => ctx.self.tell('advanced', { token: ROOM }));
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') calls.ended(signal.ref);
    });
    return {
      appended: calls.appended.bind(calls),
      answered: calls.answered.bind(calls),
      fetched: calls.fetched.bind(calls),
      advanced: ({ token }: { readonly token: number }) => this.#woken(token),
      located: () => undefined,
    };
  }

  #woken(token: number): void {
    if (token === FLUSH) {
      this.#isFlushWanted = false;
      this.#publishing.feeds.flush();
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

  #later(delayMs: number, work: () => void): void {
    this.#system.deadlines.after(delayMs, () => {
      this.#due.push(work);
      if (this.#due.length === 1) this.#self.tell('advanced', { token: DUE });
    });
  }

  // ---- Events from outside --------------------------------------------------------------------------

  #viewChanged(): void {
    if (this.#identity.look()) this.#publishing.feeds.pumpAll();
  }

  /** The way to or from a thread of another node was lost, and what was on it. */
  linkEnded(node: number, thread: number): void {
    this.#calls.linkEnded(node, thread);
  }

  counters(): Record<string, number> {
    return { ...this.#publishing.counters() };
  }
}

const ShardQueuesActor = actor(
  LogRepliesProtocol,
  (ctx, queues: ShardQueues) => queues.start(ctx),
  // Answers to whatever is in flight: refusing one would lose it.
  { mailbox: { capacity: 1_048_576, overflow: 'reject' } },
);
