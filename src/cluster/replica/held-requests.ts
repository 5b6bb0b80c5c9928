// Requests that came when nothing could be appended for a short while: between the grant of a leadership and the commit
// of its epoch-begin, mostly the first ones of a log that was made a moment ago; and while a planned move waits for the
// next leader. Kept in order, and served when appends go on, so that their senders need not be turned away. Bounded in
// number, bytes and time.
import type { CommandInput, LogResult } from '../ports.ts';
import type { AppendRequest } from './role.ts';

const REQUESTS_MAX = 256;
const BYTES_MAX = 1024 * 1024;
/** A leader that needs longer has something to recover: who asks then had better look elsewhere too. */
export const START_HOLD_MAX_MS = 1_000;
/** Longer than a planned move may hold appends. */
export const MOVE_HOLD_MAX_MS = 2_500;

export type HeldRequest =
  | { readonly kind: 'append'; readonly request: AppendRequest }
  | { readonly kind: 'command'; readonly input: CommandInput };

interface Held {
  readonly held: HeldRequest;
  readonly bytes: number;
  readonly untilMs: number;
}

export class HeldRequests {
  readonly #refuse: (held: HeldRequest, result: LogResult) => void;
  #held: Held[] = [];
  #bytes = 0;

  constructor(refuse: (held: HeldRequest, result: LogResult) => void) {
    this.#refuse = refuse;
  }

  get size(): number {
    return this.#held.length;
  }

  /** Keeps a copy of the request, for so long at most; false if there is no room. */
  holdAppend(request: AppendRequest, nowMs: number, maxMs: number): boolean {
    const { batch, timeoutMs } = request;
    if (!this.#hasRoom(batch.length)) return false;
    // The bytes are lent for the length of the call.
    const held = { kind: 'append', request: { ...request, batch: batch.slice() } } as const;
    this.#add(held, batch.length, nowMs + Math.min(maxMs, timeoutMs));
    return true;
  }

  /** The same of a command. */
  holdCommand(input: CommandInput, nowMs: number, maxMs: number): boolean {
    const { body, timeoutMs } = input;
    if (!this.#hasRoom(body.length)) return false;
    const held = { kind: 'command', input: { ...input, body: body.slice() } } as const;
    this.#add(held, body.length, nowMs + Math.min(maxMs, timeoutMs));
    return true;
  }

  #hasRoom(bytes: number): boolean {
    return this.#held.length < REQUESTS_MAX && this.#bytes + bytes <= BYTES_MAX;
  }

  #add(held: HeldRequest, bytes: number, untilMs: number): void {
    this.#held.push({ held, bytes, untilMs });
    this.#bytes += bytes;
  }

  /** The next one in order of arrival, which is kept no longer. */
  take(): HeldRequest | undefined {
    const first = this.#held.shift();
    this.#bytes -= first?.bytes ?? 0;
    return first?.held;
  }

  refuseAll(result: LogResult): void {
    for (let next = this.take(); next !== undefined; next = this.take()) this.#refuse(next, result);
  }

  /** Turns away who has waited long enough: nothing of it was appended. */
  expire(nowMs: number): void {
    if (this.#held.length === 0) return;
    const late = this.#held.filter(({ untilMs }) => untilMs <= nowMs);
    if (late.length === 0) return;
    this.#held = this.#held.filter(({ untilMs }) => untilMs > nowMs);
    for (const { held, bytes } of late) {
      this.#bytes -= bytes;
      this.#refuse(held, 'not-available');
    }
  }
}
