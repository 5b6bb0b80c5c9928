// How long does an ask of an actor on another thread take when both threads were asleep? p50 and p99, of a worker
// that sleeps in its event loop and of one that blocks. The code is warm, as in a program that has run for a
// while: interpreted, the same takes half as long again.
import { performance } from 'node:perf_hooks';
import { createSystem } from '../dist/actors/index.js';
import { ThreadGroup } from '../dist/actors/threads/thread-group.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { Sink } from './lib/ring-sink.ts';

const ASKS = 3_000;
/** One after the other, and then with pauses. */
const COMPILE = 8_000;
const WARM_UP = 500;
/** Between asks, so that both sides fall asleep. */
const PAUSE_MS = 1;
const WAIT = { timeoutMs: 10_000 };

/** Microseconds of every ask, sorted. */
async function measure(idle: 'loop' | 'block'): Promise<number[]> {
  const env = createNodeEnvironment({ logLevel: 'warn' });
  const system = createSystem(env, { name: 'bench', threadCount: 2, protocols: [Sink] });
  const group = new ThreadGroup(system, {
    entry: new URL('../bench/lib/ring-worker.mjs', import.meta.url),
    workers: 1,
    idle,
  });
  await group.start();
  const sink = system.wellKnown(Sink, { thread: 1, slot: 1 });
  for (let i = 0; i < COMPILE; i += 1) await sink.ask('taken', undefined, WAIT);
  const micros: number[] = [];
  for (let i = 0; i < WARM_UP + ASKS; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    const startMs = performance.now();
    await sink.ask('taken', undefined, WAIT);
    if (i >= WARM_UP) micros.push((performance.now() - startMs) * 1000);
  }
  await group.stop({ timeoutMs: 2_000 });
  await system.shutdown({ timeoutMs: 1_000 });
  return micros.sort((a, b) => a - b);
}

for (const idle of ['loop', 'block'] as const) {
  const load = machineLoad();
  const micros = await measure(idle);
  const name = idle === 'loop' ? 'ask-two-threads' : 'ask-two-threads blocking';
  for (const [share, floor] of [
    [0.5, 40],
    [0.99, 200],
  ] as const) {
    const at = micros[Math.floor(micros.length * share)]!;
    const figure = { unit: 'us', samples: [at], floor, rule: 'most', load } as const;
    tellFigure({ name: `${name} p${share * 100}`, ...figure, note: `of ${ASKS} asks` });
  }
}
