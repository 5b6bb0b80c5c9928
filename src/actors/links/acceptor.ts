// The handshake as the acceptor sees it (pure): bytes in, what to send next and how it ended out. Invariant: it reads
// no byte beyond the handshake, holds no more than a greeting of a stranger, and says nothing of itself but its
// cluster and version to who has not proved to know the token.
import { EMPTY_BYTES, readU32le } from '../../std/byte-ops.ts';
import { equalInConstantTime } from '../../std/sha256.ts';
import {
  decodeGreeting,
  encodeAnswer,
  GREETING_BYTES,
  type Greeting,
  PROOF_BYTES,
  proofOf,
  type RefusedFor,
  whyNoStart,
} from './handshake.ts';
import {
  decodeProtocolList,
  firstDifference,
  type ListedProtocol,
  PROTOCOL_LIST_BYTES_MAX,
} from './protocol-list.ts';

export interface AcceptorOptions {
  readonly clusterId: string;
  readonly token: Uint8Array;
  readonly node: number;
  readonly threadCount: number;
  readonly protocolsHash: number;
  /** Made only to say what differs. */
  readonly protocols: () => readonly ListedProtocol[];
  /** Newcomers may ask who the cluster is. */
  readonly introduces?: () => boolean;
  /** Never the same twice. */
  readonly nonce: Uint8Array;
}

export type AcceptorStep =
  | { readonly kind: 'wait'; readonly send: Uint8Array }
  | {
      /** `introduction`: who has proved to know the token has no cluster yet. */
      readonly kind: 'done' | 'introduction';
      readonly greeting: Greeting;
      /** For the welcome, or for the question what it has to say. */
      readonly proof: Uint8Array;
    }
  | {
      readonly kind: 'refused';
      /** For the log here, and in the words of the other side. */
      readonly reason: string;
      readonly told: string;
      readonly greeting: Greeting | undefined;
      readonly why: RefusedFor;
    };

const LENGTH_BYTES = 4;

export class AcceptorHandshake {
  readonly #options: AcceptorOptions;
  #head = new Uint8Array(GREETING_BYTES);
  #fill = 0;
  #greetingBytes: Uint8Array | undefined;
  #greeting: Greeting | undefined;
  #next: 'greeting' | 'proof' | 'length' | 'list' = 'greeting';

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  receive(view: Uint8Array): AcceptorStep {
    const count = Math.min(this.#head.length - this.#fill, view.length);
    this.#head.set(view.subarray(0, count), this.#fill);
    this.#fill += count;
    if (view.length > count && !this.#mayGoOn()) return this.#refuse('it spoke out of turn');
    if (this.#fill < this.#head.length) {
      const wrong =
        this.#next === 'greeting' ? whyNoStart(this.#head.subarray(0, this.#fill)) : undefined;
      return wrong === undefined ? { kind: 'wait', send: EMPTY_BYTES } : this.#refuse(wrong);
    }
    const read = this.#head;
    switch (this.#next) {
      case 'greeting':
        return this.#greeted(read);
      case 'proof':
        return this.#proved(read);
      case 'length': {
        const length = readU32le(read, 0);
        if (length === 0 || length > PROTOCOL_LIST_BYTES_MAX) {
          return this.#refuse(`a list of protocols of ${length} bytes`);
        }
        this.#read('list', length);
        const rest = view.subarray(count);
        return rest.length > 0 ? this.receive(rest) : { kind: 'wait', send: EMPTY_BYTES };
      }
      default:
        return this.#listed(read);
    }
  }

  /** Only the list follows its length at once. */
  #mayGoOn(): boolean {
    return this.#next === 'length';
  }

  #read(next: 'proof' | 'length' | 'list', bytes: number): void {
    this.#next = next;
    this.#head = new Uint8Array(bytes);
    this.#fill = 0;
  }

  #greeted(bytes: Uint8Array): AcceptorStep {
    const parsed = decodeGreeting(bytes);
    if (parsed.kind === 'bad') return this.#refuse(parsed.reason);
    const { clusterId, nonce } = this.#options;
    const greeting = parsed.value;
    this.#greeting = greeting;
    if (greeting.clusterId !== clusterId && !this.#isIntroduction()) {
      const told = `cluster ${clusterId} there, ${greeting.clusterId} here`;
      return this.#refuse(`cluster ${greeting.clusterId} there, ${clusterId} here`, told);
    }
    this.#greetingBytes = bytes;
    this.#read('proof', PROOF_BYTES);
    return { kind: 'wait', send: encodeAnswer({ kind: 'challenge', nonce }) };
  }

  #isIntroduction(): boolean {
    return this.#greeting?.clusterId === '' && this.#options.introduces?.() === true;
  }

  #proved(proof: Uint8Array): AcceptorStep {
    const { token, nonce, node, threadCount, protocolsHash } = this.#options;
    const greeting = this.#greeting!;
    const expected = proofOf('dialer', token, this.#greetingBytes!, nonce);
    if (!equalInConstantTime(proof, expected)) {
      const why = 'the token is wrong: it must be the same on all nodes of a cluster';
      return this.#refuse(why, why, 'token');
    }
    const isIntroduction = this.#isIntroduction();
    if (greeting.toNode !== node && !isIntroduction) {
      return this.#refuse(`this is node ${node}, not ${greeting.toNode}`);
    }
    if (greeting.toThread >= threadCount && !isIntroduction) {
      return this.#refuse(`there is no thread ${greeting.toThread} here`);
    }
    if (greeting.protocolsHash !== protocolsHash) {
      this.#read('length', LENGTH_BYTES);
      return { kind: 'wait', send: encodeAnswer({ kind: 'protocols-wanted' }) };
    }
    return {
      kind: isIntroduction ? 'introduction' : 'done',
      greeting,
      proof: proofOf('acceptor', token, this.#greetingBytes!, nonce),
    };
  }

  #listed(bytes: Uint8Array): AcceptorStep {
    const ours = this.#options.protocols();
    let theirs: readonly ListedProtocol[];
    try {
      theirs = decodeProtocolList(bytes);
    } catch {
      return this.#refuse('its list of protocols is malformed');
    }
    return this.#refuse(firstDifference(ours, theirs), firstDifference(theirs, ours), 'protocols');
  }

  #refuse(reason: string, told = reason, why: RefusedFor = 'other'): AcceptorStep {
    return { kind: 'refused', reason, told, greeting: this.#greeting, why };
  }
}
