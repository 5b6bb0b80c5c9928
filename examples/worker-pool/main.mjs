// A supervised pool of workers over threads. One thread is killed in the middle: its job is given to another
// worker, the thread is started again, and every answer is right.
//
//   node examples/worker-pool/main.mjs
import {
  actor,
  ask,
  createActorEnvironment,
  none,
  protocol,
  startThreads,
  tell,
  u32,
} from 'callboard/actors';
import * as actors from './counter.mjs';

const WORKERS = 2;
const JOBS = 40;
const CRASH_AT = 10;
const RETRY_MS = 20;

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };
const { system, group, stop } = await startThreads(createActorEnvironment({ log }), {
  name: 'pool',
  workers: WORKERS,
  manifest: new URL('./counter.mjs', import.meta.url),
  actors,
});

const Pool = protocol('pool', 1, {
  primesBelow: ask(u32, u32),
  restarts: ask(none, u32),
  start: tell(u32),
});

/** Keeps one counter on each worker thread; a job whose worker ended goes to the front of the line. */
const PoolActor = actor(Pool, (ctx) => {
  const waiting = [];
  const free = [];
  let restarts = 0;
  let spawned = 0;

  const start = (thread) => {
    spawned += 1;
    const worker = ctx.spawn(`counter-${spawned}`, actors.CounterActor, undefined, { thread });
    ctx.watch(worker);
    free.push(worker);
    next();
  };
  const next = () => {
    while (waiting.length > 0 && free.length > 0) run(waiting.shift(), free.shift());
  };
  const run = async (job, worker) => {
    try {
      job.answer.ok(await worker.ask('primesBelow', job.limit, { timeoutMs: 10_000 }));
      free.push(worker);
    } catch {
      waiting.unshift(job);
    }
    next();
  };
  ctx.onSignal((signal) => {
    if (signal.type !== 'terminated') return;
    restarts += 1;
    const at = free.findIndex((worker) => worker.id.thread === signal.ref.id.thread);
    if (at >= 0) free.splice(at, 1);
    ctx.schedule(`start-${signal.ref.id.thread}`, RETRY_MS, 'start', signal.ref.id.thread);
  });
  for (let thread = 1; thread <= WORKERS; thread += 1) start(thread);
  return {
    start(thread) {
      // The group replaces a thread under its budget of restarts; then the counter comes back.
      if (group.incarnationOf(thread) !== undefined) start(thread);
      else ctx.schedule(`start-${thread}`, RETRY_MS, 'start', thread);
    },
    primesBelow(limit) {
      const answer = ctx.later();
      waiting.push({ limit, answer });
      next();
      return answer;
    },
    restarts: () => restarts,
  };
});

const pool = system.spawn('pool', PoolActor, undefined);
const jobs = Array.from({ length: JOBS }, async (_, i) => {
  const limit = 1_000 * (i + 1);
  if (i === CRASH_AT) group.kill(1);
  return [limit, await pool.ask('primesBelow', limit, { timeoutMs: 30_000 })];
});
for (const [limit, count] of await Promise.all(jobs)) {
  if (limit % 10_000 === 0) console.log(`${count} primes below ${limit}`);
}
const restarts = await pool.ask('restarts', undefined, { timeoutMs: 1_000 });
console.log(`${JOBS} jobs done, ${restarts} worker lost on the way`);
await stop({ timeoutMs: 1_000 });
