// A look at every thread: of this node through rings, of the nodes that links know through them. Each is asked
// at once and on its own, so that one that is blocked, dead or cut off is shown as such and holds up nobody.
// Invariant: at most one ask of a look is open per thread, and looks are made one after the other.
import { ActorError } from '../errors.ts';
import { RUNTIME_SLOT, RuntimeProtocol } from '../runtime-actor.ts';
import type { System } from '../system.ts';
import type { ThreadRates } from './rates.ts';
import { ratesBetween } from './rates.ts';
import type { ThreadInfo } from './snapshot.ts';

/** What the starter of a thread sees of it from outside, though it may not answer. */
export interface ThreadGlimpse {
  readonly isAlive: boolean;
  readonly incarnation: number;
  /** The message that it is handling at this moment. */
  readonly handling?: { readonly class: string; readonly op: string; readonly slot: number };
}

export interface ThreadLook {
  readonly node: number;
  readonly thread: number;
  /** `silent`: no answer in time. `lost`: it has ended. `unreachable`: no link. `odd`: its answer is not ours. */
  readonly state: 'answering' | 'silent' | 'lost' | 'unreachable' | 'odd';
  /** Only of threads that this one has started. */
  readonly glimpse?: ThreadGlimpse;
  readonly info?: ThreadInfo;
  /** Against the look before, if there was one. */
  readonly rates?: ThreadRates;
}

/** What runs, at one moment. */
export interface Inspection {
  readonly version: 1;
  /** Of the system that answers. */
  readonly name: string;
  readonly node: number;
  readonly wallMs: number;
  readonly threads: readonly ThreadLook[];
}

export const LOOK_TIMEOUT_MS = 1_000;

export async function lookAtAll(system: System, timeoutMs = LOOK_TIMEOUT_MS): Promise<Inspection> {
  const { place, clock } = system;
  const here = Array.from({ length: system.threadCount }, (_, thread) =>
    lookAt(system, place.node, thread, timeoutMs),
  );
  const others = system.access.knownNodes().map((node) => lookAtNode(system, node, timeoutMs));
  const threads = (await Promise.all([...here, ...others])).flat();
  return { version: 1, name: system.name, node: place.node, wallMs: clock.wallMs(), threads };
}

/** Its first thread says how many there are. */
async function lookAtNode(system: System, node: number, timeoutMs: number): Promise<ThreadLook[]> {
  const first = await lookAt(system, node, 0, timeoutMs);
  const count = first.info?.threadCount ?? 1;
  const rest = Array.from({ length: count - 1 }, (_, i) => lookAt(system, node, i + 1, timeoutMs));
  return [first, ...(await Promise.all(rest))];
}

/** One thread. */
export async function lookAt(
  system: System,
  node: number,
  thread: number,
  timeoutMs: number,
): Promise<ThreadLook> {
  const { place } = system;
  if (node === place.node && thread === place.thread) {
    return { node, thread, state: 'answering', info: system.inspection() };
  }
  const glimpse = node === place.node ? system.access.glimpse(thread) : undefined;
  const seen = glimpse === undefined ? { node, thread } : { node, thread, glimpse };
  let text: string;
  try {
    const runtime = system.wellKnown(RuntimeProtocol, { node, thread, slot: RUNTIME_SLOT });
    text = await runtime.ask('inspect', undefined, { timeoutMs });
  } catch (error) {
    // What it is doing now says more than what it did when it was asked.
    const now = glimpse === undefined ? undefined : system.access.glimpse(thread);
    const state = stateOf(error);
    const isGone = state === 'unreachable' && node === place.node;
    const shown = isGone ? 'lost' : state;
    return { ...seen, ...(now === undefined ? {} : { glimpse: now }), state: shown };
  }
  const info = parsed(text);
  return info === undefined ? { ...seen, state: 'odd' } : { ...seen, state: 'answering', info };
}

function stateOf(error: unknown): ThreadLook['state'] {
  switch (error instanceof ActorError ? error.code : '') {
    case 'ACTOR_ASK_TIMEOUT':
    case 'ACTOR_FULL':
      return 'silent';
    case 'ACTOR_UNREACHABLE':
      return 'unreachable';
    case 'ACTOR_GONE':
    case 'ACTOR_THREAD_LOST':
    case 'ACTOR_NODE_LOST':
    case 'ACTOR_STOPPED':
      return 'lost';
    default:
      return 'odd';
  }
}

/** A node of another version may answer otherwise. */
function parsed(text: string): ThreadInfo | undefined {
  try {
    const info = JSON.parse(text) as ThreadInfo;
    const isOurs = [info.classes, info.actors, info.busiest, info.failures].every(Array.isArray);
    return isOurs && typeof info.atMs === 'number' ? info : undefined;
  } catch {
    return undefined;
  }
}

/** `after`, with the rates of every thread that was also answering `before`. */
export function withRates(before: Inspection | undefined, after: Inspection): Inspection {
  if (before === undefined) return after;
  const threads = after.threads.map((look) => {
    const then = before.threads.find(
      ({ node, thread }) => node === look.node && thread === look.thread,
    );
    if (look.info === undefined || then?.info === undefined) return look;
    const rates = ratesBetween(then.info, look.info);
    return rates === undefined ? look : { ...look, rates };
  });
  return { ...after, threads };
}
