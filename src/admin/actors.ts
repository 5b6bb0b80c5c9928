// The tree of actors, with rates: every thread is looked at twice, and what has grown meanwhile is divided by
// the time between, by the clock of that thread. Pure but for the two looks.
import { withRates } from '../actors/inspect/looks.ts';
import type { ActorInfo, ThreadInfo } from '../actors/inspect/snapshot.ts';
import type { HttpRequest } from '../env/http.ts';
import { ApiProblem, invalid, numberOf } from './answers.ts';
import type { ApiActor, ApiActors, ApiInspection, ApiThread } from './api-types.ts';
import type { AdminPorts, ThreadLook } from './ports.ts';

const SAMPLE_MS_DEFAULT = 1_000;
const SAMPLE_MS_MAX = 10_000;
const NODE_MAX = 2 ** 31 - 1;
const FIELDS = ['node', 'sampleMs'];

export async function actorsOf(ports: AdminPorts, request: HttpRequest): Promise<ApiActors> {
  const { sampleMs, before, after } = await twoLooks(ports, request);
  return { sampleMs, threads: after.map((look) => threadOf(look, infoOf(before, look))) };
}

export async function inspectionOf(
  ports: AdminPorts,
  request: HttpRequest,
): Promise<ApiInspection> {
  const { before, after } = await twoLooks(ports, request);
  const made = (threads: readonly ThreadLook[]): ApiInspection => {
    const { nodeId, clusterId } = ports.view;
    return { version: 1, name: clusterId, node: nodeId, wallMs: ports.wallMs(), threads };
  };
  return withRates(before.length === 0 ? undefined : made(before), made(after));
}

async function twoLooks(ports: AdminPorts, request: HttpRequest) {
  for (const field of request.query.keys()) {
    if (!FIELDS.includes(field)) {
      throw invalid(`unknown field ${field}; known: ${FIELDS.join(', ')}`);
    }
  }
  const node = numberOf(request, 'node', NODE_MAX);
  const sampleMs = numberOf(request, 'sampleMs', SAMPLE_MS_MAX) ?? SAMPLE_MS_DEFAULT;
  let before: readonly ThreadLook[] = [];
  if (sampleMs > 0) {
    before = await ports.actors(node);
    await ports.sleep(sampleMs);
  }
  const after = await ports.actors(node);
  if (after.length === 0) throw new ApiProblem(404, 'NODE_UNKNOWN', `no live node ${node}`);
  return { sampleMs, before, after };
}

function infoOf(looks: readonly ThreadLook[], of: ThreadLook): ThreadInfo | undefined {
  return looks.find(({ node, thread }) => node === of.node && thread === of.thread)?.info;
}

function threadOf({ node, thread, role, info }: ThreadLook, before?: ThreadInfo): ApiThread {
  const { turns = 0, actors = [], omitted = {} } = info ?? {};
  const isAnswering = info !== undefined;
  // A thread that has started anew has another clock.
  const isSame = before !== undefined && isAnswering && before.turns <= turns;
  const seconds = isSame ? (info.atMs - before.atMs) / 1_000 : 0;
  const known = seconds > 0 ? new Map<string, ActorInfo>() : undefined;
  if (known !== undefined) gather(before?.actors ?? [], known);
  const shown = actors.map((actor) => actorOf(actor, known, seconds));
  return { node, thread, role, isAnswering, turns, actors: shown, omitted };
}

function gather(actors: readonly ActorInfo[], into: Map<string, ActorInfo>): void {
  for (const actor of actors) {
    into.set(keyOf(actor), actor);
    gather(actor.children, into);
  }
}

/** A path may be another actor's a moment later, in another slot. */
function keyOf({ path, slot }: ActorInfo): string {
  return `${slot} ${path}`;
}

/** `before`: all of the thread as they were; undefined: nobody looked. */
function actorOf(
  actor: ActorInfo,
  before: ReadonlyMap<string, ActorInfo> | undefined,
  seconds: number,
): ApiActor {
  const { path, slot: _, children, handled, counts, ...more } = actor;
  const was = before?.get(keyOf(actor));
  return {
    name: path.slice(path.lastIndexOf('/') + 1),
    path,
    ...more,
    handled,
    counts,
    perSecond: before === undefined ? {} : rates({ handled, ...counts }, was, seconds),
    children: children.map((child) => actorOf(child, before, seconds)),
  };
}

/** One that was not there before, or has begun to count anew, has counted all of it since. */
function rates(
  now: Readonly<Record<string, number>>,
  was: ActorInfo | undefined,
  seconds: number,
): Record<string, number> {
  const then: Readonly<Record<string, number>> =
    was === undefined || was.handled > now['handled']!
      ? {}
      : { handled: was.handled, ...was.counts };
  return Object.fromEntries(
    Object.entries(now).map(([name, count]) => {
      const grown = Math.max(0, count - (then[name] ?? 0));
      return [name, Math.round((grown / seconds) * 10) / 10];
    }),
  );
}
