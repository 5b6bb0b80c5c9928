import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  emptyGroupHistory,
  type GroupEvent,
  type GroupHistory,
  type Lease,
  type Send,
} from '../../../src/sim/checkers/group-history.ts';
import {
  checkGroups,
  countLostSends,
  GROUP_ANOMALIES,
  type GroupAnomaly,
  openMessages,
} from '../../../src/sim/checkers/groups.ts';
import { runs } from '../../setup/runs.ts';

type EventOf<K extends GroupEvent['kind']> = Extract<GroupEvent, { kind: K }>;
type Delivered = EventOf<'delivered'>;
type WithoutTime<E> = E extends GroupEvent ? Omit<E, 'at' | 'atMs'> : never;
type Pick = (n: number) => number;

const TOPIC = 't';
const PARTITIONS = 2;
const LEASE_MS = 10_000;
const CONSUMERS = [
  { consumer: 'all1', group: 'all' },
  { consumer: 'all2', group: 'all' },
  { consumer: 'some', group: 'some' },
] as const;

function draws(seed: number): Pick {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % n;
  };
}

// ---- A sound history: a naive broker and its clients ------------------------------------------------

interface Message {
  readonly send: Send;
  readonly offset: number;
}

/** What one group has of one message. */
interface State {
  isDone: boolean;
  returns: number;
  lease: { readonly epoch: number; readonly number: number; endMs: number } | undefined;
}

interface Held {
  readonly delivery: number;
  readonly lease: Lease;
}

class Story {
  readonly history = emptyGroupHistory();
  readonly next: Pick;
  readonly logs: Message[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly epochs = Array.from({ length: PARTITIONS }, () => 1);
  readonly numbers = new Map<string, number>();
  readonly states = new Map<string, State>();
  readonly held = new Map<string, Held[]>(CONSUMERS.map(({ consumer }) => [consumer, []]));
  at = 0;
  nowMs = 0;
  number = 0;

  constructor(seed: number) {
    this.next = draws(seed);
    this.history.groups.push({ group: 'all', topic: TOPIC, tags: undefined });
    this.history.groups.push({ group: 'some', topic: TOPIC, tags: ['a'] });
  }

  add(event: WithoutTime<GroupEvent>): void {
    this.at += 1;
    this.nowMs += 1 + this.next(20);
    this.history.events.push({ ...event, at: this.at, atMs: this.nowMs } as GroupEvent);
  }

  send(): void {
    const { next, history } = this;
    this.at += 1;
    this.number += 1;
    const isGrouped = next(2) === 0;
    const messageGroup = isGrouped ? `g${next(2)}` : '';
    const partition = isGrouped ? Number(messageGroup[1]) : next(PARTITIONS);
    const outcome = (['stored', 'stored', 'stored', 'unknown', 'refused'] as const)[next(5)]!;
    const send: Send = {
      id: `m${this.number}`,
      topic: TOPIC,
      lane: isGrouped ? `p/${messageGroup}` : `p/request ${this.number}`,
      order: this.number,
      messageGroup,
      tag: next(2) === 0 ? 'a' : '',
      digest: this.number * 7,
      at: this.at,
      attempts: 1 + next(2),
      outcome,
      storedAt: -1,
      offset: -1,
    };
    history.sends.push(send);
    const log = this.logs[partition]!;
    const copies = outcome === 'refused' ? 0 : 1 + next(send.attempts);
    for (let i = 0; i < copies; i += 1) log.push({ send, offset: log.length });
    if (outcome !== 'stored') return;
    this.at += 1;
    send.storedAt = this.at;
    send.offset = log.length - 1;
  }

  state(group: string, partition: number, offset: number): State {
    const key = `${group}/${partition}/${offset}`;
    const known = this.states.get(key);
    if (known !== undefined) return known;
    const made = { isDone: false, returns: 0, lease: undefined };
    this.states.set(key, made);
    return made;
  }

  receive({ consumer, group }: (typeof CONSUMERS)[number], partition: number): void {
    this.number += 1;
    const receive = this.number;
    this.add({ kind: 'asks', receive, consumer, group, topic: TOPIC, leaseMs: LEASE_MS });
    const epoch = this.epochs[partition]!;
    let left = 1 + this.next(4);
    for (const { send, offset } of this.logs[partition]!) {
      const state = this.state(group, partition, offset);
      if (group === 'some' && send.tag !== 'a') continue;
      const isOut = state.lease?.epoch === epoch && state.lease.endMs > this.nowMs;
      if (state.isDone || isOut || left === 0) continue;
      if (state.lease?.epoch === epoch) state.returns += 1;
      left -= 1;
      const key = `${group}/${partition}/${epoch}`;
      const number = (this.numbers.get(key) ?? 0) + 1;
      this.numbers.set(key, number);
      state.lease = { epoch, number, endMs: this.nowMs + LEASE_MS };
      this.number += 1;
      const delivery = this.number;
      const lease = { partition, offset, epoch, number };
      const { id, tag, messageGroup, digest } = send;
      const seen = { id, tag, messageGroup, digest, attempt: state.returns + 1 };
      this.add({ kind: 'delivered', receive, delivery, lease, ...seen });
      this.held.get(consumer)!.push({ delivery, lease });
    }
  }

  settle({ consumer, group }: (typeof CONSUMERS)[number], isOrderly: boolean): void {
    const own = this.held.get(consumer)!;
    const [held] = own.splice(this.next(own.length), 1);
    if (held === undefined || (!isOrderly && this.next(6) === 0)) return;
    const { partition, offset, epoch, number } = held.lease;
    const state = this.state(group, partition, offset);
    const isHolder = state.lease?.epoch === epoch && state.lease.number === number;
    const isCurrent = isHolder && epoch === this.epochs[partition];
    const isFree =
      state.lease === undefined ||
      state.lease.epoch !== this.epochs[partition] ||
      state.lease.endMs <= this.nowMs;
    const what = isOrderly || this.next(3) > 0 ? 'done' : [0, 500, 20_000][this.next(3)]!;
    this.number += 1;
    const call = this.number;
    this.add({ kind: 'says', call, deliveries: [held.delivery], what });
    const isGood = isCurrent && state.lease!.endMs > this.nowMs;
    let result: 'ok' | 'refused' | 'unknown' = 'refused';
    if (what === 'done' && (state.isDone || isGood || isFree)) {
      state.isDone = true;
      result = 'ok';
    } else if (what !== 'done' && isGood && !state.isDone) {
      state.lease!.endMs = this.nowMs + what;
      result = 'ok';
    }
    if (!isOrderly && this.next(8) === 0) result = 'unknown';
    this.add({ kind: 'heard', call, results: [result] });
  }

  tell(): GroupHistory {
    const { next } = this;
    for (let i = 0; i < 160; i += 1) {
      const who = CONSUMERS[next(CONSUMERS.length)]!;
      const what = next(10);
      if (what < 3) this.send();
      else if (what < 6) this.receive(who, next(PARTITIONS));
      else if (what < 9) this.settle(who, false);
      else if (next(6) === 0) this.epochs[next(PARTITIONS)]! += 1;
      else this.nowMs += next(6_000);
    }
    for (let i = 0; i < 60; i += 1) {
      this.nowMs += 30_000;
      for (const who of CONSUMERS) {
        for (let partition = 0; partition < PARTITIONS; partition += 1) {
          this.receive(who, partition);
          while (this.held.get(who.consumer)!.length > 0) this.settle(who, true);
        }
      }
    }
    this.add({ kind: 'drained' });
    return this.history;
  }
}

function soundHistory(seed: number): GroupHistory {
  return new Story(seed).tell();
}

// ---- Mutations ------------------------------------------------------------------------------------

const LATER_MS = 1;

function asksOf({ events }: GroupHistory, { receive }: Delivered): EventOf<'asks'> {
  return events.find((event): event is EventOf<'asks'> => {
    return event.kind === 'asks' && event.receive === receive;
  })!;
}

function deliveries({ events }: GroupHistory): Delivered[] {
  return events.filter((event): event is Delivered => event.kind === 'delivered');
}

function replace(history: GroupHistory, old: GroupEvent, ...by: GroupEvent[]): void {
  history.events.splice(history.events.indexOf(old), 1, ...by);
}

/** A delivery like `old`, asked for and given right behind it. */
function again(
  history: GroupHistory,
  old: Delivered,
  changes: { asks?: Partial<EventOf<'asks'>>; delivered?: Partial<Delivered> },
): void {
  const receive = 100_000 + history.events.length;
  const at = old.at + 0.1;
  const atMs = old.atMs + LATER_MS;
  const asks = { ...asksOf(history, old), at, atMs, consumer: 'twin', receive, ...changes.asks };
  const twin = { ...old, at: at + 0.1, atMs, receive, delivery: receive + 1 };
  const delivered = { ...twin, ...changes.delivered };
  replace(history, old, old, asks, delivered);
}

/** A delivery of a message that was stored where it came from. */
function stored(history: GroupHistory, pick: Pick): Delivered {
  const sends = new Map(history.sends.map((send) => [send.id, send]));
  const all = deliveries(history).filter(({ id, lease }) => {
    const send = sends.get(id)!;
    return send.outcome === 'stored' && send.offset === lease.offset;
  });
  return all[pick(all.length)]!;
}

/** Everything that one group had of the place of a delivery. */
function sameMessage(history: GroupHistory, of: Delivered): Delivered[] {
  const { group } = asksOf(history, of);
  return deliveries(history).filter((each) => {
    const { partition, offset } = each.lease;
    const isThere = partition === of.lease.partition && offset === of.lease.offset;
    return isThere && asksOf(history, each).group === group;
  });
}

/** The answers to what was said of these deliveries, with what was said. */
function words(history: GroupHistory, of: readonly Delivered[]) {
  const numbers = new Set(of.map(({ delivery }) => delivery));
  return history.events.flatMap((says) => {
    if (says.kind !== 'says' || !says.deliveries.some((each) => numbers.has(each))) return [];
    const heard = history.events.find((event): event is EventOf<'heard'> => {
      return event.kind === 'heard' && event.call === says.call;
    })!;
    return [{ says, heard }];
  });
}

/** A lease of the same leader that is asked for at the end, by whom nobody else is. */
function prove(history: GroupHistory, { lease }: Delivered): void {
  const at = history.events.at(-1)!.at;
  const { atMs } = history.events.at(-1)!;
  const [any] = deliveries(history).filter((each) => each.lease.partition === lease.partition);
  const receive = 200_000;
  const asks = { ...asksOf(history, any!), at: at + 1, atMs, receive, group: 'proof' };
  const { epoch } = lease;
  const proof = { ...any!, at: at + 2, atMs, receive, delivery: receive };
  history.events.push(asks, { ...proof, lease: { ...any!.lease, epoch, number: 1 } });
}

/** Each puts one anomaly into a sound history. */
const MUTATIONS: Record<GroupAnomaly, (history: GroupHistory, pick: Pick) => void> = {
  lost: (history, pick) => {
    for (const each of sameMessage(history, stored(history, pick))) replace(history, each);
  },
  stuck: (history, pick) => {
    const of = sameMessage(history, stored(history, pick));
    for (const { heard } of words(history, of)) {
      replace(history, heard, { ...heard, results: ['refused'] });
    }
  },
  resurrected: (history, pick) => {
    const done = deliveries(history).filter((each) =>
      words(history, [each]).some(
        ({ says, heard }) => says.what === 'done' && heard.results[0] === 'ok',
      ),
    );
    const old = done[pick(done.length)]!;
    const { at, atMs } = history.events.at(-1)!;
    const lease = { ...old.lease, epoch: 99, number: 1 };
    const delivered = { lease, at: at + 2, atMs };
    again(history, old, { asks: { at: at + 1, atMs }, delivered });
  },
  shared: (history, pick) => {
    const all = deliveries(history);
    const old = all[pick(all.length)]!;
    const number = old.lease.number + 0.5;
    again(history, old, { delivered: { lease: { ...old.lease, number } } });
  },
  'lease-twice': (history, pick) => {
    const all = deliveries(history);
    again(history, all[pick(all.length)]!, {});
  },
  stolen: (history, pick) => {
    const old = stored(history, pick);
    // The later holder has it when the earlier one, whose lease is over, is done with it.
    const lease = { ...old.lease, number: old.lease.number + 0.5 };
    const asks = { atMs: old.atMs + 2 * LEASE_MS };
    const atMs = asks.atMs + 1;
    again(history, old, { asks, delivered: { lease, atMs } });
    const call = 300_000;
    const deliveriesSaid = [old.delivery];
    const at = old.at + 0.3;
    const place = history.events.findIndex((event) => event.at > at);
    history.events.splice(
      place,
      0,
      { kind: 'says', at, atMs: atMs + 1, call, deliveries: deliveriesSaid, what: 'done' },
      { kind: 'heard', at: at + 0.1, atMs: atMs + 2, call, results: ['ok'] },
    );
    prove(history, old);
  },
  denied: (history, pick) => {
    const all = deliveries(history).filter((each) => {
      const [first] = words(history, [each]);
      const isDone = first?.says.what === 'done' && first.heard.results[0] === 'ok';
      return isDone && first.heard.atMs < asksOf(history, each).atMs + LEASE_MS / 2;
    });
    const old = all[pick(all.length)]!;
    const { heard } = words(history, [old])[0]!;
    replace(history, heard, { ...heard, results: ['refused'] });
    prove(history, old);
  },
  attempt: (history, pick) => {
    const all = deliveries(history);
    const old = all[pick(all.length)]!;
    if (pick(2) === 0) replace(history, old, { ...old, attempt: 0 });
    else {
      const lease = { ...old.lease, number: old.lease.number + 0.5 };
      again(history, old, { delivered: { lease, attempt: old.attempt - 1 } });
    }
  },
  phantom: (history, pick) => {
    const { id } = stored(history, pick);
    const at = history.sends.findIndex((send) => send.id === id);
    if (pick(2) === 0) history.sends.splice(at, 1);
    else history.sends[at]!.outcome = 'refused';
  },
  altered: (history, pick) => {
    const old = stored(history, pick);
    const changes = [{ digest: old.digest + 1 }, { tag: 'b' }, { messageGroup: 'other' }];
    replace(history, old, { ...old, ...changes[pick(3)] });
  },
  unwanted: (history, pick) => {
    const all = deliveries(history).filter(({ tag }) => tag !== 'a');
    const old = all[pick(all.length)]!;
    const asks = asksOf(history, old);
    replace(history, asks, { ...asks, group: 'some' });
  },
  duplicate: (history, pick) => {
    const old = stored(history, pick);
    const { attempts } = history.sends.find(({ id }) => id === old.id)!;
    for (let i = 1; i <= attempts; i += 1) {
      const lease = { ...old.lease, offset: 10_000 + i, number: 10_000 + i };
      again(history, old, { delivered: { lease } });
    }
  },
  moved: (history, pick) => {
    const old = stored(history, pick);
    const all = deliveries(history).filter(({ id }) => id !== old.id);
    const { id, digest, tag, messageGroup } = all[pick(all.length)]!;
    again(history, old, { delivered: { id, digest, tag, messageGroup } });
  },
  reorder: (history, pick) => {
    const [first, last] = twoInALog(history, pick);
    const { sends } = history;
    const at = sends.findIndex(({ id }) => id === first.id);
    if (pick(2) === 0) sends[at] = { ...sends[at]!, at: last.storedAt + 0.5 };
    else {
      const lane = 'one';
      sends[at] = { ...sends[at]!, lane, order: 2 };
      const other = sends.findIndex(({ id }) => id === last.id);
      sends[other] = { ...sends[other]!, lane, order: 1 };
    }
  },
};

/** Two that are stored in one partition, in this order. */
function twoInALog(history: GroupHistory, pick: Pick): [Send, Send] {
  const partitions = new Map<string, Set<number>>();
  for (const { id, lease } of deliveries(history)) {
    partitions.set(id, (partitions.get(id) ?? new Set()).add(lease.partition));
  }
  const all = history.sends.filter(({ outcome }) => outcome === 'stored');
  const pairs = all.flatMap((first) =>
    all.flatMap((last): [Send, Send][] => {
      const [a] = partitions.get(first.id) ?? [];
      const isOne = a !== undefined && partitions.get(last.id)?.has(a) === true;
      return isOne && first.offset < last.offset ? [[first, last]] : [];
    }),
  );
  return pairs[pick(pairs.length)]!;
}

test('sound histories are sound', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const history = soundHistory(seed);
      expect(checkGroups(history)).toEqual([]);
      expect(countLostSends(history)).toBe(0);
      expect(openMessages(history).size).toBe(0);
      expect(deliveries(history).length).toBeGreaterThan(10);
    }),
    { numRuns: runs(200, 60) },
  );
});

test.each(GROUP_ANOMALIES)('%s is found in every history that has it', (anomaly) => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (seed, choice) => {
      const history = soundHistory(seed);
      MUTATIONS[anomaly](history, draws(choice));
      expect(checkGroups(history).map(({ check }) => check)).toContain(`groups/${anomaly}`);
      if (anomaly === 'lost') expect(countLostSends(history)).toBe(1);
    }),
    { numRuns: runs(100, 20) },
  );
});

// ---- What is allowed ------------------------------------------------------------------------------

interface Turn {
  readonly atMs: number;
  readonly consumer: string;
  readonly epoch: number;
  readonly number: number;
  readonly attempt?: number;
}

type Said = readonly [
  atMs: number,
  of: number,
  what: 'done' | number,
  result: 'ok' | 'refused' | 'unknown',
];

/** One message, given out in these turns; turn 0 is the first. Nothing is said but `said`. */
function story(turns: readonly Turn[], said: readonly Said[]): readonly string[] {
  const history = emptyGroupHistory();
  history.groups.push({ group: 'all', topic: TOPIC, tags: undefined });
  const facts = {
    id: 'm',
    topic: TOPIC,
    lane: 'l',
    order: 1,
    messageGroup: '',
    tag: '',
    digest: 1,
  };
  const stored = { outcome: 'stored', storedAt: 0, offset: 0, attempts: 1, at: 0 } as const;
  history.sends.push({ ...facts, ...stored });
  const timed: WithoutAt<GroupEvent>[] = [];
  turns.forEach(({ atMs, consumer, epoch, number, attempt = 1 }, i) => {
    const asks = { receive: i, consumer, group: 'all', topic: TOPIC, leaseMs: LEASE_MS };
    timed.push({ kind: 'asks', atMs, ...asks });
    const lease = { partition: 0, offset: 0, epoch, number };
    const seen = { id: 'm', tag: '', messageGroup: '', digest: 1, attempt };
    timed.push({ kind: 'delivered', atMs: atMs + 1, receive: i, delivery: i, lease, ...seen });
  });
  said.forEach(([atMs, of, what, result], call) => {
    timed.push({ kind: 'says', atMs, call, deliveries: [of], what });
    timed.push({ kind: 'heard', atMs: atMs + 1, call, results: [result] });
  });
  timed.sort((a, b) => a.atMs - b.atMs);
  history.events.push(...timed.map((event, at) => ({ ...event, at: at + 1 }) as GroupEvent));
  history.events.push({ kind: 'drained', at: timed.length + 1, atMs: 1_000_000 });
  return checkGroups(history).map(({ check }) => check);
}

type WithoutAt<E> = E extends GroupEvent ? Omit<E, 'at'> : never;

const a = { atMs: 0, consumer: 'a', epoch: 1, number: 1 };
const b = { atMs: 5_000, consumer: 'b', epoch: 1, number: 2 };

test('two holders are one too many under one leader, while the first lease is surely good', () => {
  const done: Said = [20_000, 1, 'done', 'ok'];
  expect(story([a, b], [done])).toEqual(['groups/shared']);
  expect(story([a, { ...b, epoch: 2 }], [done])).toEqual([]);
  expect(story([a, { ...b, atMs: 9_100 }], [done])).toEqual([]);
  // It was let go, or may have been; or was kept longer.
  expect(story([a, b], [[4_000, 0, 0, 'ok'], done])).toEqual([]);
  expect(story([a, b], [[4_000, 0, 500, 'unknown'], done])).toEqual([]);
  expect(story([a, { ...b, atMs: 9_100 }], [[4_000, 0, 9_000, 'ok'], done])).toEqual([
    'groups/shared',
  ]);
});

test('a refusal is a mistake where the same leader is known to have led later', () => {
  const said: Said[] = [
    [1_000, 0, 'done', 'refused'],
    [40_000, 1, 'done', 'ok'],
  ];
  expect(story([a, { ...b, atMs: 30_000 }], said)).toEqual(['groups/denied']);
  expect(story([a, { ...b, atMs: 30_000, epoch: 2 }], said)).toEqual([]);
  const late: Said[] = [[9_500, 0, 'done', 'refused'], said[1]!];
  expect(story([a, { ...b, atMs: 30_000 }], late)).toEqual([]);
});

test('who got no answer may have been heard, and who was refused was not', () => {
  expect(story([a], [[1_000, 0, 'done', 'unknown']])).toEqual([]);
  expect(story([a], [[1_000, 0, 'done', 'refused']])).toEqual(['groups/stuck']);
  const again: Said[] = [
    [1_000, 0, 'done', 'unknown'],
    [40_000, 1, 'done', 'ok'],
  ];
  expect(story([a, { ...b, atMs: 30_000 }], again)).toEqual([]);
});

test('what was asked for before the end was confirmed may still come', () => {
  const early = story([a, { ...b, epoch: 2 }], [[5_000.5, 0, 'done', 'ok']]);
  expect(early).toEqual([]);
  const late = story([a, { ...b, epoch: 2 }], [[1_000, 0, 'done', 'ok']]);
  expect(late).toEqual(['groups/resurrected']);
});

test('attempts fall with another leader alone', () => {
  const done: Said = [40_000, 1, 'done', 'ok'];
  const second = { ...b, atMs: 30_000, attempt: 1 };
  expect(story([{ ...a, attempt: 2 }, second], [done])).toEqual(['groups/attempt']);
  expect(
    story(
      [
        { ...a, attempt: 2 },
        { ...second, epoch: 2 },
      ],
      [done],
    ),
  ).toEqual([]);
});
