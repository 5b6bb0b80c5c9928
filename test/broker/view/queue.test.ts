import { describe, expect, it } from 'vitest';
import { encodeQueueCommand } from '../../../src/broker/view/commands.ts';
import {
  ATTRIBUTES_AT,
  CONTROL_BIT,
  LAST_OFFSET_DELTA_AT,
  MAGIC_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  TRANSACTIONAL_BIT,
} from '../../../src/records/batch.ts';
import { batchOf, type Got, NODE, offsets, QueueHarness, runsOf } from './harness.ts';

const published = (h: QueueHarness, token: number) => h.answer(token, 'published');

describe('publishing', () => {
  it('stores once what a client numbers once, and says where it is', () => {
    const h = new QueueHarness();
    expect(published(h, h.publishAs(5, 1, 1, 3))).toMatchObject({ outcome: 'ok', offset: 0 });
    expect(published(h, h.publishAs(6, 1, 1, 2))).toMatchObject({ outcome: 'ok', offset: 3 });
    expect(published(h, h.publishAs(5, 1, 4, 1))).toMatchObject({ offset: 5, expected: 5 });
    const again = published(h, h.publishAs(5, 1, 1, 3));
    expect(again).toMatchObject({ outcome: 'ok', offset: 0, expected: 5 });
    expect(published(h, h.publishAs(5, 1, 4, 1)).offset).toBe(5);
    expect(h.endOffset).toBe(6);
    expect(h.stats()).toMatchObject({ ready: 6, endOffset: 6 });
  });

  it('answers what was sent again when the original is committed, not before', () => {
    const h = new QueueHarness();
    h.commitsAtOnce = false;
    const first = h.publishAs(5, 1, 1, 1);
    const again = h.publishAs(5, 1, 1, 1);
    expect(h.answers.has(first) || h.answers.has(again)).toBe(false);
    h.commit();
    expect([published(h, first).offset, published(h, again).offset]).toEqual([0, 0]);
    expect(h.endOffset).toBe(1);
  });

  it('answers at the level that was asked for', () => {
    const h = new QueueHarness();
    h.commitsAtOnce = false;
    expect(published(h, h.publish(1, 1, 'none')).offset).toBe(0);
    expect(h.unawaited).toBe(1);
    expect(published(h, h.publish(1, 1, 'local')).offset).toBe(1);
    expect(h.unawaited).toBe(1);
  });

  it('refuses gaps, overlaps and clients that are over, and says which number is next', () => {
    const h = new QueueHarness();
    expect(published(h, h.publishAs(5, 1, 2))).toMatchObject({
      outcome: 'number-gap',
      expected: 1,
    });
    h.publishAs(5, 1, 1, 3);
    expect(published(h, h.publishAs(5, 1, 5))).toMatchObject({
      outcome: 'number-gap',
      expected: 4,
    });
    expect(published(h, h.publishAs(5, 1, 3, 2)).outcome).toBe('number-gap');
    expect(published(h, h.publishAs(5, 2, 1))).toMatchObject({ outcome: 'ok', expected: 2 });
    expect(published(h, h.publishAs(5, 1, 4)).outcome).toBe('stale-client');
    expect(h.endOffset).toBe(4);
  });

  it('knows what was stored after a move, and lets a client fill the hole that the old leader left', () => {
    const h = new QueueHarness();
    h.commitsAtOnce = false;
    h.publishAs(5, 1, 1);
    h.commit();
    const lost = h.publishAs(5, 1, 2);
    const behind = h.publishAs(5, 1, 3);
    h.move(0);
    expect([h.answers.get(lost), h.answers.get(behind)]).toEqual(['refused', 'refused']);
    expect(published(h, h.publishAs(5, 1, 3))).toMatchObject({
      outcome: 'number-gap',
      expected: 2,
    });
    const resent = [h.publishAs(5, 1, 1), h.publishAs(5, 1, 2), h.publishAs(5, 1, 3)];
    h.commit();
    expect(resent.map((token) => published(h, token).offset)).toEqual([0, 1, 2]);
  });

  it('takes plain whole batches only', () => {
    const h = new QueueHarness({ batchBytesMax: 200 });
    const send = (batch: Uint8Array) =>
      published(
        h,
        h.send({
          kind: 'publish',
          level: 'committed',
          clientId: 1,
          incarnation: 1,
          firstNumber: 1,
          batch,
        }),
      ).outcome;
    const good = batchOf(2);
    expect(send(good.subarray(0, 40))).toBe('bad-batch');
    expect(send(good.subarray(0, good.length - 1))).toBe('bad-batch');
    const transactional = good.slice();
    transactional[22]! |= 0x10;
    expect(send(transactional)).toBe('bad-batch');
    const gapped = good.slice();
    gapped[26] = 5;
    expect(send(gapped)).toBe('bad-batch');
    expect(send(batchOf(100))).toBe('batch-too-large');
    expect(send(good)).toBe('ok');
  });

  it('forgets the client that was silent for longest when there are too many', () => {
    const h = new QueueHarness();
    h.publishAs(1, 1, 1);
    h.publishAs(2, 1, 1);
    h.publishAs(1, 1, 2);
    for (let id = 10; id < 10 + 4_095; id += 1) h.publishAs(id, 1, 1);
    expect(published(h, h.publishAs(1, 1, 3)).outcome).toBe('ok');
    expect(published(h, h.publishAs(2, 1, 2)).outcome).toBe('number-gap');
    expect(h.state.clients.count).toBe(4_096);
  });
});

describe('delivery', () => {
  it('gives what is committed, in order, and no more than was asked for', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(10);
    expect(offsets(h.fetch(1, 4))).toEqual([0, 1, 2, 3]);
    expect(offsets(h.fetch(1, 100))).toEqual([4, 5, 6, 7, 8, 9]);
    expect(h.fetch(1)).toEqual([]);
    expect(h.stats()).toMatchObject({ ready: 0, leased: 10, consumers: 1 });
  });

  it('wakes a receive when messages are committed, and only then', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.commitsAtOnce = false;
    const token = h.receive(1);
    h.publish(2);
    expect(h.answers.has(token)).toBe(false);
    h.commit();
    expect(offsets(h.got(token))).toEqual([0, 1]);
    expect(h.answer(token, 'deliveries')).toMatchObject({ epoch: 1, ready: 0 });
  });

  it('says nothing when an acknowledgement is committed and nobody gets a message by it', () => {
    const h = new QueueHarness();
    h.attach(1);
    const token = h.receive(1);
    h.publish(1);
    const got = h.got(token);
    h.receive(1);
    h.commitsAtOnce = false;
    h.acknowledge(got);
    h.committedSeq += 1;
    const { state, local, behavior } = h;
    let decisions = 0;
    const { clear } = local.events;
    local.events.clear = () => {
      decisions += 1;
    };
    expect(behavior.committed!(state, local, h.position())).toEqual({});
    expect(decisions).toBe(0);
    local.events.clear = clear;
    h.publish(1);
    h.committedSeq += 1;
    expect(behavior.committed!(state, local, h.position()).replies).toHaveLength(1);
  });

  it('passes no offset before the reservation above it is committed', () => {
    const h = new QueueHarness({ reserveAhead: 4 });
    h.publish(10);
    h.commitsAtOnce = false;
    h.attach(1);
    const token = h.receive(1);
    expect(h.answers.has(token)).toBe(false);
    h.commit();
    expect(offsets(h.got(token))).toEqual([0, 1, 2, 3]);
    const next = h.receive(1);
    expect(h.answers.has(next)).toBe(false);
    h.commit();
    expect(offsets(h.got(next))).toEqual([4, 5, 6, 7]);
  });

  it('gives turns to equals, one message each, and neighbours when there is a backlog', () => {
    const h = new QueueHarness();
    for (const id of [1, 2, 3]) h.attach(id);
    const tokens = [1, 2, 3].map((id) => h.receive(id, { credit: 3 }));
    h.publish(7);
    expect(tokens.map((token) => offsets(h.got(token)))).toEqual([
      [0, 3, 6],
      [1, 4],
      [2, 5],
    ]);
    h.publish(1_000);
    const more = [2, 3].map((id) => h.receive(id, { credit: 500 }));
    expect(offsets(h.got(more[0]!)).length).toBe(500);
    const large = new QueueHarness();
    large.attach(1);
    large.attach(2);
    large.commitsAtOnce = false;
    const waiting = [1, 2].map((id) => large.receive(id, { credit: 24 }));
    large.publish(1_000);
    large.commit();
    expect(offsets(large.got(waiting[0]!))[16]).toBe(32);
    expect(offsets(large.got(waiting[1]!))[0]).toBe(16);
  });

  it('prefers higher priorities, waits a moment for those that have room, and not for ever', () => {
    const h = new QueueHarness();
    h.attach(1, { priority: -1 });
    h.attach(2, { priority: 5 });
    const low = h.receive(1);
    let high = h.receive(2, { credit: 2 });
    h.publish(1);
    expect(offsets(h.got(high))).toEqual([0]);
    h.publish(1);
    expect(h.answers.has(low)).toBe(false);
    high = h.receive(2, { credit: 1 });
    expect(offsets(h.got(high))).toEqual([1]);
    // No room left: it is the other's turn.
    h.publish(1);
    expect(offsets(h.got(low))).toEqual([2]);
    high = h.receive(2, { credit: 5 });
    const again = h.receive(1);
    h.publish(1);
    expect(offsets(h.got(high))).toEqual([3]);
    h.publish(1);
    h.advance(199);
    expect(h.answers.has(again)).toBe(false);
    h.advance(1);
    expect(offsets(h.got(again))).toEqual([4]);
  });

  it('counts messages as acknowledged when they go to a consumer that never says so', () => {
    const h = new QueueHarness();
    h.attach(1, { isAutoAcknowledging: true });
    const token = h.receive(1, { credit: 10 });
    const unawaited = h.unawaited;
    h.publish(3);
    expect(h.got(token).map(({ offset, number }) => [offset, number])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
    expect(h.unawaited).toBe(unawaited + 1);
    expect(h.state.floor).toBe(3);
    expect(h.stats()).toMatchObject({ ready: 0, leased: 0 });
    h.move();
    h.attach(1);
    expect(h.fetch(1)).toEqual([]);
  });

  it('ends a receive after its time, at once if it does not wait, and when another takes its place', () => {
    const h = new QueueHarness();
    h.attach(1);
    const patient = h.receive(1, { waitMs: 1_000 });
    h.advance(999);
    expect(h.answers.has(patient)).toBe(false);
    h.advance(1);
    expect(h.answer(patient, 'deliveries').outcome).toBe('ok');
    const second = h.receive(1);
    const third = h.receive(1, { waitMs: 0 });
    expect(h.answer(second, 'deliveries').outcome).toBe('replaced');
    expect(h.answer(third, 'deliveries').outcome).toBe('ok');
    expect(h.got(third)).toEqual([]);
    expect(h.behavior.nextDueMs(h.state, h.local)).toBeUndefined();
  });

  it('lets a receive that does not wait see what was published before it', () => {
    const h = new QueueHarness();
    h.attach(1, { isPassive: true });
    h.commitsAtOnce = false;
    h.publish(2);
    const token = h.receive(1, { credit: 1, waitMs: 0 });
    expect(h.answers.has(token)).toBe(false);
    h.commit();
    expect(offsets(h.got(token))).toEqual([0]);
    expect(h.answer(token, 'deliveries').ready).toBe(1);
    // What is under way may be lost with its leader: then there is an end to the waiting too.
    h.publish(1);
    h.fetch(1, 1);
    const late = h.receive(1, { credit: 1, waitMs: 0 });
    h.advance(10_000);
    expect(h.got(late)).toEqual([]);
    expect(h.answers.has(late)).toBe(true);
  });

  it('gives what got lost on the way again, under the same numbers', () => {
    const h = new QueueHarness();
    const { seen } = h.attach(1);
    h.publish(5);
    const lost = h.got(h.receive(1, { seen, credit: 3 }));
    const got = h.got(h.receive(1, { seen, credit: 3 }));
    expect(got).toEqual(lost);
    const next = h.got(h.receive(1, { seen: got.at(-1)!.number, credit: 3 }));
    expect(offsets(next)).toEqual([3, 4]);
    // Less room than before: what is too much goes to others.
    h.attach(2);
    const other = h.receive(2);
    const fewer = h.got(h.receive(1, { seen, credit: 2 }));
    expect(offsets(fewer)).toEqual([0, 1]);
    expect(h.got(other).map(({ offset, redelivered }) => [offset, redelivered])).toEqual([
      [2, true],
      [3, true],
      [4, true],
    ]);
  });
});

describe('settling', () => {
  it('moves the floor over what is acknowledged, in whatever order', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(6);
    const got = h.fetch(1);
    expect(h.acknowledge(got.slice(3, 5))).toMatchObject({ count: 2, refused: [] });
    expect([h.state.floor, h.state.messages]).toEqual([0, 4]);
    h.acknowledge(got.slice(0, 3));
    expect([h.state.floor, h.state.messages]).toEqual([5, 1]);
    expect(h.state.acknowledged.count).toBe(0);
  });

  it('writes one frame for a command, and waits for it only where that is asked', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(100);
    const got = h.fetch(1);
    const before = h.frames.length;
    h.commitsAtOnce = false;
    h.acknowledge(got.filter((_, i) => i % 2 === 0));
    expect(h.frames.length).toBe(before + 1);
    expect(h.unawaited).toBe(1);
    const odd = runsOf(got.filter(isOdd));
    const token = h.send({ kind: 'acknowledge', level: 'committed', ...odd });
    expect(h.unawaited).toBe(1);
    expect(h.answers.has(token)).toBe(false);
    h.commit();
    expect(h.answer(token, 'settled').count).toBe(50);
  });

  it('puts a message back where it was, marked', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(5);
    const got = h.fetch(1, 4);
    h.giveBack([got[2]!]);
    h.giveBack([got[1]!]);
    expect(h.stats()).toMatchObject({ ready: 3, leased: 2 });
    const again = h.fetch(1);
    expect(again.map(({ offset, redelivered }) => [offset, redelivered])).toEqual([
      [1, true],
      [2, true],
      [4, false],
    ]);
  });

  it('drops what is returned for good', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(2);
    const got = h.fetch(1);
    expect(h.giveBack([got[0]!], { isRequeued: false }).count).toBe(1);
    expect([h.state.floor, h.stats().ready]).toEqual([1, 0]);
  });

  it('counts returns that count, and keeps the number through a move', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(2);
    for (let i = 0; i < 3; i += 1) {
      const got = h.fetch(1);
      expect(got.map(({ returns }) => returns)).toEqual([i, 0]);
      h.giveBack([got[0]!], { counts: true });
      h.giveBack([got[1]!]);
    }
    h.move();
    h.attach(1);
    expect(h.fetch(1).map(({ returns }) => returns)).toEqual([3, 0]);
    h.acknowledge(h.got(h.receive(1, { seen: 0 })));
    expect(h.state.returns.size).toBe(0);
  });

  describe('of a quorum queue', () => {
    const limited = (limit: number) => new QueueHarness({ deliveryLimitOf: () => limit });

    it('are gone when they came back more often than it allows, counted, through a move', () => {
      const h = limited(2);
      h.attach(1);
      h.publish(2);
      for (let i = 0; i < 2; i += 1) {
        const [got] = h.fetch(1, 1);
        expect(got).toMatchObject({ offset: 0, returns: i });
        h.giveBack([got!], { counts: true });
      }
      h.move();
      h.attach(1);
      const [last] = h.fetch(1, 1);
      expect(last).toMatchObject({ offset: 0, returns: 2 });
      expect(h.giveBack([last!], { counts: true })).toMatchObject({ count: 1, refused: [] });
      expect(h.stats()).toMatchObject({ ready: 1, leased: 0, dropped: 1 });
      expect(h.fetch(1).map(({ offset }) => offset)).toEqual([1]);
      h.move();
      expect(h.stats()).toMatchObject({ ready: 1, dropped: 1 });
      expect(h.state.returns.size).toBe(0);
      const restored = h.behavior.restore(h.behavior.snapshot(h.state));
      expect([restored.dropped, restored.floor]).toEqual([1, 1]);
    });

    it('are gone at once where none may come back, and never without a limit', () => {
      const strict = limited(0);
      strict.attach(1);
      strict.publish(1);
      strict.giveBack(strict.fetch(1), { counts: true });
      expect(strict.stats()).toMatchObject({ ready: 0, dropped: 1 });
      const free = limited(-1);
      free.attach(1);
      free.publish(1);
      for (let i = 0; i < 40; i += 1) free.giveBack(free.fetch(1), { counts: true });
      expect(free.fetch(1)).toMatchObject([{ returns: 40 }]);
    });

    it('are given out again when it is committed how often they came back', () => {
      const h = limited(9);
      h.attach(1);
      h.publish(2);
      const got = h.fetch(1);
      h.commitsAtOnce = false;
      h.giveBack([got[0]!], { counts: true });
      const token = h.receive(1);
      expect(h.answers.has(token)).toBe(false);
      h.commit();
      expect(h.got(token)).toMatchObject([{ offset: 0, returns: 1 }]);
      // What does not count is told of nowhere, and waits for nothing.
      h.giveBack([got[1]!]);
      expect(h.fetch(1)).toMatchObject([{ offset: 1, returns: 0 }]);
    });

    it('confirm no publish before it is committed, whatever its publisher asks', () => {
      for (const [limit, isEarly] of [
        [5, false],
        [undefined, true],
      ] as const) {
        const h = new QueueHarness({ deliveryLimitOf: () => limit });
        const batch = batchOf(1);
        const of = { clientId: 1, incarnation: 1, firstNumber: 1, batch };
        const command = { kind: 'publish', level: 'accepted', ...of } as const;
        const told = { token: 1, body: encodeQueueCommand(command) };
        const { replies } = h.behavior.decide(h.state, h.local, told, h.position());
        expect(replies![0]!.level).toBe(isEarly ? 'accepted' : 'stored');
      }
    });

    it('stay when the store refuses the frame that says that they are gone', () => {
      const h = limited(0);
      h.attach(1);
      h.publish(2);
      const got = h.fetch(1, 1);
      h.refusesFrames = true;
      h.send({ kind: 'return', level: 'none', isRequeued: true, counts: true, ...runsOf(got) });
      h.refusesFrames = false;
      expect(h.stats()).toMatchObject({ ready: 2, leased: 0, dropped: 0 });
      expect(h.fetch(1).map(({ offset }) => offset)).toEqual([0, 1]);
    });

    it('are not given out again by the decision that drops them', () => {
      const h = limited(1);
      h.attach(1);
      h.publish(3);
      const got = h.fetch(1);
      h.giveBack(got, { counts: true });
      // What the cursor has yet to come by.
      const again = h.fetch(1);
      h.refusesFrames = true;
      h.send({ kind: 'purge' });
      h.refusesFrames = false;
      const waiting = h.receive(1);
      h.giveBack([again[1]!], { counts: true });
      expect(h.got(waiting)).toEqual([]);
      expect(h.stats()).toMatchObject({ leased: 2, dropped: 1, ready: 0 });
    });

    it('have a snapshot that older versions read while nothing was dropped', () => {
      const h = limited(0);
      h.attach(1);
      h.publish(1);
      expect(h.behavior.snapshot(h.state)[0]).toBe(1);
      h.giveBack(h.fetch(1), { counts: true });
      const bytes = h.behavior.snapshot(h.state);
      expect(bytes[0]).toBe(2);
      expect(() => h.behavior.restore(Uint8Array.of(3, ...bytes.subarray(1)))).toThrow('version 3');
    });
  });

  it('tells a waiting consumer of the return that has just been counted', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.attach(2);
    h.publish(1);
    const got = h.fetch(1);
    const token = h.receive(2);
    h.giveBack(got, { counts: true });
    expect(h.got(token)).toMatchObject([{ offset: 0, returns: 1, redelivered: true }]);
  });

  it('takes a late acknowledgement if nobody else holds the message', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(3);
    const got = h.fetch(1);
    h.giveBack(got);
    const [again] = h.fetch(1, 1);
    // 0 is with somebody else now, 1 is ready, 2 was acknowledged.
    h.acknowledge([got[2]!]);
    expect(h.acknowledge(got)).toMatchObject({ count: 2, refused: [0] });
    expect(h.fetch(1)).toEqual([]);
    expect(h.acknowledge([again!])).toMatchObject({ count: 1, refused: [] });
    expect(h.state.floor).toBe(3);
  });

  it('does not acknowledge what was never out, or returns of those who do not hold', () => {
    const h = new QueueHarness({ reserveAhead: 4 });
    h.attach(1);
    h.publish(20);
    const got = h.fetch(1, 2);
    const never = { ...got[0]!, offset: 19, number: 77 };
    expect(h.acknowledge([never])).toMatchObject({ count: 0, refused: [0] });
    expect(h.giveBack([{ ...got[0]!, number: 99 }]).refused).toEqual([0]);
    expect(h.giveBack([{ ...got[0]!, epoch: 9 }]).refused).toEqual([0]);
    expect(h.stats().leased).toBe(2);
  });

  it('purges what is ready and leaves what is leased', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(10);
    const got = h.fetch(1, 4);
    h.giveBack([got[1]!]);
    h.acknowledge([got[2]!]);
    expect(h.ask({ kind: 'purge' }, 'count')).toMatchObject({ outcome: 'ok', count: 7 });
    expect(h.stats()).toMatchObject({ ready: 0, leased: 2 });
    expect(h.fetch(1)).toEqual([]);
    h.publish(1);
    expect(offsets(h.fetch(1))).toEqual([10]);
    h.acknowledge([got[0]!]);
    expect(h.state.floor).toBe(3);
    h.move();
    h.attach(1);
    expect(offsets(h.fetch(1))).toEqual([3, 10]);
  });

  it('purges beyond what may be delivered, and goes on behind it', () => {
    const h = new QueueHarness({ reserveAhead: 8 });
    h.attach(1);
    h.publish(9);
    const got = h.fetch(1, 1);
    h.send({ kind: 'purge' });
    h.publish(1);
    expect(offsets(h.fetch(1))).toEqual([9]);
    h.acknowledge(got);
    expect(h.state.floor).toBe(9);
  });

  it('may be deleted if it is empty and unused, and says so', () => {
    const h = new QueueHarness();
    const check = (isUnused: boolean, isEmpty: boolean) =>
      h.ask({ kind: 'check', isUnused, isEmpty }, 'count').outcome;
    expect(check(true, true)).toBe('ok');
    h.publish(1);
    expect([check(true, false), check(true, true)]).toEqual(['ok', 'not-empty']);
    h.attach(1);
    expect([check(false, false), check(true, false)]).toEqual(['ok', 'in-use']);
    h.fetch(1);
    expect(check(false, true)).toBe('ok');
  });
});

describe('leases that run out', () => {
  it('come back by themselves in log time, and it counts', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(2);
    expect(offsets(h.fetch(1, 1, 60_000))).toEqual([0]);
    expect(offsets(h.fetch(1, 1))).toEqual([1]);
    h.advance(59_999);
    expect(h.stats().leased).toBe(2);
    const token = h.receive(1);
    h.advance(1);
    expect(h.got(token)).toMatchObject([{ offset: 0, returns: 1, redelivered: true }]);
    // The other one is without time.
    h.advance(1_000_000);
    expect(h.stats().leased).toBe(2);
  });

  it('are kept longer, or shorter, or come back at once', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(3);
    const got = h.fetch(1, 3, 10_000);
    expect(h.extend([got[0]!], 50_000)).toMatchObject({ count: 1, refused: [] });
    h.extend([got[1]!], 0);
    expect(h.stats()).toMatchObject({ ready: 1, leased: 2 });
    h.advance(10_000);
    expect(h.stats()).toMatchObject({ ready: 2, leased: 1 });
    expect(h.extend([got[2]!], 1_000).refused).toEqual([0]);
    h.advance(40_000);
    expect(h.stats()).toMatchObject({ ready: 3, leased: 0 });
  });

  it('are many at times, and few again', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(40_000);
    for (let round = 0; round < 2; round += 1) {
      const got: Got[] = [];
      for (let i = 0; i < 10; i += 1) got.push(...h.fetch(1, 4_000, 1_000));
      expect(h.stats()).toMatchObject({ ready: 0, leased: 40_000 });
      expect(h.local.leases.offset.length).toBeGreaterThan(32_768);
      if (round === 0) h.advance(1_000);
      else h.acknowledge(got);
      expect(h.local.leases.offset.length).toBe(8);
      expect(h.behavior.nextDueMs(h.state, h.local) ?? 0).toBeLessThanOrEqual(h.nowMs + 1_000);
    }
    expect(h.stats()).toMatchObject({ ready: 0, leased: 0 });
    expect(h.state.floor).toBe(40_000);
  });

  it('expire some at a time', () => {
    const h = new QueueHarness({ expiredPerTickMax: 10 });
    h.attach(1);
    h.publish(25);
    h.fetch(1, 25, 1_000);
    h.nowMs += 5_000;
    const due = h.behavior.nextDueMs(h.state, h.local);
    expect(due).toBeLessThanOrEqual(h.nowMs);
    h.advance(0);
    expect(h.stats()).toMatchObject({ ready: 25, leased: 0 });
  });
});

describe('consumers', () => {
  it('give back everything when their node is gone, at once and for good', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.attach(2, { owner: { node: 2, incarnation: 4 } });
    h.publish(4);
    h.fetch(1, 2);
    const waiting = h.receive(2, { owner: { node: 2, incarnation: 4 } });
    expect(offsets(h.got(waiting))).toEqual([2, 3]);
    const owner = { node: 2, incarnation: 4 };
    const token = h.receive(2, { owner });
    expect(h.ask({ kind: 'release-owner', owner }, 'count').count).toBe(2);
    expect(h.answer(token, 'deliveries').outcome).toBe('detached');
    expect(h.attach(2, { owner }).outcome).toBe('stale-owner');
    expect(h.stats()).toMatchObject({ ready: 2, leased: 2, consumers: 1 });
    expect(h.attach(2, { owner: { node: 2, incarnation: 5 } }).outcome).toBe('ok');
    // A late word about the old life harms the new one not.
    h.ask({ kind: 'release-owner', owner }, 'count');
    expect(h.stats().consumers).toBe(2);
  });

  it('leave out for its time what they hold for a time when their node is gone', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(3);
    const timed = h.fetch(1, 2, 5_000);
    h.fetch(1, 1);
    h.ask({ kind: 'release-owner', owner: NODE }, 'count');
    expect(h.stats()).toMatchObject({ ready: 1, leased: 2, consumers: 0 });
    // Another life of the node, and a consumer with the same number, do not take it back.
    const owner = { node: 1, incarnation: 2 };
    h.attach(1, { owner });
    expect(offsets(h.got(h.receive(1, { owner, waitMs: 0 })))).toEqual([2]);
    expect(h.acknowledge([timed[0]!]).count).toBe(1);
    h.advance(5_000);
    expect(offsets(h.got(h.receive(1, { owner, waitMs: 0 })))).toEqual([1]);
    h.attach(2, { owner });
    expect(h.stats()).toMatchObject({ consumers: 2, leased: 2 });
    expect(
      h.ask({ kind: 'detach', owner, consumerId: 1, keepsMessages: false, seen: 0 }, 'count').count,
    ).toBe(2);
  });

  it('of an earlier life of a node go when it attaches in a new one', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(2);
    h.fetch(1);
    h.attach(9, { owner: { node: 1, incarnation: 2 } });
    expect(h.stats()).toMatchObject({ ready: 2, leased: 0, consumers: 1 });
    expect(h.attach(1).outcome).toBe('stale-owner');
  });

  it('that attach again hold nothing any more', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(2);
    const got = h.fetch(1);
    h.attach(1);
    expect(h.stats()).toMatchObject({ ready: 2, leased: 0, consumers: 1 });
    expect(h.acknowledge(got).count).toBe(2);
  });

  it('may leave and still settle what they hold', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(3);
    const got = h.fetch(1);
    const token = h.receive(1);
    const command = {
      kind: 'detach',
      owner: NODE,
      consumerId: 1,
      keepsMessages: true,
      seen: 9,
    } as const;
    expect(h.ask(command, 'count')).toMatchObject({ outcome: 'ok', count: 0 });
    expect(h.answer(token, 'deliveries').outcome).toBe('detached');
    expect(h.stats()).toMatchObject({ ready: 0, leased: 3, consumers: 0 });
    const refused = h.receive(1);
    expect(h.answer(refused, 'deliveries').outcome).toBe('unknown-consumer');
    h.acknowledge([got[0]!]);
    expect(h.ask({ ...command, keepsMessages: false }, 'count').count).toBe(2);
    expect(h.stats()).toMatchObject({ ready: 2, leased: 0 });
    expect(h.ask(command, 'count').outcome).toBe('unknown-consumer');
    expect(h.local.consumers.total).toBe(0);
  });

  it('that leave give back what they never heard of', () => {
    const h = new QueueHarness();
    const { seen } = h.attach(1);
    h.publish(3);
    const [first] = h.fetch(1, 1);
    h.got(h.receive(1, { seen: first!.number, credit: 2 }));
    const leaving = { owner: NODE, consumerId: 1, keepsMessages: true, seen: first!.number };
    expect(seen).toBe(0);
    expect(h.ask({ kind: 'detach', ...leaving }, 'count').count).toBe(2);
    expect(h.stats()).toMatchObject({ ready: 2, leased: 1 });
  });

  it('that left are forgotten with the last message that they held', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(2);
    const got = h.fetch(1);
    h.send({ kind: 'detach', owner: NODE, consumerId: 1, keepsMessages: true, seen: 9 });
    h.acknowledge([got[0]!]);
    expect(h.local.consumers.total).toBe(1);
    h.giveBack([got[1]!]);
    expect(h.local.consumers.total).toBe(0);
  });

  it('are exclusive or not; those that fetch now and then do not count', () => {
    const h = new QueueHarness();
    expect(h.attach(1, { isPassive: true }).outcome).toBe('ok');
    expect(h.attach(2, { isExclusive: true }).outcome).toBe('ok');
    expect(h.attach(3).outcome).toBe('exclusive');
    expect(h.attach(4, { isPassive: true }).outcome).toBe('ok');
    h.send({ kind: 'detach', owner: NODE, consumerId: 2, keepsMessages: false, seen: 0 });
    expect(h.attach(3).outcome).toBe('ok');
    expect(h.attach(5, { isExclusive: true }).outcome).toBe('exclusive');
    expect(h.stats().consumers).toBe(1);
  });

  it('are bounded in number, and in what they hold', () => {
    const h = new QueueHarness({ consumersMax: 2, leasesMax: 5, consumerLeasesMax: 3 });
    h.attach(1);
    h.attach(2);
    expect(h.attach(3).outcome).toBe('too-many-consumers');
    h.publish(9);
    const got = h.fetch(1);
    expect(offsets(got)).toEqual([0, 1, 2]);
    const full = h.receive(1);
    expect(h.answer(full, 'deliveries').outcome).toBe('too-many-leases');
    expect(offsets(h.fetch(2))).toEqual([3, 4]);
    h.acknowledge(got);
    expect(offsets(h.fetch(1))).toEqual([5, 6, 7]);
  });

  it('are told when the leader moves', () => {
    const h = new QueueHarness();
    h.attach(1);
    const token = h.receive(1);
    h.move();
    expect(h.answer(token, 'deliveries').outcome).toBe('moved');
    const stranger = h.receive(1);
    expect(h.answer(stranger, 'deliveries').outcome).toBe('unknown-consumer');
  });
});

describe('a move', () => {
  it('makes everything ready again that is not acknowledged, marked as far as it may have been out', () => {
    const h = new QueueHarness({ reserveAhead: 4 });
    h.attach(1);
    h.publish(10);
    const got = h.fetch(1, 3);
    h.acknowledge([got[1]!]);
    expect(h.state.reservation).toBe(7);
    h.move();
    h.attach(1);
    expect(h.fetch(1).map(({ offset, redelivered }) => [offset, redelivered])).toEqual([
      [0, true],
      [2, true],
      [3, true],
      [4, true],
      [5, true],
      [6, true],
    ]);
    const rest = h.fetch(1);
    expect(rest.map(({ offset, redelivered }) => [offset, redelivered])).toEqual([
      [7, false],
      [8, false],
      [9, false],
    ]);
  });

  it('takes acknowledgements from before, unless another holds the message', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.publish(3);
    const old = h.fetch(1);
    h.move();
    h.attach(2);
    const [first] = h.fetch(2, 1);
    expect(first).toMatchObject({ offset: 0, number: 1 });
    // Number 1 of the old epoch is not number 1 of this one.
    expect(h.acknowledge(old)).toMatchObject({ count: 2, refused: [0] });
    expect(h.fetch(2)).toEqual([]);
    h.acknowledge([first!]);
    expect(h.state.floor).toBe(3);
  });
});

describe('the store', () => {
  it('refuses frames: what rested on them is taken back', () => {
    const h = new QueueHarness();
    h.attach(1);
    h.attach(2, { isAutoAcknowledging: true });
    h.publish(6);
    const got = h.fetch(1, 3);
    h.refusesFrames = true;
    const lost = h.receive(2, { credit: 1 });
    expect(h.answers.get(lost)).toBe('refused');
    const odd = runsOf(got.filter(isOdd));
    const unsaid = h.send({ kind: 'acknowledge', level: 'none', ...odd });
    expect(h.answers.get(unsaid)).toBe('refused');
    h.refusesFrames = false;
    // 0 and 2 are still with 1; what was not acknowledged after all goes out again, marked.
    const again = h.fetch(1);
    expect(again.map(({ offset, redelivered }) => [offset, redelivered])).toEqual([
      [1, true],
      [3, true],
      [4, false],
      [5, false],
    ]);
    h.giveBack([got[0]!]);
    expect(offsets(h.fetch(1))).toEqual([0]);
  });

  it('refuses a frame, and takes a batch that is no decision: what was lost is noticed all the same', () => {
    const h = new QueueHarness();
    h.attach(1, { isAutoAcknowledging: true });
    h.publish(2);
    h.refusesFrames = true;
    expect(h.answers.get(h.receive(1, { credit: 1 }))).toBe('refused');
    h.refusesFrames = false;
    h.append(batchOf(1));
    expect(offsets(h.fetch(1))).toEqual([0, 1, 2]);
  });

  it('may drop what is done with: with any frame, and now and then with one of its own', () => {
    const h = new QueueHarness({ releaseOffsets: 100 });
    h.attach(1);
    h.publish(150);
    h.acknowledge(h.fetch(1, 50));
    expect(h.released).toEqual([]);
    h.stats();
    expect(h.offered).toContain(50);
    h.advance(1_000);
    expect(h.released).toEqual([50]);
    h.acknowledge(h.fetch(1, 100));
    h.stats();
    expect(h.released).toEqual([50, 150]);
    expect(h.behavior.nextDueMs(h.state, h.local)).toBeUndefined();
  });

  it('asks for no frame of its own where the start has moved with others', () => {
    const h = new QueueHarness({ releaseOffsets: 200 });
    h.attach(1);
    for (let round = 1; round <= 30; round += 1) {
      h.publish(50);
      h.acknowledge(h.fetch(1, 50));
      h.advance(400);
      h.startOffset = 50 * (round - 1);
    }
    expect(h.offered.at(-1)).toBeGreaterThanOrEqual(1_450);
    expect(h.released).toEqual([]);
    h.stats();
    h.advance(1_000);
    expect(h.released).toEqual([1_500]);
  });
});

const isOdd = ({ offset }: Got): boolean => offset % 2 === 1;

describe('batches that are appended', () => {
  it('are messages: whoever waits gets them when they are committed', () => {
    const h = new QueueHarness();
    h.commitsAtOnce = false;
    h.attach(1);
    h.commit();
    const waiting = h.receive(1);
    h.append(batchOf(3));
    expect(h.got(waiting)).toEqual([]);
    h.commit();
    h.commit();
    expect(offsets(h.got(waiting))).toEqual([0, 1, 2]);
    h.publish(1);
    h.append(batchOf(1));
    h.commit();
    expect(offsets(h.fetch(1))).toEqual([3, 4]);
    expect(h.stats()).toMatchObject({ ready: 0, leased: 5, endOffset: 5 });
  });

  it('are refused where consumers could not get each record by its offset', () => {
    const h = new QueueHarness({ batchBytesMax: 200 });
    const refusal = (batch: Uint8Array) => h.behavior.admit!(h.state, h.local, batch, h.position());
    const changed = (change: (view: DataView) => void) => {
      const batch = batchOf(2);
      change(new DataView(batch.buffer, batch.byteOffset));
      return batch;
    };
    expect(refusal(batchOf(2))).toBe(undefined);
    expect(refusal(batchOf(30))).toBe('too-large');
    expect(refusal(batchOf(2).subarray(0, 30))).toBe('corrupt');
    expect(refusal(batchOf(2).subarray(0, 70))).toBe('corrupt');
    expect(refusal(changed((view) => view.setInt8(MAGIC_AT, 1)))).toBe('unsupported');
    expect(refusal(changed((view) => view.setInt16(ATTRIBUTES_AT, 1)))).toBe('unsupported');
    expect(refusal(changed((view) => view.setInt16(ATTRIBUTES_AT, TRANSACTIONAL_BIT)))).toBe(
      'unsupported',
    );
    expect(refusal(changed((view) => view.setInt16(ATTRIBUTES_AT, CONTROL_BIT)))).toBe('invalid');
    expect(refusal(changed((view) => view.setBigInt64(PRODUCER_ID_AT, 7n)))).toBe('unsupported');
    // More records than there are bytes for, with and without as many offsets.
    for (const count of [1, 3, 0x7fff_ffff]) {
      const claims = (view: DataView) => {
        view.setInt32(RECORD_COUNT_AT, count);
        view.setInt32(LAST_OFFSET_DELTA_AT, count - 1);
      };
      expect(refusal(changed(claims))).toBe('invalid');
    }
    expect(refusal(changed((view) => view.setInt32(LAST_OFFSET_DELTA_AT, 5)))).toBe('invalid');
    // Both records say that they are the first.
    const twice = batchOf(2);
    twice[twice.length - 5] = 0;
    expect(refusal(twice)).toBe('invalid');
  });
});
