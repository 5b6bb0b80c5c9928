// Checks a history of sends and of the deliveries to groups that share streams. Knows nothing of the broker: only
// what docs/reference/rocketmq.md promises.
//
//   lost         stored, and never delivered to a group from where it was said to be
//   stuck        delivered to the group, and nobody said that he is done with it and was not refused
//   resurrected  asked for after the group's acknowledgement was confirmed, and delivered
//   shared       two leases of one message and leader, both surely good at once
//   lease-twice  one lease in two answers
//   stolen       an acknowledgement confirmed while somebody else surely held the message
//   denied       an acknowledgement refused while the lease was surely good
//   attempt      below 1, or lower than with an earlier lease of the same leader
//   phantom      nobody sent it, or it was refused
//   altered      id, body, tag, keys, properties, group or time of birth are not those of its send
//   unwanted     none of the group's filter
//   duplicate    stored more often than it was sent
//   moved        another message at the same place, or a message group in two partitions
//   reorder      stored in front of what was stored before it was sent; or the wrong way round in a lane or an answer
//
// What is known of time. A lease runs by the clock of a leader that is a tenth wrong at most, and begins not before
// it was asked for: so long it is surely good, unless the holder says something about it. It is not when the leader
// changes; only leases of one epoch are compared, and where a refusal or a confirmation depends on the leader being
// the same still, another lease of its epoch that was asked for afterwards must prove it.
import type { Violation } from '../scenario.ts';
import type { GroupEvent, GroupHistory, Send } from './group-history.ts';

export const GROUP_ANOMALIES = [
  'lost',
  'stuck',
  'resurrected',
  'shared',
  'lease-twice',
  'stolen',
  'denied',
  'attempt',
  'phantom',
  'altered',
  'unwanted',
  'duplicate',
  'moved',
  'reorder',
] as const;

export type GroupAnomaly = (typeof GROUP_ANOMALIES)[number];

/** Of a lease that is asked for, at least so much passes on every other clock: 1 / 1.1, and a little less. */
const SURE_SHARE = 0.9;

const NEVER = Number.POSITIVE_INFINITY;

type EventOf<K extends GroupEvent['kind']> = Extract<GroupEvent, { kind: K }>;
type Report = (anomaly: GroupAnomaly, message: string) => void;
type Result = EventOf<'heard'>['results'][number];

interface Word {
  readonly event: EventOf<'says'>;
  heard: EventOf<'heard'> | undefined;
  result: Result;
}

interface Delivery {
  readonly event: EventOf<'delivered'>;
  readonly asks: EventOf<'asks'>;
  readonly words: Word[];
}

/** The history as it was gone through. */
interface View {
  readonly sends: ReadonlyMap<string, Send>;
  /** By topic and partition and offset. */
  readonly places: Map<string, Delivery[]>;
  /** Of one group at one place. */
  readonly messages: Map<string, Delivery[]>;
  /** By id of the message. */
  readonly byId: Map<string, Delivery[]>;
  /** By topic, partition and epoch: when a lease was asked for last. */
  readonly lastAsked: Map<string, number>;
  drainedAt: number;
}

export function checkGroups(history: GroupHistory): readonly Violation[] {
  const found: Violation[] = [];
  const report: Report = (anomaly, message) => {
    found.push({ check: `groups/${anomaly}`, message });
  };
  const view = goThrough(history);
  checkOrigins(history, view, report);
  checkPlaces(history, view, report);
  checkOrder(history, view, report);
  for (const [name, deliveries] of view.messages) checkMessage(name, deliveries, view, report);
  checkLeases(view, report);
  for (const send of history.sends) checkStored(send, history, view, report);
  return found;
}

/** Stored messages that never came out to some group. */
export function countLostSends(history: GroupHistory): number {
  if (!history.events.some(({ kind }) => kind === 'drained')) return 0;
  const lost = checkGroups(history).filter(({ check }) => check === 'groups/lost');
  return new Set(lost.map(({ message }) => message.split(' ')[0])).size;
}

/**
 * What is stored and nobody of a group is done with, as `group/id@offset`. Who said so and got no answer may have
 * been heard, and may be gone: the message need not come again.
 */
export function openMessages({ groups, sends, events }: GroupHistory): ReadonlySet<string> {
  const open = new Set<string>();
  for (const send of sends) {
    for (const { group, topic, tags } of groups) {
      if (send.outcome !== 'stored' || topic !== send.topic || !wants(tags, send.tag)) continue;
      open.add(`${group}/${send.id}@${send.offset}`);
    }
  }
  const groupOf = new Map<number, string>();
  const names = new Map<number, string>();
  const done = new Map<number, readonly number[]>();
  for (const event of events) {
    if (event.kind === 'asks') groupOf.set(event.receive, event.group);
    else if (event.kind === 'delivered') {
      const { delivery, receive, id, lease } = event;
      names.set(delivery, `${groupOf.get(receive)}/${id}@${lease.offset}`);
    } else if (event.kind === 'says' && event.what === 'done') {
      done.set(event.call, event.deliveries);
    } else if (event.kind === 'heard') {
      const deliveries = done.get(event.call) ?? [];
      const refused = deliveries.filter((_, i) => event.results[i] === 'refused');
      done.set(
        event.call,
        refused.length === 0 ? deliveries : deliveries.filter((each) => !refused.includes(each)),
      );
    }
  }
  for (const deliveries of done.values()) {
    for (const delivery of deliveries) open.delete(names.get(delivery)!);
  }
  return open;
}

function wants(tags: readonly string[] | undefined, tag: string): boolean {
  return tags === undefined || tags.includes(tag);
}

// ---- Going through it -----------------------------------------------------------------------------

function goThrough({ sends, events }: GroupHistory): View {
  const view: View = {
    sends: new Map(sends.map((send) => [send.id, send])),
    places: new Map(),
    messages: new Map(),
    byId: new Map(),
    lastAsked: new Map(),
    drainedAt: NEVER,
  };
  const asks = new Map<number, EventOf<'asks'>>();
  const byNumber = new Map<number, Delivery>();
  const words = new Map<number, Word[]>();
  for (const event of events) {
    if (event.kind === 'asks') asks.set(event.receive, event);
    else if (event.kind === 'drained') view.drainedAt = event.at;
    else if (event.kind === 'delivered') {
      const delivery = { event, asks: asks.get(event.receive)!, words: [] };
      byNumber.set(event.delivery, delivery);
      remember(view, delivery);
    } else if (event.kind === 'says') {
      const said = event.deliveries.map((number): Word => {
        const word: Word = { event, heard: undefined, result: 'unknown' };
        byNumber.get(number)?.words.push(word);
        return word;
      });
      words.set(event.call, said);
    } else {
      for (const [i, word] of (words.get(event.call) ?? []).entries()) {
        word.heard = event;
        word.result = event.results[i]!;
      }
    }
  }
  return view;
}

function remember(view: View, delivery: Delivery): void {
  const { event, asks } = delivery;
  const place = placeOf(delivery);
  push(view.places, place, delivery);
  push(view.messages, `${asks.group}/${place}`, delivery);
  push(view.byId, event.id, delivery);
  const epoch = epochOf(delivery);
  view.lastAsked.set(epoch, Math.max(view.lastAsked.get(epoch) ?? 0, asks.at));
}

function push(lists: Map<string, Delivery[]>, name: string, delivery: Delivery): void {
  const known = lists.get(name);
  if (known === undefined) lists.set(name, [delivery]);
  else known.push(delivery);
}

function partitionOf({ event, asks }: Delivery): string {
  return `${asks.topic}-${event.lease.partition}`;
}

function placeOf(delivery: Delivery): string {
  return `${partitionOf(delivery)}@${delivery.event.lease.offset}`;
}

function epochOf(delivery: Delivery): string {
  return `${partitionOf(delivery)}/${delivery.event.lease.epoch}`;
}

function saidOf({ event, asks }: Delivery): string {
  const { epoch, number } = event.lease;
  return `${asks.consumer} at ${event.atMs.toFixed(1)} ms (lease ${epoch}/${number})`;
}

// ---- What came ------------------------------------------------------------------------------------

function checkOrigins({ groups }: GroupHistory, view: View, report: Report): void {
  for (const [name, deliveries] of view.messages) {
    for (const delivery of deliveries) {
      const { event, asks } = delivery;
      const send = view.sends.get(event.id);
      if (send === undefined || send.topic !== asks.topic || send.outcome === 'refused') {
        report('phantom', `${name}: nobody sent ${event.id} there`);
        continue;
      }
      const { digest, tag, messageGroup } = send;
      const isSame =
        digest === event.digest && tag === event.tag && messageGroup === event.messageGroup;
      if (!isSame) report('altered', `${name}: ${event.id} is not what was sent`);
      const facts = groups.find((each) => each.group === asks.group && each.topic === asks.topic);
      if (facts === undefined || !wants(facts.tags, event.tag)) {
        report('unwanted', `${name}: the group does not ask for tag '${event.tag}'`);
      }
      if (event.attempt < 1) report('attempt', `${name}: attempt ${event.attempt}`);
    }
  }
}

function checkPlaces({ sends }: GroupHistory, view: View, report: Report): void {
  for (const [place, deliveries] of view.places) {
    const ids = new Set(deliveries.map(({ event }) => event.id));
    if (ids.size > 1) report('moved', `${place}: has been ${[...ids].join(' and ')}`);
  }
  const partitions = new Map<string, string>();
  for (const { id, attempts, messageGroup, topic } of sends) {
    const deliveries = view.byId.get(id) ?? [];
    const places = new Set(deliveries.map(placeOf));
    if (places.size > attempts) {
      report('duplicate', `${id}: sent ${attempts} times, and at ${[...places].join(' and ')}`);
    }
    if (messageGroup === '') continue;
    const name = `${topic}/${messageGroup}`;
    for (const delivery of deliveries) {
      const partition = partitionOf(delivery);
      const known = partitions.get(name) ?? partition;
      partitions.set(name, known);
      if (known !== partition) report('moved', `${name}: in ${known} and ${partition}`);
    }
  }
}

// ---- Order ----------------------------------------------------------------------------------------

function checkOrder(history: GroupHistory, view: View, report: Report): void {
  checkLanes(history, report);
  checkAnswers(view, report);
  checkLogs(history, view, report);
}

/** Along a lane the places that were told grow. */
function checkLanes({ sends }: GroupHistory, report: Report): void {
  const last = new Map<string, Send>();
  const stored = sends.filter(({ outcome }) => outcome === 'stored');
  for (const send of stored.sort((a, b) => a.order - b.order)) {
    const before = last.get(send.lane);
    if (before !== undefined && before.offset >= send.offset) {
      const text = `${send.id} at ${send.offset} behind ${before.id} at ${before.offset}`;
      report('reorder', `${send.lane}: ${text}`);
    }
    last.set(send.lane, send);
  }
}

/** One answer has the messages of a partition in their order. */
function checkAnswers(view: View, report: Report): void {
  const last = new Map<string, number>();
  const all = [...view.places.values()].flat();
  for (const delivery of all.sort((a, b) => a.event.at - b.event.at)) {
    const { receive, lease } = delivery.event;
    const name = `${receive} of ${partitionOf(delivery)}`;
    const before = last.get(name) ?? -1;
    if (lease.offset <= before)
      report('reorder', `answer ${name}: ${lease.offset} after ${before}`);
    last.set(name, lease.offset);
  }
}

/** What was sent when something was known to be stored is stored behind it. */
function checkLogs({ sends }: GroupHistory, view: View, report: Report): void {
  const steps = new Map<string, { at: number; offset: number; id: string; isKnown: boolean }[]>();
  const add = (partition: string, at: number, offset: number, id: string, isKnown: boolean) => {
    const list = steps.get(partition) ?? [];
    list.push({ at, offset, id, isKnown });
    steps.set(partition, list);
  };
  for (const send of sends) {
    const deliveries = view.byId.get(send.id) ?? [];
    for (const each of deliveries) {
      add(partitionOf(each), send.at, each.event.lease.offset, send.id, false);
    }
    const told = deliveries.filter(({ event }) => event.lease.offset === send.offset);
    const partitions = new Set(told.map(partitionOf));
    // At equal offsets of two partitions nobody knows which one was told.
    const [partition] = partitions;
    if (send.outcome !== 'stored' || partition === undefined || partitions.size > 1) continue;
    add(partition, send.storedAt, send.offset, send.id, true);
  }
  for (const [partition, list] of steps) {
    let highest = { offset: -1, id: '' };
    for (const step of list.sort((a, b) => a.at - b.at)) {
      if (step.isKnown) {
        if (step.offset > highest.offset) highest = step;
      } else if (step.offset <= highest.offset) {
        const text = `${step.id} at ${step.offset}, sent when ${highest.id} was at ${highest.offset}`;
        report('reorder', `${partition}: ${text}`);
      }
    }
  }
}

// ---- Leases ---------------------------------------------------------------------------------------

/** Until when the holder surely has the message, as far as was known at `at`. */
function sureUntilMs({ asks, words }: Delivery, at: number): number {
  let untilMs = asks.atMs + asks.leaseMs * SURE_SHARE;
  let capMs = NEVER;
  for (const { event, heard, result } of words) {
    if (event.at > at) break;
    const isHeard = heard !== undefined && heard.at < at;
    // To be done with it, or to let it go, ends the claim.
    if (event.what === 'done' || event.what === 0) return Math.min(untilMs, capMs, event.atMs);
    const endMs = event.atMs + event.what * SURE_SHARE;
    if (isHeard && result === 'ok') untilMs = endMs;
    else capMs = Math.min(capMs, endMs);
  }
  return Math.min(untilMs, capMs);
}

/** The leader of that epoch gave leases that were asked for after `at`. */
function led(view: View, delivery: Delivery, at: number): boolean {
  return (view.lastAsked.get(epochOf(delivery)) ?? 0) > at;
}

function checkMessage(
  name: string,
  deliveries: readonly Delivery[],
  view: View,
  report: Report,
): void {
  checkEnd(name, deliveries, report);
  const epochs = new Map<number, Delivery[]>();
  for (const delivery of deliveries) {
    const { epoch } = delivery.event.lease;
    epochs.set(epoch, [...(epochs.get(epoch) ?? []), delivery]);
  }
  for (const list of epochs.values()) checkEpoch(name, list, report);
  for (const delivery of deliveries) {
    for (const word of delivery.words) {
      if (word.event.what === 'done') checkWord(name, delivery, word, deliveries, view, report);
    }
  }
}

/** Behind a confirmed acknowledgement nobody of the group gets the message any more. */
function checkEnd(name: string, deliveries: readonly Delivery[], report: Report): void {
  let doneAt = NEVER;
  for (const { words } of deliveries) {
    for (const { event, heard, result } of words) {
      if (event.what === 'done' && result === 'ok') doneAt = Math.min(doneAt, heard!.at);
    }
  }
  for (const delivery of deliveries) {
    if (delivery.asks.at > doneAt) {
      report('resurrected', `${name}: was done with, and came to ${saidOf(delivery)}`);
    }
  }
}

function checkEpoch(name: string, deliveries: Delivery[], report: Report): void {
  deliveries.sort((a, b) => a.event.lease.number - b.event.lease.number);
  for (const [i, later] of deliveries.entries()) {
    const before = deliveries[i - 1];
    if (before === undefined) continue;
    if (later.event.attempt < before.event.attempt) {
      const text = `attempt ${later.event.attempt} after ${before.event.attempt}`;
      report('attempt', `${name}: ${text}, ${saidOf(later)}`);
    }
    if (later.event.lease.number === before.event.lease.number) continue;
    if (later.event.atMs < sureUntilMs(before, later.event.at)) {
      report('shared', `${name}: ${saidOf(before)} holds it, and it came to ${saidOf(later)}`);
    }
  }
}

function checkWord(
  name: string,
  delivery: Delivery,
  { event, heard, result }: Word,
  all: readonly Delivery[],
  view: View,
  report: Report,
): void {
  if (heard === undefined) return;
  const { words } = delivery;
  const isFirst = words.every(
    (word) => word.event.at >= event.at || (word.event.what !== 'done' && word.result === 'ok'),
  );
  if (result === 'refused' && isFirst && led(view, delivery, heard.at)) {
    const isGood = heard.atMs < sureUntilMs(delivery, event.at - 1);
    if (isGood) report('denied', `${name}: ${saidOf(delivery)} could not be done with it`);
  }
  if (result !== 'ok') return;
  for (const other of all) {
    const { epoch, number } = other.event.lease;
    const own = delivery.event.lease;
    const isLater = epoch > own.epoch || (epoch === own.epoch && number > own.number);
    if (!isLater || other.event.at > event.at) continue;
    if (heard.atMs < sureUntilMs(other, heard.at) && led(view, other, heard.at)) {
      report('stolen', `${name}: ${saidOf(delivery)} was done with what ${saidOf(other)} held`);
    }
  }
}

/** A leader gives a number of one group once. */
function checkLeases(view: View, report: Report): void {
  const given = new Map<string, Delivery>();
  for (const deliveries of view.messages.values()) {
    for (const delivery of deliveries) {
      const name = `${delivery.asks.group}/${epochOf(delivery)}/${delivery.event.lease.number}`;
      const known = given.get(name);
      if (known !== undefined) {
        report('lease-twice', `${name}: ${saidOf(known)} and ${saidOf(delivery)}`);
      }
      given.set(name, delivery);
    }
  }
}

// ---- The end --------------------------------------------------------------------------------------

function checkStored(send: Send, { groups }: GroupHistory, view: View, report: Report): void {
  if (send.outcome !== 'stored') return;
  const all = view.byId.get(send.id) ?? [];
  for (const { group, topic, tags } of groups) {
    if (topic !== send.topic || !wants(tags, send.tag)) continue;
    const deliveries = all.filter(
      ({ event, asks }) =>
        asks.group === group && event.lease.offset === send.offset && event.at < view.drainedAt,
    );
    const isDone = deliveries.some(({ words }) =>
      words.some(({ event, result }) => event.what === 'done' && result !== 'refused'),
    );
    const name = `${send.id} of ${topic} for ${group}`;
    if (deliveries.length === 0) report('lost', `${name}: stored at ${send.offset}, never came`);
    else if (!isDone) report('stuck', `${name}: came last to ${saidOf(deliveries.at(-1)!)}`);
  }
}
