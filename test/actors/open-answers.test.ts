// Who is remembered of the askers of one actor: no more than wait or are worked on, whatever they do.
import { describe, expect, test } from 'vitest';
import type { Context, Later } from '../../src/actors/index.ts';
import { type ActorError, actor, ask, protocol, tell } from '../../src/actors/index.ts';
import { NO_REPLY } from '../../src/actors/mailbox.ts';
import { OpenAnswers } from '../../src/actors/open-answers.ts';
import { fixture } from '../../src/actors/testkit/index.ts';
import { none, u32 } from '../../src/codec/index.ts';
import { makeWorld } from './worlds.ts';

const Late = protocol('late', 1, { later: ask(u32, u32), fails: ask(u32, u32), go: tell(none) });
const answers = { answer: () => undefined, failAnswer: () => undefined };
const remote = (slot: number) => ({ node: 2, incarnation: 1, thread: 0, slot, generation: 1 });
const entry = Late.byName.get('later')!;

describe.each([
  ['of this thread', (n: number) => n],
  ['from elsewhere', (n: number) => remote(n)],
] as const)('asks %s', (_where, replyOf) => {
  test('who gave up while it is worked on is forgotten', () => {
    const open = new OpenAnswers(answers);
    const signal = open.signalOf(replyOf(1));
    open.bind(open.makeLater(), entry, replyOf(1));
    open.giveUp(replyOf(1), NO_REPLY, 5);
    const held = open.signalOf(replyOf(2));
    open.giveUp(replyOf(2), replyOf(2), 5);
    expect([signal.aborted, held.aborted]).toEqual([true, true]);
    expect([open.laterCount, open.rememberedCount]).toEqual([0, 0]);
  });

  test('who gave up while it waited is known until its handler is done', () => {
    const open = new OpenAnswers(answers);
    for (const n of [1, 2, 3]) open.giveUp(replyOf(n), NO_REPLY, 3);
    expect(open.rememberedCount).toBe(3);
    const later = open.makeLater();
    open.bind(later, entry, replyOf(1));
    expect([later.isCancelled, open.laterCount, open.rememberedCount]).toEqual([true, 0, 2]);
    expect(open.signalOf(replyOf(2)).aborted).toBe(true);
    open.settled(replyOf(2));
    expect(open.rememberedCount).toBe(1);
    open.noneWaits();
    expect(open.rememberedCount).toBe(0);
  });

  test('words that crossed their answers push out the oldest, never the newest', () => {
    const open = new OpenAnswers(answers);
    for (let n = 1; n <= 10_000; n += 1) open.giveUp(replyOf(n), NO_REPLY, 4);
    expect(open.rememberedCount).toBe(4);
    open.giveUp(replyOf(10_001), NO_REPLY, 0);
    const isGivenUp = [9_996, 9_997, 10_000].map((n) => open.signalOf(replyOf(n)).aborted);
    expect(isGivenUp).toEqual([false, true, true]);
  });

  test('the end of a life aborts what is worked on, and fails answers that are due', () => {
    const failed: unknown[] = [];
    const open = new OpenAnswers({ ...answers, failAnswer: (_to, error) => failed.push(error) });
    const signals = [open.signalOf(replyOf(1)), open.signalOf(replyOf(2)), open.signalOf(NO_REPLY)];
    open.bind(open.makeLater(), entry, replyOf(1));
    const error = new Error('the end');
    open.endLife(() => error);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
    expect(failed).toEqual([error]);
    expect(open.rememberedCount).toBe(0);
  });
});

test('an actor that never rests forgets askers that gave up, however its handlers end', async () => {
  const f = fixture(1);
  const laters: Later<number>[] = [];
  const signals: AbortSignal[] = [];
  const Busy = actor(
    Late,
    (ctx: Context<typeof Late.ops>, _args: undefined) => ({
      // What is cancelled is not answered any more.
      later: () => {
        signals.push(ctx.cancelled);
        laters.push(ctx.later<number>());
        return laters.at(-1)!;
      },
      fails: () => {
        signals.push(ctx.cancelled);
        throw new Error('fails on purpose');
      },
      // It is never without a message that waits.
      go: () => ctx.self.tell('go', undefined),
    }),
    {
      supervision: {
        ...{ decide: () => 'resume', maxRestarts: 0, windowMs: 1 },
        backoff: { minMs: 1, maxMs: 1, jitter: 0 },
      },
    },
  );
  const busy = f.spawn('busy', Busy, undefined);
  const cell = f.system.cellOf(busy.id)!;
  busy.tell('go', undefined);
  const outcomes: Promise<unknown>[] = [];
  const askIt = (op: 'later' | 'fails', abort: AbortController) =>
    outcomes.push(
      busy
        .ask(op, 1, { timeoutMs: 60_000, signal: abort.signal })
        .catch(({ code }: ActorError) => code),
    );
  for (let round = 0; round < 50; round += 1) {
    const waiting = new AbortController();
    const working = new AbortController();
    askIt('later', waiting);
    askIt('fails', waiting);
    waiting.abort();
    askIt('later', working);
    askIt('fails', working);
    for (let step = 0; step < 40; step += 1) f.step();
    working.abort();
  }
  expect(cell.lane.count).toBe(1);
  expect(new Set(await Promise.all(outcomes))).toEqual(
    new Set(['ACTOR_CANCELLED', 'ACTOR_FAILED']),
  );
  expect(signals.length).toBe(200);
  // One that failed before its asker gave up was never cancelled.
  expect(signals.filter(({ aborted }) => aborted).length).toBe(150);
  expect(laters.every(({ isCancelled }) => isCancelled)).toBe(true);
  expect(cell.asksOpen).toBe(0);
});

test('askers of a thread that is lost have given up: at work, put aside, in the mailbox, and of answers due', async () => {
  const Debtor = protocol('debtor', 1, {
    later: ask(u32, u32),
    aside: ask(u32, u32),
    slow: ask(u32, u32),
    open: tell(none),
  });
  const { env, here, there, ref } = makeWorld('ring');
  const seen = new Map<string, () => boolean>();
  const laters: Later<number>[] = [];
  let goOn: () => void = () => undefined;
  let isOpen = false;
  const DebtorActor = actor(Debtor, (ctx: Context<typeof Debtor.ops>, _args: undefined) => {
    const later = (name: string) => {
      const answer = ctx.later<number>();
      laters.push(answer);
      seen.set(name, () => answer.isCancelled);
      return answer;
    };
    return {
      later: (n) => later(`later ${n}`),
      aside: (n) => {
        if (isOpen) return later(`aside ${n}`);
        ctx.stash();
        return 0;
      },
      slow: (n) => {
        const { cancelled } = ctx;
        seen.set(`slow ${n}`, () => cancelled.aborted);
        return new Promise<number>((resolve) => {
          goOn = () => resolve(n);
        });
      },
      open: () => {
        isOpen = true;
        ctx.unstash();
      },
    };
  });
  const debtor = there.spawnWellKnown(9, 'debtor', DebtorActor, undefined);
  const far = ref(Debtor, 9);
  const near = there.wellKnown(Debtor, { thread: 1, slot: 9 });
  const within = { timeoutMs: 60_000 };
  const nearAnswers: Promise<number>[] = [];
  for (const [n, asker] of [far, near].entries()) {
    for (const op of ['later', 'aside'] as const) {
      const answer = asker.ask(op, n, within);
      if (asker === near) nearAnswers.push(answer);
      await env.settle();
    }
  }
  void far.ask('slow', 0, within);
  await env.settle();
  // In the mailbox, as the slow one holds it.
  void far.ask('later', 2, within);
  await env.settle();
  const cell = there.cellOf(debtor.id)!;
  expect([cell.stashCount, cell.lane.count, cell.asksOpen]).toEqual([2, 1, 3]);
  here.turn.close();
  there.threadLost(1, 0, () => true, 'thread-lost');
  goOn();
  debtor.tell('open', undefined);
  await env.settle();
  expect(Object.fromEntries([...seen].map(([name, isSeen]) => [name, isSeen()]))).toEqual({
    'later 0': true,
    'slow 0': true,
    'later 2': true,
    'aside 0': true,
    'later 1': false,
    'aside 1': false,
  });
  // Only those are kept whose askers still wait, and they get their answers.
  expect(cell.asksOpen).toBe(2);
  for (const answer of laters) answer.ok(7);
  await env.settle();
  expect(await Promise.all(nearAnswers)).toEqual([7, 7]);
  expect(cell.asksOpen).toBe(0);
});
