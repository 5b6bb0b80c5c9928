// How the runs of scenarios wait for clients to be done: as long as these come further, and no longer.
import { expect, test } from 'vitest';
import { ClusterRun } from '../../../src/sim/scenarios/cluster-run.ts';
import type { SimulatedCluster } from '../../../src/sim/scenarios/simulated-cluster.ts';

const STANDSTILL_MS = 1_000;

/** Waits for what is left, which is `counts` at one look after another, and then the last of them for ever. */
class Waiting extends ClusterRun {
  /** Virtual time. */
  nowMs = 0;
  readonly cluster = {
    pause: async (delayMs: number) => {
      this.nowMs += delayMs;
    },
  } as unknown as SimulatedCluster;
  readonly #counts: readonly number[];

  constructor(counts: readonly number[]) {
    super();
    this.#counts = counts;
  }

  async run(): Promise<number> {
    let at = 0;
    const left = () => this.#counts[Math.min(at++, this.#counts.length - 1)]!;
    await this.untilNoneLeft('nothing is left', left, STANDSTILL_MS, 100);
    return this.nowMs;
  }
}

test('nobody waits for what is done', async () => {
  expect(await new Waiting([0]).run()).toBe(0);
});

test('slow clients have the time that they need', async () => {
  const perStep = 9;
  const counts = Array.from({ length: 50 * perStep }, (_, look) => 50 - Math.floor(look / perStep));
  expect(await new Waiting([...counts, 0]).run()).toBe(50 * perStep * 100);
});

test('what becomes less no more is left', async () => {
  const waitedMs = await new Waiting([5, 4, 3]).run();
  expect(waitedMs).toBe(200 + STANDSTILL_MS + 100);
});

test('who begins anew again and again comes no further', async () => {
  const counts = Array.from({ length: 1_000 }, (_, look) => 9 - (look % 7));
  const waitedMs = await new Waiting(counts).run();
  expect(waitedMs).toBe(600 + STANDSTILL_MS + 100);
});
