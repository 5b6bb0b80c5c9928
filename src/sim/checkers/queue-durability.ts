// What queues of each durability may lose. Knows nothing of the broker: what was confirmed, what came out, and who led
// the log of each queue when, as for topics (durability.ts). AMQP does not say who has answered: it may have been anyone
// who led between a publish and its confirm. A message with delivery mode 1 is as one in an `async` queue, short of
// `memory`. What has come out once is committed: it is for queue.ts to say that it stays until somebody is done with it,
// short of `memory` again.
import type { Violation } from '../scenario.ts';
import {
  type DurabilityHistory,
  type PromisedDurability,
  type Reign,
  unexplainedLoss,
} from './durability.ts';
import type { Publish, QueueHistory } from './queue-history.ts';

/** `promises` and `reigns` by name of a queue. */
export function checkQueueDurability(
  history: QueueHistory,
  witnessed: DurabilityHistory,
): Violation[] {
  const found: Violation[] = [];
  for (const { publish, queue } of gone(history)) {
    const durability = durabilityOf(publish, queue, witnessed);
    const why = unexplained(publish, durability, witnessed.reigns.get(queue) ?? []);
    if (why === undefined) continue;
    const kind = publish.isTransient === true ? 'transient' : 'persistent';
    const message = `${queue}: ${kind} ${publish.id}, confirmed, never came: ${why}`;
    found.push({ check: `queue-durability/${durability}`, message, details: publish });
  }
  return found;
}

/** Messages of queues that were confirmed and never came out of them. */
export function countGone(history: QueueHistory): number {
  return [...gone(history)].length;
}

/** The history as `queue` may judge it: what may be gone is owed to nobody. */
export function asOwed(history: QueueHistory, witnessed: DurabilityHistory): QueueHistory {
  const open = new Set([...gone(history)].map(({ publish, queue }) => placeOf(queue, publish.id)));
  const isOwed = (publish: Publish, queue: string): boolean => {
    const durability = durabilityOf(publish, queue, witnessed);
    if (durability === 'sync') return true;
    const isOver = durability === 'memory' && hasDied(publish, witnessed.reigns.get(queue) ?? []);
    return !isOver && !open.has(placeOf(queue, publish.id));
  };
  const publishes = history.publishes.map((publish) => ({
    ...publish,
    owed: publish.queues.filter((queue) => isOwed(publish, queue)),
  }));
  return { ...history, publishes };
}

function durabilityOf(
  { isTransient = false, beganMs = 0, endedMs = Number.POSITIVE_INFINITY }: Publish,
  queue: string,
  { promises, changing }: DurabilityHistory,
): PromisedDurability {
  const promised = changing?.get(queue)?.(beganMs, endedMs) ?? promises.get(queue) ?? 'sync';
  return isTransient && promised !== 'memory' ? 'async' : promised;
}

const placeOf = (queue: string, id: number): string => `${queue}/${id}`;

/** Until the end that the history tells; before it nobody knows. */
function* gone({
  publishes,
  events,
}: QueueHistory): Generator<{ readonly publish: Publish; readonly queue: string }> {
  const end = events.findIndex(({ kind }) => kind === 'disturbed');
  if (end < 0) return;
  const queueOf = new Map<string, string>();
  const came = new Set<string>();
  for (const event of events.slice(0, end)) {
    if (event.kind === 'consumes') queueOf.set(event.consumer, event.queue);
    if (event.kind === 'delivered') came.add(placeOf(queueOf.get(event.consumer)!, event.id));
  }
  for (const publish of publishes) {
    if (publish.outcome !== 'confirmed') continue;
    for (const queue of publish.queues) {
      if (!came.has(placeOf(queue, publish.id))) yield { publish, queue };
    }
  }
}

function unexplained(
  { beganMs = 0, endedMs = beganMs }: Publish,
  durability: PromisedDurability,
  reigns: readonly Reign[],
): string | undefined {
  const answered = { durability, isForAll: true, beganMs, endedMs };
  return unexplainedLoss(
    answered,
    reigns,
    ({ fromMs, sinceMs = fromMs, untilMs = Number.POSITIVE_INFINITY }) =>
      sinceMs <= endedMs && untilMs >= beganMs,
  );
}

function hasDied({ beganMs = 0 }: Publish, reigns: readonly Reign[]): boolean {
  return reigns.some(({ lifeMs }) => lifeMs > beganMs);
}
