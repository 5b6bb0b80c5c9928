// Answers on their way to another thread whose ring is full, or which is gone.
import { expect, test } from 'vitest';
import type { System } from '../../../src/actors/index.ts';
import { createSystem } from '../../../src/actors/index.ts';
import type { Route, RouteAdmission } from '../../../src/actors/route.ts';
import { manualEnvironment } from '../../../src/actors/testkit/manual-environment.ts';
import { Answers } from '../../../src/cluster/replica/answers.ts';

class FakeRoute implements Route {
  readonly threadIncarnation = 1;
  admission: RouteAdmission = 'accepted';
  /** Tokens, in order of arrival. */
  readonly taken: number[] = [];
  #waiting: (() => void)[] = [];

  send(...[, , , , , , value]: Parameters<Route['send']>): RouteAdmission {
    if (this.admission === 'accepted') this.taken.push((value as { token: number }).token);
    return this.admission;
  }

  ready(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async now(admission: RouteAdmission): Promise<void> {
    this.admission = admission;
    for (const resolve of this.#waiting.splice(0)) resolve();
    await Promise.resolve();
  }
}

function world(): { system: System; route: FakeRoute; answers: Answers } {
  const system = createSystem(manualEnvironment(1), {
    name: 'answers',
    node: 1,
    incarnation: 1,
    thread: 1,
    threadCount: 3,
  });
  const route = new FakeRoute();
  system.setRoute(1, 2, route);
  return { system, route, answers: new Answers(system) };
}

const there = { node: 1, incarnation: 1, thread: 2, slot: 300, generation: 1 << 20 };

function appended(token: number) {
  return { token, result: 'ok', baseOffset: token, startOffset: 0, leaderEpoch: 1 } as const;
}

function fetched(token: number, release: () => void) {
  const slices = [{ kind: 'memory' as const, bytes: new Uint8Array(3) }];
  const known = { committedOffset: 3, startOffset: 0, endOffset: 3, leaderEpoch: 1 };
  return { token, result: 'ok' as const, ...known, slices, release };
}

test('answers without room wait in their order, and keep what they point to', async () => {
  const { route, answers } = world();
  let released = 0;
  answers.appended(there, appended(1));
  route.admission = 'full';
  answers.appended(there, appended(2));
  answers.fetched(
    there,
    fetched(3, () => {
      released += 1;
    }),
  );
  answers.advanced(there, 4);
  await route.now('full');
  expect([route.taken, released]).toEqual([[1], 0]);
  await route.now('accepted');
  expect([route.taken, released]).toEqual([[1, 2, 3, 4], 1]);
  answers.appended(there, appended(5));
  expect(route.taken).toEqual([1, 2, 3, 4, 5]);
});

test('answers to a thread that has died are dropped, and what they pointed to is given back', async () => {
  const { route, answers } = world();
  let released = 0;
  const release = () => {
    released += 1;
  };
  route.admission = 'full';
  answers.fetched(there, fetched(1, release));
  answers.fetched(there, fetched(2, release));
  await route.now('gone');
  answers.fetched(there, fetched(3, release));
  expect([route.taken, released]).toEqual([[], 3]);
});

test('answers over a link that has ended are dropped: their askers were told', async () => {
  const { route, answers } = world();
  let released = 0;
  route.admission = 'unreachable';
  answers.fetched(
    there,
    fetched(1, () => {
      released += 1;
    }),
  );
  answers.linkEnded(1, 2);
  await route.now('accepted');
  expect([route.taken, released]).toEqual([[], 1]);
});
