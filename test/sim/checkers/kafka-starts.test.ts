// The checker of log starts, tried on histories that are right and on such that each break one promise.
import { describe, expect, it } from 'vitest';
import {
  emptyHistory,
  type KafkaHistory,
  type Send,
  type Trim,
} from '../../../src/sim/checkers/kafka-history.ts';
import { checkKafkaLog } from '../../../src/sim/checkers/kafka-log.ts';
import {
  checkKafkaStarts,
  type KeepingPromise,
  type StartHistory,
} from '../../../src/sim/checkers/kafka-starts.ts';

const LOG = { topic: 't', partition: 0 };
const END_MS = 100_000;

/** One record a second from 0 on, 1,000 bytes each; read back from `start` on. */
function history(count: number, start: number): KafkaHistory {
  const made = emptyHistory();
  for (let id = 0; id < count; id += 1) {
    const send: Send = {
      ...LOG,
      producer: 'p',
      id,
      bodyHash: id,
      acks: -1,
      order: id,
      attempts: 1,
      outcome: 'acknowledged',
      offset: id,
      bytes: 1_000,
      beganMs: id * 1_000,
    };
    made.sends.push(send);
  }
  const ids = Array.from({ length: count - start }, (_, i) => start + i);
  const poll = { ...LOG, consumer: 'f', session: 1, offsets: ids, ids, bodyHashes: ids };
  if (ids.length > 0) made.finalPolls.push(poll);
  made.finalStarts.set('t-0', { offset: start, atMs: END_MS });
  return made;
}

const empty = (): StartHistory => ({ starts: [], trims: [] });
const seen = (offset: number, beganMs: number) => ({
  ...LOG,
  offset,
  beganMs,
  endedMs: beganMs + 5,
});
const trim = (offset: number, low: number | undefined, beganMs: number) => ({
  ...LOG,
  offset,
  low,
  beganMs,
  endedMs: low === undefined ? undefined : beganMs + 5,
  outcome: low === undefined ? ('unknown' as const) : ('acknowledged' as const),
});

function found(of: KafkaHistory, starts: StartHistory, promise: KeepingPromise = {}): string[] {
  const all = [...checkKafkaLog(of), ...checkKafkaStarts(of, starts, new Map([['t', promise]]))];
  return all.map(({ check }) => check);
}

describe('a start', () => {
  it('at 0 needs no reason', () => {
    expect(found(history(50, 0), empty())).toEqual([]);
  });

  it('above 0 is explained by age, size or a deletion, whether that was answered or not', () => {
    const of = history(50, 30);
    expect(found(of, empty(), { ageMs: 80_000 })).toEqual([]);
    expect(found(of, empty(), { bytes: 20_000 })).toEqual([]);
    expect(found(of, { starts: [], trims: [trim(30, 30, 60_000)] })).toEqual([]);
    expect(found(of, { starts: [], trims: [trim(40, undefined, 60_000)] })).toEqual([]);
    const all = Number.POSITIVE_INFINITY;
    expect(found(of, { starts: [], trims: [trim(all, 30, 60_000)] })).toEqual([]);
  });

  it('above 0 without a reason is found', () => {
    const early = ['kafka-starts/deleted-early'];
    const of = history(50, 30);
    expect(found(of, empty())).toEqual(early);
    expect(found(of, empty(), { ageMs: 90_000 })).toEqual(early);
    expect(found(of, empty(), { bytes: 30_000 })).toEqual(early);
    expect(found(of, { starts: [], trims: [trim(20, 20, 60_000)] })).toEqual(early);
    const refused = { ...trim(40, undefined, 60_000), outcome: 'failed' as const };
    expect(found(of, { starts: [], trims: [refused] })).toEqual(early);
  });

  it('above what somebody who wanted all gone can have deleted is found', () => {
    const early = ['kafka-starts/deleted-early'];
    const of = history(50, 30);
    const all = Number.POSITIVE_INFINITY;
    const after = (...trims: Trim[]) => found(of, { starts: [], trims });
    // Answered: nothing from 20 on was there then.
    expect(after(trim(all, 20, 20_000))).toEqual(early);
    expect(after(trim(all, 20, 20_000), trim(30, 30, 60_000))).toEqual([]);
    // An answer that tells nothing: it was carried out before that, or never.
    expect(after({ ...trim(all, undefined, 20_000), endedMs: 29_001 })).toEqual([]);
    expect(after({ ...trim(all, undefined, 20_000), endedMs: 29_000 })).toEqual(early);
    // No answer: it may have been carried out a while later, not for ever.
    expect(after(trim(all, undefined, 17_001))).toEqual([]);
    expect(after(trim(all, undefined, 17_000))).toEqual(early);
  });

  it('that a deletion beyond the end is not the reason of is found', () => {
    const of = history(50, 30);
    const trims = [trim(51, undefined, 60_000)];
    expect(found(of, { starts: [], trims })).toEqual(['kafka-starts/deleted-early']);
    expect(found(of, { starts: [], trims: [trim(50, undefined, 60_000)] })).toEqual([]);
  });

  it('that is lower in the end than it was is found', () => {
    const of = history(50, 30);
    const trims = [trim(45, undefined, 10)];
    expect(found(of, { starts: [seen(30, 50)], trims })).toEqual([]);
    expect(found(of, { starts: [seen(31, 50)], trims })).toEqual(['kafka-starts/start-backwards']);
  });

  it('that a deletion is told, is neither below what was asked nor below what was known', () => {
    const of = history(50, 45);
    const asked = trim(45, undefined, 10);
    const backwards = { starts: [seen(20, 100)], trims: [asked, trim(10, 10, 200)] };
    expect(found(of, backwards)).toEqual(['kafka-starts/start-backwards']);
    // It was under way when the other was told.
    expect(found(of, { starts: [seen(20, 100)], trims: [asked, trim(10, 10, 103)] })).toEqual([]);
    const short = { starts: [], trims: [asked, trim(10, 9, 200)] };
    expect(found(of, short)).toEqual(['kafka-starts/short-trim']);
  });
});

describe('records', () => {
  it('at or above the start are owed', () => {
    const of = history(50, 30);
    of.finalPolls.length = 0;
    const { offsets, ids, bodyHashes, ...rest } = {
      ...history(50, 30).finalPolls[0]!,
    };
    const without = (all: readonly number[]) => all.filter((each) => each !== 30);
    of.finalPolls.push({
      ...rest,
      offsets: without(offsets),
      ids: without(ids),
      bodyHashes: without(bodyHashes),
    });
    expect(found(of, empty(), { ageMs: 1 })).toEqual(['kafka-log/lost-write']);
  });
});
