// One connection of a simulated Kafka client to one broker: frames, correlation, time-outs. Knows the wire
// and nothing of topics. A call that fails says whether its request may have reached the broker.
import type { Address, Connection, Environment } from '../../env/environment.ts';
import {
  type Api,
  type KafkaCodec,
  type RequestInput,
  type ResponseOf,
  WireWriter,
} from '../../protocols/kafka/codec/index.ts';
import { concatBytes, readU32 } from '../../std/bytes.ts';

const PREFIX_BYTES = 4;
const CONNECT_TIMEOUT_MS = 1_500;

/** A call without an answer. */
export class CallFailedError extends Error {
  /** False only if the request cannot have left this client. */
  readonly isSent: boolean;

  constructor(message: string, isSent: boolean) {
    super(message);
    this.name = 'CallFailedError';
    this.isSent = isSent;
  }
}

interface Pending {
  readonly decode: (frame: Uint8Array) => void;
  readonly fail: (error: CallFailedError) => void;
}

export class KafkaConnection {
  readonly #env: Environment;
  readonly #clientId: string;
  readonly #codec: KafkaCodec;
  readonly #connection: Connection;
  readonly #pending = new Map<number, Pending>();
  #kept = new Uint8Array(0);
  #nextCorrelation = 1;
  #isOpen = false;
  #isClosed = false;

  constructor(env: Environment, clientId: string, codec: KafkaCodec, to: Address) {
    this.#env = env;
    this.#clientId = clientId;
    this.#codec = codec;
    this.#connection = env.net.connect(to, { timeoutMs: CONNECT_TIMEOUT_MS });
    this.#connection.start({
      onOpen: () => {
        this.#isOpen = true;
      },
      onBytes: (view) => this.#receive(view),
      onClose: () => this.#closed(),
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Rejects with {@link CallFailedError}; a time-out closes the connection, as its order is lost. */
  call<A extends Api>(
    api: A,
    version: number,
    body: RequestInput<A>,
    timeoutMs: number,
  ): Promise<ResponseOf<A>> {
    if (this.#isClosed)
      return Promise.reject(new CallFailedError('the connection is closed', false));
    const correlationId = this.#nextCorrelation;
    this.#nextCorrelation += 1;
    const writer = new WireWriter();
    this.#codec.encodeRequest(api, version, correlationId, this.#clientId, body, writer);
    for (const segment of writer.segments()) {
      if (!(segment instanceof Uint8Array))
        throw new Error('a client sends its records in the frame');
      this.#connection.write(segment.slice());
    }
    return new Promise((resolve, reject) => {
      const cancel = this.#env.timers.at(this.#env.clock.monotonicMs() + timeoutMs, () => {
        this.#connection.destroy();
        this.#closed();
      });
      this.#pending.set(correlationId, {
        decode: (frame) => {
          cancel();
          resolve(this.#codec.decodeResponse(api, version, frame, 0, frame.length).body);
        },
        fail: (error) => {
          cancel();
          reject(error);
        },
      });
    });
  }

  close(): void {
    this.#connection.destroy();
    this.#closed();
  }

  #receive(view: Uint8Array): void {
    const all = concatBytes([this.#kept, view]);
    let at = 0;
    while (all.length - at >= PREFIX_BYTES) {
      const end = at + PREFIX_BYTES + readU32(all, at);
      if (end > all.length) break;
      const frame = all.slice(at + PREFIX_BYTES, end);
      at = end;
      const pending = this.#pending.get(readU32(frame, 0));
      this.#pending.delete(readU32(frame, 0));
      if (pending === undefined)
        throw new Error(`${this.#clientId}: an answer that nobody asked for`);
      pending.decode(frame);
    }
    this.#kept = all.slice(at);
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { fail } of pending) {
      fail(new CallFailedError('the connection ended', this.#isOpen));
    }
  }
}
