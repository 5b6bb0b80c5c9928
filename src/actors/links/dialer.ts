// The handshake as the dialer sees it (pure): bytes in, what to send next and how it ended out. Invariant: nothing is
// told to an acceptor that it did not ask for in its turn, and no link is open without its proof.
import { EMPTY_BYTES, writeU32le } from '../../std/byte-ops.ts';
import { equalInConstantTime } from '../../std/sha256.ts';
import {
  ANSWER_BYTES,
  type Answer,
  decodeAnswer,
  encodeGreeting,
  type Greeting,
  isOfLinks,
  proofOf,
  type RefusedFor,
  twiceProofOf,
  whyNoStart,
} from './handshake.ts';
import { encodeProtocolList, type ListedProtocol } from './protocol-list.ts';

export interface DialerOptions {
  readonly greeting: Greeting;
  readonly token: Uint8Array;
  /** Made only if the acceptor wants to know what differs. */
  readonly protocols: () => readonly ListedProtocol[];
  /** The greeting has no cluster id, and asks for one (introduction.ts). */
  readonly isIntroduction?: boolean;
}

export type DialerStep =
  | { readonly kind: 'wait'; readonly send: Uint8Array }
  | {
      readonly kind: 'open';
      readonly incarnation: number;
      readonly creditBytes: number;
      /** What came behind the handshake; a view of what was received. */
      readonly rest: Uint8Array;
    }
  /** Of an introduction: the acceptor has proved to know the token, and listens. */
  | { readonly kind: 'heard' }
  /** `isRefusal`: it will be the same the next time, until somebody changes something. */
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly isRefusal: boolean;
      /** This node is there already, in another life: only if the acceptor has proved to know a token. */
      readonly isTwice: boolean;
      readonly why: RefusedFor;
    };

/** Less than a few messages is no window, and more than this is no peer of ours. */
const CREDIT_MIN = 1024;
const CREDIT_MAX = 1024 * 1024 * 1024;

export class DialerHandshake {
  /** To be sent first. */
  readonly greeting: Uint8Array;
  readonly #options: DialerOptions;
  readonly #answer = new Uint8Array(ANSWER_BYTES);
  #fill = 0;
  /** The acceptor's; undefined until it has challenged. */
  #nonce: Uint8Array | undefined;
  #hasListed = false;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.greeting = encodeGreeting(options.greeting);
  }

  receive(view: Uint8Array): DialerStep {
    const count = Math.min(ANSWER_BYTES - this.#fill, view.length);
    this.#answer.set(view.subarray(0, count), this.#fill);
    this.#fill += count;
    if (this.#fill < ANSWER_BYTES) {
      const wrong = whyNoStart(this.#answer.subarray(0, this.#fill));
      return wrong === undefined ? { kind: 'wait', send: EMPTY_BYTES } : this.#misread(wrong);
    }
    const parsed = decodeAnswer(this.#answer);
    if (parsed.kind === 'bad') return this.#misread(parsed.reason);
    this.#fill = 0;
    const rest = view.subarray(count);
    const step = this.#answered(parsed.value, rest);
    if (step.kind === 'wait' && rest.length > 0) return failed('the acceptor spoke out of turn');
    return step;
  }

  /** No answer that this version reads: of another version, or of somebody else. */
  #misread(reason: string): DialerStep {
    const isOurs = isOfLinks(this.#answer.subarray(0, this.#fill));
    this.#fill = 0;
    return refused(reason, false, isOurs ? 'protocols' : 'other');
  }

  #answered(answer: Answer, rest: Uint8Array): DialerStep {
    const { token, protocols } = this.#options;
    if (answer.kind === 'refused') {
      const isTwice = this.#isProvedTwice(answer.twiceProof);
      return refused(`refused: ${answer.reason}`, isTwice, answer.why);
    }
    if (answer.kind === 'challenge') {
      if (this.#nonce !== undefined) return failed('the acceptor challenged twice');
      this.#nonce = answer.nonce;
      return { kind: 'wait', send: proofOf('dialer', token, this.greeting, answer.nonce) };
    }
    if (this.#nonce === undefined) return failed('the acceptor did not challenge');
    if (answer.kind === 'protocols-wanted') {
      if (this.#hasListed) return failed('the acceptor wants the protocols twice');
      this.#hasListed = true;
      const list = encodeProtocolList(protocols());
      const send = new Uint8Array(4 + list.length);
      writeU32le(send, 0, list.length);
      send.set(list, 4);
      return { kind: 'wait', send };
    }
    const { proof } = answer;
    if (!equalInConstantTime(proof, this.#acceptorProof(this.#nonce))) {
      return refused('the other side does not know the token');
    }
    const { isIntroduction = false } = this.#options;
    if ((answer.kind === 'introduce') !== isIntroduction) {
      return failed('the acceptor takes this for another kind of greeting');
    }
    if (answer.kind === 'introduce') return { kind: 'heard' };
    const { incarnation, creditBytes } = answer;
    if (creditBytes < CREDIT_MIN || creditBytes > CREDIT_MAX) {
      return refused(`a window of ${creditBytes} bytes`);
    }
    return { kind: 'open', incarnation, creditBytes, rest };
  }

  #acceptorProof(nonce: Uint8Array): Uint8Array {
    return proofOf('acceptor', this.#options.token, this.greeting, nonce);
  }

  /**
   * Whoever has taken the port of a peer that is down can say "twice", and it would end this node: nobody is believed
   * without a proof. Where there is no token, nobody has one.
   */
  #isProvedTwice(twiceProof: Uint8Array | undefined): boolean {
    const { token } = this.#options;
    if (twiceProof === undefined || this.#nonce === undefined || token.length === 0) return false;
    return equalInConstantTime(twiceProof, twiceProofOf(token, this.#acceptorProof(this.#nonce)));
  }
}

function failed(reason: string): DialerStep {
  return { kind: 'failed', reason, isRefusal: false, isTwice: false, why: 'other' };
}

function refused(reason: string, isTwice = false, why: RefusedFor = 'other'): DialerStep {
  return { kind: 'failed', reason, isRefusal: true, isTwice, why };
}
