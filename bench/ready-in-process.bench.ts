// How long do three nodes in one process take until they are ready? Measured inside the process, from
// the call that starts the nodes, in memory: what a test suite pays that starts a cluster per test.
// Nothing of the command line is in it, and the modules are loaded.

import { fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { machineLoad, tellFigure } from './lib/figure.ts';

const load = machineLoad();
const samples: number[] = [];
const child = fork(fileURLToPath(new URL('../bench/lib/in-process-cluster.mjs', import.meta.url)), {
  stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
});
for await (const line of createInterface({ input: child.stdout! })) {
  if (line.startsWith('ready ')) samples.push(Number(line.slice(6)));
}
tellFigure({ name: 'ready-in-process', unit: 'ms', samples, floor: 200, rule: 'most', load });
