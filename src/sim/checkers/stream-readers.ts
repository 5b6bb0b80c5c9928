// Checks what AMQP consumers of a stream saw. Knows nothing of the broker: only what a stream promises to those who
// read it, and that messages with one key are in one log.
//
//   gap         the next message of a log is missing, or the first is not the one where the session began
//   repeat      a message of a log comes again, or behind a later one
//   conflict    one place holds two messages
//   duplicate   one message, which is published once, is in two places
//   reorder     two messages of one lane stand in one log in the wrong order
//   prefetch    more messages out than the session allows
//   marked      a message says that it was delivered before
//   phantom     nobody published it, or not to this stream
//   altered     body, exchange or key are not those of its publish
//   vanished    somebody saw it, and it is not there in the end
//   lost        confirmed, and not there in the end

import { encodeUtf8 } from '../../std/bytes.ts';
import { murmur2 } from '../../std/hash.ts';
import type { Violation } from '../scenario.ts';
import type { Publish } from './queue-history.ts';

export const STREAM_ANOMALIES = [
  'gap',
  'repeat',
  'conflict',
  'duplicate',
  'reorder',
  'prefetch',
  'marked',
  'phantom',
  'altered',
  'vanished',
  'lost',
] as const;

type StreamAnomaly = (typeof STREAM_ANOMALIES)[number];
type Report = (anomaly: StreamAnomaly, message: string) => void;

export interface StreamDelivery {
  /** In its log. */
  readonly offset: number;
  readonly id: number;
  readonly bodyHash: number;
  readonly exchange: string;
  readonly key: string;
  readonly isRedelivered: boolean;
}

/** One consumer on one channel. */
export interface StreamSession {
  readonly name: string;
  /** The offset in each log at which it began; undefined: behind what was there. */
  readonly from: number | undefined;
  readonly prefetch: number;
  readonly deliveries: StreamDelivery[];
  /** The most messages that were out at once. */
  outMax: number;
}

export interface StreamHistory {
  readonly stream: string;
  readonly logs: number;
  readonly sessions: StreamSession[];
  /** One that read all of it when all faults were over. */
  final: StreamSession | undefined;
}

export function checkStreamReaders(
  history: StreamHistory,
  publishes: readonly Publish[],
): readonly Violation[] {
  const found: Violation[] = [];
  const report: Report = (anomaly, message) => {
    found.push({ check: `stream/${anomaly}`, message });
  };
  for (const session of history.sessions) checkSession(session, history.logs, report);
  const places = placesOf(history, report);
  checkOrigins(history, publishes, report);
  checkLanes(places, publishes, report);
  checkFinal(history, places, publishes, report);
  return found;
}

/** How many messages were confirmed that the final session has not read. */
export function unread({ final, stream }: StreamHistory, publishes: readonly Publish[]): number {
  const there = new Set(final?.deliveries.map(({ id }) => id));
  const isMissing = ({ id, outcome, streams }: Publish) =>
    outcome === 'confirmed' && streams.includes(stream) && !there.has(id);
  return publishes.filter(isMissing).length;
}

function logOf(key: string, logs: number): number {
  return (murmur2(encodeUtf8(key)) & 0x7fff_ffff) % logs;
}

function checkSession(session: StreamSession, logs: number, report: Report): void {
  const { name, from, prefetch, outMax, deliveries } = session;
  if (outMax > prefetch) report('prefetch', `${name}: ${outMax} out, ${prefetch} allowed`);
  const next = new Map<number, number>();
  for (const { key, offset, id, isRedelivered } of deliveries) {
    const log = logOf(key, logs);
    const expected = next.get(log) ?? from ?? offset;
    const where = `${name}: ${id} at ${offset} of log ${log}, after ${expected - 1}`;
    if (offset > expected) report('gap', where);
    if (offset < expected) report('repeat', where);
    if (isRedelivered) report('marked', where);
    next.set(log, offset + 1);
  }
}

interface Place {
  readonly log: number;
  readonly offset: number;
  readonly seenBy: string;
}

/** Where each message is, as all sessions agree. */
function placesOf({ sessions, logs }: StreamHistory, report: Report): ReadonlyMap<number, Place> {
  const byId = new Map<number, Place>();
  const byPlace = new Map<string, number>();
  for (const { deliveries, name } of sessions) {
    for (const { id, key, offset } of deliveries) {
      const log = logOf(key, logs);
      const known = byId.get(id);
      if (known === undefined) byId.set(id, { log, offset, seenBy: name });
      else if (known.log !== log || known.offset !== offset) {
        report('duplicate', `${id}: at ${known.offset} and ${offset} of log ${log}`);
      }
      const place = `${log}/${offset}`;
      const other = byPlace.get(place);
      if (other === undefined) byPlace.set(place, id);
      else if (other !== id) report('conflict', `${id} and ${other} at ${offset} of log ${log}`);
    }
  }
  return byId;
}

function checkOrigins(
  { sessions, stream }: StreamHistory,
  publishes: readonly Publish[],
  report: Report,
): void {
  const byId = new Map(publishes.map((publish) => [publish.id, publish]));
  for (const { deliveries, name } of sessions) {
    for (const { id, bodyHash, exchange, key } of deliveries) {
      const publish = byId.get(id);
      if (publish === undefined || !publish.streams.includes(stream)) {
        report('phantom', `${name}: ${id}`);
        continue;
      }
      const isSame =
        publish.bodyHash === bodyHash && publish.exchange === exchange && publish.key === key;
      if (!isSame) report('altered', `${name}: ${id} by '${exchange}' with '${key}'`);
    }
  }
}

function checkLanes(
  places: ReadonlyMap<number, Place>,
  publishes: readonly Publish[],
  report: Report,
): void {
  const lasts = new Map<string, { readonly offset: number; readonly id: number }>();
  for (const { id, lane } of [...publishes].sort((a, b) => a.order - b.order)) {
    const place = places.get(id);
    if (place === undefined) continue;
    const way = `${lane} ${place.log}`;
    const last = lasts.get(way);
    if (last !== undefined && place.offset < last.offset) {
      report('reorder', `${lane}: ${id} before ${last.id} in log ${place.log}`);
    }
    lasts.set(way, { offset: place.offset, id });
  }
}

function checkFinal(
  { final, stream, logs }: StreamHistory,
  places: ReadonlyMap<number, Place>,
  publishes: readonly Publish[],
  report: Report,
): void {
  if (final === undefined) return;
  const there = new Set(final.deliveries.map(({ id }) => id));
  const lasts = new Map(final.deliveries.map(({ key, offset }) => [logOf(key, logs), offset]));
  for (const [id, { seenBy, log, offset }] of places) {
    if (there.has(id)) continue;
    // Data that is gone leaves a hole; a reader that did not come so far says nothing of what is there.
    const end = `${final.name} came to ${lasts.get(log) ?? 'none'}`;
    report('vanished', `${id}: ${seenBy} saw it at ${offset} of log ${log}, ${end}`);
  }
  for (const { id, outcome, streams, lane } of publishes) {
    const isThere = there.has(id) || outcome !== 'confirmed' || !streams.includes(stream);
    if (!isThere) report('lost', `${id} of ${lane}: confirmed, and not there`);
  }
}
