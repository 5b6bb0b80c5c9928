// The admin API from the outside: tries the nodes in order until one answers, and turns its errors into
// exit codes. A request that may have done something is not repeated on another node.
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type {
  ApiActors,
  ApiCluster,
  ApiDestinations,
  ApiElect,
  ApiError,
  ApiFindQuery,
  ApiInspection,
  ApiManagementError,
  ApiMessages,
  ApiMessagesQuery,
  ApiNode,
  ApiPermission,
  ApiPolicy,
  ApiProduce,
  ApiProduced,
  ApiReassign,
  ApiReplicas,
  ApiStatus,
  ApiTopic,
  ApiTopicWish,
  ApiUser,
  ApiUserWish,
  ApiVhost,
} from '../admin/api-types.ts';
import { CliFailure, EXIT, exitCodeOfCode, usageFailure } from './failure.ts';

const ANSWER_TIMEOUT_MS = 10_000;

export class AdminClient {
  readonly #urls: readonly string[];

  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  status(): Promise<ApiStatus> {
    return this.#call('/api/status');
  }

  cluster(): Promise<ApiCluster> {
    return this.#call('/api/cluster');
  }

  elect(wish: ApiElect): Promise<ApiCluster> {
    return this.#call('/api/cluster/elect', wish);
  }

  reassign(wish: ApiReassign): Promise<ApiCluster> {
    return this.#call('/api/cluster/reassign', wish);
  }

  drainNode(node: number, cancel: boolean): Promise<ApiCluster> {
    return this.#call(`/api/cluster/nodes/${node}/drain`, { cancel });
  }

  removeNode(node: number): Promise<ApiCluster> {
    return this.#call(`/api/cluster/nodes/${node}/remove`, {});
  }

  rebalance(): Promise<ApiCluster> {
    return this.#call('/api/cluster/rebalance', {});
  }

  setSetting(name: string, value: string | null): Promise<ApiCluster> {
    return this.#call('/api/cluster/settings', { name, value });
  }

  destinations(): Promise<ApiDestinations> {
    return this.#call('/api/destinations');
  }

  /** Of the node that answers, by name. */
  counters(): Promise<Readonly<Record<string, number>>> {
    return this.#call('/api/counters');
  }

  /** Of one node or of all; answered when it was looked at for so long. */
  actors(node: number | undefined, sampleMs: number): Promise<ApiActors> {
    const of = node === undefined ? '' : `&node=${node}`;
    return this.#call(`/api/actors?sampleMs=${sampleMs}${of}`, undefined, sampleMs);
  }

  topic(name: string): Promise<ApiTopic> {
    return this.#call(topicPath(name));
  }

  replicas(name: string): Promise<ApiReplicas> {
    return this.#call(`${topicPath(name)}/replicas`);
  }

  createTopic(name: string, wish: ApiTopicWish): Promise<ApiTopic> {
    return this.#call(topicPath(name), wish, 0, undefined, 'PUT');
  }

  configureTopic(name: string, config: ApiTopicWish['config'] & {}): Promise<ApiTopic> {
    return this.#call(topicPath(name), { config }, 0, undefined, 'PATCH');
  }

  policies(): Promise<readonly ApiPolicy[]> {
    return this.#call('/api/policies');
  }

  policy(name: string): Promise<ApiPolicy> {
    return this.#call(policyPath(name));
  }

  async putPolicy(
    name: string,
    policy: Omit<ApiPolicy, 'vhost' | 'name' | 'notes'>,
  ): Promise<void> {
    await this.#call(policyPath(name), policy, 0, undefined, 'PUT');
  }

  async deletePolicy(name: string): Promise<void> {
    await this.#call(policyPath(name), undefined, 0, undefined, 'DELETE');
  }

  users(): Promise<readonly ApiUser[]> {
    return this.#call('/api/users');
  }

  user(name: string): Promise<ApiUser> {
    return this.#call(pathOf('users', name));
  }

  async putUser(name: string, user: ApiUserWish): Promise<void> {
    await this.#call(pathOf('users', name), user, 0, undefined, 'PUT');
  }

  async deleteUser(name: string): Promise<void> {
    await this.#call(pathOf('users', name), undefined, 0, undefined, 'DELETE');
  }

  vhosts(): Promise<readonly ApiVhost[]> {
    return this.#call('/api/vhosts');
  }

  async putVhost(name: string): Promise<void> {
    await this.#call(pathOf('vhosts', name), {}, 0, undefined, 'PUT');
  }

  async deleteVhost(name: string): Promise<void> {
    await this.#call(pathOf('vhosts', name), undefined, 0, undefined, 'DELETE');
  }

  permissions(): Promise<readonly ApiPermission[]> {
    return this.#call('/api/permissions');
  }

  async putPermission({ user, vhost, configure, write, read }: ApiPermission): Promise<void> {
    const patterns = { configure, write, read };
    await this.#call(pathOf('permissions', vhost, user), patterns, 0, undefined, 'PUT');
  }

  async deletePermission(user: string, vhost: string): Promise<void> {
    await this.#call(pathOf('permissions', vhost, user), undefined, 0, undefined, 'DELETE');
  }

  produce(name: string, message: ApiProduce): Promise<ApiProduced> {
    return this.#call(`/api/destinations/${encodeURIComponent(name)}/messages`, message);
  }

  messages(name: string, query: ApiMessagesQuery | ApiFindQuery): Promise<ApiMessages> {
    const words = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) words.set(key, String(value));
    }
    const path = `/api/destinations/${encodeURIComponent(name)}/messages?${words}`;
    return this.#call(path, undefined, 'waitMs' in query ? query.waitMs : 0);
  }

  /**
   * A client of one node alone, by the address that the cluster has for it.
   *
   * @throws CliFailure if there is no such live node, or no id and more than one node.
   */
  async atNode(
    id: number | undefined,
  ): Promise<{ readonly node: number; readonly client: AdminClient }> {
    const { nodes } = await this.status();
    if (id === undefined && nodes.length !== 1) {
      throw usageFailure(`the cluster has ${nodes.length} nodes: name one with --node`);
    }
    const node = id === undefined ? nodes[0] : nodes.find((each) => each.id === id);
    if (node === undefined || !node.isLive) {
      throw new CliFailure(`no live node ${id ?? node?.id}`, {
        exitCode: EXIT.notFound,
        code: 'CLI_NO_NODE',
        hint: `Nodes: ${nodes.map((each) => each.id).join(', ')}. \`callboard status\` tells who is live.`,
      });
    }
    return { node: node.id, client: this.of(node) };
  }

  /** A client of this node alone. */
  of(node: Pick<ApiNode, 'host' | 'httpPort'>): AdminClient {
    const host = node.host.includes(':') ? `[${node.host}]` : node.host;
    // As the nodes that were named are asked.
    const scheme = this.#urls[0]?.startsWith('https:') === true ? 'https' : 'http';
    return new AdminClient([`${scheme}://${host}:${node.httpPort}`]);
  }

  /** Asks for something large and writes it. Answers how many bytes; `silenceMs` is how long the node may say nothing. */
  async download(path: string, out: Writable, silenceMs: number): Promise<number> {
    const url = new URL(this.#urls[0] + path);
    const response = await open(url, { silenceMs });
    if (response.statusCode !== 200) {
      return parsed({ status: response.statusCode ?? 0, text: await textOf(response) }, url.href);
    }
    let bytes = 0;
    response.on('data', (part: Buffer) => {
      bytes += part.length;
    });
    try {
      await pipeline(response, out);
    } catch (error) {
      throw unreachable([url.href], error);
    }
    return bytes;
  }

  /** What the threads of one node or of all are doing; answered when it was looked at for so long. */
  inspection(
    node: number | undefined,
    sampleMs: number,
    signal?: AbortSignal,
  ): Promise<ApiInspection> {
    const of = node === undefined ? '' : `&node=${node}`;
    return this.#call(`/api/inspection?sampleMs=${sampleMs}${of}`, undefined, sampleMs, signal);
  }

  async #call<T>(
    path: string,
    body?: object,
    waitMs = 0,
    signal?: AbortSignal,
    method: Method = body === undefined ? 'GET' : 'POST',
  ): Promise<T> {
    let last: unknown;
    for (const url of this.#urls) {
      let answer: Answer;
      try {
        const timeoutMs = ANSWER_TIMEOUT_MS + waitMs;
        const options = { timeoutMs, method, ...(signal && { signal }) };
        answer = await ask(new URL(url + path), body, options);
      } catch (error) {
        last = error;
        // Only a connection that was never made proves that nothing happened there.
        if (method === 'GET' || codeOf(error) === 'ECONNREFUSED') continue;
        break;
      }
      return parsed<T>(answer, url + path);
    }
    throw unreachable(this.#urls, last);
  }
}

/** The door of a process that has called `system.inspect()`. */
export class InspectionClient {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  /** @throws CliFailure if that is no URL of HTTP, or no token can be so. */
  constructor(url: string, token: string | undefined) {
    const text = /^[a-z]+:\/\//i.test(url) ? url : `http://${url}`;
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      throw usageFailure(
        `${JSON.stringify(url)} is not a URL`,
        'As --attach http://127.0.0.1:PORT',
      );
    }
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
      throw usageFailure('the token has characters that cannot be sent');
    }
    this.#url = new URL(text).origin;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  async inspection(sampleMs: number, signal?: AbortSignal): Promise<ApiInspection> {
    const url = new URL(`${this.#url}/inspection?sampleMs=${sampleMs}`);
    const timeoutMs = ANSWER_TIMEOUT_MS + sampleMs;
    let answer: Answer;
    try {
      answer = await ask(url, undefined, {
        timeoutMs,
        headers: this.#headers,
        ...(signal && { signal }),
      });
    } catch (cause) {
      const why = codeOf(cause) ?? (cause as Error).message;
      throw new CliFailure(`nothing answers at ${this.#url}: ${why}`, {
        exitCode: EXIT.unreachable,
        code: 'CLI_UNREACHABLE',
        hint: 'Is the process alive, and has it called system.inspect()?',
        cause,
      });
    }
    const seen = parsed<ApiInspection>(answer, url.href);
    if (seen.version === 1 && Array.isArray(seen.threads)) return seen;
    throw new CliFailure(`${this.#url} answers, but not as this version of callboard does`, {
      exitCode: EXIT.failure,
      code: 'CLI_NOT_A_DOOR',
      hint: 'Use the callboard of the version that the process uses.',
    });
  }
}

function unreachable(urls: readonly string[], cause: unknown): CliFailure {
  return new CliFailure(`no node answers: ${codeOf(cause) ?? (cause as Error).message}`, {
    exitCode: EXIT.unreachable,
    code: 'CLI_UNREACHABLE',
    hint: `Tried ${urls.join(', ')}. Is the cluster running?`,
    cause,
  });
}

function topicPath(name: string): string {
  return `/api/topics/${encodeURIComponent(name)}`;
}

function pathOf(...parts: readonly string[]): string {
  return `/api/${parts.map(encodeURIComponent).join('/')}`;
}

/** Of the vhost `/`. */
function policyPath(name: string): string {
  return `/api/policies/%2F/${encodeURIComponent(name)}`;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One request. Not `fetch`, which refuses a list of port numbers that our nodes may well have. */
function ask(
  url: URL,
  body: object | undefined,
  options: {
    readonly timeoutMs: number;
    readonly method?: Method;
    readonly headers?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
  },
): Promise<Answer> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal =
    options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: options.method ?? 'GET',
      headers: { ...options.headers, ...(body && { 'content-type': 'application/json' }) },
      signal,
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

/** A POST whose answer is read by the caller. */
function open(url: URL, { silenceMs }: { readonly silenceMs: number }): Promise<IncomingMessage> {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent: false, timeout: silenceMs });
    sent.once('timeout', () => {
      sent.destroy(Object.assign(new Error('the node says nothing'), { code: 'ETIMEDOUT' }));
    });
    sent.once('error', (error) => reject(unreachable([url.href], error)));
    sent.once('response', resolve);
    sent.end();
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += part;
  return text;
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
  if (text === '' && status >= 200 && status < 300) return undefined as T;
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
  const { code, message } = problemIn(body as Partial<ApiError | ApiManagementError>);
  throw new CliFailure(message ?? `${url} answered ${status}`, {
    exitCode: exitCodeOfCode(code) ?? EXIT_OF_STATUS[status] ?? EXIT.failure,
    code: code ?? `HTTP_${status}`,
  });
}

/** In our words, or as RabbitMQ's management API has it. */
function problemIn(body: Partial<ApiError | ApiManagementError>): {
  readonly code: string | undefined;
  readonly message: string | undefined;
} {
  if (typeof body.error !== 'string')
    return { code: body.error?.code, message: body.error?.message };
  const { reason } = body as ApiManagementError;
  return { code: body.error.toUpperCase().replaceAll(' ', '_'), message: reason };
}
