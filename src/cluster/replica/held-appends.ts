// Appends that came between the grant of a leadership and its epoch-begin's commit, mostly the first ones
// of a log that was made a moment ago: kept for a short while, in order, and appended when the leader is
// active, so that their senders need not be turned away. Bounded in number, bytes and time.
import type { LogResult } from '../ports.ts';
import type { AppendRequest } from './role.ts';

const REQUESTS_MAX = 256;
const BYTES_MAX = 1024 * 1024;
/** A leader that needs longer has something to recover: who asks then had better look elsewhere too. */
const HOLD_MAX_MS = 1_000;

interface Held {
  readonly request: AppendRequest;
  readonly untilMs: number;
}

export class HeldAppends {
  readonly #refuse: (request: AppendRequest, result: LogResult) => void;
  #held: Held[] = [];
  #bytes = 0;

  constructor(refuse: (request: AppendRequest, result: LogResult) => void) {
    this.#refuse = refuse;
  }

  get size(): number {
    return this.#held.length;
  }

  /** Keeps a copy of the request; false if there is no room. */
  hold(request: AppendRequest, nowMs: number): boolean {
    const { length } = request.batch;
    if (this.#held.length >= REQUESTS_MAX || this.#bytes + length > BYTES_MAX) return false;
    const untilMs = nowMs + Math.min(HOLD_MAX_MS, request.timeoutMs);
    // The bytes are lent for the length of the call.
    this.#held.push({ request: { ...request, batch: request.batch.slice() }, untilMs });
    this.#bytes += length;
    return true;
  }

  /** The next one in order of arrival, which is kept no longer. */
  take(): AppendRequest | undefined {
    const first = this.#held.shift();
    this.#bytes -= first?.request.batch.length ?? 0;
    return first?.request;
  }

  refuseAll(result: LogResult): void {
    for (let next = this.take(); next !== undefined; next = this.take()) this.#refuse(next, result);
  }

  /** Turns away who has waited long enough: nothing of it was appended. */
  expire(nowMs: number): void {
    const late = this.#held.filter(({ untilMs }) => untilMs <= nowMs);
    if (late.length === 0) return;
    this.#held = this.#held.filter(({ untilMs }) => untilMs > nowMs);
    for (const { request } of late) {
      this.#bytes -= request.batch.length;
      this.#refuse(request, 'not-available');
    }
  }
}
