// `npm run conformance:disk`: what the storage promises, seen from outside: see README.md. Exit code 1 if
// anything is not as promised; what this machine does not allow to look at has codes of its own.
import { checkCalls } from './calls.mjs';
import { checkFullDisk } from './full-disk.mjs';
import { verdict } from './judge.mjs';
import { provideNeeds } from './needs.mjs';

/** Not 1, and not 2, which shells use; the sum of what was left out. */
const NOT_ALL = 2;
const NO_TRACING = 1;
const NO_TMPFS = 2;

if (process.platform !== 'linux') {
  console.error('conformance:disk: this run needs Linux');
  process.exit(1);
}
const { tracing, mounting } = await provideNeeds();
let leftOut = 0;

if (tracing === undefined) await checkCalls();
else {
  leftOut += NO_TRACING;
  console.log(`LEFT OUT system calls, as they cannot be traced here: ${tracing}`);
}
if (mounting === undefined) await checkFullDisk();
else {
  leftOut += NO_TMPFS;
  console.log(`LEFT OUT the full disk, as no tmpfs can be mounted here: ${mounting}`);
}
const isGood = leftOut === NO_TRACING + NO_TMPFS || verdict();
if (!isGood) process.exitCode = 1;
else if (leftOut > 0) process.exitCode = NOT_ALL + leftOut;
