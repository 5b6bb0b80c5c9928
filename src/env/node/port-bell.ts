// A bell over a message port: wakes the event loop of a thread that has sockets, timers and promises of
// its own. Nothing is said but "look": what there is to see is in shared memory.
import type { MessagePort } from 'node:worker_threads';
import type { Doorbell } from '../threads.ts';

/** What a ring is on the port: the smallest message there is. */
const RING = null;

/** True for a message that is a ring, on a port that carries other messages besides. */
export function isRing(message: unknown): message is null {
  return message === RING;
}

export class PortBell implements Doorbell {
  readonly #port: MessagePort;

  /** Either port of a `MessageChannel`: who rings has one, who listens the other. */
  constructor(port: MessagePort) {
    this.#port = port;
  }

  ring(): void {
    this.#port.postMessage(RING);
  }

  /** Calls `handle` in a turn of the event loop of its own for every ring. Keeps the thread alive. */
  onRing(handle: () => void): void {
    this.#port.on('message', (message: unknown) => {
      if (isRing(message)) handle();
    });
  }

  /** The bell is no reason to stay alive any more; it still rings. */
  unref(): void {
    this.#port.unref();
  }

  /** Ends the bell on both sides. */
  close(): void {
    this.#port.close();
  }
}
