// The pool: keeps one counter on each worker thread. A job whose worker ended goes to the front of the line, a few
// times at most, and the worker comes back when its thread does.
import { actor, ask, none, protocol, tell, u32 } from 'callboard/actors';
import { CounterActor } from './counter.mjs';

const ANSWER_MS = 10_000;
const RETRY_MS = 20;
const TRIES_MAX = 3;

const Pool = protocol('pool', 1, {
  primesBelow: ask(u32, u32),
  restarts: ask(none, u32),
  start: tell(u32),
});

/** `group` are the threads, numbered from 1 to `workers`. */
export const PoolActor = actor(Pool, (ctx, { group, workers }) => {
  const waiting = [];
  const free = [];
  let restarts = 0;
  let spawned = 0;

  const start = (thread) => {
    spawned += 1;
    const worker = ctx.spawn(`counter-${spawned}`, CounterActor, undefined, { thread });
    ctx.watch(worker);
    free.push(worker);
    next();
  };
  const next = () => {
    while (waiting.length > 0 && free.length > 0) run(waiting.shift(), free.shift());
  };
  const run = async (job, worker) => {
    try {
      job.answer.ok(await worker.ask('primesBelow', job.limit, { timeoutMs: ANSWER_MS }));
      free.push(worker);
    } catch (error) {
      job.tries += 1;
      // A job that kills whoever takes it must not take the whole pool along.
      if (job.tries < TRIES_MAX) waiting.unshift(job);
      else job.answer.fail(error);
    }
    next();
  };
  ctx.onSignal((signal) => {
    if (signal.type !== 'terminated') return;
    const { thread } = signal.ref.id;
    restarts += 1;
    const at = free.findIndex((worker) => worker.id.thread === thread);
    if (at >= 0) free.splice(at, 1);
    ctx.schedule(`start-${thread}`, RETRY_MS, 'start', thread);
  });
  for (let thread = 1; thread <= workers; thread += 1) start(thread);
  return {
    start(thread) {
      // The group replaces a thread under its budget of restarts; then the counter comes back.
      if (group.incarnationOf(thread) !== undefined) start(thread);
      else ctx.schedule(`start-${thread}`, RETRY_MS, 'start', thread);
    },
    primesBelow(limit) {
      const answer = ctx.later();
      waiting.push({ limit, answer, tries: 0 });
      next();
      return answer;
    },
    restarts: () => restarts,
  };
});
