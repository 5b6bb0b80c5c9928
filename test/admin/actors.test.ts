// The tree of actors over looks that a test has made.
import { expect, test } from 'vitest';
import type { ActorInfo } from '../../src/actors/inspect/snapshot.ts';
import { actorsOf } from '../../src/admin/actors.ts';
import type { AdminPorts, ThreadLook } from '../../src/admin/ports.ts';
import type { HttpRequest } from '../../src/env/http.ts';
import { actorInfo, threadInfo } from '../setup/thread-info.ts';

function info(path: string, handled: number, more: Partial<ActorInfo> = {}): ActorInfo {
  return actorInfo(path, { class: 'exchange', handled, ...more });
}

function look(atMs: number, turns: number, actors: readonly ActorInfo[]): ThreadLook {
  return {
    node: 1,
    thread: 0,
    role: 'main',
    state: 'answering',
    info: threadInfo({ atMs, turns, actors }),
  };
}

async function answer(query: Record<string, string>, ...looks: (readonly ThreadLook[])[]) {
  const slept: number[] = [];
  const asked: (number | undefined)[] = [];
  const ports = {
    actors: (node: number | undefined) => {
      asked.push(node);
      return Promise.resolve(looks.shift() ?? []);
    },
    sleep: (delayMs: number) => {
      slept.push(delayMs);
      return Promise.resolve();
    },
  } as unknown as AdminPorts;
  const request = { query: new Map(Object.entries(query)) } as unknown as HttpRequest;
  return { ...(await actorsOf(ports, request)), slept, asked };
}

test('rates are what grew between two looks, by the clock of the thread', async () => {
  const before = [
    info('/exchange:a', 10, { counts: { published: 100 }, children: [info('/exchange:a/c', 5)] }),
    info('/reused', 50, { slot: 301 }),
    info('/restarted', 50, { slot: 302, counts: { published: 9 } }),
  ];
  const after = [
    info('/exchange:a', 30, { counts: { published: 150 }, children: [info('/exchange:a/c', 5)] }),
    info('/reused', 8, { slot: 400 }),
    info('/restarted', 4, { slot: 302, counts: { published: 2 } }),
  ];
  const { threads, slept, asked } = await answer(
    { node: '1' },
    [look(1_000, 5, before)],
    [look(3_000, 9, after)],
  );
  expect([slept, asked]).toEqual([[1_000], [1, 1]]);
  const [thread] = threads;
  expect(thread).toMatchObject({ node: 1, thread: 0, role: 'main', isAnswering: true, turns: 9 });
  expect(thread!.actors.map(({ name, perSecond }) => [name, perSecond])).toEqual([
    ['exchange:a', { handled: 10, published: 25 }],
    ['reused', { handled: 4 }],
    ['restarted', { handled: 2, published: 1 }],
  ]);
  expect(thread!.actors[0]!.children[0]).toMatchObject({ name: 'c', perSecond: { handled: 0 } });
  expect(thread!.actors[0]).not.toHaveProperty('slot');
});

test('one look has no rates; a thread that starts anew or is silent has none either', async () => {
  const once = await answer({ sampleMs: '0' }, [look(1, 1, [info('/a', 3)])]);
  expect([once.slept, once.threads[0]!.actors[0]!.perSecond]).toEqual([[], {}]);
  const anew = await answer(
    {},
    [look(90_000, 500, [info('/a', 3)])],
    [look(200, 4, [info('/a', 1)])],
  );
  expect(anew.threads[0]!.actors[0]!.perSecond).toEqual({});
  const silent: ThreadLook = { node: 2, thread: 1, role: 'shard', state: 'silent' };
  const { threads } = await answer({}, [silent], [silent]);
  expect(threads).toEqual([
    { node: 2, thread: 1, role: 'shard', isAnswering: false, turns: 0, actors: [], omitted: {} },
  ]);
});

test('what is asked wrongly is refused', async () => {
  const refused = (query: Record<string, string>) =>
    answer(query).then(
      () => undefined,
      ({ status, code }) => [status, code],
    );
  expect(await refused({ sampleMs: '10001' })).toEqual([400, 'REQUEST_INVALID']);
  expect(await refused({ sample: '1' })).toEqual([400, 'REQUEST_INVALID']);
  expect(await refused({ node: 'x' })).toEqual([400, 'REQUEST_INVALID']);
  expect(await refused({ node: '7' })).toEqual([404, 'NODE_UNKNOWN']);
});
