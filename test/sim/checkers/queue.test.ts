import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkQueues,
  countLostMessages,
  EFFECTIVE_AFTER_MS,
  QUEUE_ANOMALIES,
  type QueueAnomaly,
} from '../../../src/sim/checkers/queue.ts';
import {
  emptyQueueHistory,
  type Publish,
  type QueueEvent,
  type QueueHistory,
} from '../../../src/sim/checkers/queue-history.ts';

type EventOf<K extends QueueEvent['kind']> = Extract<QueueEvent, { kind: K }>;
type Delivered = EventOf<'delivered'>;

const PREFETCH = 4;
const CONSUMERS = ['c1', 'c2'];

/** A sound history: two publishers, a durable queue with two consumers that sometimes give back, one that is tapped. */
function soundHistory(seed: number): QueueHistory {
  const history = emptyQueueHistory();
  const { events } = history;
  const next = draws(seed);
  history.queues.push({ name: 'q', isDurable: true, exchanges: [] });
  history.queues.push({ name: 'tap', isDurable: false, exchanges: ['x'] });
  let nowMs = 0;
  const at = () => {
    nowMs += 1;
    return nowMs;
  };
  const begin = (consumer: string, queue: string, isAutomatic: boolean) =>
    events.push({
      kind: 'consumes',
      atMs: at(),
      consumer,
      queue,
      prefetch: isAutomatic ? 0 : PREFETCH,
      isAutomatic,
    });
  for (const consumer of CONSUMERS) begin(consumer, 'q', false);
  begin('t', 'tap', true);
  let number = 0;
  const deliver = (consumer: string, publish: Publish, isRedelivered: boolean) => {
    number += 1;
    const { id, bodyHash, exchange, key } = publish;
    const seen = { id, bodyHash, exchange, key, isRedelivered };
    events.push({ kind: 'delivered', atMs: at(), consumer, delivery: number, ...seen });
    return number;
  };
  const sync = () => {
    for (const consumer of CONSUMERS) {
      events.push({ kind: 'synced', atMs: at(), consumer, asked: events.length });
    }
  };
  const publishes = Array.from({ length: 40 }, (_, id) => publishOf(id, next));
  history.publishes.push(...publishes);
  const ready = publishes
    .filter(({ queues }) => queues.length > 0)
    .map((publish) => ({ publish, isRedelivered: false }));
  const held = new Map<string, { delivery: number; publish: Publish }[]>(
    CONSUMERS.map((consumer) => [consumer, []]),
  );
  for (;;) {
    const consumer = CONSUMERS[next(2)]!;
    const own = held.get(consumer)!;
    const message = own.length < PREFETCH && next(3) > 0 ? ready.shift() : undefined;
    if (message !== undefined) {
      const { publish, isRedelivered } = message;
      own.push({ delivery: deliver(consumer, publish, isRedelivered), publish });
      if (!isRedelivered) deliver('t', publish, false);
    } else if (own.length > 0) {
      const [settled] = own.splice(next(own.length), 1);
      const how = (['acknowledged', 'acknowledged', 'dropped', 'requeued'] as const)[next(4)]!;
      events.push({ kind: 'settled', atMs: at(), delivery: settled!.delivery, how });
      if (how === 'requeued') ready.unshift({ publish: settled!.publish, isRedelivered: true });
    } else if (ready.length === 0 && [...held.values()].every(({ length }) => length === 0)) break;
    if (next(5) === 0) sync();
  }
  events.push({ kind: 'calm', atMs: at() });
  sync();
  nowMs += EFFECTIVE_AFTER_MS + 1;
  for (const consumer of CONSUMERS) {
    events.push({ kind: 'cancelled', atMs: at(), consumer });
    events.push({ kind: 'ended', atMs: at(), consumer });
  }
  events.push({ kind: 'disturbed', atMs: at() });
  begin('late', 'q', false);
  return history;
}

function publishOf(id: number, next: (n: number) => number): Publish {
  const isRouted = next(8) !== 0;
  const isMandatory = next(3) === 0;
  return {
    id,
    lane: `p${id % 2}/x`,
    order: Math.floor(id / 2),
    exchange: 'x',
    key: isRouted ? 'k' : 'nobody',
    bodyHash: id * 7 + 1,
    queues: isRouted ? ['q'] : [],
    streams: [],
    isMandatory,
    outcome: next(6) === 0 ? 'unknown' : 'confirmed',
    isReturned: isMandatory && !isRouted,
  };
}

function draws(seed: number): (n: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % n;
  };
}

// ---- Mutations ------------------------------------------------------------------------------------

type Pick = (n: number) => number;

function deliveries(history: QueueHistory, fits: (event: Delivered) => boolean): Delivered[] {
  return history.events.filter((event): event is Delivered => {
    return event.kind === 'delivered' && event.consumer !== 't' && fits(event);
  });
}

function replace(history: QueueHistory, old: QueueEvent, ...by: QueueEvent[]): void {
  history.events.splice(history.events.indexOf(old), 1, ...by);
}

/** A delivery of a message that was confirmed. */
function confirmed(history: QueueHistory, pick: Pick): Delivered {
  const sure = new Set(
    history.publishes.filter(({ outcome }) => outcome === 'confirmed').map(({ id }) => id),
  );
  const all = deliveries(history, ({ id }) => sure.has(id));
  return all[pick(all.length)]!;
}

function settlement(history: QueueHistory, delivery: number): QueueEvent | undefined {
  return history.events.find((event) => event.kind === 'settled' && event.delivery === delivery);
}

function drop(history: QueueHistory, id: number, what: 'all' | 'settlements'): void {
  for (const { delivery, id: each } of deliveries(history, () => true)) {
    if (each !== id) continue;
    const settled = settlement(history, delivery);
    if (settled !== undefined) replace(history, settled);
  }
  if (what === 'settlements') return;
  for (const event of deliveries(history, (each) => each.id === id)) replace(history, event);
}

/** Each puts one anomaly into a sound history. */
const MUTATIONS: Record<QueueAnomaly, (history: QueueHistory, pick: Pick) => void> = {
  lost: (history, pick) => drop(history, confirmed(history, pick).id, 'all'),
  stuck: (history, pick) => drop(history, confirmed(history, pick).id, 'settlements'),
  resurrected: (history, pick) => {
    const settled = history.events.filter(
      (event): event is EventOf<'settled'> => event.kind === 'settled' && event.how !== 'requeued',
    );
    const { delivery } = settled[pick(settled.length)]!;
    const [old] = deliveries(history, (event) => event.delivery === delivery);
    const atMs = history.events.at(-1)!.atMs + 1;
    history.events.push({
      ...old!,
      atMs,
      consumer: 'late',
      delivery: 10_000,
      isRedelivered: true,
    });
  },
  duplicate: (history, pick) => {
    const fresh = deliveries(history, ({ isRedelivered }) => !isRedelivered);
    const old = fresh[pick(fresh.length)]!;
    replace(history, old, old, { ...old, consumer: 't', delivery: 10_000 });
    // The tap is another queue: it must be the same one to count.
    const begun = history.events.find(
      (event): event is EventOf<'consumes'> => event.kind === 'consumes' && event.consumer === 't',
    )!;
    const twin = { ...begun, consumer: 'twin', queue: 'q' };
    history.events.unshift(twin);
    for (const event of [...history.events]) {
      if (event.kind === 'delivered' && event.delivery === 10_000) {
        replace(history, event, { ...event, consumer: 'twin' });
      }
      if (event.kind === 'synced') replace(history, event, { ...event, asked: event.asked + 1 });
    }
  },
  reorder: (history, pick) => {
    const lanes = new Map(history.publishes.map((publish) => [publish.id, publish.lane]));
    const pairs: [Delivered, Delivered][] = [];
    const fresh = deliveries(history, ({ isRedelivered }) => !isRedelivered);
    for (const [i, a] of fresh.entries()) {
      for (const b of fresh.slice(i + 1)) {
        if (a.consumer === b.consumer && lanes.get(a.id) === lanes.get(b.id)) pairs.push([a, b]);
      }
    }
    const [a, b] = pairs[pick(pairs.length)]!;
    const swapped = (from: Delivered, as: Delivered) => ({
      ...from,
      id: as.id,
      bodyHash: as.bodyHash,
    });
    const [newA, newB] = [swapped(a, b), swapped(b, a)];
    replace(history, a, newA);
    replace(history, b, newB);
  },
  prefetch: (history) => {
    for (const event of [...history.events]) {
      if (event.kind === 'consumes') replace(history, event, { ...event, prefetch: 1 });
    }
  },
  'after-cancel': (history, pick) => {
    const all = deliveries(history, () => true);
    const old = all[pick(all.length)]!;
    const cancelled: QueueEvent = { kind: 'cancelled', atMs: old.atMs, consumer: old.consumer };
    replace(history, old, cancelled, old);
  },
  phantom: (history, pick) => {
    const all = deliveries(history, () => true);
    const { id } = all[pick(all.length)]!;
    const at = history.publishes.findIndex((publish) => publish.id === id);
    if (pick(2) === 0) history.publishes.splice(at, 1);
    else history.publishes[at] = { ...history.publishes[at]!, queues: [] };
  },
  altered: (history, pick) => {
    const all = deliveries(history, () => true);
    const old = all[pick(all.length)]!;
    const changes = [{ bodyHash: old.bodyHash + 1 }, { key: 'other' }, { exchange: 'y' }];
    replace(history, old, { ...old, ...changes[pick(3)] });
  },
  unreturned: (history, pick) => {
    const { publishes } = history;
    const at = pick(publishes.length);
    const publish = publishes[at]!;
    const isRouted = publish.queues.length > 0;
    publishes[at] = {
      ...publish,
      isMandatory: true,
      outcome: 'confirmed',
      isReturned: isRouted,
    };
  },
};

test('sound histories are sound', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const history = soundHistory(seed);
      expect(checkQueues(history)).toEqual([]);
      expect(countLostMessages(history)).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test.each(QUEUE_ANOMALIES)('%s is found in every history that has it', (anomaly) => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (seed, choice) => {
      const history = soundHistory(seed);
      MUTATIONS[anomaly](history, draws(choice));
      expect(checkQueues(history).map(({ check }) => check)).toContain(`queue/${anomaly}`);
      if (anomaly === 'lost') expect(countLostMessages(history)).toBe(1);
    }),
    { numRuns: 60 },
  );
});

// ---- When an acknowledgement counts ---------------------------------------------------------------

/** One message, acknowledged by `a`, and given to `b` at the end. */
function acknowledgedOnce(changes: {
  readonly calmAtMs?: number;
  readonly syncAtMs?: number;
  readonly isMarked?: boolean;
  readonly heldByOther?: boolean;
  readonly againAtMs: number;
}): readonly string[] {
  const history = emptyQueueHistory();
  history.queues.push({ name: 'q', isDurable: true, exchanges: [] });
  history.publishes.push({ ...publishOf(2, () => 1), outcome: 'confirmed' });
  const [{ id, bodyHash, exchange, key }] = history.publishes as [Publish];
  const timed: QueueEvent[] = [];
  const facts = { queue: 'q', prefetch: 0, isAutomatic: false };
  const seen = { id, bodyHash, exchange, key };
  for (const consumer of ['a', 'b', 'c']) {
    timed.push({ kind: 'consumes', atMs: 0, consumer, ...facts });
  }
  const give = (atMs: number, consumer: string, delivery: number, isRedelivered: boolean) =>
    timed.push({ kind: 'delivered', atMs, consumer, delivery, ...seen, isRedelivered });
  give(1, 'a', 1, false);
  if (changes.heldByOther === true) give(2, 'c', 2, true);
  timed.push({ kind: 'settled', atMs: 3, delivery: 1, how: 'acknowledged' });
  timed.push({ kind: 'calm', atMs: changes.calmAtMs ?? 4 });
  if (changes.syncAtMs !== undefined) {
    timed.push({ kind: 'synced', atMs: changes.syncAtMs, consumer: 'a', asked: -1 });
  }
  give(changes.againAtMs, 'b', 3, changes.isMarked !== false);
  timed.sort((x, y) => x.atMs - y.atMs);
  for (const [index, event] of timed.entries()) {
    history.events.push(event.kind === 'synced' ? { ...event, asked: index } : event);
  }
  history.events.push({ kind: 'disturbed', atMs: 1_000_000 });
  return checkQueues(history).map(({ check }) => check);
}

const LATE_MS = 10 + EFFECTIVE_AFTER_MS + 1;

test('an acknowledgement counts when it was heard, in a calm, and for long enough', () => {
  expect(acknowledgedOnce({ syncAtMs: 10, againAtMs: LATE_MS })).toEqual(['queue/resurrected']);
});

test('until then it may be lost, but the message is marked', () => {
  expect(acknowledgedOnce({ syncAtMs: 10, againAtMs: LATE_MS - 2 })).toEqual([]);
  expect(acknowledgedOnce({ syncAtMs: 10, againAtMs: 5, isMarked: false })).toEqual([
    'queue/duplicate',
  ]);
});

test('one of which nobody answered anything may be lost', () => {
  expect(acknowledgedOnce({ againAtMs: LATE_MS })).toEqual([]);
});

test('an answer from before the calm proves nothing: its node may have died since', () => {
  expect(acknowledgedOnce({ calmAtMs: 20, syncAtMs: 10, againAtMs: LATE_MS })).toEqual([]);
});

test('one that came while another had the message may be refused', () => {
  expect(acknowledgedOnce({ heldByOther: true, syncAtMs: 10, againAtMs: LATE_MS })).toEqual([]);
});

test('what not every node has may come back while those are down that do, if it was not confirmed', () => {
  const route = { exchange: '', key: 'q', queues: ['q'], streams: [] };
  const facts = { id: 1, lane: 'l', order: 1, bodyHash: 7, ...route };
  const found = (isPartial: boolean, more: Partial<Publish>) =>
    checkQueues({
      queues: [{ name: 'q', isDurable: true, isPartial, exchanges: [] }],
      publishes: [
        { ...facts, isMandatory: true, outcome: 'unknown' as const, isReturned: true, ...more },
      ],
      events: [],
    }).map(({ check }) => check);
  expect(found(true, {})).toEqual([]);
  expect(found(true, { outcome: 'confirmed' })).toContain('queue/unreturned');
  expect(found(true, { isMandatory: false })).toEqual(['queue/unreturned']);
  expect(found(true, { streams: ['s'] })).toEqual(['queue/unreturned']);
  expect(found(false, {})).toEqual(['queue/unreturned']);
});
