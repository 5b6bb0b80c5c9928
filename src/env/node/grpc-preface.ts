// The first bytes of a connection to a gRPC port: HTTP/2's preface (RFC 9113, 3.4), or what somebody says who
// dialled the wrong port. Node's HTTP/2 tells of the second only that it was an error.
import type { Address, Connection } from '../environment.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** Enough to recognise other protocols by; whoever says less is judged when the time is over. */
const FOREIGN_BYTES = 8;

/** What the owner of a visitor hears, once, unless it ends the visit itself. */
export interface VisitorEvents {
  /** HTTP/2 is spoken. `read`: what has come so far, from the first byte. Reading is paused. */
  onHttp2(read: Uint8Array): void;
  onForeign(head: Uint8Array): void;
  /** Gone, and nobody knows what for. */
  onClose(): void;
}

/** A connection that has not said yet what it speaks. */
export class Visitor {
  readonly remote: Address;
  readonly connection: Connection;
  readonly #events: VisitorEvents;
  readonly #sinceMs: number;
  #head: Buffer = Buffer.alloc(0);
  #isJudged = false;

  constructor(connection: Connection, nowMs: number, events: VisitorEvents) {
    this.connection = connection;
    this.remote = connection.remote;
    this.#sinceMs = nowMs;
    this.#events = events;
    connection.start({
      onBytes: (view) => this.#bytes(view),
      onClose: () => this.#closed(),
    });
  }

  sweep(nowMs: number, timeoutMs: number): void {
    if (!this.#isJudged && nowMs - this.#sinceMs >= timeoutMs) this.#foreign();
  }

  /** Nothing was said that deserves an answer. */
  sayGoodbye(): void {
    this.connection.destroy();
  }

  #bytes(view: Uint8Array): void {
    if (this.#isJudged) return;
    this.#head = Buffer.concat([this.#head, view]);
    const { length } = this.#head;
    const known = Math.min(length, PREFACE.length);
    if (this.#head.compare(PREFACE, 0, known, 0, known) !== 0) {
      if (length >= FOREIGN_BYTES) this.#foreign();
    } else if (length >= PREFACE.length) {
      this.#isJudged = true;
      this.connection.pauseReading();
      this.#events.onHttp2(this.#head);
    }
  }

  #foreign(): void {
    this.#isJudged = true;
    this.#events.onForeign(this.#head);
    this.connection.destroy();
  }

  #closed(): void {
    this.#isJudged = true;
    this.#events.onClose();
  }
}
