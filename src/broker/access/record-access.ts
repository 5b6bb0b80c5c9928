// Records for people: produce one, read some, in any destination, from any node. What the admin API and
// the command line show.
import type {
  DestinationView,
  FetchedInput,
  LogResult,
  MetadataResult,
  MetadataView,
} from '../../cluster/ports.ts';
import type { Unpack } from '../../env/environment.ts';
import { encodeBatch } from '../../records/records.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { murmur2 } from '../../std/hash.ts';
import { refuseDestinationName } from '../destination/name.ts';
import type { LogClient } from './log-client.ts';
import { type FoundRecords, type RecordSearch, searchRecords } from './record-search.ts';
import { type ReadRecord, shownRecords } from './shown-records.ts';

export interface NewRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array | null }[];
  /** Without it the key decides (murmur2, as Kafka's clients do), or chance. */
  readonly partition: number | undefined;
}

export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'unknown-destination' | 'unknown-partition' }
  /** `result` says why; 'timed-out' when nobody answered. */
  | { readonly kind: 'failed'; readonly result: LogResult };

export type ReadFrom = 'earliest' | 'latest' | number;

export interface ReadAnswer {
  readonly records: readonly ReadRecord[];
  /** By partition: where the next read goes on. */
  readonly next: readonly { readonly partition: number; readonly offset: number }[];
}

export interface RecordAccess {
  produce(
    name: string,
    record: NewRecord,
    timeoutMs: number,
  ): Promise<Outcome<{ partition: number; offset: number }>>;
  read(
    name: string,
    from: ReadonlyMap<number, ReadFrom>,
    limits: { readonly recordsMax: number; readonly waitMs: number },
  ): Promise<Outcome<ReadAnswer>>;
  find(name: string, search: RecordSearch): Promise<Outcome<FoundRecords>>;
}

const NEW_LEADER_POLL_MS = 50;
const NOT_YET: ReadonlySet<LogResult> = new Set(['not-leader', 'not-available', 'unknown-log']);
const FETCH_BYTES = 1024 * 1024;
const ANSWER_MS = 5_000;
/** Of this node: what one finds and unpacks lies in memory. Who asks for more is told to come back. */
const SEARCHES_MAX = 8;

/** Undefined if what was read is not what was appended. */
function bytesOf(fetched: FetchedInput): Uint8Array | undefined {
  let size = 0;
  for (const slice of fetched.slices)
    size += slice.kind === 'memory' ? slice.bytes.length : slice.length;
  const all = new Uint8Array(size);
  let at = 0;
  for (const slice of fetched.slices) {
    if (slice.kind === 'memory') {
      all.set(slice.bytes, at);
      at += slice.bytes.length;
    } else {
      const bytes = all.subarray(at, at + slice.length);
      if (!slice.isSound(bytes, slice.file.readSync(bytes, slice.position), undefined)) {
        return undefined;
      }
      at += slice.length;
    }
  }
  return all;
}

/** Record access over a log client; one per node, on the main thread. */
export function createRecordAccess(options: {
  readonly view: MetadataView;
  readonly client: LogClient;
  readonly crc32c: Crc32c;
  readonly unpack: Unpack;
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Uniform integer below n: partitions of records without a key. */
  readonly below: (n: number) => number;
  /** Makes a destination that is produced to by name and does not exist; absent: it is refused. */
  readonly create?: (name: string, timeoutMs: number) => Promise<MetadataResult>;
  readonly sleep: (delayMs: number) => Promise<void>;
}): RecordAccess {
  const { view, client } = options;
  let searching = 0;

  /** A destination that was just made has leaders a moment later; nothing was appended before. */
  const firstAppend = async (logId: number, batch: Uint8Array, timeoutMs: number) => {
    for (let leftMs = timeoutMs; ; leftMs -= NEW_LEADER_POLL_MS) {
      const appended = await client.append(logId, batch.slice(), 'stored', timeoutMs);
      const isEarly = appended === undefined || NOT_YET.has(appended.result);
      if (!isEarly || leftMs <= NEW_LEADER_POLL_MS) return appended;
      await options.sleep(NEW_LEADER_POLL_MS);
    }
  };

  const partitionOf = (destination: DestinationView, record: NewRecord): number => {
    if (record.partition !== undefined) return record.partition;
    const count = destination.logs.length;
    if (record.key === null) return options.below(count);
    return (murmur2(record.key) & 0x7fff_ffff) % count;
  };

  const resolve = async (logId: number, from: ReadFrom): Promise<number | LogResult> => {
    if (typeof from === 'number') return from;
    const located = await client.locate(logId, { kind: from }, ANSWER_MS);
    if (located === undefined) return 'timed-out';
    return located.result === 'ok' ? located.offset : located.result;
  };

  const readOne = async (logId: number, partition: number, offset: number, max: number) => {
    const fetched = await client.fetch(logId, offset, FETCH_BYTES, ANSWER_MS);
    if (fetched === undefined) return 'timed-out' as const;
    const bytes = bytesOf(fetched);
    fetched.release();
    if (fetched.result !== 'ok') return fetched.result;
    if (bytes === undefined) return 'storage-error' as const;
    const place = { partition, fromOffset: offset, recordsMax: max };
    return shownRecords(bytes, place, options.unpack);
  };

  return {
    async produce(name, record, timeoutMs) {
      const known = view.destination(name);
      if (known === undefined && options.create !== undefined) {
        if (refuseDestinationName(name) !== undefined) return { kind: 'unknown-destination' };
        const made = await options.create(name, timeoutMs);
        // Nothing was produced, whatever becomes of the destination.
        if (made.kind === 'unavailable') return { kind: 'failed', result: 'not-available' };
      }
      const destination = view.destination(name);
      if (destination === undefined) return { kind: 'unknown-destination' };
      const partition = partitionOf(destination, record);
      const log = destination.logs[partition];
      if (log === undefined) return { kind: 'unknown-partition' };
      const timestampMs = Math.floor(options.nowMs());
      const batch = encodeBatch([{ timestampMs, ...record }], options.crc32c);
      const appended =
        known === undefined
          ? await firstAppend(log.logId, batch, timeoutMs)
          : await client.append(log.logId, batch, 'stored', timeoutMs);
      if (appended === undefined) return { kind: 'failed', result: 'timed-out' };
      if (appended.result !== 'ok') return { kind: 'failed', result: appended.result };
      return { kind: 'ok', value: { partition, offset: appended.baseOffset } };
    },

    async read(name, from, { recordsMax, waitMs }) {
      const destination = view.destination(name);
      if (destination === undefined) return { kind: 'unknown-destination' };
      const places = new Map<number, { logId: number; offset: number }>();
      for (const [partition, wanted] of from) {
        const log = destination.logs[partition];
        if (log === undefined) return { kind: 'unknown-partition' };
        const offset = await resolve(log.logId, wanted);
        if (typeof offset !== 'number') return { kind: 'failed', result: offset };
        places.set(partition, { logId: log.logId, offset });
      }
      const records: ReadRecord[] = [];
      for (let round = 0; round < 2; round += 1) {
        for (const [partition, place] of places) {
          const room = recordsMax - records.length;
          if (room <= 0) break;
          const found = await readOne(place.logId, partition, place.offset, room);
          if (!Array.isArray(found)) return { kind: 'failed', result: found };
          records.push(...found);
          const last = found[found.length - 1];
          if (last !== undefined) place.offset = last.offset + 1;
        }
        if (records.length > 0 || waitMs <= 0 || round > 0) break;
        const waits = [...places.values()].map(({ logId, offset }) =>
          client.awaitBeyond(logId, offset, waitMs),
        );
        await Promise.race(waits);
      }
      const next = [...places].map(([partition, { offset }]) => ({ partition, offset }));
      return { kind: 'ok', value: { records, next } };
    },

    async find(name, search) {
      const destination = view.destination(name);
      if (destination === undefined) return { kind: 'unknown-destination' };
      const logs = destination.logs.map(({ logId }) => logId);
      for (const partition of search.from.keys()) {
        if (logs[partition] === undefined) return { kind: 'unknown-partition' };
      }
      if (searching >= SEARCHES_MAX) return { kind: 'failed', result: 'throttled' };
      const { unpack, monotonicMs: nowMs } = options;
      searching += 1;
      try {
        const found = await searchRecords({ client, unpack, bytesOf, nowMs }, logs, search);
        if (typeof found === 'string') return { kind: 'failed', result: found };
        return { kind: 'ok', value: found };
      } finally {
        searching -= 1;
      }
    },
  };
}
