// The test kit itself: effects as data, one message per step, probes, and seeds that are named when
// they fail.
import { describe, expect, test } from 'vitest';
import type { Context, Later, Ref } from '../../src/actors/index.ts';
import { actor, ask, protocol, tell } from '../../src/actors/index.ts';
import type { Effect } from '../../src/actors/testkit/index.ts';
import { behave, fixture } from '../../src/actors/testkit/index.ts';
import { none, record, u32 } from '../../src/codec/index.ts';

const Out = protocol('out', 1, { value: tell(u32) });
const Relay = protocol('relay', 1, { pass: tell(u32), later: tell(u32), count: ask(none, u32) });
type RelayOps = typeof Relay.ops;

const RelayActor = actor(Relay, (ctx: Context<RelayOps>, to: Ref<typeof Out.ops>) => {
  let count = 0;
  ctx.watch(to);
  ctx.onSignal((signal) => {
    if (signal.type === 'terminated') ctx.stop();
  });
  return {
    pass: (n) => {
      count += 1;
      to.tell('value', n);
    },
    later: (n) => ctx.schedule('later', 100, 'pass', n),
    count: () => count,
  };
});

describe('behave', () => {
  test('shows what an actor did as data and answers its replies', () => {
    const relay = behave(RelayActor, (ref) => ref(Out, '/out'));
    // What setup did comes first.
    expect(relay.effects()).toEqual([{ kind: 'watched', target: '/out' }]);
    relay.run('later', 7);
    relay.run('pass', 1);
    expect(relay.run('count', undefined)).toBe(1);
    relay.signal({ type: 'terminated', ref: relay.self, cause: 'stopped' });
    expect(relay.effects()).toEqual([
      { kind: 'scheduled', key: 'later', delayMs: 100, op: 'pass', input: 7 },
      { kind: 'told', to: '/out', op: 'value', input: 1 },
      { kind: 'stopped', target: '/self' },
    ]);
  });

  test('copies what it is given and what it sends, and refuses what cannot be sent', () => {
    const relay = behave(RelayActor, (ref) => ref(Out, '/out'));
    expect(() => relay.run('pass', -1)).toThrow('does not fit u32');
    const Wrong = actor(Relay, (_ctx, _args: undefined) => ({
      pass: () => undefined,
      later: () => undefined,
      count: () => -1,
    }));
    expect(() => behave(Wrong, undefined).run('count', undefined)).toThrow('does not fit u32');
  });

  test('answers the asks of the actor, and shows what it then does', async () => {
    const Asking = protocol('asking', 1, { go: tell(none), got: tell(u32) });
    const AskingActor = actor(Asking, (ctx: Context<typeof Asking.ops>, of: Ref<RelayOps>) => ({
      go: () =>
        ctx.pipe(of.ask('count', undefined, { timeoutMs: 1 }), 'got', (result) =>
          result.status === 'fulfilled' ? result.value : 99,
        ),
      got: () => undefined,
    }));
    const asking = behave(AskingActor, (ref) => ref(Relay, '/relay'));
    const told: Effect[] = [];
    for (const settle of [() => asking.answer(7), () => asking.fail(new Error('no'))]) {
      asking.run('go', undefined);
      expect(asking.effects().map(({ kind }) => kind)).toEqual(['asked', 'piped']);
      settle();
      await asking.env.settle();
      told.push(...asking.effects());
    }
    expect(told).toEqual([
      { kind: 'told', to: '/self', op: 'got', input: 7 },
      { kind: 'told', to: '/self', op: 'got', input: 99 },
    ]);
    expect(() => asking.answer(1)).toThrow('no ask of the actor is open');
  });
});

describe('behave, as the runtime does', () => {
  const Odd = protocol('odd', 1, {
    aside: tell(none),
    asideLater: ask(none, u32),
    twice: ask(none, u32),
    count: ask(none, u32),
    named: ask(none, record({ outcome: u32 })),
    answered: ask(none, u32),
  });
  type OddOps = typeof Odd.ops;
  let value = 0;
  const isTaken: boolean[] = [];
  const OddActor = actor(Odd, (ctx: Context<OddOps>, _args: undefined) => {
    ctx.onSignal(() => void isTaken.push(ctx.stash()));
    ctx.onInspect(() => ({ counts: { value } }));
    return {
      aside: () => void ctx.stash(),
      asideLater: async () => {
        ctx.stash();
        await Promise.resolve();
        isTaken.push(ctx.stash());
        return 0;
      },
      twice: () => {
        isTaken.push(ctx.stash(), ctx.stash());
        // No reply: it is put aside.
        return -1;
      },
      count: () => value,
      named: () => ({ outcome: value }),
      answered: () => ctx.later<number>(),
    };
  });

  test.each([
    ['aside', []],
    ['asideLater', [false]],
    ['twice', [true, false]],
  ] as const)('what is put aside is that message, not the next: %s', async (op, taken) => {
    isTaken.length = 0;
    value = -1;
    const odd = behave(OddActor, undefined);
    const result = odd.run(op, undefined);
    await result;
    expect(odd.effects()).toEqual([{ kind: 'stashed' }]);
    expect(isTaken).toEqual(taken);
    // This one has a reply, which cannot be sent.
    expect(() => odd.run('count', undefined)).toThrow('does not fit u32');
    // Between messages there is nothing to put aside.
    odd.signal({ type: 'stopping' });
    expect(isTaken.at(-1)).toBe(false);
    expect(odd.effects()).toEqual([]);
  });

  test('a reply is a reply, whatever its fields are called; a Later is none yet', () => {
    value = -1;
    const odd = behave(OddActor, undefined);
    expect(() => odd.run('named', undefined)).toThrow('does not fit u32');
    value = 3;
    expect(odd.run('named', undefined)).toEqual({ outcome: 3 });
    const later = odd.run('answered', undefined) as Later<number> & { outcome(): unknown };
    expect(later.outcome()).toBeUndefined();
    later.ok(5);
    later.ok(6);
    expect(later.outcome()).toEqual({ reply: 5 });
  });

  test('shows what the actor shows to who looks', () => {
    value = 4;
    expect(behave(OddActor, undefined).inspect()).toEqual({ counts: { value: 4 } });
    expect(behave(RelayActor, (ref) => ref(Out, '/out')).inspect()).toEqual({});
  });
});

describe('probes', () => {
  test('wait in virtual time, and not a moment longer', () => {
    const f = fixture(1);
    const probe = f.probe(Out);
    const relay = f.spawn('relay', RelayActor, probe.ref);
    relay.tell('later', 1);
    expect(() => probe.next(99)).toThrow('probe-out got nothing within 99 ms');
    expect(f.env.nowMs).toBe(99);
    expect(probe.next(1_000)).toEqual({ op: 'value', input: 1 });
    expect(f.env.nowMs).toBe(100);
    relay.tell('pass', 2);
    relay.tell('later', 3);
    expect(probe.fish(({ input }) => input === 3, 1_000).input).toBe(3);
    expect(f.env.nowMs).toBe(200);
  });

  test('answer asks as they are told to, and fail the others', async () => {
    const f = fixture(1);
    const answering = f.probe(Relay, 'answering', { count: () => 5 });
    expect(await f.ask(answering.ref, 'count', undefined)).toBe(5);
    expect(answering.next()).toEqual({ op: 'count', input: undefined });
    const silent = f.probe(Relay, 'silent');
    await expect(f.ask(silent.ref, 'count', undefined)).rejects.toThrow('has no answer to count');
    expect(await f.ask(answering.ref, 'count', undefined)).toBe(5);
  });
});

describe('fixture', () => {
  test('a step handles one message, in the order told', () => {
    const f = fixture(1);
    const probe = f.probe(Out);
    const relay = f.spawn('relay', RelayActor, probe.ref);
    f.stepUntilIdle();
    f.inject(relay, 'pass', 1);
    f.inject(relay, 'later', 2);
    f.expect('pass').to(relay);
    expect(() => f.expect('pass').to(relay)).toThrow(
      'expected pass to /relay; it was value from /relay to /probe-out',
    );
    f.expect('later').to(relay);
    f.inject(relay, 'pass', 3);
    f.expect('pass').to(relay);
    f.expect('value').from(relay).to(probe.ref);
    expect(() => f.expect('value').to(probe.ref)).toThrow('but everything rests');
    expect(probe.next()).toEqual({ op: 'value', input: 1 });
    expect(probe.next()).toEqual({ op: 'value', input: 3 });
    expect(() => probe.next()).toThrow('got nothing');
  });

  test('telling and then advancing does what it reads like', () => {
    const f = fixture(1);
    const probe = f.probe(Out);
    const relay = f.spawn('relay', RelayActor, probe.ref);
    relay.tell('later', 9);
    probe.none(99);
    f.advance(1);
    expect(probe.fish((message) => message.input === 9)).toEqual({ op: 'value', input: 9 });
  });

  test('the next timeout can be triggered without knowing when it is', () => {
    const f = fixture(1);
    const probe = f.probe(Out);
    const relay = f.spawn('relay', RelayActor, probe.ref);
    relay.tell('later', 9);
    f.stepUntilIdle();
    expect(f.triggerNextTimer()).toBe(true);
    expect(probe.next().input).toBe(9);
    expect(f.env.nowMs).toBe(100);
  });

  test('equal seeds give equal dice per path, and another actor shifts nothing', () => {
    const draws = (withNeighbour: boolean): number[] => {
      const f = fixture(42);
      const drawn: number[] = [];
      const Dice = actor(Relay, (ctx: Context<RelayOps>, _args: undefined) => ({
        pass: () => void drawn.push(ctx.random.u32()),
        later: () => void ctx.random.u32(),
        count: () => 0,
      }));
      if (withNeighbour) f.spawn('neighbour', Dice, undefined).tell('later', 1);
      const dice = f.spawn('dice', Dice, undefined);
      for (let i = 0; i < 5; i += 1) dice.tell('pass', i);
      f.stepUntilIdle();
      return drawn;
    };
    expect(draws(true)).toEqual(draws(false));
  });
});

test('streams are for a system: behave refuses them, and says where they are', () => {
  const Plain = protocol('plain', 1, { go: tell(none) });
  const PlainActor = actor(Plain, (ctx, _args: undefined) => ({ go: () => void ctx.openStream() }));
  expect(() => behave(PlainActor, undefined).run('go', undefined)).toThrow(/use `fixture`/);
});
