// A process of the tests that ends while its worker loads native code, and says whether that had been loaded.
import { createNodeEnvironment } from '../../../../dist/env/node/environment.js';

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const { threads } = createNodeEnvironment({ log: quiet });
const words = new Int32Array(new SharedArrayBuffer(20));
words[4] = 300;
threads.start(new URL('./loading.mjs', import.meta.url), 1, words);
// Heard after whoever has listened from the start of the worker on.
process.on('exit', () => process.stdout.write(`loaded: ${words[2]}`));
while (Atomics.load(words, 0) === 0) await new Promise((resolve) => setImmediate(resolve));
process.exit(7);
