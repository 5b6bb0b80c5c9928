// Questions of one shard to log hosts, each by its token, and whoever is to hear the answer. A question
// ends once: answered, or lost because its host ended, the way to it was lost or it was abandoned.
import type { Context } from '../../actors/actor.ts';
import type { AnyRef, RefId } from '../../actors/ref.ts';
import type {
  AnsweredInput,
  FetchedInput,
  LocatedInput,
  LogRepliesOps,
  OffsetQuery,
} from '../../cluster/ports.ts';
import { assert } from '../../std/assert.ts';
import { HostCalls, type HostRef } from './host-calls.ts';

/** Tokens below are wake-ups of the actor itself. */
export const FIRST_TOKEN = 16;
/** A host keeps a question for so long; whoever asks has given up before, or asks again then. */
const COMMAND_TIMEOUT_MS = 60_000;

export interface Call {
  readonly host: HostRef;
  answered?(input: AnsweredInput): void;
  /** Must see to `release`. */
  fetched?(input: FetchedInput): void;
  located?(input: LocatedInput): void;
  /** The log has grown, or is led elsewhere. */
  advanced?(): void;
  /** Nobody will answer; what it asked for may have happened. */
  lost(): void;
}

export class Calls {
  readonly #open = new Map<number, Call>();
  #nextToken = FIRST_TOKEN;
  #bound: { readonly self: RefId; readonly hosts: HostCalls } | undefined;

  /** The actor lives, or lives again. `room`: `retry` must be called, in a turn of it. */
  bind(ctx: Context<LogRepliesOps>, room: () => void): void {
    this.#bound = { self: ctx.self.id, hosts: new HostCalls(ctx, room) };
    this.#lose(() => true);
  }

  get #actor() {
    assert(this.#bound !== undefined, 'Calls: asked before its actor lives');
    return this.#bound;
  }

  get count(): number {
    return this.#open.size;
  }

  // ---- Asking -------------------------------------------------------------------------------------

  command(call: Call, logId: number, body: Uint8Array, timeoutMs = COMMAND_TIMEOUT_MS): number {
    const { self: replyTo, hosts } = this.#actor;
    const token = this.#add(call);
    hosts.send(call.host, 'command', { logId, body, timeoutMs, token, replyTo });
    return token;
  }

  fetch(call: Call, logId: number, offset: number, maxBytes: number, mayBeReplica = false): number {
    const { self: replyTo, hosts } = this.#actor;
    const token = this.#add(call);
    const what = { logId, offset, epoch: -1, maxBytes, mayBeReplica };
    hosts.send(call.host, 'fetch', { ...what, token, replyTo });
    return token;
  }

  /** `advanced` when the log is committed beyond `offset`. */
  awaitBeyond(call: Call, logId: number, offset: number, mayBeReplica = false): number {
    const { self: replyTo, hosts } = this.#actor;
    const token = this.#add(call);
    hosts.send(call.host, 'await', { logId, offset, mayBeReplica, token, replyTo });
    return token;
  }

  locate(call: Call, logId: number, query: OffsetQuery): number {
    const { self: replyTo, hosts } = this.#actor;
    const token = this.#add(call);
    hosts.send(call.host, 'locate', { logId, epoch: -1, query, token, replyTo });
    return token;
  }

  #add(call: Call): number {
    const token = this.#nextToken;
    this.#nextToken += 1;
    this.#open.set(token, call);
    return token;
  }

  /** Its answer is of no interest any more. */
  forget(token: number): void {
    this.#open.delete(token);
  }

  // ---- Ends ---------------------------------------------------------------------------------------

  answered(input: AnsweredInput): void {
    this.#take(input.token)?.answered?.(input);
  }

  fetched(input: FetchedInput): void {
    const call = this.#take(input.token);
    if (call?.fetched === undefined) input.release();
    else call.fetched(input);
  }

  located(input: LocatedInput): void {
    this.#take(input.token)?.located?.(input);
  }

  advanced(token: number): void {
    this.#take(token)?.advanced?.();
  }

  #take(token: number): Call | undefined {
    const call = this.#open.get(token);
    this.#open.delete(token);
    return call;
  }

  /** Something that was watched has ended. */
  ended(ref: AnyRef): void {
    const host = this.#actor.hosts.ended(ref);
    if (host === undefined) return;
    this.retry();
    this.#lose((call) => call.host === host);
  }

  linkEnded(node: number, thread: number): void {
    if (this.#bound === undefined) return;
    this.#bound.hosts.linkEnded(node, thread);
    this.retry();
    this.#lose(({ host: { id } }) => id.node === node && id.thread === thread);
  }

  #lose(isLost: (call: Call) => boolean): void {
    for (const [token, call] of this.#open) {
      if (!isLost(call)) continue;
      this.#open.delete(token);
      call.lost();
    }
  }

  /** There is room at some host, or something was refused for good. */
  retry(): void {
    const refused = this.#actor.hosts.retry((token) => this.#open.has(token));
    for (const token of refused) this.#take(token)?.lost();
  }
}
