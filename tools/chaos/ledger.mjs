// The bookkeeper of a chaos run, in a process of its own: it shares nothing with the cluster, the
// producers or the consumers but what they tell it. It keeps for each id (producer/partition/sequence)
// the hash that was sent, whether it was acknowledged, and the first offset at which it was consumed.
//
// Invariant: an id counts as acknowledged only after a broker has answered without an error.
import { serve } from './talk.mjs';

const EXAMPLES_MAX = 10;

/** id -> { producer, partition, sequence, hash, isAcked, offset } */
const sent = new Map();
/** partition -> ids by offset, as consumers have seen them. */
const seen = new Map();
const faults = { changed: [], rewritten: [], gaps: [] };
/** Acknowledged and not yet consumed. */
const missing = new Set();
/** Those of them that were acknowledged before the last `mark`: writing goes on while we compare. */
let due = new Set();
/** Consumed before its producer's word came in over the other pipe; what stays here was never sent. */
const early = new Map();
let acked = 0;
let consumed = 0;
let duplicates = 0;

function inMap(map, key, make) {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function take(row) {
  const [partition, offset, id] = row;
  const offsets = inMap(seen, partition, () => new Map());
  const known = offsets.get(offset);
  if (known !== undefined) {
    // Delivered again, which a group may do; it must be the same message.
    if (known !== id) faults.rewritten.push(`${partition}@${offset}: ${known}, then ${id}`);
    return;
  }
  offsets.set(offset, id);
  consumed += 1;
  if (sent.has(id)) place(row);
  else inMap(early, id, () => []).push(row);
}

function place([partition, offset, id, hash]) {
  const entry = sent.get(id);
  missing.delete(id);
  due.delete(id);
  if (entry.hash !== hash || entry.partition !== partition) {
    faults.changed.push(`${partition}@${offset}: ${id}`);
  }
  if (entry.offset === undefined) entry.offset = offset;
  else {
    duplicates += 1;
    if (offset < entry.offset) entry.offset = offset;
  }
}

/** Acknowledged ids of one producer and partition by first offset: sequences must increase. */
function reordered() {
  const streams = new Map();
  for (const [id, entry] of sent) {
    if (!entry.isAcked || entry.offset === undefined) continue;
    const key = `${entry.producer}/${entry.partition}`;
    const stream = inMap(streams, key, () => []);
    stream.push({ id, offset: entry.offset, sequence: entry.sequence });
  }
  const found = [];
  for (const stream of streams.values()) {
    stream.sort((a, b) => a.offset - b.offset);
    for (let i = 1; i < stream.length; i += 1) {
      if (stream[i].sequence < stream[i - 1].sequence) {
        found.push(`${stream[i].id} after ${stream[i - 1].id}`);
      }
    }
  }
  return found;
}

serve({
  /** Rows of [id, producer, partition, sequence, hash], before they are sent. */
  sending(rows) {
    for (const [id, producer, partition, sequence, hash] of rows) {
      sent.set(id, { producer, partition, sequence, hash, isAcked: false, offset: undefined });
      for (const row of early.get(id) ?? []) place(row);
      early.delete(id);
    }
  },
  acked(ids) {
    for (const id of ids) {
      const entry = sent.get(id);
      if (entry === undefined || entry.isAcked) throw new Error(`a wrong acknowledgement: ${id}`);
      entry.isAcked = true;
      acked += 1;
      if (entry.offset === undefined) missing.add(id);
    }
  },
  consumed(rows) {
    for (const row of rows) take(row);
  },
  gap(text) {
    faults.gaps.push(text);
  },
  /** From here on the consumers owe what is acknowledged now. */
  mark() {
    due = new Set(missing);
  },
  dueCount: () => due.size,
  report() {
    const lost = [...due];
    const swapped = reordered();
    const unknown = [...early.keys()];
    const lists = { lost, reordered: swapped, unknown, ...faults };
    const examples = Object.entries(lists).flatMap(([kind, all]) =>
      all.slice(0, EXAMPLES_MAX).map((text) => `${kind} ${text}`),
    );
    return {
      sent: sent.size,
      acked,
      consumed,
      duplicates,
      lost: lost.length,
      reordered: swapped.length,
      changed: faults.changed.length,
      rewritten: faults.rewritten.length,
      gaps: faults.gaps.length,
      unknown: unknown.length,
      examples,
    };
  },
  /** Forgets what was consumed: the next reader starts from nothing. */
  restart() {
    seen.clear();
    consumed = 0;
    duplicates = 0;
    early.clear();
    for (const [id, entry] of sent) {
      entry.offset = undefined;
      if (entry.isAcked) missing.add(id);
    }
  },
});
