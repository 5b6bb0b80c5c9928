// What grew between two looks at a thread, by the clock of that thread. Pure.
import type { ActorFigures, ThreadInfo } from './snapshot.ts';

/** Per second, with one digit. */
export interface ClassRates {
  readonly handled: number;
  readonly spawned: number;
  readonly stopped: number;
  readonly failed: number;
  readonly restarted: number;
  readonly dropped: number;
}

export interface ThreadRates {
  /** The time between the looks. */
  readonly overMs: number;
  readonly messages: number;
  readonly turns: number;
  readonly asks: number;
  readonly deadLetters: number;
  /** The share of the time in which actors ran, in [0, 1]. */
  readonly busy: number;
  readonly classes: Readonly<Record<string, ClassRates>>;
  /** Messages handled, by path, of the actors that are shown and have handled any. */
  readonly actors: Readonly<Record<string, number>>;
}

/** Undefined if they are not of one start of the thread, or no time passed between them. */
export function ratesBetween(before: ThreadInfo, after: ThreadInfo): ThreadRates | undefined {
  const overMs = after.atMs - before.atMs;
  const isSame = before.incarnation === after.incarnation && before.turns <= after.turns;
  if (!isSame || overMs <= 0) return undefined;
  const rate = (now: number, then: number): number =>
    Math.round((Math.max(0, now - then) / overMs) * 10_000) / 10;
  const classes = Object.fromEntries(
    after.classes.map((now) => {
      const then = before.classes.find(({ name }) => name === now.name);
      const of = (figure: keyof ClassRates): number => rate(now[figure], then?.[figure] ?? 0);
      const rates: ClassRates = {
        handled: of('handled'),
        spawned: of('spawned'),
        stopped: of('stopped'),
        failed: of('failed'),
        restarted: of('restarted'),
        dropped: of('dropped'),
      };
      return [now.name, rates];
    }),
  );
  const handledBefore = new Map<string, number>();
  for (const each of actorsOf(before)) handledBefore.set(keyOf(each), each.handled);
  const actors: Record<string, number> = {};
  for (const each of actorsOf(after)) {
    const then = handledBefore.get(keyOf(each));
    // Who was not shown before may be old: nothing is known of its rate.
    if (then === undefined || each.handled <= then) continue;
    actors[each.path] = rate(each.handled, then);
  }
  return {
    overMs: Math.round(overMs),
    messages: rate(after.messages, before.messages),
    turns: rate(after.turns, before.turns),
    asks: rate(after.asks.asked, before.asks.asked),
    deadLetters: rate(after.deadLetters.total, before.deadLetters.total),
    busy: Math.min(1, Math.round(((after.busyMs - before.busyMs) / overMs) * 1_000) / 1_000),
    classes,
    actors,
  };
}

/** A path may be another actor's a moment later, in another slot. */
function keyOf({ slot, path }: ActorFigures): string {
  return `${slot} ${path}`;
}

/** All that are shown; the same one may come twice. */
function* actorsOf(info: ThreadInfo): Iterable<ActorFigures> {
  yield* info.busiest;
  const waiting = [...info.actors];
  for (let each = waiting.pop(); each !== undefined; each = waiting.pop()) {
    yield each;
    waiting.push(...each.children);
  }
}
