// HTTP/1.1 as the admin room needs it: small requests with whole bodies. Framing, limits and
// timeouts belong to the implementation in env/node; the simulator serves no HTTP.
import type { Address, Listener } from './environment.ts';

export interface HttpRequest {
  readonly method: string;
  /** Decoded path without the query, starting with '/'. */
  readonly path: string;
  /** The parts of the path between its slashes, each decoded for itself: a name may have slashes. */
  readonly parts: readonly string[];
  readonly query: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  readonly remote: string;
  /** The header of this name. */
  readonly authorization?: string;
}

export interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  /** In pieces it is sent at the pace of the client; the iteration is ended when that goes away. */
  readonly body: Uint8Array | string | AsyncIterable<Uint8Array>;
}

export interface HttpServer {
  /** `handle` may reject: the client then gets status 500 with a JSON error. */
  serve(at: Address, handle: (request: HttpRequest) => Promise<HttpResponse>): Promise<Listener>;
}
