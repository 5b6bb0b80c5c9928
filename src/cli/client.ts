// The admin API from the outside: tries the nodes in order until one answers, and turns its errors into
// exit codes. A request that may have done something is not repeated on another node.
import http from 'node:http';
import https from 'node:https';
import type {
  ApiActors,
  ApiDestinations,
  ApiError,
  ApiMessages,
  ApiMessagesQuery,
  ApiProduce,
  ApiProduced,
  ApiStatus,
} from '../admin/api-types.ts';
import { CliFailure, EXIT } from './failure.ts';

const ANSWER_TIMEOUT_MS = 10_000;

export class AdminClient {
  readonly #urls: readonly string[];

  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  status(): Promise<ApiStatus> {
    return this.#call('/api/status');
  }

  destinations(): Promise<ApiDestinations> {
    return this.#call('/api/destinations');
  }

  /** Of one node or of all; answered when it was looked at for so long. */
  actors(node: number | undefined, sampleMs: number): Promise<ApiActors> {
    const of = node === undefined ? '' : `&node=${node}`;
    return this.#call(`/api/actors?sampleMs=${sampleMs}${of}`, undefined, sampleMs);
  }

  produce(name: string, message: ApiProduce): Promise<ApiProduced> {
    return this.#call(`/api/destinations/${encodeURIComponent(name)}/messages`, message);
  }

  messages(name: string, query: ApiMessagesQuery): Promise<ApiMessages> {
    const words = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) words.set(key, String(value));
    }
    const path = `/api/destinations/${encodeURIComponent(name)}/messages?${words}`;
    return this.#call(path, undefined, query.waitMs ?? 0);
  }

  async #call<T>(path: string, body?: object, waitMs = 0): Promise<T> {
    let last: unknown;
    for (const url of this.#urls) {
      let answer: Answer;
      try {
        answer = await ask(new URL(url + path), body, ANSWER_TIMEOUT_MS + waitMs);
      } catch (error) {
        last = error;
        // Only a connection that was never made proves that nothing happened there.
        if (body === undefined || codeOf(error) === 'ECONNREFUSED') continue;
        break;
      }
      return parsed<T>(answer, url + path);
    }
    throw new CliFailure(`no node answers: ${codeOf(last) ?? (last as Error).message}`, {
      exitCode: EXIT.unreachable,
      code: 'CLI_UNREACHABLE',
      hint: `Tried ${this.#urls.join(', ')}. Is the cluster running?`,
      cause: last,
    });
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One request. Not `fetch`, which refuses a list of port numbers that our nodes may well have. */
function ask(url: URL, body: object | undefined, timeoutMs: number): Promise<Answer> {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(timeoutMs),
      agent: false,
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
      );
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function codeOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException).code;
  if (typeof code === 'string') return code;
  // Both loopback addresses were tried and each failed.
  return error instanceof AggregateError ? codeOf(error.errors[0]) : undefined;
}

const EXIT_OF_STATUS: Readonly<Record<number, number>> = {
  400: EXIT.usage,
  401: EXIT.denied,
  403: EXIT.denied,
  404: EXIT.notFound,
  421: EXIT.denied,
  503: EXIT.unreachable,
  504: EXIT.unreachable,
};

function parsed<T>({ status, text }: Answer, url: string): T {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new CliFailure(`${url} answered ${status} and no JSON`, {
      exitCode: EXIT.failure,
      code: 'CLI_NOT_A_NODE',
      hint: 'Is this the HTTP port of a Callboard node?',
    });
  }
  if (status >= 200 && status < 300) return body as T;
  const error = (body as Partial<ApiError>).error;
  throw new CliFailure(error?.message ?? `${url} answered ${status}`, {
    exitCode: EXIT_OF_STATUS[status] ?? EXIT.failure,
    code: error?.code ?? `HTTP_${status}`,
  });
}
