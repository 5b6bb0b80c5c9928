import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refuseDestinationName } from '../../../src/broker/destination/name.ts';
import { createPartitionBehavior } from '../../../src/broker/destination/partition.ts';
import {
  messageBytesMax,
  refuseSettings,
  SETTINGS,
  streamCompaction,
  streamKeeping,
} from '../../../src/broker/destination/settings.ts';
import { freshView, putViews } from '../../../src/broker/view/views-state.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { ByteWriter } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { anyCharacter } from '../../setup/texts.ts';

describe('names', () => {
  it('are refused when they could be a path, an escape, or nothing', () => {
    const bad = [
      '',
      '.',
      '..',
      '/',
      'a/b',
      '\\',
      'a b',
      'ä',
      '\u{1f600}',
      'x'.repeat(250),
      'a\0',
      'a\n',
    ];
    for (const name of bad) expect(refuseDestinationName(name), name).toBeTypeOf('string');
    const good = ['a', '__proto__', 'constructor', 'a.b-c_9', 'x'.repeat(249), '...'];
    for (const name of good) expect(refuseDestinationName(name), name).toBeUndefined();
  });

  it('that pass consist of the allowed characters only', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 12 }), (name) => {
        const isGood = /^[a-zA-Z0-9._-]+$/.test(name) && name !== '.' && name !== '..';
        expect(refuseDestinationName(name) === undefined).toBe(isGood);
      }),
    );
  });
});

describe('settings', () => {
  it('keep a week of records, whatever their size, unless something else is said', () => {
    const none = Number.POSITIVE_INFINITY;
    const usual = { ageMs: 604_800_000, bytes: none };
    expect(streamKeeping(undefined)).toMatchObject(usual);
    expect(streamKeeping(new Map())).toMatchObject(usual);
    const config = new Map([
      ['retention.ms', '-1'],
      ['retention.bytes', '5000'],
      ['segment.bytes', '10000'],
      ['segment.ms', '7'],
    ]);
    const keeping = { ageMs: none, bytes: 5_000, segmentBytes: 10_000, segmentMs: 7 };
    expect(streamKeeping(config)).toEqual(keeping);
  });

  it('say how a stream is compacted, and that one that only is keeps its records', () => {
    expect(streamCompaction(new Map())).toBeUndefined();
    const only = new Map([['cleanup.policy', 'compact']]);
    expect(streamCompaction(only)).toEqual({
      minDirtyRatio: 0.5,
      deleteRetentionMs: 86_400_000,
      minLagMs: 0,
      maxLagMs: Number.POSITIVE_INFINITY,
    });
    expect(streamKeeping(only)).toMatchObject({ ageMs: Number.POSITIVE_INFINITY });
    const both = new Map([
      ['cleanup.policy', 'compact,delete'],
      ['retention.ms', '70'],
      ['min.cleanable.dirty.ratio', '0.25'],
      ['delete.retention.ms', '1'],
      ['min.compaction.lag.ms', '2'],
      ['max.compaction.lag.ms', '3'],
    ]);
    expect(streamCompaction(both)).toEqual({
      minDirtyRatio: 0.25,
      deleteRetentionMs: 1,
      minLagMs: 2,
      maxLagMs: 3,
    });
    expect(streamKeeping(both)).toMatchObject({ ageMs: 70, segmentMs: 3 });
  });

  it('take their own defaults', () => {
    for (const { name, defaultValue, refuse } of SETTINGS)
      expect(refuse(defaultValue), name).toBeUndefined();
  });

  it('refuse what is unknown, doubled, empty or not honoured', () => {
    expect(refuseSettings([['max.message.bytes', '1000']])).toBeUndefined();
    expect(refuseSettings([['no.such', '1']])).toContain('no.such');
    expect(refuseSettings([['__proto__', '1']])).toContain('__proto__');
    expect(
      refuseSettings([
        ['retention.ms', '-1'],
        ['retention.ms', '-1'],
      ]),
    ).toContain('twice');
    expect(refuseSettings([['retention.ms', null]])).toContain('no value');
    for (const name of ['retention.ms', 'retention.bytes']) {
      for (const value of ['-1', '0', '1000', '9223372036854775807']) {
        expect(refuseSettings([[name, value]]), value).toBeUndefined();
      }
      for (const value of ['-2', '', '1.5', 'x', '9223372036854780000', '99999999999999999999']) {
        expect(refuseSettings([[name, value]]), value).toContain(name);
      }
    }
    expect(refuseSettings([['segment.bytes', '10000']])).toBeUndefined();
    expect(refuseSettings([['segment.bytes', '13']])).toContain('segment.bytes');
    expect(refuseSettings([['segment.bytes', '1073741825']])).toContain('segment.bytes');
    expect(refuseSettings([['segment.ms', '0']])).toContain('segment.ms');
    for (const value of ['compact', 'delete', 'compact,delete', 'delete, compact']) {
      expect(refuseSettings([['cleanup.policy', value]]), value).toBeUndefined();
    }
    for (const value of ['', 'none', 'compact,', 'Compact']) {
      expect(refuseSettings([['cleanup.policy', value]]), value).toContain('cleanup.policy');
    }
    for (const value of ['', '-0.1', '1.01', '1e-3', 'half']) {
      const config = [['min.cleanable.dirty.ratio', value] as const];
      expect(refuseSettings(config), value).toContain('min.cleanable.dirty.ratio');
    }
    expect(
      refuseSettings([
        ['cleanup.policy', 'compact'],
        ['callboard.durability', 'memory'],
      ]),
    ).toContain('memory');
    expect(refuseSettings([['delete.retention.ms', '-1']])).toContain('delete.retention.ms');
    expect(refuseSettings([['max.compaction.lag.ms', '0']])).toContain('max.compaction.lag.ms');
    expect(
      refuseSettings([
        ['min.compaction.lag.ms', '2000'],
        ['max.compaction.lag.ms', '1000'],
      ]),
    ).toContain('min.compaction.lag.ms');
    for (const value of ['', ' 1', '1e3', '0x10', '-2', '99999999999', 'NaN', '1.5']) {
      expect(refuseSettings([['max.message.bytes', value]]), value).toBeTypeOf('string');
    }
    expect(messageBytesMax(new Map([['max.message.bytes', '77']]))).toBe(77);
    expect(messageBytesMax(undefined)).toBe(1_048_588);
  });
});

describe('a partition', () => {
  const behavior = createPartitionBehavior({
    rulesOf: (logId) => ({
      messageBytesMax: logId === 1 ? 100 : 10_000,
      needsKeys: logId === 3,
    }),
  });
  const position = {
    logId: 2,
    epoch: 1,
    logTimeMs: 0,
    endOffset: 0,
    committedOffset: 0,
    startOffset: 0,
    endSeq: 1,
    committedSeq: 1,
  };
  const record = { timestampMs: 1, key: null, value: new Uint8Array(50) };
  const state = behavior.initial();
  const admit = (batch: Uint8Array, logId = 2) =>
    behavior.admit!(state, behavior.promote(state, position), batch, { ...position, logId });

  it('admits a plain batch of its size and refuses what it cannot keep its promise for', () => {
    const plain = encodeBatch([record, record], crc32c).slice();
    expect(admit(plain)).toBeUndefined();
    expect(admit(plain, 1)).toBe('too-large');
    expect(admit(plain.subarray(0, 40))).toBe('corrupt');
    expect(admit(plain.subarray(0, plain.length - 1))).toBe('corrupt');
    const old = plain.slice();
    old[16] = 1;
    expect(admit(old)).toBe('unsupported');
    expect(admit(encodeBatch([record], crc32c, { isControl: true }))).toBe('invalid');
    const numbered = { producerId: 5, producerEpoch: 0, baseSequence: 0 };
    expect(admit(encodeBatch([record], crc32c, numbered))).toBe('unsupported');
    expect(admit(encodeBatch([record], crc32c, { ...numbered, isTransactional: true }))).toBe(
      'unsupported',
    );
    const gap = plain.slice();
    gap[60] = 1;
    expect(admit(gap)).toBe('invalid');
  });

  it('refuses records without a key where each needs one, and looks into no packed batch for that', () => {
    const keyed = { ...record, key: new Uint8Array(1) };
    const compression = { codec: 'gzip' as const, compress: (bytes: Uint8Array) => bytes };
    const batches = [[keyed, keyed], [keyed, record], [{ ...keyed, key: new Uint8Array(0) }]];
    const judged = batches.map((records) => admit(encodeBatch(records, crc32c).slice(), 3));
    expect(judged).toEqual([undefined, 'invalid', undefined]);
    expect(admit(encodeBatch([record], crc32c, { compression }).slice(), 3)).toBeUndefined();
    expect(admit(encodeBatch([record], crc32c).slice(), 2)).toBeUndefined();
  });

  it('counts what was appended, and its snapshot says exactly that', () => {
    const state = behavior.initial();
    const batch = encodeBatch([record, record], crc32c).slice();
    const frame = {
      seq: 1,
      epoch: 1,
      logTimeMs: 0,
      events: new Uint8Array(0),
      baseOffset: 0,
      nextOffset: 2,
    };
    behavior.apply(state, { ...frame, batch });
    behavior.apply(state, { ...frame, batch: undefined });
    expect(state).toMatchObject({ batches: 1, records: 2, bytes: batch.length });
    expect(state.tip.endOffset).toBe(2);
    expect(behavior.restore(behavior.snapshot(state))).toEqual(state);
  });

  it('reads the snapshot of a version that knew no log clients', () => {
    const state = behavior.initial();
    state.tip.endOffset = 5;
    state.views.open({ id: 0, group: 'g', queue: freshView(state.tip, 3), usedMs: 5 });
    const out = new ByteWriter(16);
    for (const number of [2, 2, 5, 100, 5]) out.varU53(number);
    putViews(out, state.views);
    const restored = behavior.restore(out.toBytes());
    expect(restored).toMatchObject({ batches: 2, records: 5, bytes: 100, tip: { endOffset: 5 } });
    expect([restored.views.of('g')?.usedMs, restored.clients.count]).toEqual([5, 0]);
    const again = behavior.restore(behavior.snapshot(restored));
    expect(again.views.of('g')?.usedMs).toBe(5);
  });

  it('reads the snapshot of a version that knew no views', () => {
    const before = Uint8Array.of(1, 2, 5, 100);
    const state = behavior.restore(before);
    expect(state).toMatchObject({ batches: 2, records: 5, bytes: 100, tip: { endOffset: 5 } });
    expect(state.views.count).toBe(0);
  });
});
