// Composition root of a worker thread: makes the real Environment of this thread and runs one shard.
import { workerData } from 'node:worker_threads';
import { runWorker } from './assembly/worker.ts';
import { createNodeEnvironment } from './env/node/environment.ts';

await runWorker(
  ({ dataRoot }) => createNodeEnvironment(dataRoot === undefined ? {} : { dataRoot }),
  (workerData as { readonly data: unknown }).data,
);
