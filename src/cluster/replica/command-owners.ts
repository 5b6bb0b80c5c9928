// Whom the answers of a behavior go to: every command that a behavior was given has an owner until it is answered, the
// owner's time is over, or the behavior has forgotten it. Tokens are the log's own, so that no two askers share one.
import type { RefId } from '../../actors/ref.ts';
import type { LogResult } from '../ports.ts';
import type { ReplySink } from './replies.ts';

/** Commands that wait for an answer of the behavior. */
const OWNERS_MAX = 100_000;
const NO_BODY = new Uint8Array(0);
/** So many are looked for one by one: most are answered at once, and a map is made anew every few of those. */
const FEW = 4;

export interface CommandOwner {
  readonly to: RefId;
  /** The asker's. */
  readonly token: number;
  readonly dueMs: number;
}

export class CommandOwners {
  readonly #replies: ReplySink;
  /** Those of few logs are more than a handful, which lie side by side in the order of their tokens. */
  readonly #fewTokens: number[] = [];
  readonly #few: CommandOwner[] = [];
  /** The others, by token. */
  readonly #owners = new Map<number, CommandOwner>();
  /** No command expires before. */
  #dueMs = Number.POSITIVE_INFINITY;
  #nextToken = 1;

  constructor(replies: ReplySink) {
    this.#replies = replies;
  }

  /** When the next tick is needed; Infinity: never. */
  get dueMs(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#dueMs;
  }

  get #count(): number {
    return this.#few.length + this.#owners.size;
  }

  /** The token for the behavior; undefined: there are too many. */
  add(owner: CommandOwner): number | undefined {
    if (this.#count >= OWNERS_MAX) return undefined;
    const token = this.#nextToken;
    this.#nextToken += 1;
    if (this.#few.length < FEW) {
      this.#fewTokens.push(token);
      this.#few.push(owner);
    } else this.#owners.set(token, owner);
    this.#dueMs = Math.min(this.#dueMs, owner.dueMs);
    return token;
  }

  /** Forgets it, for whoever answers it. */
  take(token: number): CommandOwner | undefined {
    const tokens = this.#fewTokens;
    for (let at = tokens.length - 1; at >= 0; at -= 1) {
      if (tokens[at] === token) return this.#takeAt(at);
    }
    if (this.#owners.size === 0) return undefined;
    const owner = this.#owners.get(token);
    this.#owners.delete(token);
    return owner;
  }

  #takeAt(index: number): CommandOwner {
    const tokens = this.#fewTokens;
    const few = this.#few;
    const owner = few[index]!;
    for (let at = index + 1; at < few.length; at += 1) {
      tokens[at - 1] = tokens[at]!;
      few[at - 1] = few[at]!;
    }
    tokens.pop();
    few.pop();
    return owner;
  }

  /** In the order in which they came. */
  #all(): [number, CommandOwner][] {
    const few = this.#few.map((owner, at): [number, CommandOwner] => [this.#fewTokens[at]!, owner]);
    return [...few, ...this.#owners].sort(([a], [b]) => a - b);
  }

  /** Answers commands whose requester has stopped waiting; the behavior's later reply finds no owner. */
  expire(nowMs: number): void {
    if (this.#dueMs > nowMs) return;
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (const [token, owner] of this.#all()) {
      if (owner.dueMs > nowMs) {
        this.#dueMs = Math.min(this.#dueMs, owner.dueMs);
        continue;
      }
      this.take(token);
      this.#answer(owner, 'timed-out');
    }
  }

  /** Whom the behavior forgot when it was demoted, or could not answer because it threw. */
  failAll(result: LogResult): void {
    const owners = this.#all();
    this.#owners.clear();
    this.#few.length = this.#fewTokens.length = 0;
    for (const [, owner] of owners) this.#answer(owner, result);
  }

  #answer({ to, token }: CommandOwner, result: LogResult): void {
    this.#replies.answered(to, { token, result, body: NO_BODY });
  }
}
