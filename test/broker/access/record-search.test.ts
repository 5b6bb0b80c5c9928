// Searches over several logs, with leaders that answer what a test says: what does not have what was asked for is left
// out, and whoever goes on from an answer misses nothing and sees nothing twice.
import { describe, expect, it } from 'vitest';
import type { LogClient } from '../../../src/broker/access/log-client.ts';
import {
  type FoundRecords,
  type RecordSearch,
  searchRecords,
} from '../../../src/broker/access/record-search.ts';
import type { FetchedInput, FindInput, FoundInput } from '../../../src/cluster/ports.ts';
import { stampBatch } from '../../../src/records/batch.ts';
import { hasLookup } from '../../../src/records/lookups.ts';
import { encodeBatch, type RecordInput } from '../../../src/records/records.ts';
import { storedMessageId } from '../../../src/records/stored-id.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

interface Said {
  readonly key: string;
  readonly timestampMs: number;
  readonly id?: string;
}

/** Partition p is log 10 + p. Leaders answer every offset, whoever it is of, and at most `answerMax` at once. */
class Leaders {
  readonly logs: readonly (readonly Said[])[];
  readonly asked: FindInput[] = [];
  answerMax = 4;
  nowMs = 0;
  /** Of each answer, and of each batch that is read. */
  costMs = 0;
  fetchMs = 0;
  located = 0;
  fetched = 0;
  /** All records in one batch. */
  batch: Uint8Array | undefined;
  refusal: FoundInput['result'] | undefined;

  constructor(...logs: (readonly Said[])[]) {
    this.logs = logs;
  }

  records(logId: number): readonly RecordInput[] {
    return this.logs[logId - 10]!.map(({ key, timestampMs, id }) => ({
      ...{ timestampMs, key: encodeUtf8(key), value: encodeUtf8('v') },
      headers: id === undefined ? [] : [{ name: 'UNIQ_KEY', value: encodeUtf8(id) }],
    }));
  }

  readonly client = {
    find: async (input: FindInput): Promise<FoundInput> => {
      this.asked.push(input);
      this.nowMs += this.costMs;
      const { isNewestFirst, fromOffset, max } = input;
      const endOffset = Math.min(input.endOffset, this.logs[input.logId - 10]!.length);
      const all: number[] = [];
      for (let offset = fromOffset; offset < endOffset; offset += 1) all.push(offset);
      if (isNewestFirst) all.reverse();
      const offsets = all.slice(0, Math.min(max, this.answerMax));
      const isComplete = offsets.length === all.length;
      const last = offsets.at(-1) ?? 0;
      const edge = isNewestFirst
        ? isComplete
          ? fromOffset
          : last
        : isComplete
          ? endOffset
          : last + 1;
      return { result: this.refusal ?? 'ok', offsets, edge, isComplete, unread: 1 };
    },
    fetch: async (logId: number, offset: number): Promise<FetchedInput> => {
      this.nowMs += this.fetchMs;
      this.fetched += 1;
      const bytes = this.batch ?? encodeBatch([this.records(logId)[offset]!], crc32c).slice();
      if (this.batch === undefined) stampBatch(bytes, 0, offset, 1);
      const slices = [{ kind: 'memory' as const, bytes }];
      const base = { token: 0, committedOffset: 0, startOffset: 0, endOffset: 0, leaderEpoch: 0 };
      return { ...base, result: 'ok', slices, release: () => undefined };
    },
    locate: async () => {
      this.located += 1;
      this.nowMs += this.costMs;
      return { token: 0, result: 'ok', offset: 0, timestampMs: 0, epoch: 0 };
    },
  } as unknown as LogClient;

  async search(search: Partial<RecordSearch>): Promise<FoundRecords> {
    const found = await this.searchAnyhow(search);
    if (typeof found === 'string') throw new Error(found);
    return found;
  }

  searchAnyhow(search: Partial<RecordSearch>) {
    const bytesOf = ({ slices: [slice] }: FetchedInput) =>
      slice?.kind === 'memory' ? slice.bytes : new Uint8Array(0);
    const tools = {
      client: this.client,
      unpack: () => undefined,
      bytesOf,
      nowMs: () => this.nowMs,
    };
    return searchRecords(
      tools,
      this.logs.map((_, partition) => 10 + partition),
      {
        lookup: { kind: 'key', value: encodeUtf8('k') },
        from: new Map(this.logs.map((_, partition) => [partition, undefined])),
        ...{ sinceMs: undefined, untilMs: undefined, isNewestFirst: true },
        ...{ recordsMax: 100, timeoutMs: 1000, ...search },
      },
    );
  }
}

const placesOf = ({ records }: FoundRecords) =>
  records.map(({ partition, offset }) => `${partition}:${offset}`);

describe('a search over logs', () => {
  it('leaves out what only seemed to be meant', async () => {
    const said = ['k', 'x', 'k', 'x', 'x', 'x', 'x', 'x', 'x', 'k'];
    const leaders = new Leaders(said.map((key, i) => ({ key, timestampMs: i })));
    const found = await leaders.search({});
    expect(placesOf(found)).toEqual(['0:9', '0:2', '0:0']);
    expect([found.next, leaders.asked.length, found.unread]).toEqual([[], 3, 3]);
    const some = await leaders.search({ sinceMs: 1, untilMs: 8 });
    expect(placesOf(some)).toEqual(['0:2']);
  });

  it.each([
    [true, 1],
    [true, 3],
    [false, 1],
    [false, 2],
  ])(
    'goes on where it was cut (newest first: %s, %i at once)',
    async (isNewestFirst, recordsMax) => {
      // Times that go back within a log, and logs that lie beside each other.
      const times = [[5, 9, 1, 7], [6, 2, 8], [], [3, 3, 3, 4, 4]];
      const leaders = new Leaders(
        ...times.map((log) =>
          log.map((timestampMs, i) => ({ key: i === 1 ? 'x' : 'k', timestampMs })),
        ),
      );
      const all = placesOf(await leaders.search({ isNewestFirst }));
      expect(all).toHaveLength(9);
      const parts: string[] = [];
      let from: RecordSearch['from'] = new Map(times.map((_, partition) => [partition, undefined]));
      while (from.size > 0) {
        const found = await leaders.search({ isNewestFirst, recordsMax, from });
        parts.push(...placesOf(found));
        from = new Map(found.next.map(({ partition, offset }) => [partition, offset]));
      }
      expect([...parts].sort()).toEqual([...all].sort());
      for (const [partition, log] of times.entries()) {
        const own = parts.filter((place) => place.startsWith(`${partition}:`));
        const offsets = log.map((_, i) => i).filter((i) => i !== 1);
        if (isNewestFirst) offsets.reverse();
        expect(own).toEqual(offsets.map((offset) => `${partition}:${offset}`));
      }
    },
  );

  it('makes of a batch what is meant, reads it once, and leaves out only what cannot be shown', async () => {
    const leaders = new Leaders(Array(5).fill({ key: 'k', timestampMs: 1 }));
    leaders.answerMax = 5;
    const name = 'unlikely-name';
    const records = leaders.records(10).map((record, i) => ({
      ...record,
      headers: i === 3 ? [{ name, value: null }] : [],
    }));
    leaders.batch = encodeBatch(records, crc32c).slice();
    leaders.batch[Buffer.from(leaders.batch).indexOf(name)] = 0xff;
    const found = await leaders.search({ isNewestFirst: false });
    expect(placesOf(found)).toEqual(['0:0', '0:1', '0:2', '0:4']);
    expect([leaders.fetched, found.unread]).toEqual([1, 2]);
  });

  it('says that a batch cannot be unpacked here', async () => {
    const leaders = new Leaders(Array(5).fill({ key: 'k', timestampMs: 1 }));
    leaders.answerMax = 5;
    const compression = { codec: 'gzip' as const, compress: (bytes: Uint8Array) => bytes };
    leaders.batch = encodeBatch(leaders.records(10), crc32c, { compression }).slice();
    const found = await leaders.search({});
    expect([placesOf(found), leaders.fetched, found.unread]).toEqual([[], 1, 2]);
  });

  it('ends with its time, and says what is left', async () => {
    const leaders = new Leaders(
      Array.from({ length: 20 }, (_, i) => ({ key: 'k', timestampMs: i })),
      [{ key: 'k', timestampMs: 1 }],
    );
    leaders.costMs = 400;
    const found = await leaders.search({ isNewestFirst: false });
    expect(found.next).not.toEqual([]);
    expect(leaders.asked.every(({ timeoutMs }) => timeoutMs > 0 && timeoutMs <= 1000)).toBe(true);
  });

  it.each([true, false])(
    'ends with its time between two batches that it reads, too (newest first: %s)',
    async (isNewestFirst) => {
      const said = Array.from({ length: 40 }, (_, i) => ({
        key: i % 2 ? 'k' : 'x',
        timestampMs: i,
      }));
      const leaders = new Leaders(said);
      leaders.answerMax = 100;
      leaders.fetchMs = 300;
      const places: string[] = [];
      let from: RecordSearch['from'] = new Map([[0, undefined]]);
      let rounds = 0;
      for (; from.size > 0; rounds += 1) {
        const began = leaders.nowMs;
        const found = await leaders.search({ isNewestFirst, from });
        expect(leaders.nowMs - began).toBeLessThanOrEqual(1_200);
        places.push(...placesOf(found));
        from = new Map(found.next.map(({ partition, offset }) => [partition, offset]));
      }
      // Four batches a time, and once more to hear that nothing is left.
      expect(rounds).toBe(11);
      const odd = Array.from({ length: 20 }, (_, i) => `0:${2 * i + 1}`);
      expect(places).toEqual(isNewestFirst ? odd.reverse() : odd);
    },
  );

  it('asks no leader for a place when its time is over', async () => {
    const leaders = new Leaders(
      ...Array.from({ length: 40 }, () => [{ key: 'k', timestampMs: 5 }]),
    );
    leaders.costMs = 400;
    const found = await leaders.search({ sinceMs: 1 });
    expect(found.next.length).toBeGreaterThan(20);
    expect(leaders.located).toBeLessThan(20);
  });

  it('fails as a leader does', async () => {
    const leaders = new Leaders([{ key: 'k', timestampMs: 1 }]);
    leaders.refusal = 'storage-error';
    expect(await leaders.searchAnyhow({})).toBe('storage-error');
  });

  it('reads an id that says where a message is, of one that has no other', async () => {
    const leaders = new Leaders(
      [{ key: 'a', timestampMs: 1 }],
      [
        { key: 'b', timestampMs: 1 },
        { key: 'c', timestampMs: 1, id: 'own' },
      ],
    );
    const byId = (id: string) => leaders.search({ lookup: { kind: 'id', value: encodeUtf8(id) } });
    expect(placesOf(await byId(storedMessageId(11, 0)))).toEqual(['1:0']);
    expect(leaders.asked).toEqual([]);
    expect(placesOf(await byId(storedMessageId(11, 1)))).toEqual([]);
    expect(placesOf(await byId('own'))).toEqual(['1:1']);
    expect(placesOf(await byId(storedMessageId(99, 0)))).toEqual([]);
  });
});

it('what a record is found by is the same read out', () => {
  const header = (name: string, value: string | null) => ({
    name,
    value: value === null ? null : encodeUtf8(value),
  });
  const record = {
    key: encodeUtf8('k'),
    headers: [header('KEYS', 'more'), header('TAGS', null), header('amqp.message-id', 'i')],
  };
  const has = (kind: 'key' | 'tag' | 'id', value: string) =>
    hasLookup(record, { kind, value: encodeUtf8(value) });
  expect([has('key', 'k'), has('key', 'more'), has('id', 'i')]).toEqual([true, true, true]);
  expect([has('tag', ''), has('tag', 'k'), has('key', 'i'), has('id', 'k')]).not.toContain(true);
});
