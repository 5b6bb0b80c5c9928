// Composition root of a worker thread: makes the real Environment of this thread and runs one shard.
import { workerData } from 'node:worker_threads';
import { runWorker } from './assembly/worker.ts';
import { prefixed } from './assembly/worker-boot.ts';
import { createNodeCrew } from './env/node/crew.ts';
import { createNodeEnvironment, type NodeEnvironment } from './env/node/environment.ts';
import { logLevelOf } from './env/node/log.ts';
import { collectStartGarbage } from './env/node/start-garbage.ts';

await runWorker(
  {
    makeEnvironment: ({ dataRoot }) =>
      createNodeEnvironment({
        logLevel: logLevelOf(process.env),
        crew: createNodeCrew(new URL('./crew-worker.js', import.meta.url)),
        ...(dataRoot === undefined ? {} : { dataRoot }),
      }),
    amqp: async () => (await import('./protocols/amqp/listener.ts')).startAmqpListener,
    load: (url) => import(url),
    rocketmq: async () => (await import('./rocketmq.ts')).startRocket,
    counters(env) {
      const { net, threads } = env as NodeEnvironment;
      return { ...prefixed('net', net.counters), ...prefixed('threads', threads.counters) };
    },
  },
  (workerData as { readonly data: unknown }).data,
);
collectStartGarbage();
