// A log with records that have keys, tags and message ids, and searches in it: by indexes as a shard has them, and
// by reading every record, which is what they must agree with.
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  forEachBatch,
  isControl,
  readBatchHeader,
  stampBatch,
} from '../../../src/records/batch.ts';
import { hasLookup, type Lookup, type LookupKind } from '../../../src/records/lookups.ts';
import { decodeRecords, encodeBatch, type RecordInput } from '../../../src/records/records.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import type { ShardStore, ShardStoreOptions, StoredLog } from '../../../src/storage/api.ts';
import { RecordIndexes } from '../../../src/storage/record-index/indexes.ts';
import {
  findRecords,
  type RecordQuery,
  type SearchResult,
} from '../../../src/storage/record-index/search.ts';
import { type RecordRun, recordWork } from '../../../src/storage/record-index/work.ts';
import type { FaultDisk } from './fault-disk.ts';
import { openOn, readAll, World } from './store-kit.ts';

const unpack = (codec: string, bytes: Uint8Array) =>
  codec === 'gzip' ? new Uint8Array(gunzipSync(bytes)) : undefined;
const work = recordWork({ crc32c, unpack });

export const gzip = {
  codec: 'gzip' as const,
  compress: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)),
};
/** Nobody here unpacks it. */
export const snappy = { codec: 'snappy' as const, compress: (bytes: Uint8Array) => bytes.slice() };

export function recordOf(
  timestampMs: number,
  of: {
    readonly key?: string | undefined;
    readonly value?: string | undefined;
    readonly headers?: readonly (readonly [name: string, value: string])[];
  },
): RecordInput {
  return {
    timestampMs,
    key: of.key === undefined ? null : encodeUtf8(of.key),
    value: of.value === undefined ? null : encodeUtf8(of.value),
    headers: (of.headers ?? []).map(([name, value]) => ({ name, value: encodeUtf8(value) })),
  };
}

export function lookupOf(kind: LookupKind, value: string): Lookup {
  return { kind, value: encodeUtf8(value) };
}

export const EVERYTHING = {
  fromOffset: 0,
  endOffset: Number.MAX_SAFE_INTEGER,
  sinceMs: Number.NEGATIVE_INFINITY,
  untilMs: Number.POSITIVE_INFINITY,
  isNewestFirst: false,
  max: 1000,
};

export class RecordScene {
  readonly world = new World();
  disk: FaultDisk = this.world.newDisk();
  store!: ShardStore;
  log!: StoredLog;
  indexes!: RecordIndexes;
  isShortOfSpace = false;
  /** Of each kind of task, how often it ran. */
  readonly ran = { collect: 0, run: 0, match: 0 };

  async open(options: Partial<ShardStoreOptions> = {}): Promise<this> {
    const { store } = await openOn(this.world, this.disk, options);
    this.store = store;
    this.log = store.log(5) ?? store.createLog(5, { durability: 'sync' });
    this.indexes = new RecordIndexes({
      log: this.world.env(this.disk).log,
      crc32c,
      run: this.run,
      paced: async () => undefined,
      isShortOfSpace: () => this.isShortOfSpace,
    });
    return this;
  }

  readonly run = (async (task) => {
    this.ran[task.kind] += 1;
    return work(task);
  }) as RecordRun;

  send(
    records: readonly RecordInput[],
    fields: Parameters<typeof encodeBatch>[2] = {},
    gap = 0,
  ): void {
    this.sendBatch(encodeBatch(records, crc32c, fields).slice(), gap);
  }

  /** As it is, but for its place. */
  sendBatch(batch: Uint8Array, gap = 0): void {
    stampBatch(batch, 0, this.log.endOffset + gap, 1);
    const seq = this.log.append(1, this.log.lastLogTimeMs + 1, new Uint8Array(0), batch, true);
    if (typeof seq !== 'number') throw new Error(`append was refused: ${seq}`);
    this.store.startGroup();
  }

  /** What was sent is committed. */
  async commit(): Promise<void> {
    this.store.startGroup();
    await this.world.advance(5);
    this.log.setCommitted(this.log.endSeq);
  }

  /** What was sent is settled, sealed as far as it goes, and counted. */
  async settle(): Promise<void> {
    await this.commit();
    await this.world.advance(20_000);
    for (let i = 0; i < 2; i += 1) {
      this.log.append(1, this.log.lastLogTimeMs, new Uint8Array(1), undefined, true);
      await this.world.drive(this.store.checkpoint());
    }
  }

  search(query: RecordQuery, isOver: () => boolean = () => false): Promise<SearchResult> {
    return this.world.drive(
      findRecords(this.log, query, {
        run: this.run,
        paced: async () => undefined,
        isOver,
        index: (log, lent, refused) => this.indexes.open(log, lent, refused),
      }),
    );
  }

  /** All that a query finds, as whoever asks puts it together: `max` at a time, each record looked at. */
  async found(query: RecordQuery): Promise<number[]> {
    const records = this.records();
    const offsets: number[] = [];
    let { fromOffset, endOffset } = { ...query, endOffset: this.endOf(query) };
    for (;;) {
      const {
        offsets: some,
        edge,
        isComplete,
      } = await this.search({
        ...query,
        fromOffset,
        endOffset,
      });
      offsets.push(...some.filter((offset) => isWanted(records.get(offset), query)));
      if (isComplete) return offsets;
      const isMoved = query.isNewestFirst ? edge < endOffset : edge > fromOffset;
      if (!isMoved) throw new Error(`the search stands still at ${edge}`);
      if (query.isNewestFirst) endOffset = edge;
      else fromOffset = edge;
    }
  }

  endOf({ endOffset }: RecordQuery): number {
    return Math.min(endOffset, this.log.endOffset);
  }

  /** What the query should find. */
  expected(query: RecordQuery): number[] {
    const offsets: number[] = [];
    for (const [offset, record] of this.records()) {
      const isWithin = offset >= query.fromOffset && offset < this.endOf(query);
      if (isWithin && isWanted(record, query)) offsets.push(offset);
    }
    return query.isNewestFirst ? offsets.reverse() : offsets;
  }

  /** Everything that can be read, by offset. */
  records(): Map<number, Omit<RecordInput, 'value'>> {
    const found = new Map<number, Omit<RecordInput, 'value'>>();
    const bytes = readAll(this.log);
    forEachBatch(bytes, 0, bytes.length, (at, size) => {
      if (isControl(readBatchHeader(bytes, at).attributes)) return;
      const decoded = decodeRecords(bytes, at, at + size, (codec, packed) => {
        const plain = unpack(codec, packed);
        if (plain === undefined) throw new Error('not here');
        return plain;
      });
      if (decoded.kind === 'fault') return;
      for (const record of decoded.records) {
        if (record.offset >= this.log.startOffset) found.set(record.offset, record);
      }
    });
    return found;
  }

  indexFiles(): string[] {
    return this.disk.paths().filter((path) => path.endsWith('.rix'));
  }

  get sealed(): number {
    return this.log.sealedSegments().length;
  }
}

function isWanted(record: Omit<RecordInput, 'value'> | undefined, query: RecordQuery): boolean {
  if (record === undefined) return false;
  const { timestampMs, key, headers = [] } = record;
  const isOfTime = timestampMs >= query.sinceMs && timestampMs <= query.untilMs;
  return isOfTime && hasLookup({ key, headers }, query.lookup);
}
