// A gRPC client of node:http2's own client, so that nothing of ours is on both ends and every byte of a call
// can be wrong on purpose.
import http2 from 'node:http2';
import type { Address } from '../../../src/env/environment.ts';

export interface Answer {
  /** Of HTTP. */
  readonly httpStatus: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly messages: readonly string[];
  /** grpc-status, -1 if there was none. */
  readonly status: number;
  /** grpc-message, decoded. */
  readonly text: string;
  /** Of HTTP/2, when the stream was reset. */
  readonly resetCode: number;
}

export function frame(message: string | Uint8Array, flag = 0): Buffer {
  const body = Buffer.from(message);
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

export function messagesOf(body: Buffer): string[] {
  const messages: string[] = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    messages.push(body.toString('utf8', at + 5, end));
    at = end;
  }
  return messages;
}

export class Client {
  readonly session: http2.ClientHttp2Session;
  readonly closed: Promise<void>;

  constructor(to: Address, options: http2.ClientSessionOptions = {}) {
    this.session = http2.connect(`http://${to.host}:${to.port}`, options);
    this.session.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.session.once('close', () => resolve()));
  }

  start(path: string, headers: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', () => undefined);
    return stream;
  }

  /** Sends `body` as the whole request and gives what came back. */
  ask(path: string, body: Uint8Array, headers: http2.OutgoingHttpHeaders = {}): Promise<Answer> {
    const stream = this.start(path, headers);
    const answer = answerOf(stream);
    stream.end(body);
    return answer;
  }

  close(): void {
    this.session.destroy();
  }
}

export function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let headers: http2.IncomingHttpHeaders = {};
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on('response', (received) => {
      headers = received;
    });
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('close', () => {
      const status = trailers['grpc-status'] ?? headers['grpc-status'];
      const text = trailers['grpc-message'] ?? headers['grpc-message'] ?? '';
      resolve({
        httpStatus: Number(headers[':status'] ?? 0),
        headers,
        messages: messagesOf(Buffer.concat(parts)),
        status: status === undefined ? -1 : Number(status),
        text: decodeURIComponent(String(text)),
        resetCode: stream.rstCode ?? 0,
      });
    });
  });
}
