// Who was heard when. A controller that has just begun has heard nobody, which proves nothing about
// anybody: every node gets one full interval from the begin. A heartbeat names the life of the
// process by its boot counter, so that a late one of an earlier life keeps nobody alive.

interface Session {
  readonly bootCounter: number;
  readonly heardMs: number;
  readonly isDisconnected: boolean;
}

export class Sessions {
  #sinceMs = 0;
  readonly #byNode = new Map<number, Session>();

  begin(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#byNode.clear();
  }

  heard(node: number, bootCounter: number, nowMs: number): void {
    this.#byNode.set(node, { bootCounter, heardMs: nowMs, isDisconnected: false });
  }

  disconnected(node: number): void {
    const session = this.#byNode.get(node);
    if (session !== undefined) this.#byNode.set(node, { ...session, isDisconnected: true });
  }

  /** Heard since the begin, in this life, connected and not overdue. */
  isAlive(node: number, bootCounter: number, nowMs: number, timeoutMs: number): boolean {
    const session = this.#byNode.get(node);
    if (session?.bootCounter !== bootCounter || session.isDisconnected) return false;
    return nowMs - session.heardMs < timeoutMs;
  }

  /** When the node is overdue, given how long silence may last with and without a link. */
  deadlineMs(
    node: number,
    bootCounter: number,
    timeoutMs: number,
    disconnectedTimeoutMs: number,
  ): number {
    const endOfFirstMs = this.#sinceMs + timeoutMs;
    const session = this.#byNode.get(node);
    if (session?.bootCounter !== bootCounter) return endOfFirstMs;
    const patienceMs = session.isDisconnected ? disconnectedTimeoutMs : timeoutMs;
    return Math.max(session.heardMs + patienceMs, endOfFirstMs);
  }
}
