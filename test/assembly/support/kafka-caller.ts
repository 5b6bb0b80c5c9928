// Kafka requests by hand over a real socket, one after another: what clients would try again is seen as it is answered.
import { connect, type Socket } from 'node:net';
import {
  type Api,
  KafkaCodec,
  type RequestInput,
  type ResponseOf,
  WireWriter,
} from '../../../src/protocols/kafka/codec/index.ts';

const PREFIX_BYTES = 4;

export class KafkaCaller {
  readonly #socket: Socket;
  readonly #codec = new KafkaCodec();
  #kept: Buffer = Buffer.alloc(0);
  #correlation = 0;
  #answer: ((frame: Buffer) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  constructor(at: { readonly host: string; readonly kafkaPort: number }) {
    this.#socket = connect(at.kafkaPort, at.host);
    this.#socket.on('data', (bytes) => this.#receive(bytes));
    this.#socket.on('error', (error) => this.#fail?.(error));
    this.#socket.on('close', () => this.#fail?.(new Error('the connection was closed')));
  }

  /** Calls wait for each other. */
  async call<A extends Api>(
    api: A,
    version: number,
    body: RequestInput<A>,
  ): Promise<ResponseOf<A>> {
    const writer = new WireWriter();
    this.#correlation += 1;
    this.#codec.encodeRequest(api, version, this.#correlation, 'caller', body, writer);
    const frame = await new Promise<Buffer>((resolve, reject) => {
      this.#answer = resolve;
      this.#fail = reject;
      this.#socket.write(writer.toBytes());
    });
    return this.#codec.decodeResponse(api, version, frame, 0, frame.length).body;
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    this.#kept = Buffer.concat([this.#kept, bytes]);
    if (this.#kept.length < PREFIX_BYTES) return;
    const end = PREFIX_BYTES + this.#kept.readInt32BE(0);
    if (this.#kept.length < end) return;
    const frame = this.#kept.subarray(PREFIX_BYTES, end);
    this.#kept = this.#kept.subarray(end);
    this.#answer?.(frame);
  }
}
