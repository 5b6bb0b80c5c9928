// How a newcomer asks any member who the cluster is: a greeting without a cluster id, the usual proofs of the token on both
// sides, the usual comparison of protocols, then one request and one answer, each behind its length, and the end. What
// they say is of whoever uses links. The connection becomes no link: nothing can be sent to an actor by it.
import type { Address, Connection, Environment } from '../../env/environment.ts';
import { concatBytes, EMPTY_BYTES, readU32le, writeU32le } from '../../std/byte-ops.ts';
import { encodeUtf8 } from '../../std/utf8.ts';
import { type AnyProtocol, protocolsHash } from '../protocol.ts';
import { protocolsWith, type System } from '../system.ts';
import { DialerHandshake, type DialerStep } from './dialer.ts';
import { encodeAnswer, NONCE_BYTES, type RefusedFor } from './handshake.ts';
import { listProtocols } from './protocol-list.ts';

const REQUEST_BYTES_MAX = 4 * 1024;
const ANSWER_BYTES_MAX = 1024 * 1024;
const LENGTH_BYTES = 4;
const REQUEST_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 3_000;
const WHOLE_TIMEOUT_MS = 8_000;

/** One message behind its length. */
class SizedMessage {
  readonly #bytesMax: number;
  #bytes = EMPTY_BYTES;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The message when it is there; `bad` if it is none, or if something follows it. */
  receive(view: Uint8Array): Uint8Array | 'bad' | undefined {
    this.#bytes = concatBytes([this.#bytes, view]);
    if (this.#bytes.length < LENGTH_BYTES) return undefined;
    const length = readU32le(this.#bytes, 0);
    if (length > this.#bytesMax || this.#bytes.length > LENGTH_BYTES + length) return 'bad';
    return this.#bytes.length < LENGTH_BYTES + length
      ? undefined
      : this.#bytes.subarray(LENGTH_BYTES);
  }
}

function sized(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(LENGTH_BYTES);
  writeU32le(length, 0, bytes.length);
  return concatBytes([length, bytes]);
}

/**
 * The member's side, behind the proof: asks what the newcomer has to say, answers it and ends the connection. Answers
 * who receives what follows.
 */
export function hearIntroduction(
  system: System,
  connection: Connection,
  proof: Uint8Array,
  ended: { onClose: () => void },
  answer: (request: Uint8Array) => Uint8Array,
): (view: Uint8Array) => void {
  const request = new SizedMessage(REQUEST_BYTES_MAX);
  const deadline = system.deadlines.after(REQUEST_TIMEOUT_MS, () => connection.destroy());
  let isOver = false;
  ended.onClose = () => {
    isOver = true;
    system.deadlines.cancel(deadline);
  };
  connection.write(encodeAnswer({ kind: 'introduce', proof }));
  return (view) => {
    if (isOver) return;
    const message = request.receive(view);
    if (message === undefined) return;
    isOver = true;
    system.deadlines.cancel(deadline);
    if (message === 'bad') connection.destroy();
    else {
      connection.write(sized(answer(message)));
      connection.end();
    }
  };
}

export interface IntroductionOptions {
  readonly env: Environment;
  /** Of any member's links. */
  readonly to: Address;
  readonly token: string;
  readonly node: number;
  /** Of the application, as the systems of the cluster have them. */
  readonly protocols: readonly AnyProtocol[];
  /** At most 4 KiB. */
  readonly request: Uint8Array;
}

export type Introduced =
  | { readonly kind: 'answered'; readonly answer: Uint8Array }
  /** It will be the same the next time. */
  | { readonly kind: 'refused'; readonly why: RefusedFor; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** The newcomer's side. Never rejects; ends within 8 s. */
export function introduce(options: IntroductionOptions): Promise<Introduced> {
  const { env, to, request } = options;
  return new Promise((resolve) => {
    const connection = env.net.connect(to, { timeoutMs: CONNECT_TIMEOUT_MS });
    const handshake = handshakeOf(options);
    const answer = new SizedMessage(ANSWER_BYTES_MAX);
    let isHeard = false;
    let isOver = false;
    const end = (outcome: Introduced): void => {
      if (isOver) return;
      isOver = true;
      stopWaiting();
      connection.destroy();
      resolve(outcome);
    };
    const fail = (reason: string): void => end({ kind: 'failed', reason });
    const stopWaiting = env.timers.at(env.clock.monotonicMs() + WHOLE_TIMEOUT_MS, () =>
      fail('no answer in time'),
    );
    const shaken = (step: DialerStep): void => {
      if (step.kind === 'wait') {
        if (step.send.length > 0) connection.write(step.send);
      } else if (step.kind === 'heard') {
        isHeard = true;
        connection.write(sized(request));
      } else if (step.kind === 'failed' && step.isRefusal) {
        end({ kind: 'refused', why: step.why, reason: step.reason });
      } else fail(step.kind === 'failed' ? step.reason : 'the acceptor takes this for a link');
    };
    connection.start({
      onOpen: () => connection.write(handshake.greeting),
      onBytes(view) {
        if (isOver) return;
        if (!isHeard) {
          shaken(handshake.receive(view));
          return;
        }
        const message = answer.receive(view);
        if (message === 'bad') fail('the answer is malformed');
        else if (message !== undefined) end({ kind: 'answered', answer: message });
      },
      onClose: (error) => fail(error?.message ?? 'the other side closed the connection'),
    });
  });
}

function handshakeOf(options: IntroductionOptions): DialerHandshake {
  const { env, token, node } = options;
  const protocols = protocolsWith(options.protocols);
  return new DialerHandshake({
    isIntroduction: true,
    greeting: {
      clusterId: '',
      fromNode: node,
      fromIncarnation: 0,
      fromThread: 0,
      toNode: 0,
      toThread: 0,
      lane: 0,
      protocolsHash: protocolsHash(protocols),
      epoch: 0,
      nonce: env.unguessable(NONCE_BYTES),
    },
    token: encodeUtf8(token),
    protocols: () => listProtocols(protocols),
  });
}
