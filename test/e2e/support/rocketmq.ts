// RocketMQ's calls, made by hand: requests of our tables over Node's own HTTP/2 client, so that every byte of
// a call can be wrong on purpose.
import {
  type DecodedOf,
  decodeMessage,
  type EncodableOf,
  encodeMessage,
  type Message,
  type Rows,
} from '../../../src/protocols/rocketmq/grpc/proto/index.ts';
import { METHODS, type Method } from '../../../src/protocols/rocketmq/grpc/schema/methods.ts';
import { type Answer, answerOf, Client } from '../../env/node/grpc-client.ts';

export { METHODS };

type RequestOf<M> = M extends Method<infer Q, Rows> ? EncodableOf<Message<Q>> : never;
type ResponseOf<M> = M extends Method<Rows, infer R> ? DecodedOf<Message<R>> : never;

/** A message in gRPC's framing; whatever is not given is true. */
export function framed(body: Uint8Array, { flag = 0, size = body.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(size, 1);
  return Buffer.concat([prefix, body]);
}

/**
 * Where a message is stored, log and offset: a producer that did not hear an answer sends again, and one body may
 * be stored twice. Clients do not show the log; it is in the handle, behind its version.
 */
export function placeOf(receiptHandle: string): string {
  return Buffer.from(receiptHandle, 'base64url').subarray(1, 17).toString('hex');
}

export class RocketCaller {
  readonly client: Client;
  readonly #id: string;

  constructor(address: string, id: string) {
    const at = address.lastIndexOf(':');
    this.client = new Client({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
    this.#id = id;
  }

  /** The bytes of a whole request, framed or not as they are, and gRPC's answer to them. */
  raw(method: Method, bytes: Uint8Array, headers = {}): Promise<Answer> {
    return this.client.ask(method.path, bytes, { 'x-mq-client-id': this.#id, ...headers });
  }

  /** Every message of the answer to a true request. */
  async ask<M extends Method>(
    method: M,
    request: RequestOf<M>,
    headers = {},
  ): Promise<ResponseOf<M>[]> {
    const body = encodeMessage(method.request, request as EncodableOf<Message<Rows>>);
    const stream = this.client.start(method.path, { 'x-mq-client-id': this.#id, ...headers });
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    const answer = answerOf(stream);
    stream.end(framed(body));
    const { status, text } = await answer;
    if (status !== 0) throw new Error(`${method.name} ended with ${status}: ${text}`);
    return bodiesOf(Buffer.concat(parts)).map(
      (bytes) => decodeMessage(method.response, bytes) as ResponseOf<M>,
    );
  }

  /** RocketMQ's code of the first message. */
  async codeOf<M extends Method>(
    method: M,
    request: RequestOf<M>,
    headers = {},
  ): Promise<number | undefined> {
    const [first] = await this.ask(method, request, headers);
    return (first as { readonly status?: { readonly code: number } } | undefined)?.status?.code;
  }

  async send(topic: string, body: string): Promise<number | undefined> {
    const systemProperties = { messageId: `id-${body}`, messageType: 1 };
    const message = { topic: { name: topic }, body: Buffer.from(body), systemProperties };
    return this.codeOf(METHODS.sendMessage, { messages: [message] });
  }

  /** Receipt handles by body, of messages of any queue; it waits a moment for the first. */
  async receive(topic: string, group: string, invisibleSec = 600): Promise<Map<string, string>> {
    const answers = await this.ask(METHODS.receiveMessage, {
      group: { name: group },
      messageQueue: { topic: { name: topic }, broker: { name: '' } },
      filterExpression: { type: 1, expression: '*' },
      batchSize: 32,
      invisibleDuration: { seconds: invisibleSec },
      longPollingTimeout: { seconds: 2 },
    });
    const found = new Map<string, string>();
    for (const { message } of answers) {
      if (message === undefined) continue;
      const handle = message.systemProperties?.receiptHandle ?? '';
      found.set(Buffer.from(message.body).toString(), handle);
    }
    return found;
  }

  /** The code of each entry of an acknowledgement. */
  async acknowledge(topic: string, group: string, handles: readonly string[]): Promise<number[]> {
    const [answer] = await this.ask(METHODS.ackMessage, {
      topic: { name: topic },
      group: { name: group },
      entries: handles.map((receiptHandle) => ({ messageId: 'any', receiptHandle })),
    });
    return answer!.entries.map(({ status }) => status?.code ?? -1);
  }

  close(): void {
    this.client.close();
  }
}

function bodiesOf(bytes: Buffer): Buffer[] {
  const bodies: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    bodies.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return bodies;
}
