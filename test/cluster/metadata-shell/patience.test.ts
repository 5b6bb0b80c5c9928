// How long a change waits where no leader with a quorum shows, in virtual time.
import { expect, test } from 'vitest';
import type { System } from '../../../src/actors/system.ts';
import {
  type ProposeAnswer,
  UNAVAILABLE,
} from '../../../src/cluster/metadata-shell/metadata-protocol.ts';
import { Patience } from '../../../src/cluster/metadata-shell/patience.ts';
import { World } from '../../storage/support/store-kit.ts';

const DONE: ProposeAnswer = { ...UNAVAILABLE, kind: 'done', index: 7 };

function made(hasQuorum: (nowMs: number) => boolean) {
  const world = new World();
  const deadlines = {
    after: (delayMs: number, fire: () => void) => world.at(world.nowMs + delayMs, fire),
    cancel: (cancel: () => void) => cancel(),
  };
  const startMs = world.nowMs;
  const nowMs = () => world.nowMs - startMs;
  const patience = new Patience({ deadlines } as unknown as System, () => hasQuorum(nowMs()));
  let finish: (answer: ProposeAnswer) => void = () => undefined;
  const work = new Promise<ProposeAnswer>((resolve) => {
    finish = resolve;
  });
  const told: { answer: ProposeAnswer; atMs: number }[] = [];
  const waited = patience.wait(work).then((answer) => told.push({ answer, atMs: nowMs() }));
  const pass = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 10) {
      await world.advance(10);
      await Promise.resolve();
    }
  };
  return { patience, told, waited, pass, finish: (answer: ProposeAnswer) => finish(answer) };
}

test('without a quorum it ends within a second, and nothing is tried again', async () => {
  const { patience, told, pass } = made(() => false);
  await pass(690);
  expect(told).toEqual([]);
  await pass(310);
  expect(told).toMatchObject([{ answer: UNAVAILABLE }]);
  expect(told[0]!.atMs).toBeLessThan(1_000);
  expect(patience.isOver).toBe(true);
});

test('with one it waits for the answer, however long that takes', async () => {
  const { told, pass, finish } = made(() => true);
  await pass(20_000);
  expect(told).toEqual([]);
  finish(DONE);
  await pass(10);
  expect(told).toMatchObject([{ answer: DONE }]);
});

test('one look that finds none is not enough: a thread may have stood still', async () => {
  const { told, pass, finish } = made((nowMs) => Math.floor(nowMs / 100) % 2 === 0);
  await pass(5_000);
  expect(told).toEqual([]);
  finish(DONE);
  await pass(10);
  expect(told).toMatchObject([{ answer: DONE }]);
});

test('a quorum that is lost later is noticed', async () => {
  const { told, pass } = made((nowMs) => nowMs < 3_000);
  await pass(2_990);
  expect(told).toEqual([]);
  await pass(300);
  expect(told).toMatchObject([{ answer: UNAVAILABLE }]);
});
