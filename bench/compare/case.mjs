// One kind of work by one library: `node case.mjs tell nact`. Prints the median rate a second.
import { performance } from 'node:perf_hooks';
import { ours, ourThread } from './ours.mjs';
import { comlinkThread, effect, messagePort, nact, xstate } from './theirs.mjs';

const ROUNDS = 5;
const [, , work, library] = process.argv;

/** Work -> library -> what makes it: `round` does `count` of it and answers how many arrived. */
const MAKERS = {
  tell: { callboard: ours.tell, nact: nact.tell, xstate: xstate.tell, effect: effect.tell },
  ask: { callboard: ours.ask, nact: nact.ask, effect: effect.ask },
  'thread-tell': { callboard: ourThread.tell, 'message-port': messagePort.tell },
  'thread-ask': {
    callboard: ourThread.ask,
    comlink: comlinkThread.ask,
    'message-port': messagePort.ask,
  },
};
const COUNTS = { tell: 500_000, ask: 100_000, 'thread-tell': 300_000, 'thread-ask': 20_000 };

const count = COUNTS[work];
const made = await MAKERS[work][library]();
const rates = [];
for (let i = 0; i <= ROUNDS; i += 1) {
  const startMs = performance.now();
  const arrived = await made.round(count);
  const seconds = (performance.now() - startMs) / 1000;
  if (arrived !== count) throw new Error(`${arrived} of ${count} arrived`);
  if (i > 0) rates.push(count / seconds);
}
await made.close();
rates.sort((a, b) => a - b);
const short = (rate) =>
  rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} M` : `${(rate / 1e3).toFixed(0)} k`;
console.log(`${short(rates[2])}/s`.padEnd(12), `spread ${short(rates[0])}..${short(rates[4])}`);
