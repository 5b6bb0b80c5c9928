// The behavior behind event-sourced actors, by hand: timers, numbered commands, snapshots, and what old bytes say.
import { describe, expect, test } from 'vitest';
import type { Decision } from '../../../src/actors/durable/behavior.ts';
import { decodeAnswer, durable, encodeCommand } from '../../../src/actors/durable/event-sourced.ts';
import { type CommandNumber, NUMBERED } from '../../../src/actors/durable/numbered.ts';
import { ask, protocol } from '../../../src/actors/index.ts';
import { array, none, record, u32, utf8 } from '../../../src/codec/index.ts';
import { ByteWriter } from '../../../src/std/bytes.ts';

const remind = record({ key: utf8, afterMs: u32, text: utf8 });
const Notes = durable(
  protocol('notes', 1, {
    add: ask(utf8, u32),
    remind: ask(remind, none),
    forget: ask(utf8, none),
    all: ask(none, array(utf8)),
    big: ask(u32, utf8),
  }),
  {
    events: { added: utf8 },
    state: array(utf8),
    initial: (): readonly string[] => [],
    decide: {
      add(notes, text) {
        if (text === '') throw Object.assign(new Error('nothing'), { code: 'NOTHING' });
        return { events: [{ type: 'added', value: text }], reply: notes.length + 1 };
      },
      remind: (_notes, { key, afterMs, text }) => ({
        timers: [{ key, afterMs, op: 'add', input: text }],
        reply: undefined,
      }),
      forget: (_notes, key) => ({ timers: [{ key, cancel: true }], reply: undefined }),
      all: (notes) => ({ reply: notes }),
      big: (_notes, size) => ({
        events: [{ type: 'added', value: 'big' }],
        reply: 'x'.repeat(size),
      }),
    },
    apply: { added: (notes, text) => [...notes, text] },
  },
);

/** The bytes as the format says. */
function encodeNumbered(from: CommandNumber, command: Uint8Array): Uint8Array {
  const out = new ByteWriter(command.length + 32);
  out.u16(NUMBERED);
  out.varU53(from.clientId);
  out.varU53(from.life);
  out.varU53(from.number);
  out.varU53(from.previous);
  out.varU53(from.settledBelow);
  out.raw(command);
  return out.toBytes();
}

/** A log of one replica: what is decided is applied, and kept for a second one. */
class Host {
  nowMs = 1_000;
  state = Notes.behavior.initial();
  local = Notes.behavior.promote(this.state, this.#position());
  readonly frames: { readonly events: Uint8Array; readonly logTimeMs: number }[] = [];

  #position() {
    const offsets = { endOffset: 0, committedOffset: 0, startOffset: 0 };
    return { logId: 1, epoch: 1, logTimeMs: this.nowMs, endSeq: 0, committedSeq: 0, ...offsets };
  }

  #obey({ events, replies }: Decision): Uint8Array | undefined {
    if (events !== undefined) {
      const seq = this.frames.push({ events, logTimeMs: this.nowMs });
      this.#apply(events, seq);
    }
    return replies?.[0]?.body;
  }

  #apply(events: Uint8Array, seq: number): void {
    const rest = { seq, epoch: 1, batch: undefined, baseOffset: 0, nextOffset: 0 };
    Notes.behavior.apply(this.state, { events, logTimeMs: this.nowMs, ...rest });
  }

  send(name: string, input: unknown, number?: CommandNumber): Uint8Array {
    const op = Notes.protocol.byName.get(name)!;
    const command = encodeCommand(op, input);
    const body = number === undefined ? command : encodeNumbered(number, command);
    const { behavior } = Notes;
    const decision = behavior.decide(this.state, this.local, { token: 1, body }, this.#position());
    return this.#obey(decision)!;
  }

  ask(name: string, input: unknown, number?: CommandNumber): unknown {
    return decodeAnswer(Notes.protocol.byName.get(name)!, this.send(name, input, number));
  }

  get notes(): unknown {
    return this.ask('all', undefined);
  }

  /** Log time goes on, and what is due then fires. */
  advance(toMs: number): void {
    for (;;) {
      const dueMs = Notes.behavior.nextDueMs(this.state, this.local) ?? Number.POSITIVE_INFINITY;
      if (dueMs > toMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.#obey(Notes.behavior.tick(this.state, this.local, this.#position()));
    }
    this.nowMs = toMs;
  }

  /** Another leader, with what is in the log and nothing else. */
  move(skewMs = 0): Host {
    const next = new Host();
    for (const { events, logTimeMs } of this.frames) {
      next.nowMs = logTimeMs;
      next.frames.push({ events, logTimeMs });
      next.#apply(events, next.frames.length);
    }
    const bytes = Notes.behavior.snapshot(next.state);
    expect(Notes.behavior.snapshot(Notes.behavior.restore(bytes))).toEqual(bytes);
    next.state = Notes.behavior.restore(bytes);
    next.nowMs = this.nowMs + skewMs;
    Notes.behavior.skewed!(next.state, skewMs);
    next.local = Notes.behavior.promote(next.state, next.#position());
    return next;
  }
}

const from = (number: number, rest: Partial<CommandNumber> = {}): CommandNumber => ({
  clientId: 7,
  life: 1,
  number,
  previous: 0,
  settledBelow: number,
  ...rest,
});

describe('timers', () => {
  test('fire once, in order, and not before', () => {
    const host = new Host();
    host.ask('remind', { key: 'b', afterMs: 200, text: 'second' });
    host.ask('remind', { key: 'a', afterMs: 100, text: 'first' });
    host.advance(1_100);
    expect(host.notes).toEqual([]);
    host.advance(1_101);
    expect(host.notes).toEqual(['first']);
    host.advance(99_999);
    expect(host.notes).toEqual(['first', 'second']);
    expect(Notes.behavior.nextDueMs(host.state, host.local)).toBeUndefined();
  });

  test('of one key replace each other, and are cancelled', () => {
    const host = new Host();
    host.ask('remind', { key: 'a', afterMs: 100, text: 'old' });
    host.ask('remind', { key: 'a', afterMs: 300, text: 'new' });
    host.ask('remind', { key: 'b', afterMs: 100, text: 'never' });
    host.ask('forget', 'b');
    host.advance(1_250);
    expect(host.notes).toEqual([]);
    host.advance(2_000);
    expect(host.notes).toEqual(['new']);
  });

  test('are there after a move, at their time whatever the new clock says', () => {
    for (const skewMs of [-400, 0, 86_400_000]) {
      const host = new Host();
      host.ask('remind', { key: 'a', afterMs: 5_000, text: 'due' });
      host.advance(3_000);
      const next = host.move(skewMs);
      next.advance(6_000 + skewMs);
      expect(next.notes).toEqual([]);
      next.advance(6_001 + skewMs);
      expect(next.notes).toEqual(['due']);
    }
  });

  test('whose command is refused are gone, and nothing else', () => {
    const host = new Host();
    host.ask('remind', { key: 'a', afterMs: 10, text: '' });
    host.ask('remind', { key: 'b', afterMs: 20, text: 'x' });
    host.advance(5_000);
    expect(host.notes).toEqual(['x']);
    expect(host.move().notes).toEqual(['x']);
  });

  test('write down now and then that time has passed', () => {
    const host = new Host();
    host.ask('remind', { key: 'a', afterMs: 16 * 3_600_000, text: 'x' });
    const before = host.frames.length;
    host.advance(1_000 + 15 * 3_600_000);
    const frames = host.frames.slice(before);
    expect(frames.length).toBeGreaterThan(10);
    expect(frames.length).toBeLessThan(50);
    expect(host.nowMs - frames.at(-1)!.logTimeMs).toBeLessThan(3_600_000 / 8);
    expect(host.notes).toEqual([]);
  });

  test('are refused when they are too many, too late, too large, or name nothing', () => {
    const host = new Host();
    for (let i = 0; i < 10_000; i += 1) {
      host.ask('remind', { key: `${i}`, afterMs: 1, text: 'x' });
    }
    const more = () => host.ask('remind', { key: 'more', afterMs: 1, text: 'x' });
    expect(more).toThrow('10000 timers at most');
    host.ask('remind', { key: '17', afterMs: 2, text: 'y' });
    host.ask('forget', '18');
    more();
    expect(() => host.ask('remind', { key: '', afterMs: 1, text: 'x' })).toThrow('1 to 256 bytes');
    const large = { key: '1', afterMs: 1, text: 'x'.repeat(70_000) };
    expect(() => host.ask('remind', large)).toThrow('65536 bytes at most');
  });
});

describe('numbered commands', () => {
  test('are decided once, here and wherever the log is led next', () => {
    const host = new Host();
    expect(host.ask('add', 'a', from(1))).toBe(1);
    expect(host.ask('add', 'a', from(1))).toBe(1);
    expect(host.ask('add', 'b', from(2, { settledBelow: 1, previous: 1 }))).toBe(2);
    const next = host.move();
    expect(next.ask('add', 'a', from(1))).toBe(1);
    expect(next.ask('add', 'b', from(2, { settledBelow: 1, previous: 1 }))).toBe(2);
    expect(next.notes).toEqual(['a', 'b']);
  });

  test('wait for the earlier ones of their client', () => {
    const host = new Host();
    const second = from(2, { settledBelow: 1, previous: 1 });
    expect([...host.send('add', 'b', second)]).toEqual([2]);
    expect(host.ask('add', 'a', from(1))).toBe(1);
    expect(host.ask('add', 'b', second)).toBe(2);
    // What changed nothing is known to the leader alone, and must be seen again by the next.
    const read = from(3, { settledBelow: 3 });
    expect(host.ask('all', undefined, read)).toEqual(['a', 'b']);
    const behind = from(4, { settledBelow: 3, previous: 3 });
    expect([...host.move().send('add', 'c', behind)]).toEqual([2]);
    expect(host.ask('add', 'c', behind)).toBe(3);
  });

  test('that change nothing are answered behind a frame by which the leader proves that it leads', () => {
    const host = new Host();
    const before = host.frames.length;
    expect(host.ask('all', undefined, from(1))).toEqual([]);
    expect(host.ask('all', undefined, from(1))).toEqual([]);
    expect(() => host.ask('add', '', from(2))).toThrow('nothing');
    expect(host.frames.length).toBe(before + 3);
    // Nobody else can lead where commands are not numbered.
    expect(host.notes).toEqual([]);
    expect(host.frames.length).toBe(before + 3);
  });

  test('an earlier refusal stays one behind a later change', () => {
    const host = new Host();
    expect(() => host.ask('add', '', from(1))).toThrow('nothing');
    expect(host.ask('add', 'a', from(2, { settledBelow: 1, previous: 1 }))).toBe(1);
    const next = host.move();
    expect(() => next.ask('add', 'now it would do', from(1))).toThrow('nothing');
    expect(next.notes).toEqual(['a']);
  });

  test('that are settled, or of an earlier life, are stale', () => {
    const host = new Host();
    host.ask('add', 'a', from(1));
    host.ask('add', 'b', from(2));
    const next = host.move();
    expect([...next.send('add', 'a', from(1))]).toEqual([3]);
    expect(next.ask('add', 'c', from(1, { life: 2 }))).toBe(3);
    expect([...next.send('add', 'x', from(9))]).toEqual([3]);
    expect(next.notes).toEqual(['a', 'b', 'c']);
  });

  test('whose answer is too large are not decided again, and say so', () => {
    const host = new Host();
    expect(host.ask('big', 5_000, from(1))).toHaveLength(5_000);
    expect(() => host.ask('big', 5_000, from(1))).toThrow('too large to be remembered');
    expect(() => host.move().ask('big', 5_000, from(1))).toThrow('too large to be remembered');
    expect(host.notes).toEqual(['big']);
  });

  test('are remembered within bounds', () => {
    const host = new Host();
    for (let clientId = 1; clientId <= 1_100; clientId += 1) {
      host.ask('add', 'x', from(1, { clientId }));
    }
    for (let number = 2; number <= 400; number += 1) {
      host.ask('add', 'x', from(number, { clientId: 1_100, settledBelow: 1 }));
    }
    const { clients } = host.state;
    expect(clients.count).toBe(1_024);
    expect(clients.ofLife(from(1, { clientId: 1_100 }))?.answers.size).toBe(128);
  });

  test('with a header that ends too soon are refused', () => {
    const host = new Host();
    const { behavior } = Notes;
    const command = { token: 1, body: Uint8Array.of(0xff, 0xff, 0x80) };
    const position = { logTimeMs: 1, logId: 1, epoch: 1, endOffset: 0, committedOffset: 0 };
    const at = { ...position, startOffset: 0, endSeq: 0, committedSeq: 0 };
    const { replies, events } = behavior.decide(host.state, host.local, command, at);
    expect(events).toBeUndefined();
    expect(replies?.[0]?.body[0]).toBe(1);
  });
});

test('a snapshot without a mark is the value alone', () => {
  const codec = array(utf8);
  const old = new Uint8Array(codec.size(['a', 'b']));
  codec.encode(['a', 'b'], old, 0);
  const state = Notes.behavior.restore(old);
  expect(state.value).toEqual(['a', 'b']);
});

test('kinds with other operations, events or state have another hash', () => {
  const make = (op: 'add' | 'put', event: 'added' | 'more') =>
    durable(protocol('k', 1, { [op]: ask(none, u32) }), {
      events: { [event]: u32 },
      state: u32,
      initial: () => 0,
      decide: { [op]: (state: number) => ({ reply: state }) },
      apply: { [event]: (state: number) => state },
    } as never);
  const hashes = [make('add', 'added'), make('put', 'added'), make('add', 'more')];
  expect(new Set(hashes.map(({ hash }) => hash)).size).toBe(3);
  expect(make('add', 'added').hash).toBe(hashes[0]!.hash);
});
