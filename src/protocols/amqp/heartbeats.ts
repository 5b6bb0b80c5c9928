// When a connection should say that it lives, and when its peer counts as dead (rabbit_heartbeat.erl). Pure: the shell
// looks at the two intervals and counts bytes; any byte counts, not only heartbeats.

/** Looks without a byte after which the peer is dead: between two and three intervals. */
const SILENT_LOOKS_MAX = 2;

export class Heartbeats {
  /** Between two looks at what was sent: half an interval. */
  readonly sendMs: number;
  /** Between two looks at what was received. */
  readonly receiveMs: number;
  #sentBytes = -1;
  #receivedBytes = -1;
  #silentLooks = 0;

  /** `intervalSeconds`: what the client has asked for, not 0. */
  constructor(intervalSeconds: number) {
    this.sendMs = intervalSeconds * 500;
    this.receiveMs = intervalSeconds * 1000;
  }

  /** True if nothing was sent since the last look. */
  isHeartbeatDue(sentBytes: number): boolean {
    const isDue = sentBytes === this.#sentBytes;
    this.#sentBytes = sentBytes;
    return isDue;
  }

  /** The heartbeat itself is no reason to leave the next one out. */
  sent(sentBytes: number): void {
    this.#sentBytes = sentBytes;
  }

  /** `isReading`: false while nobody reads, which is not the peer's fault. */
  isDead(receivedBytes: number, isReading: boolean): boolean {
    const isSilent = isReading && receivedBytes === this.#receivedBytes;
    this.#receivedBytes = receivedBytes;
    this.#silentLooks = isSilent ? this.#silentLooks + 1 : 0;
    return this.#silentLooks >= SILENT_LOOKS_MAX;
  }
}
