// Control calls over comlink: one short-lived channel for each, so that nothing of a call outlives it, neither a
// proxy nor a port. Every call races its answer with the end of the thread and with its timeout. Comlink is
// loaded with the first call, on either side. Not here: what a thread answers (control-target.ts).
import { createRequire } from 'node:module';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Endpoint, ProxyMethods } from 'comlink';
import { messageOf } from '../../std/errors.ts';
import type {
  ControlOptions,
  ThreadControl,
  ThreadControlCode,
  ThreadControlError,
  ThreadFacts,
} from '../threads.ts';
import type { Answer, ControlSession, ControlTarget } from './control-target.ts';

interface Comlink {
  readonly lib: typeof import('comlink');
  endpoint(port: MessagePort): Endpoint;
}

/** Only who controls or is controlled pays for the package. */
function loadComlink(): Comlink {
  const require = createRequire(import.meta.url);
  return {
    lib: require('comlink') as typeof import('comlink'),
    endpoint: require('comlink/dist/umd/node-adapter.js') as Comlink['endpoint'],
  };
}

class ControlError extends Error implements ThreadControlError {
  readonly code: ThreadControlCode;

  constructor(code: ThreadControlCode, message: string) {
    super(message);
    this.name = 'ThreadControlError';
    this.code = code;
  }
}

/** A session as its caller has it: on this thread, or on another through comlink. */
interface OpenSession {
  readonly remote: Omit<ControlSession, 'end'>;
  /** Gives up what the session still waits for, and everything that it holds. */
  end(): void;
}

/** The starter's side: opens sessions, and ends them when their thread ends. */
abstract class Controls implements ThreadControl {
  readonly #open = new Set<(error: ControlError) => void>();
  #lost: string | undefined;

  protected abstract session(): OpenSession;

  /** The thread has ended: nothing is answered any more. */
  lost(why: string): void {
    this.#lost = why;
    for (const fail of [...this.#open]) fail(new ControlError('THREAD_CONTROL_LOST', why));
  }

  call(name: string, argument: unknown, options: ControlOptions): Promise<unknown> {
    return this.#once(name, options.timeoutMs, (remote) => remote.call(name, argument));
  }

  facts({ timeoutMs }: ControlOptions): Promise<ThreadFacts> {
    return this.#once('facts', timeoutMs, (remote) => remote.facts());
  }

  cpuProfile(durationMs: number, { timeoutMs }: ControlOptions): Promise<string> {
    const wholeMs = (Number.isFinite(durationMs) ? durationMs : 0) + timeoutMs;
    return this.#once('cpuProfile', wholeMs, (remote) => remote.cpuProfile(durationMs));
  }

  async *heapSnapshot({ timeoutMs }: ControlOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const session = this.#begin();
    try {
      for (;;) {
        const answer = session.remote.heapPiece();
        const piece = await this.#race('heapSnapshot', timeoutMs, answer);
        if (piece === undefined) return;
        yield piece;
      }
    } finally {
      session.end();
    }
  }

  async #once<T>(
    name: string,
    timeoutMs: number,
    ask: (remote: OpenSession['remote']) => Promise<Answer<T>>,
  ): Promise<T> {
    const session = this.#begin();
    try {
      return await this.#race(name, timeoutMs, ask(session.remote));
    } finally {
      session.end();
    }
  }

  #begin(): OpenSession {
    if (this.#lost !== undefined) throw new ControlError('THREAD_CONTROL_LOST', this.#lost);
    return this.session();
  }

  #race<T>(name: string, timeoutMs: number, answer: Promise<Answer<T>>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#open.delete(fail);
      };
      const fail = (error: ControlError): void => {
        settle();
        reject(error);
      };
      const timer = setTimeout(() => {
        const message = `the thread did not answer ${name} within ${timeoutMs} ms`;
        fail(new ControlError('THREAD_CONTROL_TIMEOUT', message));
      }, timeoutMs);
      this.#open.add(fail);
      answer.then(
        (given) => {
          settle();
          if ('code' in given) reject(new ControlError(given.code, given.message));
          else resolve(given.ok);
        },
        // What cannot be cloned, on the way there or back.
        (error: unknown) => fail(new ControlError('THREAD_CONTROL_FAILED', messageOf(error))),
      );
      if (this.#lost !== undefined) fail(new ControlError('THREAD_CONTROL_LOST', this.#lost));
    });
  }
}

/** Control of a worker by its starter. `give` sends the worker its end of a channel. */
export class WorkerControl extends Controls {
  readonly #give: (port: MessagePort) => void;

  constructor(give: (port: MessagePort) => void) {
    super();
    this.#give = give;
  }

  protected session(): OpenSession {
    const { lib, endpoint } = loadComlink();
    const { port1, port2 } = new MessageChannel();
    this.#give(port2);
    const remote: unknown = lib.wrap(endpoint(port1));
    return {
      remote: remote as OpenSession['remote'],
      end() {
        (remote as ProxyMethods)[lib.releaseProxy]();
        // Closes the other end too, which is how the thread hears that nobody waits.
        port1.close();
      },
    };
  }
}

/** A thread's control of itself: no channel, and no package. */
export class OwnControl extends Controls {
  readonly #target: ControlTarget;

  constructor(target: ControlTarget) {
    super();
    this.#target = target;
  }

  protected session(): OpenSession {
    const session = this.#target.open();
    return { remote: session, end: () => session.end() };
  }
}

/** The worker's side of one call: answers on the port until the caller closes it. */
export function answerControl(target: ControlTarget, port: MessagePort): void {
  const { lib, endpoint } = loadComlink();
  const { end, heapPiece, ...session } = target.open();
  const given = {
    ...session,
    async heapPiece(): Promise<Answer<Uint8Array | undefined>> {
      const answer = await heapPiece();
      const piece = 'ok' in answer ? answer.ok : undefined;
      return piece === undefined ? answer : lib.transfer(answer, [piece.buffer as ArrayBuffer]);
    },
  };
  port.on('close', end);
  lib.expose(given, endpoint(port));
}
