// Control of the threads of the answering node: what they count, their settings, profiles, heap snapshots. What
// stops or burdens a thread is a POST, which no page of another origin may send. Not here: how a call reaches a
// thread, and that it ends.
import type { MemberControl, ThreadSettings } from '../actors/threads/control.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { messageOf } from '../std/errors.ts';
import { ApiProblem, invalid, json, numberOf } from './answers.ts';
import type { ApiThreadState } from './api-types.ts';
import type { AdminPorts } from './ports.ts';
import { objectIn } from './request-body.ts';

const ANSWER_MS = 5_000;
/** A large heap takes its time before its first piece. */
const PIECE_MS = 120_000;
const SECONDS_DEFAULT = 5;
const SECONDS_MAX = 300;
const THREAD_MAX = 255;
const NODE_MAX = 2 ** 31 - 1;

const STATUS_OF: Readonly<Record<string, number>> = {
  ACTOR_MISUSE: 400,
  THREAD_CONTROL_BUSY: 409,
  THREAD_CONTROL_FAILED: 409,
  THREAD_CONTROL_LOST: 503,
  THREAD_CONTROL_TIMEOUT: 504,
};

/** How the control of a thread fails, as HTTP has it. A bug stays one. */
function asProblem(error: unknown): unknown {
  const code = String((error as { readonly code?: unknown } | null)?.code);
  const status = STATUS_OF[code];
  return status === undefined ? error : new ApiProblem(status, code, messageOf(error));
}

/** `/api/threads/N` and what is below it; undefined for other paths. */
export async function threadRoute(
  ports: AdminPorts,
  request: HttpRequest,
): Promise<HttpResponse | undefined> {
  const named = /^\/api\/threads\/(\d{1,3})(?:\/([a-z-]+))?$/.exec(request.path);
  if (named === null) return undefined;
  const thread = Number(named[1]);
  const what = named[2] ?? '';
  const serve = SERVED[what];
  if (serve === undefined || thread > THREAD_MAX) return undefined;
  checkRequest(ports, request, what, serve);
  const control = ports.control(thread);
  if (control === undefined) {
    const message = `node ${ports.view.nodeId} has no thread ${thread}`;
    throw new ApiProblem(404, 'THREAD_UNKNOWN', message);
  }
  try {
    return await serve.answer(control, request, { node: ports.view.nodeId, thread });
  } catch (error) {
    throw asProblem(error);
  }
}

interface Place {
  readonly node: number;
  readonly thread: number;
}

interface Served {
  readonly isPost: boolean;
  readonly fields: readonly string[];
  answer(control: MemberControl, request: HttpRequest, place: Place): Promise<HttpResponse>;
}

const SERVED: Readonly<Record<string, Served>> = {
  '': {
    isPost: false,
    fields: [],
    answer: async (control, _request, place) => json(200, await stateOf(control, place)),
  },
  settings: {
    isPost: true,
    fields: [],
    answer: async (control, request) =>
      json(
        200,
        await control.configure(objectIn(request.body) as ThreadSettings, { timeoutMs: ANSWER_MS }),
      ),
  },
  profile: {
    isPost: true,
    fields: ['seconds'],
    async answer(control, request) {
      const seconds = numberOf(request, 'seconds', SECONDS_MAX) ?? SECONDS_DEFAULT;
      if (seconds < 1) throw invalid(`seconds must be a number from 1 to ${SECONDS_MAX}`);
      const body = await control.cpuProfile(seconds * 1_000, { timeoutMs: ANSWER_MS });
      return { status: 200, contentType: 'application/json', body };
    },
  },
  'heap-snapshot': {
    isPost: true,
    fields: [],
    answer: async (control) => ({
      status: 200,
      contentType: 'application/json',
      body: await begun(control.heapSnapshot({ timeoutMs: PIECE_MS })),
    }),
  },
};

function checkRequest(ports: AdminPorts, request: HttpRequest, what: string, to: Served): void {
  const { method, query } = request;
  const isRead = method === 'GET' || method === 'HEAD';
  if (to.isPost ? method !== 'POST' : !isRead) {
    const message = `${what === '' ? 'a thread' : what} is served to ${to.isPost ? 'POST' : 'GET'}`;
    throw new ApiProblem(405, 'METHOD_NOT_ALLOWED', message);
  }
  const known = ['node', ...to.fields];
  for (const field of query.keys()) {
    if (!known.includes(field)) throw invalid(`unknown field ${field}; known: ${known.join(', ')}`);
  }
  const node = numberOf(request, 'node', NODE_MAX);
  if (node !== undefined && node !== ports.view.nodeId) {
    const message = `this is node ${ports.view.nodeId}: threads are served by their own node`;
    throw new ApiProblem(404, 'NODE_NOT_HERE', message);
  }
}

async function stateOf(control: MemberControl, place: Place): Promise<ApiThreadState> {
  const within = { timeoutMs: ANSWER_MS };
  const [facts, counts, settings] = await Promise.all([
    control.facts(within),
    control.counters(within),
    control.configure({}, within),
  ]);
  return { ...place, facts, counts, settings };
}

/** With its first piece: what fails before it is an answer of its own, and no broken body. */
async function begun(
  pieces: AsyncGenerator<Uint8Array, void, undefined>,
): Promise<AsyncGenerator<Uint8Array, void, undefined>> {
  const first = await pieces.next();
  async function* whole(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      if (first.done !== true) yield first.value;
      yield* pieces;
    } finally {
      await pieces.return();
    }
  }
  return whole();
}
