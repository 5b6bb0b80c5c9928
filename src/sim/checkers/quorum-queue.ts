// Checks what a quorum queue promises beside what every queue does. Knows nothing of the broker.
//
//   count-fell   a consumer that began when a count had been told was told a lower one
//   uncounted    given back in a calm, under one leader, and the next delivery says that it came back no more often
//   overrun      a count above the limit was told
//   undropped    given back for good, with as many returns as the limit allows, and it came again
//
// What comes back with a message that was given out by a leader who is none any more does not count, so counts are
// compared under one leader, who was seen to lead from before the first delivery to behind the second.
import type { Violation } from '../scenario.ts';
import type { QueueEvent, QueueFacts, QueueHistory } from './queue-history.ts';

type EventOf<K extends QueueEvent['kind']> = Extract<QueueEvent, { kind: K }>;

interface Delivery {
  readonly index: number;
  readonly event: EventOf<'delivered'>;
  /** Where its consumer began. */
  readonly beganAt: number;
  settledAt: number;
  how: EventOf<'settled'>['how'] | undefined;
}

/** A leader is seen that much later at most, and a message is on its way for so long. */
const SEEN_MS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;

interface Calm {
  readonly from: number;
  to: number;
}

interface Story {
  /** By message, in the order in which they came. */
  readonly messages: ReadonlyMap<number, readonly Delivery[]>;
  readonly calms: readonly Calm[];
  /** By consumer: places at which a question was written whose answer came. */
  readonly asked: ReadonlyMap<string, readonly number[]>;
}

/** By queue: when somebody began or ceased to lead it, as seen from outside a moment later at most. */
export type LeaderChanges = ReadonlyMap<string, readonly number[]>;

export function checkQuorumQueues(
  history: QueueHistory,
  changes: LeaderChanges,
): readonly Violation[] {
  return history.queues.flatMap((queue) => {
    if (queue.deliveryLimit === undefined) return [];
    return checkQueue(history, queue, changes.get(queue.name) ?? []);
  });
}

/** Returns that were surely heard under one leader: as many as could have been forgotten and be found. */
export function countHeardReturns(history: QueueHistory, changes: LeaderChanges): number {
  const names = history.queues.filter((queue) => queue.deliveryLimit !== undefined);
  return names.reduce((sum, queue) => {
    const story = storyOf(history, queue.name);
    const pairs = [...story.messages.values()].flatMap((each) => pairsOf(each));
    const ofQueue = changes.get(queue.name) ?? [];
    return sum + pairs.filter((pair) => isHeard(story, pair, ofQueue)).length;
  }, 0);
}

/** What was given to connections that died unheard counts too, though no client saw it: so often at most, it is hoped. */
const UNSEEN_MAX = 3;

/** It may be gone as the limit says, by what this delivery told. */
export function isSpent(count: number | undefined, limit: number | undefined): boolean {
  return limit !== undefined && limit >= 0 && (count ?? 0) >= limit - UNSEEN_MAX;
}

function checkQueue(
  history: QueueHistory,
  { name, deliveryLimit }: QueueFacts,
  changesMs: readonly number[],
): Violation[] {
  const found: Violation[] = [];
  const report = (anomaly: string, id: number, message: string) =>
    found.push({ check: `quorum-queue/${anomaly}`, message: `${name}/${id}: ${message}` });
  const story = storyOf(history, name);
  const limit = deliveryLimit!;
  for (const [id, deliveries] of story.messages) {
    let best = { count: 0, index: NEVER };
    for (const { index, event, beganAt } of deliveries) {
      const { count = 0, consumer } = event;
      if (limit >= 0 && count > limit) report('overrun', id, `${consumer} was told ${count}`);
      if (count > 0 && count < best.count && beganAt > best.index) {
        report('count-fell', id, `${best.count}, then ${count} to ${consumer}`);
      }
      if (count > best.count) best = { count, index };
    }
    for (const pair of pairsOf(deliveries)) {
      if (!isHeard(story, pair, changesMs)) continue;
      const [first, next] = pair;
      const [was, is] = [first.event.count ?? 0, next.event.count ?? 0];
      if (limit >= 0 && was >= limit) report('undropped', id, `came again after ${was}`);
      else if (is <= was) report('uncounted', id, `${was} to ${first.event.consumer}, then ${is}`);
    }
  }
  return found;
}

type Pair = readonly [first: Delivery, next: Delivery];

/** Deliveries behind one another, the first of which was given back before the next one came. */
function pairsOf(deliveries: readonly Delivery[]): Pair[] {
  return deliveries.flatMap((first, i): Pair[] => {
    const next = deliveries[i + 1];
    const isBack = next !== undefined && first.how === 'requeued' && first.settledAt < next.index;
    return isBack ? [[first, next]] : [];
  });
}

/** In one calm, under one leader, and an answer on the channel proves that the return was heard before the next came. */
function isHeard(
  { calms, asked }: Story,
  [first, next]: Pair,
  changesMs: readonly number[],
): boolean {
  const isCalm = calms.some(({ from, to }) => first.index > from && next.index < to);
  if (!isCalm) return false;
  const [fromMs, toMs] = [first.event.atMs - SEEN_MS, next.event.atMs + SEEN_MS];
  if (changesMs.some((atMs) => atMs >= fromMs && atMs <= toMs)) return false;
  const of = asked.get(first.event.consumer) ?? [];
  return of.some((at) => at > first.settledAt);
}

function storyOf({ events }: QueueHistory, queue: string): Story {
  const messages = new Map<number, Delivery[]>();
  const byNumber = new Map<number, Delivery>();
  const began = new Map<string, number>();
  const calms: Calm[] = [];
  const asked = new Map<string, number[]>();
  for (const [index, event] of events.entries()) {
    switch (event.kind) {
      case 'consumes':
        if (event.queue === queue) began.set(event.consumer, index);
        break;
      case 'delivered': {
        const beganAt = began.get(event.consumer);
        if (beganAt === undefined) break;
        const delivery = { index, event, beganAt, settledAt: NEVER, how: undefined };
        byNumber.set(event.delivery, delivery);
        messages.set(event.id, [...(messages.get(event.id) ?? []), delivery]);
        break;
      }
      case 'settled': {
        const delivery = byNumber.get(event.delivery);
        if (delivery !== undefined) Object.assign(delivery, { settledAt: index, how: event.how });
        break;
      }
      case 'synced':
        asked.set(event.consumer, [...(asked.get(event.consumer) ?? []), event.asked]);
        break;
      case 'calm':
        calms.push({ from: index, to: NEVER });
        break;
      case 'disturbed': {
        const last = calms.at(-1);
        if (last !== undefined) last.to = Math.min(last.to, index);
        break;
      }
    }
  }
  return { messages, calms, asked };
}
