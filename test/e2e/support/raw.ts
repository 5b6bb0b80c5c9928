// A socket that says whatever a test wants it to say, and remembers what came of it.

import fs from 'node:fs';
import { Socket } from 'node:net';

export class RawSocket {
  readonly socket = new Socket({ allowHalfOpen: true });
  receivedBytes = 0;
  #closedMs: number | undefined;
  readonly #startMs = performance.now();
  readonly #closed: Promise<number>;

  private constructor() {
    this.#closed = new Promise((resolve) => {
      // The other side's end is what is measured; a reset counts as well.
      const close = (): void => {
        this.#closedMs ??= performance.now() - this.#startMs;
        this.socket.destroy();
        resolve(this.#closedMs);
      };
      this.socket.on('end', close);
      this.socket.on('close', close);
      this.socket.on('error', close);
    });
  }

  static async connect(address: string): Promise<RawSocket> {
    const raw = new RawSocket();
    const at = address.lastIndexOf(':');
    await new Promise<void>((resolve, reject) => {
      raw.socket.once('error', reject);
      raw.socket.connect(Number(address.slice(at + 1)), address.slice(0, at), resolve);
    });
    return raw;
  }

  /** Reads and forgets. */
  listen(): this {
    this.socket.on('data', (chunk) => {
      this.receivedBytes += chunk.length;
    });
    return this;
  }

  send(bytes: Uint8Array | string): this {
    this.socket.write(bytes);
    return this;
  }

  /** Milliseconds from the connect until the server closed, or undefined if it did not in time. */
  async closedWithin(timeoutMs: number): Promise<number | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, undefined);
    });
    const first = await Promise.race([this.#closed, late]);
    clearTimeout(timer);
    return first;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Resident bytes of a process. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? Number.NaN) * 1024;
}
