// A supervised pool of workers over threads. One thread is killed in the middle: its job is given to another
// worker, the thread is started again, and every answer is right.
//
//   node main.mjs
import { createActorEnvironment, startThreads } from 'callboard/actors';
import * as actors from './counter.mjs';
import { PoolActor } from './pool.mjs';

const JOBS = 40;
const CRASH_AT = 10;
const workers = 2;

let tellLost;
const lost = new Promise((resolve) => {
  tellLost = resolve;
});
const { system, group, stop } = await startThreads(createActorEnvironment(), {
  name: 'primes',
  workers,
  manifest: new URL('./counter.mjs', import.meta.url),
  actors,
  onThreadLost: (thread) => tellLost(thread),
});
const pool = system.spawn('pool', PoolActor, { group, workers });
const jobs = Array.from({ length: JOBS }, async (_, i) => {
  const limit = 1_000 * (i + 1);
  const count = await pool.ask('primesBelow', limit, { timeoutMs: 30_000 });
  if (i === CRASH_AT) group.kill(1);
  return [limit, count];
});
for (const [limit, count] of await Promise.all(jobs)) {
  if (limit % 10_000 === 0) console.log(`${count} primes below ${limit}`);
}
// A thread that is told to end takes a moment; the other one may have done everything by then.
await lost;
const restarts = await pool.ask('restarts', undefined, { timeoutMs: 10_000 });
console.log(`${JOBS} jobs done, ${restarts} worker lost on the way`);
await stop({ timeoutMs: 10_000 });
