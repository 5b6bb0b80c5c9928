// A worker that answers control calls in every way, and keeps nothing else.
import { createNodeEnvironment } from '../../../../dist/env/node/environment.js';

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const { threads } = createNodeEnvironment({ log: quiet });
threads.serveControl({
  echo: (argument) => argument,
  later: (argument) => new Promise((resolve) => setImmediate(resolve, argument)),
  never: () => new Promise(nothing),
  throws() {
    throw new Error('thrown on purpose');
  },
  rejects: () => Promise.reject(new Error('rejected on purpose')),
  rejectsText: () => Promise.reject('a text'),
  notClonable: () => nothing,
  own: async () => (await threads.control.facts({ timeoutMs: 1_000 })).counters.controlCalls,
});
threads.ready();
