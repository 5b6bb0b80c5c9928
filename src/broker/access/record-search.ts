// Records of a destination by key, tag or message id, from any node: asks the leader of each log where they may be,
// reads them there, and compares. Never an answer that does not have what was asked for; one that is cut (by time, by
// count or by size) says where to go on.
import type { FetchedInput, LogResult } from '../../cluster/ports.ts';
import type { Unpack } from '../../env/environment.ts';
import { forEachBatch } from '../../records/batch.ts';
import { hasLookup, type Lookup } from '../../records/lookups.ts';
import { RecordReader } from '../../records/records.ts';
import { OWN_ID_HEADER, placeOfStoredId } from '../../records/stored-id.ts';
import { BytesError, decodeUtf8 } from '../../std/bytes.ts';
import type { LogClient } from './log-client.ts';
import { type ReadRecord, UNPACKED_BYTES_MAX } from './shown-records.ts';

export interface RecordSearch {
  readonly lookup: Lookup;
  /** The partitions to look in, each with where to go on; undefined: from its begin, newest first from its end. */
  readonly from: ReadonlyMap<number, number | undefined>;
  /** Times in ms, both ends included. */
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly isNewestFirst: boolean;
  readonly recordsMax: number;
  readonly timeoutMs: number;
}

export interface FoundRecords {
  /** Of one partition in the order of their offsets, or against it; those of several by their times. */
  readonly records: readonly ReadRecord[];
  /** Partitions that were not looked through to their end: the `from` of the next search. */
  readonly next: readonly { readonly partition: number; readonly offset: number }[];
  /** Batches that nobody could unpack: what is in them is not found. */
  readonly unread: number;
}

export interface SearchTools {
  readonly client: LogClient;
  readonly unpack: Unpack;
  /** Undefined if what was read is not what was appended. */
  readonly bytesOf: (fetched: FetchedInput) => Uint8Array | undefined;
  /** A monotonic clock, in ms. */
  readonly nowMs: () => number;
}

/** Asked of a leader at once. */
const CANDIDATES_MAX = 256;
const PARTITIONS_AT_ONCE = 8;
/** What is found lies in memory at once. */
const FOUND_BYTES_MAX = 32 * 1024 * 1024;
const ANSWER_MS = 5_000;
const END = Number.MAX_SAFE_INTEGER;

/** `logs`: log ids by partition, at least those that are asked for. */
export async function searchRecords(
  tools: SearchTools,
  logs: readonly number[],
  search: RecordSearch,
): Promise<FoundRecords | LogResult> {
  const budget = { bytes: FOUND_BYTES_MAX, dueMs: tools.nowMs() + search.timeoutMs };
  const parts = [...search.from].map(
    ([partition, from]) =>
      new PartitionSearch(tools, search, budget, { partition, logId: logs[partition]!, from }),
  );
  const stored = await atStoredId(parts, search);
  if (stored !== undefined) return stored;
  const waiting = [...parts];
  let failure: LogResult | undefined;
  const worker = async (): Promise<void> => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      const result = failure ?? (await part.run());
      if (result !== 'ok') failure = result;
    }
  };
  await Promise.all(Array.from({ length: PARTITIONS_AT_ONCE }, worker));
  return failure ?? merged(parts, search);
}

/** A message that was stored without an id is found by the one that says where it is. */
async function atStoredId(
  parts: readonly PartitionSearch[],
  { lookup }: RecordSearch,
): Promise<FoundRecords | LogResult | undefined> {
  if (lookup.kind !== 'id') return undefined;
  const place = placeOfStoredId(decodeUtf8(lookup.value));
  const part = parts.find(({ logId }) => logId === place?.logId);
  if (place === undefined || part === undefined) return undefined;
  const record = await part.recordAt(place.offset);
  if (typeof record === 'string') return record;
  const hasOther = record?.headers.some(({ name }) => name === OWN_ID_HEADER);
  if (record === undefined || hasOther || !part.isOfTime(record)) return undefined;
  return { records: [record], next: [], unread: 0 };
}

interface Budget {
  bytes: number;
  readonly dueMs: number;
}

class PartitionSearch {
  readonly partition: number;
  readonly logId: number;
  readonly records: ReadRecord[] = [];
  unread = 0;
  isComplete = false;
  readonly #tools: SearchTools;
  readonly #search: RecordSearch;
  readonly #budget: Budget;
  /** What is left: [from, end). */
  #from = 0;
  #end = END;
  /** What was wanted of the batch that was read last: its neighbours are often in it too. */
  #batch: ReadonlyMap<number, ReadRecord | undefined> = new Map();

  constructor(
    tools: SearchTools,
    search: RecordSearch,
    budget: Budget,
    of: {
      readonly partition: number;
      readonly logId: number;
      readonly from: number | undefined;
    },
  ) {
    this.#tools = tools;
    this.#search = search;
    this.#budget = budget;
    this.partition = of.partition;
    this.logId = of.logId;
    if (search.isNewestFirst) this.#end = of.from ?? END;
    else this.#from = of.from ?? 0;
  }

  /** Where to go on behind what was looked at. */
  get edge(): number {
    return this.#search.isNewestFirst ? this.#end : this.#from;
  }

  isOfTime({ timestampMs }: ReadRecord): boolean {
    const { sinceMs = timestampMs, untilMs = timestampMs } = this.#search;
    return timestampMs >= sinceMs && timestampMs <= untilMs;
  }

  async run(): Promise<LogResult> {
    const { recordsMax } = this.#search;
    if (this.#leftMs <= 0) return 'ok';
    const began = await this.#begin();
    if (began !== 'ok') return began;
    while (!this.isComplete && this.records.length < recordsMax && this.#budget.bytes > 0) {
      const leftMs = this.#leftMs;
      if (leftMs <= 0) break;
      const result = await this.#step(leftMs);
      if (result !== 'ok') return result;
    }
    return 'ok';
  }

  get #leftMs(): number {
    return Math.floor(this.#budget.dueMs - this.#tools.nowMs());
  }

  /** Everything before the first batch of that time can be left out. */
  async #begin(): Promise<LogResult> {
    const { sinceMs } = this.#search;
    if (sinceMs === undefined || sinceMs === 0) return 'ok';
    const query = { kind: 'at-time', timestampMs: sinceMs } as const;
    const located = await this.#tools.client.locate(this.logId, query, ANSWER_MS);
    if (located === undefined) return 'timed-out';
    if (located.result === 'ok') {
      if (located.offset < 0) this.isComplete = true;
      else this.#from = Math.max(this.#from, located.offset);
    }
    return located.result;
  }

  async #step(timeoutMs: number): Promise<LogResult> {
    const { lookup, isNewestFirst, sinceMs, untilMs, recordsMax } = this.#search;
    const found = await this.#tools.client.find({
      ...{ logId: this.logId, ...lookup, fromOffset: this.#from, endOffset: this.#end },
      ...{ sinceMs: sinceMs ?? -1, untilMs: untilMs ?? -1, isNewestFirst, timeoutMs },
      max: Math.min(CANDIDATES_MAX, recordsMax - this.records.length),
    });
    if (found === undefined) return 'timed-out';
    if (found.result !== 'ok') return found.result;
    this.unread += found.unread;
    const wanted = new Set(found.offsets);
    for (const offset of found.offsets) {
      const record = await this.recordAt(offset, wanted);
      if (typeof record === 'string') return record;
      if (isNewestFirst) this.#end = offset;
      else this.#from = offset + 1;
      if (record !== undefined && hasLookup(record, lookup) && this.isOfTime(record)) {
        this.records.push(detached(record));
        this.#budget.bytes -= sizeOf(record);
      }
      if (this.#budget.bytes <= 0 || this.#leftMs <= 0) return 'ok';
    }
    if (isNewestFirst) this.#end = found.edge;
    else this.#from = found.edge;
    this.isComplete = found.isComplete;
    return 'ok';
  }

  /**
   * Undefined: there is none, or nobody here can unpack it.
   *
   * @param wanted it, and others that are asked for next
   */
  async recordAt(
    offset: number,
    wanted: ReadonlySet<number> = new Set([offset]),
  ): Promise<ReadRecord | LogResult | undefined> {
    if (this.#batch.has(offset)) return this.#batch.get(offset);
    const { client, bytesOf } = this.#tools;
    const fetched = await client.fetch(this.logId, offset, 1, ANSWER_MS);
    if (fetched === undefined) return 'timed-out';
    const bytes = bytesOf(fetched);
    fetched.release();
    // It went meanwhile.
    if (fetched.result === 'offset-out-of-range') return undefined;
    if (fetched.result !== 'ok') return fetched.result;
    if (bytes === undefined) return 'storage-error';
    this.#batch = this.#wantedIn(bytes, wanted);
    return this.#batch.get(offset);
  }

  /** Of a batch with very many records no more is made than that. */
  #wantedIn(
    bytes: Uint8Array,
    wanted: ReadonlySet<number>,
  ): ReadonlyMap<number, ReadRecord | undefined> {
    const found = new Map<number, ReadRecord | undefined>();
    const { partition } = this;
    const { unpack } = this.#tools;
    const reader = new RecordReader();
    forEachBatch(bytes, 0, bytes.length, (at, size) => {
      const opened = reader.open(bytes, at, at + size, (codec, packed) => {
        const plain = unpack(codec, packed, UNPACKED_BYTES_MAX);
        if (plain === undefined) throw new Error(`${codec} is not unpacked here`);
        return plain;
      });
      const { baseOffset, lastOffset } = reader.header;
      for (const each of wanted) {
        if (each >= baseOffset && each <= lastOffset) found.set(each, undefined);
      }
      let isRead = opened === 'ok';
      while (opened === 'ok' && reader.next()) {
        if (!wanted.has(reader.offset)) continue;
        const headers = headersOf(reader);
        // Only this record cannot be shown.
        isRead &&= headers !== undefined;
        if (headers === undefined) continue;
        const { offset, timestampMs } = reader;
        const [key, value] = [reader.key(), reader.value()];
        const note = undefined;
        found.set(offset, { partition, offset, timestampMs, key, value, headers, note });
      }
      if (!isRead || reader.fault !== undefined) this.unread += 1;
    });
    return found;
  }
}

/** Undefined: a name is not UTF-8. */
function headersOf(reader: RecordReader): ReadRecord['headers'] | undefined {
  try {
    return reader.headers();
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}

/** A copy that does not keep the batch it was in. */
function detached(record: ReadRecord): ReadRecord {
  const { key, value, headers } = record;
  const copied = headers.map((each) => ({ name: each.name, value: each.value?.slice() ?? null }));
  return { ...record, key: key?.slice() ?? null, value: value?.slice() ?? null, headers: copied };
}

function sizeOf({ key, value, headers }: ReadRecord): number {
  let size = 256 + (key?.length ?? 0) + (value?.length ?? 0);
  for (const each of headers) size += each.name.length + (each.value?.length ?? 0) + 64;
  return size;
}

/** By time, and of each partition in its own order: what is left of one begins behind what is shown of it. */
function merged(
  parts: readonly PartitionSearch[],
  { isNewestFirst, recordsMax }: RecordSearch,
): FoundRecords {
  const records: ReadRecord[] = [];
  const shown = new Map(parts.map((part) => [part, 0]));
  while (records.length < recordsMax) {
    let best: { readonly part: PartitionSearch; readonly record: ReadRecord } | undefined;
    for (const [part, count] of shown) {
      const record = part.records[count];
      if (record === undefined) continue;
      const later = record.timestampMs - (best?.record.timestampMs ?? record.timestampMs);
      if (best === undefined || (isNewestFirst ? later > 0 : later < 0)) best = { part, record };
    }
    if (best === undefined) break;
    records.push(best.record);
    shown.set(best.part, shown.get(best.part)! + 1);
  }
  const next: { partition: number; offset: number }[] = [];
  let unread = 0;
  for (const [part, count] of shown) {
    unread += part.unread;
    const { partition, isComplete, edge } = part;
    const first = part.records[count];
    if (first !== undefined) {
      next.push({ partition, offset: isNewestFirst ? first.offset + 1 : first.offset });
    } else if (!isComplete) next.push({ partition, offset: edge });
  }
  return { records, next, unread };
}
