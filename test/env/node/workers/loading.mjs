// A worker whose native code takes its time to load: words [has begun, may end, has ended, -, longest ms].
import { workerData } from 'node:worker_threads';
import { loadGuarded } from '../../../../dist/env/node/native-gate.js';

const words = workerData.data;
loadGuarded(() => {
  Atomics.store(words, 0, 1);
  Atomics.wait(words, 1, 0, words[4]);
  Atomics.store(words, 2, 1);
});
// Ended in the middle of this.
Atomics.wait(words, 3, 0);
