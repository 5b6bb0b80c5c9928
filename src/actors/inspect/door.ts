// The door through which others look in: a small HTTP server on a loopback address, opened by
// `system.inspect()` and by nothing else. It shows and changes nothing.
//
//   GET /inspection?sampleMs=1000   one Inspection; with sampleMs the rates over that time
//   GET /stream?everyMs=1000        an Inspection every so often, as server-sent events
//
// Invariants: who is not answered in time, or does not read, is dropped; connections, heads, streams and what
// is queued for each are bounded; looks are shared, so that many visitors cost what one does.
import type { Address, Connection, Listener } from '../../env/environment.ts';
import { messageOf } from '../../std/errors.ts';
import { isLoopback } from '../../std/loopback.ts';
import { equalInConstantTime } from '../../std/sha256.ts';
import { encodeUtf8 } from '../../std/utf8.ts';
import { ActorError } from '../errors.ts';
import type { System } from '../system.ts';
import type { Deadline } from '../timers.ts';
import type { Asked, Refused } from './http-request.ts';
import { answerHead, readRequest } from './http-request.ts';
import type { Inspection } from './looks.ts';
import { LOOK_TIMEOUT_MS, lookAtAll, withRates } from './looks.ts';

export interface InspectOptions {
  /** Default: 0, which takes a free one. */
  readonly port?: number;
  /** Default: 127.0.0.1. Another address than loopback is refused without a token. */
  readonly host?: string;
  /** What visitors must send as `authorization: Bearer`: 16 to 256 letters, digits and `-._~+/=`. */
  readonly token?: string;
  /** How long a thread has to answer before it is shown as silent. Default: 1,000. */
  readonly timeoutMs?: number;
}

export interface InspectionDoor {
  readonly address: Address;
  /** `http://127.0.0.1:PORT`: what `callboard actors top --attach` wants. */
  readonly url: string;
  /** Closes it and every connection. It is closed with its system, too. */
  close(): void;
}

const TOKEN = /^[\w\-.~+/=]{16,256}$/;
const CONNECTIONS_MAX = 32;
const STREAMS_MAX = 8;
const HEAD_BYTES_MAX = 8 * 1024;
const HEAD_MS = 5_000;
/** For all of an answer, sampling included, and for a stream that does not read. */
const ANSWER_MS = 30_000;
const QUEUED_BYTES_MAX = 1024 * 1024;
/** A look that is younger is shown again: visitors cannot make a thread do nothing else. */
const LOOK_MS_MIN = 100;
const SAMPLE_MS = { min: LOOK_MS_MIN, max: 10_000, usual: 0 };
const EVERY_MS = { min: LOOK_MS_MIN, max: 60_000, usual: 1_000 };

/**
 * Opens the door.
 *
 * @throws ActorError ACTOR_MISUSE for a host that is not loopback without a token, or a token that is too
 *   short; an error with the code of the system (EADDRINUSE, EACCES) when the port cannot be had.
 */
export async function openDoor(system: System, options: InspectOptions): Promise<InspectionDoor> {
  const { host = '127.0.0.1', port = 0, token = '' } = options;
  if (token === '' && !isLoopback(host)) {
    const message = `${host} can be reached from other machines: set a token, or leave the host out`;
    throw new ActorError('ACTOR_MISUSE', message, { host });
  }
  if (token !== '' && !TOKEN.test(token)) {
    const message = 'a token has 16 to 256 letters, digits and -._~+/=';
    throw new ActorError('ACTOR_MISUSE', message);
  }
  const door = new Door(system, { host, token, timeoutMs: options.timeoutMs ?? LOOK_TIMEOUT_MS });
  const listener = await system.env.net.listen({ host, port }, (each) => door.accept(each));
  return door.opened(listener);
}

interface Terms {
  readonly host: string;
  readonly token: string;
  readonly timeoutMs: number;
}

class Door {
  readonly #system: System;
  readonly #terms: Terms;
  readonly #visitors = new Set<Visitor>();
  #listener: Listener | undefined;
  #looking: Promise<Inspection> | undefined;
  #last: Inspection | undefined;
  /** When the last look began: threads answer then, however long one of them lets it wait. */
  #lastMs = 0;
  #streams = 0;

  constructor(system: System, terms: Terms) {
    this.#system = system;
    this.#terms = terms;
  }

  opened(listener: Listener): InspectionDoor {
    this.#listener = listener;
    const { host, port } = listener.address;
    const name = host.includes(':') ? `[${host}]` : host;
    return { address: listener.address, url: `http://${name}:${port}`, close: () => this.close() };
  }

  close(): void {
    this.#listener?.close();
    for (const visitor of [...this.#visitors]) visitor.drop();
  }

  accept(connection: Connection): void {
    if (this.#visitors.size >= CONNECTIONS_MAX) {
      connection.start({ onBytes: () => undefined, onClose: () => undefined });
      connection.destroy();
      return;
    }
    const visitor = new Visitor(this.#system, connection, {
      asked: (head) => this.#answer(visitor, head),
      closed: () => void this.#visitors.delete(visitor),
    });
    this.#visitors.add(visitor);
    visitor.start();
  }

  async #answer(visitor: Visitor, head: string): Promise<void> {
    const request = readRequest(head, this.#terms.host);
    if ('status' in request) {
      visitor.refuse(request);
      return;
    }
    if (!this.#isKnown(request.token)) {
      visitor.refuse(problem(401, 'TOKEN_WRONG', 'the token is missing or wrong'));
      return;
    }
    try {
      if (request.path === '/inspection') await this.#once(visitor, request);
      else if (request.path === '/stream') await this.#stream(visitor, request);
      else {
        const known = '/inspection and /stream are served here';
        visitor.refuse(problem(404, 'PATH_UNKNOWN', known));
      }
    } catch (error) {
      visitor.refuse(problem(500, 'HTTP_INTERNAL', messageOf(error)));
    }
  }

  /** Who was given no token to ask for lets in whatever a client sends by habit. */
  #isKnown(token: string): boolean {
    const wanted = this.#terms.token;
    return wanted === '' || equalInConstantTime(encodeUtf8(token), encodeUtf8(wanted));
  }

  async #once(visitor: Visitor, { query }: Asked): Promise<void> {
    const sampleMs = numberOf(query, 'sampleMs', SAMPLE_MS);
    if (typeof sampleMs !== 'number') {
      visitor.refuse(sampleMs);
      return;
    }
    let before: Inspection | undefined;
    if (sampleMs > 0) {
      before = await this.#look();
      await visitor.sleep(sampleMs);
    }
    visitor.answer(JSON.stringify(withRates(before, await this.#look())));
  }

  async #stream(visitor: Visitor, { query }: Asked): Promise<void> {
    const everyMs = numberOf(query, 'everyMs', EVERY_MS);
    if (typeof everyMs !== 'number') {
      visitor.refuse(everyMs);
      return;
    }
    if (this.#streams >= STREAMS_MAX) {
      visitor.refuse(problem(503, 'TOO_MANY_STREAMS', `${STREAMS_MAX} streams are open`));
      return;
    }
    this.#streams += 1;
    try {
      visitor.beginStream();
      let before: Inspection | undefined;
      while (visitor.isOpen) {
        const startMs = this.#system.clock.monotonicMs();
        const now = await this.#look();
        visitor.push(`data: ${JSON.stringify(withRates(before, now))}\n\n`);
        before = now;
        const tookMs = this.#system.clock.monotonicMs() - startMs;
        await visitor.sleep(Math.max(0, everyMs - tookMs));
      }
    } finally {
      this.#streams -= 1;
    }
  }

  /** One look at a time, for all who want one. */
  #look(): Promise<Inspection> {
    const { clock } = this.#system;
    if (this.#last !== undefined && clock.monotonicMs() - this.#lastMs < LOOK_MS_MIN) {
      return Promise.resolve(this.#last);
    }
    if (this.#looking !== undefined) return this.#looking;
    const startMs = clock.monotonicMs();
    this.#looking = lookAtAll(this.#system, this.#terms.timeoutMs).then(
      (seen) => {
        this.#looking = undefined;
        this.#last = seen;
        this.#lastMs = startMs;
        return seen;
      },
      (error: unknown) => {
        this.#looking = undefined;
        throw error;
      },
    );
    return this.#looking;
  }
}

/** One connection: a head with a deadline, an answer or a stream, the end. */
class Visitor {
  readonly #system: System;
  readonly #connection: Connection;
  readonly #on: { asked(head: string): Promise<void>; closed(): void };
  readonly #head = new Uint8Array(HEAD_BYTES_MAX);
  #fill = 0;
  #isAsked = false;
  #isStreaming = false;
  #deadline: Deadline | undefined;
  #sleep: { readonly until: Deadline; readonly wake: () => void } | undefined;
  isOpen = true;

  constructor(
    system: System,
    connection: Connection,
    on: { asked(head: string): Promise<void>; closed(): void },
  ) {
    this.#system = system;
    this.#connection = connection;
    this.#on = on;
  }

  start(): void {
    this.#patience(HEAD_MS, () => this.refuse(problem(408, 'HTTP_TIMEOUT', 'no request in time')));
    this.#connection.start({
      onBytes: (view) => this.#received(view),
      onDrain: () => this.#awaitReading(),
      onClose: () => this.#closed(),
    });
  }

  answer(body: string): void {
    this.#finish(200, body);
  }

  /** Says what is wrong; in a stream, which has its head already, only the end says so. */
  refuse({ status, code, message }: Refused): void {
    if (this.#isStreaming) this.drop();
    else this.#finish(status, JSON.stringify({ error: { code, message } }));
  }

  beginStream(): void {
    this.#isStreaming = true;
    this.#awaitReading();
    this.#write(answerHead(200, 'text/event-stream'));
  }

  /** An update; left out while the ones before have not been read. */
  push(text: string): void {
    if (!this.isOpen || this.#connection.queuedBytes > QUEUED_BYTES_MAX) return;
    if (this.#connection.queuedBytes === 0) this.#awaitReading();
    this.#write(text);
  }

  /** Resolves after `ms`, or when the visitor has left. */
  sleep(ms: number): Promise<void> {
    if (!this.isOpen) return Promise.resolve();
    return new Promise((wake) => {
      const until = this.#system.deadlines.after(ms, () => {
        this.#sleep = undefined;
        wake();
      });
      this.#sleep = { until, wake };
    });
  }

  drop(): void {
    this.#connection.destroy();
    this.#closed();
  }

  #received(view: Uint8Array): void {
    if (this.#isAsked || !this.isOpen) return;
    const room = HEAD_BYTES_MAX - this.#fill;
    this.#head.set(view.subarray(0, room), this.#fill);
    this.#fill += Math.min(room, view.length);
    const text = latin1(this.#head.subarray(0, this.#fill));
    const end = text.indexOf('\r\n\r\n');
    if (end >= 0) {
      this.#isAsked = true;
      this.#awaitReading();
      void this.#on.asked(text.slice(0, end));
    } else if (this.#fill === HEAD_BYTES_MAX) {
      const message = `a request has at most ${HEAD_BYTES_MAX} bytes`;
      this.refuse(problem(431, 'HTTP_HEAD_TOO_LARGE', message));
    }
  }

  #finish(status: number, json: string): void {
    if (!this.isOpen) return;
    this.#isAsked = true;
    const body = new TextEncoder().encode(`${json}\n`);
    this.#awaitReading();
    this.#write(answerHead(status, 'application/json', body.length));
    this.#connection.write(body);
    this.#connection.end();
  }

  #write(text: string): void {
    this.#connection.write(new TextEncoder().encode(text));
  }

  /** A stream that has been read may be silent for longer: its next update may be due later. */
  #awaitReading(): void {
    this.#patience(ANSWER_MS, () => {
      if (!this.#isStreaming || this.#connection.queuedBytes > 0) this.drop();
    });
  }

  #patience(ms: number, then: () => void): void {
    const { deadlines } = this.#system;
    if (this.#deadline !== undefined) deadlines.cancel(this.#deadline);
    this.#deadline = this.isOpen ? deadlines.after(ms, then) : undefined;
  }

  #closed(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const { deadlines } = this.#system;
    if (this.#deadline !== undefined) deadlines.cancel(this.#deadline);
    if (this.#sleep !== undefined) {
      deadlines.cancel(this.#sleep.until);
      this.#sleep.wake();
    }
    this.#on.closed();
  }
}

function numberOf(
  query: ReadonlyMap<string, string>,
  name: string,
  { min, max, usual }: { readonly min: number; readonly max: number; readonly usual: number },
): number | Refused {
  for (const each of query.keys()) {
    if (each !== name) return problem(400, 'FIELD_UNKNOWN', `only ${name} is known here`);
  }
  const text = query.get(name);
  if (text === undefined) return usual;
  const value = Number(text);
  const isInRange = (value >= min && value <= max) || value === usual;
  if (/^\d{1,6}$/.test(text) && isInRange) return value;
  return problem(400, 'FIELD_INVALID', `${name} is a whole number from ${min} to ${max}`);
}

function problem(status: number, code: string, message: string): Refused {
  return { status, code, message };
}

/** Heads are ASCII: what is not does not match anything. */
function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
