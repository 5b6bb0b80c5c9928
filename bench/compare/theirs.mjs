// The same work by other libraries, each in the way that its own documentation shows.
import { Worker } from 'node:worker_threads';
import * as comlink from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { Deferred, Effect, Queue } from 'effect';
import { dispatch, query, spawn, start, stop } from 'nact';
import { createActor, fromTransition } from 'xstate';

const BATCH = 1_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));

export const nact = {
  async tell() {
    const system = start();
    let taken = 0;
    let done;
    const sink = spawn(system, (_state, { last }) => {
      taken += 1;
      if (last) done(taken);
    });
    const round = (count) =>
      new Promise((resolve) => {
        taken = 0;
        done = resolve;
        for (let i = 1; i <= count; i += 1) dispatch(sink, { last: i === count });
      });
    return { round, close: () => stop(system) };
  },
  async ask() {
    const system = start();
    const echo = spawn(system, (_state, { sender, n }) => dispatch(sender, n));
    const round = async (count) => {
      let right = 0;
      for (let i = 0; i < count; i += 1) {
        if ((await query(echo, (sender) => ({ sender, n: i }), 60_000)) === i) right += 1;
      }
      return right;
    };
    return { round, close: () => stop(system) };
  },
};

export const xstate = {
  async tell() {
    let taken = 0;
    const logic = fromTransition((state) => {
      taken += 1;
      return state;
    }, 0);
    const sink = createActor(logic).start();
    const round = async (count) => {
      taken = 0;
      for (let i = 0; i < count; i += 1) sink.send({ type: 'take' });
      return taken;
    };
    return { round, close: () => sink.stop() };
  },
};

export const effect = {
  async tell() {
    const round = (count) =>
      Effect.runPromise(
        Effect.gen(function* () {
          const queue = yield* Queue.bounded(1024);
          let taken = 0;
          const sink = yield* Effect.forkChild(
            Effect.gen(function* () {
              while (taken < count) {
                yield* Queue.take(queue);
                taken += 1;
              }
            }),
          );
          for (let i = 0; i < count; i += 1) yield* Queue.offer(queue, i);
          yield* Effect.exit(sink.await ?? Effect.void);
          while (taken < count) yield* Effect.yieldNow;
          return taken;
        }),
      );
    return { round, close: () => undefined };
  },
  async ask() {
    const round = (count) =>
      Effect.runPromise(
        Effect.gen(function* () {
          const queue = yield* Queue.bounded(1024);
          yield* Effect.forkChild(
            Effect.gen(function* () {
              for (;;) {
                const { n, reply } = yield* Queue.take(queue);
                yield* Deferred.succeed(reply, n);
              }
            }),
          );
          let right = 0;
          for (let n = 0; n < count; n += 1) {
            const reply = yield* Deferred.make();
            yield* Queue.offer(queue, { n, reply });
            if ((yield* Deferred.await(reply)) === n) right += 1;
          }
          return right;
        }),
      );
    return { round, close: () => undefined };
  },
};

export const comlinkThread = {
  async ask() {
    const worker = new Worker(new URL('./their-worker.mjs', import.meta.url), {
      workerData: 'comlink',
    });
    const remote = comlink.wrap(nodeEndpoint(worker));
    const round = async (count) => {
      let right = 0;
      for (let i = 0; i < count; i += 1) if ((await remote.echo(i)) === i) right += 1;
      return right;
    };
    return { round, close: () => worker.terminate() };
  },
};

function portWorker() {
  return new Worker(new URL('./their-worker.mjs', import.meta.url), { workerData: 'port' });
}
const next = (worker) => new Promise((resolve) => worker.once('message', resolve));

export const messagePort = {
  async tell() {
    const worker = portWorker();
    const body = new Uint8Array(64);
    const round = async (count) => {
      for (let sent = 0; sent < count; sent += 1) {
        worker.postMessage(body);
        if (sent % BATCH === BATCH - 1) await turn();
      }
      worker.postMessage('taken');
      return next(worker);
    };
    return { round, close: () => worker.terminate() };
  },
  async ask() {
    const worker = portWorker();
    const round = async (count) => {
      let right = 0;
      for (let i = 0; i < count; i += 1) {
        worker.postMessage(i);
        if ((await next(worker)) === i) right += 1;
      }
      return right;
    };
    return { round, close: () => worker.terminate() };
  },
};
