// Groups on one log: what one does is nothing to the others, none keeps the log from anything, and those
// that nobody uses are forgotten.
import { describe, expect, it } from 'vitest';
import type { Decision, DurableReply } from '../../../src/actors/durable/behavior.ts';
import { createPartitionBehavior } from '../../../src/broker/destination/partition.ts';
import { decodeQueueAnswer, type QueueAnswer } from '../../../src/broker/view/answers.ts';
import type { QueueCommand } from '../../../src/broker/view/commands.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import {
  encodeOwnersGone,
  encodeViewCommand,
  type ViewStart,
} from '../../../src/broker/view/view-commands.ts';
import { VIEW_DEFAULTS } from '../../../src/broker/view/views.ts';
import { stampBatch } from '../../../src/records/batch.ts';
import { batchOf, listOf, NODE } from './harness.ts';

const DAY_MS = 86_400_000;

class Log {
  readonly behavior = createPartitionBehavior({
    rulesOf: () => ({ messageBytesMax: 100_000, needsKeys: false }),
    views: { ...VIEW_DEFAULTS, viewsMax: 2 },
  });
  state = this.behavior.initial();
  nowMs = 1_000;
  seq = 1;
  end = 0;
  epoch = 1;
  refuses = false;
  readonly events: number[] = [];
  readonly answers = new Map<number, QueueAnswer>();
  readonly levels = new Map<number, DurableReply['level']>();
  #token = 0;
  local = this.behavior.promote(this.state, this.position());

  position() {
    const { epoch, nowMs: logTimeMs, end: endOffset, end: committedOffset, seq } = this;
    const at = { startOffset: 0, endSeq: seq, committedSeq: seq };
    return { logId: 7, epoch, logTimeMs, endOffset, committedOffset, ...at };
  }

  take(decision: Decision): void {
    expect(decision.releaseBelow).toBeUndefined();
    const { events, batch } = decision;
    if ((events !== undefined || batch !== undefined) && this.refuses) return;
    if (events !== undefined || batch !== undefined) {
      this.seq += 1;
      const baseOffset = this.end;
      if (batch !== undefined) {
        stampBatch(batch, 0, baseOffset, this.epoch);
        this.end += 1;
      }
      this.events.push(events?.length ?? 0);
      this.behavior.apply(this.state, {
        seq: this.seq,
        epoch: this.epoch,
        logTimeMs: this.nowMs,
        events: events?.slice() ?? new Uint8Array(0),
        batch,
        baseOffset,
        nextOffset: this.end,
      });
    }
    for (const reply of decision.replies ?? []) this.#hear(reply);
  }

  #hear({ token, level, body }: DurableReply): void {
    expect(this.answers.has(token)).toBe(false);
    this.levels.set(token, level);
    this.answers.set(token, decodeQueueAnswer(body));
  }

  settle(): void {
    for (let before = 0; before !== this.seq && !this.refuses; ) {
      before = this.seq;
      this.take(this.behavior.committed!(this.state, this.local, this.position()));
    }
  }

  append(): void {
    this.take({ batch: batchOf(1) });
    this.settle();
  }

  /** To all groups. */
  gone(body: Uint8Array): Uint8Array | undefined {
    this.#token += 1;
    const told = { token: this.#token, body };
    const decision = this.behavior.decide(this.state, this.local, told, this.position());
    const own = decision.replies?.filter(({ token }) => token === told.token) ?? [];
    expect(own).toHaveLength(1);
    if (own[0]!.body.length === 0) return undefined;
    this.take(decision);
    this.settle();
    return own[0]!.body;
  }

  send(group: string, command: QueueCommand, start: ViewStart = 'begin'): number {
    this.#token += 1;
    const told = { token: this.#token, body: encodeViewCommand(group, start, command) };
    this.take(this.behavior.decide(this.state, this.local, told, this.position()));
    this.settle();
    return told.token;
  }

  ask(group: string, command: QueueCommand, start: ViewStart = 'begin'): QueueAnswer | undefined {
    return this.answers.get(this.send(group, command, start));
  }

  attach(group: string, start: ViewStart = 'begin', isPassive = true) {
    const options = { isAutoAcknowledging: false, isExclusive: false, isPassive, priority: 0 };
    return this.ask(group, { kind: 'attach', owner: NODE, consumerId: 1, ...options }, start);
  }

  receive(group: string, waitMs = 0, leaseMs = 10_000): number {
    const wishes = { seen: Number.MAX_SAFE_INTEGER, credit: 10, waitMs, leaseMs };
    return this.send(group, { kind: 'receive', owner: NODE, consumerId: 1, ...wishes });
  }

  got(token: number) {
    const answer = this.answers.get(token);
    return answer?.kind === 'deliveries' ? listOf(answer.runs, answer.epoch) : undefined;
  }

  offsets(group: string) {
    return this.got(this.receive(group))!.map(({ offset }) => offset);
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let i = 0; i < 100; i += 1) {
      const dueMs = this.behavior.nextDueMs(this.state, this.local);
      if (dueMs === undefined || dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.take(this.behavior.tick(this.state, this.local, this.position()));
      this.settle();
    }
    this.nowMs = untilMs;
  }

  move(): void {
    this.behavior.demote(this.local);
    this.state = this.behavior.restore(this.behavior.snapshot(this.state));
    this.epoch += 1;
    this.seq += 1;
    this.local = this.behavior.promote(this.state, this.position());
  }
}

const outcome = (answer: QueueAnswer | undefined) => answer?.outcome;

describe('groups on one log', () => {
  it('get everything each, settle it for themselves alone, and keep the log from nothing', () => {
    const log = new Log();
    for (let i = 0; i < 3; i += 1) log.append();
    for (const group of ['a', 'b']) {
      expect(outcome(log.attach(group))).toBe('ok');
      expect(log.offsets(group)).toEqual([0, 1, 2]);
    }
    const runs = new Runs();
    runs.push(0, 3, 1);
    log.ask('a', { kind: 'acknowledge', level: 'committed', epoch: 1, runs });
    log.advance(10_000);
    expect(log.offsets('a')).toEqual([]);
    expect(log.got(log.receive('b'))).toMatchObject([
      { offset: 0, returns: 1 },
      { offset: 1, returns: 1 },
      { offset: 2, returns: 1 },
    ]);
  });

  it('start where they say at their first attach, and where they were ever after', () => {
    const log = new Log();
    log.append();
    log.attach('late', 'end');
    expect(log.offsets('late')).toEqual([]);
    log.append();
    expect(log.offsets('late')).toEqual([1]);
    log.move();
    log.attach('late', 'begin');
    const [again] = log.got(log.receive('late'))!;
    expect(again).toMatchObject({ offset: 1, redelivered: true });
  });

  it('get messages when a frame behind the decision is committed, and nothing at once', () => {
    const log = new Log();
    log.attach('a');
    log.append();
    log.events.length = 0;
    const some = log.receive('a');
    expect(log.levels.get(some)).toBe('committed');
    expect(log.events).toHaveLength(1);
    const none = log.receive('a');
    expect(log.levels.get(none)).toBe('none');
    expect(log.events).toHaveLength(1);
    log.advance(10_000);
    log.events.length = 0;
    log.refuses = true;
    const refused = log.receive('a');
    expect(log.answers.has(refused)).toBe(false);
  });

  it('that wait are served by the commit, others cost an append nothing', () => {
    const log = new Log();
    log.attach('a');
    log.receive('a');
    const token = log.receive('a', 30_000);
    log.attach('b');
    log.receive('b');
    log.events.length = 0;
    log.append();
    expect(log.got(token)).toMatchObject([{ offset: 0 }]);
    log.append();
    log.append();
    // The frame behind the first is that of the answer, which says nothing.
    expect(log.events).toEqual([0, 3, 0, 0]);
    const nothing = log.behavior.committed!(log.state, log.local, log.position());
    expect(nothing).toEqual({});
  });

  it('are refused beyond the limit, and so is what only a queue is asked', () => {
    const log = new Log();
    log.attach('a');
    log.attach('b');
    expect(outcome(log.attach('c'))).toBe('too-many-groups');
    const publish = { level: 'none', clientId: 1, incarnation: 1, firstNumber: 1 } as const;
    const command = { kind: 'publish', ...publish, batch: batchOf(1) } as const;
    expect(outcome(log.ask('a', command))).toBe('bad-command');
    expect(log.end).toBe(0);
  });

  it('that have not attached are unknown, and nothing is kept of them', () => {
    const log = new Log();
    log.append();
    expect(log.answers.get(log.receive('who'))).toMatchObject({ outcome: 'unknown-consumer' });
    expect(outcome(log.ask('who', { kind: 'purge' }))).toBe('unknown-consumer');
    expect(log.state.views.count).toBe(0);
    for (const body of [Uint8Array.of(), Uint8Array.of(1, 200), Uint8Array.of(9)]) {
      const decision = log.behavior.decide(
        log.state,
        log.local,
        { token: 9, body },
        log.position(),
      );
      expect(decision).toEqual({ replies: [{ token: 9, level: 'none', body: Uint8Array.of() }] });
    }
    expect(log.state.views.count).toBe(0);
  });

  it('a refused first attach leaves nothing behind', () => {
    const log = new Log();
    log.refuses = true;
    log.attach('a');
    log.refuses = false;
    expect(log.state.views.count).toBe(0);
    expect(log.answers.get(log.receive('a'))).toMatchObject({ outcome: 'unknown-consumer' });
    log.append();
    expect(outcome(log.attach('b'))).toBe('ok');
    expect(outcome(log.attach('a'))).toBe('ok');
    expect(log.offsets('a')).toEqual([0]);
    expect(log.offsets('b')).toEqual([0]);
  });
});

describe('a group that nobody uses', () => {
  it('is forgotten after seven days, and starts anew', () => {
    const log = new Log();
    log.attach('a');
    log.append();
    const [got] = log.got(log.receive('a'))!;
    const runs = new Runs();
    runs.push(got!.offset, 1, got!.number);
    log.ask('a', { kind: 'acknowledge', level: 'none', epoch: 1, runs });
    log.advance(6 * DAY_MS);
    expect(log.state.views.count).toBe(1);
    log.advance(DAY_MS);
    expect(log.state.views.count).toBe(0);
    log.attach('a');
    expect(log.offsets('a')).toEqual([0]);
  });

  it('is not forgotten while it asks, even if there is nothing to say', () => {
    const log = new Log();
    log.attach('a');
    for (let day = 0; day < 20; day += 1) {
      log.advance(DAY_MS);
      log.receive('a');
      if (day === 10) {
        log.move();
        log.attach('a');
      }
    }
    expect(log.state.views.count).toBe(1);
  });

  it('stays while somebody is attached for good', () => {
    const log = new Log();
    log.attach('a', 'begin', false);
    log.advance(30 * DAY_MS);
    expect(log.state.views.count).toBe(1);
  });

  it('goes a little later if the store had no room for it', () => {
    const log = new Log();
    log.attach('a');
    log.refuses = true;
    log.advance(7 * DAY_MS);
    expect(log.state.views.count).toBe(1);
    log.refuses = false;
    log.advance(60_000);
    expect(log.state.views.count).toBe(0);
  });
});

describe('owners that are gone', () => {
  it('wait no more in any group, and what they took for a time stays out', () => {
    const log = new Log();
    log.append();
    for (const group of ['a', 'b']) {
      log.attach(group);
      expect(log.offsets(group)).toEqual([0]);
    }
    const waiting = ['a', 'b'].map((group) => log.receive(group, 60_000, 60_000));
    expect(log.gone(encodeOwnersGone([{ node: 50, incarnation: 1 }, NODE]))).toBeDefined();
    for (const token of waiting) {
      expect(log.answers.get(token)).toMatchObject({ kind: 'deliveries', outcome: 'detached' });
    }
    expect(outcome(log.attach('a'))).toBe('stale-owner');
    log.append();
    log.advance(1_000);
    for (const group of ['a', 'b']) {
      const stats = log.ask(group, { kind: 'stats' });
      expect(stats).toMatchObject({ ready: 1, leased: 1, waiting: 0 });
    }
  });

  it('are told in bytes that are right, or nothing is done', () => {
    const log = new Log();
    const body = encodeOwnersGone([{ node: 300, incarnation: 300 }]);
    expect(log.gone(body.subarray(0, body.length - 1))).toBeUndefined();
    expect(log.gone(Uint8Array.of(2, 255, 255, 255, 255, 255, 255, 255, 255, 255))).toBeUndefined();
    // Nobody is gone.
    expect(log.gone(encodeOwnersGone([]))).toBeDefined();
  });
});
