// Whom the answers of a behavior go to: every command that a behavior was given has an owner until it is answered, the
// owner's time is over, or the behavior has forgotten it. Tokens are the log's own, so that no two askers share one.
import type { RefId } from '../../actors/ref.ts';
import type { LogResult } from '../ports.ts';
import type { ReplySink } from './replies.ts';

/** Commands that wait for an answer of the behavior. */
const OWNERS_MAX = 100_000;
const NO_BODY = new Uint8Array(0);

export interface CommandOwner {
  readonly to: RefId;
  /** The asker's. */
  readonly token: number;
  readonly dueMs: number;
}

export class CommandOwners {
  readonly #replies: ReplySink;
  readonly #owners = new Map<number, CommandOwner>();
  /** No command expires before. */
  #dueMs = Number.POSITIVE_INFINITY;
  #nextToken = 1;

  constructor(replies: ReplySink) {
    this.#replies = replies;
  }

  /** When the next tick is needed; Infinity: never. */
  get dueMs(): number {
    return this.#owners.size === 0 ? Number.POSITIVE_INFINITY : this.#dueMs;
  }

  /** The token for the behavior; undefined: there are too many. */
  add(owner: CommandOwner): number | undefined {
    if (this.#owners.size >= OWNERS_MAX) return undefined;
    const token = this.#nextToken;
    this.#nextToken += 1;
    this.#owners.set(token, owner);
    this.#dueMs = Math.min(this.#dueMs, owner.dueMs);
    return token;
  }

  /** Forgets it, for whoever answers it. */
  take(token: number): CommandOwner | undefined {
    const owner = this.#owners.get(token);
    this.#owners.delete(token);
    return owner;
  }

  /** Answers commands whose requester has stopped waiting; the behavior's later reply finds no owner. */
  expire(nowMs: number): void {
    if (this.#dueMs > nowMs) return;
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (const [token, owner] of this.#owners) {
      if (owner.dueMs > nowMs) {
        this.#dueMs = Math.min(this.#dueMs, owner.dueMs);
        continue;
      }
      this.#owners.delete(token);
      this.#answer(owner, 'timed-out');
    }
  }

  /** Whom the behavior forgot when it was demoted, or could not answer because it threw. */
  failAll(result: LogResult): void {
    const owners = [...this.#owners.values()];
    this.#owners.clear();
    for (const owner of owners) this.#answer(owner, result);
  }

  #answer({ to, token }: CommandOwner, result: LogResult): void {
    this.#replies.answered(to, { token, result, body: NO_BODY });
  }
}
