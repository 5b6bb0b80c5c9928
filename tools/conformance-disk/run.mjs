// `npm run conformance:disk`: what the storage promises, seen from outside: see README.md. Exit code 1 if
// anything is not as promised, or if something that is needed for looking is missing.
import { checkCalls } from './calls.mjs';
import { checkFullDisk } from './full-disk.mjs';
import { verdict } from './judge.mjs';
import { provideNeeds } from './needs.mjs';

const faults = provideNeeds();
for (const fault of faults) console.error(`conformance:disk: ${fault}`);
if (faults.length > 0) process.exit(1);

await checkCalls();
await checkFullDisk();
process.exitCode = verdict() ? 0 : 1;
