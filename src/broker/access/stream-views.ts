// Streams as the groups of one shard's sessions use them, and queues as whoever asks for a message now and then,
// wherever they are led: the actor that asks log hosts and hears their answers. One per shard whose sessions do
// so, on its thread.
import { actor, type Context } from '../../actors/actor.ts';
import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import {
  type LogRepliesOps,
  LogRepliesProtocol,
  type LogResult,
  type MetadataView,
} from '../../cluster/ports.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import { decodeQueueAnswer } from '../view/answers.ts';
import { QUEUE_KIND } from '../view/behavior.ts';
import type { QueueCommand } from '../view/commands.ts';
import { Runs } from '../view/runs.ts';
import { Calls } from './calls.ts';
import type { HostRef } from './host-calls.ts';
import { groupsKey, ShardIdentity } from './shard-identity.ts';
import type {
  StreamAccess,
  StreamLease,
  StreamMessage,
  StreamVerdict,
  StreamWish,
} from './stream-api.ts';
import { type ReceivePort, StreamReceive } from './stream-receive.ts';
import { encodeTo, ViewLine } from './view-lines.ts';

const ROOM = 1;
const DUE = 2;
const RETRY_MS = 50;
const SAY_MS = 10_000;
/** Lines that nobody has used between two looks are given up. */
const IDLE_MS = 600_000;
/** Nothing was stored, and it may be elsewhere in a moment. */
const ELSEWHERE: ReadonlySet<LogResult> = new Set(['not-leader', 'not-available', 'unknown-log']);

export interface StreamViewsParts {
  readonly system: System;
  readonly view: MetadataView;
  /** Whose life the groups' consumers have: a shard of this node, and its present life. */
  readonly shard: number;
  readonly shardIncarnation: number;
  /** Of what is read from files; by default its own. */
  readonly memory?: BufferPool;
  /** The host on the shard of the node that leads the log, or undefined while there is none. */
  leaderHost(logId: number): HostRef | undefined;
}

export class StreamViews implements StreamAccess {
  readonly #system: System;
  readonly #parts: StreamViewsParts;
  readonly #calls = new Calls();
  readonly #identity: ShardIdentity;
  readonly #self: Ref<LogRepliesOps>;
  readonly #port: ReceivePort;
  #lines = new Map<string, ViewLine>();
  readonly #used = new Set<ViewLine>();
  #due: (() => void)[] = [];
  #turns = 0;

  constructor(parts: StreamViewsParts) {
    const { system, view } = parts;
    this.#system = system;
    this.#parts = parts;
    const { shard, shardIncarnation } = parts;
    this.#identity = new ShardIdentity(view, shard, shardIncarnation, groupsKey);
    this.#port = {
      calls: this.#calls,
      memory: parts.memory ?? new BufferPool(undefined, system.env.buggify('memory.poisoned')),
      unpack: system.env.unpack,
      leaderHost: (logId) => parts.leaderHost(logId),
      line: (group, logId) => this.#line(group, logId),
      nowMs: () => system.clock.monotonicMs(),
      soon: (work) => this.#soon(work),
      warn: (text, details) => system.log.warn(text, details),
      say: (logId, group, isDone, leases) => this.#say(logId, group, isDone, leases),
    };
    this.#self = system.spawn('streams', StreamViewsActor, this);
    view.onChange(() => this.#soon(() => this.#identity.look()));
    this.#sweepLater();
  }

  // ---- Sessions -------------------------------------------------------------------------------

  receive(
    wish: StreamWish,
    done: (result: LogResult, messages: readonly StreamMessage[]) => void,
  ): () => void {
    this.#turns += 1;
    const first = this.#turns % Math.max(1, wish.logIds.length);
    const receive = new StreamReceive(whole(wish), this.#port, done);
    this.#soon(() => receive.start(first));
    return () => this.#soon(() => receive.stop());
  }

  settle(
    group: string,
    logId: number,
    verdict: StreamVerdict,
    leases: readonly StreamLease[],
    timeoutMs: number,
    done: (result: LogResult, held: readonly boolean[]) => void,
  ): void {
    this.#soon(() => new Settling(this, group, logId, timeoutMs, done).start(verdict, leases));
  }

  /** One command to whoever leads, again while it is certain that nobody heard it. */
  ask(
    logId: number,
    body: Uint8Array,
    untilMs: number,
    done: (result: LogResult, body: Uint8Array) => void,
  ): void {
    const host = this.#parts.leaderHost(logId);
    const none = new Uint8Array(0);
    const again = (result: LogResult): void => {
      if (this.#nowMs + RETRY_MS >= untilMs) done(result, none);
      else this.#later(RETRY_MS, () => this.ask(logId, body, untilMs, done));
    };
    if (host === undefined) {
      again('not-available');
      return;
    }
    const call = {
      host,
      answered: (input: { result: LogResult; body: Uint8Array }) => {
        // Said twice it is as if said once: a lease is settled or it is not.
        if (ELSEWHERE.has(input.result) || input.result === 'leader-lost') again(input.result);
        else done(input.result, input.body);
      },
      lost: () => again('timed-out'),
    };
    this.#calls.command(call, logId, body, Math.max(1, Math.floor(untilMs - this.#nowMs)));
  }

  get #nowMs(): number {
    return this.#system.clock.monotonicMs();
  }

  nowMs(): number {
    return this.#nowMs;
  }

  /** Nobody waits for the answer: what is not heard comes back when its lease ends. */
  #say(logId: number, group: string, isDone: boolean, leases: readonly StreamLease[]): void {
    if (leases.length === 0) return;
    const verdict = { kind: isDone ? 'acknowledge' : 'give-back' } as const;
    new Settling(this, group, logId, SAY_MS, () => undefined).start(verdict, leases);
  }

  /** The group whose view of the log is meant; undefined: the log is a queue's, and all groups take from it. */
  viewOf(group: string, logId: number): string | undefined {
    return this.#parts.view.log(logId)?.kind === QUEUE_KIND ? undefined : group;
  }

  #line(group: string, logId: number): ViewLine {
    const of = this.viewOf(group, logId);
    const key = of === undefined ? `${logId}` : `${logId}/${of}`;
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = new ViewLine(of, logId, {
        calls: this.#calls,
        leaderHost: (id) => this.#parts.leaderHost(id),
        owner: () => this.#identity.owner,
        later: (delayMs, work) => this.#later(delayMs, work),
        ownerIsStale: (owner) => this.#identity.renewOwner(owner),
      });
      this.#lines.set(key, line);
    }
    this.#used.add(line);
    return line;
  }

  #sweepLater(): void {
    this.#later(IDLE_MS, () => {
      for (const [key, line] of this.#lines) {
        if (this.#used.has(line) || line.busy > 0) continue;
        line.leave();
        this.#lines.delete(key);
      }
      this.#used.clear();
      this.#sweepLater();
    });
  }

  // ---- The actor ------------------------------------------------------------------------------

  start(ctx: Context<LogRepliesOps>) {
    const calls = this.#calls;
    calls.bind(ctx, () => ctx.self.tell('advanced', { token: ROOM }));
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') calls.ended(signal.ref);
    });
    return {
      appended: () => undefined,
      answered: calls.answered.bind(calls),
      fetched: calls.fetched.bind(calls),
      advanced: ({ token }: { readonly token: number }) => this.#woken(token),
      located: () => undefined,
    };
  }

  #woken(token: number): void {
    if (token === ROOM) this.#calls.retry();
    if (token !== DUE) return;
    const due = this.#due;
    this.#due = [];
    for (const work of due) work();
  }

  #soon(work: () => void): void {
    this.#due.push(work);
    if (this.#due.length === 1) this.#self.tell('advanced', { token: DUE });
  }

  #later(delayMs: number, work: () => void): void {
    this.#system.deadlines.after(delayMs, () => this.#soon(work));
  }

  /** The way to or from a thread of another node was lost, and what was on it. */
  linkEnded(node: number, thread: number): void {
    this.#soon(() => this.#calls.linkEnded(node, thread));
  }
}

/** What is said about some messages of one log, by the epochs of their leases. */
class Settling {
  readonly #views: StreamViews;
  readonly #view: string | undefined;
  readonly #logId: number;
  readonly #untilMs: number;
  readonly #done: (result: LogResult, held: readonly boolean[]) => void;
  #held: boolean[] = [];
  #left = 0;
  #failure: LogResult | undefined;

  constructor(
    views: StreamViews,
    group: string,
    logId: number,
    timeoutMs: number,
    done: (result: LogResult, held: readonly boolean[]) => void,
  ) {
    this.#views = views;
    this.#view = views.viewOf(group, logId);
    this.#logId = logId;
    this.#untilMs = views.nowMs() + timeoutMs;
    this.#done = done;
  }

  start(verdict: StreamVerdict, leases: readonly StreamLease[]): void {
    this.#held = leases.map(() => false);
    const epochs = new Map<number, number[]>();
    leases.forEach(({ epoch }, at) => {
      const rows = epochs.get(epoch) ?? [];
      rows.push(at);
      epochs.set(epoch, rows);
    });
    this.#left = epochs.size;
    if (epochs.size === 0) this.#done('ok', []);
    for (const [epoch, rows] of epochs) {
      const runs = new Runs();
      for (const at of rows) runs.push(leases[at]!.offset, 1, leases[at]!.number);
      const body = encodeTo(this.#view, commandOf(verdict, epoch, runs));
      this.#views.ask(this.#logId, body, this.#untilMs, (result, answer) => {
        this.#heard(rows, result, answer);
      });
    }
  }

  #heard(rows: readonly number[], result: LogResult, body: Uint8Array): void {
    this.#left -= 1;
    if (result === 'ok') {
      const answer = decodeQueueAnswer(body);
      const refused = new Set(answer.kind === 'settled' ? answer.refused : rows.keys());
      rows.forEach((at, row) => {
        this.#held[at] = !refused.has(row);
      });
    } else this.#failure = result;
    if (this.#left === 0) this.#done(this.#failure ?? 'ok', this.#held);
  }
}

function commandOf(verdict: StreamVerdict, epoch: number, runs: Runs): QueueCommand {
  if (verdict.kind === 'extend') {
    return { kind: 'extend', leaseMs: Math.ceil(verdict.leaseMs), epoch, runs };
  }
  const level = 'committed';
  if (verdict.kind === 'acknowledge') return { kind: 'acknowledge', level, epoch, runs };
  return { kind: 'return', level: 'none', isRequeued: true, counts: false, epoch, runs };
}

/** Times travel as whole milliseconds. */
function whole(wish: StreamWish): StreamWish {
  return { ...wish, leaseMs: Math.ceil(wish.leaseMs), waitMs: Math.floor(wish.waitMs) };
}

const StreamViewsActor = actor(
  LogRepliesProtocol,
  (ctx, views: StreamViews) => views.start(ctx),
  // Answers to whatever is in flight: refusing one would lose it.
  { mailbox: { capacity: 1_048_576, overflow: 'reject' } },
);
