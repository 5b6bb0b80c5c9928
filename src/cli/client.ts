// The admin API from the outside: tries the nodes in order until one answers, and turns its errors into
// exit codes. A request that may have done something is not repeated on another node.
import type {
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
      let response: Response;
      try {
        response = await fetch(url + path, {
          signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS + waitMs),
          ...(body === undefined ? {} : post(body)),
        });
      } catch (error) {
        last = error;
        // Only a connection that was never made proves that nothing happened there.
        if (body === undefined || causeCode(error) === 'ECONNREFUSED') continue;
        break;
      }
      return await parsed<T>(response, url + path);
    }
    throw new CliFailure(`no node answers: ${causeText(last)}`, {
      exitCode: EXIT.unreachable,
      code: 'CLI_UNREACHABLE',
      hint: `Tried ${this.#urls.join(', ')}. Is the cluster running?`,
      cause: last,
    });
  }
}

function post(body: object): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

function causeCode(error: unknown): string | undefined {
  return ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;
}

function causeText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return causeCode(error) ?? error.message;
}

const EXIT_OF_STATUS: Readonly<Record<number, number>> = {
  400: EXIT.usage,
  401: EXIT.denied,
  403: EXIT.denied,
  404: EXIT.notFound,
  503: EXIT.unreachable,
  504: EXIT.unreachable,
};

async function parsed<T>(response: Response, url: string): Promise<T> {
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new CliFailure(`${url} answered ${response.status} and no JSON`, {
      exitCode: EXIT.failure,
      code: 'CLI_NOT_A_NODE',
      hint: 'Is this the HTTP port of a Callboard node?',
    });
  }
  if (response.ok) return body as T;
  const error = (body as Partial<ApiError>).error;
  throw new CliFailure(error?.message ?? `${url} answered ${response.status}`, {
    exitCode: EXIT_OF_STATUS[response.status] ?? EXIT.failure,
    code: error?.code ?? `HTTP_${response.status}`,
  });
}
