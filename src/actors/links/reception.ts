// Connections that have not proved anything yet. Each may take so many bytes and so long; of too many, the one that has
// waited longest goes, which is never who is about to finish. What comes of a handshake is decided in acceptor.ts.
import type { Connection } from '../../env/environment.ts';
import { isLoopback } from '../../std/loopback.ts';
import type { System } from '../system.ts';
import { AcceptorHandshake, type AcceptorOptions, type AcceptorStep } from './acceptor.ts';
import { encodeAnswer, type Greeting, NONCE_BYTES, type RefusedFor } from './handshake.ts';
import type { LinkCounters } from './links.ts';
import { again, type Refusals } from './refusals.ts';

export interface ReceptionOptions {
  readonly system: System;
  readonly counters: LinkCounters;
  readonly refusals: Refusals;
  /** Without a token nobody from elsewhere is let in. */
  readonly hasToken: boolean;
  readonly acceptor: Omit<AcceptorOptions, 'nonce'>;
  /** Takes over who has proved to know the token; answers who receives what follows. */
  welcome(
    connection: Connection,
    greeting: Greeting,
    proof: Uint8Array,
    ended: { onClose: () => void },
  ): ((view: Uint8Array) => void) | undefined;
  /** The same of a newcomer, which has no cluster yet. */
  introduced: ReceptionOptions['welcome'];
}

const HANDSHAKE_TIMEOUT_MS = 5_000;
/** More than all threads of a large cluster that starts at once. */
const UNPROVED_MAX = 2_048;
/** Drops what comes behind the end. */
const nobody = (): void => undefined;

export class Reception {
  readonly #options: ReceptionOptions;
  /** The longest wait first. */
  readonly #unproved = new Map<Connection, () => void>();

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  get unproved(): number {
    return this.#unproved.size;
  }

  accept(connection: Connection): void {
    const { system, hasToken, acceptor } = this.#options;
    if (!hasToken && !isLoopback(connection.remote.host)) {
      connection.start({ onBytes: nobody, onClose: nobody });
      const told = 'links without a token stay on one machine: give every node the same token';
      this.refuse(connection, told);
      return;
    }
    if (this.#unproved.size >= UNPROVED_MAX) this.#sendAwayOldest();
    const handshake = new AcceptorHandshake({
      ...acceptor,
      nonce: system.env.unguessable(NONCE_BYTES),
    });
    const ended = { onClose: nobody };
    let receiver: ((view: Uint8Array) => void) | undefined;
    const deadline = system.deadlines.after(HANDSHAKE_TIMEOUT_MS, () => {
      done();
      this.refuse(connection, 'no handshake in time');
    });
    const done = (): void => {
      system.deadlines.cancel(deadline);
      this.#unproved.delete(connection);
      receiver = nobody;
    };
    this.#unproved.set(connection, done);
    connection.start({
      onBytes: (view) => {
        if (receiver !== undefined) {
          receiver(view);
          return;
        }
        const step = handshake.receive(view);
        if (step.kind === 'wait') {
          if (step.send.length > 0) connection.write(step.send);
          return;
        }
        done();
        receiver = this.#ended(connection, step, ended) ?? nobody;
      },
      onClose: () => {
        done();
        ended.onClose();
      },
    });
  }

  close(): void {
    for (const [connection, done] of [...this.#unproved]) {
      done();
      connection.destroy();
    }
  }

  #ended(
    connection: Connection,
    step: Exclude<AcceptorStep, { kind: 'wait' }>,
    ended: { onClose: () => void },
  ): ((view: Uint8Array) => void) | undefined {
    if (step.kind !== 'refused') {
      const { welcome, introduced } = this.#options;
      const next = step.kind === 'done' ? welcome : introduced;
      return next(connection, step.greeting, step.proof, ended);
    }
    this.refuse(connection, step.told, step.reason, step.greeting, { why: step.why });
    return undefined;
  }

  /** Says why, here and there, and closes. `twiceProof`: of this node, that another life of the dialing one lives. */
  refuse(
    connection: Connection,
    told: string,
    reason = told,
    greeting?: Greeting,
    more: { readonly twiceProof?: Uint8Array; readonly why?: RefusedFor } = {},
  ): void {
    const { counters, refusals, system } = this.#options;
    counters.refused += 1;
    const from = greeting === undefined ? connection.remote.host : greeting.fromNode;
    refusals.tell(`refused ${from} ${reason}`, (silent) => {
      system.log.warn('a link was refused', { reason, from, ...again(silent) });
    });
    connection.write(
      encodeAnswer({ kind: 'refused', reason: told, twiceProof: undefined, ...more }),
    );
    connection.end();
  }

  #sendAwayOldest(): void {
    const { counters } = this.#options;
    for (const [connection, done] of this.#unproved) {
      done();
      counters.refused += 1;
      connection.destroy();
      return;
    }
  }
}
