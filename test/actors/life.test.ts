// What becomes of an actor that is used against its grain: names taken twice, setups that fail, asks to
// oneself, stashes that overflow, contexts and systems used after their end, promises nobody looks at.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { Context, Ref, Signal, Supervision } from '../../src/actors/index.ts';
import { type ActorError, actor, ask, protocol, tell } from '../../src/actors/index.ts';
import { fixture } from '../../src/actors/testkit/index.ts';
import { bytes, none, u32, utf8 } from '../../src/codec/index.ts';

const Life = protocol('life', 1, {
  go: tell(none),
  note: tell(utf8),
  notes: ask(none, utf8),
});
type LifeOps = typeof Life.ops;
type LifeContext = Context<LifeOps>;

const stopAtOnce: Supervision = {
  decide: () => 'stop',
  maxRestarts: 0,
  windowMs: 1_000,
  backoff: { minMs: 1, maxMs: 1, jitter: 0 },
};

/** An actor whose `go` is the test's subject. */
function going(go: (ctx: LifeContext) => void | Promise<void>, notes: string[] = []) {
  return actor(
    Life,
    (ctx: LifeContext, _args: undefined) => ({
      go: () => go(ctx),
      note: (text) => void notes.push(text),
      notes: () => notes.join(' '),
    }),
    { supervision: { ...stopAtOnce, decide: () => 'resume' } },
  );
}
const idle = going(() => undefined);

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'fulfilled',
    (error: ActorError) => error.code,
  );
}

describe('names', () => {
  test('two children of one name: the second spawn throws, the first lives on', async () => {
    const f = fixture(1);
    const thrown: unknown[] = [];
    let first: Ref<LifeOps> | undefined;
    const parent = f.spawn(
      'parent',
      going((ctx) => {
        first = ctx.spawn('child', idle, undefined);
        try {
          ctx.spawn('child', idle, undefined);
        } catch (error) {
          thrown.push(error);
        }
      }),
      undefined,
    );
    parent.tell('go', undefined);
    f.stepUntilIdle();
    expect(thrown).toMatchObject([
      { code: 'ACTOR_MISUSE', message: 'the name /parent/child is taken' },
    ]);
    expect(await f.ask(first!, 'notes', undefined)).toBe('');
    expect(() => f.spawn('parent', idle, undefined)).toThrow('the name /parent is taken');
  });

  test('the name of a child is free when it has ended, not when it was told to', () => {
    const f = fixture(1);
    const tries: string[] = [];
    let child: Ref<LifeOps> | undefined;
    const spawn = (ctx: LifeContext) => {
      try {
        child = ctx.spawn('child', idle, undefined);
        tries.push('spawned');
      } catch {
        tries.push('taken');
      }
    };
    const parent = f.spawn(
      'parent',
      going((ctx) => {
        spawn(ctx);
        ctx.stop(child);
        spawn(ctx);
      }),
      undefined,
    );
    parent.tell('go', undefined);
    f.stepUntilIdle();
    parent.tell('go', undefined);
    f.stepUntilIdle();
    expect(tries).toEqual(['spawned', 'taken', 'spawned', 'taken']);
  });

  test.each(['', 'a/b'])('%j is no name', (name) => {
    expect(() => fixture(1).spawn(name, idle, undefined)).toThrow('is no name for an actor');
  });
});

describe('a setup that fails', () => {
  test.each([
    ['stop', 1, 'gone'],
    ['restart', 3, 'gone'],
    // Without handlers there is nothing to resume: it is a restart.
    ['resume', 3, 'gone'],
  ] as const)('%s: it is tried %i times, then the actor is %s', (directive, tries, admission) => {
    const f = fixture(1);
    let lives = 0;
    const signals: Signal[] = [];
    const Failing = actor(
      Life,
      (): never => {
        lives += 1;
        throw new Error('no life');
      },
      {
        supervision: {
          decide: () => directive,
          maxRestarts: 2,
          windowMs: 1_000,
          backoff: { minMs: 1, maxMs: 1, jitter: 0 },
        },
      },
    );
    let child: Ref<LifeOps> | undefined;
    const Parent = actor(Life, (ctx: LifeContext, _args: undefined) => {
      child = ctx.spawn('child', Failing, undefined);
      ctx.watch(child);
      ctx.onSignal((signal) => signals.push(signal));
      return { go: () => undefined, note: () => undefined, notes: () => '' };
    });
    f.spawn('parent', Parent, undefined);
    f.stepUntilIdle();
    child?.tell('note', 'waits');
    f.advance(100);
    expect(lives).toBe(tries);
    expect(child?.offer('note', 'x')).toBe(admission);
    expect(signals.at(-1)).toMatchObject({ type: 'terminated', cause: 'failed' });
    expect(signals.filter(({ type }) => type === 'child-failed').length).toBe(tries);
    expect(f.system.deadLetters.counts.failed + f.system.deadLetters.counts.gone).toBe(1);
  });

  test('half way: its children, timers and watches end with it', () => {
    const f = fixture(1);
    const Half = actor(
      Life,
      (ctx: LifeContext): never => {
        ctx.watch(ctx.spawn('child', idle, undefined));
        ctx.schedule('t', 10, 'go', undefined);
        throw new Error('half way');
      },
      { supervision: stopAtOnce },
    );
    f.spawn('half', Half, undefined);
    f.stepUntilIdle();
    expect(f.system.deadlines.count).toBe(0);
    expect(f.system.actorTree().map(({ path }) => path)).toEqual(['/runtime']);
  });

  test.each([
    ['that forgot a handler', () => ({ go: () => undefined, note: () => undefined })],
    ['that is async', async () => ({ go: () => undefined })],
  ])('one %s fails with the name of the op', (_what, setup) => {
    const f = fixture(1);
    f.spawn('odd', actor(Life, setup as never, { supervision: stopAtOnce }), undefined);
    f.stepUntilIdle();
    const failure = f.env.lines.find(({ message }) => message === 'actor failed');
    expect(String(failure?.fields['error'])).toMatch(/life has no handler for (go|notes)/);
  });
});

test('an ask to oneself that is awaited times out; piped, it is answered', async () => {
  const f = fixture(1);
  const notes: string[] = [];
  const self = f.spawn(
    'self',
    going(async (ctx) => {
      notes.push(String(await codeOf(ctx.self.ask('notes', undefined, { timeoutMs: 100 }))));
    }, notes),
    undefined,
  );
  self.tell('go', undefined);
  await f.advanceAsync(200);
  expect(notes).toEqual(['ACTOR_ASK_TIMEOUT']);
  const piped = f.spawn(
    'piped',
    going((ctx) => {
      ctx.pipe(
        ctx.self.ask('notes', undefined, { timeoutMs: 100 }),
        'note',
        ({ status }) => status,
      );
    }, notes),
    undefined,
  );
  piped.tell('go', undefined);
  await f.advanceAsync(200);
  expect(notes).toEqual(['ACTOR_ASK_TIMEOUT', 'fulfilled']);
});

describe('the stash', () => {
  const Door = protocol('door', 1, { open: tell(none), pass: ask(u32, u32) });
  const DoorActor = actor(
    Door,
    (ctx: Context<typeof Door.ops>, _args: undefined) => ({
      open: () => {
        ctx.become({ open: () => undefined, pass: (n) => n * 2 });
        ctx.unstash();
      },
      pass: (n) => {
        const isStashed = ctx.stash();
        if (n === 13) throw new Error('fails after it was put aside');
        return isStashed ? 0 : 1_000 + n;
      },
    }),
    {
      mailbox: { capacity: 3, overflow: 'reject' },
      supervision: { ...stopAtOnce, decide: () => 'resume' },
    },
  );

  test('overflows: stash answers false, and what the handler returns is the answer', async () => {
    const f = fixture(1);
    const door = f.spawn('door', DoorActor, undefined);
    const passes: Promise<number>[] = [];
    for (let n = 1; n <= 5; n += 1) {
      passes.push(door.ask('pass', n, { timeoutMs: 1_000 }));
      await f.env.settle();
    }
    door.tell('open', undefined);
    await f.env.settle();
    expect(await Promise.all(passes)).toEqual([2, 4, 6, 1_004, 1_005]);
  });

  test('a message that fails after it was put aside is not delivered again', async () => {
    const f = fixture(1);
    const door = f.spawn('door', DoorActor, undefined);
    const failed = codeOf(door.ask('pass', 13, { timeoutMs: 1_000 }));
    const kept = door.ask('pass', 1, { timeoutMs: 1_000 });
    await f.env.settle();
    door.tell('open', undefined);
    await f.env.settle();
    expect([await failed, await kept]).toEqual(['ACTOR_FAILED', 2]);
    expect(f.system.asks.counters.late).toBe(0);
  });

  const Late = protocol('late', 1, { pass: ask(u32, u32), finish: tell(none) });
  type LateContext = Context<typeof Late.ops>;
  /** Puts `pass` aside, opens at once, and does what the test says. */
  function opening(
    seen: string[],
    then: (ctx: LateContext, n: number) => number | Promise<number>,
  ) {
    return actor(
      Late,
      (ctx: LateContext, _args: undefined) => ({
        pass: (n) => {
          seen.push(`first ${n}`);
          const isStashed = ctx.stash();
          if (!isStashed) throw new Error('the stash is full');
          return n === 1 ? 0 : then(ctx, n);
        },
        finish: () => undefined,
      }),
      { supervision: { ...stopAtOnce, decide: () => 'resume' } },
    );
  }
  function open(ctx: LateContext, seen: string[]): void {
    ctx.become({
      pass: (n) => {
        seen.push(`then ${n}`);
        return n * 2;
      },
      finish: () => undefined,
    });
    ctx.unstash();
  }
  async function passed(seen: string[], LateActor: ReturnType<typeof opening>) {
    const f = fixture(1);
    const late = f.spawn('late', LateActor, undefined);
    const passes = [1, 2, 3].map((n) => late.ask('pass', n, { timeoutMs: 1_000 }));
    const outcomes = Promise.all(passes.map((each) => each.catch(({ code }: ActorError) => code)));
    await f.advanceAsync(100);
    const again = late.ask('pass', 4, { timeoutMs: 1_000 });
    await f.env.settle();
    expect(f.system.asks.counters.late).toBe(0);
    expect(late.offer('finish', undefined)).toBe('accepted');
    expect(f.system.inspection().actors.find(({ path }) => path === '/late')!.stash).toBe(0);
    return { seen, outcomes: [...(await outcomes), await again] };
  }

  test('what is put aside and put back by one handler comes after what waited, once', async () => {
    const seen: string[] = [];
    const LateActor = opening(seen, (ctx) => {
      open(ctx, seen);
      return 0;
    });
    expect(await passed(seen, LateActor)).toEqual({
      seen: ['first 1', 'first 2', 'then 1', 'then 2', 'then 3', 'then 4'],
      outcomes: [2, 4, 6, 8],
    });
  });

  test.each(['throws', 'rejects', 'rejects later'])(
    'a message that is put aside and put back by a handler that %s is not delivered again',
    async (how) => {
      const seen: string[] = [];
      const LateActor = opening(seen, (ctx) => {
        if (how !== 'rejects later') open(ctx, seen);
        const error = new Error('fails after it was put back');
        if (how === 'throws') throw error;
        if (how === 'rejects') return Promise.reject(error);
        return Promise.resolve().then(() => {
          open(ctx, seen);
          throw error;
        });
      });
      expect(await passed(seen, LateActor)).toEqual({
        seen: ['first 1', 'first 2', 'then 1', 'then 3', 'then 4'],
        outcomes: [2, 'ACTOR_FAILED', 6, 8],
      });
    },
  );

  test('an async handler that puts its message aside answers it when it is delivered again', async () => {
    const seen: string[] = [];
    const LateActor = opening(seen, async (ctx, n) => {
      await Promise.resolve();
      open(ctx, seen);
      return n;
    });
    expect(await passed(seen, LateActor)).toEqual({
      seen: ['first 1', 'first 2', 'then 1', 'then 2', 'then 3', 'then 4'],
      outcomes: [2, 4, 6, 8],
    });
  });

  test('an async handler that fails lets go of the bytes of what it had put aside, once', async () => {
    const f = fixture(1);
    const Kept = protocol('kept', 1, { keep: tell(bytes), again: tell(none) });
    const views: Uint8Array[] = [];
    const KeptActor = actor(
      Kept,
      (ctx: Context<typeof Kept.ops>, _args: undefined) => ({
        keep: async (view) => {
          views.push(view);
          expect(ctx.stash()).toBe(true);
          await Promise.resolve();
          if (view[0] === 2) throw new Error('fails after it was put aside');
        },
        again: () => ctx.unstash(),
      }),
      { supervision: { ...stopAtOnce, decide: () => 'resume' } },
    );
    const kept = f.spawn('kept', KeptActor, undefined);
    for (const n of [1, 2, 3]) kept.tell('keep', Uint8Array.of(n));
    await f.env.settle();
    expect(views.map((view) => view[0])).toEqual([1, 0xdd, 3]);
    expect(f.system.deadLetters.counts.failed).toBe(1);
    kept.tell('again', undefined);
    await f.env.settle();
    expect(views.slice(3).map((view) => view[0])).toEqual([1, 3]);
    f.stop(kept);
    expect(views.map((view) => view[0])).toEqual(views.map(() => 0xdd));
  });

  test('what an async handler had put aside when its actor failed otherwise comes in its next life', async () => {
    const f = fixture(1);
    let lives = 0;
    const seen: string[] = [];
    const Restarted = actor(
      Late,
      (ctx: LateContext, _args: undefined) => {
        lives += 1;
        const life = lives;
        ctx.onSignal(({ type }) => {
          if (type === 'terminated') throw new Error('fails while another message is held');
        });
        if (life === 1) ctx.watch(doomed);
        return {
          pass: (n) => {
            seen.push(`life ${life}: ${n}`);
            if (life === 2) return n * 2;
            ctx.stash();
            return n === 1 ? 0 : new Promise<number>(() => undefined);
          },
          finish: () => undefined,
        };
      },
      { supervision: { ...stopAtOnce, decide: () => 'restart', maxRestarts: 5 } },
    );
    const doomed = f.spawn('doomed', idle, undefined);
    const late = f.spawn('late', Restarted, undefined);
    const passes = [1, 2, 3].map((n) => late.ask('pass', n, { timeoutMs: 1_000 }));
    await f.env.settle();
    f.stop(doomed);
    await f.advanceAsync(10);
    expect(await Promise.all(passes)).toEqual([2, 4, 6]);
    expect(seen).toEqual(['life 1: 1', 'life 1: 2', 'life 2: 1', 'life 2: 2', 'life 2: 3']);
  });
});

test('one Later cannot answer two asks', async () => {
  const f = fixture(1);
  const Twice = protocol('twice', 1, { wait: ask(none, u32) });
  const TwiceActor = actor(
    Twice,
    (ctx: Context<typeof Twice.ops>, _args: undefined) => {
      const later = ctx.later<number>();
      return { wait: () => later };
    },
    { supervision: { ...stopAtOnce, decide: () => 'resume' } },
  );
  const twice = f.spawn('twice', TwiceActor, undefined);
  const first = codeOf(twice.ask('wait', undefined, { timeoutMs: 50 }));
  const second = codeOf(twice.ask('wait', undefined, { timeoutMs: 50 }));
  await f.advanceAsync(60);
  expect([await first, await second]).toEqual(['ACTOR_ASK_TIMEOUT', 'ACTOR_MISUSE']);
});

describe('a context after its end', () => {
  test.each(['stopped', 'restarted'] as const)(
    '%s: it does nothing, and spawns nothing',
    async (how) => {
      const f = fixture(1);
      const notes: string[] = [];
      const contexts: LifeContext[] = [];
      const Leaky = actor(
        Life,
        (ctx: LifeContext, _args: undefined) => {
          contexts.push(ctx);
          return {
            go: () => {
              if (how === 'restarted') throw new Error('again');
              ctx.stop();
            },
            note: (text) => void notes.push(text),
            notes: () => notes.join(' '),
          };
        },
        { supervision: { ...stopAtOnce, decide: () => 'restart', maxRestarts: 5 } },
      );
      const leaky = f.spawn('leaky', Leaky, undefined);
      const other = f.spawn('other', idle, undefined);
      leaky.tell('go', undefined);
      f.advance(10);
      const old = contexts[0]!;
      expect(() => old.spawn('child', idle, undefined)).toThrow('/leaky has ended');
      old.schedule('t', 5, 'note', 'from a timer');
      old.watch(other);
      old.onSignal(() => notes.push('signal'));
      old.become({ go: () => void notes.push('became'), note: () => undefined, notes: () => '' });
      old.unstash();
      old.stop();
      old.pipe(Promise.resolve(1), 'note', () => 'piped');
      expect(old.stash()).toBe(false);
      expect(old.cancelled.aborted).toBe(how === 'stopped');
      f.stop(other);
      await f.advanceAsync(20);
      expect(notes).toEqual([]);
      // The pipe's outcome has nobody any more; the actor itself lives on if it was restarted.
      expect(f.system.deadLetters.counts.stopped).toBe(1);
      expect(leaky.offer('note', 'x')).toBe(how === 'stopped' ? 'gone' : 'accepted');
      expect(f.system.deadlines.count).toBe(0);
    },
  );

  test('a child spawned while its parent stops ends with it', () => {
    const f = fixture(1);
    let child: Ref<LifeOps> | undefined;
    const Late = actor(Life, (ctx: LifeContext, _args: undefined) => {
      ctx.onSignal(({ type }) => {
        if (type === 'stopping') child = ctx.spawn('late', idle, undefined);
      });
      return { go: () => ctx.stop(), note: () => undefined, notes: () => '' };
    });
    f.spawn('parent', Late, undefined).tell('go', undefined);
    f.stepUntilIdle();
    expect(child?.offer('note', 'x')).toBe('gone');
    expect(f.system.actorTree().map(({ path }) => path)).toEqual(['/runtime']);
  });
});

describe('misuse that types would have found', () => {
  test.each([undefined, {}, { timeoutMs: Number.NaN }, { timeoutMs: Number.POSITIVE_INFINITY }])(
    'an ask with %j for its timeout is rejected and takes no slot',
    async (options) => {
      const f = fixture(1);
      const ref = f.spawn('a', idle, undefined);
      expect(await codeOf(ref.ask('notes', undefined, options as never))).toBe('ACTOR_MISUSE');
      expect(f.system.asks.openCount).toBe(0);
    },
  );

  test('asking a tell is rejected, telling an ask is a dead letter, unknown ops likewise', async () => {
    const f = fixture(1);
    const ref = f.spawn('a', idle, undefined);
    const within = { timeoutMs: 10 };
    expect(await codeOf(ref.ask('note' as never, 'x' as never, within))).toBe('ACTOR_MISUSE');
    expect(await codeOf(ref.ask('nothing' as never, 'x' as never, within))).toBe('ACTOR_MISUSE');
    ref.tell('notes' as never, undefined as never);
    ref.tell('nothing' as never, undefined as never);
    expect(ref.offer('nothing' as never, undefined as never)).toBe('gone');
    expect(f.system.deadLetters.counts['unknown-op']).toBe(3);
  });

  test.each([
    [
      'a timer of an ask',
      (ctx: LifeContext) => ctx.schedule('t', 1, 'notes' as never, undefined as never),
    ],
    [
      'a delay that is no number',
      (ctx: LifeContext) => ctx.schedule('t', Number.NaN, 'go', undefined),
    ],
  ])('%s fails the handler', (_what, misuse) => {
    const f = fixture(1);
    f.spawn('a', going(misuse), undefined).tell('go', undefined);
    f.advance(10);
    expect(f.system.deadLetters.counts.failed).toBe(1);
    expect(f.system.deadlines.count).toBe(0);
  });

  test.each(['nonsense', undefined])(
    'a supervision that decides %j stops the actor',
    (directive) => {
      const f = fixture(1);
      const Odd = actor(
        Life,
        () => ({
          go: () => {
            throw new Error('boom');
          },
          note: () => undefined,
          notes: () => '',
        }),
        { supervision: { ...stopAtOnce, decide: () => directive as never } },
      );
      const odd = f.spawn('odd', Odd, undefined);
      odd.tell('go', undefined);
      f.stepUntilIdle();
      expect(odd.offer('note', 'x')).toBe('gone');
    },
  );

  test('a listener of dead letters that throws does not make tell throw', () => {
    const f = fixture(1);
    f.system.deadLetters.onLetter(() => {
      throw new Error('no letters, please');
    });
    const ref = f.spawn('a', idle, undefined);
    f.stop(ref);
    ref.tell('note', 'x');
    expect(f.system.deadLetters).toMatchObject({ total: 1, listenerFaults: 1 });
  });
});

describe('promises', () => {
  test('a signal handler that is async and fails, fails its actor', async () => {
    const f = fixture(1);
    const other = f.spawn('other', idle, undefined);
    const Async = actor(
      Life,
      (ctx: LifeContext, _args: undefined) => {
        ctx.watch(other);
        ctx.onSignal(async () => {
          await Promise.resolve();
          throw new Error('later');
        });
        return { go: () => undefined, note: () => undefined, notes: () => '' };
      },
      { supervision: stopAtOnce },
    );
    const ref = f.spawn('async', Async, undefined);
    f.stepUntilIdle();
    f.stop(other);
    await f.env.settle();
    expect(ref.offer('note', 'x')).toBe('gone');
  });

  test('a promise of another realm holds the mailbox as one of ours does', async () => {
    const f = fixture(1);
    const notes: string[] = [];
    const realm: { finish?: () => void } = {};
    const foreign: unknown = runInNewContext('new Promise((done) => { finish = done; })', realm);
    expect(foreign).not.toBeInstanceOf(Promise);
    const ref = f.spawn(
      'a',
      going(() => foreign as Promise<void>, notes),
      undefined,
    );
    ref.tell('go', undefined);
    ref.tell('note', 'behind');
    await f.env.settle();
    expect(notes).toEqual([]);
    realm.finish?.();
    await f.env.settle();
    expect(notes).toEqual(['behind']);
  });

  /** Runs a program on the built runtime, as a user's: what Node does there is the outcome. */
  function program(body: string): Promise<{ code: number; stdout: string; stderr: string }> {
    const code = `
      import { actor, ask, createActorEnvironment, createSystem, none, protocol, tell } from 'callboard/actors';
      const nothing = () => undefined;
      const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
      const system = createSystem(createActorEnvironment({ log }), { name: 'app' });
      const P = protocol('p', 1, { go: tell(none), never: ask(none, none) });
      ${body}`;
    const cwd = fileURLToPath(new URL('../../', import.meta.url));
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        ['--input-type=module', '-e', code],
        { cwd },
        (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
        },
      );
    });
  }

  test('an unhandled rejection in a promise of a handler on the main thread is Node’s: the process ends', async () => {
    const { code, stdout, stderr } = await program(`
      const A = actor(P, () => ({ go: () => void Promise.reject(new Error('floating')), never: nothing }));
      system.spawn('a', A, undefined).tell('go');
      setTimeout(() => console.log('lived'), 1000);`);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('floating');
  });

  test('a rejection that a handler returns is the runtime’s: the actor fails, the process lives', async () => {
    const { code, stdout } = await program(`
      const A = actor(P, () => ({ go: () => Promise.reject(new Error('returned')), never: nothing }));
      system.spawn('a', A, undefined).tell('go');
      setTimeout(() => { console.log(system.metrics.of('p').failed); process.exit(0); }, 50);`);
    expect([code, stdout.trim()]).toEqual([0, '1']);
  });

  test('after its shutdown a system holds no process', async () => {
    const { code, stdout } = await program(`
      const A = actor(P, (ctx) => ({ go: nothing, never: () => ctx.later() }));
      const a = system.spawn('a', A, undefined);
      const open = a.ask('never', undefined, { timeoutMs: 600_000 }).catch((error) => console.log(error.code));
      await system.shutdown({ timeoutMs: 1_000 });
      await open;
      await a.ask('never', undefined, { timeoutMs: 600_000 }).catch((error) => console.log(error.code));`);
    expect([code, stdout.trim().split('\n')]).toEqual([0, ['ACTOR_STOPPED', 'ACTOR_STOPPED']]);
  });
});
