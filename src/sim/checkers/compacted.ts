// What a compacted partition may show, judged from what was sent and what readers were given, without a word of how
// it is compacted:
//   invented         a record that nobody sent, or not with this key and value
//   order            offsets that go back, or one offset with two records
//   lost             a key whose newest acknowledged record is nowhere, and nothing newer took its place
//   tombstone-early  a deletion that is missing before its time, while its key has nothing newer
//   back             a record that a deletion had hidden, seen in a read from the start without that deletion
//   kept             at rest: older records of a key that should be gone by then
//   idle             fewer keys were judged than must be: so many sends were open that the rest proves nothing
// A read is a whole walk from the start of a partition, of one reader. Replicas compact each for itself, so a walk that
// changes leaders in the middle is judged by its order alone.
import type { Violation } from '../scenario.ts';

export interface KeyedSend {
  readonly partition: number;
  readonly id: number;
  readonly key: string;
  readonly isTombstone: boolean;
  outcome: 'acknowledged' | 'failed' | 'unknown';
  offset: number | undefined;
  /** Sent more than once, and not known how often it is there: its key may have had a later word than is known. */
  mayBeTwice: boolean;
  /** World time when it was begun, and when it was acknowledged. */
  readonly beganMs: number;
  endedMs: number;
}

export interface ReadRecord {
  readonly offset: number;
  readonly key: string;
  /** Of the value; -1: there is none. */
  readonly id: number;
}

export interface WholeRead {
  readonly partition: number;
  /** Up to this offset: a leader that does not know yet that it leads no more may know of less than is there. */
  readonly end: number;
  readonly records: readonly ReadRecord[];
  readonly beganMs: number;
  readonly endedMs: number;
  /** One leader gave all of it. */
  readonly isOfOneLeader: boolean;
  /** Nothing was sent any more, and nothing failed: everything acknowledged is in what it walked over. */
  readonly isFinal: boolean;
}

export interface CompactedRules {
  /** A deletion stays at least so long. */
  readonly deleteRetentionMs: number;
  /** More records than this of one key in a final read that has gaps: it was not compacted to the end. */
  readonly perKeyMax: number;
  /** A key counts as often as a read of it is judged by more than order. */
  readonly judgedMin: number;
}

export function checkCompacted(
  sends: readonly KeyedSend[],
  reads: readonly WholeRead[],
  rules: CompactedRules,
): Violation[] {
  const found: Violation[] = [];
  const byId = new Map(sends.map((send) => [send.id, send]));
  const atOffset = new Map<string, string>();
  let judgedCount = 0;
  for (const read of reads) {
    found.push(...order(read, atOffset), ...invented(read, byId));
    if (!read.isOfOneLeader) continue;
    const { newest, hasOpen } = known(read, sends);
    for (const key of newest.keys()) if (!hasOpen.has(key)) judgedCount += 1;
    found.push(...judged(read, newest, hasOpen, rules));
  }
  if (judgedCount < rules.judgedMin) {
    found.push(broken('idle', `${judgedCount} keys of ${reads.length} reads were judged`));
  }
  return found;
}

/** Reads that did not find the newest record of a key. */
export function countLostKeys(violations: readonly Violation[]): number {
  return violations.filter(({ check }) => check === 'compacted/lost').length;
}

function broken(rule: string, message: string): Violation {
  return { check: `compacted/${rule}`, message };
}

function* order({ partition, records }: WholeRead, atOffset: Map<string, string>) {
  let last = -1;
  for (const { offset, key, id } of records) {
    if (offset <= last) yield broken('order', `${partition}: ${offset} behind ${last}`);
    last = offset;
    const place = `${partition}@${offset}`;
    const what = `${key}=${id}`;
    const known = atOffset.get(place);
    atOffset.set(place, what);
    if (known !== undefined && known !== what) {
      yield broken('order', `${place}: ${known}, then ${what}`);
    }
  }
}

function* invented({ partition, records }: WholeRead, byId: ReadonlyMap<number, KeyedSend>) {
  for (const { offset, key, id } of records) {
    if (id < 0) continue;
    const send = byId.get(id);
    const isSent = send?.key === key && send.partition === partition && !send.isTombstone;
    if (!isSent) yield broken('invented', `${partition}@${offset}: ${key}=${id} was not sent so`);
    else if (send.outcome === 'failed') {
      yield broken('invented', `${partition}@${offset}: ${key}=${id} had failed`);
    }
  }
}

/** Offsets are missing between records. */
export function hasGap({ records }: WholeRead): boolean {
  return records.some(({ offset }, i) => i > 0 && offset > records[i - 1]!.offset + 1);
}

type Placed = KeyedSend & { readonly offset: number };

interface Known {
  /** By key: the last word that was over when the read began. */
  readonly newest: ReadonlyMap<string, Placed>;
  /** Keys of which something newer may be there, or may have been and be hidden by what is behind the read. */
  readonly hasOpen: ReadonlySet<string>;
}

function known(read: WholeRead, sends: readonly KeyedSend[]): Known {
  const newest = new Map<string, Placed>();
  const hasOpen = new Set<string>();
  for (const send of sends) {
    // What was begun when the read was over is in no batch of it, and hides none.
    if (send.partition !== read.partition || send.beganMs > read.endedMs) continue;
    if (send.outcome === 'unknown' || send.mayBeTwice) hasOpen.add(send.key);
    if (send.outcome !== 'acknowledged') continue;
    const { offset } = send;
    const isBehind = offset !== undefined && offset >= read.end && !read.isFinal;
    // Behind the end of the read it may hide what lies before.
    if (send.endedMs >= read.beganMs || isBehind) hasOpen.add(send.key);
    else if (offset !== undefined && offset > (newest.get(send.key)?.offset ?? -1)) {
      newest.set(send.key, send as Placed);
    }
  }
  return { newest, hasOpen };
}

function* judged(
  read: WholeRead,
  newest: Known['newest'],
  hasOpen: Known['hasOpen'],
  rules: CompactedRules,
) {
  // A replica that was made anew late has compacted nothing; one that has begun has had time for all.
  const isCompacted = read.isFinal && hasGap(read);
  const seen = new Map<string, ReadRecord[]>();
  for (const record of read.records) {
    const list = seen.get(record.key) ?? [];
    list.push(record);
    seen.set(record.key, list);
  }
  for (const [key, { offset, isTombstone, endedMs }] of newest) {
    const records = seen.get(key) ?? [];
    const place = `${read.partition}: ${key}`;
    const hasIt = records.some((each) => each.offset === offset);
    const hasNewer = records.some((each) => each.offset > offset);
    const hasOlder = records.some((each) => each.offset < offset);
    if (!isTombstone && !hasIt && !hasNewer && !hasOpen.has(key)) {
      yield broken('lost', `${place} at ${offset} is nowhere`);
    }
    if (isTombstone && !hasIt && !hasNewer && !hasOpen.has(key)) {
      const ageMs = read.endedMs - endedMs;
      if (hasOlder) yield broken('back', `${place}: deleted at ${offset}, and there again`);
      if (ageMs < rules.deleteRetentionMs) {
        yield broken('tombstone-early', `${place}: the deletion at ${offset} is ${ageMs} ms old`);
      }
    }
    if (isCompacted && records.length > rules.perKeyMax) {
      yield broken('kept', `${place} has ${records.length} records`);
    }
  }
}
