// Routers and supervisors of siblings: the two helpers that are built from the contract alone.
import { describe, expect, test } from 'vitest';
import type { AnyRef, Ref } from '../../src/actors/index.ts';
import { actor, protocol, Router, Supervisor, tell } from '../../src/actors/index.ts';
import { fixture } from '../../src/actors/testkit/index.ts';
import { none, utf8 } from '../../src/codec/index.ts';

const Job = protocol('job', 1, { work: tell(utf8), boom: tell(none) });
type JobOps = typeof Job.ops;
const stopWhenFailed = {
  decide: () => 'stop' as const,
  maxRestarts: 0,
  windowMs: 1,
  backoff: { minMs: 1, maxMs: 1, jitter: 0 },
};

describe('routers', () => {
  test('round robin takes turns and passes over who is full or gone', () => {
    const f = fixture(1);
    const got: string[] = [];
    const Worker = actor(
      Job,
      (ctx, _args: undefined) => ({
        work: (text) => void got.push(`${ctx.self.path}:${text}`),
        boom: () => ctx.stop(),
      }),
      { mailbox: { capacity: 1, overflow: 'reject' } },
    );
    const members = ['a', 'b', 'c'].map((name) => f.spawn(name, Worker, undefined));
    const router = new Router<JobOps>(members, { kind: 'round-robin' });
    f.stop(members[1]!);
    expect([1, 2, 3].map((n) => router.offer('work', `${n}`))).toEqual([
      'accepted',
      'accepted',
      'full',
    ]);
    f.stepUntilIdle();
    expect(got).toEqual(['/a:1', '/c:2']);
    router.setMembers([]);
    expect(router.offer('work', '4')).toBe('gone');
    expect(router.tell('work', '4')).toBe(false);
  });

  test('hash keeps a key with its member and moves few keys when one leaves', () => {
    const f = fixture(1);
    const Worker = actor(Job, (_ctx, _args: undefined) => ({
      work: () => undefined,
      boom: () => undefined,
    }));
    const members = ['a', 'b', 'c', 'd'].map((name) => f.spawn(name, Worker, undefined));
    const keyOf = (_op: string, input: unknown) => String(input);
    const router = new Router<JobOps>(members, { kind: 'hash', keyOf });
    const keys = Array.from({ length: 400 }, (_, n) => `key-${n}`);
    const before = keys.map((key) => router.pick('work', key)!.path);
    expect(keys.map((key) => router.pick('work', key)!.path)).toEqual(before);
    expect(new Set(before).size).toBe(4);
    router.setMembers(members.slice(0, 3));
    const moved = keys.filter((key, n) => router.pick('work', key)!.path !== before[n]);
    expect(moved.every((key) => before[keys.indexOf(key)] === '/d')).toBe(true);
  });

  test('least depth picks whoever has the least waiting', () => {
    const f = fixture(1);
    const Worker = actor(Job, (_ctx, _args: undefined) => ({
      work: () => undefined,
      boom: () => undefined,
    }));
    const members = ['a', 'b'].map((name) => f.spawn(name, Worker, undefined));
    const depthOf = (ref: Ref<JobOps>) =>
      f.system.actorTree().find((each) => each.path === ref.path)!.depth;
    const router = new Router<JobOps>(members, { kind: 'least-depth', depthOf });
    members[0]!.tell('work', 'x');
    expect(router.pick('work', 'y')!.path).toBe('/b');
  });
});

describe('supervisors', () => {
  const started = (strategy: 'one-for-all' | 'rest-for-one', maxRestarts = 5) => {
    const f = fixture(1);
    const lives: string[] = [];
    const Child = actor(
      Job,
      (_ctx, name: string) => {
        lives.push(name);
        return {
          work: () => undefined,
          boom: () => {
            throw new Error('boom');
          },
        };
      },
      { supervision: stopWhenFailed },
    );
    let refs: ReadonlyMap<string, AnyRef> = new Map();
    const supervisor = f.spawn('supervisor', Supervisor, {
      strategy,
      restart: { maxRestarts, windowMs: 1_000, backoff: { minMs: 5, maxMs: 5, jitter: 0 } },
      children: ['a', 'b', 'c'].map((name) => ({ name, actor: Child, args: name })),
      onStarted: (now) => {
        refs = now;
      },
    });
    f.stepUntilIdle();
    const boom = (name: string) => {
      (refs.get(name) as Ref<JobOps>).tell('boom', undefined);
      f.advance(10);
    };
    return { f, lives, boom, supervisor };
  };

  test('one for all: when one child falls, all start again in order', () => {
    const { lives, boom } = started('one-for-all');
    boom('b');
    expect(lives.join('')).toBe('abcabc');
  });

  test('rest for one: those started after the fallen one start again', () => {
    const { lives, boom } = started('rest-for-one');
    boom('b');
    expect(lives.join('')).toBe('abcbc');
    boom('a');
    expect(lives.join('')).toBe('abcbcabc');
  });

  test('past its budget the supervisor fails itself', () => {
    const { boom, supervisor, f } = started('one-for-all', 1);
    boom('a');
    boom('c');
    expect(supervisor.offer('startAgain', undefined)).toBe('gone');
    expect(f.system.actorTree().map((each) => each.path)).toEqual(['/runtime']);
  });
});
