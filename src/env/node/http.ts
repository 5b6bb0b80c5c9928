// The admin listener's HTTP over node:http: whole bodies up to a limit, deadlines on headers and
// requests, and no keep-alive state that outlives its use. What a browser may be misled to send is refused.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Address, Listener, Log } from '../environment.ts';
import type { HttpRequest, HttpResponse, HttpServer } from '../http.ts';
import { DescriptorWatch } from './descriptors.ts';
import { isOwnHost } from './http-host.ts';

export interface HttpServerOptions {
  readonly log: Log;
  /** Names by which the node may be asked, besides `localhost` and addresses. */
  readonly names: readonly string[];
}

const BODY_BYTES_MAX = 4 * 1024 * 1024;
const CONNECTIONS_MAX = 256;

function collect(request: IncomingMessage): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    request.on('data', (part: Buffer) => {
      size += part.length;
      if (size > BODY_BYTES_MAX) {
        request.pause();
        resolve(undefined);
        return;
      }
      parts.push(part);
    });
    request.on('end', () => resolve(Buffer.concat(parts)));
    request.on('error', reject);
  });
}

async function send(response: ServerResponse, answer: HttpResponse): Promise<void> {
  const { body } = answer;
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  if (typeof body === 'string' || body instanceof Uint8Array) response.end(body);
  // Ends the iteration when the client is gone, and destroys the response when the iteration fails.
  else await pipeline(Readable.from(body, { objectMode: false }), response);
}

/** The shape of every error of the HTTP API: a stable code and a sentence. */
function problem(status: number, code: string, message: string): HttpResponse {
  return {
    status,
    contentType: 'application/json',
    body: `${JSON.stringify({ error: { code, message } })}\n`,
  };
}

/** A page of another site that the person at this machine has open: loopback alone keeps it not out. */
function isForeign(request: IncomingMessage): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}

async function answer(
  request: IncomingMessage,
  names: readonly string[],
  handle: (request: HttpRequest) => Promise<HttpResponse>,
): Promise<HttpResponse> {
  const { host } = request.headers;
  // Only a client of HTTP/1.0 may leave it out, and no browser is one.
  if (host !== undefined && !isOwnHost(host, names)) {
    const message = `this node is not called ${host}: use its address, localhost, or the host it was started with`;
    return problem(421, 'HTTP_UNKNOWN_HOST', message);
  }
  if (isForeign(request)) {
    return problem(403, 'HTTP_FOREIGN_ORIGIN', 'pages of other origins may not ask here');
  }
  const body = await collect(request);
  if (body === undefined)
    return problem(413, 'HTTP_BODY_TOO_LARGE', `a body may have ${BODY_BYTES_MAX} bytes`);
  const { authorization } = request.headers;
  let url: URL;
  let path: string;
  let parts: string[];
  try {
    url = new URL(request.url ?? '/', 'http://node');
    path = decodeURIComponent(url.pathname);
    parts = url.pathname.slice(1).split('/').map(decodeURIComponent);
  } catch {
    return problem(400, 'HTTP_BAD_URL', 'the request line is not a valid URL');
  }
  return handle({
    method: request.method ?? 'GET',
    path,
    parts,
    query: new Map(url.searchParams),
    body,
    remote: request.socket.remoteAddress ?? '',
    ...(authorization === undefined ? {} : { authorization }),
  });
}

function internal(log: Log, request: IncomingMessage, error: unknown): HttpResponse {
  // The path without its query: what is asked for stays with who asks.
  const path = request.url?.split('?')[0];
  log.error('an HTTP request failed', { method: request.method, path, error });
  return problem(500, 'HTTP_INTERNAL', error instanceof Error ? error.message : String(error));
}

/** An HttpServer over node:http. */
export function createHttpServer({ log, names }: HttpServerOptions): HttpServer {
  const descriptors = new DescriptorWatch(log);
  return {
    serve(at: Address, handle): Promise<Listener> {
      const server = createServer({ headersTimeout: 10_000, requestTimeout: 40_000 });
      server.maxConnections = CONNECTIONS_MAX;
      server.on('request', (request, response) => {
        answer(request, names, handle)
          .catch((error: unknown) => internal(log, request, error))
          .then((result) => send(response, result))
          .catch((error: unknown) => {
            // Who went away is no failure of ours; a body that broke off is, and its status has been said already.
            const { code } = error as { readonly code?: unknown };
            if (code !== 'ERR_STREAM_PREMATURE_CLOSE') internal(log, request, error);
            response.destroy();
          });
      });
      server.on('clientError', (_error, socket) => {
        if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
        else socket.destroy();
      });
      return new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(at.port, at.host, () => {
          server.removeListener('error', reject);
          // Without a listener an error would end the process.
          server.on('error', (error) => descriptors.failed(at, error));
          const bound = server.address() as AddressInfo;
          resolve({
            address: { host: bound.address, port: bound.port },
            close() {
              server.close();
              server.closeAllConnections();
            },
          });
        });
      });
    },
  };
}
