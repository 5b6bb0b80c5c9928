// Checks a history of AMQP publishes and deliveries. Knows nothing of the broker: only what a queue promises.
//
//   lost          confirmed, routed to a durable queue, and never delivered from it
//   stuck         confirmed and delivered, but never again after it was given back, and settled by nobody
//   resurrected   delivered again although its acknowledgement was surely effective
//   duplicate     delivered twice without the mark of a redelivery
//   reorder       two messages of one lane, neither of them marked, in the wrong order at one consumer
//   prefetch      more messages out than the consumer allows
//   after-cancel  delivered behind cancel-ok
//   phantom       nobody published it, or not to where this queue could get it from
//   altered       body, exchange or routing key are not those of its publish
//   unreturned    mandatory, routed nowhere, confirmed, and did not come back; or came back though it was routed, and
//                 was confirmed or had a queue that is not on one node alone
//
// When an acknowledgement is effective. AMQP does not answer one. A later answer on the same channel proves that
// the node has heard it, no more: that node may die before the queue knows, and a new leader of the queue may give
// the message to another before it is told. So it counts as effective when
//   - nobody else had the message when it was acknowledged, as far as any client knows,
//   - an answer on the same channel, asked for behind it and in a calm, came,
//   - that calm went on for EFFECTIVE_AFTER_MS, in which what was given to connections that died unheard came back:
//     if the message came again by then, the acknowledgement was too late, and that is allowed.
// From then on it must not come again, whatever fails. Until then it may, but only with the mark.
import type { Violation } from '../scenario.ts';
import type { Publish, QueueEvent, QueueHistory } from './queue-history.ts';
import { isSpent } from './quorum-queue.ts';

export const QUEUE_ANOMALIES = [
  'lost',
  'stuck',
  'resurrected',
  'duplicate',
  'reorder',
  'prefetch',
  'after-cancel',
  'phantom',
  'altered',
  'unreturned',
] as const;

export type QueueAnomaly = (typeof QUEUE_ANOMALIES)[number];

/** Longer than any connection that died unheard is kept: heartbeats end it in 6 s, the system in 15 s. */
export const EFFECTIVE_AFTER_MS = 20_000;

type EventOf<K extends QueueEvent['kind']> = Extract<QueueEvent, { kind: K }>;
type Report = (anomaly: QueueAnomaly, message: string) => void;

interface Delivery {
  /** Its place in the history. */
  readonly index: number;
  readonly event: EventOf<'delivered'>;
  readonly consumer: Consumer;
  settledAt: number;
  how: EventOf<'settled'>['how'] | undefined;
}

interface Consumer {
  readonly facts: EventOf<'consumes'>;
  readonly out: Set<number>;
  readonly syncs: { readonly index: number; readonly event: EventOf<'synced'> }[];
  endedAt: number;
  isCancelled: boolean;
  /** The last place of each lane that came without the mark. */
  readonly places: Map<string, number>;
}

interface Calm {
  readonly index: number;
  endMs: number;
}

/** The history as it was gone through. */
interface View {
  readonly consumers: Map<string, Consumer>;
  /** By queue and id. */
  readonly messages: Map<string, Delivery[]>;
  readonly calms: Calm[];
  /** Where the last calm ends. */
  end: number;
}

const NEVER = Number.POSITIVE_INFINITY;

export function checkQueues(history: QueueHistory): readonly Violation[] {
  const found: Violation[] = [];
  const report: Report = (anomaly, message) => {
    found.push({ check: `queue/${anomaly}`, message });
  };
  const publishes = new Map(history.publishes.map((publish) => [publish.id, publish]));
  const view = goThrough(history, publishes, report);
  checkOrigins(history, view, publishes, report);
  for (const [name, deliveries] of view.messages) {
    const fresh = deliveries.filter(({ event }) => !event.isRedelivered);
    if (fresh.length > 1) {
      report('duplicate', `${name}: came as new ${fresh.length} times, ${fresh.map(saidOf)}`);
    }
    for (const delivery of deliveries) checkEffect(name, delivery, deliveries, view, report);
  }
  const limits = new Map(history.queues.map(({ name, deliveryLimit }) => [name, deliveryLimit]));
  const queues = history.queues.filter(({ isPartial }) => isPartial).map(({ name }) => name);
  const partial = new Set([...queues, ...(history.partialStreams ?? [])]);
  const isGone = (queue: string, deliveries: readonly Delivery[]) =>
    deliveries.some(({ event }) => isSpent(event.count, limits.get(queue)));
  for (const publish of history.publishes) checkConfirmed(publish, partial, view, isGone, report);
  return found;
}

/** Confirmed messages that never came out of a queue. */
export function countLostMessages(history: QueueHistory): number {
  if (!history.events.some(({ kind }) => kind === 'disturbed')) return 0;
  return checkQueues(history).filter(({ check }) => check === 'queue/lost').length;
}

/** Acknowledgements that were surely effective: as many as could have been forgotten and be found. */
export function countEffective(history: QueueHistory): number {
  const view = goThrough(history, new Map(), () => undefined);
  let count = 0;
  for (const deliveries of view.messages.values()) {
    for (const each of deliveries) if (effectOf(each, deliveries, view) !== undefined) count += 1;
  }
  return count;
}

function keyOf(queue: string, id: number): string {
  return `${queue}/${id}`;
}

function saidOf({ event }: Delivery): string {
  return `${event.consumer} at ${event.atMs.toFixed(1)} ms`;
}

// ---- Going through it -----------------------------------------------------------------------------

function goThrough(
  { events }: QueueHistory,
  publishes: ReadonlyMap<number, Publish>,
  report: Report,
): View {
  const view: View = { consumers: new Map(), messages: new Map(), calms: [], end: events.length };
  const byNumber = new Map<number, Delivery>();
  for (const [index, event] of events.entries()) {
    switch (event.kind) {
      case 'consumes':
        view.consumers.set(event.consumer, newConsumer(event));
        break;
      case 'delivered': {
        const consumer = view.consumers.get(event.consumer)!;
        const delivery = { index, event, consumer, settledAt: NEVER, how: undefined };
        byNumber.set(event.delivery, delivery);
        delivered(delivery, view, publishes.get(event.id), report);
        break;
      }
      case 'settled': {
        const delivery = byNumber.get(event.delivery);
        if (delivery === undefined) break;
        delivery.settledAt = index;
        delivery.how = event.how;
        delivery.consumer.out.delete(event.delivery);
        break;
      }
      case 'synced':
        view.consumers.get(event.consumer)!.syncs.push({ index, event });
        break;
      case 'cancelled':
        view.consumers.get(event.consumer)!.isCancelled = true;
        break;
      case 'ended':
        view.consumers.get(event.consumer)!.endedAt = index;
        break;
      case 'calm':
        endCalm(view, event.atMs);
        view.calms.push({ index, endMs: NEVER });
        break;
      case 'disturbed':
        endCalm(view, event.atMs);
        view.end = index;
        break;
    }
  }
  endCalm(view, events.at(-1)?.atMs ?? 0);
  return view;
}

function newConsumer(facts: EventOf<'consumes'>): Consumer {
  return {
    facts,
    out: new Set(),
    syncs: [],
    endedAt: NEVER,
    isCancelled: false,
    places: new Map(),
  };
}

function endCalm({ calms }: View, atMs: number): void {
  const last = calms.at(-1);
  if (last?.endMs === NEVER) last.endMs = atMs;
}

function delivered(
  delivery: Delivery,
  view: View,
  publish: Publish | undefined,
  report: Report,
): void {
  const { event, consumer } = delivery;
  const { facts, out, places } = consumer;
  const name = keyOf(facts.queue, event.id);
  const known = view.messages.get(name);
  if (known === undefined) view.messages.set(name, [delivery]);
  else known.push(delivery);
  if (consumer.isCancelled) report('after-cancel', `${name}: ${saidOf(delivery)}`);
  if (facts.isAutomatic) {
    delivery.settledAt = delivery.index;
  } else {
    out.add(event.delivery);
    if (facts.prefetch > 0 && out.size > facts.prefetch) {
      report('prefetch', `${facts.consumer} has ${out.size} out, and allows ${facts.prefetch}`);
    }
  }
  if (event.isRedelivered || publish === undefined) return;
  const place = places.get(publish.lane) ?? -1;
  if (publish.order < place) {
    report(
      'reorder',
      `${name}: ${publish.lane} ${publish.order} behind ${place}, ${saidOf(delivery)}`,
    );
  }
  places.set(publish.lane, Math.max(place, publish.order));
}

// ---- Rules ----------------------------------------------------------------------------------------

function checkOrigins(
  history: QueueHistory,
  view: View,
  publishes: ReadonlyMap<number, Publish>,
  report: Report,
): void {
  const queues = new Map(history.queues.map((queue) => [queue.name, queue]));
  for (const [name, deliveries] of view.messages) {
    for (const { event, consumer } of deliveries) {
      const publish = publishes.get(event.id);
      const queue = queues.get(consumer.facts.queue);
      const isRouted =
        queue?.isDurable === true
          ? publish?.queues.includes(queue.name) === true
          : queue?.exchanges.includes(publish?.exchange ?? '') === true;
      if (publish === undefined || !isRouted) {
        report('phantom', `${name}: nobody published that to this queue`);
      } else if (
        publish.bodyHash !== event.bodyHash ||
        publish.exchange !== event.exchange ||
        publish.key !== event.key
      ) {
        report('altered', `${name}: '${event.exchange}' '${event.key}' is not what was published`);
      }
    }
  }
}

/** `partial`: queues and streams that not every node has. */
function checkConfirmed(
  publish: Publish,
  partial: ReadonlySet<string>,
  view: View,
  isGone: (queue: string, deliveries: readonly Delivery[]) => boolean,
  report: Report,
): void {
  const { id, outcome, queues, streams, isMandatory, isReturned, owed = queues } = publish;
  const isNowhere = queues.length === 0 && streams.length === 0;
  const areOut = [...queues, ...streams].every((name) => partial.has(name));
  const isOut = outcome !== 'confirmed' && areOut;
  if (isReturned && !(isMandatory && (isNowhere || isOut)))
    report('unreturned', `${id}: came back for nothing`);
  if (outcome !== 'confirmed') return;
  if (isMandatory && isNowhere && !isReturned) report('unreturned', `${id}: was not returned`);
  for (const queue of owed) {
    const name = keyOf(queue, id);
    const deliveries = (view.messages.get(name) ?? []).filter(({ index }) => index < view.end);
    if (deliveries.length === 0) report('lost', `${name}: was confirmed and never came`);
    else if (isGone(queue, deliveries)) continue;
    else if (!deliveries.some((each) => isTaken(each) && each.settledAt < view.end)) {
      report('stuck', `${name}: came last to ${saidOf(deliveries.at(-1)!)} and nobody settled it`);
    }
  }
}

function isTaken({ how, consumer }: Delivery): boolean {
  return consumer.facts.isAutomatic || how === 'acknowledged' || how === 'dropped';
}

/** If this delivery's acknowledgement was effective, nothing comes behind it. */
function checkEffect(
  name: string,
  delivery: Delivery,
  all: readonly Delivery[],
  view: View,
  report: Report,
): void {
  const effectiveMs = effectOf(delivery, all, view);
  const next = effectiveMs === undefined ? undefined : nextOf(delivery, all);
  if (effectiveMs === undefined || next === undefined) return;
  const acked = `${delivery.how} by ${delivery.event.consumer}, effective at ${effectiveMs.toFixed(1)} ms`;
  report('resurrected', `${name}: ${acked}, came again to ${saidOf(next)}`);
}

/** The first delivery behind the settlement of another one. */
function nextOf({ settledAt }: Delivery, all: readonly Delivery[]): Delivery | undefined {
  return all.find(({ index }) => index > settledAt);
}

/** When the settlement of a delivery, of all those of the message, is effective, if it ever is. */
function effectOf(
  delivery: Delivery,
  all: readonly Delivery[],
  { calms }: View,
): number | undefined {
  const { consumer, settledAt } = delivery;
  if (!isTaken(delivery) || consumer.facts.isAutomatic) return undefined;
  const isAlone = all.every(
    (other) =>
      other === delivery ||
      other.index > settledAt ||
      Math.min(other.settledAt, other.consumer.endedAt) < settledAt,
  );
  if (!isAlone) return undefined;
  const againMs = nextOf(delivery, all)?.event.atMs ?? NEVER;
  for (const calm of calms) {
    const from = Math.max(settledAt, calm.index);
    const sync = consumer.syncs.find(({ event }) => event.asked > from)?.event;
    if (sync === undefined) continue;
    const effectiveMs = sync.atMs + EFFECTIVE_AFTER_MS;
    if (effectiveMs <= calm.endMs && effectiveMs < againMs) return effectiveMs;
  }
  return undefined;
}
