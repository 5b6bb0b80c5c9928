// The books of a cluster's chaos run: what was sent how often, what a broker acknowledged, and what readers were
// given. Pure, and a stranger to the cluster: it hears only of what clients saw.
//
// Invariant: a message is owed to every reader of its lane once it is acknowledged, and may come once for each time
// that it was sent; whatever comes more often must say so (AMQP's flag), or lie at the same place (a log's offset).

const EXAMPLES_MAX = 5;

/**
 * A lane is what one kind of client writes and reads. What its protocol promises is one of
 * - `log`: a message has a place (log and offset), which never changes; order is that of offsets;
 * - `queue`: a message has no place, and one that may have been delivered before is flagged; order is that of
 *   arrival, of those that come without the flag.
 */
class Lane {
  constructor({ name, kind, readers }) {
    this.name = name;
    this.kind = kind;
    this.messages = new Map();
    this.acked = 0;
    this.attempts = 0;
    this.readers = new Map(readers.map((reader) => [reader, new Reader(reader)]));
    this.faults = { changed: [], unknown: [], rewritten: [], returned: [], repeated: [] };
  }

  sending({ id, key, hash }) {
    this.attempts += 1;
    const known = this.messages.get(id);
    if (known !== undefined) {
      known.attempts += 1;
      known.lastAttempt = this.attempts;
      return;
    }
    const attempt = { attempts: 1, firstAttempt: this.attempts, lastAttempt: this.attempts };
    this.messages.set(id, { id, key, hash, isAcked: false, ...attempt });
  }

  acknowledged(id) {
    const message = this.messages.get(id);
    if (message === undefined) throw new Error(`an acknowledgement of what was not sent: ${id}`);
    if (message.isAcked) return;
    message.isAcked = true;
    this.acked += 1;
    for (const reader of this.readers.values()) if (!reader.seen.has(id)) reader.owed += 1;
  }

  delivered(name, delivery) {
    const reader = this.readers.get(name);
    const message = this.messages.get(delivery.id);
    reader.deliveries += 1;
    if (message === undefined) {
      this.faults.unknown.push(delivery.id);
      return;
    }
    if (message.hash !== delivery.hash) this.faults.changed.push(delivery.id);
    const seen = reader.firstLook(message);
    if (this.kind === 'log') this.#atPlace(reader, seen, message, delivery);
    else this.#fromQueue(reader, seen, message, delivery);
  }

  /** Twice at two places: it was stored twice, which is right only if it was sent twice. */
  #atPlace(reader, seen, message, { log, position }) {
    const place = `${log}@${position}`;
    if (reader.settled.has(place)) this.faults.returned.push(`${message.id} at ${place}`);
    const known = reader.atPlace.get(place);
    if (known !== undefined) {
      if (known === message.id) reader.redelivered += 1;
      else this.faults.rewritten.push(`${place}: ${known}, then ${message.id}`);
      return;
    }
    reader.atPlace.set(place, message.id);
    seen.times += 1;
    if (seen.times === 1) Object.assign(seen, { log, at: position });
    else {
      this.#again(reader, seen, message);
      // Copies of one key lie in one log, so that the earlier one is the one that counts.
      if (position < seen.at) seen.at = position;
    }
  }

  #fromQueue(reader, seen, message, { isFlagged }) {
    if (isFlagged) {
      reader.redelivered += 1;
      // It lost its place in the order before anybody saw it: it may come behind what went ahead.
      seen.isLate = seen.times === 0;
      return;
    }
    seen.times += 1;
    if (seen.times > 1) this.#again(reader, seen, message);
    else if (!seen.isLate) seen.at = reader.deliveries;
  }

  #again(reader, seen, message) {
    if (seen.times > message.attempts) {
      this.faults.repeated.push(
        `${message.id}: sent ${message.attempts}, came ${seen.times} times`,
      );
    } else reader.retried += 1;
  }

  /** The broker has answered a reader's acknowledgement of what lies there: it never comes again. */
  settled(name, { log, position }) {
    this.readers.get(name).settled.add(`${log}@${position}`);
  }

  #lostTo(reader) {
    const lost = [];
    for (const { id, isAcked } of this.messages.values()) {
      if (isAcked && !reader.seen.has(id)) lost.push(`${id}, to ${reader.name}`);
    }
    return lost;
  }

  /**
   * Acknowledged ids that came after one of the same key which was sent later. One that was sent again has an
   * interval of attempts, and only what lies before another's whole interval must come before it.
   */
  #swappedFor(reader) {
    const rows = [];
    for (const [id, { at, log }] of reader.seen) {
      const message = this.messages.get(id);
      if (at !== undefined && message.isAcked) rows.push({ message, at, log });
    }
    rows.sort((a, b) => a.at - b.at);
    const newest = new Map();
    const swapped = [];
    for (const { message, log } of rows) {
      const stream = log === undefined ? message.key : `${message.key} ${log}`;
      const before = newest.get(stream);
      if (before !== undefined && message.lastAttempt < before.firstAttempt) {
        swapped.push(`${message.id} after ${before.id}, both ${stream}`);
      }
      if (before === undefined || message.firstAttempt > before.firstAttempt) {
        newest.set(stream, message);
      }
    }
    return swapped;
  }

  get owed() {
    return Math.max(...[...this.readers.values()].map(({ owed }) => owed));
  }

  report() {
    const readers = [...this.readers.values()];
    const lists = {
      lost: readers.flatMap((reader) => this.#lostTo(reader)),
      reordered: readers.flatMap((reader) => this.#swappedFor(reader)),
      ...this.faults,
    };
    const counts = Object.entries(lists).map(([kind, list]) => [kind, list.length]);
    const sum = (name) => readers.reduce((total, reader) => total + reader[name], 0);
    return {
      lane: this.name,
      sent: this.messages.size,
      resent: this.attempts - this.messages.size,
      acked: this.acked,
      deliveries: sum('deliveries'),
      redelivered: sum('redelivered'),
      retried: sum('retried'),
      ...Object.fromEntries(counts),
      faults: counts.reduce((total, [, count]) => total + count, 0),
      examples: Object.entries(lists).flatMap(([kind, list]) =>
        list.slice(0, EXAMPLES_MAX).map((text) => `${kind}: ${text}`),
      ),
    };
  }
}

/** What one reader of a lane was given: a group, or the consumers of a queue. */
class Reader {
  constructor(name) {
    this.name = name;
    /** id -> { times, at, log, isLate }: how often without excuse, and where it stands in the order. */
    this.seen = new Map();
    this.atPlace = new Map();
    this.settled = new Set();
    this.deliveries = 0;
    this.redelivered = 0;
    this.retried = 0;
    /** Acknowledged and not yet seen. */
    this.owed = 0;
  }

  firstLook({ id, isAcked }) {
    const known = this.seen.get(id);
    if (known !== undefined) return known;
    const seen = { times: 0, at: undefined, log: undefined, isLate: false };
    this.seen.set(id, seen);
    if (isAcked) this.owed -= 1;
    return seen;
  }
}

export class Ledger {
  #lanes;

  /** `lanes`: rows of name, kind (`log` or `queue`) and readers by name. */
  constructor(lanes) {
    this.#lanes = new Map(lanes.map((lane) => [lane.name, new Lane(lane)]));
  }

  /** A message is sent, for the first time or again: { id, key, hash }. Order is promised to those of one key. */
  sending(lane, message) {
    this.#lanes.get(lane).sending(message);
  }

  acknowledged(lane, id) {
    this.#lanes.get(lane).acknowledged(id);
  }

  /** { id, hash } with { log, position }, or with { isFlagged }. */
  delivered(lane, reader, delivery) {
    this.#lanes.get(lane).delivered(reader, delivery);
  }

  settled(lane, reader, place) {
    this.#lanes.get(lane).settled(reader, place);
  }

  /** Acknowledged messages that a reader has not seen: the most of any reader. */
  owedOf(lane) {
    return this.#lanes.get(lane).owed;
  }

  /** One row a lane: counts by kind of fault, their sum, and examples. */
  report() {
    return [...this.#lanes.values()].map((lane) => lane.report());
  }
}
