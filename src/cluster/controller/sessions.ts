// Who was heard when. A controller that has just begun has heard nobody, which proves nothing about
// anybody: every node gets one full session from the begin.

interface Session {
  readonly incarnation: number;
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

  heard(node: number, incarnation: number, nowMs: number): void {
    const isDisconnected = false;
    this.#byNode.set(node, { incarnation, heardMs: nowMs, isDisconnected });
  }

  /** Nobody could be heard for so long: as if that time had not been. */
  excuse(awayMs: number): void {
    this.#sinceMs += awayMs;
    for (const [node, session] of this.#byNode) {
      this.#byNode.set(node, { ...session, heardMs: session.heardMs + awayMs });
    }
  }

  disconnected(node: number): void {
    const session = this.#byNode.get(node);
    if (session !== undefined) this.#byNode.set(node, { ...session, isDisconnected: true });
  }

  /** Heard since the begin, in this incarnation, connected and not overdue. */
  isAlive(node: number, incarnation: number, nowMs: number, timeoutMs: number): boolean {
    const session = this.#byNode.get(node);
    if (session?.incarnation !== incarnation || session.isDisconnected) return false;
    return nowMs - session.heardMs < timeoutMs;
  }

  /** When the node is overdue, given how long silence may last with and without a link. */
  deadlineMs(
    node: number,
    incarnation: number,
    timeoutMs: number,
    disconnectedTimeoutMs: number,
  ): number {
    const endOfFirstMs = this.#sinceMs + timeoutMs;
    const session = this.#byNode.get(node);
    if (session?.incarnation !== incarnation) return endOfFirstMs;
    const patienceMs = session.isDisconnected ? disconnectedTimeoutMs : timeoutMs;
    return Math.max(session.heardMs + patienceMs, endOfFirstMs);
  }
}
