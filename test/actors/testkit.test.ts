// The test kit itself: effects as data, one message per step, probes, and seeds that are named when
// they fail.
import { describe, expect, test } from 'vitest';
import type { Context, Ref } from '../../src/actors/index.ts';
import { actor, ask, protocol, tell } from '../../src/actors/index.ts';
import { behave, fixture, forAllSeeds } from '../../src/actors/testkit/index.ts';
import { none, u32 } from '../../src/codec/index.ts';

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
    const out = behave(
      actor(Out, (_ctx, _args: undefined) => ({ value: () => undefined })),
      undefined,
    ).self;
    const relay = behave(RelayActor, out);
    relay.run('later', 7);
    expect(relay.effects()).toEqual([
      { kind: 'scheduled', key: 'later', delayMs: 100, op: 'pass', input: 7 },
    ]);
    relay.run('pass', 1);
    expect(relay.run('count', undefined)).toBe(1);
    relay.signal({ type: 'terminated', ref: out, cause: 'stopped' });
    expect(relay.effects()).toEqual([{ kind: 'stopped', target: '/self' }]);
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
    expect(() => f.expect('pass').to(relay)).toThrow('expected pass');
    expect(probe.next()).toEqual({ op: 'value', input: 1 });
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

test('forAllSeeds names the seed and the smallest number of faults that fail', async () => {
  const scenario = (f: ReturnType<typeof fixture>, faultLimit: number) => {
    let faults = 0;
    for (let i = 0; i < 10; i += 1) {
      if (f.env.random.below(4) === 0 && faults < faultLimit) faults += 1;
    }
    if (faults >= 2) throw new Error('two faults are too many');
  };
  await expect(forAllSeeds(20, scenario)).rejects.toThrow(/seed \d+ fails with 2 faults/);
  await forAllSeeds(20, () => undefined);
});
