// Faults of the test kit: only what the contract allows happens, the same again for the same seed, and a
// failing seed is made as small as it gets.
import { describe, expect, test } from 'vitest';
import type { Context, Ref, Signal, System } from '../../src/actors/index.ts';
import { actor, ask, protocol, tell } from '../../src/actors/index.ts';
import type { FixtureOptions } from '../../src/actors/testkit/index.ts';
import { ALL_FAULTS, fixture, forAllSeeds } from '../../src/actors/testkit/index.ts';
import { none, record, u32 } from '../../src/codec/index.ts';

const Sink = protocol('sink', 1, {
  take: tell(record({ from: u32, n: u32 })),
  count: ask(none, u32),
  never: ask(none, u32),
});
type SinkOps = typeof Sink.ops;
const Source = protocol('source', 1, { send: tell(u32) });

const SinkActor = actor(Sink, (ctx: Context<SinkOps>, seen: { from: number; n: number }[]) => ({
  take: (message) => void seen.push(message),
  count: () => seen.length,
  never: () => ctx.later<number>(),
}));
const SourceActor = actor(Source, (_ctx, args: { to: Ref<SinkOps>; from: number }) => ({
  send: (n) => args.to.tell('take', { from: args.from, n }),
}));

function inOrder(seen: readonly { from: number; n: number }[]): boolean {
  const last = new Map<number, number>();
  return seen.every(({ from, n }) => {
    const isNext = n > (last.get(from) ?? -1);
    last.set(from, n);
    return isNext;
  });
}

describe('delays', () => {
  function run(seed: number) {
    const f = fixture(seed, { faults: { delay: 0.3 } });
    const seen: { from: number; n: number }[] = [];
    const sink = f.spawn('sink', SinkActor, seen);
    const sources = [0, 1].map((from) => f.spawn(`s${from}`, SourceActor, { to: sink, from }));
    for (let n = 0; n < 20; n += 1) for (const each of sources) each.tell('send', n);
    f.advance(10_000);
    return seen;
  }

  test('keep the order of each pair, lose nothing, and mix the pairs differently by seed', () => {
    const runs = [1, 2, 3, 4, 5, 6].map(run);
    for (const seen of runs) {
      expect(seen.length).toBe(40);
      expect(inOrder(seen)).toBe(true);
    }
    const mixes = runs.map((seen) => seen.map(({ from }) => from).join(''));
    expect(new Set(mixes).size).toBeGreaterThan(1);
    expect(run(3)).toEqual(runs[2]);
  });
});

test('shrunk mailboxes overflow by the policy of their actor, and what is lost is counted', () => {
  let full = 0;
  for (let seed = 1; seed <= 10; seed += 1) {
    const f = fixture(seed, { faults: { mailbox: 1 } });
    const seen: { from: number; n: number }[] = [];
    const sink = f.spawn('sink', SinkActor, seen);
    f.stepUntilIdle();
    for (let n = 0; n < 10; n += 1) sink.tell('take', { from: 0, n });
    f.stepUntilIdle();
    full += f.system.deadLetters.counts.full;
    expect(seen.length + f.system.deadLetters.counts.full).toBe(10);
    expect(seen.length).toBeLessThanOrEqual(4);
  }
  expect(full).toBeGreaterThan(0);
});

test('squeezed asks time out early, and never late', async () => {
  const f = fixture(5, { faults: { squeeze: 0.5 } });
  const sink = f.spawn('sink', SinkActor, []);
  const waits: number[] = [];
  for (let i = 0; i < 20; i += 1) {
    const startMs = f.env.nowMs;
    sink
      .ask('never', undefined, { timeoutMs: 1_000 })
      .catch(() => waits.push(f.env.nowMs - startMs));
    await f.advanceAsync(1_000);
  }
  expect(waits.length).toBe(20);
  expect(waits.filter((ms) => ms < 1_000).length).toBeGreaterThan(3);
  expect(waits.filter((ms) => ms === 1_000).length).toBeGreaterThan(3);
});

describe('threads and nodes', () => {
  const start = (system: System) => {
    if (system.place.thread !== 0 || system.place.node !== 1) {
      system.spawnWellKnown(7, 'sink', SinkActor, []);
    }
  };

  test('a killed thread: watchers hear, asks fail at once, refs are gone, the next one answers', async () => {
    const f = fixture(1, { threads: 3, start });
    const known = f.system.wellKnown(Sink, { thread: 2, slot: 7 });
    const spawned = f.systems[2]!.spawn('other', SinkActor, []);
    const far = f.system.ref(Sink, spawned.id);
    const signals: Signal[] = [];
    const Watcher = actor(Source, (ctx: Context<typeof Source.ops>, _args: undefined) => {
      ctx.watch(far);
      ctx.onSignal((signal) => signals.push(signal));
      return { send: () => undefined };
    });
    f.spawn('watcher', Watcher, undefined);
    expect(await f.ask(known, 'count', undefined)).toBe(0);
    const waiting = far.ask('never', undefined, { timeoutMs: 60_000 });
    const code = waiting.catch((error: { code: string }) => error.code);
    await f.env.settle();
    far.tell('take', { from: 0, n: 1 });
    f.kill(2);
    await f.env.settle();
    expect(await code).toBe('ACTOR_THREAD_LOST');
    expect(signals).toMatchObject([{ type: 'terminated', cause: 'thread-lost' }]);
    expect(f.system.deadLetters.counts['thread-lost']).toBe(1);
    f.advance(1);
    expect(far.offer('take', { from: 0, n: 2 })).toBe('gone');
    expect(await f.ask(known, 'count', undefined)).toBe(0);
    expect(f.systems[2]!.threadIncarnation).toBe(2);
  });

  test('a cut link: what was under way is lost and counted, asks fail, the ref lives on', async () => {
    const f = fixture(1, { nodes: 2, start });
    const far = f.system.wellKnown(Sink, { node: 2, thread: 0, slot: 7 });
    expect(await f.ask(far, 'count', undefined)).toBe(0);
    far.tell('take', { from: 0, n: 1 });
    const lost = far.ask('count', undefined, { timeoutMs: 60_000 });
    const code = lost.catch((error: { code: string }) => error.code);
    f.cut(1, 2);
    await f.env.settle();
    expect(await code).toBe('ACTOR_UNREACHABLE');
    expect(f.system.deadLetters.counts.unreachable).toBe(1);
    expect(await f.ask(far, 'count', undefined)).toBe(0);
  });

  test('under every fault: at most once, in order, every ask is settled', async () => {
    let happened = new Set<string>();
    await forAllSeeds(
      40,
      async (f) => {
        const seen = new Map<string, { from: number; n: number }[]>();
        const targets = [
          f.system.wellKnown(Sink, { thread: 1, slot: 8 }),
          f.system.wellKnown(Sink, { node: 2, thread: 0, slot: 8 }),
        ];
        const watched = (system: System) => {
          const { node, thread } = system.place;
          const taken: { from: number; n: number }[] = [];
          seen.set(`${node}/${thread}/${system.threadIncarnation}`, taken);
          system.spawnWellKnown(8, 'watched', SinkActor, taken);
        };
        for (const system of f.systems) watched(system);
        const settled: string[] = [];
        let asked = 0;
        f.steps(60, (n) => {
          for (const [index, target] of targets.entries()) {
            target.tell('take', { from: 0, n });
            asked += 1;
            target.ask(index === 0 ? 'count' : 'never', undefined, { timeoutMs: 500 }).then(
              () => settled.push('answered'),
              (error: { code: string }) => settled.push(error.code),
            );
          }
          f.advance(5);
        });
        await f.advanceAsync(5_000);
        for (const each of seen.values())
          if (!inOrder(each)) throw new Error('out of order, or twice');
        if (settled.length !== asked) throw new Error(`${settled.length} of ${asked} settled`);
        happened = new Set([...happened, ...f.plan.events.map(({ name }) => name.split('#')[0]!)]);
      },
      { threads: 2, nodes: 2, faults: ALL_FAULTS },
    );
    expect([...happened].sort()).toEqual(['cut', 'delay', 'kill', 'mailbox', 'squeeze', 'step']);
  });
});

describe('forAllSeeds', () => {
  /** Loses a message when a mailbox of at most two meets three messages at once. */
  const options: FixtureOptions = { faults: { mailbox: 0.2, delay: 0.2, squeeze: 0.2 } };
  const scenario = (f: ReturnType<typeof fixture>): void => {
    const seen: { from: number; n: number }[] = [];
    const sink = f.spawn('sink', SinkActor, seen);
    for (let i = 0; i < 5; i += 1) f.spawn(`idle${i}`, SinkActor, []);
    f.stepUntilIdle();
    f.steps(12, (n) => sink.tell('take', { from: 0, n }));
    f.advance(1_000);
    if (f.system.deadLetters.counts.full > 0) throw new Error('a message was lost');
  };

  async function failureOf(more: object = {}): Promise<Error> {
    return forAllSeeds(60, scenario, { ...options, ...more }).then(
      () => {
        throw new Error('no seed failed');
      },
      (error: Error) => error,
    );
  }

  test('shrinks a failing seed to what it needs, and prints one line that repeats it', async () => {
    const { message, cause } = await failureOf();
    expect((cause as Error).message).toBe('a message was lost');
    const lines = message.split('\n');
    expect(lines[0]).toMatch(/^seed \d+ fails: a message was lost$/);
    // The shrunk mailbox, and one message more than it holds.
    const capacity = Number(/\/sink holds (\d) messages/.exec(message)?.[1]);
    const left = lines.slice(1, -1);
    expect(left.length).toBe(1 + capacity + 1);
    expect(left.filter((line) => line.includes('step#')).length).toBe(capacity + 1);
    const repeat = /firstSeed: (\d+), only: \[(.*)\] \}\)$/.exec(lines.at(-1)!);
    const only = repeat![2]!.split(', ').map((name) => name.slice(1, -1));
    const again = await failureOf({ firstSeed: Number(repeat![1]), only });
    expect(again.message).toBe(message);
    // Without any one of them nothing fails.
    for (const one of only) {
      const rest = only.filter((name) => name !== one);
      await forAllSeeds(1, scenario, { ...options, firstSeed: Number(repeat![1]), only: rest });
    }
  });

  test('says when no fault is needed, and nothing when nothing fails', async () => {
    await forAllSeeds(20, () => undefined, options);
    const failing = forAllSeeds(
      3,
      () => {
        throw new Error('always');
      },
      options,
    );
    await expect(failing).rejects.toThrow('seed 1 fails: always\n  no fault and no step is needed');
  });
});
