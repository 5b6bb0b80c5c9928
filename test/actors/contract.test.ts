// What actors may rely on beyond plain messages: supervision's four answers, async handlers, stash,
// become, pipe, later, cancellation, overflow policies, strict mode, inspection. All times are virtual.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Context, Directive, Later, Signal, Supervision } from '../../src/actors/index.ts';
import { actor, ask, protocol, refId, tell } from '../../src/actors/index.ts';
import { fixture } from '../../src/actors/testkit/index.ts';
import { manualEnvironment } from '../../src/actors/testkit/manual-environment.ts';
import { Deadlines } from '../../src/actors/timers.ts';
import type { Value } from '../../src/codec/index.ts';
import { bytes, none, record, u32, utf8 } from '../../src/codec/index.ts';

const Work = protocol('work', 1, {
  note: tell(utf8),
  boom: tell(none),
  notes: ask(none, utf8),
  boomAsk: ask(none, u32),
});
type WorkOps = typeof Work.ops;
const quick = { minMs: 10, maxMs: 40, jitter: 0 };

function supervised(directive: Directive, more: Partial<Supervision> = {}) {
  const supervision: Supervision = {
    decide: () => directive,
    maxRestarts: 3,
    windowMs: 1_000,
    backoff: quick,
    ...more,
  };
  return actor(
    Work,
    (_ctx, _args: undefined) => {
      const notes: string[] = [];
      return {
        note: (text) => void notes.push(text),
        boom: () => {
          throw new Error('boom');
        },
        notes: () => notes.join(' '),
        boomAsk: () => {
          throw Object.assign(new Error('asked for it'), { code: 'TEST_BOOM' });
        },
      };
    },
    { supervision },
  );
}

describe('supervision', () => {
  test('resume keeps the state and loses the failing message only', async () => {
    const f = fixture(1);
    const worker = f.spawn('w', supervised('resume'), undefined);
    worker.tell('note', 'a');
    worker.tell('boom', undefined);
    worker.tell('note', 'b');
    expect(await f.ask(worker, 'notes', undefined)).toBe('a b');
    expect(f.system.deadLetters.counts.failed).toBe(1);
  });

  test('back-off doubles up to its maximum and messages wait meanwhile', () => {
    const f = fixture(1);
    const starts: number[] = [];
    const Starting = actor(
      Work,
      (_ctx, _args: undefined) => {
        starts.push(f.env.nowMs);
        throw new Error('not today');
      },
      { supervision: { decide: () => 'restart', maxRestarts: 4, windowMs: 1_000, backoff: quick } },
    );
    const worker = f.spawn('w', Starting, undefined);
    worker.tell('note', 'kept');
    f.advance(1_000);
    expect(starts).toEqual([0, 10, 30, 70, 110]);
    // The budget is used up: the actor is gone and what waited is a dead letter.
    expect(worker.offer('note', 'late')).toBe('gone');
    expect(f.system.deadLetters.counts.failed).toBe(1);
  });

  test('a window that has passed gives the budget back', () => {
    const f = fixture(1);
    const worker = f.spawn('w', supervised('restart', { maxRestarts: 1 }), undefined);
    for (let i = 0; i < 5; i += 1) {
      worker.tell('boom', undefined);
      f.advance(1_001);
    }
    expect(worker.offer('note', 'alive')).toBe('accepted');
    expect(f.system.metrics.of('work').restarted).toBe(5);
  });

  test('a failed ask rejects with the code of what was thrown', async () => {
    const f = fixture(1);
    const worker = f.spawn('w', supervised('resume'), undefined);
    await expect(f.ask(worker, 'boomAsk', undefined)).rejects.toMatchObject({ code: 'TEST_BOOM' });
  });

  test.each([
    ['stop', ['child-failed', 'terminated:failed'], 'accepted'],
    ['escalate', ['child-failed', 'terminated:failed'], 'gone'],
  ] as const)('%s: the parent hears %j and is then %s', (directive, heard, parentIs) => {
    const f = fixture(1);
    const signals: string[] = [];
    const Parent = actor(
      Work,
      (ctx: Context<WorkOps>, _args: undefined) => {
        const child = ctx.spawn('child', supervised(directive), undefined);
        ctx.watch(child);
        ctx.onSignal((signal: Signal) => {
          const cause = signal.type === 'terminated' ? `:${signal.cause}` : '';
          if (signal.type !== 'stopping') signals.push(`${signal.type}${cause}`);
        });
        return {
          note: () => undefined,
          boom: () => child.tell('boom', undefined),
          notes: () => '',
          boomAsk: () => 0,
        };
      },
      { supervision: { decide: () => 'stop', maxRestarts: 0, windowMs: 1, backoff: quick } },
    );
    const parent = f.spawn('p', Parent, undefined);
    parent.tell('boom', undefined);
    f.advance(10);
    expect(signals).toEqual(heard);
    expect(parent.offer('note', '')).toBe(parentIs);
  });

  test('a restart ends timers, children and open answers of the life before', async () => {
    const f = fixture(1);
    const Flow = protocol('flow', 1, { tick: tell(none), boom: tell(none), wait: ask(none, u32) });
    let ticks = 0;
    let lives = 0;
    const FlowActor = actor(Flow, (ctx, _args: undefined) => {
      lives += 1;
      if (lives === 1) ctx.schedule('t', 50, 'tick', undefined);
      // The name of the dying child is free for the next life.
      ctx.spawn('child', supervised('stop'), undefined);
      return {
        tick: () => {
          ticks += 1;
        },
        boom: () => {
          throw new Error('boom');
        },
        wait: () => ctx.later<number>(),
      };
    });
    const flow = f.spawn('flow', FlowActor, undefined);
    const waiting = flow.ask('wait', undefined, { timeoutMs: 10_000 });
    waiting.catch(() => undefined);
    flow.tell('boom', undefined);
    await f.advanceAsync(200);
    await expect(waiting).rejects.toMatchObject({ code: 'ACTOR_FAILED' });
    expect({ ticks, lives }).toEqual({ ticks: 0, lives: 2 });
    expect(f.system.metrics.of('work')).toMatchObject({ spawned: 2, stopped: 1 });
  });
});

describe('handlers', () => {
  test('an async handler holds the mailbox but not the system lane', async () => {
    const f = fixture(1);
    const Slow = protocol('slow', 1, {
      start: tell(none),
      next: tell(none),
      order: ask(none, utf8),
    });
    const order: string[] = [];
    let release: () => void = () => undefined;
    const SlowActor = actor(Slow, (ctx, _args: undefined) => {
      ctx.onSignal((signal) => order.push(signal.type));
      return {
        start: async () => {
          order.push('start');
          await new Promise<void>((resolve) => {
            release = resolve;
          });
          order.push('end');
        },
        next: () => void order.push('next'),
        order: () => order.join(' '),
      };
    });
    const slow = f.spawn('s', SlowActor, undefined);
    slow.tell('start', undefined);
    slow.tell('next', undefined);
    await f.env.settle();
    expect(order).toEqual(['start']);
    release();
    await f.env.settle();
    expect(order).toEqual(['start', 'end', 'next']);
    slow.tell('start', undefined);
    await f.env.settle();
    f.stop(slow);
    expect(order.at(-1)).toBe('stopping');
    expect(slow.offer('next', undefined)).toBe('gone');
  });

  test('stash keeps messages for another behaviour, in order and with their asks', async () => {
    const f = fixture(1);
    const Door = protocol('door', 1, { open: tell(none), pass: ask(u32, u32) });
    const DoorActor = actor(
      Door,
      (ctx: Context<typeof Door.ops>, _args: undefined) => ({
        open: () => {
          ctx.become({ open: () => undefined, pass: (n) => n * 2 });
          ctx.unstash();
        },
        pass: () => {
          if (!ctx.stash()) throw new Error('the stash is full');
          return 0;
        },
      }),
      { mailbox: { capacity: 8, overflow: 'reject' } },
    );
    const door = f.spawn('d', DoorActor, undefined);
    const passes = [1, 2, 3].map((n) => door.ask('pass', n, { timeoutMs: 1_000 }));
    await f.env.settle();
    door.tell('open', undefined);
    await f.env.settle();
    expect(await Promise.all(passes)).toEqual([2, 4, 6]);
  });

  test('pipe brings the outcome of a promise as a message, unless the actor was restarted', async () => {
    const f = fixture(1);
    const Piped = protocol('piped', 1, { go: tell(none), got: tell(utf8), boom: tell(none) });
    const got: string[] = [];
    let settle: (text: string) => void = () => undefined;
    const PipedActor = actor(Piped, (ctx, _args: undefined) => ({
      go: () => {
        const work = new Promise<string>((resolve) => {
          settle = resolve;
        });
        ctx.pipe(work, 'got', (r) => (r.status === 'fulfilled' ? r.value : 'failed'));
      },
      got: (text) => void got.push(text),
      boom: () => {
        throw new Error('boom');
      },
    }));
    const piped = f.spawn('p', PipedActor, undefined);
    piped.tell('go', undefined);
    await f.env.settle();
    settle('one');
    await f.env.settle();
    piped.tell('go', undefined);
    piped.tell('boom', undefined);
    await f.advanceAsync(100);
    settle('two');
    await f.env.settle();
    expect(got).toEqual(['one']);
    expect(f.system.deadLetters.counts.stopped).toBe(1);
  });

  test('an aborted ask frees its slot and the handler can see that nobody waits', async () => {
    const f = fixture(1);
    const Patient = protocol('patient', 1, { wait: ask(none, u32) });
    let later: Later<number> | undefined;
    const PatientActor = actor(Patient, (ctx, _args: undefined) => ({
      wait: () => {
        later = ctx.later<number>();
        return later;
      },
    }));
    const patient = f.spawn('p', PatientActor, undefined);
    const abort = new AbortController();
    const waiting = patient.ask('wait', undefined, { timeoutMs: 1_000, signal: abort.signal });
    waiting.catch(() => undefined);
    await f.env.settle();
    expect(later!.isCancelled).toBe(false);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ACTOR_CANCELLED' });
    expect(later!.isCancelled).toBe(true);
    expect(f.system.asks.openCount).toBe(0);
    later!.ok(1);
    expect(f.system.asks.counters.late).toBe(1);
  });

  test('asks beyond the limit are refused at once', async () => {
    const f = fixture(1, { system: { limits: { asksMax: 2 } } });
    const Patient = protocol('patient', 1, { wait: ask(none, u32) });
    const patient = f.spawn(
      'p',
      actor(Patient, (ctx, _args: undefined) => ({ wait: () => ctx.later<number>() })),
      undefined,
    );
    const asks = [1, 2, 3].map(() => patient.ask('wait', undefined, { timeoutMs: 10 }));
    const settled = Promise.allSettled(asks);
    await f.advanceAsync(20);
    const codes = (await settled).map((each) => each.status === 'rejected' && each.reason.code);
    expect(codes).toEqual(['ACTOR_ASK_TIMEOUT', 'ACTOR_ASK_TIMEOUT', 'ACTOR_ASK_LIMIT']);
  });
});

describe('mailboxes', () => {
  test.each([
    ['drop-oldest', '3 4'],
    ['drop-newest', '1 2'],
  ] as const)('%s keeps %s of four messages in two places', async (overflow, kept) => {
    const f = fixture(1);
    const Small = actor(Work, supervised('stop').setup, { mailbox: { capacity: 2, overflow } });
    const small = f.spawn('s', Small, undefined);
    for (const text of ['1', '2', '3', '4']) expect(small.offer('note', text)).toBe('accepted');
    f.stepUntilIdle();
    expect(await f.ask(small, 'notes', undefined)).toBe(kept);
    expect(f.system.metrics.of('work').dropped).toBe(2);
    expect(f.system.deadLetters.counts.dropped).toBe(2);
  });

  test('a full mailbox never loses a signal', () => {
    const f = fixture(1);
    const heard: string[] = [];
    const target = f.spawn('t', supervised('stop'), undefined);
    const Full = actor(
      Work,
      (ctx: Context<WorkOps>, _args: undefined) => {
        ctx.watch(target);
        ctx.onSignal((signal) => heard.push(signal.type));
        return { note: () => undefined, boom: () => undefined, notes: () => '', boomAsk: () => 0 };
      },
      { mailbox: { capacity: 1, overflow: 'drop-oldest' } },
    );
    const full = f.spawn('f', Full, undefined);
    f.stepUntilIdle();
    target.tell('boom', undefined);
    for (let i = 0; i < 50; i += 1) full.tell('note', 'x');
    f.stepUntilIdle();
    expect(heard).toEqual(['terminated']);
  });
});

test('who offers to a thread that is not there is told so, and is not kept waiting for room', async () => {
  const f = fixture(1);
  const nowhere = f.system.wellKnown(Work, { thread: 77, slot: 9 });
  // `full` would be a circle: `ready` has nobody to wait for and resolves at once.
  expect(nowhere.offer('note', 'x')).toBe('gone');
  await nowhere.ready();
  const answer = nowhere.ask('notes', undefined, { timeoutMs: 100 });
  await expect(answer).rejects.toMatchObject({ code: 'ACTOR_UNREACHABLE' });
});

describe('strict mode', () => {
  test('inputs are copies, frozen, and views kept too long read poison', async () => {
    const f = fixture(1);
    const Keep = protocol('keep', 1, {
      put: tell(record({ name: utf8, body: bytes })),
      first: ask(none, u32),
    });
    let kept: Uint8Array | undefined;
    let isFrozen = false;
    const KeepActor = actor(Keep, (_ctx, _args: undefined) => ({
      put: (input) => {
        kept = input.body;
        isFrozen = Object.isFrozen(input);
        expect(input.body[0]).toBe(5);
      },
      first: () => kept![0]!,
    }));
    const keep = f.spawn('k', KeepActor, undefined);
    const body = Uint8Array.of(5, 6);
    keep.tell('put', { name: 'n', body });
    body[0] = 9;
    f.stepUntilIdle();
    expect(isFrozen).toBe(true);
    expect(await f.ask(keep, 'first', undefined)).toBe(0xdd);
  });

  test('arguments with a codec arrive as on another thread, and what it refuses throws', () => {
    const f = fixture(1);
    const seen: unknown[] = [];
    const args = record({ name: utf8, limit: u32 });
    const Limited = actor(
      Work,
      (_ctx, given: Value<typeof args>) => {
        seen.push(given);
        return { note: () => undefined, boom: () => undefined, notes: () => '', boomAsk: () => 0 };
      },
      { args },
    );
    const given = { name: 'n', limit: 3 };
    f.spawn('a', Limited, given);
    given.limit = 9;
    f.stepUntilIdle();
    expect(seen).toEqual([{ name: 'n', limit: 3 }]);
    expect(Object.isFrozen(seen[0])).toBe(true);
    expect(() => f.spawn('b', Limited, { name: 'n', limit: -1 })).toThrow(
      'the arguments of b cannot be encoded',
    );
    // Its name and its slot are free.
    f.spawn('b', Limited, { name: 'n', limit: 1 });
  });

  test('what cannot be encoded is a dead letter or a failed ask, never an exception', async () => {
    const f = fixture(1);
    const Sum = protocol('sum', 1, { add: tell(u32), total: ask(u32, u32) });
    const sum = f.spawn(
      's',
      actor(Sum, (_ctx, _args: undefined) => ({ add: () => undefined, total: () => -1 })),
      undefined,
    );
    sum.tell('add', -5);
    expect(f.system.deadLetters.counts.malformed).toBe(1);
    await expect(f.ask(sum, 'total', -5)).rejects.toMatchObject({ code: 'ACTOR_MALFORMED' });
    await expect(f.ask(sum, 'total', 1)).rejects.toMatchObject({ code: 'ACTOR_MALFORMED' });
  });
});

test('a ref travels as an id and becomes usable where it arrives', async () => {
  const f = fixture(1);
  const Guide = protocol('guide', 1, { meet: tell(refId), met: ask(none, utf8) });
  const GuideActor = actor(Guide, (ctx: Context<typeof Guide.ops>, _args: undefined) => ({
    meet: (id) => ctx.ref(Work, id).tell('note', 'hello from the guide'),
    met: () => '',
  }));
  const worker = f.spawn('w', supervised('stop'), undefined);
  const guide = f.spawn('g', GuideActor, undefined);
  guide.tell('meet', worker.id);
  f.stepUntilIdle();
  expect(await f.ask(worker, 'notes', undefined)).toBe('hello from the guide');
});

test('inspection shows the tree with depths, states and restarts', () => {
  const f = fixture(1);
  const Parent = actor(Work, (ctx: Context<WorkOps>, _args: undefined) => {
    ctx.spawn('child', supervised('restart'), undefined);
    return { note: () => undefined, boom: () => undefined, notes: () => '', boomAsk: () => 0 };
  });
  const parent = f.spawn('parent', Parent, undefined);
  f.stepUntilIdle();
  parent.tell('note', '1');
  parent.tell('note', '2');
  const info = f.system.actorTree().find((each) => each.path === '/parent');
  expect(info).toMatchObject({ class: 'work', state: 'running', depth: 2, capacity: 1024 });
  expect(info?.children).toMatchObject([{ path: '/parent/child', restarts: 0, depth: 0 }]);
});

test('inspection tells what actors have handled and what they say of themselves', () => {
  const f = fixture(1);
  let isBroken = false;
  const Counter = actor(Work, (ctx: Context<WorkOps>, _args: undefined) => {
    let noted = 0;
    ctx.onInspect(() => {
      if (isBroken) throw new Error('no look');
      return { counts: { noted }, facts: { mood: 'good' } };
    });
    return {
      note: () => {
        noted += 1;
      },
      boom: () => undefined,
      notes: () => '',
      boomAsk: () => 0,
    };
  });
  const counter = f.spawn('counter', Counter, undefined);
  for (let i = 0; i < 3; i += 1) counter.tell('note', 'x');
  f.stepUntilIdle();
  const seen = () => f.system.actorTree().find(({ path }) => path === '/counter');
  expect(seen()).toMatchObject({ handled: 3, counts: { noted: 3 }, facts: { mood: 'good' } });
  isBroken = true;
  expect(seen()).toMatchObject({ handled: 3, counts: {}, facts: { fault: 'no look' } });
  expect(f.system.actorTree()[0]).toMatchObject({ path: '/runtime', counts: {}, facts: {} });
});

test('of a class only so many are shown to others, and how many more there are', () => {
  const f = fixture(1);
  for (let i = 0; i < 1_003; i += 1) f.spawn(`w${i}`, supervised('stop'), undefined);
  f.stepUntilIdle();
  const { actors, omitted, turns, atMs } = f.system.inspection();
  expect(omitted).toEqual({ work: 3 });
  expect(actors.length).toBe(1_001);
  expect([turns, atMs]).toEqual([f.system.turn.count, f.system.clock.monotonicMs()]);
  expect(f.system.actorTree().length).toBe(1_004);
});

test('two volleying actors cannot starve a timer', () => {
  let volleys = 0;
  const Ball = protocol('ball', 1, { hit: tell(refId) });
  const f = fixture(1, { system: { limits: { messagesPerDrain: 1024, messagesPerCell: 64 } } });
  const Player = actor(Ball, (ctx: Context<typeof Ball.ops>, _args: undefined) => ({
    hit: (id) => {
      volleys += 1;
      ctx.ref(Ball, id).tell('hit', ctx.self.id);
    },
  }));
  const one = f.spawn('one', Player, undefined);
  const two = f.spawn('two', Player, undefined);
  one.tell('hit', two.id);
  f.step();
  // One turn is bounded by its budget and gives the loop back.
  expect(volleys).toBeGreaterThan(500);
  expect(volleys).toBeLessThanOrEqual(1024);
  expect(f.env.pendingTasks).toBe(1);
});

test('deadlines fire in order of due time and creation, never early, never after cancel', () => {
  const op = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), delay: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('cancel' as const), index: fc.nat(40) }),
    fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 20 }) }),
  );
  fc.assert(
    fc.property(fc.array(op, { maxLength: 80 }), (steps) => {
      const env = manualEnvironment(1);
      const deadlines = new Deadlines(env.clock, env.timers);
      const set: { due: number; cancel: () => void; isCancelled: boolean }[] = [];
      const fired: number[] = [];
      for (const step of steps) {
        if (step.kind === 'set') {
          const index = set.length;
          const deadline = deadlines.after(step.delay, () => {
            expect(env.nowMs).toBeGreaterThanOrEqual(set[index]!.due);
            fired.push(index);
          });
          const cancel = () => deadlines.cancel(deadline);
          set.push({ due: env.nowMs + step.delay, cancel, isCancelled: false });
        } else if (step.kind === 'cancel') {
          const each = set[step.index];
          if (each === undefined || fired.includes(step.index)) continue;
          each.cancel();
          each.isCancelled = true;
        } else env.advance(step.ms);
      }
      env.advance(1_000);
      const expected = set
        .map((each, index) => ({ ...each, index }))
        .filter((each) => !each.isCancelled)
        .sort((a, b) => a.due - b.due || a.index - b.index)
        .map((each) => each.index);
      expect(fired).toEqual(expected);
      expect(deadlines.count).toBe(0);
    }),
  );
});
