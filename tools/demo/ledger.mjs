// The books of a demonstration: what was published, what a broker confirmed, and what each reader was
// given. Pure, and a stranger to the cluster: it hears only of what clients saw.
//
// Invariant: a message is owed to a reader when it is confirmed and one of the reader's bindings matches
// its key, as this file matches them. A repeat of an id is a duplicate, never a reorder.

const EXAMPLES_MAX = 5;

/** AMQP's topic patterns: `*` is one word, `#` any number of them, none as well. */
export function matches(pattern, key) {
  const from = (words, rest) => {
    if (words.length === 0) return rest.length === 0;
    const [word, ...more] = words;
    if (word === '#') return rest.some((_, i) => from(more, rest.slice(i))) || from(more, []);
    return rest.length > 0 && (word === '*' || word === rest[0]) && from(more, rest.slice(1));
  };
  return from(pattern.split('.'), key.split('.'));
}

/** What one reader was given. `order` says what is compared: see `report`. */
class Reader {
  constructor({ name, bindings, order }) {
    this.name = name;
    this.bindings = bindings;
    this.order = order;
    /** id -> number of the first delivery, and the least position in the log that it was found at. */
    this.first = new Map();
    this.atPosition = new Map();
    this.deliveries = 0;
    this.duplicates = 0;
    /** Confirmed, wanted and not yet seen. */
    this.owed = 0;
    this.wantedKeys = new Map();
    this.faults = { altered: [], misrouted: [], rewritten: [] };
  }

  wants(key) {
    let isWanted = this.wantedKeys.get(key);
    if (isWanted === undefined) {
      isWanted = this.bindings.some((pattern) => matches(pattern, key));
      this.wantedKeys.set(key, isWanted);
    }
    return isWanted;
  }

  take(message, { id, key, hash, log, position }) {
    this.deliveries += 1;
    if (message === undefined || message.hash !== hash || message.key !== key) {
      this.faults.altered.push(`${id} at ${log}@${position ?? this.deliveries}`);
      return;
    }
    if (!this.wants(key)) {
      this.faults.misrouted.push(`${id} with ${key}`);
      return;
    }
    const place = `${log}@${position}`;
    if (position !== undefined) {
      const known = this.atPosition.get(place);
      if (known !== undefined && known !== id) {
        this.faults.rewritten.push(`${place}: ${known}, then ${id}`);
      }
      this.atPosition.set(place, id);
    }
    const seen = this.first.get(id);
    if (seen === undefined) {
      this.first.set(id, { nth: this.deliveries, position });
      if (message.isConfirmed) this.owed -= 1;
      return;
    }
    this.duplicates += 1;
    if (position < seen.position) seen.position = position;
  }
}

export class Ledger {
  #messages = new Map();
  #readers = new Map();
  #attempts = 0;

  /** `readers`: rows of name, bindings, and order: `arrival` or `position`. */
  constructor(readers) {
    for (const reader of readers) this.#readers.set(reader.name, new Reader(reader));
  }

  publishing(id, key, hash) {
    this.#attempts += 1;
    const known = this.#messages.get(id);
    if (known !== undefined) known.lastAttempt = this.#attempts;
    else {
      const attempt = { firstAttempt: this.#attempts, lastAttempt: this.#attempts };
      this.#messages.set(id, { id, key, hash, isConfirmed: false, ...attempt });
    }
  }

  confirmed(id) {
    const message = this.#messages.get(id);
    if (message.isConfirmed) return;
    message.isConfirmed = true;
    for (const reader of this.#readers.values()) {
      if (reader.wants(message.key) && !reader.first.has(id)) reader.owed += 1;
    }
  }

  delivered(name, delivery) {
    this.#readers.get(name).take(this.#messages.get(delivery.id), delivery);
  }

  /** How many confirmed messages a reader has not seen yet. */
  owedTo(name) {
    return this.#readers.get(name).owed;
  }

  #lost(reader) {
    const lost = [];
    for (const { id, key, isConfirmed } of this.#messages.values()) {
      if (isConfirmed && !reader.first.has(id) && reader.wants(key)) lost.push(id);
    }
    return lost;
  }

  /**
   * Ids that came after one of the same key that was published later. A message that was published again
   * has an interval of attempts, and only what lies before another's whole interval must come before it.
   * By `position`, first deliveries are taken in the order of the log; the key decides which log.
   */
  #swapped(reader, order) {
    const rows = [...reader.first].map(([id, { nth, position }]) => ({
      message: this.#messages.get(id),
      at: order === 'arrival' ? nth : position,
    }));
    rows.sort((a, b) => a.at - b.at);
    const newest = new Map();
    const swapped = [];
    for (const { message } of rows) {
      const { id, key, firstAttempt, lastAttempt } = message;
      const before = newest.get(key);
      if (before !== undefined && lastAttempt < before.firstAttempt) {
        swapped.push(`${id} after ${before.id}, both ${key}`);
      }
      if (before === undefined || firstAttempt > before.firstAttempt) newest.set(key, message);
    }
    return swapped;
  }

  #reportOf(reader) {
    const lists = {
      lost: this.#lost(reader),
      reordered: this.#swapped(reader, reader.order),
      ...reader.faults,
    };
    return {
      name: reader.name,
      delivered: reader.first.size,
      duplicates: reader.duplicates,
      ...Object.fromEntries(Object.entries(lists).map(([kind, list]) => [kind, list.length])),
      /** No fault where the protocol promises no order of arrival. */
      overtaken: this.#swapped(reader, 'arrival').length,
      examples: Object.entries(lists).flatMap(([kind, list]) =>
        list.slice(0, EXAMPLES_MAX).map((text) => `${kind}: ${text}`),
      ),
    };
  }

  report() {
    const messages = [...this.#messages.values()];
    const readers = [...this.#readers.values()].map((reader) => this.#reportOf(reader));
    const faultsOf = ({ lost, reordered, altered, misrouted, rewritten }) =>
      lost + reordered + altered + misrouted + rewritten;
    return {
      published: messages.length,
      republished: this.#attempts - messages.length,
      confirmed: messages.filter(({ isConfirmed }) => isConfirmed).length,
      readers,
      faults: readers.reduce((sum, reader) => sum + faultsOf(reader), 0),
    };
  }
}
